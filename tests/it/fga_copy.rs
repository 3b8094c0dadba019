//! `behalf fga check`, `list-objects`, `import` and `export`, run as people run them: on a folder, on
//! the server that holds it, and on a server at an address. And what they are made of: stores and
//! models under given ids, and changes that are merged.

use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fga_surface::{World, tuple};
use crate::kill::{SETUP, Server};

const STORE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// A folder whose server has run once.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    write(&dir, "setup.yaml", SETUP);
    write(&dir, "token", "kill-test-key\n");
    let (code, _, err) = behalf(dir.path(), &["apply", "setup.yaml", "--data", "data"]);
    assert_eq!((code, err.as_str()), (0, ""));
    dir
}

fn write(dir: &TempDir, name: &str, text: &str) {
    std::fs::write(dir.path().join(name), text).unwrap();
}

/// Exit code, standard output and standard error of `behalf …` in a folder.
fn behalf(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `behalf fga …` on the folder's data.
fn fga(dir: &TempDir, arguments: &str) -> (i32, String, String) {
    let arguments: Vec<&str> = ["fga"].into_iter().chain(arguments.split(' ')).collect();
    behalf(dir.path(), &[arguments.as_slice(), &["--data", "data"]].concat())
}

#[test]
fn questions_are_answered_from_the_folder_its_server_and_an_address() {
    let dir = folder();
    write(
        &dir,
        "a.ndjson",
        "{\"user\":\"user:ann\",\"relation\":\"owner\",\"object\":\"doc:1\"}\n",
    );
    let (code, out, err) = fga(&dir, "import a.ndjson --store documents");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("wrote 1 tuple; 0 were there already"), "{out}");

    let ask = |more: &str| {
        let (yes, said, _) =
            fga(&dir, &format!("check user:ann can_view doc:1 --store {STORE}{more}"));
        assert_eq!((yes, said.as_str()), (0, "allowed\n"), "{more}");
        let (no, said, _) =
            fga(&dir, &format!("check user:bob can_view doc:1 --store {STORE}{more}"));
        assert_eq!((no, said.as_str()), (1, "denied\n"), "{more}");
        let (code, said, _) =
            fga(&dir, &format!("list-objects user:ann can_view doc --store documents{more}"));
        assert_eq!((code, said.as_str()), (0, "doc:1\n"), "{more}");
        let (code, _, said) =
            fga(&dir, &format!("check user:ann nothing doc:1 --store documents{more}"));
        assert_eq!(code, 2, "no answer is neither yes nor no");
        assert!(said.contains("nothing"), "{said}");
    };
    ask("");
    let server = Server::start(dir.path());
    ask("");
    ask(&format!(" --url http://127.0.0.1:{} --token-file token", server.port));
    let (code, _, said) = fga(
        &dir,
        &format!(
            "check user:ann can_view doc:1 --store {STORE} --url http://127.0.0.1:{}",
            server.port
        ),
    );
    assert_eq!(code, 2, "an address asks for a token");
    assert!(said.contains("the server answered 401"), "{said}");
    let (code, why, _) = fga(&dir, "check user:ann can_view doc:1 --store documents --explain");
    let why: Value = serde_json::from_str(&why).unwrap();
    assert_eq!((code, &why["path"][0]["relation"]), (0, &json!("owner")));
    server.kill();
}

#[test]
fn a_large_file_is_imported_in_batches_and_again_without_effect() {
    let dir = folder();
    let server = Server::start(dir.path());
    let lines: String = (0..2_500)
        .map(|n| {
            format!(
                "{}\n",
                json!({"user": format!("user:u{n}"), "relation": "viewer", "object": "doc:1"})
            )
        })
        .collect();
    write(&dir, "many.ndjson", &lines);
    let (code, out, err) = fga(&dir, "import many.ndjson --store documents --dry-run");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("would write 2,500 tuples; 0 were there already"), "{out}");
    for expected in ["wrote 2,500 tuples; 0 were", "wrote 0 tuples; 2,500 were"] {
        let (code, out, err) = fga(&dir, "import many.ndjson --store documents");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with(expected), "{out}");
    }
    // Who did it stands in the log.
    let log = crate::kill::exchange(server.port, &format!("/stores/{STORE}/behalf/export"), "");
    assert_eq!(log.unwrap().1.lines().filter(|line| line.starts_with('{')).count(), 2_500);
    server.kill();
}

