//! When each stored tuple was written. The engine does not keep it; it is read from the log when a
//! reader first asks for tuples with their times, and followed from then on. What was read is kept in
//! a file beside the store's snapshot, which neither memory nor the next start pays for again.

mod file;

use std::collections::HashMap;
use std::sync::Arc;

use behalf_core::{TenantId, Timestamp};
use behalf_fga::{Change, DeleteKey};
use behalf_store::fga::{self, FgaLogRow};
use behalf_store::{Storage, StoreError};

use self::file::{Keys, TimesFile};
use crate::files::{Origin, SnapshotFiles};
use crate::state::corrupt;

/// Writes read at once; those of an import are large.
const PAGE: u32 = 100;
/// So many tuples are kept in memory before they go into the file, or more of a large one.
const RECENT: usize = 250_000;
const RECENT_PART: u64 = 8;
/// What a file may lack: one in so many of its tuples.
const LITTLE_PART: u64 = 256;

/// The times of one store's tuples, up to a revision.
#[derive(Debug)]
pub(crate) struct WriteTimes {
    storage: Storage,
    tenant: TenantId,
    store_id: String,
    created_at: Timestamp,
    files: Option<Arc<SnapshotFiles>>,
    keys: Keys,
    /// What is known up to some revision.
    file: Option<Arc<TimesFile>>,
    /// What was read from the log behind it: at which revision a tuple was written; nothing when it
    /// was deleted.
    recent: HashMap<u64, Option<i64>>,
    /// How far the log was read, and the commit of that write.
    revision: i64,
    txn: String,
    /// True when it was looked whether there is a file.
    is_open: bool,
}

impl WriteTimes {
    /// Nothing is read yet.
    pub(crate) fn new(
        storage: &Storage,
        tenant: &TenantId,
        store_id: &str,
        created_at: Timestamp,
        files: Option<&Arc<SnapshotFiles>>,
    ) -> Self {
        Self {
            storage: storage.clone(),
            tenant: tenant.clone(),
            store_id: store_id.to_owned(),
            created_at,
            files: files.cloned(),
            keys: Keys::new(),
            file: None,
            recent: HashMap::new(),
            revision: 0,
            txn: String::new(),
            is_open: false,
        }
    }

