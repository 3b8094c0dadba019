//! gRPC over real sockets: HTTP/2 from the first byte, and TLS that agrees on it.

use std::path::Path;
use std::sync::Arc;

use behalf_api::fga::wire::{health_v1, openfga_v1 as pb, reflection_v1};
use behalf_tests::{GrpcClient, RawAnswer};
use bytes::Bytes;
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fga_grpc::CHECK;
use crate::kill::{Server, exchange_as, free_port};

const STORE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEY: &str = "kill-test-key";
const LIST: &str = "/openfga.v1.OpenFGAService/StreamedListObjects";
const WRITE: &str = "/openfga.v1.OpenFGAService/Write";
/// The largest message that is read.
const LIMIT: usize = 616_448;

/// A server of its own with one listener for plain text and one for TLS.
struct Sockets {
    server: Server,
    tls: u16,
    dir: tempfile::TempDir,
}

impl Sockets {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tls = free_port();
        let setup = format!(
            r#"{}
clients:
  - {{client_id: machine, client_secret: machine-secret, app_type: non_interactive, grant_types: [client_credentials]}}
client_grants:
  - {{client_id: machine, audience: "https://localhost:{tls}/fga/", scope: ["check:fga"]}}
"#,
            crate::kill::SETUP
        );
        std::fs::write(dir.path().join("setup.yaml"), setup).unwrap();
        let server = Server::start_with(dir.path(), &["--tls", &format!("127.0.0.1:{tls}")]);
        Self { server, tls, dir }
    }

    /// A client on a connection of its own.
    async fn plain(&self) -> GrpcClient {
        let stream = TcpStream::connect(("127.0.0.1", self.server.port)).await.unwrap();
        GrpcClient::on(stream, KEY).await
    }

    /// A client behind TLS that offers these protocols; and which was agreed on.
    async fn behind_tls(&self, protocols: &[&str]) -> (GrpcClient, Option<Vec<u8>>) {
        let config = trusting(&self.dir.path().join("data/dev-ca/ca.pem"), protocols);
        let stream = TcpStream::connect(("127.0.0.1", self.tls)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (GrpcClient::on(stream, KEY).await, agreed)
    }
}

