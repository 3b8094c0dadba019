//! Coming back from a provider: the account, its tokens, the end of the calls' waits for it and the
//! record are one unit of work.

use behalf_core::{Actor, ClientId, UserId};
use behalf_identity::{Browser, Identity, Session};
use behalf_store::StoreError;
use behalf_vault::{Account, ConnectCompletion, ConnectError, ConnectGoal, Trip, Vault};
use thiserror::Error;

use crate::gate::Gate;

/// What a provider sent a person back with.
#[derive(Clone, Debug, Default)]
pub struct ProviderAnswer {
    /// The state that she set out with.
    pub state: String,
    /// The code, if she and the provider agreed.
    pub code: Option<String>,
    /// Why not, if not.
    pub error: Option<String>,
}

/// How a connect ended well, and where she goes now.
#[derive(Clone, Debug)]
pub enum ConnectEnd {
    /// The account is connected; back to one of our pages.
    Page {
        /// The account.
        account: Box<Account>,
        /// The page's path.
        return_to: String,
    },
    /// Back to the application, which completes or learns why it cannot.
    Application {
        /// Its address.
        location: String,
    },
}

/// Nothing was connected.
#[derive(Clone, Debug, Error)]
pub enum ConnectFailure {
    /// The trip is unknown, over, another browser's or another person's.
    #[error("this connect is over, or was started elsewhere")]
    Over,
    /// She or the provider refused, or the provider did not answer.
    #[error("{error}")]
    Failed {
        /// The connection's name.
        connection: String,
        /// What people call it.
        title: String,
        /// Where she wanted to go.
        return_to: String,
        /// The interrupt that still waits.
        interrupt: Option<String>,
        /// True if it was she who refused.
        is_denied: bool,
        /// Why.
        error: ConnectError,
    },
    /// The store failed, or a key.
    #[error(transparent)]
    Internal(ConnectError),
}

impl From<StoreError> for ConnectFailure {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<ConnectError> for ConnectFailure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Over | ConnectError::ConnectionNotFound => Self::Over,
            error => Self::Internal(error),
        }
    }
}

/// Ends the trip that `answer` comes back from.
///
/// # Errors
/// See [`ConnectFailure`]; the trip's state is used up unless it was not this browser's.
pub async fn finish_connect(
    identity: &Identity,
    vault: &Vault,
    gate: &Gate,
    session: &Session,
    browser: &Browser,
    answer: ProviderAnswer,
) -> Result<ConnectEnd, ConnectFailure> {
    let browser_hash = browser.hash().ok_or(ConnectFailure::Over)?;
    let user_id = &session.user.user_id;
    let trip = vault.take_trip(user_id, &browser_hash, &answer.state).await?;
    let is_denied = answer.error.as_deref() == Some("access_denied");
    let refused = |code: &str| {
        let code = code.chars().filter(char::is_ascii_graphic).take(60).collect();
        Err(ConnectError::Refused { code })
    };
    let redeemed = match (&answer.error, &answer.code) {
        (Some(error), _) => refused(error),
        (None, None) => refused("no_code"),
        (None, Some(code)) => vault.redeem(&trip, code).await,
    };
    let actor = Actor::User { sub: user_id.to_string() };
    if let Err(error) = &redeemed {
        vault.record_refused(&trip, actor.clone(), &error.to_string()).await;
    }
    let ConnectGoal::Page { return_to, interrupt } = &trip.goal else {
        return application(identity, vault, &trip, redeemed).await;
    };
    let failed = |error| ConnectFailure::Failed {
        connection: trip.connection.name.to_string(),
        title: trip.connection.title().to_owned(),
        return_to: return_to.clone(),
        interrupt: interrupt.clone(),
        is_denied,
        error,
    };
    let new = redeemed.map_err(&failed)?;
    let mut unit = identity.unit();
    let account = vault.plan_account(&mut unit, &new, &actor).await?;
    let ended = gate.plan_connected(&mut unit, user_id, &trip.connection.name).await?;
    match vault.commit(unit).await {
        Ok(_) => {
            gate.wake(ended).await;
            Ok(ConnectEnd::Page { account: Box::new(account), return_to: return_to.clone() })
        }
        Err(StoreError::Conflict { .. }) => Err(failed(ConnectError::Changed)),
        Err(error) => Err(error.into()),
    }
}

/// Takes her back to the application with a code for what the provider gave, or with an error.
async fn application(
    identity: &Identity,
    vault: &Vault,
    trip: &Trip,
    redeemed: Result<behalf_vault::NewAccount, ConnectError>,
) -> Result<ConnectEnd, ConnectFailure> {
    let ConnectGoal::Application { session_hash } = &trip.goal else {
        return Err(ConnectFailure::Over);
    };
    let asked = vault.load_application_connect(session_hash).await?.request;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    match redeemed {
        Ok(new) => {
            let mut unit = identity.unit();
            let code = vault.plan_hold(&mut unit, session_hash, &new)?;
            match vault.commit(unit).await {
                Ok(_) => pairs.push(("connect_code", code)),
                Err(error) if error.is_conflict("connect is over") => {
                    return Err(ConnectFailure::Over);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => {
            let code = match error {
                ConnectError::Unavailable => "temporarily_unavailable",
                _ => "access_denied",
            };
            pairs.push(("error", code.to_owned()));
            pairs.push(("error_description", "the account was not connected".to_owned()));
        }
    }
    if let Some(state) = asked.state {
        pairs.push(("state", state));
    }
    let mut location = url::Url::parse(&asked.redirect_uri).map_err(|_| ConnectFailure::Over)?;
    location.query_pairs_mut().extend_pairs(pairs);
    Ok(ConnectEnd::Application { location: location.into() })
}

/// Completes an application's connect: the account becomes the person's.
///
/// # Errors
/// `Over` unless everything belongs together and it is the first completion.
pub async fn complete_connect(
    identity: &Identity,
    vault: &Vault,
    gate: &Gate,
    user_id: &UserId,
    client_id: &ClientId,
    completion: &ConnectCompletion,
) -> Result<Account, ConnectError> {
    let mut unit = identity.unit();
    let account = vault.plan_completion(&mut unit, user_id, client_id, completion).await?;
    let ended = gate.plan_connected(&mut unit, user_id, &account.connection).await?;
    match vault.commit(unit).await {
        Ok(_) => {
            gate.wake(ended).await;
            Ok(account)
        }
        Err(error) if error.is_conflict("connect is over") => Err(ConnectError::Over),
        Err(StoreError::Conflict { .. }) => Err(ConnectError::Changed),
        Err(error) => Err(error.into()),
    }
}
