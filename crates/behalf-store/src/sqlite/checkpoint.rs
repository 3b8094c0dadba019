//! Moving the log's pages into the database, beside the writer: whoever waits for a commit must not
//! wait for thousands of pages of earlier ones.
//!
//! A thread of its own moves what the log holds. While writes go on, some pages are always left, and
//! a log starts over only when there are none; so the writer moves the last ones itself when the log
//! has become long. That takes it one sync.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::SqliteOptions;
use super::connection::{driver, open_checkpointer, unavailable};
use crate::error::StoreError;

/// Groups of writes after which the log is looked at.
const LOOK_AFTER: u32 = 64;
/// Pages (of 4 KiB) of a log that should start over.
const LONG: i64 = 4000;

/// The thread, as the writer knows it.
pub(super) struct Checkpoints {
    look: SyncSender<()>,
    is_long: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    groups: u32,
}

impl Checkpoints {
    pub(super) fn start(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let connection = open_checkpointer(path, options)?;
        let (look, asked) = sync_channel(1);
        let is_long = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("behalf-moves-log".to_owned())
            .spawn({
                let is_long = Arc::clone(&is_long);
                move || run(&connection, &asked, &is_long)
            })
            .map_err(|error| unavailable(&error))?;
        Ok(Self { look, is_long, thread, groups: 0 })
    }

    /// A group was committed on `writer`, and whoever waited for it knows.
    pub(super) fn after_group(&mut self, writer: &Connection) {
        self.groups = self.groups.wrapping_add(1);
        if self.groups.is_multiple_of(LOOK_AFTER) && self.look.try_send(()).is_err() {
            tracing::debug!("the log is being looked at already");
        }
        if self.is_long.swap(false, Ordering::Relaxed)
            && let Err(error) = checkpoint(writer)
        {
            tracing::warn!(%error, "the log could not start over");
        }
    }

    /// Ends the thread and its connection.
    pub(super) fn close(self) {
        drop(self.look);
        if self.thread.join().is_err() {
            tracing::error!("the thread that moves the log's pages panicked");
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, is_long: &AtomicBool) {
    while asked.recv().is_ok() {
        match checkpoint(connection) {
            Ok(pages) => is_long.store(pages >= LONG, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the log's pages wait"),
        }
    }
}

/// Moves what no reader keeps back, and waits for nobody. Returns how many pages the log has.
fn checkpoint(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(|error| driver(&error))
}
