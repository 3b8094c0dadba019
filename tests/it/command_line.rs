//! The command line as people and scripts use it.

use std::process::{Command, Stdio};

use clap::CommandFactory as _;

use crate::kill::{SETUP, Server};

fn behalf() -> Command {
    Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
}

/// A pipe whose reader has gone: what `head -1` leaves behind.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn whoever_reads_only_the_first_line_still_gets_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let receipt = dir.path().join("receipt.tlog-proof");
    std::fs::write(&receipt, "c2sp.org/tlog-proof@v1\nforged\n").unwrap();
    let mut verify = behalf();
    verify.arg("verify").arg(&receipt);
    let mut dev_ca = behalf();
    dev_ca.arg("dev-ca").arg("--data").arg(dir.path().join("data"));
    for (mut command, code) in [(verify, 1), (dev_ca, 0)] {
        let output = command.stdout(closed_pipe()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
        assert_eq!(output.status.code(), Some(code), "{command:?}");
    }
}

#[test]
fn words_that_do_not_fit_on_the_disk_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = behalf();
    command.arg("dev-ca").arg("--data").arg(dir.path().join("data"));
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("behalf: cannot write: No space left"), "{said}");
    assert_eq!((said.lines().count(), output.status.code()), (1, Some(1)));
}

#[test]
fn a_private_host_is_a_name_or_an_address() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in ["https://intranet.example/", "a b", ""] {
        let mut command = behalf();
        command.arg("serve").arg("--data").arg(dir.path().join("data"));
        let output = command.args(["--allow-private-egress", wrong]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("`{wrong}` is no host name or IP address")), "{said}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!dir.path().join("data").exists(), "nothing was made");
    }
}

#[test]
fn every_flag_has_its_variable() {
    fn visit(command: &clap::Command, wrong: &mut Vec<String>) {
        for flag in command.get_arguments() {
            let Some(name) = flag.get_long() else { continue };
            let variable = flag.get_env().map(|name| name.to_string_lossy().into_owned());
            let own = format!("BEHALF_{}", name.to_uppercase().replace('-', "_"));
            let expected = match (command.get_name(), name) {
                (_, "help" | "version") => None,
                // Whoever names the folder of the real server does not mean the demo's, and neither
                // a form nor an address is a time.
                ("demo", "data") => Some("BEHALF_DEMO_DATA".to_owned()),
                ("transform", "to") => Some("BEHALF_MODEL_FORM".to_owned()),
                ("import", "from") => Some("BEHALF_FGA_FROM".to_owned()),
                _ => Some(own),
            };
            if variable != expected {
                wrong.push(format!("{} --{name}: {variable:?}", command.get_name()));
            }
        }
        command.get_subcommands().for_each(|command| visit(command, wrong));
    }
    let mut wrong = Vec::new();
    visit(&behalf::cli::Cli::command(), &mut wrong);
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn access_control_needs_its_store_and_its_model_and_clients() {
    let dir = tempfile::tempdir().unwrap();
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let (store, model) = ("--fga-access-control-store", "--fga-access-control-model");
    for (args, said) in [
        (&[store, id][..], "give both"),
        (&[model, id], "give both"),
        (&[store, id, model, id, "--fga-auth", "oidc,preshared"], "use --fga-auth oidc"),
        (&[store, id, model, id, "--fga-auth", "none"], "use --fga-auth oidc"),
        (&[store, id, model, id], "there is no FGA store `01ARZ3NDEKTSV4RRFFQ69G5FAV`"),
    ] {
        let mut command = behalf();
        command.arg("serve").arg("--data").arg(dir.path().join("data"));
        let output = command.args(["--http", "127.0.0.1:0"]).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{args:?}: {error}");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    }
}

/// DESIGN's contract: every flag has a key in `behalf.toml`, whatever the command.
#[test]
fn a_file_says_what_is_not_typed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    std::fs::write(dir.path().join("token"), "kill-test-key\n").unwrap();
    let server = Server::start(dir.path());
    let client = tempfile::tempdir().unwrap();
    let file = format!(
        "url = \"http://127.0.0.1:{}\"\ntoken-file = \"{}\"\nstore = \"documents\"\n",
        server.port,
        dir.path().join("token").display()
    );
    std::fs::write(client.path().join("behalf.toml"), &file).unwrap();
    let run = |line: &str| {
        let mut command = behalf();
        let output = command.args(line.split(' ')).current_dir(client.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let denied = (Some(1), "denied\n".to_owned(), String::new());
    // In the folder that is named, or by its own name.
    assert_eq!(run("fga check user:a owner doc:1 --data ."), denied);
    assert_eq!(run("fga check user:a owner doc:1 --config behalf.toml"), denied);
    let (code, _, err) = run("fga check user:a owner doc:1 --store other --data .");
    assert_eq!((code, err.as_str()), (Some(2), "behalf: there is no store `other`\n"));
    std::fs::write(client.path().join("behalf.toml"), file.replace("store", "stor")).unwrap();
    let (code, _, err) = run("fga check user:a owner doc:1 --data .");
    assert_eq!(code, Some(2), "nothing was answered");
    assert_eq!(err, "behalf: ./behalf.toml: unknown key `stor`; did you mean `store`?\n");
    server.kill();

    // A set-up file that names the issuer is applied before the first start.
    let issuer = "https://behalf.example/";
    std::fs::write(client.path().join("behalf.toml"), format!("issuer = \"{issuer}\"\n")).unwrap();
    let setup = format!(
        "clients:\n  - {{client_id: ci, client_secret: ci-secret-0123456789, app_type: non_interactive, \
         grant_types: [client_credentials]}}\nclient_grants:\n  - {{client_id: ci, audience: \
         \"{issuer}fga/\", scope: [\"read:fga\"]}}\n"
    );
    std::fs::write(client.path().join("ci.yaml"), setup).unwrap();
    let (code, out, err) = run("apply ci.yaml --data .");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("create client grant ci"), "{out}");
}
