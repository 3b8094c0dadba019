//! Batches: what was acknowledged, in the order in which it was.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::{Row, Value};

/// The name under which a unit knows the number of its batch.
const SEQUENCE: &str = "trace_sequence";

/// One request's spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// Its place among the project's batches, from 1.
    pub sequence: i64,
    /// Whose run it is; empty when it is nobody's.
    pub owner: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// How many spans it holds.
    pub spans: i64,
    /// The spans, compressed and sealed.
    pub body: Vec<u8>,
}

/// Takes the project's next number, which the unit's later statements use.
pub fn next_sequence(tenant: &TenantId, project: &ProjectId) -> Statement {
    Statement::new(
        "INSERT INTO trace_heads (tenant_id, project_id, sequence) VALUES ($1, $2, 1)
         ON CONFLICT (tenant_id, project_id) DO UPDATE SET sequence = trace_heads.sequence + 1
         RETURNING sequence",
    )
    .bind(tenant)
    .bind(project)
    .returning(SEQUENCE)
}

/// Stores a batch under the number that the unit took.
pub fn insert_batch(
    tenant: &TenantId,
    project: &ProjectId,
    owner: &str,
    spans: i64,
    body: Vec<u8>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO trace_batches (tenant_id, project_id, sequence, owner, received_at, spans,
             body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant)
    .bind(project)
    .bind_returned(SEQUENCE)
    .bind(owner)
    .bind(now)
    .bind(spans)
    .bind(body)
}

/// The number of a batch: the one that the unit takes, or one that it has had before.
pub(super) fn bind_sequence(statement: Statement, known: Option<i64>) -> Statement {
    match known {
        Some(sequence) => statement.bind(sequence),
        None => statement.bind_returned(SEQUENCE),
    }
}

fn batch(mut row: Row) -> Result<BatchRow, StoreError> {
    Ok(BatchRow {
        sequence: row.take(0)?,
        owner: row.take(1)?,
        received_at: row.take(2)?,
        spans: row.take(3)?,
        body: row.take(4)?,
    })
}

/// The batch with that number.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_batch(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    sequence: i64,
) -> Result<Option<BatchRow>, StoreError> {
    const FIND: &str = "SELECT sequence, owner, received_at, spans, body FROM trace_batches
         WHERE tenant_id = $1 AND project_id = $2 AND sequence = $3";
    let params: [Value; 3] = [tenant.into(), project.into(), sequence.into()];
    storage.find(FIND, params).await?.map(batch).transpose()
}

/// The first `limit` batches after `after`, in order.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_batches(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    after: i64,
    limit: u32,
) -> Result<Vec<BatchRow>, StoreError> {
    const LIST: &str = "SELECT sequence, owner, received_at, spans, body FROM trace_batches
         WHERE tenant_id = $1 AND project_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4";
    let params: [Value; 4] = [tenant.into(), project.into(), after.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(batch).collect()
}
