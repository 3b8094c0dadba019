//! Turns, and what happened in each.

use behalf_core::{TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A turn: what a person wrote, and everything that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRow {
    /// Its id.
    pub turn_id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// The client's name for the thread.
    pub thread_id: String,
    /// Counts the thread's turns.
    pub ordinal: i64,
    /// The digest of what she wrote up to here.
    pub history_key: String,
    /// False when she went back and wrote something else.
    pub is_current: bool,
    /// `running`, `waiting`, `done` or `failed`.
    pub status: String,
    /// Who acts, what was said, how far it has come, as sealed JSON.
    pub state: Vec<u8>,
    /// Counts its writes.
    pub version: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

macro_rules! select_turns {
    ($rest:literal) => {
        concat!(
            "SELECT turn_id, user_id, thread_id, ordinal, history_key, is_current, status, state, ",
            "version, created_at, updated_at FROM chat_turns WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn turn(mut row: Row) -> Result<TurnRow, StoreError> {
    Ok(TurnRow {
        turn_id: row.take(0)?,
        user_id: row.take(1)?,
        thread_id: row.take(2)?,
        ordinal: row.take(3)?,
        history_key: row.take(4)?,
        is_current: row.take(5)?,
        status: row.take(6)?,
        state: row.take(7)?,
        version: row.take(8)?,
        created_at: row.take(9)?,
        updated_at: row.take(10)?,
    })
}

/// Every turn of the person's thread, oldest first, replaced ones too; at most 1,000.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    thread_id: &str,
) -> Result<Vec<TurnRow>, StoreError> {
    const LIST: &str =
        select_turns!("AND user_id = $2 AND thread_id = $3 ORDER BY ordinal LIMIT 1000");
    let params = [tenant.into(), user_id.into(), thread_id.into()];
    storage.query(LIST, params).await?.into_iter().map(turn).collect()
}

/// The turns that a restart takes up again, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_open(storage: &Storage, tenant: &TenantId) -> Result<Vec<TurnRow>, StoreError> {
    const LIST: &str = select_turns!("AND status IN ('running', 'waiting') ORDER BY turn_id");
    storage.query(LIST, [tenant.into()]).await?.into_iter().map(turn).collect()
}

/// Begins a turn; `Conflict("turn exists")` when the same history was posted before, or another
/// turn of the thread began at the same time.
pub fn insert(tenant: &TenantId, turn: &TurnRow) -> Statement {
    Statement::new(
        "INSERT INTO chat_turns (tenant_id, turn_id, user_id, thread_id, ordinal, history_key,
             is_current, status, state, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(tenant)
    .bind(&turn.turn_id)
    .bind(&turn.user_id)
    .bind(&turn.thread_id)
    .bind(turn.ordinal)
    .bind(&turn.history_key)
    .bind(turn.is_current)
    .bind(&turn.status)
    .bind(turn.state.as_slice())
    .bind(turn.version)
    .bind(turn.created_at)
    .bind(turn.updated_at)
    .or_conflict("turn exists")
}

/// Writes how far the turn has come; `Conflict("turn moved on")` unless it is at `version`.
pub fn update(
    tenant: &TenantId,
    turn_id: &str,
    version: i64,
    status: &str,
    state: Vec<u8>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE chat_turns SET status = $4, state = $5, version = version + 1, updated_at = $6
         WHERE tenant_id = $1 AND turn_id = $2 AND version = $3",
    )
    .bind(tenant)
    .bind(turn_id)
    .bind(version)
    .bind(status)
    .bind(state)
    .bind(now)
    .expect_rows(1, "turn moved on")
}

/// Marks the turn as replaced by another.
pub fn replace(tenant: &TenantId, turn_id: &str) -> Statement {
    Statement::new("UPDATE chat_turns SET is_current = 0 WHERE tenant_id = $1 AND turn_id = $2")
        .bind(tenant)
        .bind(turn_id)
}

/// Adds events from the place `ordinal` on; `Conflict("turn moved on")` when it is taken.
pub fn add_events(tenant: &TenantId, turn_id: &str, ordinal: i64, events: Vec<u8>) -> Statement {
    Statement::new(
        "INSERT INTO chat_events (tenant_id, turn_id, ordinal, events) VALUES ($1, $2, $3, $4)",
    )
    .bind(tenant)
    .bind(turn_id)
    .bind(ordinal)
    .bind(events)
    .or_conflict("turn moved on")
}

/// The turn's events in order, as sealed JSON, each write's by itself.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_events(
    storage: &Storage,
    tenant: &TenantId,
    turn_id: &str,
) -> Result<Vec<Vec<u8>>, StoreError> {
    const LIST: &str = "SELECT events FROM chat_events
        WHERE tenant_id = $1 AND turn_id = $2 ORDER BY ordinal";
    let rows = storage.query(LIST, [tenant.into(), turn_id.into()]).await?;
    rows.into_iter().map(|mut row| row.take(0)).collect()
}
