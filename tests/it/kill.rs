//! `kill -9` in the middle of writes: nothing acknowledged is lost, no unit of work is half there.
//!
//! The server is a real process; the writers talk to it over loopback. Rounds are few here and
//! many in the soak runs (`BEHALF_KILL_ROUNDS`).
#![expect(clippy::print_stdout, reason = "how far a long run is is worth reading")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) const SETUP: &str = r#"
fga:
  api_keys: [{name: kill, key: "kill-test-key", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga"]}]
  stores:
    - id: 01ARZ3NDEKTSV4RRFFQ69G5FAV
      name: documents
      model: |
        model
          schema 1.1
        type user
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*]
            define can_view: owner or viewer
"#;

/// Writers at once.
const WRITERS: usize = 4;

pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts the binary on `dir` and waits until it answers.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The same with more arguments.
    pub(crate) fn start_with(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"));
        command.arg("serve").args(arguments);
        Self::run(dir, command)
    }

    /// The same on a disk that is full once a file has `kib` KiB.
    fn start_on_small_disk(dir: &Path, kib: u32) -> Self {
        let mut shell = Command::new("bash");
        // With the signal ignored, the write itself fails, as on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_behalf-under-test")).arg("serve");
        Self::run(dir, shell)
    }

    fn run(dir: &Path, mut command: Command) -> Self {
        let port = free_port();
        let log = std::fs::File::create(dir.join("server.log")).unwrap();
        let process = command
            .args(["--http", &format!("127.0.0.1:{port}"), "--data"])
            .arg(dir.join("data"))
            .arg("--apply")
            .arg(dir.join("setup.yaml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while post(port, "/healthz", "").is_none() {
            if let Some(status) = server.process.try_wait().unwrap() {
                let log = std::fs::read_to_string(dir.join("server.log")).unwrap();
                panic!("the server ended with {status}: {log}");
            }
            assert!(Instant::now() < deadline, "the server did not start");
            pause(Duration::from_millis(5));
        }
        server
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    /// No test that fails leaves a server behind.
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Waits for nothing in particular.
fn pause(duration: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    assert!(nothing.recv_timeout(duration).is_err());
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Posts JSON (or GETs, without a body) and returns the answer's body; `None` when the connection
/// broke before a whole answer, or when it is not 200.
fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let (head, body) = exchange(port, path, body)?;
    head.starts_with("HTTP/1.1 200").then_some(body)
}

/// The head and the body of the answer.
pub(crate) fn exchange(port: u16, path: &str, body: &str) -> Option<(String, String)> {
    exchange_as(port, path, "application/json", body)
}

/// The same with a body of that type.
pub(crate) fn exchange_as(
    port: u16,
    path: &str,
    content_type: &str,
    body: &str,
) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    // A client shows who it is in the form.
    let is_form = content_type == "application/x-www-form-urlencoded";
    let who = if is_form { "" } else { "Authorization: Bearer kill-test-key\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{who}\
         Connection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_ascii_lowercase().replace("http/1.1", "HTTP/1.1"), body.to_owned()))
}

fn tuples(writer: usize, n: usize) -> Value {
    let user = format!("user:w{writer}");
    json!([
        {"user": user, "relation": "viewer", "object": format!("doc:{writer}-{n}-a")},
        {"user": user, "relation": "viewer", "object": format!("doc:{writer}-{n}-b")},
    ])
}

/// How many of a writer's pairs are there at once; each write deletes the one before those.
const KEPT: usize = 3;

/// Writes pairs, and deletes older ones, until the server dies; returns how many writes were
/// acknowledged.
fn write_until_killed(port: u16, writer: usize, from: usize, stop: &AtomicBool) -> usize {
    let mut next = from;
    while !stop.load(Ordering::Relaxed) {
        // A write that was under way when the server was killed is sent again.
        let mut body =
            json!({"writes": {"tuple_keys": tuples(writer, next), "on_duplicate": "ignore"}});
        if let Some(old) = next.checked_sub(KEPT) {
            body["deletes"] = json!({"tuple_keys": tuples(writer, old), "on_missing": "ignore"});
        }
        let path = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/write";
        if post(port, path, &body.to_string()).is_none() {
            break;
        }
        next += 1;
    }
    next
}

/// The objects that a writer's first `count` writes leave.
fn left_by(writer: usize, count: usize) -> BTreeSet<String> {
    let pairs = (count.saturating_sub(KEPT)..count)
        .flat_map(|n| ["a", "b"].map(|half| format!("doc:{writer}-{n}-{half}")));
    pairs.collect()
}

/// The objects of every tuple that the server has, by user.
fn stored(port: u16) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut token = Value::from("");
    loop {
        let body = json!({"page_size": 100, "continuation_token": token}).to_string();
        let page = post(port, "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/read", &body).unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        for tuple in page["tuples"].as_array().unwrap() {
            let part = |name: &str| tuple["key"][name].as_str().unwrap().to_owned();
            let is_new = found.entry(part("user")).or_default().insert(part("object"));
            assert!(is_new, "a tuple is there twice: {tuple}");
        }
        token = page["continuation_token"].clone();
        if token == "" {
            return found;
        }
    }
}

fn is_allowed(port: u16, writer: usize, n: usize, half: &str) -> bool {
    let body = json!({"tuple_key": {"user": format!("user:w{writer}"), "relation": "can_view",
        "object": format!("doc:{writer}-{n}-{half}")}});
    let path = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/check";
    let answer: Value =
        serde_json::from_str(&post(port, path, &body.to_string()).unwrap()).unwrap();
    answer["allowed"].as_bool().unwrap()
}

#[test]
fn a_killed_server_has_every_acknowledged_write_and_no_half_one() {
    #[expect(clippy::disallowed_methods, reason = "soak runs ask for more rounds")]
    let rounds = std::env::var("BEHALF_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    let mut acknowledged = [0_usize; WRITERS];
    for round in 0..rounds {
        println!("progress: kills during writes {round} of {rounds}");
        let server = Server::start(dir.path());
        let port = server.port;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (stop, from) = (Arc::clone(&stop), acknowledged[writer]);
                std::thread::spawn(move || write_until_killed(port, writer, from, &stop))
            })
            .collect();
        // Killed at another point of the writers' work each round.
        pause(Duration::from_millis(60 + 37 * (round % 11)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for (writer, task) in writers.into_iter().enumerate() {
            acknowledged[writer] = task.join().unwrap();
        }
        let server = Server::start(dir.path());
        let mut found = stored(server.port);
        for (writer, &count) in acknowledged.iter().enumerate() {
            let objects = found.remove(&format!("user:w{writer}")).unwrap_or_default();
            // The write under way may be there or not, but whole.
            let is_told =
                objects == left_by(writer, count) || objects == left_by(writer, count + 1);
            assert!(is_told, "round {round}: {count} writes of {writer} left {objects:?}");
            // The engine answers from the same state.
            for n in count.saturating_sub(KEPT + 1)..=count {
                for half in ["a", "b"] {
                    let is_there = objects.contains(&format!("doc:{writer}-{n}-{half}"));
                    assert_eq!(is_allowed(server.port, writer, n, half), is_there, "{writer}-{n}");
                }
            }
        }
        assert!(found.is_empty(), "round {round}: nobody wrote {found:?}");
        server.kill();
    }
    let total: usize = acknowledged.iter().sum();
    assert!(total > usize::try_from(rounds).unwrap(), "the writers wrote: {acknowledged:?}");
    // The sequencer was killed as often: the log verifies, and has each write exactly once, in order.
    let revisions = recorded_revisions(dir.path());
    let expected: Vec<u64> = (1..).take(revisions.len()).collect();
    assert_eq!(revisions, expected);
    assert!(revisions.len() >= total, "{} of {total} writes are records", revisions.len());
    println!("kill: {rounds} kills during {total} acknowledged writes");
}

/// The revision of each recorded write of the store, from an export that verifies.
fn recorded_revisions(dir: &Path) -> Vec<u64> {
    let out = dir.join("records.zip");
    let exported = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
        .args(["export", "--data"])
        .arg(dir.join("data"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let zip = std::fs::read(&out).unwrap();
    behalf_verify::bundle::verify(&zip, None).unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut records = String::new();
    zip.by_name("records.jsonl").unwrap().read_to_string(&mut records).unwrap();
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .filter(|record| {
            record["type"] == "fga.tuples_written"
                && record["facts"]["store_id"] == "01ARZ3NDEKTSV4RRFFQ69G5FAV"
        })
        .map(|record| record["facts"]["revision"].as_u64().unwrap())
        .collect()
}

#[test]
fn on_a_full_disk_writes_are_503_and_nothing_is_said_to_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    Server::start(dir.path()).kill();
    let server = Server::start_on_small_disk(dir.path(), 1_500);
    let port = server.port;
    let write = |n: usize| {
        let body = json!({"writes": {"tuple_keys": tuples(0, n)}}).to_string();
        exchange(port, "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/write", &body).unwrap()
    };
    let mut acknowledged = 0;
    let refusal = loop {
        let (head, body) = write(acknowledged);
        if !head.starts_with("HTTP/1.1 200") {
            break (head, body);
        }
        acknowledged += 1;
        assert!(acknowledged < 20_000, "the disk never filled");
    };
    let (head, body) = refusal;
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("\r\nretry-after: "), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], "internal_error");
    for path in ["/authorize?client_id=x", "/account", "/oauth/token"] {
        let body = if path == "/oauth/token" { "grant_type=x" } else { "" };
        let (head, body) = exchange(port, path, body).unwrap();
        assert!(!body.contains("disk") && !body.contains("sqlite"), "{path}: {body}");
        let is_told =
            ["400", "415", "503"].iter().any(|s| head.starts_with(&format!("HTTP/1.1 {s}")));
        assert!(is_told, "{path}: {head}");
    }
    // What was acknowledged is read on, what was refused is not there; after a restart too.
    let agrees = |port: u16| {
        assert!(acknowledged > 0 && is_allowed(port, 0, acknowledged - 1, "b"));
        assert!(!is_allowed(port, 0, acknowledged, "a") && !is_allowed(port, 0, acknowledged, "b"));
    };
    agrees(port);
    server.kill();
    let server = Server::start(dir.path());
    agrees(server.port);
    let body = json!({"writes": {"tuple_keys": tuples(0, acknowledged)}}).to_string();
    post(server.port, "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/write", &body).unwrap();
    server.kill();
}

/// A stream of viewers of one round's document.
fn import_viewers(port: u16, round: u64) -> bool {
    let lines: String = (0..1_500)
        .map(|n| {
            let object = format!("doc:saved-{round}-{n}");
            let line = json!({"user": format!("user:{n}"), "relation": "viewer", "object": object});
            format!("{line}\n")
        })
        .collect();
    post(port, "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/behalf/import", &lines).is_some()
}

#[test]
fn a_server_killed_while_it_saves_snapshots_knows_every_acknowledged_write() {
    #[expect(clippy::disallowed_methods, reason = "soak runs ask for more rounds")]
    let rounds = std::env::var("BEHALF_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    let mut acknowledged = Vec::new();
    let is_viewer = |port: u16, round: u64, n: u64| {
        let body = json!({"tuple_key": {"user": format!("user:{n}"), "relation": "can_view",
            "object": format!("doc:saved-{round}-{n}")}});
        let path = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/check";
        post(port, path, &body.to_string()).unwrap().contains("\"allowed\":true")
    };
    for round in 0..rounds {
        println!("progress: kills during imports {round} of {rounds}");
        // A thousand changes after a start are saved at once: the kill comes at another point of it
        // each round, also while the import itself is under way.
        let server = Server::start(dir.path());
        let port = server.port;
        let import = std::thread::spawn(move || import_viewers(port, round));
        if round % 3 == 0 {
            pause(Duration::from_millis(40 + 17 * (round % 7)));
        } else {
            acknowledged.push(round);
            assert!(import.join().unwrap(), "round {round} was not imported");
            pause(Duration::from_millis(2 * (round % 9)));
            server.kill();
            continue;
        }
        server.kill();
        if import.join().unwrap() {
            acknowledged.push(round);
        }
    }
    let server = Server::start(dir.path());
    for &round in &acknowledged {
        for n in (0..1_500).step_by(100) {
            assert!(is_viewer(server.port, round, n), "round {round}: {n} lost");
        }
    }
    assert!(!acknowledged.is_empty());
    println!("kill: {rounds} kills during or after imports, {} acknowledged", acknowledged.len());
    let file = dir.path().join("data/fga/default/01ARZ3NDEKTSV4RRFFQ69G5FAV.snapshot");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !file.exists() {
        assert!(Instant::now() < deadline, "no snapshot is ever written");
        pause(Duration::from_millis(5));
    }
    server.kill();
}
