//! Tiles of hashes, one row each; the last of a level grows until it is full.

use behalf_core::{ProjectId, TenantId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;

/// Stores a tile, or what it has grown to.
pub fn put(
    tenant: &TenantId,
    project: &ProjectId,
    level: u32,
    tile_index: i64,
    hashes: Vec<u8>,
) -> Statement {
    Statement::new(
        "INSERT INTO log_tiles (tenant_id, project_id, level, tile_index, hashes)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, project_id, level, tile_index)
         DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(tenant)
    .bind(project)
    .bind(level)
    .bind(tile_index)
    .bind(hashes)
    .held_nowhere()
}

/// The hashes of a tile.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    level: u32,
    tile_index: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    const FIND: &str = "SELECT hashes FROM log_tiles
         WHERE tenant_id = $1 AND project_id = $2 AND level = $3 AND tile_index = $4";
    let params = [tenant.into(), project.into(), level.into(), tile_index.into()];
    storage.find(FIND, params).await?.map(|mut row| row.take(0)).transpose()
}
