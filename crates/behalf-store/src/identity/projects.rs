//! Workspaces of traces, by name.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;

/// The name of the project with that id, if it was ever given one.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_name(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT name FROM projects WHERE tenant_id = $1 AND project_id = $2";
    let row = storage.find(FIND, [tenant.into(), project.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Adds the project, or renames it.
pub fn put(tenant: &TenantId, project: &ProjectId, name: &str, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO projects (tenant_id, project_id, name, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, project_id) DO UPDATE SET name = excluded.name",
    )
    .bind(tenant)
    .bind(project)
    .bind(name)
    .bind(now)
}
