//! What can go wrong at the gate. None of it ever lets a call through.

use behalf_authz::AuthzError;
use behalf_store::StoreError;
use behalf_vault::VaultError;
use thiserror::Error;

/// The gate cannot answer; nothing was allowed.
#[derive(Debug, Error)]
pub enum GateError {
    /// The key belongs to a call of somebody else, of another tool or with other arguments.
    #[error("this call's key was used for another call")]
    KeyReused,
    /// The arguments have no canonical form, so nothing can be bound to them.
    #[error("the arguments cannot be signed for: {0}")]
    Arguments(String),
    /// The call was started already, here or on another node.
    #[error("the call was started already")]
    Started,
    /// There is no such call.
    #[error("there is no such call")]
    NoSuchCall,
    /// How the call ended is known already.
    #[error("the call is settled already")]
    Settled,
    /// The provider does not answer.
    #[error("the provider does not answer")]
    ProviderUnavailable {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// The vault failed.
    #[error(transparent)]
    Vault(VaultError),
    /// Others changed what the decision rests on all the while.
    #[error("too much changes at once")]
    Contention,
    /// What was stored does not fit the digest that was decided on.
    #[error("the stored call does not match its digest")]
    Tampered,
    /// A relationship could not be asked.
    #[error(transparent)]
    Authz(#[from] AuthzError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stored value that this version did not write.
pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}
