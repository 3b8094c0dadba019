//! People: profiles, passwords, roles, and the count of failed sign-ins.

use behalf_core::{TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A user.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Her `sub`.
    pub user_id: UserId,
    /// Profile members as JSON.
    pub profile: String,
    /// PHC string, if she signs in by password.
    pub password_hash: Option<String>,
    /// True until she replaces a one-time password.
    pub must_change_password: bool,
    /// True while an administrator keeps her out.
    pub blocked: bool,
    /// Role ids, separated by spaces.
    pub roles: String,
    /// Counts changes.
    pub version: i64,
    /// When she was created.
    pub created_at: Timestamp,
    /// When she last changed.
    pub updated_at: Timestamp,
}

/// What [`insert`] and [`update`] write.
#[derive(Clone, Debug)]
pub struct UserParams<'a> {
    /// Her `sub`.
    pub user_id: &'a UserId,
    /// The lower-cased address, unique in the tenant.
    pub email_key: Option<&'a str>,
    /// The lower-cased user name, unique in the tenant.
    pub username_key: Option<&'a str>,
    /// Profile members as JSON.
    pub profile: &'a str,
    /// See [`UserRow::blocked`].
    pub blocked: bool,
    /// See [`UserRow::roles`].
    pub roles: &'a str,
}

/// How many sign-ins failed in a row for an account from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInFailuresRow {
    /// Failures since the last success.
    pub failures: i64,
    /// When the last one was.
    pub last_at: Timestamp,
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT user_id, profile, password_hash, must_change_password, blocked, roles, ",
            "version, created_at, updated_at FROM users WHERE tenant_id = $1 AND ",
            $rest
        )
    };
}

fn from_row(mut row: Row) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        user_id: row.take(0)?,
        profile: row.take(1)?,
        password_hash: row.take(2)?,
        must_change_password: row.take(3)?,
        blocked: row.take(4)?,
        roles: row.take(5)?,
        version: row.take(6)?,
        created_at: row.take(7)?,
        updated_at: row.take(8)?,
    })
}

/// The user with that `sub`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
) -> Result<Option<UserRow>, StoreError> {
    const FIND: &str = select_users!("user_id = $2");
    storage.find(FIND, [tenant.into(), user_id.into()]).await?.map(from_row).transpose()
}

/// The user who signs in with that lower-cased address or user name.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_by_sign_in_name(
    storage: &Storage,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<UserRow>, StoreError> {
    const BY_EMAIL: &str = select_users!("email_key = $2");
    const BY_USERNAME: &str = select_users!("username_key = $2");
    let sql = if name.contains('@') { BY_EMAIL } else { BY_USERNAME };
    storage.find(sql, [tenant.into(), name.into()]).await?.map(from_row).transpose()
}

/// How many users the tenant has.
///
/// # Errors
/// As [`Storage::query`].
pub async fn count(storage: &Storage, tenant: &TenantId) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM users WHERE tenant_id = $1";
    match storage.find(COUNT, [tenant.into()]).await? {
        Some(mut row) => row.take(0),
        None => Ok(0),
    }
}

/// True if somebody has that role.
///
/// # Errors
/// As [`Storage::query`].
pub async fn has_role(
    storage: &Storage,
    tenant: &TenantId,
    role: &str,
) -> Result<bool, StoreError> {
    // A user's roles are words between blanks.
    const FIND: &str = "SELECT 1 FROM users
         WHERE tenant_id = $1 AND ' ' || roles || ' ' LIKE '% ' || $2 || ' %' LIMIT 1";
    Ok(storage.find(FIND, [tenant.into(), role.into()]).await?.is_some())
}

/// Creates a user; `Conflict("user exists")` when the `sub` or the address is taken.
pub fn insert(tenant: &TenantId, user: &UserParams<'_>, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO users (tenant_id, user_id, email_key, username_key, profile, password_hash,
             must_change_password, blocked, roles, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, NULL, 0, $6, $7, 1, $8, $8)",
    )
    .bind(tenant)
    .bind(user.user_id)
    .bind(user.email_key)
    .bind(user.username_key)
    .bind(user.profile)
    .bind(user.blocked)
    .bind(user.roles)
    .bind(now)
    .or_conflict("user exists")
}

/// Writes profile, roles and state of the user whose version is still `version`.
pub fn update(tenant: &TenantId, user: &UserParams<'_>, version: i64, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE users SET email_key = $3, username_key = $4, profile = $5, blocked = $6,
             roles = $7, version = version + 1, updated_at = $8
         WHERE tenant_id = $1 AND user_id = $2 AND version = $9",
    )
    .bind(tenant)
    .bind(user.user_id)
    .bind(user.email_key)
    .bind(user.username_key)
    .bind(user.profile)
    .bind(user.blocked)
    .bind(user.roles)
    .bind(now)
    .bind(version)
    .expect_rows(1, "user changed")
    .or_conflict("user exists")
}

/// Sets the user's password hash; `must_change` for a one-time password.
pub fn set_password(
    tenant: &TenantId,
    user_id: &UserId,
    password_hash: &str,
    must_change: bool,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE users SET password_hash = $3, must_change_password = $4,
             version = version + 1, updated_at = $5
         WHERE tenant_id = $1 AND user_id = $2",
    )
    .bind(tenant)
    .bind(user_id)
    .bind(password_hash)
    .bind(must_change)
    .bind(now)
    .expect_rows(1, "user is gone")
}

/// The failed sign-ins in a row of `account` from `address`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_failures(
    storage: &Storage,
    tenant: &TenantId,
    account: &str,
    address: &str,
) -> Result<Option<SignInFailuresRow>, StoreError> {
    const FIND: &str = "SELECT failures, last_at FROM sign_in_failures
         WHERE tenant_id = $1 AND account = $2 AND address = $3";
    let row = storage.find(FIND, [tenant.into(), account.into(), address.into()]).await?;
    row.map(|mut row| Ok(SignInFailuresRow { failures: row.take(0)?, last_at: row.take(1)? }))
        .transpose()
}

/// Counts one more failure; failures before `since` are forgotten.
pub fn count_failure(
    tenant: &TenantId,
    account: &str,
    address: &str,
    since: Timestamp,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO sign_in_failures (tenant_id, account, address, failures, last_at)
         VALUES ($1, $2, $3, 1, $4)
         ON CONFLICT (tenant_id, account, address) DO UPDATE SET
             failures = CASE WHEN sign_in_failures.last_at < $5 THEN 1
                        ELSE sign_in_failures.failures + 1 END,
             last_at = $4
         RETURNING failures",
    )
    .bind(tenant)
    .bind(account)
    .bind(address)
    .bind(now)
    .bind(since)
    .returning("failures")
}

/// Forgets every count of failures of which the last lies before `before`.
pub fn purge_failures(before: Timestamp) -> Statement {
    Statement::new("DELETE FROM sign_in_failures WHERE last_at <= $1").bind(before)
}

/// Forgets the failures of `account` from `address`.
pub fn clear_failures(tenant: &TenantId, account: &str, address: &str) -> Statement {
    Statement::new(
        "DELETE FROM sign_in_failures WHERE tenant_id = $1 AND account = $2 AND address = $3",
    )
    .bind(tenant)
    .bind(account)
    .bind(address)
}
