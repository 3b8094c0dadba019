//! Tool calls.

use behalf_core::{ClientId, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::{Sql, Statement};
use crate::value::Row;

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// Its id.
    pub call_id: String,
    /// The caller's name for it.
    pub call_key: String,
    /// For whom.
    pub user_id: UserId,
    /// Who acts.
    pub agent_id: ClientId,
    /// Through which application.
    pub client_id: ClientId,
    /// Which tool.
    pub tool: String,
    /// What the decision is bound to.
    pub digest: String,
    /// The call as JSON.
    pub details: String,
    /// Open, started, or how it ended.
    pub state: String,
    /// The approval that it waits for or used.
    pub approval_id: Option<String>,
    /// The account that it waits for.
    pub interrupt_id: Option<String>,
    /// How it ended, as JSON.
    pub ending: Option<String>,
    /// When it was first asked.
    pub created_at: Timestamp,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whose account at the provider it was begun with.
    pub account: Option<String>,
}

macro_rules! select_calls {
    ($rest:literal) => {
        concat!(
            "SELECT call_id, call_key, user_id, agent_id, client_id, tool, digest, details, state, ",
            "approval_id, interrupt_id, ending, created_at, started_at, ended_at, account ",
            "FROM gate_calls WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn call(mut row: Row) -> Result<CallRow, StoreError> {
    Ok(CallRow {
        call_id: row.take(0)?,
        call_key: row.take(1)?,
        user_id: row.take(2)?,
        agent_id: row.take(3)?,
        client_id: row.take(4)?,
        tool: row.take(5)?,
        digest: row.take(6)?,
        details: row.take(7)?,
        state: row.take(8)?,
        approval_id: row.take(9)?,
        interrupt_id: row.take(10)?,
        ending: row.take(11)?,
        created_at: row.take(12)?,
        started_at: row.take(13)?,
        ended_at: row.take(14)?,
        account: row.take(15)?,
    })
}

/// The call with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    call_id: &str,
) -> Result<Option<CallRow>, StoreError> {
    const FIND: &str = select_calls!("AND call_id = $2");
    storage.find(FIND, [tenant.into(), call_id.into()]).await?.map(call).transpose()
}

/// The call that its caller knows by that key.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_by_key(
    storage: &Storage,
    tenant: &TenantId,
    call_key: &str,
) -> Result<Option<CallRow>, StoreError> {
    const FIND: &str = select_calls!("AND call_key = $2");
    storage.find(FIND, [tenant.into(), call_key.into()]).await?.map(call).transpose()
}

