//! Logs: name, key and head.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A log and its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The project whose log it is.
    pub project_id: ProjectId,
    /// Its unique name.
    pub origin: String,
    /// Its public key.
    pub vkey: String,
    /// The seed of its private key, sealed.
    pub sealed_key: Vec<u8>,
    /// How many leaves there are.
    pub size: i64,
    /// The roots of the complete subtrees, one after the other.
    pub peaks: Vec<u8>,
}

/// Starts a log; `Conflict("log exists")` when the project has one.
pub fn insert(tenant: &TenantId, log: &LogRow, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO logs (tenant_id, project_id, origin, vkey, sealed_key, size, peaks, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(&log.project_id)
    .bind(&log.origin)
    .bind(&log.vkey)
    .bind(log.sealed_key.clone())
    .bind(log.size)
    .bind(log.peaks.clone())
    .bind(now)
    .or_conflict("log exists")
}

/// Moves the head; `Conflict("head moved")` when another sequencer was faster.
pub fn advance(
    tenant: &TenantId,
    project: &ProjectId,
    from: i64,
    to: i64,
    peaks: Vec<u8>,
) -> Statement {
    Statement::new(
        "UPDATE logs SET size = $4, peaks = $5
         WHERE tenant_id = $1 AND project_id = $2 AND size = $3",
    )
    .bind(tenant)
    .bind(project)
    .bind(from)
    .bind(to)
    .bind(peaks)
    .expect_rows(1, "head moved")
    .held_nowhere()
}

/// The project's log.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<Option<LogRow>, StoreError> {
    const FIND: &str = "SELECT project_id, origin, vkey, sealed_key, size, peaks
         FROM logs WHERE tenant_id = $1 AND project_id = $2";
    storage.find(FIND, [tenant.into(), project.into()]).await?.map(from_row).transpose()
}

/// Every log of the tenant.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(storage: &Storage, tenant: &TenantId) -> Result<Vec<LogRow>, StoreError> {
    const LIST: &str = "SELECT project_id, origin, vkey, sealed_key, size, peaks
         FROM logs WHERE tenant_id = $1 ORDER BY project_id";
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(from_row).collect()
}

fn from_row(mut row: Row) -> Result<LogRow, StoreError> {
    Ok(LogRow {
        project_id: row.take(0)?,
        origin: row.take(1)?,
        vkey: row.take(2)?,
        sealed_key: row.take(3)?,
        size: row.take(4)?,
        peaks: row.take(5)?,
    })
}
