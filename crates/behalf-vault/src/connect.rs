//! Connecting an account: the trip to the provider and back.
//!
//! What she set out for waits here under a single-use `state`, bound to her browser and to who she
//! is; the browser carries nothing else. Two things can start it: one of our own pages, or an
//! application by the My Account API, which shows her the same page and then completes with a code
//! and its own PKCE verifier.

mod application;

use std::time::Duration;

use behalf_core::{Actor, ConnectionName, Event, EventKind, Secret, UserId};
use behalf_crypto::{opaque, pkce};
use behalf_store::vault::accounts::{self, AccountRow, TokensRow};
use behalf_store::vault::connects::{self, ConnectStateRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};

use crate::Vault;
use crate::account::{Account, account_event, state};
use crate::connection::Connection;
use crate::error::{ConnectError, VaultError};
use crate::provider::{ProviderError, ProviderUser, TokenSet};
use crate::seal::{TokenKind, TokenPlace};

pub use application::{ApplicationConnect, ApplicationRequest, ConnectCompletion, ConnectStarted};

/// How long the trip to the provider and back may take.
const LIFETIME: Duration = Duration::from_mins(10);
/// What every state starts with.
const STATE_PREFIX: &str = "bhf_co_";
/// The most scopes of one connect, and the longest.
const SCOPES_MAX: (usize, usize) = (100, 200);

/// What a person is asked before she sets out.
#[derive(Clone, Debug)]
pub struct ConnectOffer {
    /// The connection.
    pub connection: Connection,
    /// What the provider will be asked to allow.
    pub scopes: Vec<String>,
    /// The account that is connected already.
    pub account: Option<Account>,
}

/// What a person sets out for.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// Through which connection.
    pub connection: ConnectionName,
    /// What is needed beyond what the connection asks for anyway.
    pub scopes: Vec<String>,
    /// Where to go afterwards.
    pub goal: ConnectGoal,
}

/// Where a connect leads when it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectGoal {
    /// Back to one of our own pages.
    Page {
        /// Its path.
        return_to: String,
        /// The interrupt that waits for the account, as whoever raised it calls it.
        interrupt: Option<String>,
    },
    /// Back to the application that began it.
    Application {
        /// The hash of its session.
        session_hash: [u8; 32],
    },
}

/// A trip that came back: its state is used up.
#[derive(Debug)]
pub struct Trip {
    /// Who went.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: Connection,
    /// Where she goes now.
    pub goal: ConnectGoal,
    scopes: Vec<String>,
    verifier: Secret<String>,
}

/// What a provider gave for a person, not stored yet.
#[derive(Debug)]
pub struct NewAccount {
    /// Whose it will be.
    pub user_id: UserId,
    /// Through which connection.
    pub connection: ConnectionName,
    pub(crate) set: TokenSet,
    pub(crate) scopes: Vec<String>,
    pub(crate) user: ProviderUser,
}

#[derive(Debug, Serialize, Deserialize)]
struct TripDetails {
    scopes: Vec<String>,
    goal: ConnectGoal,
}

impl From<VaultError> for ConnectError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => Self::Store(error),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<ProviderError> for ConnectError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::InvalidGrant => Self::Refused { code: "invalid_grant".into() },
            ProviderError::Refused { code } => Self::Refused { code },
            ProviderError::Unavailable { .. } => Self::Unavailable,
        }
    }
}

impl Vault {
    /// What connecting would ask the provider for: the connection's own scopes, `extra`, and what
    /// the account has already, since a new consent may narrow it.
    ///
    /// # Errors
    /// `ConnectionNotFound`, `NotSetUp`, or `Invalid` for what is no scope.
    pub async fn offer(
        &self,
        user_id: &UserId,
        connection: &ConnectionName,
        extra: &[String],
    ) -> Result<ConnectOffer, ConnectError> {
        let connection =
            self.find_connection(connection).await?.ok_or(ConnectError::ConnectionNotFound)?;
        if connection.client_id.is_empty() {
            return Err(ConnectError::NotSetUp);
        }
        let account = self.find_account(user_id, &connection.name).await?;
        let known = account.iter().flat_map(|account| account.scopes.iter());
        let mut scopes: Vec<String> = Vec::new();
        for scope in connection.scope.iter().chain(extra).chain(known) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        check_scopes(&scopes)?;
        Ok(ConnectOffer { connection, scopes, account })
    }

