//! The port: the engine is chosen once, when the storage is opened.

use std::path::Path;
use std::time::Instant;

use behalf_core::Timestamp;
use metrics::{counter, histogram};

use crate::error::StoreError;
use crate::migrations::{MigrationStatus, Phase};
use crate::postgres::{self, Postgres};
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
    Postgres(Postgres),
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

    /// Connects to the PostgreSQL database at `url`, which [`Storage::migrate_postgres`] has
    /// prepared. Other nodes may use it at the same time.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be reached, or when its schema is missing or older than this
    /// version's; `Corrupt` when its schema is another's.
    pub async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        Ok(Self { engine: Engine::Postgres(Postgres::open(url).await?) })
    }

    /// Every migration of the PostgreSQL database at `url`, applied or not.
    ///
    /// # Errors
    /// As [`Storage::open_postgres`].
    pub async fn postgres_migrations(url: &str) -> Result<Vec<MigrationStatus>, StoreError> {
        postgres::migrate::status(url).await
    }

    /// Brings the schema of the PostgreSQL database at `url` up to date, all or nothing, and
    /// returns what was applied. After [`Phase::Expand`] nodes of the last version and of this one
    /// run side by side; [`Phase::Contract`] takes away what only older ones need.
    ///
    /// # Errors
    /// As [`Storage::open_postgres`].
    pub async fn migrate_postgres(
        url: &str,
        phase: Phase,
        now: Timestamp,
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        postgres::migrate::migrate(url, phase, now).await
    }

    /// True when other processes may write to the database too: what is held in memory must be
    /// compared with it before it is believed.
    pub const fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// A number that changes with every write, before the write is acknowledged, but for those that
    /// are [`held_nowhere`](crate::Statement::held_nowhere): anything else that was read after it
    /// was taken is still so while it is the same. `None` when other processes may write.
    pub fn version(&self) -> Option<u64> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Some(sqlite.version()),
            Engine::Postgres(_) => None,
        }
    }

    /// Stores the unit durably, or nothing of it.
    ///
    /// # Errors
    /// `Conflict` when a precondition fails; `Unavailable` when the database cannot serve.
    pub async fn commit(&self, unit: UnitOfWork) -> Result<Committed, StoreError> {
        let began = Instant::now();
        let result = match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.commit(unit).await,
            Engine::Postgres(postgres) => postgres.commit(unit).await,
        };
        let outcome = match &result {
            Ok(_) => "stored",
            Err(StoreError::Conflict { .. }) => "conflict",
            Err(_) => "failed",
        };
        counter!("behalf_commits_total", "outcome" => outcome).increment(1);
        histogram!("behalf_commit_duration_seconds").record(began.elapsed());
        result
    }

    /// How many units wait for the embedded store's writer; PostgreSQL has no such queue.
    pub fn queue_depth(&self) -> usize {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.queue_depth(),
            Engine::Postgres(_) => 0,
        }
    }

    /// Every row that `sql` finds.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot serve.
    pub async fn query(
        &self,
        sql: impl Into<Sql>,
        params: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let (sql, params) = (sql.into(), params.into_iter().collect::<Vec<_>>());
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.query(sql, &params),
            Engine::Postgres(postgres) => postgres.query(sql, &params).await,
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
            Engine::Postgres(postgres) => postgres.close(),
        }
    }
}
