//! Connected accounts: what a person sees of them, and how one is forgotten.

use behalf_core::{Actor, ConnectionName, Event, EventKind, Secret, Timestamp, UserId};
use behalf_store::StoreError;
use behalf_store::vault::accounts::{self, AccountRow};

use crate::Vault;
use crate::connection::Connection;
use crate::error::VaultError;
use crate::seal::{TokenKind, TokenPlace};

/// A person's account at a provider, without its tokens.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub account_id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: ConnectionName,
    /// Who she is at the provider, if it says so.
    pub provider_user_id: Option<String>,
    /// What she is called there.
    pub provider_name: Option<String>,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// Whether its token can be had.
    pub status: AccountStatus,
    /// True if the provider gave a refresh token.
    pub has_refresh_token: bool,
    /// When it was connected.
    pub created_at: Timestamp,
    /// When the access token ends; `None`: it does not.
    pub expires_at: Option<Timestamp>,
    /// When a token was last handed out.
    pub last_used_at: Option<Timestamp>,
}

/// Whether an account's token can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// Yes, after a refresh if need be.
    Active,
    /// No: the person must connect again.
    ReauthorizationRequired,
}

/// What became of a forgotten account's tokens at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider has revoked them.
    Revoked,
    /// The provider did not: they work there until they run out or she revokes them there.
    Failed,
    /// The provider knows no revocation that we could ask for.
    Unsupported,
}

impl Revocation {
    /// The outcome as records carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked_upstream",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
        }
    }
}

/// An account that was forgotten.
#[derive(Clone, Debug)]
pub struct Disconnected {
    /// The account as it was.
    pub account: Account,
    /// What became of its tokens at the provider.
    pub revocation: Revocation,
}

/// The states in which an account's row can be.
pub(crate) mod state {
    pub(crate) const ACTIVE: &str = "active";
    pub(crate) const REFRESHING: &str = "refreshing";
    pub(crate) const REAUTHORIZE: &str = "reauthorize";
}

/// The scopes that the account's row holds.
pub(crate) fn scopes_of(row: &AccountRow) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(&row.tokens.scopes)
        .map_err(|_| StoreError::Corrupt { what: "connected_accounts.scopes".into() })
}

/// Where the account's token of that kind stands.
pub(crate) fn place(row: &AccountRow, kind: TokenKind) -> TokenPlace<'_> {
    TokenPlace {
        user_id: &row.user_id,
        connection: &row.connection,
        account_id: &row.account_id,
        kind,
        version: row.tokens.version,
    }
}

impl Account {
    pub(crate) fn from_row(row: AccountRow, now: Timestamp) -> Result<Self, StoreError> {
        let is_over = row.tokens.expires_at.is_some_and(|expires_at| expires_at <= now);
        let cannot_refresh = row.state == state::REAUTHORIZE || row.tokens.refresh_token.is_none();
        let status = match is_over && cannot_refresh || row.state == state::REAUTHORIZE {
            true => AccountStatus::ReauthorizationRequired,
            false => AccountStatus::Active,
        };
        Ok(Self {
            scopes: scopes_of(&row)?,
            account_id: row.account_id,
            user_id: row.user_id,
            connection: row.connection,
            provider_user_id: row.provider_user_id,
            provider_name: row.provider_name,
            status,
            has_refresh_token: row.tokens.refresh_token.is_some(),
            created_at: row.created_at,
            expires_at: row.tokens.expires_at,
            last_used_at: row.last_used_at,
        })
    }
}

impl Vault {
    /// The person's account through that connection.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_account(
        &self,
        user_id: &UserId,
        connection: &ConnectionName,
    ) -> Result<Option<Account>, StoreError> {
        let row = accounts::find_of(self.storage(), self.tenant(), user_id, connection).await?;
        row.map(|row| Account::from_row(row, self.now())).transpose()
    }

    /// The person's accounts, by connection.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_accounts(&self, user_id: &UserId) -> Result<Vec<Account>, StoreError> {
        let rows = accounts::list_of(self.storage(), self.tenant(), user_id).await?;
        rows.into_iter().map(|row| Account::from_row(row, self.now())).collect()
    }

    /// Forgets an account of the person's with its tokens, then asks the provider to revoke them.
    /// `None` when the account is not hers. What is forgotten here is forgotten whatever the
    /// provider says.
    ///
    /// # Errors
    /// When the store fails: then nothing was forgotten and nobody asked.
    pub async fn disconnect(
        &self,
        user_id: &UserId,
        account_id: &str,
        actor: &Actor,
    ) -> Result<Option<Disconnected>, VaultError> {
        let row = accounts::find(self.storage(), self.tenant(), account_id).await?;
        let Some(row) = row.filter(|row| row.user_id == *user_id) else { return Ok(None) };
        let connection = self.find_connection(&row.connection).await?;
        // A token that does not open cannot be revoked, and must not keep the account.
        let access = self.open_token(place(&row, TokenKind::Access), &row.tokens.access_token);
        let refresh = row.tokens.refresh_token.as_ref();
        let refresh = refresh
            .and_then(|sealed| self.open_token(place(&row, TokenKind::Refresh), sealed).ok());

        let mut unit = self.unit();
        unit.add(accounts::delete(self.tenant(), account_id, user_id));
        unit.record(&account_event(self, EventKind::AccountDisconnected, actor, &row));
        match self.commit(unit).await {
            Ok(_) => {}
            Err(error) if error.is_conflict("account is gone") => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let revocation = match (&connection, &access) {
            (Some(connection), Ok(access)) => {
                self.revoke_upstream(connection, access, refresh.as_ref()).await
            }
            _ => Revocation::Failed,
        };
        let mut unit = self.unit();
        unit.record(
            &account_event(self, EventKind::AccountRevocationAsked, actor, &row)
                .with("outcome", revocation.as_str()),
        );
        if let Err(error) = self.commit(unit).await {
            tracing::error!(%error, "what the provider said to a revocation could not be recorded");
        }
        Ok(Some(Disconnected { account: Account::from_row(row, self.now())?, revocation }))
    }

    async fn revoke_upstream(
        &self,
        connection: &Connection,
        access: &Secret<String>,
        refresh: Option<&Secret<String>>,
    ) -> Revocation {
        let secret = match self.client_secret(connection) {
            Ok(secret) => secret,
            Err(_sealed) => return Revocation::Failed,
        };
        self.provider(connection, secret.as_ref()).revoke(access, refresh).await
    }
}

/// An event about an account: its ids, never its tokens.
pub(crate) fn account_event(
    vault: &Vault,
    kind: EventKind,
    actor: &Actor,
    row: &AccountRow,
) -> Event {
    Event::new(vault.tenant(), kind, actor.clone())
        .with("account_id", row.account_id.as_str())
        .with("sub", row.user_id.as_str())
        .with("connection", row.connection.as_str())
}
