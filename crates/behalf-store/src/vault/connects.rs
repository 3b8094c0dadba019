//! Connects under way: the trip to the provider, and the application's session around it.

use behalf_core::{ClientId, ConnectionName, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A person on her way to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectStateRow {
    /// The browser that set out.
    pub browser_hash: Vec<u8>,
    /// Who she is here.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: ConnectionName,
    /// Scopes and where to go afterwards, as JSON.
    pub details: String,
    /// The PKCE verifier, sealed.
    pub verifier: Vec<u8>,
    /// When she is too late.
    pub expires_at: Timestamp,
}

/// A connect that an application began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectSessionRow {
    /// The hash of `auth_session`.
    pub session_hash: Vec<u8>,
    /// The hash of what opens the page.
    pub ticket_hash: Vec<u8>,
    /// The hash of what the application comes back with, once there is one.
    pub code_hash: Option<Vec<u8>>,
    /// For whom.
    pub user_id: UserId,
    /// Which application.
    pub client_id: ClientId,
    /// Through which connection.
    pub connection: ConnectionName,
    /// Redirect address, state, challenge and scopes, as JSON.
    pub details: String,
    /// What the provider gave, sealed.
    pub token_set: Option<Vec<u8>>,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// Remembers a trip to a provider.
pub fn insert_state(
    tenant: &TenantId,
    state_hash: &[u8; 32],
    state: &ConnectStateRow,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO connect_states (tenant_id, state_hash, browser_hash, user_id, connection,
             details, verifier, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(state_hash)
    .bind(state.browser_hash.clone())
    .bind(&state.user_id)
    .bind(&state.connection)
    .bind(&state.details)
    .bind(state.verifier.clone())
    .bind(now)
    .bind(state.expires_at)
}

/// The trip with that state, if it is not too late.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_state(
    storage: &Storage,
    tenant: &TenantId,
    state_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<ConnectStateRow>, StoreError> {
    const FIND: &str = "SELECT browser_hash, user_id, connection, details, verifier, expires_at
         FROM connect_states WHERE tenant_id = $1 AND state_hash = $2 AND expires_at > $3";
    let row = storage.find(FIND, [tenant.into(), state_hash.into(), now.into()]).await?;
    row.map(|mut row| {
        Ok(ConnectStateRow {
            browser_hash: row.take(0)?,
            user_id: row.take(1)?,
            connection: row.take(2)?,
            details: row.take(3)?,
            verifier: row.take(4)?,
            expires_at: row.take(5)?,
        })
    })
    .transpose()
}

/// Ends the trip, so that its state counts once; `Conflict("connect is over")` when it has.
pub fn take_state(tenant: &TenantId, state_hash: &[u8; 32]) -> Statement {
    Statement::new("DELETE FROM connect_states WHERE tenant_id = $1 AND state_hash = $2")
        .bind(tenant)
        .bind(state_hash)
        .expect_rows(1, "connect is over")
}

/// Forgets every trip that ran out before `now`.
pub fn purge_states(now: Timestamp) -> Statement {
    Statement::new("DELETE FROM connect_states WHERE expires_at <= $1").bind(now)
}

/// Begins an application's connect.
pub fn insert_session(tenant: &TenantId, session: &ConnectSessionRow, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO connect_sessions (tenant_id, session_hash, ticket_hash, user_id, client_id,
             connection, details, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(session.session_hash.clone())
    .bind(session.ticket_hash.clone())
    .bind(&session.user_id)
    .bind(&session.client_id)
    .bind(&session.connection)
    .bind(&session.details)
    .bind(now)
    .bind(session.expires_at)
}

/// The application's connect with that `auth_session`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_session(
    storage: &Storage,
    tenant: &TenantId,
    session_hash: &[u8],
    now: Timestamp,
) -> Result<Option<ConnectSessionRow>, StoreError> {
    const FIND: &str = "SELECT session_hash, ticket_hash, code_hash, user_id, client_id,
             connection, details, token_set, expires_at
         FROM connect_sessions WHERE tenant_id = $1 AND session_hash = $2 AND expires_at > $3";
    let row = storage.find(FIND, [tenant.into(), session_hash.into(), now.into()]).await?;
    row.map(session).transpose()
}

/// The application's connect with that ticket.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_session_by_ticket(
    storage: &Storage,
    tenant: &TenantId,
    ticket_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<ConnectSessionRow>, StoreError> {
    const FIND: &str = "SELECT session_hash, ticket_hash, code_hash, user_id, client_id,
             connection, details, token_set, expires_at
         FROM connect_sessions WHERE tenant_id = $1 AND ticket_hash = $2 AND expires_at > $3";
    let row = storage.find(FIND, [tenant.into(), ticket_hash.into(), now.into()]).await?;
    row.map(session).transpose()
}

fn session(mut row: Row) -> Result<ConnectSessionRow, StoreError> {
    Ok(ConnectSessionRow {
        session_hash: row.take(0)?,
        ticket_hash: row.take(1)?,
        code_hash: row.take(2)?,
        user_id: row.take(3)?,
        client_id: row.take(4)?,
        connection: row.take(5)?,
        details: row.take(6)?,
        token_set: row.take(7)?,
        expires_at: row.take(8)?,
    })
}

/// Keeps what the provider gave until the application completes; `Conflict("connect is over")`
/// when there is something already.
pub fn fill_session(
    tenant: &TenantId,
    session_hash: &[u8],
    code_hash: &[u8; 32],
    token_set: Vec<u8>,
) -> Statement {
    Statement::new(
        "UPDATE connect_sessions SET code_hash = $3, token_set = $4
         WHERE tenant_id = $1 AND session_hash = $2 AND code_hash IS NULL",
    )
    .bind(tenant)
    .bind(session_hash)
    .bind(code_hash)
    .bind(token_set)
    .expect_rows(1, "connect is over")
}

/// Ends an application's connect; `Conflict("connect is over")` when it has ended.
pub fn take_session(tenant: &TenantId, session_hash: &[u8]) -> Statement {
    Statement::new("DELETE FROM connect_sessions WHERE tenant_id = $1 AND session_hash = $2")
        .bind(tenant)
        .bind(session_hash)
        .expect_rows(1, "connect is over")
}

/// Forgets every application's connect that ran out before `now`.
pub fn purge_sessions(now: Timestamp) -> Statement {
    Statement::new("DELETE FROM connect_sessions WHERE expires_at <= $1").bind(now)
}