#[test]
fn what_does_not_fit_is_named_by_file_and_line() {
    let dir = folder();
    let good = r#"{"user":"user:ann","relation":"owner","object":"doc:1"}"#;
    let wrong = r#"{"user":"user:ann","relation":"ownr","object":"doc:1"}"#;
    let header = "user_type,user_id,relation,object_type,object_id\n";
    for (name, text, expected) in [
        (
            "a.ndjson",
            format!("{good}\n\n{wrong}\n"),
            "a.ndjson:3: Invalid tuple 'doc:1#ownr@user:ann'",
        ),
        ("a.ndjson", format!("{good}\n{{\"user\": 1}}\n"), "a.ndjson:2: `user` is missing"),
        ("a.ndjson", format!("{good}\n{{\n"), "a.ndjson:2:1: EOF while parsing"),
        ("a.csv", format!("{header}user,ann,ownr,doc,1\n"), "a.csv:2: Invalid tuple"),
        ("a.csv", format!("{header}user,ann,owner,doc\n"), "a.csv:2: 4 fields, but 5 columns"),
        ("a.csv", "user_type,what\n".to_owned(), "a.csv:1: unknown column `what`"),
        (
            "a.yaml",
            "- user: user:ann\n  relation: ownr\n  object: doc:1\n".to_owned(),
            "a.yaml:1:3: Invalid tuple",
        ),
        ("a.json", format!("[{good},\n {wrong}]"), "a.json:2:2: Invalid tuple"),
        ("a.txt", String::new(), "a.txt: tuples stand in .ndjson"),
    ] {
        write(&dir, name, &text);
        let (code, _, err) = fga(&dir, &format!("import {name} --store documents"));
        assert_eq!(code, 1, "{name}: {text}");
        assert!(err.contains(expected), "{expected}: {err}");
    }
    let (_, out, _) = fga(&dir, "export --store documents");
    assert_eq!(out, "", "a batch is written whole or not at all");
    // A dry run goes on, and tells everything.
    write(&dir, "a.ndjson", &format!("{wrong}\n{good}\n{wrong}\n"));
    let (code, out, err) = fga(&dir, "import a.ndjson --store documents --dry-run");
    assert_eq!((code, err.matches("Invalid tuple").count()), (1, 2), "{out}{err}");
}

