//! The embedded engine: one writer with group commit, readers on their own connections.
//!
//! Reads run on the caller's thread: a point read costs microseconds and a thread hop many times
//! that. Writes are queued to one thread that takes everything waiting, runs each unit in a
//! savepoint, and makes the group durable with one synced commit. A third thread moves what has been
//! written from the log into the database.

mod checkpoint;
pub(crate) mod connection;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use behalf_core::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::migrations;
use crate::unit::{Committed, Sql, UnitOfWork};
use crate::value::{Row, Value};
use checkpoint::Checkpoints;
pub(crate) use connection::driver as driver_error;
use connection::{internal, unavailable};
use writer::Job;

/// Units that may wait for the writer; more wait for a place in the queue.
const QUEUE: usize = 1024;
/// Reader connections kept open between reads.
const IDLE_READERS: usize = 16;

/// How much the engine may lose on a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DangerSynchronous {
    /// Every commit is synced before it is acknowledged: the only setting for production.
    Full,
    /// Commits are synced at checkpoints only, so acknowledged writes may be lost: for tests that
    /// must see them lost.
    Normal,
}

/// How the embedded store is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// See [`DangerSynchronous`].
    pub danger_synchronous: DangerSynchronous,
    /// The name of the SQLite VFS that files go through; `None`: the operating system's. Tests
    /// register ones that fail as disks do.
    pub vfs: Option<&'static str>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { danger_synchronous: DangerSynchronous::Full, vfs: None }
    }
}

/// The open database.
#[derive(Clone, Debug)]
pub(crate) struct Sqlite {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: std::path::PathBuf,
    options: SqliteOptions,
    readers: Mutex<Vec<Connection>>,
    jobs: mpsc::Sender<Job>,
    /// See [`Storage::version`](crate::Storage::version).
    version: Arc<AtomicU64>,
}

impl Sqlite {
    pub(crate) fn open(
        path: &Path,
        options: SqliteOptions,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut writer = connection::open_writer(path, options)?;
        migrations::migrate_sqlite(&mut writer, now)?;
        let checkpoints = Checkpoints::start(path, options)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let version = Arc::new(AtomicU64::new(0));
        std::thread::Builder::new()
            .name("behalf-writer".to_owned())
            .spawn({
                let version = Arc::clone(&version);
                move || writer::run(writer, checkpoints, queue, &version)
            })
            .map_err(|error| unavailable(&error))?;
        let readers = Mutex::new(Vec::new());
        let path = path.to_owned();
        Ok(Self { shared: Arc::new(Shared { path, options, readers, jobs, version }) })
    }

    pub(crate) async fn commit(&self, unit: UnitOfWork) -> Result<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Commit { unit, reply };
        self.shared.jobs.send(job).await.map_err(|_closed| closed())?;
        answer.await.unwrap_or_else(|_dropped| Err(closed()))
    }

    pub(crate) fn queue_depth(&self) -> usize {
        let jobs = &self.shared.jobs;
        jobs.max_capacity().saturating_sub(jobs.capacity())
    }

    pub(crate) fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    pub(crate) fn query(&self, sql: Sql, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let reader = self.take_reader()?;
        let rows = connection::query(&reader, sql.sqlite, params);
        self.return_reader(reader);
        rows
    }

    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.shared.jobs.send(Job::Close { reply }).await.is_ok() && answer.await.is_err() {
            tracing::warn!("the database writer ended before it answered");
        }
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take_reader(&self) -> Result<Connection, StoreError> {
        let idle = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(reader) => Ok(reader),
            None => connection::open_reader(&self.shared.path, self.shared.options),
        }
    }

    fn return_reader(&self, reader: Connection) {
        let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
    }
}

fn closed() -> StoreError {
    internal("the database is closed")
}
