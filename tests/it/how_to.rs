//! What the documents in `docs/how-to` tell people to type, typed in their order; and what happens
//! where it goes wrong half way.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::fga_move::{STORE, Shadow, UPSTREAM, behalf, folder, get, post, wait_until, write};
use crate::fga_surface::tuple;
use crate::kill::{SETUP, Server};

const START: &str = include_str!("../../docs/how-to/start-from-openfga.md");

/// The blocks of code in that language, in their order.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Exit code, and what a command says on both of its outputs.
fn said(dir: &Path, line: &str) -> (i32, String, String) {
    let output = behalf(dir, &line.split(' ').collect::<Vec<_>>()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_first_five_minutes_go_as_written() {
    let dir = TempDir::new().unwrap();
    let yaml = blocks(START, "yaml");
    for (name, text) in ["setup.yaml", "plans.fga.yaml"].into_iter().zip(&yaml) {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let (code, _, err) = said(dir.path(), "apply setup.yaml");
    assert_eq!((code, err.as_str()), (0, ""));
    let commands = blocks(START, "");
    let lines: Vec<&str> = commands
        .iter()
        .flat_map(|block| block.lines())
        .filter(|l| l.starts_with("behalf fga"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let (code, _, err) = said(dir.path(), line.strip_prefix("behalf ").unwrap());
        assert_eq!((code, err.as_str()), (0, ""), "{line}");
    }
    // "Your own store files, `.fga` models and `fga.mod` work the same way."
    let model =
        "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n";
    std::fs::write(dir.path().join("own.fga"), model).unwrap();
    let (code, out, err) = said(dir.path(), "fga import own.fga --store Own");
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 2), "{out}");
    assert!(
        out.starts_with("made the store Own: 01") && out.contains("wrote the model: 01"),
        "{out}"
    );
    let (code, out, _) = said(dir.path(), "fga import own.fga --store Own");
    assert_eq!((code, out.as_str()), (0, "own.fga is the latest model already\n"));
    std::fs::write(
        dir.path().join("core.fga"),
        model.replace("model\n  schema 1.1", "module core"),
    )
    .unwrap();
    std::fs::write(dir.path().join("fga.mod"), "schema: '1.2'\ncontents:\n  - core.fga\n").unwrap();
    let (code, out, err) = said(dir.path(), "fga import fga.mod --store Modules --dry-run");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "would make the store Modules, and write its model\n");
    let (code, out, _) = said(dir.path(), "fga import fga.mod --store Modules");
    assert_eq!((code, out.contains("wrote the model: 01")), (0, true), "{out}");
    for (line, code, why) in [
        ("fga import own.fga", 1, "a model needs a store: give --store with its id or name"),
        ("fga import own.fga --store 01HVMMBCMGZNT3SED4Z17ECXCZ", 1, "give a name to make one"),
        ("fga test own.fga", 2, "own.fga: a model has no tests: they stand in a store file"),
    ] {
        let (got, _, err) = said(dir.path(), line);
        assert_eq!((got, err.contains(why)), (code, true), "{line}: {err}");
    }
}

/// As the document has it: `behalf serve &`, and the next command at once.
#[test]
fn a_command_waits_for_a_server_that_is_starting() {
    let dir = folder(SETUP);
    let mut server = behalf(dir.path(), &["serve", "--http", "127.0.0.1:0", "--data", "data"]);
    let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lock = OpenOptions::new().write(true).open(dir.path().join("data/lock")).unwrap();
    wait_until("the server holds the folder", || {
        let is_held = lock.try_lock().is_err();
        if !is_held {
            lock.unlock().unwrap();
        }
        is_held
    });
    let (code, out, err) =
        said(dir.path(), "fga list-objects user:ann owner doc --store documents --data data");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    server.kill().unwrap();
    server.wait().unwrap();
}

fn interrupt(process: &std::process::Child) {
    let status = Command::new("kill").arg("-INT").arg(process.id().to_string()).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_copy_that_is_stopped_half_way_is_no_success() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    write(upstream.port, &[tuple("user:ann", "reader", "page:1")]);
    // The target is held still, so that the copy cannot end by itself.
    let target = Server::start(here.path());
    let hold = |signal: &str| {
        let pid = target.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    };
    hold("-STOP");
    let from = format!("http://127.0.0.1:{}", upstream.port);
    let arguments =
        ["fga", "import", "--from", &from, "--from-token-file", "token", "--data", "data"];
    let copy =
        behalf(here.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let copy = copy.unwrap();
    wait_until("the copy listens for signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", copy.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & 0b10 != 0
    });
    interrupt(&copy);
    let output = copy.wait_with_output().unwrap();
    hold("-CONT");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("stopped before the copy was whole"), "{err}");
    target.kill();
    upstream.kill();
}

