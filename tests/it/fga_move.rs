//! Moving over from another server: a copy of everything it holds, that follows it and can be broken
//! off; and the proxy in front of it that compares its answers with ours. A second server of our own
//! plays the other one, since it speaks its dialect; others are scripted, and lie.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fga_surface::tuple;
use crate::kill::{SETUP, Server, exchange};

pub(crate) const STORE: &str = "01HVMMBCMGZNT3SED4Z17ECXCA";

/// A store that is ours to move, and a key that may do everything.
pub(crate) const UPSTREAM: &str = r#"
fga:
  api_keys: [{name: up, key: "kill-test-key", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}]
  stores:
    - id: 01HVMMBCMGZNT3SED4Z17ECXCA
      name: wiki
      model: |
        model
          schema 1.1
        type user
        type group
          relations
            define member: [user]
        type page
          relations
            define reader: [user, user:*, group#member, user with in_hours]
            define writer: [user]
            define can_read: reader or writer
        condition in_hours(hour: int) {
          hour < 18
        }
"#;

pub(crate) fn folder(setup: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), setup).unwrap();
    std::fs::write(dir.path().join("token"), "kill-test-key\n").unwrap();
    let output = behalf(dir.path(), &["apply", "setup.yaml", "--data", "data"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    dir
}

pub(crate) fn behalf(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"));
    command.args(arguments).current_dir(dir);
    command
}

/// Standard output and standard error of a command that must succeed.
#[track_caller]
fn run(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = behalf(dir, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    (out, err)
}

#[track_caller]
pub(crate) fn post(port: u16, path: &str, body: &Value) -> Value {
    let (head, text) = exchange(port, path, &body.to_string()).unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{path}: {head}{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[track_caller]
pub(crate) fn get(port: u16, path: &str) -> Value {
    let (head, text) = exchange(port, path, "").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{path}: {head}{text}");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn write(port: u16, tuples: &[Value]) {
    for chunk in tuples.chunks(100) {
        post(port, &format!("/stores/{STORE}/write"), &json!({"writes": {"tuple_keys": chunk}}));
    }
}

fn readers(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|n| tuple(&format!("user:u{n}"), "reader", &format!("page:{}", n % 50))).collect()
}

/// Fills a server with many tuples at once.
fn fill(dir: &TempDir, count: usize) {
    let lines: String = readers(0..count).iter().map(|tuple| format!("{tuple}\n")).collect();
    std::fs::write(dir.path().join("many.ndjson"), lines).unwrap();
    run(dir.path(), &["fga", "import", "many.ndjson", "--store", "wiki", "--data", "data"]);
}

/// Every tuple of the store.
fn tuples(dir: &TempDir) -> BTreeSet<String> {
    let (out, _) = run(dir.path(), &["fga", "export", "--store", STORE, "--data", "data"]);
    out.lines().map(ToOwned::to_owned).collect()
}

fn import(dir: &TempDir, port: u16, more: &[&str]) -> Command {
    let from = format!("http://127.0.0.1:{port}");
    let arguments =
        ["fga", "import", "--from", &from, "--from-token-file", "token", "--data", "data"];
    behalf(dir.path(), &[arguments.as_slice(), more].concat())
}

#[track_caller]
fn copy(dir: &TempDir, port: u16, more: &[&str]) -> String {
    let output = import(dir, port, more).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    out
}

#[test]
fn a_copy_has_the_same_ids_models_assertions_and_tuples_and_goes_on_where_it_was() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    fill(&there, 1_234);
    let first = get(upstream.port, &format!("/stores/{STORE}/authorization-models"));
    let mut second = first["authorization_models"][0].clone();
    second["type_definitions"].as_array_mut().unwrap().push(json!({"type": "robot"}));
    let second = post(upstream.port, &format!("/stores/{STORE}/authorization-models"), &second);
    let second = second["authorization_model_id"].as_str().unwrap();
    let conditional = json!({"user": "user:c", "relation": "reader", "object": "page:9",
        "condition": {"name": "in_hours", "context": {"hour": 9}}});
    write(upstream.port, &[conditional, tuple("group:g#member", "reader", "page:9")]);
    let assertions = json!({"assertions": [
        {"tuple_key": tuple("user:u1", "can_read", "page:1"), "expectation": true}]});
    let path = format!("/stores/{STORE}/assertions/{second}");
    put(upstream.port, &path, &assertions);

    let out = copy(&here, upstream.port, &[]);
    // Its own two stores, and ours; there are two models of ours.
    assert!(out.starts_with("copied 3 stores, 4 models, 1 assertion; "), "{out}");
    assert_eq!(tuples(&here), tuples(&there));
    let again = copy(&here, upstream.port, &[]);
    assert!(again.contains("; wrote 0\n"), "{again}");

    // What changes there comes over; a condition that changes too.
    let key = tuple("user:c", "reader", "page:9");
    let deletes = json!({"deletes": {"tuple_keys": [key, tuple("user:u1", "reader", "page:1")]}});
    post(upstream.port, &format!("/stores/{STORE}/write"), &deletes);
    write(upstream.port, &[key, tuple("user:new", "writer", "page:1")]);
    let out = copy(&here, upstream.port, &[]);
    assert!(out.contains(" 0 tuples and 4 changes; wrote "), "{out}");
    assert_eq!(tuples(&here), tuples(&there));

    let ours = Server::start(here.path());
    let path = format!("/stores/{STORE}/authorization-models");
    assert_eq!(get(ours.port, &path), get(upstream.port, &path));
    let path = format!("/stores/{STORE}/assertions/{second}");
    assert_eq!(get(ours.port, &path), get(upstream.port, &path));
    let names = get(ours.port, "/stores");
    let names: Vec<&str> =
        names["stores"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    for name in ["wiki", "documents", "documents-imported", "behalf-imported"] {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}: {names:?}");
    }
    // The log says who brought it.
    let changes = exchange(ours.port, &format!("/stores/{STORE}/changes?page_size=1"), "").unwrap();
    assert!(changes.1.contains("TUPLE_OPERATION_WRITE"), "{changes:?}");
    ours.kill();
    upstream.kill();
}

#[test]
fn a_copy_that_is_killed_goes_on_and_writes_nothing_twice() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    fill(&there, 6_000);
    let state = here.path().join("copy.json");
    let arguments = ["--from-store", STORE, "--state", "copy.json"];
    let mut killed = import(&here, upstream.port, &arguments).spawn().unwrap();
    wait_until("the copy has begun", || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        let begun = &state["stores"][STORE];
        assert_ne!(begun["tuples_done"], true, "it was too fast to be broken off");
        begun["read_token"].as_str().is_some_and(|token| !token.is_empty())
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    let out = copy(&here, upstream.port, &arguments);
    let read: u64 = out
        .split("; read ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .replace(',', "")
        .parse()
        .unwrap();
    assert!(read < 6_000, "it went on where it was: {out}");
    assert_eq!(tuples(&here), tuples(&there));
    let ours = Server::start(here.path());
    let (mut count, mut token) = (0, String::new());
    loop {
        let path = format!("/stores/{STORE}/changes?page_size=100&continuation_token={token}");
        let page = get(ours.port, &path);
        let changes = page["changes"].as_array().unwrap().len();
        count += changes;
        page["continuation_token"].as_str().unwrap().clone_into(&mut token);
        if changes == 0 {
            break;
        }
    }
    assert_eq!(count, 6_000, "each tuple was written once");
    ours.kill();
    // A state file is about one copy only.
    let other = import(&here, 1, &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("is about a copy of"), "{said}");
    upstream.kill();
}

#[test]
fn what_is_written_during_the_copy_is_not_missed() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    fill(&there, 3_000);
    let (port, over) = (upstream.port, Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            // Tuples come, go, and come back with a condition, so that every order matters.
            let mut round = 0;
            while !over.load(Ordering::Relaxed) {
                let n = round % 40;
                let key = tuple(&format!("user:w{n}"), "reader", "page:0");
                let mut other = key.clone();
                if round % 3 == 0 {
                    other["condition"] = json!({"name": "in_hours", "context": {}});
                }
                let path = format!("/stores/{STORE}/write");
                let delete = json!({"deletes": {"tuple_keys": [key], "on_missing": "ignore"}});
                post(port, &path, &delete);
                if round % 4 != 1 {
                    post(port, &path, &json!({"writes": {"tuple_keys": [other]}}));
                }
                round += 1;
            }
        }
    });
    let mut following = import(&here, port, &["--from-store", STORE, "--follow"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(following.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("caught up; following")));
    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let last = tuple("user:last", "writer", "page:0");
    write(port, &[last]);
    let state = std::fs::read_dir(here.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            // Beside it, for a moment, may lie the part that takes its place.
            let name = path.to_string_lossy();
            name.contains("fga-copy-of-127.0.0.1_") && name.ends_with(".json")
        })
        .unwrap();
    let page =
        get(port, &format!("/stores/{STORE}/changes?page_size=1&start_time=2020-01-01T00:00:00Z"));
    assert!(page["continuation_token"].is_string());
    wait_until("the copy has the last change", || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        let token = state["stores"][STORE]["changes_token"].as_str().unwrap_or_default();
        let path = format!("/stores/{STORE}/changes?continuation_token={token}");
        !token.is_empty() && get(port, &path)["changes"].as_array().unwrap().is_empty()
    });
    terminate(&following);
    assert!(following.wait().unwrap().success());
    assert_eq!(tuples(&here), tuples(&there));
    upstream.kill();
}

