//! Applications.

use behalf_core::{ClientId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// An application.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Its id.
    pub client_id: ClientId,
    /// SHA-256 of its secret; `None` for a public client.
    pub secret_hash: Option<Vec<u8>>,
    /// Its settings as JSON.
    pub settings: String,
    /// Counts changes.
    pub version: i64,
}

macro_rules! select_clients {
    ($rest:literal) => {
        concat!(
            "SELECT client_id, secret_hash, settings, version FROM clients WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn from_row(mut row: Row) -> Result<ClientRow, StoreError> {
    Ok(ClientRow {
        client_id: row.take(0)?,
        secret_hash: row.take(1)?,
        settings: row.take(2)?,
        version: row.take(3)?,
    })
}

/// The application with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    client_id: &ClientId,
) -> Result<Option<ClientRow>, StoreError> {
    const FIND: &str = select_clients!("AND client_id = $2");
    storage.find(FIND, [tenant.into(), client_id.into()]).await?.map(from_row).transpose()
}

/// Every application, by id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(storage: &Storage, tenant: &TenantId) -> Result<Vec<ClientRow>, StoreError> {
    const LIST: &str = select_clients!("ORDER BY client_id");
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(from_row).collect()
}

/// The applications in whose settings a string begins with `text`, perhaps in other letter case;
/// without `%` and `_`, which mean something else here.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_naming(
    storage: &Storage,
    tenant: &TenantId,
    text: &str,
) -> Result<Vec<ClientRow>, StoreError> {
    const LIST: &str = select_clients!("AND settings LIKE $2 ORDER BY client_id");
    let pattern = format!("%\"{text}%");
    storage.query(LIST, [tenant.into(), pattern.into()]).await?.into_iter().map(from_row).collect()
}

/// Registers an application.
pub fn insert(
    tenant: &TenantId,
    client_id: &ClientId,
    secret_hash: Option<[u8; 32]>,
    settings: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO clients (tenant_id, client_id, secret_hash, settings, version,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, 1, $5, $5)",
    )
    .bind(tenant)
    .bind(client_id)
    .bind(secret_hash)
    .bind(settings)
    .bind(now)
    .or_conflict("client exists")
}

/// Writes the settings of the application whose version is still `version`.
pub fn update(
    tenant: &TenantId,
    client_id: &ClientId,
    settings: &str,
    version: i64,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE clients SET settings = $3, version = version + 1, updated_at = $4
         WHERE tenant_id = $1 AND client_id = $2 AND version = $5",
    )
    .bind(tenant)
    .bind(client_id)
    .bind(settings)
    .bind(now)
    .bind(version)
    .expect_rows(1, "client changed")
}

/// Replaces the application's secret.
pub fn set_secret(
    tenant: &TenantId,
    client_id: &ClientId,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE clients SET secret_hash = $3, version = version + 1, updated_at = $4
         WHERE tenant_id = $1 AND client_id = $2",
    )
    .bind(tenant)
    .bind(client_id)
    .bind(secret_hash)
    .bind(now)
    .expect_rows(1, "client is gone")
}
