//! The server engine: the kit, migrations, and what is special to several nodes.
//!
//! `DATABASE_URL` names a database in which each test makes a schema of its own; without it the
//! tests say that they did not run.

use std::sync::atomic::{AtomicU32, Ordering};

use behalf_core::Timestamp;
use behalf_store::{Phase, Storage, StoreError};

use crate::conformance;

/// The address of a new schema, or `None` after saying that the test did not run.
pub(crate) async fn schema() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "a test is told where its database is")]
    let Ok(url) = std::env::var("DATABASE_URL") else {
        #[expect(clippy::print_stdout, reason = "a test that did not run says so")]
        {
            println!("postgres: NOT RUN (DATABASE_URL is not set)");
        }
        return None;
    };
    let name = format!("s{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    driver.abort();
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options=-c%20search_path%3D{name}"))
}

const NOW: Timestamp = Timestamp::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_passes_the_conformance_kit() {
    let Some(url) = schema().await else { return };
    Storage::migrate_postgres(&url, Phase::Expand, NOW).await.unwrap();
    let storage = Storage::open_postgres(&url).await.unwrap();
    conformance::run_all(&storage).await;
    storage.close().await;
}

#[tokio::test]
async fn a_database_without_the_schema_says_what_to_run() {
    let Some(url) = schema().await else { return };
    let error = Storage::open_postgres(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("`behalf migrate expand`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_migrate_at_once_apply_everything_once() {
    let Some(url) = schema().await else { return };
    let before = Storage::postgres_migrations(&url).await.unwrap();
    assert!(before.iter().all(|migration| migration.applied_at.is_none()));
    let nodes = (0..4).map(|_| Storage::migrate_postgres(&url, Phase::Expand, NOW));
    let mut applied = 0;
    for result in futures_util::future::join_all(nodes).await {
        applied += result.unwrap().len();
    }
    assert_eq!(applied, before.len());
    let after = Storage::postgres_migrations(&url).await.unwrap();
    assert!(after.iter().all(|migration| migration.applied_at == Some(NOW)));
    assert!(Storage::migrate_postgres(&url, Phase::Contract, NOW).await.unwrap().is_empty());
    Storage::open_postgres(&url).await.unwrap();
}