#[test]
fn a_source_that_refuses_or_is_gone_is_an_error_with_its_reason() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    std::fs::write(here.path().join("token"), "not-a-key-at-all\n").unwrap();
    let output = import(&here, upstream.port, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the server answered 401") && !said.contains("not-a-key"), "{said}");
    upstream.kill();
    for (from, expected) in [
        ("http://user:pw@127.0.0.1:1", "is not an http or https address without user"),
        ("ftp://127.0.0.1", "is not an http or https address without user"),
    ] {
        let output =
            behalf(here.path(), &["fga", "import", "--from", from, "--data", "data"]).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
}

#[test]
fn the_way_back_brings_what_changed_to_a_server_that_has_only_the_plain_routes() {
    let (ours, theirs) = (folder(UPSTREAM), folder(UPSTREAM));
    let (source, target) = (Server::start(ours.path()), Server::start(theirs.path()));
    let (changed, gone) =
        (tuple("user:c", "reader", "page:1"), tuple("user:g", "reader", "page:1"));
    for port in [source.port, target.port] {
        write(port, &[changed.clone(), gone.clone(), tuple("user:same", "reader", "page:1")]);
    }
    let now = get(source.port, &format!("/stores/{STORE}/changes"));
    let since = now["changes"][2]["timestamp"].as_str().unwrap().to_owned();
    let path = format!("/stores/{STORE}/write");
    post(source.port, &path, &json!({"deletes": {"tuple_keys": [changed, gone]}}));
    let conditional = json!({"user": "user:c", "relation": "reader", "object": "page:1",
        "condition": {"name": "in_hours", "context": {"hour": 9}}});
    let timed = json!({"user": "user:t", "relation": "reader", "object": "page:1",
        "expires_at": "2099-01-01T00:00:00Z"});
    write(source.port, &[conditional, timed, tuple("user:new", "writer", "page:1")]);
    write(source.port, &readers(0..250));
    // The target has a condition of its own, which the first attempt meets.
    let real = target.port;
    let plain = Scripted::start(move |request| {
        let (status, text) = if request.path.contains("/behalf/") {
            ("404".to_owned(), r#"{"code":"undefined_endpoint","message":"Not Found"}"#.to_owned())
        } else {
            let (head, text) = exchange(real, &request.path, &request.body).unwrap();
            (head.split(' ').nth(1).unwrap().to_owned(), text)
        };
        Script { status, headers: Vec::new(), parts: vec![text] }
    });
    let from = format!("http://127.0.0.1:{}", source.port);
    let to = format!("http://127.0.0.1:{}", plain.port);
    let arguments = [
        "fga",
        "import",
        "--from",
        &from,
        "--from-token-file",
        "token",
        "--since",
        &since,
        "--url",
        &to,
        "--token-file",
        "token",
        "--from-store",
        STORE,
        "--state",
        "back.json",
    ];
    let output = behalf(theirs.path(), &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "what was left out is told: {said}");
    assert!(said.contains("user:t") && said.contains("holds only for a time"), "{said}");
    let models = said.matches("the target lacks model").count();
    assert_eq!(models, 1, "its model has another id there: {said}");
    let left_out = |line: &String| !line.contains("user:t\"");
    let expected: BTreeSet<String> = tuples(&ours).into_iter().filter(left_out).collect();
    assert_eq!(tuples(&theirs), expected);
    source.kill();
    target.kill();
}

/// The proxy under test.
pub(crate) struct Shadow {
    process: Child,
    pub(crate) port: u16,
    out: BufReader<std::process::ChildStdout>,
}

impl Shadow {
    pub(crate) fn start(dir: &TempDir, upstream: u16, more: &[&str]) -> Self {
        let upstream = format!("http://127.0.0.1:{upstream}");
        let arguments = ["fga", "shadow", "--upstream", &upstream, "--http", "127.0.0.1:0"];
        let mut process = behalf(dir.path(), &[arguments.as_slice(), more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(dir.path().join("shadow.log")).unwrap()))
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let port = line.split(", on 127.0.0.1:").nth(1).and_then(|rest| rest.split(';').next());
        let port = port.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Self { process, port, out }
    }

    /// With the copy of the store in a folder.
    fn of_folder(dir: &TempDir, upstream: u16) -> Self {
        let token =
            ["--upstream-token-file", "token", "--data", "data", "--report", "report.ndjson"];
        let this =
            Self::start(dir, upstream, &[token.as_slice(), &["--from-store", STORE]].concat());
        // A question is compared once the store is copied.
        wait_until("the store is copied", || {
            this.check("user:nobody", "page:1");
            this.report()["compared"].as_u64().unwrap() > 0
        });
        this
    }

    fn check(&self, user: &str, object: &str) -> (String, String) {
        let body = json!({"tuple_key": tuple(user, "can_read", object)});
        exchange(self.port, &format!("/stores/{STORE}/check"), &body.to_string()).unwrap()
    }

    pub(crate) fn report(&self) -> Value {
        get(self.port, "/shadow/report")
    }

    /// What it says when it ends, and its exit code.
    pub(crate) fn stop(mut self) -> (i32, String) {
        terminate(&self.process);
        let code = self.process.wait().unwrap().code().unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

#[test]
fn the_proxy_answers_as_the_upstream_and_finds_no_difference_between_equals() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    fill(&there, 500);
    let shadow = Shadow::of_folder(&here, upstream.port);
    let questions = [
        ("check", json!({"tuple_key": tuple("user:u1", "can_read", "page:1")})),
        ("check", json!({"tuple_key": tuple("user:u1", "no_such", "page:1")})),
        (
            "check",
            json!({"tuple_key": tuple("user:x", "reader", "page:1"),
            "contextual_tuples": {"tuple_keys": [tuple("user:x", "reader", "page:1")]}}),
        ),
        (
            "batch-check",
            json!({"checks": [
            {"correlation_id": "a", "tuple_key": tuple("user:u1", "can_read", "page:1")},
            {"correlation_id": "b", "tuple_key": tuple("user:u1", "no_such", "page:1")}]}),
        ),
        ("list-objects", json!({"user": "user:u1", "relation": "can_read", "type": "page"})),
        (
            "streamed-list-objects",
            json!({"user": "user:u1", "relation": "can_read", "type": "page"}),
        ),
        (
            "list-users",
            json!({"object": {"type": "page", "id": "1"}, "relation": "can_read",
            "user_filters": [{"type": "user"}]}),
        ),
        ("expand", json!({"tuple_key": {"relation": "can_read", "object": "page:1"}})),
        ("read", json!({"tuple_key": {"object": "page:1"}, "page_size": 100})),
        ("read", json!({"page_size": 5})),
    ];
    let before = shadow.report()["compared"].as_u64().unwrap();
    for (name, body) in &questions {
        let path = format!("/stores/{STORE}/{name}");
        let direct = exchange(upstream.port, &path, &body.to_string()).unwrap();
        let proxied = exchange(shadow.port, &path, &body.to_string()).unwrap();
        assert_eq!(without_own(&proxied.0), without_own(&direct.0), "{name}");
        assert_eq!(body_of(&proxied), body_of(&direct), "{name}");
    }
    for path in
        ["/stores", "/healthz", &format!("/stores/{STORE}/authorization-models"), "/nothing"]
    {
        let direct = exchange(upstream.port, path, "").unwrap();
        let proxied = exchange(shadow.port, path, "").unwrap();
        assert_eq!(
            (without_own(&proxied.0), proxied.1),
            (without_own(&direct.0), direct.1),
            "{path}"
        );
    }
    // A write through the proxy is in force there at once, and here soon after.
    let key = tuple("user:fresh", "writer", "page:1");
    write(shadow.port, std::slice::from_ref(&key));
    assert_eq!(
        post(upstream.port, &format!("/stores/{STORE}/check"), &json!({"tuple_key": key}))["allowed"],
        true
    );
    assert!(shadow.check("user:fresh", "page:1").1.contains("true"));
    wait_until("everything is compared", || {
        // All but the page of several.
        shadow.report()["compared"].as_u64().unwrap() >= before + 10
    });
    let report = shadow.report();
    assert_eq!((&report["different"], &report["shed"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(report["incomparable"], 1, "{report}");
    for name in ["check", "batch-check", "streamed-list-objects", "list-users", "expand", "read"] {
        let of = &report["by_operation"][name];
        assert!(
            of["upstream"]["p99_ms"].is_number() && of["behalf"]["p50_ms"].is_number(),
            "{report}"
        );
    }
    let (code, out) = shadow.stop();
    assert_eq!(code, 0, "{out}");
    assert!(out.contains(" 0 different, ") && out.contains("behalf p50 "), "{out}");
    assert_eq!(tuples(&here), tuples(&there));
    assert_eq!(std::fs::read_to_string(here.path().join("report.ndjson")).unwrap(), "");
    upstream.kill();
}

#[test]
fn a_lying_upstream_is_handed_on_as_it_is_and_found_out() {
    let (there, here) = (folder(UPSTREAM), folder(SETUP));
    let upstream = Server::start(there.path());
    write(
        upstream.port,
        &[tuple("user:ann", "reader", "page:1"), tuple("user:ann", "reader", "page:2")],
    );
    let real = upstream.port;
    let liar = Scripted::start(move |request| {
        let (head, mut text) = exchange(real, &request.path, &request.body).unwrap();
        if request.path.ends_with("/check") && request.body.contains("user:ann") {
            text = text.replace("true", "false");
        }
        if request.path.ends_with("/list-objects") {
            text = text.replace("\"page:2\"", "\"page:3\"");
        }
        let status = head.split(' ').nth(1).unwrap().to_owned();
        let date = "Date: Sun, 01 Nov 2020 00:00:00 GMT".to_owned();
        Script { status, headers: vec![date], parts: vec![text] }
    });
    let shadow = Shadow::of_folder(&here, liar.port);
    for _twice in 0..2 {
        assert!(
            shadow.check("user:ann", "page:1").1.contains("\"allowed\":false"),
            "what the upstream says"
        );
    }
    let list = json!({"user": "user:ann", "relation": "can_read", "type": "page"});
    let listed = post(shadow.port, &format!("/stores/{STORE}/list-objects"), &list);
    assert!(listed.to_string().contains("page:3"), "{listed}");
    wait_until("the differences are counted", || {
        shadow.report()["different"].as_u64().unwrap() >= 3
    });
    let summary = shadow.report();
    assert!(!summary.to_string().contains("ann"), "the summary names nobody: {summary}");
    assert_eq!(summary["unreported"], 1, "the same question is told once: {summary}");
    let (code, out) = shadow.stop();
    assert_eq!((code, out.contains(" 3 different, ")), (1, true), "{out}");

    let report = std::fs::read_to_string(here.path().join("report.ndjson")).unwrap();
    let lines: Vec<Value> =
        report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_name: BTreeMap<&str, &Value> =
        lines.iter().map(|line| (line["operation"].as_str().unwrap(), line)).collect();
    assert_eq!((lines.len(), by_name.len()), (2, 2), "{report}");
    let check = by_name["check"];
    assert_eq!(check["difference"], json!({"upstream": false, "behalf": true}));
    assert_eq!(check["question"]["tuple_key"]["user"], "user:ann");
    assert_eq!(check["upstream"]["answer"]["allowed"], false);
    assert_eq!(check["reasons"][0]["explain"]["path"][0]["relation"], "reader");
    assert!(check["behalf"]["revision"].is_u64() && check["upstream"]["took_ms"].is_number());
    let list = by_name["list-objects"];
    assert_eq!(list["difference"]["only_upstream"], json!(["page:3"]));
    assert_eq!(list["difference"]["only_behalf"], json!(["page:2"]));
    assert_eq!(list["reasons"].as_array().unwrap().len(), 2);
    let log = std::fs::read_to_string(here.path().join("shadow.log")).unwrap();
    assert!(log.contains("differs: \"check\""), "{log}");
    for text in [&report, &log, &out] {
        assert!(!text.contains("kill-test-key"), "a token is told: {text}");
    }
    upstream.kill();
}

#[test]
fn the_proxy_hands_on_what_is_meant_for_the_upstream_and_nothing_else() {
    let here = folder(SETUP);
    let seen: Arc<Mutex<Vec<Scripting>>> = Arc::default();
    let upstream = Scripted::start({
        let seen = Arc::clone(&seen);
        move |request| {
            let body = format!("{{\"path\":{:?}}}", request.path);
            seen.lock().unwrap().push(request);
            let headers = [
                "x-own: 1",
                "connection: x-hop",
                "x-hop: 2",
                "keep-alive: timeout=5",
                "set-cookie: a=1",
                "set-cookie: b=2",
            ];
            Script {
                status: "418".to_owned(),
                headers: headers.map(str::to_owned).to_vec(),
                parts: vec![body],
            }
        }
    });
    let shadow = Shadow::start(&here, upstream.port, &["--data", "data"]);
    let send = |text: String| {
        seen.lock().unwrap().retain(|request| !request.path.starts_with("/asked"));
        let mut stream = TcpStream::connect(("127.0.0.1", shadow.port)).unwrap();
        // A refused body may be cut off.
        drop(stream.write_all(text.as_bytes()));
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        let asked = seen.lock().unwrap().iter().find(|r| r.path.starts_with("/asked")).cloned();
        (answer, asked)
    };
    let (answer, asked) = send(
        "GET /asked/%2Fa%20b?x=%20&y HTTP/1.1\r\nHost: elsewhere.example\r\nAuthorization: Bearer of-a-client\r\n\
         Connection: close, x-secret-hop\r\nX-Secret-Hop: 1\r\nProxy-Authorization: Basic eA==\r\nTE: trailers\r\n\
         Upgrade: websocket\r\nX-Kept: 1\r\nX-Kept: 2\r\n\r\n"
            .to_owned(),
    );
    let asked = asked.unwrap();
    assert_eq!(asked.path, "/asked/%2Fa%20b?x=%20&y", "as it came");
    let of = |name: &str| {
        asked
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, v)| v.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("authorization"), ["Bearer of-a-client"]);
    assert_eq!(of("x-kept"), ["1", "2"]);
    assert_eq!(of("host"), [format!("127.0.0.1:{}", upstream.port)]);
    for gone in ["x-secret-hop", "proxy-authorization", "te", "upgrade", "connection"] {
        assert_eq!(of(gone), [] as [&str; 0], "{gone}");
    }
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 418 "), "{answer}");
    assert!(
        answer.contains("x-own: 1\r\n")
            && answer.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("x-hop") && !answer.contains("keep-alive"), "{answer}");

    // Whatever a request names, the upstream is asked, or nobody.
    let close = "Host: h\r\nConnection: close\r\n\r\n";
    let (answer, asked) = send(format!("GET http://127.0.0.1:1/asked HTTP/1.1\r\n{close}"));
    assert!(answer.starts_with("HTTP/1.1 418 ") && asked.is_some(), "{answer}");
    let (answer, asked) = send(format!("GET //asked.example/ HTTP/1.1\r\n{close}"));
    assert!(answer.starts_with("HTTP/1.1 418 ") && asked.is_none(), "{answer}");
    for path in ["/asked/../x", "/asked/%2e%2E/x", "/asked/.", "/asked\\..\\x"] {
        let (answer, asked) = send(format!("GET {path} HTTP/1.1\r\n{close}"));
        assert!(answer.starts_with("HTTP/1.1 400 ") && asked.is_none(), "{path}: {answer}");
    }
    let (answer, asked) = send(format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\n{close}"));
    assert!(answer.starts_with("HTTP/1.1 4") && asked.is_none(), "{answer}");
    for smuggled in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /asked/smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ] {
        let head = "POST /asked/whole HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
        let (answer, asked) = send(format!("{head}{smuggled}"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{smuggled}: {answer}");
        // If the first request is understood, it is understood as it is handed on.
        if let Some(asked) = asked {
            assert_eq!(
                (asked.path.as_str(), asked.body.as_str()),
                ("/asked/whole", ""),
                "{smuggled}"
            );
        }
    }
    let large = "x".repeat(1024 * 1024 + 1);
    let length = large.len();
    let (answer, asked) =
        send(format!("POST /asked HTTP/1.1\r\nContent-Length: {length}\r\n{close}{large}"));
    assert!(answer.starts_with("HTTP/1.1 413 ") && asked.is_none(), "{answer}");
    let grpc = "POST /asked HTTP/1.1\r\nContent-Type: application/grpc\r\n";
    assert!(send(format!("{grpc}{close}")).0.starts_with("HTTP/1.1 415 "));

    // The report is for the operator on this machine.
    let report = |host: &str, more: &str| {
        send(format!(
            "GET /shadow/report HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"
        ))
        .0
    };
    let port = shadow.port;
    assert!(report(&format!("127.0.0.1:{port}"), "").starts_with("HTTP/1.1 200 "));
    assert!(
        report(&format!("localhost:{port}"), "X-Forwarded-For: 10.0.0.1\r\n")
            .starts_with("HTTP/1.1 418 ")
    );
    assert!(report("rebound.example", "").starts_with("HTTP/1.1 418 "));

    drop(upstream);
    wait_until("the upstream is gone", || {
        exchange(shadow.port, "/asked", "").unwrap().0.starts_with("HTTP/1.1 502 ")
    });
    shadow.stop();
    // Others' tokens in the clear are not passed on by mistake.
    let output = behalf(
        here.path(),
        &["fga", "shadow", "--upstream", "http://127.0.0.1:1", "--http", "0.0.0.0:0"],
    )
    .output()
    .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--trust-proxy"), "{output:?}");
}

#[test]
fn an_answer_is_handed_on_as_it_comes_whatever_becomes_of_ours() {
    let here = folder(SETUP);
    let (first_read, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = Scripting::read(&mut stream) else { continue };
            if !request.path.ends_with("/streamed-list-objects") {
                let answer = "HTTP/1.1 503 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer.as_bytes()).unwrap();
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
            let line = "{\"result\":{\"object\":\"page:1\"}}\n";
            let chunk = format!("{:x}\r\n{line}\r\n", line.len());
            stream.write_all(format!("{head}{chunk}").as_bytes()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
            stream.write_all(format!("{chunk}0\r\n\r\n").as_bytes()).unwrap();
        }
    });
    // Our own server does not even exist.
    let shadow =
        Shadow::start(&here, port, &["--url", "http://127.0.0.1:1", "--from-store", STORE]);
    let mut stream = TcpStream::connect(("127.0.0.1", shadow.port)).unwrap();
    let request = format!(
        "POST /stores/{STORE}/streamed-list-objects HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    while !answer.contains("page:1") {
        let mut part = [0; 1_024];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    // The first line is here before the second was sent.
    first_read.send(()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("page:1").count(), 2, "{answer}");
    let report = shadow.report();
    assert_eq!((&report["requests"], &report["not_copied"]), (&json!(1), &json!(1)), "{report}");
    shadow.stop();
}

#[test]
fn what_clients_change_through_the_proxy_comes_to_a_server_at_an_address() {
    let (there, here) = (folder(UPSTREAM), folder(UPSTREAM));
    let (upstream, ours) = (Server::start(there.path()), Server::start(here.path()));
    let url = format!("http://127.0.0.1:{}", ours.port);
    let target = ["--url", &url, "--token-file", "token", "--upstream-token-file", "token"];
    let shadow = Shadow::start(
        &here,
        upstream.port,
        &[target.as_slice(), &["--from-store", STORE]].concat(),
    );
    let models = get(shadow.port, &format!("/stores/{STORE}/authorization-models"));
    let model = models["authorization_models"][0]["id"].as_str().unwrap();
    let assertions = json!({"assertions": [
        {"tuple_key": tuple("user:u1", "can_read", "page:1"), "expectation": false}]});
    let path = format!("/stores/{STORE}/assertions/{model}");
    wait_until("the model is copied", || {
        exchange(ours.port, &path, "").unwrap().0.contains(" 200 ")
    });
    put(shadow.port, &path, &assertions);
    wait_until("the assertions are copied", || get(ours.port, &path) == get(upstream.port, &path));
    shadow.stop();
    upstream.kill();
    ours.kill();
}

#[test]
fn a_question_that_was_lost_is_asked_again_and_a_write_is_not() {
    let here = folder(SETUP);
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = Scripting::read(&mut stream) else { continue };
            let before = {
                let mut log = log.lock().unwrap();
                log.push(request.path.clone());
                log.iter().filter(|path| **path == request.path).count()
            };
            // The first of each is lost with its connection.
            if before > 1 {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    let shadow = Shadow::start(&here, port, &["--data", "data"]);
    for (path, status) in [("/stores/S/check", "200"), ("/stores/S/write", "502")] {
        let (head, _) = exchange(shadow.port, path, "{\"a\":1}").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
        let count = seen.lock().unwrap().iter().filter(|seen| **seen == path).count();
        assert_eq!(count, if status == "200" { 2 } else { 1 }, "{path}");
    }
    shadow.stop();
}

fn put(port: u16, path: &str, body: &Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = body.to_string();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer kill-test-key\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// The head without what each request and each second has of its own.
fn without_own(head: &str) -> Vec<String> {
    let own = ["date:", "x-request-id:", "connection:"];
    let lines = head.lines().filter(|line| !own.iter().any(|name| line.starts_with(name)));
    let mut lines: Vec<String> = lines.map(ToOwned::to_owned).collect();
    lines[1..].sort();
    lines
}

/// The body, whatever the parts it came in.
fn body_of((head, text): &(String, String)) -> String {
    if !head.contains("transfer-encoding: chunked") {
        return text.clone();
    }
    let (mut body, mut rest) = (String::new(), text.as_str());
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        let (part, more) = more.split_at(length);
        body.push_str(part);
        rest = more.trim_start_matches("\r\n");
    }
    body
}

fn terminate(process: &Child) {
    let status = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().unwrap();
    assert!(status.success());
}

/// Looks until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (_keep, nothing) = mpsc::channel::<()>();
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        assert!(nothing.recv_timeout(Duration::from_millis(20)).is_err());
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Scripting {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Scripting {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        Some(Self { path, headers, body: String::from_utf8(body).unwrap() })
    }
}

/// What to answer.
struct Script {
    status: String,
    headers: Vec<String>,
    parts: Vec<String>,
}

/// An upstream that does what it is told.
struct Scripted {
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl Scripted {
    fn start(answer: impl Fn(Scripting) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = Scripting::read(&mut stream) else { return };
                    let Script { status, headers, parts } = answer(request);
                    let body = parts.concat();
                    let headers: String = headers
                        .iter()
                        .filter(|h| !h.is_empty())
                        .map(|h| format!("{h}\r\n"))
                        .collect();
                    let text = format!(
                        "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    drop(stream.write_all(text.as_bytes()));
                });
            }
        });
        Self { port, is_over }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}
