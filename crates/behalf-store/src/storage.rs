//! The port: the engine is chosen once, when the storage is opened.

use std::path::Path;

use behalf_core::Timestamp;

use crate::error::StoreError;
use crate::sqlite::{Sqlite, SqliteOptions};
use crate::unit::{Committed, Sql, UnitOfWork};
use crate::value::{Row, Value};

/// A handle on the database; clones share it.
#[derive(Clone, Debug)]
pub struct Storage {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(Sqlite),
}

impl Storage {
    /// Opens the embedded store in `dir/behalf.db`, makes it if absent, and migrates it.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened or written, `Corrupt` when it was written by
    /// another version or is no database.
    pub fn open_sqlite(
        dir: &Path,
        options: SqliteOptions,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Ok(Self { engine: Engine::Sqlite(Sqlite::open(&dir.join("behalf.db"), options, now)?) })
    }

    /// Stores the unit durably, or nothing of it.
    ///
    /// # Errors
    /// `Conflict` when a precondition fails; `Unavailable` when the database cannot serve.
    pub async fn commit(&self, unit: UnitOfWork) -> Result<Committed, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.commit(unit).await,
        }
    }

    /// Every row that `sql` finds.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot serve.
    #[expect(clippy::unused_async, reason = "the embedded engine reads inline; a server does not")]
    pub async fn query(
        &self,
        sql: impl Into<Sql>,
        params: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let (sql, params) = (sql.into(), params.into_iter().collect::<Vec<_>>());
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.query(sql, &params),
        }
    }

    /// The first row that `sql` finds, if any.
    ///
    /// # Errors
    /// As [`Storage::query`].
    pub async fn find(
        &self,
        sql: impl Into<Sql>,
        params: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Waits until everything queued is stored, then closes the database.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}