fn trusting(ca: &Path, protocols: &[&str]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn check(user: &str, object: &str) -> pb::CheckRequest {
    pb::CheckRequest {
        store_id: STORE.to_owned(),
        tuple_key: Some(pb::CheckRequestTupleKey {
            user: user.to_owned(),
            relation: "can_view".to_owned(),
            object: object.to_owned(),
        }),
        ..Default::default()
    }
}

fn objects_of(user: &str) -> pb::StreamedListObjectsRequest {
    pb::StreamedListObjectsRequest {
        store_id: STORE.to_owned(),
        r#type: "doc".to_owned(),
        relation: "can_view".to_owned(),
        user: user.to_owned(),
        ..Default::default()
    }
}

/// Lets `user` view that many documents with long names.
async fn share(client: &GrpcClient, user: &str, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("doc:{n}-{}", "x".repeat(200))).collect();
    for names in names.chunks(100) {
        let key = |object: &String| pb::TupleKey {
            user: user.to_owned(),
            relation: "viewer".to_owned(),
            object: object.clone(),
            ..Default::default()
        };
        let write = pb::WriteRequest {
            store_id: STORE.to_owned(),
            writes: Some(pb::WriteRequestWrites {
                tuple_keys: names.iter().map(key).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let _: (pb::WriteResponse, _) = client.unary(WRITE, write).await.unwrap();
    }
}

async fn is_allowed(client: &GrpcClient, user: &str, object: &str) -> bool {
    let (answer, _): (pb::CheckResponse, _) =
        client.unary(CHECK, check(user, object)).await.unwrap();
    answer.allowed
}

async fn number(client: &GrpcClient, request: pb::CheckRequest) -> u16 {
    client.unary::<_, pb::CheckResponse>(CHECK, request).await.unwrap_err().number
}

/// A message with what stands before it.
fn framed(compressed: u8, message: &impl prost::Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[compressed], &length[..], &message].concat().into()
}

fn status(headers: Option<&http::HeaderMap>) -> Option<&str> {
    headers?.get("grpc-status")?.to_str().ok()
}

#[tokio::test]
async fn a_plain_connection_and_one_behind_tls_answer_alike() {
    let sockets = Sockets::start();
    let plain = sockets.plain().await;
    share(&plain, "user:ann", 1).await;
    let object = format!("doc:0-{}", "x".repeat(200));
    let (secret, agreed) = sockets.behind_tls(&["h2", "http/1.1"]).await;
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    let (silent, agreed) = sockets.behind_tls(&[]).await;
    assert_eq!(agreed, None, "whoever names no protocol may still speak HTTP/2");
    for client in [&plain, &secret, &silent] {
        assert!(is_allowed(client, "user:ann", &object).await);
        assert!(!is_allowed(client, "user:bob", &object).await);
        let found: Vec<pb::StreamedListObjectsResponse> =
            client.streaming(LIST, vec![objects_of("user:ann")]).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|one| one.object).collect();
        assert_eq!(found, std::slice::from_ref(&object));
    }
}

#[tokio::test]
async fn the_status_stands_behind_the_messages_or_in_the_headers_when_there_are_none() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    let good = client.raw(CHECK, framed(0, &check("user:a", "doc:1")), &[]).await;
    let RawAnswer { headers, body, trailers } = good;
    assert_eq!(status(Some(&headers)), None);
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(body, framed(0, &pb::CheckResponse::default()));
    assert_eq!(status(trailers.as_ref()), Some("0"));

    let mut elsewhere = check("user:a", "doc:1");
    elsewhere.store_id = "01ARZ3NDEKTSV4RRFFQ69G5FAB".to_owned();
    let mut no_relation = check("user:a", "doc:1");
    no_relation.tuple_key.as_mut().unwrap().relation = "nope".to_owned();
    let mut bad_tuple = check("user:a", "doc:1");
    bad_tuple.contextual_tuples = Some(pb::ContextualTupleKeys {
        tuple_keys: vec![pb::TupleKey {
            user: "doc:2".to_owned(),
            relation: "viewer".to_owned(),
            object: "doc:1".to_owned(),
            ..Default::default()
        }],
    });
    let bad_field = check("user:a", "x");
    for (request, expected) in
        [(no_relation, "2000"), (bad_tuple, "2027"), (elsewhere, "5002"), (bad_field, "3")]
    {
        let answer = client.raw(CHECK, framed(0, &request), &[]).await;
        assert_eq!(status(Some(&answer.headers)), Some(expected), "{request:?}");
        assert_eq!(answer.headers["content-type"], "application/grpc");
        assert!(answer.headers.contains_key("grpc-message"));
        assert!(answer.body.is_empty() && answer.trailers.is_none(), "{answer:?}");
    }
    // A stream that fails says so in the same way, and the number comes through tonic too.
    let nowhere =
        pb::StreamedListObjectsRequest { r#type: "ship".to_owned(), ..objects_of("user:a") };
    let answer = client.raw(LIST, framed(0, &nowhere), &[]).await;
    assert_eq!(status(Some(&answer.headers)), Some("2021"));
    let error = client.open::<_, pb::StreamedListObjectsResponse>(LIST, nowhere).await.unwrap_err();
    assert_eq!(error.number, 2021);
}

#[tokio::test]
async fn messages_are_read_up_to_the_limit_and_no_further() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    // A context whose one value fills the message up to exactly that many bytes.
    let of_size = |size: usize| {
        let with = |length: usize| {
            let text = prost_types::value::Kind::StringValue("x".repeat(length));
            let value = prost_types::Value { kind: Some(text) };
            let fields = [("note".to_owned(), value)].into();
            let context = Some(prost_types::Struct { fields });
            pb::CheckRequest { context, ..check("user:a", "doc:1") }
        };
        // Each length around stands before its text, in as many bytes at both sizes.
        let overhead = with(size).encoded_len() - size;
        let request = with(size - overhead);
        assert_eq!(request.encoded_len(), size);
        request
    };
    let answer = client.unary::<_, pb::CheckResponse>(CHECK, of_size(LIMIT)).await;
    assert!(!answer.unwrap().0.allowed);
    for size in [LIMIT + 1, LIMIT + 100_000, 4 * LIMIT] {
        let answer = client.raw(CHECK, framed(0, &of_size(size)), &[]).await;
        assert_eq!(status(Some(&answer.headers)), Some("8"), "{size}");
    }
    // What is only announced is refused before it comes.
    let answer = client.raw(CHECK, &[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3][..], &[]).await;
    assert_eq!(status(Some(&answer.headers)), Some("8"));
    assert!(!is_allowed(&client, "user:a", "doc:1").await, "the connection goes on");
}

