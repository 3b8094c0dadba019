//! Authorization codes, and refresh tokens with the families that they belong to.

use behalf_core::{ClientId, TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// An authorization code.
#[derive(Clone, Debug)]
pub struct CodeRow {
    /// The client it was issued to.
    pub client_id: ClientId,
    /// What it stands for, as JSON.
    pub details: String,
    /// The family that its redemption creates.
    pub family_id: String,
    /// When it dies unused.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub used_at: Option<Timestamp>,
}

/// What one sign-in delegated to one client.
#[derive(Clone, Debug)]
pub struct FamilyRow {
    /// Its id.
    pub family_id: String,
    /// The client.
    pub client_id: ClientId,
    /// The person.
    pub user_id: UserId,
    /// Session, scope, audience and how it came about, as JSON.
    pub details: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When every token of it is dead.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A refresh token.
#[derive(Clone, Debug)]
pub struct RefreshTokenRow {
    /// Its family.
    pub family_id: String,
    /// When it dies unused.
    pub expires_at: Timestamp,
    /// When it was exchanged for its successor.
    pub used_at: Option<Timestamp>,
    /// The successor, sealed.
    pub successor: Option<Vec<u8>>,
}

/// Stores an authorization code.
pub fn insert_code(tenant: &TenantId, code_hash: &[u8; 32], code: &CodeRow) -> Statement {
    Statement::new(
        "INSERT INTO authorization_codes (tenant_id, code_hash, client_id, details, family_id,
             expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(code_hash)
    .bind(&code.client_id)
    .bind(&code.details)
    .bind(&code.family_id)
    .bind(code.expires_at)
}

/// The authorization code with that hash, used or not.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_code(
    storage: &Storage,
    tenant: &TenantId,
    code_hash: &[u8; 32],
) -> Result<Option<CodeRow>, StoreError> {
    const FIND: &str = "SELECT client_id, details, family_id, expires_at, used_at
         FROM authorization_codes WHERE tenant_id = $1 AND code_hash = $2";
    let row = storage.find(FIND, [tenant.into(), code_hash.into()]).await?;
    row.map(|mut row| {
        Ok(CodeRow {
            client_id: row.take(0)?,
            details: row.take(1)?,
            family_id: row.take(2)?,
            expires_at: row.take(3)?,
            used_at: row.take(4)?,
        })
    })
    .transpose()
}

/// Marks the code as redeemed; `Conflict("code was used")` when it was already.
pub fn use_code(tenant: &TenantId, code_hash: &[u8; 32], now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE authorization_codes SET used_at = $3
         WHERE tenant_id = $1 AND code_hash = $2 AND used_at IS NULL AND expires_at > $3",
    )
    .bind(tenant)
    .bind(code_hash)
    .bind(now)
    .expect_rows(1, "code was used")
}

/// Forgets codes that died before `before`.
pub fn purge_codes(before: Timestamp) -> Statement {
    Statement::new("DELETE FROM authorization_codes WHERE expires_at <= $1").bind(before)
}

/// Begins a family.
pub fn insert_family(tenant: &TenantId, family: &FamilyRow) -> Statement {
    Statement::new(
        "INSERT INTO refresh_families (tenant_id, family_id, client_id, user_id, details,
             created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant)
    .bind(&family.family_id)
    .bind(&family.client_id)
    .bind(&family.user_id)
    .bind(&family.details)
    .bind(family.created_at)
    .bind(family.expires_at)
}

/// The family with that id, revoked or not.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_family(
    storage: &Storage,
    tenant: &TenantId,
    family_id: &str,
) -> Result<Option<FamilyRow>, StoreError> {
    const FIND: &str = "SELECT family_id, client_id, user_id, details, created_at, expires_at,
             revoked_at
         FROM refresh_families WHERE tenant_id = $1 AND family_id = $2";
    let row = storage.find(FIND, [tenant.into(), family_id.into()]).await?;
    row.map(family).transpose()
}

fn family(mut row: Row) -> Result<FamilyRow, StoreError> {
    Ok(FamilyRow {
        family_id: row.take(0)?,
        client_id: row.take(1)?,
        user_id: row.take(2)?,
        details: row.take(3)?,
        created_at: row.take(4)?,
        expires_at: row.take(5)?,
        revoked_at: row.take(6)?,
    })
}

/// Revokes the family and so every token of it. Revoking twice is no error.
pub fn revoke_family(tenant: &TenantId, family_id: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE refresh_families SET revoked_at = $3
         WHERE tenant_id = $1 AND family_id = $2 AND revoked_at IS NULL",
    )
    .bind(tenant)
    .bind(family_id)
    .bind(now)
}

/// Revokes every family of the user.
pub fn revoke_families_of(tenant: &TenantId, user_id: &UserId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE refresh_families SET revoked_at = $3
         WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL",
    )
    .bind(tenant)
    .bind(user_id)
    .bind(now)
}

/// Fails the unit with `Conflict("family is revoked")` when the family no longer lives.
pub fn require_live_family(tenant: &TenantId, family_id: &str, now: Timestamp) -> Statement {
    Statement::new(
        "SELECT 1 FROM refresh_families
         WHERE tenant_id = $1 AND family_id = $2 AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(tenant)
    .bind(family_id)
    .bind(now)
    .expect_rows(1, "family is revoked")
    .held_nowhere()
}

/// Stores a refresh token.
pub fn insert_refresh_token(
    tenant: &TenantId,
    token_hash: &[u8; 32],
    family_id: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO refresh_tokens (tenant_id, token_hash, family_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(token_hash)
    .bind(family_id)
    .bind(now)
    .bind(expires_at)
    .held_nowhere()
}

/// The refresh token with that hash, used or not.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_refresh_token(
    storage: &Storage,
    tenant: &TenantId,
    token_hash: &[u8; 32],
) -> Result<Option<RefreshTokenRow>, StoreError> {
    const FIND: &str = "SELECT family_id, expires_at, used_at, successor
         FROM refresh_tokens WHERE tenant_id = $1 AND token_hash = $2";
    let row = storage.find(FIND, [tenant.into(), token_hash.into()]).await?;
    row.map(|mut row| {
        Ok(RefreshTokenRow {
            family_id: row.take(0)?,
            expires_at: row.take(1)?,
            used_at: row.take(2)?,
            successor: row.take(3)?,
        })
    })
    .transpose()
}

/// Exchanges the token for its successor; `Conflict("refresh token was used")` when another
/// request was faster.
pub fn use_refresh_token(
    tenant: &TenantId,
    token_hash: &[u8; 32],
    sealed_successor: Vec<u8>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE refresh_tokens SET used_at = $3, successor = $4
         WHERE tenant_id = $1 AND token_hash = $2 AND used_at IS NULL AND expires_at > $3",
    )
    .bind(tenant)
    .bind(token_hash)
    .bind(now)
    .bind(sealed_successor)
    .expect_rows(1, "refresh token was used")
    .held_nowhere()
}
