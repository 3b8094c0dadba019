//! Connections to providers.

use behalf_core::{ConnectionName, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its name.
    pub name: ConnectionName,
    /// Which kind of provider it is.
    pub strategy: String,
    /// Addresses, client id and scopes, as JSON.
    pub options: String,
    /// The client secret, sealed.
    pub client_secret: Option<Vec<u8>>,
    /// Grows with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The connection of that name.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    name: &ConnectionName,
) -> Result<Option<ConnectionRow>, StoreError> {
    const FIND: &str = "SELECT name, strategy, options, client_secret, version, created_at
         FROM connections WHERE tenant_id = $1 AND name = $2";
    storage.find(FIND, [tenant.into(), name.into()]).await?.map(from_row).transpose()
}

/// Every connection, by name.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(storage: &Storage, tenant: &TenantId) -> Result<Vec<ConnectionRow>, StoreError> {
    const LIST: &str = "SELECT name, strategy, options, client_secret, version, created_at
         FROM connections WHERE tenant_id = $1 ORDER BY name";
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(from_row).collect()
}

fn from_row(mut row: Row) -> Result<ConnectionRow, StoreError> {
    Ok(ConnectionRow {
        name: row.take(0)?,
        strategy: row.take(1)?,
        options: row.take(2)?,
        client_secret: row.take(3)?,
        version: row.take(4)?,
        created_at: row.take(5)?,
    })
}

/// Makes a connection; `Conflict("connection exists")` when there is one of that name.
pub fn insert(tenant: &TenantId, connection: &ConnectionRow) -> Statement {
    Statement::new(
        "INSERT INTO connections (tenant_id, name, strategy, options, client_secret, version,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $6)",
    )
    .bind(tenant)
    .bind(&connection.name)
    .bind(&connection.strategy)
    .bind(&connection.options)
    .bind(connection.client_secret.clone())
    .bind(connection.created_at)
    .or_conflict("connection exists")
}

/// Changes the connection whose version is `connection.version`, its secret too;
/// `Conflict("connection was changed")` when another version stands.
pub fn update(tenant: &TenantId, connection: &ConnectionRow, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE connections SET strategy = $4, options = $5, client_secret = $6,
             version = version + 1, updated_at = $7
         WHERE tenant_id = $1 AND name = $2 AND version = $3",
    )
    .bind(tenant)
    .bind(&connection.name)
    .bind(connection.version)
    .bind(&connection.strategy)
    .bind(&connection.options)
    .bind(connection.client_secret.clone())
    .bind(now)
    .expect_rows(1, "connection was changed")
}
