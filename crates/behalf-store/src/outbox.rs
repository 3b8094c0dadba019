//! Events between their commit and their leaf: a queue that only the ledger empties.

use behalf_core::{Event, ProjectId, TenantId, Timestamp};
use serde_json::Value as Json;

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::{Sql, Statement};
use crate::value::Row;

/// An event as the outbox keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The tenant it happened in.
    pub tenant_id: String,
    /// The record's id: the unit's ULID and two digits that count its events.
    pub event_id: String,
    /// The project whose log gets the leaf.
    pub project_id: String,
    /// The kind, as `EventKind::as_str` gives it.
    pub kind: String,
    /// The actor as JSON.
    pub actor: String,
    /// The facts as JSON.
    pub facts: String,
    /// When it happened.
    pub at: Timestamp,
}

pub(crate) fn insert(id: &str, now: Timestamp, event: &Event) -> Statement {
    let actor = serde_json::to_value(&event.actor).unwrap_or(Json::Null);
    Statement::new(
        "INSERT INTO outbox (tenant_id, event_id, project_id, kind, actor, facts, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&event.tenant)
    .bind(id)
    .bind(&event.project)
    .bind(event.kind.as_str())
    .bind(actor.to_string())
    .bind(Json::Object(event.facts.clone()).to_string())
    .bind(now)
    .held_nowhere()
}

/// How many events have no leaf yet.
///
/// # Errors
/// As [`Storage::query`].
pub async fn count(storage: &Storage, tenant: &TenantId) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM outbox WHERE tenant_id = $1";
    match storage.find(COUNT, [tenant.into()]).await? {
        Some(mut row) => row.take(0),
        None => Ok(0),
    }
}

/// The oldest `limit` events that have no leaf yet, in the order of their commits.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(storage: &Storage, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    const LIST: Sql = Sql::each(
        "SELECT tenant_id, event_id, project_id, kind, actor, facts, at
         FROM outbox ORDER BY rowid LIMIT $1",
        "SELECT tenant_id, event_id, project_id, kind, actor, facts, at
         FROM outbox ORDER BY seq LIMIT $1",
    );
    storage.query(LIST, [limit.into()]).await?.into_iter().map(from_row).collect()
}

/// The projects of the tenant for whose logs events wait.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_projects(
    storage: &Storage,
    tenant: &TenantId,
) -> Result<Vec<ProjectId>, StoreError> {
    const LIST: &str =
        "SELECT DISTINCT project_id FROM outbox WHERE tenant_id = $1 ORDER BY project_id";
    let rows = storage.query(LIST, [tenant.into()]).await?;
    rows.into_iter().map(|mut row| row.take(0)).collect()
}

/// As [`list`], for the log of one project.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_of(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    limit: u32,
) -> Result<Vec<OutboxRow>, StoreError> {
    const LIST: Sql = Sql::each(
        "SELECT tenant_id, event_id, project_id, kind, actor, facts, at
         FROM outbox WHERE tenant_id = $1 AND project_id = $2 ORDER BY rowid LIMIT $3",
        "SELECT tenant_id, event_id, project_id, kind, actor, facts, at
         FROM outbox WHERE tenant_id = $1 AND project_id = $2 ORDER BY seq LIMIT $3",
    );
    let rows = storage.query(LIST, [tenant.into(), project.into(), limit.into()]).await?;
    rows.into_iter().map(from_row).collect()
}

/// Takes an event out, in the unit that makes it a leaf; `Conflict("event is gone")` when another
/// sequencer has done so.
pub fn remove(tenant: &TenantId, event_id: &str) -> Statement {
    Statement::new("DELETE FROM outbox WHERE tenant_id = $1 AND event_id = $2")
        .bind(tenant)
        .bind(event_id)
        .expect_rows(1, "event is gone")
        .held_nowhere()
}

fn from_row(mut row: Row) -> Result<OutboxRow, StoreError> {
    Ok(OutboxRow {
        tenant_id: row.take(0)?,
        event_id: row.take(1)?,
        project_id: row.take(2)?,
        kind: row.take(3)?,
        actor: row.take(4)?,
        facts: row.take(5)?,
        at: row.take(6)?,
    })
}
