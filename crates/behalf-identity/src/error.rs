//! Why a request of a client or a person was refused.

use behalf_store::StoreError;
use thiserror::Error;

/// A refusal at the token endpoint and its neighbours (RFC 6749 §5.2 and the documents that
/// extend it). The text in each variant is shown to the client: plain words, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    /// The request is malformed.
    #[error("{0}")]
    InvalidRequest(String),
    /// The client is unknown or did not prove who it is.
    #[error("{0}")]
    InvalidClient(String),
    /// The code, token or password is wrong, used, expired or revoked.
    #[error("{0}")]
    InvalidGrant(String),
    /// This client may not use this grant.
    #[error("{0}")]
    UnauthorizedClient(String),
    /// No client may use this grant here.
    #[error("{0}")]
    UnsupportedGrantType(String),
    /// That kind of token cannot be revoked (RFC 7009 §2.2.1).
    #[error("{0}")]
    UnsupportedTokenType(String),
    /// A scope may not be had.
    #[error("{0}")]
    InvalidScope(String),
    /// The audience is unknown, or not for this client (RFC 8707 §2).
    #[error("{0}")]
    InvalidTarget(String),
    /// A person or a rule said no.
    #[error("{0}")]
    AccessDenied(String),
    /// The person has not decided yet (CIBA Core §11).
    #[error("{0}")]
    AuthorizationPending(String),
    /// The client asks more often than it may (CIBA Core §11).
    #[error("You are polling faster than allowed. Try again in {retry_after_secs} seconds.")]
    SlowDown {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// The request's time was over before it was answered (CIBA Core §11).
    #[error("{0}")]
    ExpiredToken(String),
    /// The person said no (CIBA Core §11).
    #[error("{0}")]
    ApprovalDenied(String),
    /// The hint names nobody who can be asked (CIBA Core §13).
    #[error("{0}")]
    UnknownUser(String),
    /// Rich authorization details are malformed (RFC 9396 §5).
    #[error("{0}")]
    InvalidAuthorizationDetails(String),
    /// Too many failed attempts, or too many requests that wait.
    #[error("{text}")]
    TooManyAttempts {
        /// What there is too much of.
        text: String,
        /// When to come back.
        retry_after_secs: u32,
    },
    /// Too much is going on; try again in `retry_after_secs`.
    #[error("the server is busy; try again in {retry_after_secs} s")]
    Busy {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// The store failed; nothing was issued.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect or broken key material; nothing was issued.
    #[error("internal error: {0}")]
    Internal(String),
}

impl GrantError {
    /// The error code on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType(_) => "unsupported_grant_type",
            Self::UnsupportedTokenType(_) => "unsupported_token_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::AccessDenied(_) | Self::ApprovalDenied(_) => "access_denied",
            Self::AuthorizationPending(_) => "authorization_pending",
            Self::SlowDown { .. } => "slow_down",
            Self::ExpiredToken(_) => "expired_token",
            Self::UnknownUser(_) => "unknown_user_id",
            Self::InvalidAuthorizationDetails(_) => "invalid_authorization_details",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Busy { .. } | Self::Store(StoreError::Unavailable { .. }) => {
                "temporarily_unavailable"
            }
            Self::Store(_) | Self::Internal(_) => "server_error",
        }
    }
}
