//! The log: events become leaves once and in order, whatever happens; what is stored twice is
//! compared; the routes of the log and who may ask.

use std::time::Duration;

use behalf_core::{Actor, Event, EventKind, ProjectId, TenantId};
use behalf_ledger::{LeafFilter, Verdict};
use behalf_tests::TestServer;
use behalf_verify::canonical_json::is_canonical;
use behalf_verify::checkpoint::LogPolicy;
use behalf_verify::receipt::Receipt;

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
