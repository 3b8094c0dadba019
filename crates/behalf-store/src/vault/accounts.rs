//! Connected accounts with their sealed tokens, and the lease under which one is refreshed.

use behalf_core::{ConnectionName, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A person's account at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub account_id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: ConnectionName,
    /// Who she is at the provider.
    pub provider_user_id: Option<String>,
    /// What she is called there.
    pub provider_name: Option<String>,
    /// What was granted and since when.
    pub tokens: TokensRow,
    /// `active`, `refreshing` or `reauthorize`.
    pub state: String,
    /// Who refreshes it.
    pub lease_holder: Option<String>,
    /// Until when that counts.
    pub lease_until: Option<Timestamp>,
    /// The provider is not asked before this.
    pub retry_at: Option<Timestamp>,
    /// When it was connected.
    pub created_at: Timestamp,
    /// When a token was last handed out.
    pub last_used_at: Option<Timestamp>,
}

/// An account's tokens, sealed for their version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensRow {
    /// The scopes that the provider granted, as JSON.
    pub scopes: String,
    /// The access token, sealed.
    pub access_token: Vec<u8>,
    /// The refresh token, sealed.
    pub refresh_token: Option<Vec<u8>>,
    /// When the provider gave them.
    pub issued_at: Timestamp,
    /// When the access token ends; `None`: it does not.
    pub expires_at: Option<Timestamp>,
    /// Grows with every write of tokens.
    pub version: i64,
}

/// A statement that reads accounts: the columns in the order of [`from_row`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account_id, user_id, connection, provider_user_id, provider_name, scopes,
                 access_token, refresh_token, issued_at, expires_at, token_version, state,
                 lease_holder, lease_until, retry_at, created_at, last_used_at
             FROM connected_accounts ",
            $rest
        )
    };
}

/// The account of that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    account_id: &str,
) -> Result<Option<AccountRow>, StoreError> {
    const FIND: &str = select!("WHERE tenant_id = $1 AND account_id = $2");
    storage.find(FIND, [tenant.into(), account_id.into()]).await?.map(from_row).transpose()
}

/// The person's account through that connection.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_of(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    connection: &ConnectionName,
) -> Result<Option<AccountRow>, StoreError> {
    const FIND: &str = select!("WHERE tenant_id = $1 AND user_id = $2 AND connection = $3");
    let params = [tenant.into(), user_id.into(), connection.into()];
    storage.find(FIND, params).await?.map(from_row).transpose()
}

/// The person's accounts, by connection.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_of(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
) -> Result<Vec<AccountRow>, StoreError> {
    const LIST: &str = select!("WHERE tenant_id = $1 AND user_id = $2 ORDER BY connection");
    let rows = storage.query(LIST, [tenant.into(), user_id.into()]).await?;
    rows.into_iter().map(from_row).collect()
}

/// How many accounts each connection has, by connection; none where there are none.
///
/// # Errors
/// As [`Storage::query`].
pub async fn count_by_connection(
    storage: &Storage,
    tenant: &TenantId,
) -> Result<Vec<(ConnectionName, i64)>, StoreError> {
    const COUNT: &str = "SELECT connection, COUNT(*) FROM connected_accounts
         WHERE tenant_id = $1 GROUP BY connection ORDER BY connection";
    let rows = storage.query(COUNT, [tenant.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.take(0)?, row.take(1)?))).collect()
}

fn from_row(mut row: Row) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        account_id: row.take(0)?,
        user_id: row.take(1)?,
        connection: row.take(2)?,
        provider_user_id: row.take(3)?,
        provider_name: row.take(4)?,
        tokens: TokensRow {
            scopes: row.take(5)?,
            access_token: row.take(6)?,
            refresh_token: row.take(7)?,
            issued_at: row.take(8)?,
            expires_at: row.take(9)?,
            version: row.take(10)?,
        },
        state: row.take(11)?,
        lease_holder: row.take(12)?,
        lease_until: row.take(13)?,
        retry_at: row.take(14)?,
        created_at: row.take(15)?,
        last_used_at: row.take(16)?,
    })
}

/// Connects an account; `Conflict("account exists")` when she has one through that connection.
pub fn insert(tenant: &TenantId, account: &AccountRow) -> Statement {
    let tokens = &account.tokens;
    Statement::new(
        "INSERT INTO connected_accounts (tenant_id, account_id, user_id, connection,
             provider_user_id, provider_name, scopes, access_token, refresh_token, issued_at,
             expires_at, token_version, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'active', $13, $13)",
    )
    .bind(tenant)
    .bind(&account.account_id)
    .bind(&account.user_id)
    .bind(&account.connection)
    .bind(account.provider_user_id.clone())
    .bind(account.provider_name.clone())
    .bind(&tokens.scopes)
    .bind(tokens.access_token.clone())
    .bind(tokens.refresh_token.clone())
    .bind(tokens.issued_at)
    .bind(tokens.expires_at)
    .bind(tokens.version)
    .bind(account.created_at)
    .or_conflict("account exists")
}