#[test]
fn every_format_of_tuples_says_the_same() {
    let header = "user_type,user_id,user_relation,relation,object_type,object_id\n";
    // A line end inside of a quoted field must not be taken for the record's end.
    let many: String = (0..1_200).map(|n| format!("user,\"u{n}\",,viewer,doc,2\n")).collect();
    let dir = folder();
    for (name, text) in [
        ("a.csv", format!("{header}{many}")),
        ("b.yaml", "- {user: 'user:*', relation: viewer, object: doc:3}\n".to_owned()),
        ("c.json", r#"[{"user":"user:cy","relation":"viewer","object":"doc:3"}]"#.to_owned()),
        (
            "d.jsonl",
            r#"{"user":"user:dan","relation":"viewer","object":"doc:4","expires_at":"2099-01-01T00:00:00Z"}"#
                .to_owned(),
        ),
    ] {
        write(&dir, name, &text);
    }
    let (code, out, err) = fga(&dir, "import a.csv b.yaml c.json d.jsonl --store documents");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("wrote 1,203 tuples; 0 were"), "{out}");
    let (code, out, _) = fga(&dir, "export --store documents --out all.ndjson");
    assert_eq!((code, out.as_str()), (0, ""));
    let all = std::fs::read_to_string(dir.path().join("all.ndjson")).unwrap();
    assert_eq!(all.lines().count(), 1_203);
    assert!(all.contains(r#""expires_at":"2099-01-01T00:00:00"#));
    // A store file has no word for that.
    let (code, _, err) = fga(&dir, "export --store documents --form store --out store.fga.yaml");
    assert_eq!((code, err.contains("1 tuple holds only for a time")), (1, true), "{err}");
    assert!(!dir.path().join("store.fga.yaml").exists(), "a file with that name is whole");
    // What was written out can be read in again, elsewhere.
    let other = folder();
    write(&other, "all.ndjson", &all);
    let (code, out, _) = fga(&other, "import all.ndjson --store documents");
    assert_eq!((code, out.starts_with("wrote 1,203 tuples")), (0, true), "{out}");
}

#[test]
fn a_store_file_goes_in_and_comes_out() {
    let dir = folder();
    let file = "name: wiki
model: |
  model
    schema 1.1
  type user
  type page
    relations
      define reader: [user, user with office_hours]
  condition office_hours(hour: int) {
    hour < 18
  }
tuples:
  - {user: user:ann, relation: reader, object: page:1}
  - user: user:bob
    relation: reader
    object: page:1
    condition: {name: office_hours}
";
    write(&dir, "wiki.fga.yaml", file);
    let (code, out, err) = fga(&dir, "import wiki.fga.yaml");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for said in ["made the store wiki: ", "wrote the model: ", "wrote 2 tuples"] {
        assert!(out.contains(said), "{out}");
    }
    let (_, out, _) = fga(&dir, "import wiki.fga.yaml");
    assert!(out.starts_with("wrote 0 tuples; 2 were there already"), "no second model: {out}");
    let (code, out, err) = fga(&dir, "export --store wiki --form store --out out.fga.yaml");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "2 tuples\n"));
    let (code, out, err) = behalf(dir.path(), &["fga", "test", "out.fga.yaml"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (_, out, _) = fga(&dir, "import out.fga.yaml");
    assert!(out.starts_with("wrote 0 tuples; 2 were there already"), "{out}");
    let ask = |hour: u32| {
        let context = format!("{{\"hour\":{hour}}}");
        fga(&dir, &format!("check user:bob reader page:1 --store wiki --context {context}")).0
    };
    assert_eq!((ask(9), ask(20)), (0, 1));
    // A model that is wrong is told with its place, and nothing is made.
    write(&dir, "bad.fga.yaml", &file.replace("wiki", "bad").replace("[user, ", "[usr, "));
    let (code, _, err) = fga(&dir, "import bad.fga.yaml");
    assert_eq!((code, err.contains("bad.fga.yaml:8:")), (1, true), "{err}");
    let (_, _, err) = fga(&dir, "export --store bad");
    assert!(err.contains("there is no store `bad`"), "{err}");
}

#[tokio::test]
async fn a_store_and_its_models_keep_the_ids_that_they_have_elsewhere() {
    let world = World::new().await;
    let store = "01HVMMBCMGZNT3SED4Z17ECXCA";
    let path = format!("/stores/{store}/behalf/store");
    let name = json!({"name": "moved"});
    world.ask(Method::PUT, &path, name.clone()).await.expect(201);
    world.ask(Method::PUT, &path, name).await.expect(200);
    let got = world.ask(Method::GET, &format!("/stores/{store}"), Value::Null).await.expect(200);
    assert_eq!(got.json()["name"], "moved");
    world
        .ask(Method::PUT, "/stores/short/behalf/store", json!({"name": "moved"}))
        .await
        .expect(400);

    let model = |relation: &str| {
        json!({"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "doc",
            "relations": {relation: {"this": {}}}, "metadata": {"relations": {
            relation: {"directly_related_user_types": [{"type": "user"}]}}}}]})
    };
    let (old, new) = ("01HVMMBCMGZNT3SED4Z17ECXCB", "01HVMMBCMGZNT3SED4Z17ECXCC");
    let put = async |id: &str, relation: &str| {
        let path = format!("/stores/{store}/behalf/authorization-models/{id}");
        world.ask(Method::PUT, &path, model(relation)).await
    };
    put(old, "reader").await.expect(201);
    put(new, "viewer").await.expect(201);
    put(old, "reader").await.expect(200);
    put(old, "viewer").await.expect(400);
    let path = format!("/stores/{store}/behalf/authorization-models/01HVMMBCMGZNT3SED4Z17ECXCD");
    world.ask(Method::PUT, &path, json!({"schema_version": "1.1"})).await.expect(400);
    let path = format!("/stores/{store}/authorization-models");
    let list = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
    let ids: Vec<&Value> =
        list["authorization_models"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, [new, old]);

    // A copy takes a tuple of an older model, and answers with it as that model does.
    let merge = async |changes: Value, is_copy: bool| {
        let body = json!({"changes": changes, "copy": is_copy});
        let path = format!("/stores/{store}/behalf/merge");
        world.ask(Method::POST, &path, body).await.expect(200).json()
    };
    let changes = json!([{"tuple_key": tuple("user:a", "reader", "doc:1")},
        {"tuple_key": tuple("user:a", "viewer", "doc:1")}, {"tuple_key": tuple("user:a", "x", "doc:1")}]);
    let refused = merge(changes.clone(), false).await;
    assert_eq!(
        (&refused["refused_count"], &refused["refused"][0]["index"]),
        (&json!(2), &json!(0))
    );
    let copied = merge(changes, true).await;
    assert_eq!((&copied["written"], &copied["refused"][0]["index"]), (&json!(2), &json!(2)));
    let ask =
        json!({"tuple_key": tuple("user:a", "reader", "doc:1"), "authorization_model_id": old});
    let path = format!("/stores/{store}/check");
    let answer = world.ask(Method::POST, &path, ask).await.expect(200).json();
    assert_eq!(answer["allowed"], true);
}