#[test]
fn a_copy_can_be_tried_first_and_then_says_and_writes_nothing_else() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    write(
        upstream.port,
        &[tuple("user:ann", "reader", "page:1"), tuple("user:b", "reader", "page:1")],
    );
    let from = format!(
        "fga import --from http://127.0.0.1:{} --from-token-file token --from-store {STORE} --data data",
        upstream.port
    );
    let tried = format!("{from} --dry-run");
    let (code, out, err) = said(here.path(), &tried);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "would copy 1 store, 1 model, 0 assertions; read 2 tuples and 0 changes; would write 2\n"
    );
    let (_, _, err) = said(here.path(), "fga export --store wiki --data data");
    assert!(err.contains("there is no store `wiki`"), "{err}");
    let files: Vec<_> = std::fs::read_dir(here.path().join("data")).unwrap().collect();
    let is_state = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("fga-copy-of");
    assert!(!files.iter().any(|file| is_state(&file.as_ref().unwrap().file_name())), "{files:?}");

    let (code, out, err) = said(here.path(), &from);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("copied 1 store, 1 model, 0 assertions; read 2 tuples"), "{out}");
    // Where a copy was made, only what has changed since is looked at.
    let deletes = json!({"deletes": {"tuple_keys": [tuple("user:b", "reader", "page:1")]}});
    post(upstream.port, &format!("/stores/{STORE}/write"), &deletes);
    for _twice in 0..2 {
        let (code, out, err) = said(here.path(), &tried);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.ends_with("read 0 tuples and 1 change; would write 1\n"), "{out}");
    }
    let (_, out, _) = said(here.path(), &from);
    assert!(out.ends_with("read 0 tuples and 1 change; wrote 1\n"), "{out}");
    upstream.kill();
}

/// Steps 4 and 5 of `move-from-openfga.md`: the way back goes on where the shadow was.
#[test]
fn the_way_back_goes_on_where_the_shadow_that_was_turned_round_stopped() {
    let (here, there) = (folder(UPSTREAM), folder(UPSTREAM));
    let (ours, old) = (Server::start(here.path()), Server::start(there.path()));
    let (us, them) =
        (format!("http://127.0.0.1:{}", ours.port), format!("http://127.0.0.1:{}", old.port));
    let more = [
        &["--answer-from", "behalf", "--url", &us, "--token-file", "token"][..],
        &["--upstream-token-file", "token", "--from-store", STORE],
    ];
    let shadow = Shadow::start(&here, old.port, &more.concat());
    write(shadow.port, &[tuple("user:bob", "reader", "page:1")]);
    let changes = format!("/stores/{STORE}/changes");
    let all = |port: u16| get(port, &changes)["changes"].as_array().unwrap().len();
    wait_until("the old server has the write", || all(old.port) == 1);
    shadow.stop();
    write(ours.port, &[tuple("user:late", "reader", "page:1")]);
    let back = format!(
        "fga import --from {us} --from-token-file token --from-store {STORE} \
         --since 2026-11-29T09:00:00Z --url {them} --token-file token"
    );
    let (code, out, err) = said(here.path(), &back);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("read 0 tuples and 1 change; wrote 1\n"), "{out}");
    assert_eq!(all(old.port), 2);
    ours.kill();
    old.kill();
}

#[test]
fn a_shadow_that_could_compare_nothing_does_not_say_that_nothing_differed() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    std::fs::write(here.path().join("bad"), "not-a-key-at-all\n").unwrap();
    let more = ["--upstream-token-file", "bad", "--data", "data"];
    let shadow = Shadow::start(&here, upstream.port, &more);
    wait_until("the copy broke off", || shadow.report()["copy_failures"].as_u64() > Some(0));
    let (code, out) = shadow.stop();
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("compared 0 answers"), "{out}");
    upstream.kill();
}
