//! Renewing a token: one call to the provider, however many wait for it.
//!
//! In one process, all who wait share one flight. Between processes, a lease in the account's row
//! admits one; it is written *before* the provider is asked, so that after a crash everybody knows
//! that the refresh token may be used up. The new pair is stored before anybody gets it, and only
//! by the holder of the lease: a late writer finds it gone.
//!
//! The call to a provider is limited to a quarter of the lease, so no lease needs renewing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use behalf_core::{Actor, EventKind, Secret, Timestamp, random_bytes};
use behalf_store::vault::accounts::{self, AccountRow, TokensRow};
use behalf_store::{StoreError, UnitOfWork};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::Vault;
use crate::account::{account_event, place, scopes_of, state};
use crate::connection::Connection;
use crate::error::VaultError;
use crate::provider::{ProviderError, TokenSet};
use crate::seal::{TokenKind, TokenPlace};
use crate::token::{ProviderToken, is_due, is_valid};

/// How long a holder may take: four times what a call to a provider may.
const LEASE: Duration = Duration::from_secs(60);
/// How long to leave a provider alone that was not available and did not say.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// The longest that a provider may keep us away.
const COOL_DOWN_MAX: Duration = Duration::from_mins(5);
/// How often to look whether another process has finished, and how many times.
const POLL: (Duration, u32) = (Duration::from_millis(200), 100);
/// How often to try to store a new pair: it exists nowhere else.
const STORE_ATTEMPTS: u32 = 6;

type Flight = Shared<BoxFuture<'static, Result<ProviderToken, VaultError>>>;

/// Refreshes under way in this process, by account.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Flight>>);

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flights")
    }
}

/// Takes a flight away when its task ends, also by a panic.
struct Landing(Vault, String);