#[tokio::test]
async fn broken_frames_are_errors_and_compression_is_not_offered() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    let request = check("user:a", "doc:1");
    let whole = framed(0, &request);
    let cut = whole.slice(..whole.len() - 1);
    let twice = Bytes::from([&whole[..], &whole[..]].concat());
    for body in [Bytes::new(), Bytes::from_static(&[0, 0]), cut, twice] {
        let answer = client.raw(CHECK, body.clone(), &[]).await;
        assert_eq!(status(Some(&answer.headers)), Some("13"), "{body:?}");
    }
    let nonsense = client.raw(CHECK, &[0, 0, 0, 0, 2, 0xff, 0xff][..], &[]).await;
    assert_eq!(status(Some(&nonsense.headers)), Some("13"));

    let compressed = framed(1, &request);
    let answer = client.raw(CHECK, compressed, &[("grpc-encoding", "gzip")]).await;
    assert_eq!(status(Some(&answer.headers)), Some("12"));
    assert_eq!(answer.headers["grpc-accept-encoding"], "identity");
    // Who only offers to read compressed answers gets plain ones.
    let offers = [("grpc-accept-encoding", "gzip, identity"), ("grpc-encoding", "identity")];
    let answer = client.raw(CHECK, whole, &offers).await;
    assert_eq!(status(answer.trailers.as_ref()), Some("0"));
    assert!(!answer.headers.contains_key("grpc-encoding"));
    assert_eq!(answer.body.first(), Some(&0));
}

#[tokio::test]
async fn who_calls_is_said_in_the_metadata() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    let form = "grant_type=client_credentials&client_id=machine&client_secret=machine-secret";
    let audience = format!("https://localhost:{}/fga/", sockets.tls);
    let body = format!("{form}&audience={audience}");
    let form = "application/x-www-form-urlencoded";
    let (_, answer) = exchange_as(sockets.server.port, "/oauth/token", form, &body).unwrap();
    let token = serde_json::from_str::<Value>(&answer).unwrap()["access_token"].clone();
    assert!(token.is_string(), "{answer}");
    let bearer = client.clone().with_token(token.as_str().unwrap());
    let (answer, metadata): (pb::CheckResponse, _) =
        bearer.unary(CHECK, check("user:a", "doc:1")).await.unwrap();
    assert!(!answer.allowed);
    assert!(metadata.contains_key("openfga-authorization-model-id"));
    let error = bearer.open::<_, pb::StreamedListObjectsResponse>(LIST, objects_of("user:a")).await;
    assert_eq!(error.unwrap_err().number, 1600, "this token may only check");
    assert_eq!(number(&client.clone().with_token(""), check("user:a", "doc:1")).await, 1010);
    assert_eq!(number(&client.clone().with_token("wrong"), check("user:a", "doc:1")).await, 1500);
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_not_the_connection() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    // The revision is not there; the server would wait for a second.
    let waiting = client.clone().with("behalf-min-revision", "99");
    for unit in ["20m", "20000u", "20000000n"] {
        let late = waiting.clone().with("grpc-timeout", unit);
        assert_eq!(number(&late, check("user:a", "doc:1")).await, 4, "{unit}");
    }
    assert_eq!(number(&waiting.with("grpc-timeout", "1H"), check("user:a", "doc:1")).await, 14);
    let patient = client.clone().with("grpc-timeout", "30S");
    assert!(!is_allowed(&patient, "user:a", "doc:1").await);
}

