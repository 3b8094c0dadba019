//! `behalf fga shadow --answer-from behalf`: after the switch Behalf answers, and the old server gets
//! what is written and is compared. A second server of our own plays the old one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fga_move::{STORE, Shadow, UPSTREAM, behalf, folder, get, post, wait_until, write};
use crate::fga_surface::tuple;
use crate::kill::{Server, exchange};

/// Behalf, the old server, and the shadow in front of Behalf.
struct World {
    here: TempDir,
    _there: TempDir,
    ours: Server,
    old: Server,
    shadow: Shadow,
}

impl World {
    fn new() -> Self {
        let (here, there) = (folder(UPSTREAM), folder(UPSTREAM));
        let (ours, old) = (Server::start(here.path()), Server::start(there.path()));
        for port in [ours.port, old.port] {
            write(port, &[tuple("user:ann", "reader", "page:1")]);
        }
        let url = format!("http://127.0.0.1:{}", ours.port);
        let arguments = [
            &["--answer-from", "behalf", "--url", &url, "--token-file", "token"][..],
            &["--upstream-token-file", "token", "--from-store", STORE],
            &["--report", "report.ndjson"],
        ];
        let shadow = Shadow::start(&here, old.port, &arguments.concat());
        Self { here, _there: there, ours, old, shadow }
    }

    /// Asks until that many more questions were compared.
    fn compare(&self, wanted: u64, ask: impl Fn()) {
        let compared = || self.shadow.report()["compared"].as_u64().unwrap();
        let before = compared();
        wait_until("the questions are compared", || {
            ask();
            compared() >= before + wanted
        });
    }
}

fn may_read(port: u16, user: &str) -> bool {
    let body = json!({"tuple_key": tuple(user, "can_read", "page:1")});
    post(port, &format!("/stores/{STORE}/check"), &body)["allowed"].as_bool().unwrap()
}

#[test]
fn after_the_switch_ours_answers_and_the_old_server_gets_what_is_written() {
    let world = World::new();
    let port = world.shadow.port;
    write(port, &[tuple("user:bob", "writer", "page:1")]);
    assert!(may_read(port, "user:bob") && may_read(world.ours.port, "user:bob"));
    wait_until("the old server has the write", || may_read(world.old.port, "user:bob"));
    let deletes = json!({"deletes": {"tuple_keys": [tuple("user:ann", "reader", "page:1")]}});
    post(port, &format!("/stores/{STORE}/write"), &deletes);
    wait_until("the old server has the deletion", || !may_read(world.old.port, "user:ann"));

    let list = json!({"type": "page", "relation": "can_read", "user": "user:bob"});
    let users = json!({"object": {"type": "page", "id": "1"}, "relation": "can_read",
        "user_filters": [{"type": "user"}]});
    let check = json!({"tuple_key": tuple("user:bob", "can_read", "page:1")});
    world.compare(6, || {
        for (name, body) in [
            ("check", &check),
            ("list-objects", &list),
            ("streamed-list-objects", &list),
            ("list-users", &users),
            ("read", &json!({})),
            ("check", &json!({"tuple_key": tuple("user:bob", "nothing", "page:1")})),
        ] {
            let path = format!("/stores/{STORE}/{name}");
            exchange(port, &path, &body.to_string()).unwrap();
        }
    });
    let report = world.shadow.report();
    assert_eq!(report["different"], 0, "{report}");
    assert_eq!(report["by_operation"]["streamed-list-objects"]["different"], 0, "{report}");
    assert!(report["by_operation"]["streamed-list-objects"]["same"].as_u64() > Some(0), "{report}");
    let (code, out) = world.shadow.stop();
    assert_eq!(code, 0, "{out}");
    world.ours.kill();
    world.old.kill();
}

#[test]
fn clients_show_ours_who_they_are_and_a_drifting_or_dead_old_server_holds_nobody_up() {
    let world = World::new();
    let port = world.shadow.port;
    // A key that Behalf does not know opens nothing, whatever key the comparisons have.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "GET /stores/{STORE} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer another-key\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    write(world.old.port, &[tuple("user:eve", "reader", "page:1")]);
    wait_until("the difference is found", || {
        assert!(!may_read(port, "user:eve"), "ours answers");
        world.shadow.report()["different"].as_u64() > Some(0)
    });
    let lines = std::fs::read_to_string(world.here.path().join("report.ndjson")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(line["difference"], json!({"upstream": true, "behalf": false}));
    assert_eq!(line["behalf"]["answer"]["allowed"], false);
    assert!(line["behalf"]["revision"].is_u64(), "{line}");
    assert_eq!(line["reasons"][0]["explain"]["allowed"], false);

    world.old.kill();
    write(port, &[tuple("user:bob", "reader", "page:1")]);
    assert!(may_read(port, "user:bob"));
    wait_until("the failures are told", || {
        assert!(may_read(port, "user:ann"));
        let report = world.shadow.report();
        let count = |name: &str| report[name].as_u64().unwrap();
        count("copy_failures") > 0 && count("upstream_failures") > 0
    });
    assert_eq!(world.shadow.report()["behalf_failures"], 0);
    assert!(get(port, &format!("/stores/{STORE}"))["id"] == STORE);
    let (code, out) = world.shadow.stop();
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the copy broke off"), "{out}");
    world.ours.kill();
}

#[test]
fn each_direction_says_what_it_needs() {
    let dir = folder(UPSTREAM);
    let upstream = ["fga", "shadow", "--upstream", "http://127.0.0.1:1", "--http", "127.0.0.1:0"];
    let url = ["--url", "http://127.0.0.1:1", "--token-file", "token"];
    for (arguments, said) in [
        (&["--answer-from", "behalf", "--data", "data"][..], "give its address with --url"),
        (&[&["--answer-from", "behalf"][..], &url].concat(), "--from-store"),
        (
            &["--data", "data", "--since", "2026-01-01T00:00:00Z"],
            "--since is for --answer-from behalf",
        ),
    ] {
        let output = behalf(dir.path(), &[&upstream[..], arguments].concat()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}
