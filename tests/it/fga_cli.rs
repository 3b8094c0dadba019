//! `behalf fga test` and `behalf fga model`, run as people run them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const MODEL: &str = "model
  schema 1.1

type user

type doc
  relations
    define owner: [user]
    define viewer: [user, user:*] or owner
";

const STORE: &str = "name: Documents
model_file: model.fga
tuple_file: tuples/all.csv
tests:
  - name: who reads
    check:
      - user: user:ann
        object: doc:1
        assertions: {owner: true, viewer: true}
    list_objects:
      - {user: user:ann, type: doc, assertions: {viewer: [doc:1, doc:2]}}
    list_users:
      - object: doc:1
        user_filter: [{type: user}]
        assertions:
          viewer: {users: [user:ann, user:bob]}
";

const TUPLES: &str = "user_type,user_id,relation,object_type,object_id
user,ann,owner,doc,1
user,bob,viewer,doc,1
user,*,viewer,doc,2
";

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("tuples")).unwrap();
    for (name, text) in [("model.fga", MODEL), ("a.fga.yaml", STORE), ("tuples/all.csv", TUPLES)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Exit code, standard output and standard error of `behalf fga …` in a folder.
fn fga(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
        .arg("fga")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

#[test]
fn store_files_are_tested() {
    let folder = folder();
    let (code, out, err) = fga(folder.path(), &["test", "a.fga.yaml", "a.fga.yaml"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "tests 2/2, checks 4/4, list objects 2/2, list users 2/2\n");

    let wrong = STORE.replace("owner: true", "owner: false").replace("[doc:1, doc:2]", "[doc:3]");
    write(&folder, "b.fga.yaml", &wrong);
    let (code, out, err) = fga(folder.path(), &["test", "a.fga.yaml", "b.fga.yaml"]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert_eq!(
        out,
        "\
b.fga.yaml:9:22: who reads: is user:ann owner of doc:1?
    expected  false
    got       true
              by doc:1#owner@user:ann
b.fga.yaml:11:50: who reads: of which doc is user:ann viewer?
    expected  doc:3
    got       doc:1, doc:2; missing: doc:3; unexpected: doc:1, doc:2
tests 1/2, checks 3/4, list objects 1/2, list users 2/2
"
    );
}

#[test]
fn a_file_that_cannot_be_tested_is_named() {
    let folder = folder();
    for (name, text, expected) in [
        ("c.fga.yaml", "model_file: [", "c.fga.yaml:1:13: unclosed bracket '['"),
        ("c.fga.yaml", "tests: []", "c.fga.yaml:1:1: `model` or `model_file` must be given"),
        ("tuples/all.csv", "user_type\nx\n", "tuples/all.csv:1:1: the column `user_id` is missing"),
        (
            "tuples/all.csv",
            &TUPLES.replace("doc,2", "dok,2"),
            "tuples/all.csv:4:1: Invalid tuple 'dok:2#viewer@user:*'. Reason: type 'dok' not found",
        ),
        (
            "model.fga",
            &MODEL.replace("or owner", "or ownr"),
            "model.fga:9:38: the relation `ownr` does not exist; define the relation on this type, or correct its name",
        ),
    ] {
        let folder = self::folder();
        write(&folder, "c.fga.yaml", STORE);
        write(&folder, name, text);
        let (code, _, err) = fga(folder.path(), &["test", "c.fga.yaml"]);
        assert_eq!((code, err.trim_end()), (2, expected));
    }
    let (code, _, err) = fga(folder.path(), &["test", "absent.fga.yaml"]);
    assert_eq!((code, err.starts_with("absent.fga.yaml: No such file")), (2, true), "{err}");
}

#[test]
fn a_store_file_reads_only_its_own_folder() {
    let folder = folder();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::os::unix::fs::symlink("../model.fga", inner.join("link.fga")).unwrap();
    for outside in ["../model.fga", "link.fga"] {
        write(&folder, "inner/d.fga.yaml", &format!("model_file: {outside}\n"));
        let (code, _, err) = fga(folder.path(), &["test", "inner/d.fga.yaml"]);
        assert_eq!(code, 2);
        assert!(err.contains("outside of the folder"), "{err}");
        let (code, _, err) =
            fga(folder.path(), &["test", "--allow-external-files", "inner/d.fga.yaml"]);
        assert_eq!((code, err.as_str()), (0, ""));
    }
}

#[test]
fn models_are_validated_and_transformed() {
    let folder = folder();
    let (code, out, err) = fga(folder.path(), &["model", "validate", "model.fga"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "model.fga: valid\n", ""));

    let (code, json, _) = fga(folder.path(), &["model", "transform", "model.fga"]);
    assert_eq!(code, 0);
    write(&folder, "model.json", &json);
    let (code, dsl, _) = fga(folder.path(), &["model", "transform", "model.json"]);
    assert_eq!((code, dsl.as_str()), (0, MODEL));
    let (code, _, _) = fga(folder.path(), &["model", "validate", "model.json", "model.fga"]);
    assert_eq!(code, 0);

    let condition = "condition c(x: int) {\n  x == 'a'\n}\n";
    let text = format!("{}\n{condition}", MODEL.replace("user:*]", "user with c]"));
    write(&folder, "e.fga", &text);
    let (code, _, err) = fga(folder.path(), &["model", "validate", "model.fga", "e.fga"]);
    assert_eq!(code, 1);
    assert!(err.contains("found no matching overload for '_==_'"), "{err}");
    write(
        &folder,
        "e.fga",
        "model\n  schema 1.1\ntype a\n  relations\n    define b: [a] or c and d\n",
    );
    let (code, out, err) = fga(folder.path(), &["model", "transform", "e.fga"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("e.fga:5:23: mismatched input ' '"), "{err}");
    assert!(err.contains("put parentheses"), "{err}");
}

#[test]
fn modules_are_combined_by_their_list() {
    let folder = folder();
    write(&folder, "fga.mod", "schema: '1.2'\ncontents: [core.fga, wiki.fga]\n");
    write(&folder, "core.fga", "module core\n\ntype user\n");
    let wiki = "module wiki\n\nextend type user\n  relations\n    define self_reader: [user]\n";
    write(&folder, "wiki.fga", wiki);
    let (code, out, err) = fga(folder.path(), &["model", "combine", "fga.mod", "--sources"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "model
  schema 1.2

type user # module: core, file: core.fga
  relations
    define self_reader: [user] # extended by: module: wiki, file: wiki.fga
"
    );
    write(&folder, "wiki.fga", &wiki.replace("type user", "type users"));
    let (code, _, err) = fga(folder.path(), &["model", "combine", "fga.mod"]);
    assert_eq!((code, err.trim_end()), (1, "wiki.fga:3:13: extended type users does not exist"));
    write(&folder, "fga.mod", "schema: '1.2'\ncontents: [../core.fga]\n");
    let (code, _, err) = fga(folder.path(), &["model", "validate", "fga.mod"]);
    assert_eq!((code, err.trim_end()), (1, "fga.mod:2:12: invalid contents item ../core.fga"));
}
