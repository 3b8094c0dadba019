//! The server engine: several nodes on one PostgreSQL database, each with a pool of connections.
//!
//! A unit of work runs as one transaction that is tried again when the server says that trying
//! again may help. Units that record events, or that depend on what they read, take turns on one
//! row, so that a unit means here what it means to the embedded engine's one writer, and so that
//! events lie in the outbox in the order of their commits.

mod address;
mod error;
pub(crate) mod migrate;
mod pool;
mod tls;
mod transaction;
mod value;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::Semaphore;

use crate::error::StoreError;
use crate::unit::{Committed, Sql, UnitOfWork};
use crate::value::{Row, Value};
use address::Address;

/// Connections of a node.
const CONNECTIONS: usize = 20;
/// Of them, those that may write at once; the rest stays free for reads.
const WRITERS: usize = 8;
/// Of the writers, those that may wait for their turn at once.
const WAITING_FOR_TURN: usize = 4;
/// How long to look for the outcome of a commit whose connection was lost.
const OUTCOME_SEARCH: Duration = Duration::from_secs(10);

/// The open database.
#[derive(Clone)]
pub(crate) struct Postgres {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    writers: Semaphore,
    turn: Semaphore,
}

impl std::fmt::Debug for Postgres {
    /// Nothing of the address: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to a database that `behalf migrate` has prepared.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let pool = pool::build(&address, CONNECTIONS)?;
        let client = pool.get().await.map_err(|error| error::of_pool(&error))?;
        pool::check_server(&client).await?;
        migrate::require_current(&client).await?;
        drop(client);
        let shared = Shared {
            pool,
            writers: Semaphore::new(WRITERS),
            turn: Semaphore::new(WAITING_FOR_TURN),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Stores the unit. It runs to its end even if the caller goes away, as a queued unit of the
    /// embedded engine does.
    pub(crate) async fn commit(&self, unit: UnitOfWork) -> Result<Committed, StoreError> {
        let this = self.clone();
        let task = tokio::spawn(async move { transaction::commit(&this, &unit).await });
        task.await.unwrap_or_else(|_panicked| {
            Err(StoreError::Internal { reason: "a commit ended early".to_owned() })
        })
    }

    /// Runs a read, once more when the connection turns out to be a dead one of the pool.
    pub(crate) async fn query(&self, sql: Sql, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let failure = match transaction::query(&client, sql.postgres(), params).await {
            Ok((rows, _)) => return Ok(rows),
            Err(failure) => failure,
        };
        if failure.is_lost() {
            drop(client);
            let client = self.client().await?;
            let again = transaction::query(&client, sql.postgres(), params).await;
            return again.map(|(rows, _)| rows).map_err(error::Failure::into_store);
        }
        Err(failure.into_store())
    }

    pub(crate) fn close(&self) {
        self.shared.pool.close();
    }

    async fn client(&self) -> Result<Object, StoreError> {
        self.shared.pool.get().await.map_err(|error| error::of_pool(&error))
    }
}
