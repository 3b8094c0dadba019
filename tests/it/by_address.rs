//! Commands that ask the server at an address, with a person's token: what the API lets her do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::kill::Server;

const SETUP: &str = r#"
users:
  - {user_id: "auth0|ann", email: ann@example.com, email_verified: true, password: "correct horse battery", name: Ann, roles: [administrator, auditor]}
clients:
  - {client_id: tool, client_secret: tool-secret, name: Tool, app_type: regular_web, grant_types: [password]}
"#;

/// A token of Ann's for the server's own API.
fn token(port: u16, scope: &str) -> String {
    let body = json!({"grant_type": "password", "username": "ann@example.com",
        "password": "correct horse battery", "client_id": "tool", "client_secret": "tool-secret",
        "audience": format!("http://127.0.0.1:{port}/api/"), "scope": scope})
    .to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Exit code and all that was said.
fn behalf(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"));
    let output = command.args(arguments).current_dir(dir).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn documents_are_imported_and_records_exported_by_address() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    let server = Server::start(dir.path());
    let url = format!("http://127.0.0.1:{}", server.port);
    let with = |scope: &str| {
        std::fs::write(dir.path().join("token"), format!("{}\n", token(server.port, scope)))
            .unwrap();
    };
    std::fs::create_dir(dir.path().join("texts")).unwrap();
    std::fs::write(dir.path().join("texts/a.md"), "# A\n\nIt is about apples.\n").unwrap();

    with("import:documents");
    let import = ["documents", "import", "texts", "--url", &url, "--token-file", "token"];
    for expected in
        ["imported 1 document (1 new, 0 replaced", "imported 1 document (0 new, 1 replaced"]
    {
        let (code, said) = behalf(dir.path(), &import);
        assert_eq!((code, said.contains(expected)), (0, true), "{said}");
    }
    let (code, said) = behalf(dir.path(), &[import.as_slice(), &["--owner", "ann"]].concat());
    assert_eq!((code, said.contains("--owner needs the data folder")), (1, true), "{said}");

    let export = ["export", "--out", "all.zip", "--url", &url, "--token-file", "token"];
    let (code, said) = behalf(dir.path(), &export);
    assert_eq!((code, said.contains("the server answered 403")), (1, true), "{said}");
    assert!(!dir.path().join("all.zip").exists());
    with("export:records");
    let (code, said) = behalf(dir.path(), &export);
    assert_eq!(code, 0, "{said}");
    let (code, said) = behalf(dir.path(), &["verify", "all.zip"]);
    assert_eq!(code, 0, "{said}");
    server.kill();
}