/// Calls in that state, oldest first, after the id `after`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_in_state(
    storage: &Storage,
    tenant: &TenantId,
    state: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<CallRow>, StoreError> {
    const LIST: &str = select_calls!("AND state = $2 AND call_id > $3 ORDER BY call_id LIMIT $4");
    let params = [tenant.into(), state.into(), after.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(call).collect()
}

/// Stores a call when it is first asked; `Conflict("call exists")` when its key is known.
pub fn insert(tenant: &TenantId, call: &CallRow) -> Statement {
    Statement::new(
        "INSERT INTO gate_calls (tenant_id, call_id, call_key, user_id, agent_id, client_id, tool,
             digest, details, state, approval_id, interrupt_id, ending, created_at, started_at,
             ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(tenant)
    .bind(&call.call_id)
    .bind(&call.call_key)
    .bind(&call.user_id)
    .bind(&call.agent_id)
    .bind(&call.client_id)
    .bind(&call.tool)
    .bind(&call.digest)
    .bind(&call.details)
    .bind(&call.state)
    .bind(call.approval_id.as_ref())
    .bind(call.interrupt_id.as_ref())
    .bind(call.ending.as_ref())
    .bind(call.created_at)
    .bind(call.started_at)
    .bind(call.ended_at)
    .or_conflict("call exists")
}

/// The open call waits for that approval; `Conflict("call moved")` when it has one or is not open.
pub fn await_approval(tenant: &TenantId, call_id: &str, approval_id: &str) -> Statement {
    Statement::new(
        "UPDATE gate_calls SET approval_id = $3
         WHERE tenant_id = $1 AND call_id = $2 AND state = 'open' AND approval_id IS NULL",
    )
    .bind(tenant)
    .bind(call_id)
    .bind(approval_id)
    .expect_rows(1, "call moved")
}

/// The open call waits for an account after the interrupt `before`; `Conflict("call moved")` when
/// it waits for another or is not open.
pub fn await_account(
    tenant: &TenantId,
    call_id: &str,
    before: Option<&str>,
    interrupt_id: &str,
) -> Statement {
    Statement::new(
        "UPDATE gate_calls SET interrupt_id = $3
         WHERE tenant_id = $1 AND call_id = $2 AND state = 'open'
             AND COALESCE(interrupt_id, '') = $4",
    )
    .bind(tenant)
    .bind(call_id)
    .bind(interrupt_id)
    .bind(before.unwrap_or_default())
    .expect_rows(1, "call moved")
}

/// Starts the open call with that digest; `Conflict("call has started")` when it is not open.
pub fn start(
    tenant: &TenantId,
    call_id: &str,
    digest: &str,
    account: Option<&str>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE gate_calls SET state = 'started', started_at = $4, account = $5
         WHERE tenant_id = $1 AND call_id = $2 AND digest = $3 AND state = 'open'",
    )
    .bind(tenant)
    .bind(call_id)
    .bind(digest)
    .bind(now)
    .bind(account.map(str::to_owned))
    .expect_rows(1, "call has started")
}

/// Ends an open call without an effect; `Conflict("call moved")` when it is not open.
pub fn end_open(
    tenant: &TenantId,
    call_id: &str,
    state: &str,
    ending: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE gate_calls SET state = $3, ending = $4, ended_at = $5
         WHERE tenant_id = $1 AND call_id = $2 AND state = 'open'",
    )
    .bind(tenant)
    .bind(call_id)
    .bind(state)
    .bind(ending)
    .bind(now)
    .expect_rows(1, "call moved")
}

/// Says how a call that had been started, or whose effect was unknown, ended;
/// `Conflict("call is settled")` when that is known already.
pub fn settle(
    tenant: &TenantId,
    call_id: &str,
    state: &str,
    ending: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE gate_calls SET state = $3, ending = $4, ended_at = $5
         WHERE tenant_id = $1 AND call_id = $2 AND state IN ('started', 'unknown')",
    )
    .bind(tenant)
    .bind(call_id)
    .bind(state)
    .bind(ending)
    .bind(now)
    .expect_rows(1, "call is settled")
}

/// Fails the unit with `Conflict("mandate moved")` unless the user exists and is not blocked.
pub fn require_active_user(tenant: &TenantId, user_id: &UserId) -> Statement {
    Statement::new(Sql::each(
        "SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2 AND blocked = 0",
        "SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2 AND blocked = 0 FOR SHARE",
    ))
    .bind(tenant)
    .bind(user_id)
    .expect_rows(1, "mandate moved")
}

/// Fails the unit with `Conflict("mandate moved")` unless the application exists.
pub fn require_client(tenant: &TenantId, client_id: &ClientId) -> Statement {
    Statement::new(Sql::each(
        "SELECT 1 FROM clients WHERE tenant_id = $1 AND client_id = $2",
        "SELECT 1 FROM clients WHERE tenant_id = $1 AND client_id = $2 FOR SHARE",
    ))
    .bind(tenant)
    .bind(client_id)
    .expect_rows(1, "mandate moved")
}

/// Fails the unit with `Conflict("relations moved")` unless the authorization store is still at
/// the revision that was asked.
pub fn require_revision(tenant: &TenantId, store_id: &str, revision: i64) -> Statement {
    Statement::new(Sql::each(
        "SELECT 1 FROM fga_stores WHERE tenant_id = $1 AND store_id = $2 AND revision = $3",
        "SELECT 1 FROM fga_stores
         WHERE tenant_id = $1 AND store_id = $2 AND revision = $3 FOR SHARE",
    ))
    .bind(tenant)
    .bind(store_id)
    .bind(revision)
    .expect_rows(1, "relations moved")
}
