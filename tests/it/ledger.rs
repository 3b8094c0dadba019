//! The log: events become leaves once and in order, whatever happens; what is stored twice is
//! compared; the routes of the log and who may ask.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use behalf_core::{Actor, Event, EventKind, ProjectId, TenantId};
use behalf_crypto::SystemRng;
use behalf_ledger::{LeafFilter, Ledger, LedgerParts, Verdict};
use behalf_store::{Sql, Statement};
use behalf_tests::{Answer, Client, TestServer};
use behalf_verify::canonical_json::is_canonical;
use behalf_verify::checkpoint::LogPolicy;
use behalf_verify::merkle::leaf_hash;
use behalf_verify::merkle::tiles::parse_bundle;
use behalf_verify::receipt::Receipt;
use http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

fn project() -> ProjectId {
    ProjectId::default_project()
}

/// Commits one event that says which it is.
async fn happen(server: &TestServer, writer: usize, n: usize) -> String {
    let mut unit = server.server.identity.unit();
    let event = Event::new(&TenantId::default_tenant(), EventKind::DocumentWritten, Actor::System);
    let id = unit.record(&event.with("writer", writer).with("n", n));
    server.server.storage.commit(unit).await.unwrap();
    id
}

/// The ids of every record, in the log's order.
async fn ids(server: &TestServer) -> Vec<String> {
    let filter = LeafFilter::default();
    let records = server.server.ledger.list_records(&project(), &filter, None, 100_000).await;
    let mut ids: Vec<String> = records.unwrap().into_iter().map(|record| record.id).collect();
    ids.reverse();
    ids
}

#[tokio::test]
async fn every_event_becomes_one_leaf_in_the_order_of_commits() {
    let server = TestServer::start("{}").await;
    let mut expected: Vec<String> =
        server.outbox().await.into_iter().map(|event| event.event_id).collect();
    assert!(!expected.is_empty());
    for n in 0..700 {
        expected.push(happen(&server, 0, n).await);
    }
    assert_eq!(server.server.ledger.advance().await.unwrap(), expected.len());
    assert_eq!(ids(&server).await, expected);
    assert!(server.outbox().await.is_empty());
    assert_eq!(server.server.ledger.advance().await.unwrap(), 0);

    let summary = server.server.ledger.summary(&project()).await.unwrap();
    assert_eq!(summary.size, 700 + u64::try_from(expected.len() - 700).unwrap());
    assert_eq!(summary.fault, None);
    let report = server.server.ledger.audit(&project()).await.unwrap();
    assert_eq!((report.faults, report.fault_count), (Vec::new(), 0));
}

#[tokio::test]
async fn a_log_signs_once_a_second_and_only_what_is_new() {
    let server = TestServer::start("{}").await;
    let ledger = &server.server.ledger;
    ledger.flush().await.unwrap();
    let first = ledger.checkpoint(&project()).await.unwrap();
    happen(&server, 0, 1).await;
    ledger.advance().await.unwrap();
    assert_eq!(ledger.checkpoint(&project()).await.unwrap(), first);
    server.advance(Duration::from_millis(999));
    ledger.advance().await.unwrap();
    assert_eq!(ledger.checkpoint(&project()).await.unwrap(), first);
    server.advance(Duration::from_millis(1));
    ledger.advance().await.unwrap();
    let second = ledger.checkpoint(&project()).await.unwrap();
    assert_eq!(second.size, first.size + 1);
    server.advance(Duration::from_secs(60));
    ledger.advance().await.unwrap();
    assert_eq!(ledger.checkpoint(&project()).await.unwrap(), second);
}

#[tokio::test]
async fn a_receipt_proves_its_record_offline_and_no_other() {
    let server = TestServer::start("{}").await;
    let ledger = &server.server.ledger;
    for n in 0..300 {
        happen(&server, 0, n).await;
    }
    let id = happen(&server, 1, 0).await;
    // Committed a moment ago: the receipt waits until it is a leaf.
    let text = ledger.receipt(&id).await.unwrap().to_string();
    let receipt: Receipt = text.parse().unwrap();
    let (extra, verified) = receipt.verify_alone().unwrap();
    assert!(is_canonical(&extra.entry));
    assert!(extra.entry.contains(&id));
    let summary = ledger.summary(&project()).await.unwrap();
    assert_eq!(extra.key.to_string(), summary.key);
    assert_eq!(verified.checkpoint.origin, summary.origin);

    let policy = LogPolicy::new(&summary.origin, &[extra.key], &[], 0).unwrap();
    receipt.verify(extra.entry.as_bytes(), &policy).unwrap();
    let other = extra.entry.replace("\"writer\":1", "\"writer\":2");
    assert_ne!(other, extra.entry);
    assert!(receipt.verify(other.as_bytes(), &policy).is_err());
    let verdict = ledger.check(&text).await.unwrap();
    assert!(matches!(verdict, Verdict::Valid { record, .. } if record.id == id));
    let verdict = ledger.check(&extra.entry).await.unwrap();
    assert!(matches!(verdict, Verdict::Valid { record, .. } if record.id == id));
    let verdict = ledger.check(&other).await.unwrap();
    assert!(matches!(verdict, Verdict::Invalid { .. }), "{verdict:?}");
}