#[tokio::test]
async fn of_several_changes_of_a_tuple_the_last_counts() {
    let world = World::new().await;
    let key = tuple("user:a", "viewer", "doc:1");
    let mut conditional = key.clone();
    conditional["condition"] =
        json!({"name": "in_time", "context": {"until": "2030-01-01T00:00:00Z"}});
    let write = |key: &Value| json!({"operation": "TUPLE_OPERATION_WRITE", "tuple_key": key});
    let delete = json!({"operation": "TUPLE_OPERATION_DELETE", "tuple_key": key});
    let merge = async |changes: Value, is_copy: bool| {
        let body = json!({"changes": changes, "copy": is_copy});
        let merged = world.post("/behalf/merge", body).await.expect(200).json();
        let of = |name: &str| merged[name].as_u64().unwrap();
        [of("written"), of("deleted"), of("unchanged"), of("refused_count")]
    };
    let stored = async || {
        let read = world.post("/read", json!({"tuple_key": key})).await.expect(200).json();
        read["tuples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["key"]["condition"]["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(merge(json!([write(&key), delete, write(&conditional)]), false).await, [2, 1, 0, 0]);
    assert_eq!(stored().await, ["in_time"]);
    assert_eq!(
        merge(json!([write(&key)]), false).await,
        [0, 0, 0, 1],
        "a condition is not replaced"
    );
    assert_eq!(stored().await, ["in_time"]);
    assert_eq!(merge(json!([write(&key)]), true).await, [1, 0, 0, 0]);
    assert_eq!(stored().await, [Value::Null]);
    // The log tells it as OpenFGA's clients know it: deleted, then written.
    let changes = world.get("/changes").await.expect(200).json();
    let told: Vec<&str> = changes["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["operation"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["TUPLE_OPERATION_WRITE", "TUPLE_OPERATION_DELETE", "TUPLE_OPERATION_WRITE"]);
    assert_eq!(merge(json!([write(&key), delete, delete]), true).await, [0, 1, 2, 0]);
    assert_eq!(stored().await, [] as [Value; 0]);
    let many: Vec<Value> = (0..1_001).map(|_| write(&key)).collect();
    let refused = world.post("/behalf/merge", json!({"changes": many})).await.expect(400).json();
    assert_eq!(refused["code"], "exceeded_entity_limit");
}
