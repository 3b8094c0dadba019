//! Leaves: the entries of a log, and what finds them.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::{Row, Value};

/// A leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRow {
    /// The project whose log it is in.
    pub project_id: ProjectId,
    /// Its place in the log.
    pub leaf_index: i64,
    /// The record's id.
    pub event_id: String,
    /// The event's kind.
    pub kind: String,
    /// The actor's id.
    pub actor: String,
    /// When it happened.
    pub at: Timestamp,
    /// The entry: RFC 8785 JSON.
    pub entry: String,
}

/// What a list of leaves is narrowed to; what is empty or absent narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafFilter {
    /// Only this kind, or every kind that begins with it when it ends with a dot.
    pub kind: String,
    /// Only what this actor did.
    pub actor: String,
    /// Not earlier than this.
    pub from: Option<Timestamp>,
    /// Earlier than this.
    pub to: Option<Timestamp>,
}

/// Appends a leaf; `Conflict("leaf exists")` when the event has one.
pub fn insert(tenant: &TenantId, leaf: &LeafRow) -> Statement {
    Statement::new(
        "INSERT INTO leaves (tenant_id, project_id, leaf_index, event_id, kind, actor, at, entry)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(&leaf.project_id)
    .bind(leaf.leaf_index)
    .bind(&leaf.event_id)
    .bind(&leaf.kind)
    .bind(&leaf.actor)
    .bind(leaf.at)
    .bind(&leaf.entry)
    .held_nowhere()
    .or_conflict("leaf exists")
}

const COLUMNS_BY_EVENT: &str =
    "SELECT project_id, leaf_index, event_id, kind, actor, at, entry FROM leaves
     WHERE tenant_id = $1 AND event_id = $2";

/// The leaf of that event, in whichever log of the tenant.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    event_id: &str,
) -> Result<Option<LeafRow>, StoreError> {
    let row = storage.find(COLUMNS_BY_EVENT, [tenant.into(), event_id.into()]).await?;
    row.map(from_row).transpose()
}

/// The leaves from `first` to before `end`, at most `limit`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    first: i64,
    end: i64,
    limit: u32,
) -> Result<Vec<LeafRow>, StoreError> {
    const LIST: &str = "SELECT project_id, leaf_index, event_id, kind, actor, at, entry FROM leaves
         WHERE tenant_id = $1 AND project_id = $2 AND leaf_index >= $3 AND leaf_index < $4
         ORDER BY leaf_index LIMIT $5";
    let params = [tenant.into(), project.into(), first.into(), end.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(from_row).collect()
}

/// The latest leaves before `before` that pass `filter`, the latest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_latest(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    filter: &LeafFilter,
    before: i64,
    limit: u32,
) -> Result<Vec<LeafRow>, StoreError> {
    let area = if filter.kind.ends_with('.') { filter.kind.as_str() } else { "" };
    let time = |bound: Option<Timestamp>, absent| bound.map_or(absent, Timestamp::as_micros);
    let params: [Value; 9] = [
        tenant.into(),
        project.into(),
        before.into(),
        (&filter.kind).into(),
        area.into(),
        (&filter.actor).into(),
        time(filter.from, i64::MIN).into(),
        time(filter.to, i64::MAX).into(),
        limit.into(),
    ];
    const LIST: &str = "SELECT project_id, leaf_index, event_id, kind, actor, at, entry FROM leaves
         WHERE tenant_id = $1 AND project_id = $2 AND leaf_index < $3
           AND ($4 = '' OR kind = $4 OR ($5 <> '' AND substr(kind, 1, length($5)) = $5))
           AND ($6 = '' OR actor = $6)
           AND at >= $7 AND at < $8
         ORDER BY leaf_index DESC LIMIT $9";
    storage.query(LIST, params).await?.into_iter().map(from_row).collect()
}

/// The run of leaves below `size` that a window of time spans, as first index and the one after
/// the last: `None` when nothing lies in it.
///
/// # Errors
/// As [`Storage::query`].
pub async fn span(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    size: i64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Option<(i64, i64)>, StoreError> {
    const SPAN: &str = "SELECT MIN(leaf_index), MAX(leaf_index) + 1 FROM leaves
         WHERE tenant_id = $1 AND project_id = $2 AND leaf_index < $3 AND at >= $4 AND at < $5";
    let time = |bound: Option<Timestamp>, absent| bound.map_or(absent, Timestamp::as_micros);
    let params = [
        tenant.into(),
        project.into(),
        size.into(),
        time(from, i64::MIN).into(),
        time(to, i64::MAX).into(),
    ];
    let Some(mut row) = storage.find(SPAN, params).await? else { return Ok(None) };
    let (first, end): (Option<i64>, Option<i64>) = (row.take(0)?, row.take(1)?);
    Ok(first.zip(end))
}

/// Every kind that the log holds.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_kinds(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<Vec<String>, StoreError> {
    const LIST: &str = "SELECT DISTINCT kind FROM leaves
         WHERE tenant_id = $1 AND project_id = $2 ORDER BY kind";
    let rows = storage.query(LIST, [tenant.into(), project.into()]).await?;
    rows.into_iter().map(|mut row| row.take(0)).collect()
}

fn from_row(mut row: Row) -> Result<LeafRow, StoreError> {
    Ok(LeafRow {
        project_id: row.take(0)?,
        leaf_index: row.take(1)?,
        event_id: row.take(2)?,
        kind: row.take(3)?,
        actor: row.take(4)?,
        at: row.take(5)?,
        entry: row.take(6)?,
    })
}
