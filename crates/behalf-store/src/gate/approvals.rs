//! Approvals: asked, decided once, redeemed once.

use behalf_core::{ClientId, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::{Row, Value};

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Its id.
    pub approval_id: String,
    /// `gate` or `ciba`.
    pub source: String,
    /// Where it stands.
    pub status: String,
    /// Who is asked.
    pub user_id: UserId,
    /// The application that asks.
    pub client_id: ClientId,
    /// The agent that acts.
    pub agent_id: Option<ClientId>,
    /// The call, if it is about one.
    pub call_id: Option<String>,
    /// What the decision is bound to.
    pub digest: String,
    /// Exactly what is asked, as JSON.
    pub details: String,
    /// How the decision has to be made.
    pub level: String,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it dies undecided.
    pub expires_at: Timestamp,
    /// When it dies in its present status.
    pub lapses_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// By whom.
    pub decided_by: Option<String>,
    /// Why, and from where, as JSON.
    pub decision: Option<String>,
    /// When it was used.
    pub redeemed_at: Option<Timestamp>,
    /// How long its client waits between polls.
    pub interval_secs: i64,
    /// When its client last polled.
    pub polled_at: Option<Timestamp>,
}

macro_rules! select_approvals {
    ($rest:literal) => {
        concat!(
            "SELECT approval_id, source, status, user_id, client_id, agent_id, call_id, digest, ",
            "details, level, created_at, expires_at, lapses_at, decided_at, decided_by, decision, ",
            "redeemed_at, interval_secs, polled_at FROM approvals WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn approval(mut row: Row) -> Result<ApprovalRow, StoreError> {
    Ok(ApprovalRow {
        approval_id: row.take(0)?,
        source: row.take(1)?,
        status: row.take(2)?,
        user_id: row.take(3)?,
        client_id: row.take(4)?,
        agent_id: row.take(5)?,
        call_id: row.take(6)?,
        digest: row.take(7)?,
        details: row.take(8)?,
        level: row.take(9)?,
        created_at: row.take(10)?,
        expires_at: row.take(11)?,
        lapses_at: row.take(12)?,
        decided_at: row.take(13)?,
        decided_by: row.take(14)?,
        decision: row.take(15)?,
        redeemed_at: row.take(16)?,
        interval_secs: row.take(17)?,
        polled_at: row.take(18)?,
    })
}

/// Asks; `request_hash` is the digest of the `auth_req_id` of a backchannel request.
pub fn insert(tenant: &TenantId, row: &ApprovalRow, request_hash: Option<[u8; 32]>) -> Statement {
    Statement::new(
        "INSERT INTO approvals (tenant_id, approval_id, source, status, user_id, client_id,
             agent_id, call_id, request_hash, digest, details, level, created_at, expires_at,
             lapses_at, interval_secs)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(tenant)
    .bind(&row.approval_id)
    .bind(&row.source)
    .bind(&row.status)
    .bind(&row.user_id)
    .bind(&row.client_id)
    .bind(row.agent_id.as_ref())
    .bind(row.call_id.as_ref())
    .bind(request_hash)
    .bind(&row.digest)
    .bind(&row.details)
    .bind(&row.level)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(row.lapses_at)
    .bind(row.interval_secs)
}

/// The approval with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    approval_id: &str,
) -> Result<Option<ApprovalRow>, StoreError> {
    const FIND: &str = select_approvals!("AND approval_id = $2");
    storage.find(FIND, [tenant.into(), approval_id.into()]).await?.map(approval).transpose()
}

/// The approval of the backchannel request with that hash.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_by_request(
    storage: &Storage,
    tenant: &TenantId,
    request_hash: &[u8; 32],
) -> Result<Option<ApprovalRow>, StoreError> {
    const FIND: &str = select_approvals!("AND request_hash = $2");
    storage.find(FIND, [tenant.into(), request_hash.into()]).await?.map(approval).transpose()
}

/// Which of a person's approvals to list. What has lapsed counts as expired, recorded or not.
#[derive(Clone, Copy, Debug)]
pub enum StatusFilter<'a> {
    /// Every one.
    All,
    /// Those with this status that have not lapsed.
    Is(&'a str),
    /// The expired ones.
    Expired,
    /// Those that are neither pending nor still waiting to be.
    NotPending,
}

