//! What can go wrong with a log.

use behalf_store::StoreError;
use thiserror::Error;

/// An operation on a log failed.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The project has no log, or the log no such record.
    #[error("there is no such log or record")]
    NotFound,
    /// Stored parts of the log contradict each other: somebody changed the database, or a back-up
    /// was put back.
    #[error("the log contradicts itself: {0}")]
    Fault(String),
    /// The log's key cannot be made or opened.
    #[error("the log's key failed: {0}")]
    Key(String),
    /// The window ends before it begins, or holds more than one export may.
    #[error("{0}")]
    Window(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LedgerError {
    /// A contradiction in the stored log.
    #[expect(clippy::needless_pass_by_value, reason = "an error that `map_err` hands over")]
    pub(crate) fn fault(what: impl ToString) -> Self {
        Self::Fault(what.to_string())
    }

    /// A key that cannot be made or opened.
    #[expect(clippy::needless_pass_by_value, reason = "an error that `map_err` hands over")]
    pub(crate) fn key(what: impl ToString) -> Self {
        Self::Key(what.to_string())
    }
}