#[tokio::test]
async fn two_sequencers_and_many_writers_lose_double_and_reorder_nothing() {
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let server = Arc::new(TestServer::start("{}").await);
    let other = Ledger::open(LedgerParts {
        storage: server.server.storage.clone(),
        clock: server.clock.clone(),
        rng: Arc::new(SystemRng),
        tenant: TenantId::default_tenant(),
        keyring: server.server.identity.keyring(),
    })
    .await
    .unwrap();
    let before = server.outbox().await.len();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for n in 0..EACH {
                    ids.push(happen(&server, writer, n).await);
                    tokio::task::yield_now().await;
                }
                ids
            })
        })
        .collect();
    let sequencers = [server.server.ledger.clone(), other].map(|ledger| {
        tokio::spawn(async move {
            for _ in 0..50 {
                ledger.advance().await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    for sequencer in sequencers {
        sequencer.await.unwrap();
    }
    server.server.ledger.flush().await.unwrap();
    assert!(server.outbox().await.is_empty());
    let ids = ids(&server).await;
    assert_eq!(ids.len(), before + WRITERS * EACH);
    for own in written {
        let found: Vec<&String> = ids.iter().filter(|id| own.contains(id)).collect();
        assert_eq!(found, own.iter().collect::<Vec<_>>());
    }
    assert_eq!(server.server.ledger.audit(&project()).await.unwrap().fault_count, 0);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_ended() {
    let server = TestServer::start("{}").await;
    happen(&server, 0, 0).await;
    server.server.ledger.flush().await.unwrap();
    let before = server.server.ledger.summary(&project()).await.unwrap();
    let ids_before = ids(&server).await;
    // This one was committed and not sequenced when the process ended.
    let waiting = happen(&server, 0, 1).await;
    let server = TestServer::start_in(server.dir, "{}").await;
    server.server.ledger.flush().await.unwrap();
    let after = server.server.ledger.summary(&project()).await.unwrap();
    assert_eq!((&after.origin, &after.key), (&before.origin, &before.key));
    let ids = ids(&server).await;
    assert_eq!(ids[..ids_before.len()], ids_before);
    assert_eq!(ids[ids_before.len()], waiting);
    assert_eq!(server.server.ledger.audit(&project()).await.unwrap().fault_count, 0);
}

#[tokio::test]
async fn a_log_whose_rows_were_changed_is_not_signed_and_loses_no_event() {
    const ZEROS: Sql = Sql::each(
        "UPDATE log_tiles SET hashes = zeroblob(length(hashes))",
        "UPDATE log_tiles SET hashes = decode(repeat('00', length(hashes)), 'hex')",
    );
    for change in [
        "UPDATE logs SET size = size - 1".into(),
        "UPDATE log_tiles SET hashes = substr(hashes, 1, length(hashes) - 32)".into(),
        ZEROS,
        "UPDATE checkpoints SET note = replace(note, 'behalf.log', 'other.log')".into(),
        "DELETE FROM log_tiles".into(),
    ] {
        let server = TestServer::start("{}").await;
        happen(&server, 0, 0).await;
        server.server.ledger.flush().await.unwrap();
        let mut unit = server.server.identity.unit();
        unit.add(Statement::new(change));
        server.server.storage.commit(unit).await.unwrap();
        let server = TestServer::start_in(server.dir, "{}").await;
        let id = happen(&server, 0, 1).await;
        assert!(server.server.ledger.advance().await.is_err(), "{change:?}");
        assert!(server.outbox().await.iter().any(|event| event.event_id == id), "{change:?}");
        let summary = server.server.ledger.summary(&project()).await.unwrap();
        assert!(summary.fault.is_some(), "{change:?}");
        assert_ne!(
            server.server.ledger.audit(&project()).await.unwrap().fault_count,
            0,
            "{change:?}"
        );
    }
}

const SETUP: &str = r#"
users:
  - {user_id: "auth0|aud", username: aud, password: aud-password, roles: [auditor]}
  - {user_id: "auth0|adm", username: adm, password: adm-password, roles: [administrator]}
  - {user_id: "auth0|plain", username: plain, password: plain-password}
clients:
  - {client_id: web, client_secret: web-secret, grant_types: [password]}
"#;

const WEB: Client = Client {
    client_id: "web",
    client_secret: Some("web-secret"),
    redirect_uri: "https://web.example/callback",
};

async fn token(server: &TestServer, name: &str) -> String {
    let password = format!("{name}-password");
    let form = [
        ("grant_type", "password"),
        ("username", name),
        ("password", &password),
        ("audience", "https://behalf.test/api/"),
        ("scope", "read:records export:records"),
    ];
    let answer = WEB.token(server, &form).await.expect(200).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn post(server: &TestServer, path: &str, token: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.send(request.body(body.into()).unwrap()).await
}

/// The body of a tile, which is no text.
async fn bytes(server: &TestServer, path: &str, token: &str) -> Vec<u8> {
    let request = Request::get(path)
        .header(header::HOST, "behalf.test")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = server.server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{path}");
    let caching = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
    assert_eq!(caching, "private, max-age=31536000, immutable");
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn the_log_can_be_read_by_its_paths_and_only_by_those_who_may() {
    let server = TestServer::start(SETUP).await;
    for n in 0..260 {
        happen(&server, 0, n).await;
    }
    let (auditor, administrator) = (token(&server, "aud").await, token(&server, "adm").await);
    let plain = token(&server, "plain").await;
    server.server.ledger.flush().await.unwrap();

    let answer = server.get_with_token("/log/default/checkpoint", &administrator).await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    let size: usize = answer.text.lines().nth(1).unwrap().parse().unwrap();
    assert!(size > 260);
    let partial = format!("/log/default/tile/entries/001.p/{}", size - 256);
    let bundle = bytes(&server, &partial, &auditor).await;
    let width = u16::try_from(size - 256).unwrap();
    let entries = parse_bundle(&bundle, width).unwrap();
    let hashes = bytes(&server, "/log/default/tile/0/000", &auditor).await;
    assert_eq!(hashes.len(), 256 * 32);
    let rest = format!("/log/default/tile/0/001.p/{width}");
    let rest = bytes(&server, &rest, &auditor).await;
    for (entry, hash) in entries.iter().zip(rest.chunks(32)) {
        assert_eq!(leaf_hash(entry), hash);
    }
    for absent in [
        "/log/other/checkpoint",
        "/log/default/tile/entries/001",
        "/log/default/tile/0/1",
        "/log/default/tile/0/000.p/256",
        "/log/default/tile/9/000",
        "/log/default/tile/../checkpoint",
        "/api/v1/records/01ARZ3NDEKTSV4RRFFQ69G5FAV00/receipt",
        "/api/v1/exports/01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        server.get_with_token(absent, &auditor).await.expect(404);
    }

    let id = ids(&server).await[3].clone();
    let receipt = format!("/api/v1/records/{id}/receipt");
    let text = server.get_with_token(&receipt, &auditor).await.expect(200).text;
    let (extra, _) = text.parse::<Receipt>().unwrap().verify_alone().unwrap();
    for body in [text.clone(), extra.entry.clone(), json!({"receipt": text}).to_string()] {
        let verdict = post(&server, "/api/v1/verify", &auditor, body).await.expect(200).json();
        assert_eq!(verdict["valid"], true, "{verdict}");
        assert_eq!(verdict["record"]["id"], id.as_str());
    }
    for body in [text.replacen("index 3", "index 4", 1), extra.entry.replace("\"v\":1", "\"v\":2")]
    {
        let verdict = post(&server, "/api/v1/verify", &auditor, body).await.expect(200).json();
        assert_eq!(verdict["valid"], false, "{verdict}");
    }

    let export = post(&server, "/api/v1/exports", &auditor, "{}").await.expect(201).json();
    let listed = server.get_with_token("/api/v1/exports", &auditor).await.expect(200).json();
    assert_eq!(listed["exports"][0]["id"], export["id"]);
    for bad in [r#"{"from":"yesterday"}"#, r#"{"until":"2026-01-01"}"#, "[]", "{"] {
        post(&server, "/api/v1/exports", &auditor, bad).await.expect(400);
    }
    post(&server, "/api/v1/exports", &auditor, r#"{"project":"other"}"#).await.expect(404);

    // An administrator sees and does not take out; a plain person does neither; nobody nothing.
    post(&server, "/api/v1/exports", &administrator, "{}").await.expect(403);
    server.get_with_token("/log/default/checkpoint", &plain).await.expect(403);
    server.get_with_token(&receipt, &plain).await.expect(403);
    server.get("/log/default/checkpoint").await.expect(401);
    // A role taken away ends what her token may do.
    let set = SETUP.replace("roles: [auditor]", "roles: []");
    server.apply(&set).await.unwrap();
    server.get_with_token("/log/default/checkpoint", &auditor).await.expect(403);
}
