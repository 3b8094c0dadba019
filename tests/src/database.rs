//! The suite on PostgreSQL: with `BEHALF_TEST_DATABASE` each folder gets a schema of its own in that
//! database, and a server opened on the folder again finds the same one.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use behalf_core::Secret;
use behalf_store::{Phase, Storage};

use crate::START;

/// Where a folder notes its schema's name.
const NOTE: &str = "test-schema";

/// Where the tests' database is, if they run on PostgreSQL.
pub(crate) fn address() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test is told where its database is")]
    std::env::var("BEHALF_TEST_DATABASE").ok()
}

/// The database of the server on `dir`; `None` for the embedded store.
pub(crate) async fn of_folder(dir: &Path) -> Option<Secret<String>> {
    let url = address()?;
    let note = dir.join(NOTE);
    let name = if note.exists() {
        std::fs::read_to_string(&note).unwrap()
    } else {
        let name = create(&url).await;
        std::fs::write(&note, &name).unwrap();
        name
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}options=-c%20search_path%3D{name}");
    Storage::migrate_postgres(&url, Phase::Expand, START).await.unwrap();
    Some(Secret::new(url))
}

/// Lets the server on `to` use the schema of the one on `from`; false, and said so, without one.
pub(crate) fn share(from: &Path, to: &Path) -> bool {
    let has_schema = from.join(NOTE).exists();
    if has_schema {
        std::fs::copy(from.join(NOTE), to.join(NOTE)).unwrap();
    } else {
        #[expect(clippy::print_stdout, reason = "a test that did not run says so")]
        {
            println!("several nodes: NOT RUN (BEHALF_TEST_DATABASE is not set)");
        }
    }
    has_schema
}

/// The tables of the schema that the folder notes, if it notes one, each with all it holds.
pub(crate) async fn tables(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(schema) = std::fs::read_to_string(dir.join(NOTE)) else { return Vec::new() };
    let url = address().unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    // Bytes that are letters are shown as such.
    client.batch_execute("SET bytea_output = 'escape'").await.unwrap();
    const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1";
    let names = client.query(TABLES, &[&schema]).await.unwrap();
    let mut tables = Vec::new();
    for name in names {
        let name: String = name.get(0);
        let rows = format!("SELECT row::text FROM {schema}.{name} AS row");
        let rows = client.query(&rows, &[]).await.unwrap();
        let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        tables.push((name, text.join("\n").into_bytes()));
    }
    connection.abort();
    tables
}

async fn create(url: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    connection.abort();
    name
}
