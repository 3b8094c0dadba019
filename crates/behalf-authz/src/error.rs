//! What can go wrong, with OpenFGA's numbers and names.

use behalf_fga::{InvalidModel, RequestError, WriteError};
use behalf_store::StoreError;
use thiserror::Error;

/// A request to the service failed; nothing was changed.
#[derive(Debug, Error)]
pub enum AuthzError {
    /// No such store.
    #[error("store id not found")]
    StoreNotFound,
    /// The store has no model yet.
    #[error("No authorization models found for store '{0}'")]
    NoModel(String),
    /// No such model in the store.
    #[error("Authorization Model '{0}' not found")]
    ModelNotFound(String),
    /// The model breaks a rule.
    #[error(transparent)]
    Model(#[from] InvalidModel),
    /// The write breaks a rule.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The question is invalid, or cannot be answered.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No page gave this continuation token.
    #[error("Invalid continuation token")]
    BadContinuationToken,
    /// The continuation token is of a page of another type's changes.
    #[error("The type in the querystring and the continuation token don't match")]
    TokenOfAnotherType,
    /// The request has too many items.
    #[error("The number of {what} exceeds the allowed limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The store has not come to the revision that the reader asked for.
    #[error("the store is at revision {at}, not yet at {wanted}")]
    NotReached {
        /// The revision asked for.
        wanted: u64,
        /// The store's revision.
        at: u64,
    },
    /// A field's value is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// Others wrote to the store all the while.
    #[error("the store is written to by too many at once")]
    Contention,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