/// The person's approvals with an id below `before` (empty: from the newest), newest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    filter: StatusFilter<'_>,
    before: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<ApprovalRow>, StoreError> {
    const ALL: &str = select_approvals!(
        "AND user_id = $2 AND ($3 = '' OR approval_id < $3)
         ORDER BY approval_id DESC LIMIT $4"
    );
    const IS: &str = select_approvals!(
        "AND user_id = $2 AND ($3 = '' OR approval_id < $3) AND status = $5
             AND (status NOT IN ('pending', 'approved') OR lapses_at > $6)
         ORDER BY approval_id DESC LIMIT $4"
    );
    const EXPIRED: &str = select_approvals!(
        "AND user_id = $2 AND ($3 = '' OR approval_id < $3)
             AND (status = 'expired' OR (status IN ('pending', 'approved') AND lapses_at <= $5))
         ORDER BY approval_id DESC LIMIT $4"
    );
    const NOT_PENDING: &str = select_approvals!(
        "AND user_id = $2 AND ($3 = '' OR approval_id < $3)
             AND (status <> 'pending' OR lapses_at <= $5)
         ORDER BY approval_id DESC LIMIT $4"
    );
    let mut params: Vec<Value> = vec![tenant.into(), user_id.into(), before.into(), limit.into()];
    let sql = match filter {
        StatusFilter::All => ALL,
        StatusFilter::Is(status) => {
            params.extend([status.into(), now.into()]);
            IS
        }
        StatusFilter::Expired => {
            params.push(now.into());
            EXPIRED
        }
        StatusFilter::NotPending => {
            params.push(now.into());
            NOT_PENDING
        }
    };
    storage.query(sql, params).await?.into_iter().map(approval).collect()
}

/// How many undecided, unexpired approvals the person has; of the one application, if named.
///
/// # Errors
/// As [`Storage::query`].
pub async fn count_pending(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    client_id: Option<&ClientId>,
    now: Timestamp,
) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM approvals
         WHERE tenant_id = $1 AND user_id = $2 AND status = 'pending' AND lapses_at > $3
             AND ($4 = '' OR client_id = $4)";
    let client_id = client_id.map(ClientId::as_str).unwrap_or_default();
    let params = [tenant.into(), user_id.into(), now.into(), client_id.into()];
    match storage.find(COUNT, params).await? {
        Some(mut row) => row.take(0),
        None => Ok(0),
    }
}

/// Approvals whose time is over at `now` and of which that is not recorded yet.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_lapsed(
    storage: &Storage,
    tenant: &TenantId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<ApprovalRow>, StoreError> {
    const LIST: &str = select_approvals!(
        "AND status IN ('pending', 'approved') AND lapses_at <= $2
         ORDER BY lapses_at, approval_id LIMIT $3"
    );
    let params = [tenant.into(), now.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(approval).collect()
}

/// What a person decided.
#[derive(Clone, Copy, Debug)]
pub struct DecisionParams<'a> {
    /// The approval.
    pub approval_id: &'a str,
    /// What she was shown.
    pub digest: &'a str,
    /// `approved` or `denied`.
    pub status: &'a str,
    /// Who decided.
    pub decided_by: &'a UserId,
    /// Why, and from where, as JSON.
    pub decision: &'a str,
    /// When an approval dies unused.
    pub lapses_at: Timestamp,
}

/// Decides a pending approval; `Conflict("approval is decided")` when it is decided or expired.
pub fn decide(tenant: &TenantId, params: &DecisionParams<'_>, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE approvals SET status = $4, decided_at = $5, decided_by = $6, decision = $7,
             lapses_at = $8
         WHERE tenant_id = $1 AND approval_id = $2 AND digest = $3 AND status = 'pending'
             AND lapses_at > $5",
    )
    .bind(tenant)
    .bind(params.approval_id)
    .bind(params.digest)
    .bind(params.status)
    .bind(now)
    .bind(params.decided_by)
    .bind(params.decision)
    .bind(params.lapses_at)
    .expect_rows(1, "approval is decided")
}

/// Uses an approval, once; `Conflict("approval is spent")` when it is not approved, lapsed, used,
/// or bound to something else.
pub fn redeem(tenant: &TenantId, approval_id: &str, digest: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE approvals SET status = 'redeemed', redeemed_at = $4
         WHERE tenant_id = $1 AND approval_id = $2 AND digest = $3 AND status = 'approved'
             AND lapses_at > $4",
    )
    .bind(tenant)
    .bind(approval_id)
    .bind(digest)
    .bind(now)
    .expect_rows(1, "approval is spent")
}

/// Records that an approval's time is over; `Conflict("approval moved")` when it is not, or that
/// is recorded.
pub fn expire(tenant: &TenantId, approval_id: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE approvals SET status = 'expired'
         WHERE tenant_id = $1 AND approval_id = $2 AND status IN ('pending', 'approved')
             AND lapses_at <= $3",
    )
    .bind(tenant)
    .bind(approval_id)
    .bind(now)
    .expect_rows(1, "approval moved")
}

/// Takes a question back before it is used; `Conflict("approval moved")` when it is over.
pub fn cancel(tenant: &TenantId, approval_id: &str) -> Statement {
    Statement::new(
        "UPDATE approvals SET status = 'cancelled'
         WHERE tenant_id = $1 AND approval_id = $2 AND status IN ('pending', 'approved')",
    )
    .bind(tenant)
    .bind(approval_id)
    .expect_rows(1, "approval moved")
}

/// Remembers that the client polled, and how long it has to wait until it does again. No change of
/// state: whoever polls at the same time may overwrite it.
pub fn polled(
    tenant: &TenantId,
    approval_id: &str,
    interval_secs: i64,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE approvals SET polled_at = $3, interval_secs = $4
         WHERE tenant_id = $1 AND approval_id = $2 AND status = 'pending'",
    )
    .bind(tenant)
    .bind(approval_id)
    .bind(now)
    .bind(interval_secs)
}
