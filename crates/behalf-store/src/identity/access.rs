//! APIs, the clients that were granted their scopes, and what people agreed to.

use behalf_core::{ClientId, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// An API.
#[derive(Clone, Debug)]
pub struct ResourceServerRow {
    /// Its audience.
    pub identifier: String,
    /// Its settings as JSON.
    pub settings: String,
    /// Counts changes.
    pub version: i64,
}

fn resource_server(mut row: Row) -> Result<ResourceServerRow, StoreError> {
    Ok(ResourceServerRow {
        identifier: row.take(0)?,
        settings: row.take(1)?,
        version: row.take(2)?,
    })
}

/// The API with that audience.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_resource_server(
    storage: &Storage,
    tenant: &TenantId,
    identifier: &str,
) -> Result<Option<ResourceServerRow>, StoreError> {
    const FIND: &str = "SELECT identifier, settings, version FROM resource_servers
         WHERE tenant_id = $1 AND identifier = $2";
    storage.find(FIND, [tenant.into(), identifier.into()]).await?.map(resource_server).transpose()
}

/// Every API, by audience.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_resource_servers(
    storage: &Storage,
    tenant: &TenantId,
) -> Result<Vec<ResourceServerRow>, StoreError> {
    const LIST: &str = "SELECT identifier, settings, version FROM resource_servers
         WHERE tenant_id = $1 ORDER BY identifier";
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(resource_server).collect()
}

/// Registers an API.
pub fn insert_resource_server(
    tenant: &TenantId,
    identifier: &str,
    settings: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO resource_servers (tenant_id, identifier, settings, version,
             created_at, updated_at)
         VALUES ($1, $2, $3, 1, $4, $4)",
    )
    .bind(tenant)
    .bind(identifier)
    .bind(settings)
    .bind(now)
    .or_conflict("resource server exists")
}

/// Writes the settings of the API whose version is still `version`.
pub fn update_resource_server(
    tenant: &TenantId,
    identifier: &str,
    settings: &str,
    version: i64,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE resource_servers SET settings = $3, version = version + 1, updated_at = $4
         WHERE tenant_id = $1 AND identifier = $2 AND version = $5",
    )
    .bind(tenant)
    .bind(identifier)
    .bind(settings)
    .bind(now)
    .bind(version)
    .expect_rows(1, "resource server changed")
}

/// The settings (JSON) of what a client was granted of an API.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_client_grant(
    storage: &Storage,
    tenant: &TenantId,
    client_id: &ClientId,
    audience: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT settings FROM client_grants
         WHERE tenant_id = $1 AND client_id = $2 AND audience = $3";
    let row = storage.find(FIND, [tenant.into(), client_id.into(), audience.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Writes what a client is granted of an API.
pub fn put_client_grant(
    tenant: &TenantId,
    client_id: &ClientId,
    audience: &str,
    settings: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO client_grants (tenant_id, client_id, audience, settings,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (tenant_id, client_id, audience)
         DO UPDATE SET settings = excluded.settings, updated_at = excluded.updated_at",
    )
    .bind(tenant)
    .bind(client_id)
    .bind(audience)
    .bind(settings)
    .bind(now)
}

/// The scopes (space-separated) that a person agreed to give a client for an audience.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_consent(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    client_id: &ClientId,
    audience: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT scope FROM consents
         WHERE tenant_id = $1 AND user_id = $2 AND client_id = $3 AND audience = $4";
    let params = [tenant.into(), user_id.into(), client_id.into(), audience.into()];
    storage.find(FIND, params).await?.map(|mut row| row.take(0)).transpose()
}

/// Writes what a person agreed to give a client for an audience.
pub fn put_consent(
    tenant: &TenantId,
    user_id: &UserId,
    client_id: &ClientId,
    audience: &str,
    scope: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO consents (tenant_id, user_id, client_id, audience, scope, granted_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, user_id, client_id, audience)
         DO UPDATE SET scope = excluded.scope, granted_at = excluded.granted_at",
    )
    .bind(tenant)
    .bind(user_id)
    .bind(client_id)
    .bind(audience)
    .bind(scope)
    .bind(now)
}