    /// At which revision each tuple was written, as of `revision` at least. To be run to its end:
    /// what was read would be lost.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn find(
        &mut self,
        tuples: Vec<DeleteKey>,
        revision: i64,
    ) -> Result<Vec<Option<i64>>, StoreError> {
        self.follow(revision).await?;
        let hashes: Vec<u64> = tuples.iter().map(|key| self.keys.hash(key)).collect();
        let recent: Vec<_> = hashes.iter().map(|hash| self.recent.get(hash).copied()).collect();
        let Some(file) = self.file.clone() else {
            return Ok(recent.into_iter().map(Option::flatten).collect());
        };
        let found = in_background(move || {
            let found = recent.into_iter().zip(hashes);
            found.map(|(recent, hash)| recent.map_or_else(|| file.find(hash), Ok)).collect()
        });
        found.await.map_err(|error| StoreError::unavailable(format!("a file of times: {error}")))
    }

    /// Puts what memory has into the file, unless that is little beside what the file has; when a
    /// reader has asked for times at all.
    pub(crate) async fn save(&mut self, revision: i64) {
        if !self.is_open {
            return;
        }
        if let Err(error) = self.follow(revision).await {
            tracing::warn!(store_id = %self.store_id, %error, "the times of tuples were not read");
        }
        let little = self.file.as_ref().map_or(0, |file| file.count() / LITTLE_PART);
        if self.recent.len() as u64 > little {
            self.spill().await;
        }
    }

    /// No file is written any more: the store was deleted.
    pub(crate) fn give_up(&mut self) {
        self.files = None;
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        let slot = size_of::<(u64, Option<i64>)>() as u64 + 1;
        let recent = (self.recent.capacity() as u64).saturating_mul(slot);
        recent.saturating_add(self.file.as_ref().map_or(0, |file| file.bytes()))
    }

    /// Reads on from where it stopped, to `revision` at least.
    async fn follow(&mut self, revision: i64) -> Result<(), StoreError> {
        if !self.is_open {
            self.open().await?;
            self.is_open = true;
        }
        while self.revision < revision {
            let rows =
                fga::list_log(&self.storage, &self.tenant, &self.store_id, self.revision, PAGE);
            let rows = rows.await?;
            let Some(last) = rows.last() else { break };
            let (revision, txn) = (last.revision, last.txn.clone());
            let keys = self.keys;
            let found = tokio::task::spawn_blocking(move || written(keys, &rows)).await;
            self.recent.extend(found.unwrap_or_else(|_panicked| Err(corrupt("fga_log.changes")))?);
            (self.revision, self.txn) = (revision, txn);
            let part = self.file.as_ref().map_or(0, |file| file.count() / RECENT_PART);
            if self.recent.len() as u64 > part.max(RECENT as u64) {
                self.spill().await;
            }
        }
        Ok(())
    }

    /// Takes up the file that there is, if the log bears it out.
    async fn open(&mut self) -> Result<(), StoreError> {
        let Some(files) = self.files.clone() else { return Ok(()) };
        let Some(path) = files.times_path(&self.store_id).filter(|path| path.exists()) else {
            return Ok(());
        };
        let opened = in_background({
            let path = path.clone();
            move || TimesFile::open(&path)
        });
        let refused = match opened.await {
            Ok((file, keys, origin)) => {
                let revision = origin.revision;
                let txn = fga::find_log_txn(&self.storage, &self.tenant, &self.store_id, revision)
                    .await?;
                if txn.as_ref() == Some(&origin.txn) && self.origin(revision, &origin.txn) == origin
                {
                    (self.file, self.keys) = (Some(Arc::new(file)), keys);
                    (self.revision, self.txn) = (revision, origin.txn);
                    return Ok(());
                }
                "it is of another store or log".to_owned()
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            store_id = %self.store_id, error = %refused, file = %path.display(),
            "a file of times does not count; they are read from the log"
        );
        Ok(())
    }

    /// Puts what memory has into the file. When that fails, memory keeps it.
    async fn spill(&mut self) {
        let Some(files) = self.files.clone() else { return };
        let (origin, keys) = (self.origin(self.revision, &self.txn), self.keys);
        let (recent, before) = (std::mem::take(&mut self.recent), self.file.clone());
        let recent = Arc::new(recent);
        let merged = in_background({
            let recent = Arc::clone(&recent);
            move || file::merge(&files, &origin, keys, before.as_deref(), &recent)
        });
        match merged.await {
            Ok(file) => self.file = Some(Arc::new(file)),
            Err(error) => {
                tracing::warn!(store_id = %self.store_id, %error, "times could not be written");
                self.recent = Arc::unwrap_or_clone(recent);
            }
        }
    }

    fn origin(&self, revision: i64, txn: &str) -> Origin {
        Origin {
            tenant: self.tenant.clone(),
            store_id: self.store_id.clone(),
            created_at: self.created_at,
            revision,
            txn: txn.to_owned(),
        }
    }
}

/// What the rows say of each tuple, the last word last.
fn written(keys: Keys, rows: &[FgaLogRow]) -> Result<Vec<(u64, Option<i64>)>, StoreError> {
    let mut found = Vec::new();
    for row in rows {
        let changes: Vec<Change> =
            serde_json::from_str(&row.changes).map_err(|_| corrupt("fga_log.changes"))?;
        found.extend(changes.iter().map(|change| match change {
            Change::Write(tuple) => (keys.hash(&tuple.delete_key()), Some(row.revision)),
            Change::Delete(key) => (keys.hash(key), None),
        }));
    }
    Ok(found)
}

/// Reading and writing a large file must not hold up requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