    /// Sets a person out to the provider: the address to send her browser to.
    ///
    /// # Errors
    /// As [`Vault::offer`].
    pub async fn begin_connect(
        &self,
        user_id: &UserId,
        browser_hash: &[u8; 32],
        request: ConnectRequest,
    ) -> Result<String, ConnectError> {
        let offer = self.offer(user_id, &request.connection, &request.scopes).await?;
        let (state, verifier) =
            (opaque::mint(STATE_PREFIX, self.rng()), opaque::mint("", self.rng()));
        let state_hash = opaque::digest(state.expose());
        let secret = self.client_secret(&offer.connection)?;
        let address = self.provider(&offer.connection, secret.as_ref()).authorization_address(
            &offer.scopes,
            state.expose(),
            &pkce::challenge_s256(verifier.expose()),
        );
        let details = TripDetails { scopes: offer.scopes, goal: request.goal };
        let now = self.now();
        let row = ConnectStateRow {
            browser_hash: browser_hash.to_vec(),
            user_id: user_id.clone(),
            connection: request.connection,
            details: to_json(&details)?,
            verifier: self.seal(&self.verifier_context(&hex(&state_hash)), verifier.expose())?,
            expires_at: now.plus(LIFETIME),
        };
        let mut unit = self.unit();
        unit.add(connects::purge_states(now));
        unit.add(connects::insert_state(self.tenant(), &state_hash, &row, now));
        self.commit(unit).await?;
        Ok(address)
    }

    /// Takes the trip that comes back with `state`: once, in the browser that set out, while the
    /// same person is signed in.
    ///
    /// # Errors
    /// `Over` for everything else.
    pub async fn take_trip(
        &self,
        user_id: &UserId,
        browser_hash: &[u8; 32],
        state: &str,
    ) -> Result<Trip, ConnectError> {
        if !opaque::looks_minted(state, STATE_PREFIX) {
            return Err(ConnectError::Over);
        }
        let hash = opaque::digest(state);
        let row = connects::find_state(self.storage(), self.tenant(), &hash, self.now()).await?;
        let row = row
            .filter(|row| opaque::secrets_equal(&row.browser_hash, browser_hash))
            .filter(|row| row.user_id == *user_id)
            .ok_or(ConnectError::Over)?;
        let connection = self.find_connection(&row.connection).await?;
        let connection = connection.ok_or(ConnectError::ConnectionNotFound)?;
        let details: TripDetails = serde_json::from_str(&row.details)
            .map_err(|_| StoreError::Corrupt { what: "connect_states.details".into() })?;
        let verifier = self.open(&self.verifier_context(&hex(&hash)), &row.verifier)?;
        let mut unit = self.unit();
        unit.add(connects::take_state(self.tenant(), &hash));
        self.commit(unit).await.map_err(over)?;
        let TripDetails { scopes, goal } = details;
        Ok(Trip { user_id: row.user_id, connection, goal, scopes, verifier })
    }

    /// Exchanges the code that a trip brought back, and asks who she is there.
    ///
    /// # Errors
    /// `Refused` or `Unavailable`, as the provider answers.
    pub async fn redeem(&self, trip: &Trip, code: &str) -> Result<NewAccount, ConnectError> {
        let secret = self.client_secret(&trip.connection)?;
        let provider = self.provider(&trip.connection, secret.as_ref());
        let set = provider.exchange_code(code, &trip.verifier).await?;
        let user = provider.user(&set).await;
        Ok(NewAccount {
            user_id: trip.user_id.clone(),
            connection: trip.connection.name.clone(),
            scopes: set.scopes.clone().unwrap_or_else(|| trip.scopes.clone()),
            set,
            user,
        })
    }

