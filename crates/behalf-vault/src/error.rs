//! Why no token is handed out, and why nothing was connected.

use behalf_store::StoreError;
use thiserror::Error;

/// No token is handed out. A token is never absent without a reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VaultError {
    /// No connection has that name.
    #[error("there is no connection of that name")]
    ConnectionNotFound,
    /// The person has connected no account there.
    #[error("no account is connected")]
    NotConnected,
    /// The account is connected, but may do less than is needed.
    #[error("the connected account lacks {}", .missing.join(", "))]
    InsufficientScope {
        /// The scopes that are missing.
        missing: Vec<String>,
    },
    /// The provider accepts the refresh token no longer: she must connect again.
    #[error("the provider asks for a new authorization")]
    ReauthorizationRequired,
    /// The provider does not answer now, and no token of hers is still valid.
    #[error("the provider is not available; try again in {retry_after_secs} s")]
    ProviderUnavailable {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// A stored token does not open in its place: the row was altered or copied, or a key is
    /// missing.
    #[error("a stored token cannot be opened")]
    Sealed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect.
    #[error("internal error: {0}")]
    Internal(String),
}

impl VaultError {
    /// The error's code on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConnectionNotFound | Self::NotConnected => "connection_not_found",
            Self::InsufficientScope { .. } => "insufficient_connection_scope",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::ProviderUnavailable { .. } => "provider_unavailable",
            Self::Sealed => "vault_sealed",
            Self::Store(_) | Self::Internal(_) => "server_error",
        }
    }
}

/// Nothing was connected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// No connection has that name.
    #[error("there is no connection of that name")]
    ConnectionNotFound,
    /// The connection's client id or secret is not set.
    #[error("the connection is not set up")]
    NotSetUp,
    /// The state, ticket, session or code is unknown, used, expired, another person's or another
    /// browser's.
    #[error("this connect is over, or was started in another browser or by another person")]
    Over,
    /// What an application asked for is malformed.
    #[error("{0}")]
    Invalid(String),
    /// The provider refused the code, or us.
    #[error("the provider refused: {code}")]
    Refused {
        /// Its error code, as far as it has the shape of one.
        code: String,
    },
    /// The provider did not answer, or not as one.
    #[error("the provider did not answer")]
    Unavailable,
    /// The account was changed by somebody else in the meantime.
    #[error("the account was connected somewhere else at the same moment")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect or broken key material.
    #[error("internal error: {0}")]
    Internal(String),
}