impl Drop for Landing {
    fn drop(&mut self) {
        let Flights(running) = &self.0.0.flights;
        running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// What to do with an account whose token is asked for.
enum Plan {
    /// Its token will do.
    Use,
    /// Its token is over, and only she can get another.
    Reauthorize,
    /// The provider is left alone until then.
    Wait(Timestamp),
    /// Ask the provider with this.
    Ask(Secret<String>),
}

impl Vault {
    /// The account's token after a refresh that is shared with everybody who waits for it.
    pub(crate) async fn refresh(&self, account_id: &str) -> Result<ProviderToken, VaultError> {
        let flight = {
            let Flights(running) = &self.0.flights;
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(account_id) {
                Some(flight) => flight.clone(),
                None => {
                    let landing = Landing(self.clone(), account_id.to_owned());
                    // A task of its own: a caller who hangs up must not lose the new pair.
                    let task = self.0.tasks.spawn(async move {
                        let Landing(vault, account_id) = &landing;
                        vault.refresh_alone(account_id).await
                    });
                    let ended = task.map(|ended| {
                        ended.unwrap_or_else(|error| Err(VaultError::Internal(error.to_string())))
                    });
                    let flight = ended.boxed().shared();
                    running.insert(account_id.to_owned(), flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    async fn refresh_alone(&self, account_id: &str) -> Result<ProviderToken, VaultError> {
        let (pause, attempts) = POLL;
        for _ in 0..attempts {
            let row = accounts::find(self.storage(), self.tenant(), account_id).await?;
            let row = row.ok_or(VaultError::NotConnected)?;
            let connection = self.find_connection(&row.connection).await?;
            let connection = connection.ok_or(VaultError::ConnectionNotFound)?;
            let now = self.now();
            let refresh_token = match self.plan(&row, now)? {
                Plan::Use => return self.open_account(&row, &connection),
                Plan::Reauthorize => return Err(VaultError::ReauthorizationRequired),
                Plan::Wait(until) => return Err(unavailable(until.since(now))),
                Plan::Ask(refresh_token) => refresh_token,
            };
            let holder = self.new_id();
            let mut unit = self.unit();
            let until = now.plus(LEASE);
            let version = row.tokens.version;
            let (tenant, id) = (self.tenant(), row.account_id.as_str());
            unit.add(accounts::begin_refresh(tenant, id, version, &holder, until, now));
            match self.commit(unit).await {
                Ok(_) => match self.ask(&row, &connection, &holder, &refresh_token).await? {
                    Some(token) => return Ok(token),
                    // The row has moved under us: what stands there now counts.
                    None => continue,
                },
                Err(error) if !error.is_conflict("account is refreshed elsewhere") => {
                    return Err(error.into());
                }
                Err(_elsewhere) if is_valid(&row.tokens, now) => {
                    return self.open_account(&row, &connection);
                }
                Err(_elsewhere) => tokio::time::sleep(pause).await,
            }
        }
        Err(unavailable(COOL_DOWN))
    }

    fn plan(&self, row: &AccountRow, now: Timestamp) -> Result<Plan, VaultError> {
        let is_valid = is_valid(&row.tokens, now);
        if !is_due(&row.tokens, now) {
            return Ok(Plan::Use);
        }
        let sealed = match &row.tokens.refresh_token {
            Some(sealed) if row.state != state::REAUTHORIZE => sealed,
            _ if is_valid => return Ok(Plan::Use),
            _ => return Ok(Plan::Reauthorize),
        };
        match row.retry_at {
            Some(retry_at) if retry_at > now && is_valid => Ok(Plan::Use),
            Some(retry_at) if retry_at > now => Ok(Plan::Wait(retry_at)),
            _ => Ok(Plan::Ask(self.open_token(place(row, TokenKind::Refresh), sealed)?)),
        }
    }

    /// Asks the provider, under the lease of `holder`. `None`: the row has moved, look again.
    async fn ask(
        &self,
        row: &AccountRow,
        connection: &Connection,
        holder: &str,
        refresh_token: &Secret<String>,
    ) -> Result<Option<ProviderToken>, VaultError> {
        let secret = self.client_secret(connection)?;
        let answer = self.provider(connection, secret.as_ref()).refresh(refresh_token).await;
        let now = self.now();
        match answer {
            Ok(set) => self.store_pair(row, connection, holder, refresh_token, set).await,
            Err(ProviderError::InvalidGrant) => {
                let mut unit = self.unit();
                let (tenant, id) = (self.tenant(), row.account_id.as_str());
                unit.add(accounts::end_refresh(tenant, id, holder, state::REAUTHORIZE, None, now));
                unit.record(&account_event(
                    self,
                    EventKind::AccountReauthorizationRequired,
                    &Actor::System,
                    row,
                ));
                self.end_or_look_again(unit, row, connection, VaultError::ReauthorizationRequired)
                    .await
            }
            Err(error) => {
                tracing::warn!(%error, connection = %row.connection, "a token was not refreshed");
                let (pause, after) = match error {
                    // The request may have arrived and used the refresh token up: the row keeps
                    // saying so.
                    ProviderError::Unavailable { retry_after, may_have_arrived: true } => {
                        (retry_after, state::REFRESHING)
                    }
                    ProviderError::Unavailable { retry_after, .. } => (retry_after, state::ACTIVE),
                    _ => (None, state::ACTIVE),
                };
                let pause = self.jittered(pause.unwrap_or(COOL_DOWN).min(COOL_DOWN_MAX));
                let mut unit = self.unit();
                let retry_at = Some(now.plus(pause));
                let (tenant, id) = (self.tenant(), row.account_id.as_str());
                unit.add(accounts::end_refresh(tenant, id, holder, after, retry_at, now));
                self.end_or_look_again(unit, row, connection, unavailable(pause)).await
            }
        }
    }

    /// Ends a refresh that gave nothing: the old token while it is valid, else `refusal`.
    async fn end_or_look_again(
        &self,
        unit: UnitOfWork,
        row: &AccountRow,
        connection: &Connection,
        refusal: VaultError,
    ) -> Result<Option<ProviderToken>, VaultError> {
        match self.commit(unit).await {
            Ok(_) if is_valid(&row.tokens, self.now()) => {
                self.open_account(row, connection).map(Some)
            }
            Ok(_) => Err(refusal),
            // Somebody else has had the lease since: she may have a new token.
            Err(error) if error.is_conflict("lease was lost") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn store_pair(
        &self,
        row: &AccountRow,
        connection: &Connection,
        holder: &str,
        refresh_token: &Secret<String>,
        set: TokenSet,
    ) -> Result<Option<ProviderToken>, VaultError> {
        // Providers that do not rotate send no new refresh token: the old one goes on.
        let rotated = set.refresh_token.is_some();
        let refresh_token = set.refresh_token.as_ref().unwrap_or(refresh_token);
        let scopes = match set.scopes {
            Some(scopes) if !scopes.is_empty() => scopes,
            _ => scopes_of(row)?,
        };
        let place = TokenPlace {
            version: row.tokens.version.saturating_add(1),
            ..place(row, TokenKind::Access)
        };
        let now = self.now();
        let tokens = TokensRow {
            scopes: serde_json::Value::from(scopes).to_string(),
            access_token: self.seal_token(place, &set.access_token)?,
            refresh_token: Some(
                self.seal_token(TokenPlace { kind: TokenKind::Refresh, ..place }, refresh_token)?,
            ),
            issued_at: now,
            expires_at: set.expires_in.map(|expires_in| now.plus(expires_in)),
            version: place.version,
        };
        let mut attempt = 1;
        loop {
            let mut unit = self.unit();
            let (tenant, id) = (self.tenant(), row.account_id.as_str());
            unit.add(accounts::finish_refresh(tenant, id, holder, &tokens));
            let event = account_event(self, EventKind::AccountRefreshed, &Actor::System, row);
            unit.record(&event.with("rotated", rotated).with("version", tokens.version));
            match self.commit(unit).await {
                Ok(_) => {
                    let row = AccountRow { tokens, ..row.clone() };
                    return self.open_account(&row, connection).map(Some);
                }
                Err(error) if error.is_conflict("lease was lost") => return Ok(None),
                Err(StoreError::Unavailable { .. }) if attempt < STORE_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(50) * 2_u32.pow(attempt)).await;
                    attempt = attempt.saturating_add(1);
                }
                Err(error) => {
                    tracing::error!(%error, account = %row.account_id, "a new pair of tokens could not be stored and is lost");
                    return Err(error.into());
                }
            }
        }
    }

    /// `pause` and up to half as much more, so that many accounts do not come back at once.
    fn jittered(&self, pause: Duration) -> Duration {
        let [random] = random_bytes::<1>(self.rng());
        pause.saturating_add(pause.saturating_mul(u32::from(random)) / 512)
    }
}

fn unavailable(pause: Duration) -> VaultError {
    let secs = u32::try_from(pause.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
    VaultError::ProviderUnavailable { retry_after_secs: secs.max(1) }
}
