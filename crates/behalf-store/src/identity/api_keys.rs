//! Preshared keys of machines.

use behalf_core::{TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;

/// A key's name and settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its name.
    pub name: String,
    /// What it may do, as JSON.
    pub settings: String,
}

/// The key of that kind with that hash.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    kind: &str,
    key_hash: &[u8; 32],
) -> Result<Option<ApiKeyRow>, StoreError> {
    const FIND: &str = "SELECT name, settings FROM api_keys
         WHERE tenant_id = $1 AND key_hash = $2 AND kind = $3";
    let row = storage.find(FIND, [tenant.into(), key_hash.into(), kind.into()]).await?;
    row.map(|mut row| Ok(ApiKeyRow { name: row.take(0)?, settings: row.take(1)? })).transpose()
}

/// The settings of the key of that kind and name.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_by_name(
    storage: &Storage,
    tenant: &TenantId,
    kind: &str,
    name: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT settings FROM api_keys
         WHERE tenant_id = $1 AND kind = $2 AND name = $3";
    let row = storage.find(FIND, [tenant.into(), kind.into(), name.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Adds a key.
pub fn insert(
    tenant: &TenantId,
    kind: &str,
    name: &str,
    key_hash: [u8; 32],
    settings: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO api_keys (tenant_id, key_hash, kind, name, settings, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(key_hash)
    .bind(kind)
    .bind(name)
    .bind(settings)
    .bind(now)
    .or_conflict("API key exists")
}

/// Writes a key's settings, and its hash when one is given.
pub fn update(
    tenant: &TenantId,
    kind: &str,
    name: &str,
    key_hash: Option<[u8; 32]>,
    settings: &str,
) -> Statement {
    Statement::new(
        "UPDATE api_keys SET settings = $4, key_hash = COALESCE($5, key_hash)
         WHERE tenant_id = $1 AND kind = $2 AND name = $3",
    )
    .bind(tenant)
    .bind(kind)
    .bind(name)
    .bind(settings)
    .bind(key_hash)
    .expect_rows(1, "API key is gone")
}