#[tokio::test]
async fn a_connection_carries_many_calls_and_survives_those_that_are_given_up() {
    let sockets = Sockets::start();
    let client = sockets.plain().await;
    let count = 1_000;
    share(&client, "user:ann", count).await;
    // Together they fit the window that this client gives its connection: beyond it, unread streams
    // would keep the next one waiting, and rightly so.
    let mut given_up = Vec::new();
    for _ in 0..20 {
        let mut stream = client
            .open::<_, pb::StreamedListObjectsResponse>(LIST, objects_of("user:ann"))
            .await
            .unwrap();
        assert!(stream.message().await.unwrap().is_some());
        given_up.push(stream);
    }
    drop(given_up);
    let asked = (0..300).map(|n| {
        let client = client.clone();
        let user = if n % 2 == 0 { "user:ann" } else { "user:bob" };
        let object = format!("doc:{n}-{}", "x".repeat(200));
        tokio::spawn(async move { (n % 2 == 0, is_allowed(&client, user, &object).await) })
    });
    let asked: Vec<_> = asked.collect();
    let whole = client.open::<_, pb::StreamedListObjectsResponse>(LIST, objects_of("user:ann"));
    let mut whole = whole.await.unwrap();
    let mut found = std::collections::BTreeSet::new();
    while let Some(one) = whole.message().await.unwrap() {
        found.insert(one.object);
    }
    assert_eq!(found.len(), count);
    for answer in asked {
        let (expected, found) = answer.await.unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn health_and_reflection_answer_on_the_socket_too() {
    let sockets = Sockets::start();
    let (client, _) = sockets.behind_tls(&["h2"]).await;
    let client = client.with_token("");
    let ask = health_v1::HealthCheckRequest { service: "openfga.v1.OpenFGAService".to_owned() };
    let (answer, _): (health_v1::HealthCheckResponse, _) =
        client.unary("/grpc.health.v1.Health/Check", ask.clone()).await.unwrap();
    assert_eq!(answer.status().as_str_name(), "SERVING");
    let mut watching = client
        .open::<_, health_v1::HealthCheckResponse>("/grpc.health.v1.Health/Watch", ask)
        .await
        .unwrap();
    let first = watching.message().await.unwrap().unwrap();
    assert_eq!(first.status().as_str_name(), "SERVING");

    use reflection_v1::server_reflection_request::MessageRequest as Ask;
    use reflection_v1::server_reflection_response::MessageResponse as Told;
    let question = |ask| reflection_v1::ServerReflectionRequest {
        message_request: Some(ask),
        ..Default::default()
    };
    let told: Vec<reflection_v1::ServerReflectionResponse> = client
        .streaming(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            vec![
                question(Ask::ListServices(String::new())),
                question(Ask::FileContainingSymbol("openfga.v1.OpenFGAService.Check".to_owned())),
            ],
        )
        .await
        .unwrap();
    let told: Vec<_> = told.into_iter().map(|one| one.message_response.unwrap()).collect();
    let [Told::ListServicesResponse(services), Told::FileDescriptorResponse(file)] = &told[..]
    else {
        panic!("{told:?}");
    };
    let names: Vec<_> = services.service.iter().map(|one| one.name.as_str()).collect();
    for name in ["openfga.v1.OpenFGAService", "authzen.v1.AuthZenService", "grpc.health.v1.Health"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    let file = prost_types::FileDescriptorProto::decode(&*file.file_descriptor_proto[0]).unwrap();
    assert_eq!(file.package(), "openfga.v1");
}
