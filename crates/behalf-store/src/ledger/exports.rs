//! What was exported, by whom, and for which checkpoint.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRow {
    /// Its id.
    pub export_id: String,
    /// The project whose log it is of.
    pub project_id: ProjectId,
    /// The tree that its bundle is made for.
    pub tree_size: i64,
    /// The first leaf.
    pub first_leaf: i64,
    /// How many leaves follow, with the first.
    pub leaf_count: i64,
    /// The beginning of the window.
    pub from_at: Option<Timestamp>,
    /// The end of the window.
    pub to_at: Option<Timestamp>,
    /// Who asked, as JSON.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}

/// Keeps an export.
pub fn insert(tenant: &TenantId, export: &ExportRow) -> Statement {
    Statement::new(
        "INSERT INTO exports (tenant_id, export_id, project_id, tree_size, first_leaf, leaf_count,
             from_at, to_at, actor, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant)
    .bind(&export.export_id)
    .bind(&export.project_id)
    .bind(export.tree_size)
    .bind(export.first_leaf)
    .bind(export.leaf_count)
    .bind(export.from_at)
    .bind(export.to_at)
    .bind(&export.actor)
    .bind(export.created_at)
}

/// The export of that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    export_id: &str,
) -> Result<Option<ExportRow>, StoreError> {
    const FIND: &str = "SELECT export_id, project_id, tree_size, first_leaf, leaf_count, from_at,
             to_at, actor, created_at
         FROM exports WHERE tenant_id = $1 AND export_id = $2";
    storage.find(FIND, [tenant.into(), export_id.into()]).await?.map(from_row).transpose()
}

/// The latest `limit` exports whose ids sort below `before`, the latest first. Empty: from the end.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    before: &str,
    limit: u32,
) -> Result<Vec<ExportRow>, StoreError> {
    const LIST: &str = "SELECT export_id, project_id, tree_size, first_leaf, leaf_count, from_at,
             to_at, actor, created_at
         FROM exports WHERE tenant_id = $1 AND ($2 = '' OR export_id < $2)
         ORDER BY export_id DESC LIMIT $3";
    let params = [tenant.into(), before.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(from_row).collect()
}

fn from_row(mut row: Row) -> Result<ExportRow, StoreError> {
    Ok(ExportRow {
        export_id: row.take(0)?,
        project_id: row.take(1)?,
        tree_size: row.take(2)?,
        first_leaf: row.take(3)?,
        leaf_count: row.take(4)?,
        from_at: row.take(5)?,
        to_at: row.take(6)?,
        actor: row.take(7)?,
        created_at: row.take(8)?,
    })
}
