//! The client against a listener that answers as it is told.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use behalf_core::Secret;
use http::Method;

use super::*;

/// Answers one connection with `answer`, and gives back what was asked.
fn listener(answer: &'static str) -> (OperatorAddress, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/api", listener.local_addr().unwrap()).parse().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0_u8; 8192];
        let length = stream.read(&mut buffer).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned()
    });
    (address, asked)
}

fn egress() -> Egress {
    Egress::new("behalf-test").unwrap()
}

#[tokio::test]
async fn a_call_carries_its_parts_and_reads_the_answer() {
    let (address, asked) = listener("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}");
    let token = Secret::from("secret-token");
    let body = serde_json::json!({"a": 1});
    let call = Call::new(Method::POST, address.below(&["gists", "../x"]))
        .query("q", "a b")
        .bearer(&token)
        .body(Body::Json(&body));
    assert!(!format!("{call:?}").contains("secret-token"));
    let answer = egress().send(&call).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"{}"[..]));
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("POST /api/gists/..%2Fx?q=a+b HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer secret-token\r\n"), "{asked}");
    assert!(asked.ends_with("{\"a\":1}"), "{asked}");
}

#[tokio::test]
async fn debug_shows_no_secret_of_a_call_or_an_answer() {
    let (address, asked) =
        listener("HTTP/1.1 200 OK\r\nset-cookie: s=hunter2\r\ncontent-length: 7\r\n\r\nhunter2");
    let body = Body::Form(vec![("client_secret", "hunter2")]);
    let json = serde_json::json!({"access_token": "hunter2"});
    let shown = format!("{body:?} {:?}", Body::Json(&json));
    let answer = egress().send(&Call::new(Method::POST, address).body(body)).await.unwrap();
    let shown = format!("{shown} {answer:?}");
    assert!(shown.contains("200") && !shown.contains("hunter2"), "{shown}");
    asked.join().unwrap();
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (address, asked) = listener(
        "HTTP/1.1 302 Found\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
    );
    let answer = egress().send(&Call::new(Method::GET, address)).await.unwrap();
    assert_eq!(answer.status.as_u16(), 302);
    asked.join().unwrap();
}

#[tokio::test]
async fn what_cannot_have_arrived_is_told_from_what_may_have() {
    let (address, asked) = listener("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let error = egress().send(&Call::new(Method::GET, address)).await.unwrap_err();
    assert!(matches!(error, EgressError::NoAnswer(_)) && !error.is_unsent(), "{error}");
    asked.join().unwrap();

    let (address, asked) = listener("");
    let secret = "token=hunter2";
    let error = egress().send(&Call::new(Method::GET, address).query("t", secret)).await;
    let error = error.unwrap_err();
    assert!(!error.is_unsent() && !error.to_string().contains("hunter2"), "{error}");
    asked.join().unwrap();

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{closed}/").parse().unwrap();
    let error = egress().send(&Call::new(Method::GET, address)).await.unwrap_err();
    assert!(error.is_unsent(), "{error}");
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_refused() {
    let (address, asked) = listener("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde");
    let call = Call::new(Method::GET, address).bytes_max(4);
    assert_eq!(egress().send(&call).await.unwrap_err(), EgressError::TooLarge { bytes_max: 4 });
    asked.join().unwrap();
}

#[test]
fn an_address_stays_on_its_host_and_below_its_path() {
    let address: OperatorAddress = "http://host.example:8080/api/v3/".parse().unwrap();
    let below = |segments: &[&str]| address.below(segments).to_string();
    assert_eq!(below(&["gists"]), "http://host.example:8080/api/v3/gists");
    for hostile in ["//evil.example/x", "..", "http://evil.example/", "a?b=c#d", ".", "%2e%2e"] {
        let below = below(&[hostile]);
        assert!(below.starts_with("http://host.example:8080/api/v3/"), "{below}");
        assert!(!below.contains(['?', '#']), "{below}");
    }
    for bad in ["ftp://a/", "http://u:p@a/", "http://a/?x=1", "http://a/#f", "a/b", ""] {
        assert!(bad.parse::<OperatorAddress>().is_err(), "{bad}");
    }
}

#[test]
fn an_address_that_is_refused_does_not_show_what_may_be_a_secret() {
    for text in [
        "https://ann:hunter2@example.com/x",
        "ann:hunter2@example.com",
        "https://example.com/?key=hunter2",
        "https://example.com/#hunter2",
        "https://ann:hunter2@ex@mple.com/?a@b",
    ] {
        let error = text.parse::<OperatorAddress>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.contains("mple.com"), "{error}");
    }
}
