//! Tenants, the keys that encrypt their secrets, and the keys that sign their tokens.

use behalf_core::{TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A key-encryption key, wrapped by the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionKeyRow {
    /// Counts from 1; new secrets use the highest.
    pub version: i64,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// A signing key whose private half is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// The key's id in JWKS.
    pub kid: String,
    /// `RS256`, `ES256`, …
    pub algorithm: String,
    /// The private key, sealed.
    pub sealed: Vec<u8>,
}

/// Every declared tenant.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_tenants(storage: &Storage) -> Result<Vec<TenantId>, StoreError> {
    let rows = storage.query("SELECT tenant_id FROM tenants ORDER BY tenant_id", []).await?;
    rows.into_iter().map(|mut row| row.take(0)).collect()
}

/// Declares a tenant; `Conflict` when it exists.
pub fn insert_tenant(tenant: &TenantId, now: Timestamp) -> Statement {
    Statement::new("INSERT INTO tenants (tenant_id, created_at) VALUES ($1, $2)")
        .bind(tenant)
        .bind(now)
        .or_conflict("tenant exists")
}

/// The tenant's key-encryption keys, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_encryption_keys(
    storage: &Storage,
    tenant: &TenantId,
) -> Result<Vec<EncryptionKeyRow>, StoreError> {
    const LIST: &str =
        "SELECT version, wrapped FROM encryption_keys WHERE tenant_id = $1 ORDER BY version";
    let from_row =
        |mut row: Row| Ok(EncryptionKeyRow { version: row.take(0)?, wrapped: row.take(1)? });
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(from_row).collect()
}

/// Adds a key-encryption key.
pub fn insert_encryption_key(
    tenant: &TenantId,
    key: &EncryptionKeyRow,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO encryption_keys (tenant_id, version, wrapped, created_at)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(tenant)
    .bind(key.version)
    .bind(key.wrapped.clone())
    .bind(now)
}

/// The tenant's signing keys, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_signing_keys(
    storage: &Storage,
    tenant: &TenantId,
) -> Result<Vec<SigningKeyRow>, StoreError> {
    const LIST: &str = "SELECT kid, algorithm, sealed FROM signing_keys
         WHERE tenant_id = $1 ORDER BY created_at, kid";
    let from_row = |mut row: Row| {
        Ok(SigningKeyRow { kid: row.take(0)?, algorithm: row.take(1)?, sealed: row.take(2)? })
    };
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(from_row).collect()
}

/// Adds a signing key.
pub fn insert_signing_key(tenant: &TenantId, key: &SigningKeyRow, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO signing_keys (tenant_id, kid, algorithm, sealed, created_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(&key.kid)
    .bind(&key.algorithm)
    .bind(key.sealed.clone())
    .bind(now)
}
