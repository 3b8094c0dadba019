//! Errors of the server and of the way to it, sorted by what they mean for a unit of work.

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::error::StoreError;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A unique key, a primary key or a foreign key stands against it.
    Constraint,
    /// Another transaction was in the way; the whole unit may be tried again.
    Again(StoreError),
    /// The connection is gone.
    Lost(StoreError),
    /// Anything else.
    Store(StoreError),
}

impl Failure {
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// The failure where no unit can give its conflict a name.
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Self::Constraint => StoreError::Conflict { what: "already exists" },
            Self::Again(error) | Self::Lost(error) | Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Sorts an error of a connection.
pub(super) fn of(error: &tokio_postgres::Error) -> Failure {
    let Some(refusal) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        let is_io = cause.is_some_and(|cause| cause.is::<std::io::Error>());
        let reason = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        return if error.is_closed() || is_io {
            Failure::Lost(StoreError::unavailable(reason))
        } else {
            Failure::Store(StoreError::Internal { reason })
        };
    };
    // Never `detail`: it quotes keys and rows.
    let reason = format!("{} ({})", refusal.message(), refusal.code().code());
    let code = refusal.code();
    if [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION].contains(code) {
        return Failure::Constraint;
    }
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
        return Failure::Again(StoreError::unavailable(reason));
    }
    let ends_connection = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    if ends_connection.contains(code) {
        return Failure::Lost(StoreError::unavailable(reason));
    }
    Failure::Store(match code.code().get(..2) {
        // Connection, resources, operator, system. A standby refuses writes with 25006.
        Some("08" | "53" | "57" | "58") => StoreError::unavailable(reason),
        _ if [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code) => {
            StoreError::unavailable(reason)
        }
        Some("XX") => StoreError::Corrupt { what: reason },
        _ => StoreError::Internal { reason },
    })
}

/// Sorts an error of getting a connection.
pub(super) fn of_pool(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            match of(error).into_store() {
                // Whatever keeps a connection from being made, the database cannot serve.
                StoreError::Internal { reason } => StoreError::unavailable(reason),
                error => error,
            }
        }
        PoolError::Closed => StoreError::Internal { reason: "the database is closed".to_owned() },
        _ => StoreError::unavailable(format!("no connection: {error}")),
    }
}
