//! Connections to providers, the accounts that people connected there, and their tokens.
//!
//! A provider's token is sealed for one tenant, person, connection, account, kind and version, so
//! that a row copied elsewhere opens nothing. It leaves here in one way, [`Vault::token`], which
//! refreshes it when it is due: once, however many ask, and stored before anybody gets it.
//!
//! Knows no HTTP route and no SQL; who a person is was decided by whoever asks.

mod account;
mod connect;
mod connection;
mod error;
mod provider;
mod refresh;
mod seal;
mod setup;
mod token;

use std::sync::Arc;

use behalf_core::{Clock, ConnectionName, Rng, TenantId, Timestamp, new_ulid};
use behalf_crypto::envelope::Keyring;
use behalf_egress::Egress;
use behalf_store::{Committed, Held, Storage, StoreError, UnitOfWork};
use tokio_util::task::TaskTracker;

pub use account::{Account, AccountStatus, Disconnected, Revocation};
pub use connect::{
    ApplicationConnect, ApplicationRequest, ConnectCompletion, ConnectGoal, ConnectOffer,
    ConnectRequest, ConnectStarted, NewAccount, Trip,
};
pub use connection::{Connection, Strategy};
pub use error::{ConnectError, VaultError};
pub use setup::{
    ConnectedAccountEntry, ConnectionEntry, ConnectionOptionsEntry, VaultSection, VaultSetupError,
};
pub use token::ProviderToken;

/// The vault of one tenant; clones share it.
#[derive(Clone, Debug)]
pub struct Vault(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    keyring: Arc<Keyring>,
    egress: Egress,
    redirect_uri: String,
    connections: Held<ConnectionName, Connection>,
    flights: refresh::Flights,
    tasks: TaskTracker,
}

/// What a [`Vault`] is built from.
#[derive(Debug)]
pub struct VaultParts {
    /// Where it remembers.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids, states and seals.
    pub rng: Arc<dyn Rng>,
    /// The tenant it serves.
    pub tenant: TenantId,
    /// The tenant's keyring.
    pub keyring: Arc<Keyring>,
    /// The way to the providers.
    pub egress: Egress,
    /// The address to which every provider sends people back: `{issuer}login/callback`.
    pub redirect_uri: String,
}

impl Vault {
    /// The vault of one tenant.
    pub fn new(parts: VaultParts) -> Self {
        Self(Arc::new(Inner {
            storage: parts.storage,
            clock: parts.clock,
            rng: parts.rng,
            tenant: parts.tenant,
            keyring: parts.keyring,
            egress: parts.egress,
            redirect_uri: parts.redirect_uri,
            connections: Held::default(),
            flights: refresh::Flights::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Where providers send people back to: what an operator registers there.
    pub fn redirect_uri(&self) -> &str {
        &self.0.redirect_uri
    }

    /// Stores a unit to which the vault has added its part.
    ///
    /// # Errors
    /// As [`Storage::commit`].
    pub async fn commit(&self, unit: UnitOfWork) -> Result<Committed, StoreError> {
        self.0.storage.commit(unit).await
    }

    /// Waits until refreshes under way have stored what the providers gave: a token that was
    /// exchanged and not stored is lost.
    pub async fn close(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// An empty unit of work that happens now.
    pub fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.now(), self.rng())
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn new_id(&self) -> String {
        new_ulid(self.now(), self.rng())
    }
}
