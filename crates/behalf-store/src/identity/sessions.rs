//! Browser sessions, and sign-ins under way.

use behalf_core::{SessionId, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A browser session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The `sid` that ID tokens carry.
    pub sid: SessionId,
    /// Who signed in.
    pub user_id: UserId,
    /// The browser's own description.
    pub user_agent: String,
    /// When she proved who she is.
    pub auth_time: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A sign-in under way.
#[derive(Clone, Debug)]
pub struct SignInRow {
    /// SHA-256 of the cookie of the browser that started it.
    pub browser_hash: Vec<u8>,
    /// The checked request as JSON.
    pub request: String,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT sid, user_id, user_agent, auth_time, created_at, expires_at FROM sessions ",
            "WHERE tenant_id = $1 AND ended_at IS NULL AND ",
            $rest
        )
    };
}

fn from_row(mut row: Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        sid: row.take(0)?,
        user_id: row.take(1)?,
        user_agent: row.take(2)?,
        auth_time: row.take(3)?,
        created_at: row.take(4)?,
        expires_at: row.take(5)?,
    })
}

/// The live session of the browser whose cookie has that hash.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_by_cookie(
    storage: &Storage,
    tenant: &TenantId,
    cookie_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SessionRow>, StoreError> {
    const FIND: &str = select_sessions!("cookie_hash = $2 AND expires_at > $3");
    let params = [tenant.into(), cookie_hash.into(), now.into()];
    storage.find(FIND, params).await?.map(from_row).transpose()
}

/// The live session with that `sid`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    sid: &SessionId,
    now: Timestamp,
) -> Result<Option<SessionRow>, StoreError> {
    const FIND: &str = select_sessions!("sid = $2 AND expires_at > $3");
    storage.find(FIND, [tenant.into(), sid.into(), now.into()]).await?.map(from_row).transpose()
}

/// The user's live sessions, newest first; at most 100.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    now: Timestamp,
) -> Result<Vec<SessionRow>, StoreError> {
    const LIST: &str = select_sessions!(
        "user_id = $2 AND expires_at > $3 ORDER BY created_at DESC, sid LIMIT 100"
    );
    let params = [tenant.into(), user_id.into(), now.into()];
    storage.query(LIST, params).await?.into_iter().map(from_row).collect()
}

/// Begins a session.
pub fn insert(tenant: &TenantId, session: &SessionRow, cookie_hash: &[u8; 32]) -> Statement {
    Statement::new(
        "INSERT INTO sessions (tenant_id, sid, cookie_hash, user_id, user_agent, auth_time,
             created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(&session.sid)
    .bind(cookie_hash)
    .bind(&session.user_id)
    .bind(&session.user_agent)
    .bind(session.auth_time)
    .bind(session.created_at)
    .bind(session.expires_at)
}

/// Ends the session; `Conflict("session is over")` when it has ended.
pub fn end(tenant: &TenantId, sid: &SessionId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE sessions SET ended_at = $3
         WHERE tenant_id = $1 AND sid = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(sid)
    .bind(now)
    .expect_rows(1, "session is over")
}

/// Ends every session of the user.
pub fn end_all(tenant: &TenantId, user_id: &UserId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE sessions SET ended_at = $3
         WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(user_id)
    .bind(now)
}

/// Remembers a sign-in under way.
pub fn insert_sign_in(
    tenant: &TenantId,
    handle_hash: &[u8; 32],
    sign_in: &SignInRow,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO sign_ins (tenant_id, handle_hash, browser_hash, request,
             created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(handle_hash)
    .bind(sign_in.browser_hash.clone())
    .bind(&sign_in.request)
    .bind(now)
    .bind(sign_in.expires_at)
}

/// The sign-in under way with that handle.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_sign_in(
    storage: &Storage,
    tenant: &TenantId,
    handle_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SignInRow>, StoreError> {
    const FIND: &str = "SELECT browser_hash, request, expires_at FROM sign_ins
         WHERE tenant_id = $1 AND handle_hash = $2 AND expires_at > $3";
    let row = storage.find(FIND, [tenant.into(), handle_hash.into(), now.into()]).await?;
    row.map(|mut row| {
        Ok(SignInRow {
            browser_hash: row.take(0)?,
            request: row.take(1)?,
            expires_at: row.take(2)?,
        })
    })
    .transpose()
}

/// Takes the sign-in away, so that it ends once; `Conflict("sign-in is over")` when it has.
pub fn delete_sign_in(tenant: &TenantId, handle_hash: &[u8; 32]) -> Statement {
    Statement::new("DELETE FROM sign_ins WHERE tenant_id = $1 AND handle_hash = $2")
        .bind(tenant)
        .bind(handle_hash)
        .expect_rows(1, "sign-in is over")
}

/// Forgets every sign-in that ran out before `now`.
pub fn purge_sign_ins(now: Timestamp) -> Statement {
    Statement::new("DELETE FROM sign_ins WHERE expires_at <= $1").bind(now)
}

/// Replaces what a sign-in under way remembers; `Conflict("sign-in is over")` when it is.
pub fn update_sign_in(tenant: &TenantId, handle_hash: &[u8; 32], request: &str) -> Statement {
    Statement::new("UPDATE sign_ins SET request = $3 WHERE tenant_id = $1 AND handle_hash = $2")
        .bind(tenant)
        .bind(handle_hash)
        .bind(request)
        .expect_rows(1, "sign-in is over")
}

/// Ends the session of the browser with that cookie, if it has one.
pub fn end_by_cookie(tenant: &TenantId, cookie_hash: &[u8; 32], now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE sessions SET ended_at = $3
         WHERE tenant_id = $1 AND cookie_hash = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(cookie_hash)
    .bind(now)
}
