//! The listener as clients meet it over a socket.

use crate::kill::{SETUP, Server, exchange};

#[test]
fn whoever_sends_a_refused_body_to_its_end_reads_the_refusal() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    let server = Server::start(dir.path());
    // Most clients write everything before they read a byte.
    let body = "x".repeat(30 * 1024 * 1024);
    let too_large = exchange(server.port, "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/write", &body);
    let unknown = exchange(server.port, "/api/v1/documents", &body);
    server.kill();
    for (answer, status) in [(too_large, "HTTP/1.1 413"), (unknown, "HTTP/1.1 401")] {
        let (head, body) = answer.unwrap();
        assert!(head.starts_with(status), "{head}\n{body}");
    }
}