    /// Adds the account and its tokens to `unit`: a new one, or new tokens for the one she has. An
    /// account of somebody else at the provider replaces the old one whole.
    ///
    /// # Errors
    /// When the store or a key fails: then the unit must be dropped.
    pub async fn plan_account(
        &self,
        unit: &mut UnitOfWork,
        new: &NewAccount,
        actor: &Actor,
    ) -> Result<Account, ConnectError> {
        let known =
            accounts::find_of(self.storage(), self.tenant(), &new.user_id, &new.connection).await?;
        let is_same = |known: &AccountRow| known.provider_user_id == new.user.id;
        let now = self.now();
        let (account_id, version, created_at) = match &known {
            Some(known) if is_same(known) => {
                (known.account_id.clone(), known.tokens.version.saturating_add(1), known.created_at)
            }
            _ => (format!("cac_{}", self.new_id()), 1, now),
        };
        let access = TokenPlace {
            user_id: &new.user_id,
            connection: &new.connection,
            account_id: &account_id,
            kind: TokenKind::Access,
            version,
        };
        let refresh = TokenPlace { kind: TokenKind::Refresh, ..access };
        let tokens = TokensRow {
            scopes: serde_json::Value::from(new.scopes.clone()).to_string(),
            access_token: self.seal_token(access, &new.set.access_token)?,
            refresh_token: match &new.set.refresh_token {
                Some(token) => Some(self.seal_token(refresh, token)?),
                None => None,
            },
            issued_at: now,
            expires_at: new.set.expires_in.map(|expires_in| now.plus(expires_in)),
            version,
        };
        let row = AccountRow {
            account_id,
            user_id: new.user_id.clone(),
            connection: new.connection.clone(),
            provider_user_id: new.user.id.clone(),
            provider_name: new.user.name.clone(),
            tokens,
            state: state::ACTIVE.to_owned(),
            lease_holder: None,
            lease_until: None,
            retry_at: None,
            created_at,
            last_used_at: known
                .as_ref()
                .filter(|known| is_same(known))
                .and_then(|known| known.last_used_at),
        };
        match &known {
            Some(known) if is_same(known) => {
                unit.add(accounts::reconnect(self.tenant(), &row, now))
            }
            known => {
                if let Some(known) = known {
                    let (tenant, id) = (self.tenant(), known.account_id.as_str());
                    unit.add(accounts::delete(tenant, id, &known.user_id));
                    unit.record(&account_event(self, EventKind::AccountDisconnected, actor, known));
                }
                unit.add(accounts::insert(self.tenant(), &row));
            }
        }
        unit.record(
            &account_event(self, EventKind::AccountConnected, actor, &row)
                .with("provider_user_id", row.provider_user_id.clone())
                .with("scope", new.scopes.join(" ")),
        );
        Ok(Account::from_row(row, now)?)
    }

    /// Records that a trip connected nothing, and why.
    pub async fn record_refused(&self, trip: &Trip, actor: Actor, reason: &str) {
        let mut unit = self.unit();
        unit.record(
            &Event::new(self.tenant(), EventKind::AccountConnectRefused, actor)
                .with("sub", trip.user_id.as_str())
                .with("connection", trip.connection.name.as_str())
                .with("reason", reason),
        );
        if let Err(error) = self.commit(unit).await {
            tracing::error!(%error, "a refused connect could not be recorded");
        }
    }

    fn verifier_context<'a>(&'a self, state_hash: &'a str) -> [&'a str; 3] {
        ["behalf.vault.verifier.v1", self.tenant().as_str(), state_hash]
    }
}

fn check_scopes(scopes: &[String]) -> Result<(), ConnectError> {
    let (count_max, length_max) = SCOPES_MAX;
    let is_scope = |scope: &String| {
        let is_allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',');
        !scope.is_empty() && scope.len() <= length_max && scope.bytes().all(is_allowed)
    };
    if scopes.len() > count_max {
        return Err(ConnectError::Invalid(format!("more than {count_max} scopes")));
    }
    match scopes.iter().find(|scope| !is_scope(scope)) {
        Some(bad) => {
            let shown: String = bad.chars().take(40).collect();
            Err(ConnectError::Invalid(format!("`{shown}` is not a scope")))
        }
        None => Ok(()),
    }
}

fn over(error: StoreError) -> ConnectError {
    match error {
        error if error.is_conflict("connect is over") => ConnectError::Over,
        error => ConnectError::Store(error),
    }
}

fn hex(hash: &[u8; 32]) -> String {
    behalf_verify::hex(hash)
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal { reason: error.to_string() })
}
