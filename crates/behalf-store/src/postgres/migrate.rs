//! The schema's history on PostgreSQL: applied by `behalf migrate`, never by a server that starts.

use behalf_core::Timestamp;
use tokio_postgres::Client;

use super::address::Address;
use super::{error, pool};
use crate::error::StoreError;
use crate::migrations::{self, Applied, MigrationStatus, Phase};

/// One migration at a time, whichever node begins it.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('behalf.' || current_schema(), 0))";
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    number BIGINT PRIMARY KEY, slug TEXT NOT NULL, phase TEXT NOT NULL,
    checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const LIST: &str = "SELECT number, slug, phase, checksum, applied_at FROM schema_migrations
    ORDER BY number";
const RECORD: &str = "INSERT INTO schema_migrations (number, slug, phase, checksum, applied_at)
    VALUES ($1, $2, $3, $4, $5)";

/// Refuses a database whose schema this version cannot work with.
pub(super) async fn require_current(client: &Client) -> Result<(), StoreError> {
    let applied = list(client).await?;
    let missing = migrations::pending_postgres(&applied, Phase::Expand)?.len();
    if missing == 0 {
        return Ok(());
    }
    let state = if applied.is_empty() { "is not set up" } else { "has an older schema" };
    Err(StoreError::unavailable(format!(
        "the database {state} ({missing} migrations are missing); run `behalf migrate expand` with \
         the same --database"
    )))
}

/// Every migration that this version or the database knows.
pub(crate) async fn status(url: &str) -> Result<Vec<MigrationStatus>, StoreError> {
    let client = connect(url).await?;
    let applied = list(&client).await?;
    migrations::pending_postgres(&applied, Phase::Contract)?;
    Ok(migrations::status_postgres(&applied))
}

/// Applies what is missing up to and with `phase`, in one transaction; what was applied.
pub(crate) async fn migrate(
    url: &str,
    phase: Phase,
    now: Timestamp,
) -> Result<Vec<MigrationStatus>, StoreError> {
    let mut client = connect(url).await?;
    let driver = |error: tokio_postgres::Error| error::of(&error).into_store();
    let transaction = client.transaction().await.map_err(driver)?;
    // A table of a busy system may be waited for longer than a request would.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await.map_err(driver)?;
    transaction.query(LOCK, &[]).await.map_err(driver)?;
    transaction.batch_execute(HISTORY).await.map_err(driver)?;
    let applied = list(transaction.client()).await?;
    let mut done = Vec::new();
    for migration in migrations::pending_postgres(&applied, phase)? {
        let text = migration.postgres_text();
        transaction.batch_execute(&text).await.map_err(|error| StoreError::Internal {
            reason: format!("migration {} failed: {}", migration.number, driver(error)),
        })?;
        let row = migration.status(Some(now));
        let (phase, checksum) = (row.phase.as_str(), migrations::checksum(&text));
        let micros = now.as_micros();
        transaction
            .execute(RECORD, &[&row.number, &row.slug, &phase, &checksum, &micros])
            .await
            .map_err(driver)?;
        done.push(row);
    }
    transaction.commit().await.map_err(driver)?;
    Ok(done)
}

async fn connect(url: &str) -> Result<deadpool_postgres::ClientWrapper, StoreError> {
    let pool = pool::build(&Address::parse(url)?, 1)?;
    let client = pool.get().await.map_err(|error| error::of_pool(&error))?;
    pool::check_server(&client).await?;
    Ok(deadpool_postgres::Object::take(client))
}

async fn list(client: &Client) -> Result<Vec<Applied>, StoreError> {
    let driver = |error: tokio_postgres::Error| error::of(&error).into_store();
    let exists = client
        .query_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[])
        .await
        .and_then(|row| row.try_get::<_, bool>(0))
        .map_err(driver)?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = client.query(LIST, &[]).await.map_err(driver)?;
    let read = |row: &tokio_postgres::Row| -> Result<Applied, tokio_postgres::Error> {
        Ok(Applied {
            number: row.try_get(0)?,
            slug: row.try_get(1)?,
            is_contract: row.try_get::<_, String>(2)? == Phase::Contract.as_str(),
            checksum: row.try_get(3)?,
            applied_at: Timestamp::from_micros(row.try_get(4)?),
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(driver)
}
