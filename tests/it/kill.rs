//! `kill -9` in the middle of writes: nothing acknowledged is lost, no unit of work is half there.
//!
//! The server is a real process; the writers talk to it over loopback. Rounds are few here and
//! many in the soak runs (`BEHALF_KILL_ROUNDS`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const SETUP: &str = r#"
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

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts the binary on `dir` and waits until it answers.
    fn start(dir: &Path) -> Self {
        let port = free_port();
        let log = std::fs::File::create(dir.join("server.log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
            .args(["serve", "--http", &format!("127.0.0.1:{port}"), "--data"])
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
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Waits for nothing in particular.
fn pause(duration: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    assert!(nothing.recv_timeout(duration).is_err());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Posts JSON (or GETs, without a body) and returns the answer's body; `None` when the connection
/// broke before a whole answer.
fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer kill-test-key\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

fn tuples(writer: usize, n: usize) -> Value {
    let user = format!("user:w{writer}");
    json!([
        {"user": user, "relation": "viewer", "object": format!("doc:{writer}-{n}-a")},
        {"user": user, "relation": "viewer", "object": format!("doc:{writer}-{n}-b")},
    ])
}

/// Writes pairs until the server dies; returns how many were acknowledged.
fn write_until_killed(port: u16, writer: usize, from: usize, stop: &AtomicBool) -> usize {
    let mut next = from;
    while !stop.load(Ordering::Relaxed) {
        let body =
            json!({"writes": {"tuple_keys": tuples(writer, next), "on_duplicate": "ignore"}});
        let path = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/write";
        if post(port, path, &body.to_string()).is_none() {
            break;
        }
        next += 1;
    }
    next
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
        for (writer, &count) in acknowledged.iter().enumerate() {
            for n in 0..count {
                assert!(
                    is_allowed(server.port, writer, n, "a"),
                    "round {round}: {writer}-{n} lost"
                );
                assert!(
                    is_allowed(server.port, writer, n, "b"),
                    "round {round}: {writer}-{n} halved"
                );
            }
            // The write under way may be there or not, but whole.
            let halves = ["a", "b"].map(|half| is_allowed(server.port, writer, count, half));
            assert_eq!(halves[0], halves[1], "round {round}: {writer}-{count} is half there");
        }
        server.kill();
    }
    let total: usize = acknowledged.iter().sum();
    assert!(total > usize::try_from(rounds).unwrap(), "the writers wrote: {acknowledged:?}");
}
