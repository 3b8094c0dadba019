//! Who people and applications are, and what they may hold: users, clients, APIs, sessions,
//! authorization codes, tokens, platform roles.
//!
//! Decides and remembers; knows no HTTP and no SQL. An [`Identity`] serves one tenant, which has
//! its own issuer and keys.

mod api_key;
mod audience;
mod authorize;
mod built_in;
mod client;
mod error;
mod grant;
mod issuer;
mod keys;
mod logout;
mod password;
mod project;
mod purge;
mod role;
mod scope;
mod session;
mod setup;
mod sign_in;
mod token;
mod user;

use std::sync::Arc;

use behalf_core::{ClientId, Clock, Rng, Secret, TenantId, Timestamp, new_ulid};
use behalf_crypto::envelope::Keyring;
use behalf_crypto::opaque;
use behalf_store::{Held, Storage, UnitOfWork};

pub use api_key::{FgaCaller, FgaKeyEntry, FgaKeySettings, FgaPrincipal};
pub use audience::{Api, OwnApi, ResourceServerSettings, ScopeSettings};
pub use authorize::{AuthorizationRequest, AuthorizeError, AuthorizeParams, Next, Prompt};
pub use client::{
    AppType, Client, ClientCredentials, ClientSettings, GrantType, InvalidClientSettings,
};
pub use error::GrantError;
pub use grant::{
    ApprovedGrant, ClientGrantSettings, CodeExchange, ExchangeSubject, PasswordGrant, Refresh,
    SubjectToken, TokenAnswer,
};
pub use issuer::{InvalidIssuer, Issuer};
pub use keys::OpenError;
pub use logout::{LogoutError, LogoutOutcome, LogoutRequest};
pub use password::{PasswordPolicyError, check_password};
pub use project::{ProjectCaller, ProjectEntry, ProjectKeyEntry};
pub use role::{Resource, Right, right};
pub use scope::Scopes;
pub use session::{Browser, Session};
pub use setup::{
    ClientEntry, ClientGrantEntry, IdentitySection, ResourceServerEntry, SetupError, SetupOutcome,
    UserEntry,
};
pub use sign_in::{SignInError, SignInPage, SignInStep};
pub use token::{AccessToken, TokenError};
pub use user::{Profile, User};

/// The identity of one tenant; clones share it.
#[derive(Clone, Debug)]
pub struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    issuer: Issuer,
    keys: keys::Keys,
    hashing: password::HashingPool,
    built_in_agent: ClientId,
    held: HeldRows,
}

/// What nearly every request asks for and hardly anybody changes.
#[derive(Debug, Default)]
struct HeldRows {
    fga_keys: Held<[u8; 32], Arc<FgaCaller>>,
    clients: Held<ClientId, Client>,
    apis: Held<String, Api>,
    client_grants: Held<(ClientId, String), ClientGrantSettings>,
}

/// What an [`Identity`] is built from.
#[derive(Debug)]
pub struct IdentityParts {
    /// Where it remembers.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids, codes and tokens.
    pub rng: Arc<dyn Rng>,
    /// The tenant it serves.
    pub tenant: TenantId,
    /// The tenant's issuer.
    pub issuer: Issuer,
    /// How many passwords are hashed at once; the number of cores.
    pub hashing_permits: usize,
}

impl Identity {
    /// Opens the tenant's identity; on first start it makes the tenant and its keys, wrapped by
    /// `root`.
    ///
    /// # Errors
    /// When the store fails, or the root key is not the one that wrapped the tenant's keys.
    pub async fn open(
        parts: IdentityParts,
        root: &behalf_crypto::envelope::RootKey,
    ) -> Result<Self, OpenError> {
        let keys = keys::Keys::open(&parts, root).await?;
        Ok(Self(Arc::new(Inner {
            storage: parts.storage,
            clock: parts.clock,
            rng: parts.rng,
            tenant: parts.tenant,
            issuer: parts.issuer,
            keys,
            hashing: password::HashingPool::new(parts.hashing_permits),
            built_in_agent: built_in::built_in_agent()?,
            held: HeldRows::default(),
        })))
    }

    /// The tenant it serves.
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The tenant's issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The tenant's keyring, which seals what other domains keep secret, each in a context of its
    /// own.
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys().keyring)
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    fn keys(&self) -> &keys::Keys {
        &self.0.keys
    }

    /// An empty unit of work that happens now.
    pub fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.now(), self.rng())
    }

    fn new_id(&self) -> String {
        new_ulid(self.now(), self.rng())
    }

    /// A fresh opaque token and the hash under which it is kept.
    fn mint(&self, prefix: &str) -> (Secret<String>, [u8; 32]) {
        let token = opaque::mint(prefix, self.rng());
        let hash = opaque::digest(token.expose());
        (token, hash)
    }
}
