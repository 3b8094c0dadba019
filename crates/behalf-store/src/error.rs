//! What can go wrong below the port, in the four ways that callers treat differently.

use thiserror::Error;

/// A read or a unit of work failed. Of a failed unit nothing was stored, unless
/// the error says that it may have been.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A precondition did not hold, or a key existed already.
    #[error("conflict: {what}")]
    Conflict {
        /// The precondition's name, as the statement gave it.
        what: &'static str,
    },
    /// The database cannot serve now: disk full, unreachable, shutting down. Answer 503.
    #[error("storage unavailable: {reason}")]
    Unavailable {
        /// For the log, never for a client.
        reason: String,
        /// True when the answer to a commit was lost: the unit may have been stored whole.
        may_be_stored: bool,
    },
    /// A stored value is not what this version wrote.
    #[error("stored data is corrupt: {what}")]
    Corrupt {
        /// Table, column and row as far as they are known.
        what: String,
    },
    /// A defect in Behalf: a statement that the engine refuses.
    #[error("storage failed: {reason}")]
    Internal {
        /// For the log, never for a client.
        reason: String,
    },
}

impl StoreError {
    /// The database cannot serve now, and nothing was stored.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), may_be_stored: false }
    }

    /// True when nobody can say whether the unit was stored: it must not be denied.
    pub const fn may_be_stored(&self) -> bool {
        matches!(self, Self::Unavailable { may_be_stored: true, .. })
    }

    /// True if this is the conflict named `what`.
    pub fn is_conflict(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { what } if *what == name)
    }
}
