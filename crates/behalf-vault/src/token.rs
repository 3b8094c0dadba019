//! The way out: a provider's token for a person, valid for a while from now.

use std::time::Duration;

use behalf_core::{Actor, ConnectionName, Event, EventKind, Secret, Timestamp, UserId};
use behalf_egress::OperatorAddress;
use behalf_store::UnitOfWork;
use behalf_store::vault::accounts::{self, AccountRow, TokensRow};

use crate::Vault;
use crate::account::{place, scopes_of};
use crate::connection::Connection;
use crate::error::VaultError;
use crate::seal::TokenKind;

/// A token is renewed at least this long before it ends.
const MARGIN: Duration = Duration::from_secs(60);

/// A provider's access token, for the one call that needs it.
#[derive(Clone, Debug)]
pub struct ProviderToken {
    /// The token.
    pub access_token: Secret<String>,
    /// When it ends; `None`: it does not.
    pub expires_at: Option<Timestamp>,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// The API that it is for.
    pub api_base_url: OperatorAddress,
    /// Whose it is.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: ConnectionName,
    /// Of which account.
    pub account_id: String,
    /// Who she is at the provider, if it says so.
    pub provider_user_id: Option<String>,
}

impl ProviderToken {
    /// Whose account this is: another one when she connects somebody else's in its place.
    pub fn account(&self) -> String {
        format!("{}/{}", self.account_id, self.provider_user_id.as_deref().unwrap_or_default())
    }
}

impl Vault {
    /// The person's token at the provider, renewed if it is due. Whoever uses or hands on the token
    /// records that with [`Vault::record_hand_out`].
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn token(
        &self,
        user_id: &UserId,
        connection: &ConnectionName,
        scopes: &[&str],
    ) -> Result<ProviderToken, VaultError> {
        let connection =
            self.find_connection(connection).await?.ok_or(VaultError::ConnectionNotFound)?;
        let row =
            accounts::find_of(self.storage(), self.tenant(), user_id, &connection.name).await?;
        let row = row.ok_or(VaultError::NotConnected)?;
        let granted = scopes_of(&row)?;
        let missing: Vec<String> = scopes
            .iter()
            .filter(|scope| !granted.iter().any(|granted| granted == *scope))
            .map(|scope| (*scope).to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(VaultError::InsufficientScope { missing });
        }
        if is_due(&row.tokens, self.now()) {
            return self.refresh(&row.account_id).await;
        }
        self.open_account(&row, &connection)
    }

    /// Records in `unit` that the token is used or handed on, by whom and for what; the unit fails
    /// with `Conflict("account is gone")` when it was disconnected meanwhile.
    pub fn record_hand_out(
        &self,
        unit: &mut UnitOfWork,
        token: &ProviderToken,
        actor: Actor,
        purpose: &str,
    ) {
        unit.add(accounts::touch(self.tenant(), &token.account_id, self.now()));
        unit.record(
            &Event::new(self.tenant(), EventKind::ProviderTokenIssued, actor)
                .with("account_id", token.account_id.as_str())
                .with("sub", token.user_id.as_str())
                .with("connection", token.connection.as_str())
                .with("scope", token.scopes.join(" "))
                .with("purpose", purpose),
        );
    }

    pub(crate) fn open_account(
        &self,
        row: &AccountRow,
        connection: &Connection,
    ) -> Result<ProviderToken, VaultError> {
        Ok(ProviderToken {
            access_token: self
                .open_token(place(row, TokenKind::Access), &row.tokens.access_token)?,
            expires_at: row.tokens.expires_at,
            scopes: scopes_of(row)?,
            api_base_url: connection.api_base_url.clone(),
            user_id: row.user_id.clone(),
            connection: row.connection.clone(),
            account_id: row.account_id.clone(),
            provider_user_id: row.provider_user_id.clone(),
        })
    }
}

/// True if the token should be renewed before it is used: it ends within a minute, or within a
/// tenth of its life.
pub(crate) fn is_due(tokens: &TokensRow, now: Timestamp) -> bool {
    tokens.expires_at.is_some_and(|expires_at| {
        let margin = MARGIN.max(expires_at.since(tokens.issued_at) / 10);
        now >= expires_at.minus(margin)
    })
}

/// True if the provider still accepts the token.
pub(crate) fn is_valid(tokens: &TokensRow, now: Timestamp) -> bool {
    tokens.expires_at.is_none_or(|expires_at| expires_at > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_due_a_minute_or_a_tenth_of_its_life_before_it_ends() {
        let at = Timestamp::from_secs;
        let tokens = |lifetime: Option<i64>| TokensRow {
            scopes: String::new(),
            access_token: Vec::new(),
            refresh_token: None,
            issued_at: at(1_000),
            expires_at: lifetime.map(|secs| at(1_000 + secs)),
            version: 1,
        };
        for (lifetime, due) in [(300, 240), (600, 540), (3_600, 3_240), (28_800, 25_920)] {
            assert!(!is_due(&tokens(Some(lifetime)), at(1_000 + due - 1)), "{lifetime}");
            assert!(is_due(&tokens(Some(lifetime)), at(1_000 + due)), "{lifetime}");
        }
        assert!(!is_due(&tokens(None), at(i64::MAX / 2_000_000)));
    }
}
