//! The federated exchange: identity says for whom, the vault gives the provider's token, and the
//! record commits before anybody gets it.

use behalf_core::{Actor, ConnectionName, Event, EventKind, Secret};
use behalf_identity::{Client, GrantError, Identity, SubjectToken};
use behalf_vault::{Vault, VaultError};
use thiserror::Error;

/// The grant type, for records.
const GRANT: &str =
    "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";
/// What this exchange gives, and nothing else.
pub const PROVIDER_TOKEN_TYPE: &str =
    "http://auth0.com/oauth/token-type/federated-connection-access-token";
/// For how long clients may keep a token that does not expire, in seconds: they come back, so that
/// a disconnected account ends for them too.
const WITHOUT_END: u64 = 3_600;

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct FederatedExchange {
    /// For whom.
    pub subject: SubjectToken,
    /// `requested_token_type`; absent it is the only one that there is.
    pub requested_token_type: Option<String>,
    /// The connection's name.
    pub connection: String,
    /// Who she is at the provider, when the client wants to be sure.
    pub login_hint: Option<String>,
}

/// The provider's token, for the client.
#[derive(Clone, Debug)]
pub struct ProviderTokenAnswer {
    /// The token.
    pub access_token: Secret<String>,
    /// How long it may be kept, in seconds.
    pub expires_in: u64,
    /// What the provider granted.
    pub scopes: Vec<String>,
}

/// No provider's token is given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The client or its subject is refused.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The subject is right, but there is no token to give.
    #[error("{error}")]
    Vault {
        /// The connection.
        connection: ConnectionName,
        /// What people call it.
        title: String,
        /// Why.
        error: VaultError,
    },
}

/// Exchanges a token of ours for the person's token at a provider.
///
/// # Errors
/// See [`ExchangeError`]; each refusal is recorded.
pub async fn exchange(
    identity: &Identity,
    vault: &Vault,
    client: &Client,
    exchange: &FederatedExchange,
) -> Result<ProviderTokenAnswer, ExchangeError> {
    let result = exchange_unrecorded(identity, vault, client, exchange).await;
    match &result {
        Ok(_) => {}
        Err(ExchangeError::Grant(refusal)) => {
            identity.record_refusal(client, GRANT, refusal).await;
        }
        Err(ExchangeError::Vault { connection, error, .. }) => {
            let actor = Actor::Client { client_id: client.client_id.to_string(), sub: None };
            let mut unit = identity.unit();
            unit.record(
                &Event::new(identity.tenant(), EventKind::TokenRefused, actor)
                    .with("grant", GRANT)
                    .with("connection", connection.as_str())
                    .with("error", error.code()),
            );
            if let Err(error) = vault.commit(unit).await {
                tracing::error!(%error, "a refused exchange could not be recorded");
            }
        }
    }
    result
}

async fn exchange_unrecorded(
    identity: &Identity,
    vault: &Vault,
    client: &Client,
    exchange: &FederatedExchange,
) -> Result<ProviderTokenAnswer, ExchangeError> {
    let subject = identity.verify_exchange_subject(client, &exchange.subject).await?;
    let requested = exchange.requested_token_type.as_deref();
    if requested.is_some_and(|requested| requested != PROVIDER_TOKEN_TYPE) {
        let text = format!("`requested_token_type` is `{PROVIDER_TOKEN_TYPE}`");
        return Err(GrantError::InvalidRequest(text).into());
    }
    let unknown = || {
        let shown: String = exchange.connection.chars().take(60).collect();
        GrantError::InvalidRequest(format!("there is no connection `{shown}`"))
    };
    let name: ConnectionName = exchange.connection.parse().map_err(|_invalid| unknown())?;
    let found = vault.find_connection(&name).await.map_err(GrantError::from)?;
    let connection = found.ok_or_else(unknown)?;
    let refused = |error: VaultError| match error {
        VaultError::Store(error) => ExchangeError::Grant(error.into()),
        error => ExchangeError::Vault {
            connection: name.clone(),
            title: connection.title().to_owned(),
            error,
        },
    };
    let user_id = &subject.user.user_id;
    if let Some(hint) = &exchange.login_hint {
        let account = vault.find_account(user_id, &name).await.map_err(GrantError::from)?;
        let is_hers = |account: &behalf_vault::Account| {
            account.provider_user_id.as_ref().is_none_or(|known| known == hint)
        };
        if !account.as_ref().is_some_and(is_hers) {
            return Err(refused(VaultError::NotConnected));
        }
    }
    let token = vault.token(user_id, &name, &[]).await.map_err(refused)?;
    let actor =
        Actor::Client { client_id: client.client_id.to_string(), sub: Some(user_id.to_string()) };
    let mut unit = identity.unit();
    identity.require_exchange_subject(&mut unit, &subject);
    vault.record_hand_out(&mut unit, &token, actor, "federated_exchange");
    vault.commit(unit).await.map_err(|error| {
        if error.is_conflict("family is revoked") {
            GrantError::InvalidGrant("the refresh token is revoked".into()).into()
        } else if error.is_conflict("account is gone") {
            refused(VaultError::NotConnected)
        } else {
            ExchangeError::Grant(error.into())
        }
    })?;
    let left = token.expires_at.map(|expires_at| expires_at.since(identity.now()).as_secs());
    Ok(ProviderTokenAnswer {
        access_token: token.access_token,
        expires_in: left.unwrap_or(WITHOUT_END),
        scopes: token.scopes,
    })
}