/// Replaces the tokens of an account that was connected again, whoever refreshes it now;
/// `Conflict("account was changed")` unless its tokens are of the version before.
pub fn reconnect(tenant: &TenantId, account: &AccountRow, now: Timestamp) -> Statement {
    let tokens = &account.tokens;
    Statement::new(
        "UPDATE connected_accounts SET provider_user_id = $4, provider_name = $5, scopes = $6,
             access_token = $7, refresh_token = $8, issued_at = $9, expires_at = $10,
             token_version = $11, state = 'active', lease_holder = NULL, lease_until = NULL,
             retry_at = NULL, updated_at = $12
         WHERE tenant_id = $1 AND account_id = $2 AND token_version = $3",
    )
    .bind(tenant)
    .bind(&account.account_id)
    .bind(tokens.version.saturating_sub(1))
    .bind(account.provider_user_id.clone())
    .bind(account.provider_name.clone())
    .bind(&tokens.scopes)
    .bind(tokens.access_token.clone())
    .bind(tokens.refresh_token.clone())
    .bind(tokens.issued_at)
    .bind(tokens.expires_at)
    .bind(tokens.version)
    .bind(now)
    .expect_rows(1, "account was changed")
}

/// Takes the lease and writes, before the provider is asked, that the account is refreshing;
/// `Conflict("account is refreshed elsewhere")` when another holder's lease counts or the tokens
/// have changed.
pub fn begin_refresh(
    tenant: &TenantId,
    account_id: &str,
    version: i64,
    holder: &str,
    until: Timestamp,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE connected_accounts SET state = 'refreshing', lease_holder = $4, lease_until = $5,
             updated_at = $6
         WHERE tenant_id = $1 AND account_id = $2 AND token_version = $3
             AND (lease_until IS NULL OR lease_until <= $6)",
    )
    .bind(tenant)
    .bind(account_id)
    .bind(version)
    .bind(holder)
    .bind(until)
    .bind(now)
    .expect_rows(1, "account is refreshed elsewhere")
}

/// Stores a new pair and gives the lease back; `Conflict("lease was lost")` when another has it.
pub fn finish_refresh(
    tenant: &TenantId,
    account_id: &str,
    holder: &str,
    tokens: &TokensRow,
) -> Statement {
    Statement::new(
        "UPDATE connected_accounts SET scopes = $5, access_token = $6, refresh_token = $7,
             issued_at = $8, expires_at = $9, token_version = $4, state = 'active',
             lease_holder = NULL, lease_until = NULL, retry_at = NULL, updated_at = $8
         WHERE tenant_id = $1 AND account_id = $2 AND lease_holder = $3 AND token_version = $4 - 1",
    )
    .bind(tenant)
    .bind(account_id)
    .bind(holder)
    .bind(tokens.version)
    .bind(&tokens.scopes)
    .bind(tokens.access_token.clone())
    .bind(tokens.refresh_token.clone())
    .bind(tokens.issued_at)
    .bind(tokens.expires_at)
    .expect_rows(1, "lease was lost")
}

/// Gives the lease back without new tokens: the account is in `state`, and the provider is not
/// asked before `retry_at`; `Conflict("lease was lost")` when another has it.
pub fn end_refresh(
    tenant: &TenantId,
    account_id: &str,
    holder: &str,
    state: &str,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE connected_accounts SET state = $4, retry_at = $5, lease_holder = NULL,
             lease_until = NULL, updated_at = $6
         WHERE tenant_id = $1 AND account_id = $2 AND lease_holder = $3",
    )
    .bind(tenant)
    .bind(account_id)
    .bind(holder)
    .bind(state)
    .bind(retry_at)
    .bind(now)
    .expect_rows(1, "lease was lost")
}

/// Writes that a token of the account was handed out; `Conflict("account is gone")` when it was
/// disconnected meanwhile.
pub fn touch(tenant: &TenantId, account_id: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE connected_accounts SET last_used_at = $3
         WHERE tenant_id = $1 AND account_id = $2",
    )
    .bind(tenant)
    .bind(account_id)
    .bind(now)
    .expect_rows(1, "account is gone")
    .held_nowhere()
}

/// Forgets the account with its tokens; `Conflict("account is gone")` when it is not hers.
pub fn delete(tenant: &TenantId, account_id: &str, user_id: &UserId) -> Statement {
    Statement::new(
        "DELETE FROM connected_accounts
         WHERE tenant_id = $1 AND account_id = $2 AND user_id = $3",
    )
    .bind(tenant)
    .bind(account_id)
    .bind(user_id)
    .expect_rows(1, "account is gone")
}
