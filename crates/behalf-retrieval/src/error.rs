//! What can go wrong when documents are searched or read.

use behalf_core::MayReadError;
use behalf_store::StoreError;
use thiserror::Error;

/// A question about documents was not answered; nothing was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RetrievalError {
    /// The query has nothing but blanks.
    #[error("`query` is empty")]
    EmptyQuery,
    /// The query is too long.
    #[error("`query` has more than {0} characters")]
    QueryTooLong(usize),
    /// More passages than a search gives, or none.
    #[error("`k` is not between 1 and {0}")]
    ResultCount(usize),
    /// A page token that no page gave.
    #[error("`page_token` is not one that a page gave")]
    PageToken,
    /// Nobody could say what may be read.
    #[error(transparent)]
    MayRead(#[from] MayReadError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
