//! Checkpoints: what the log signed, kept for ever.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// How many leaves the tree has.
    pub size: i64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// Keeps a checkpoint. Another node may have signed the same tree: the first signature stays.
pub fn insert(tenant: &TenantId, project: &ProjectId, checkpoint: &CheckpointRow) -> Statement {
    Statement::new(
        "INSERT INTO checkpoints (tenant_id, project_id, size, note, signed_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, project_id, size) DO NOTHING",
    )
    .bind(tenant)
    .bind(project)
    .bind(checkpoint.size)
    .bind(&checkpoint.note)
    .bind(checkpoint.signed_at)
    .held_nowhere()
}

/// The latest checkpoint of at most `size_max` leaves.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_latest(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    size_max: i64,
) -> Result<Option<CheckpointRow>, StoreError> {
    const FIND: &str = "SELECT size, note, signed_at FROM checkpoints
         WHERE tenant_id = $1 AND project_id = $2 AND size <= $3 ORDER BY size DESC LIMIT 1";
    let params = [tenant.into(), project.into(), size_max.into()];
    storage.find(FIND, params).await?.map(from_row).transpose()
}

/// The latest `limit` checkpoints of fewer than `below` leaves, the latest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    below: i64,
    limit: u32,
) -> Result<Vec<CheckpointRow>, StoreError> {
    const LIST: &str = "SELECT size, note, signed_at FROM checkpoints
         WHERE tenant_id = $1 AND project_id = $2 AND size < $3 ORDER BY size DESC LIMIT $4";
    let params = [tenant.into(), project.into(), below.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(from_row).collect()
}

fn from_row(mut row: Row) -> Result<CheckpointRow, StoreError> {
    Ok(CheckpointRow { size: row.take(0)?, note: row.take(1)?, signed_at: row.take(2)? })
}
