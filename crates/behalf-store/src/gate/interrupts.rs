//! Calls that wait until a person connects an account.

use behalf_core::{ConnectionName, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A wait for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptRow {
    /// Its id.
    pub interrupt_id: String,
    /// The call that waits.
    pub call_id: String,
    /// Who has to connect.
    pub user_id: UserId,
    /// What to connect.
    pub connection: ConnectionName,
    /// The scopes that are needed, separated by spaces.
    pub scopes: String,
    /// When the wait began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How.
    pub outcome: Option<String>,
}

macro_rules! select_interrupts {
    ($rest:literal) => {
        concat!(
            "SELECT interrupt_id, call_id, user_id, connection, scopes, created_at, expires_at, ",
            "ended_at, outcome FROM gate_interrupts WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn interrupt(mut row: Row) -> Result<InterruptRow, StoreError> {
    Ok(InterruptRow {
        interrupt_id: row.take(0)?,
        call_id: row.take(1)?,
        user_id: row.take(2)?,
        connection: row.take(3)?,
        scopes: row.take(4)?,
        created_at: row.take(5)?,
        expires_at: row.take(6)?,
        ended_at: row.take(7)?,
        outcome: row.take(8)?,
    })
}

/// Begins a wait.
pub fn insert(tenant: &TenantId, row: &InterruptRow) -> Statement {
    Statement::new(
        "INSERT INTO gate_interrupts (tenant_id, interrupt_id, call_id, user_id, connection,
             scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(&row.interrupt_id)
    .bind(&row.call_id)
    .bind(&row.user_id)
    .bind(&row.connection)
    .bind(&row.scopes)
    .bind(row.created_at)
    .bind(row.expires_at)
}

/// The wait with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    interrupt_id: &str,
) -> Result<Option<InterruptRow>, StoreError> {
    const FIND: &str = select_interrupts!("AND interrupt_id = $2");
    storage.find(FIND, [tenant.into(), interrupt_id.into()]).await?.map(interrupt).transpose()
}

/// The open waits of the person for the connection.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_open(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    connection: &ConnectionName,
) -> Result<Vec<InterruptRow>, StoreError> {
    const LIST: &str = select_interrupts!(
        "AND user_id = $2 AND connection = $3 AND ended_at IS NULL ORDER BY interrupt_id LIMIT 1000"
    );
    let params = [tenant.into(), user_id.into(), connection.into()];
    storage.query(LIST, params).await?.into_iter().map(interrupt).collect()
}

/// Open waits whose time is over at `now`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_lapsed(
    storage: &Storage,
    tenant: &TenantId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<InterruptRow>, StoreError> {
    const LIST: &str = select_interrupts!(
        "AND ended_at IS NULL AND expires_at <= $2 ORDER BY expires_at, interrupt_id LIMIT $3"
    );
    let params = [tenant.into(), now.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(interrupt).collect()
}

/// Ends an open wait; `Conflict("wait is over")` when it has ended.
pub fn end(tenant: &TenantId, interrupt_id: &str, outcome: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE gate_interrupts SET ended_at = $3, outcome = $4
         WHERE tenant_id = $1 AND interrupt_id = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(interrupt_id)
    .bind(now)
    .bind(outcome)
    .expect_rows(1, "wait is over")
}

/// Ends the wait if it is open; that it has ended is no conflict.
pub fn end_if_open(
    tenant: &TenantId,
    interrupt_id: &str,
    outcome: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE gate_interrupts SET ended_at = $3, outcome = $4
         WHERE tenant_id = $1 AND interrupt_id = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(interrupt_id)
    .bind(now)
    .bind(outcome)
}
