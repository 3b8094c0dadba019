//! Snapshot files: a store's version as the log had it, so that a start reads one file and the log's
//! tail instead of the whole log.
//!
//! The database is the truth and a file is a copy of a part of it, which anybody may delete. A file
//! is believed only if the database still has the write that the file ends with: the label names its
//! revision and its commit. The id of a commit is drawn by chance, and a write is appended only
//! behind the one that was planned on, so the same commit at the same revision has the same log
//! before it (decision 15).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use behalf_core::{TenantId, Timestamp};
use behalf_fga::{Snapshot, SnapshotError, SnapshotReader};
use behalf_store::fga;
use behalf_store::{Storage, StoreError};
use metrics::counter;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::store::is_ulid;

const SUFFIX: &str = "snapshot";
/// The times of the tuples' writing, which `times.rs` keeps.
const TIMES: &str = "times";
/// What files are called until they are whole.
const UNFINISHED: &str = "unfinished";
const UNFINISHED_TIMES: &str = "unfinished-times";

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) tenant: TenantId,
    pub(crate) store_id: String,
    /// When the store was created: another one with the same id has another time.
    pub(crate) created_at: Timestamp,
    pub(crate) revision: i64,
    /// The commit that the revision was a part of.
    pub(crate) txn: String,
}

/// The snapshot files of one tenant.
#[derive(Debug)]
pub(crate) struct SnapshotFiles {
    folder: PathBuf,
    tenant: TenantId,
}

/// Why a file does not count.
#[derive(Debug, Error)]
enum Refused {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("it is not labelled as one of this server's")]
    NoLabel,
    #[error("it is of another store, or of one that had the same id")]
    AnotherStore,
    #[error("the log does not have the write that it ends with")]
    AnotherLog,
    #[error("it says another revision than it has")]
    AnotherRevision,
}

impl SnapshotFiles {
    /// Files in `folder/<tenant>`, which is made when the first one is written.
    pub(crate) fn new(folder: &Path, tenant: &TenantId) -> Self {
        Self { folder: folder.join(folder_name(tenant)), tenant: tenant.clone() }
    }

    fn path(&self, store_id: &str) -> Option<PathBuf> {
        // A store's id comes from a request: nothing but a ULID becomes part of a path.
        is_ulid(store_id).then(|| self.folder.join(format!("{store_id}.{SUFFIX}")))
    }

    /// Where the times of a store's tuples are.
    pub(crate) fn times_path(&self, store_id: &str) -> Option<PathBuf> {
        self.path(store_id).map(|path| path.with_extension(TIMES))
    }

    /// How long a store's file is; 0 when there is none.
    pub(crate) fn length(&self, store_id: &str) -> u64 {
        let path = self.path(store_id);
        path.and_then(|path| path.metadata().ok()).map_or(0, |metadata| metadata.len())
    }

    /// The store's version in its file, if there is a file that the log bears out and whose revision
    /// is wanted.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn read(
        self: &Arc<Self>,
        storage: &Storage,
        store_id: &str,
        created_at: Timestamp,
        wanted: RangeInclusive<i64>,
    ) -> Result<Option<(Snapshot, String)>, StoreError> {
        let Some(path) = self.path(store_id).filter(|path| path.exists()) else {
            return Ok(None);
        };
        let began = Instant::now();
        let outcome = match self.open(&path, store_id, created_at) {
            Ok((origin, _)) if !wanted.contains(&origin.revision) => return Ok(None),
            Ok((origin, reader)) => {
                let (tenant, revision) = (&self.tenant, origin.revision);
                let txn = fga::find_log_txn(storage, tenant, store_id, revision).await?;
                if txn.as_deref() == Some(origin.txn.as_str()) {
                    in_background(move || {
                        let snapshot = reader.read()?;
                        let is_it = i64::try_from(snapshot.revision().0) == Ok(origin.revision);
                        if is_it {
                            Ok((snapshot, origin.txn))
                        } else {
                            Err(Refused::AnotherRevision)
                        }
                    })
                    .await
                } else {
                    Err(Refused::AnotherLog)
                }
            }
            Err(refused) => Err(refused),
        };
        let (word, found) = match outcome {
            Ok(found) => {
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    store_id,
                    millis,
                    revision = found.0.revision().0,
                    "read a snapshot"
                );
                ("read", Some(found))
            }
            Err(error) => {
                tracing::warn!(
                    store_id, %error, file = %path.display(),
                    "a snapshot does not count; the store is read from its log"
                );
                ("refused", None)
            }
        };
        count(word);
        Ok(found)
    }

    fn open(
        &self,
        path: &Path,
        store_id: &str,
        created_at: Timestamp,
    ) -> Result<(Origin, SnapshotReader<File>), Refused> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let reader = SnapshotReader::open(file, length)?;
        let origin: Origin = serde_json::from_str(reader.label()).map_err(|_| Refused::NoLabel)?;
        let is_of_store = origin.tenant == self.tenant
            && origin.store_id == store_id
            && origin.created_at == created_at;
        if is_of_store { Ok((origin, reader)) } else { Err(Refused::AnotherStore) }
    }

    /// Writes a store's file in place of the one before. True if it was written.
    pub(crate) async fn write(self: &Arc<Self>, origin: Origin, snapshot: Arc<Snapshot>) -> bool {
        let this = Arc::clone(self);
        let store_id = origin.store_id.clone();
        let written = in_background(move || this.write_now(&origin, &snapshot)).await;
        match written {
            Ok(()) => count("written"),
            Err(error) => {
                // Nothing is lost: the log has it all.
                tracing::warn!(store_id, %error, "a snapshot could not be written");
                count("failed");
                return false;
            }
        }
        true
    }

    fn write_now(&self, origin: &Origin, snapshot: &Snapshot) -> Result<(), Refused> {
        let Some(path) = self.path(&origin.store_id) else { return Err(Refused::NoLabel) };
        let label = serde_json::to_string(origin).map_err(io::Error::from)?;
        self.replace(&path, |file| snapshot.write_to(&label, file)).map_err(Refused::Io)
    }

    /// Puts a file that `fill` writes in the place of the one before; after a crash there is the one
    /// or the other.
    pub(crate) fn replace(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let is_times = path.extension().is_some_and(|extension| extension == TIMES);
        let unfinished = if is_times { UNFINISHED_TIMES } else { UNFINISHED };
        let unfinished = path.with_extension(unfinished);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&unfinished)?;
            fill(&mut file)?;
            file.flush()?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)?;
            // The name itself must survive a power cut too.
            File::open(&self.folder)?.sync_all()
        };
        write().inspect_err(|_| remove(&unfinished))
    }

    /// Removes a store's files, if there are any.
    pub(crate) fn remove(&self, store_id: &str) {
        for path in [self.path(store_id), self.times_path(store_id)].into_iter().flatten() {
            remove(&path);
        }
    }

    /// Removes what a crash has left unfinished, and files of stores that are gone.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn tidy(&self, storage: &Storage) -> Result<(), StoreError> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(()) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let store_id = path.file_stem().and_then(|stem| stem.to_str());
            let Some(store_id) = store_id.filter(|store_id| is_ulid(store_id)) else { continue };
            let is_gone = match extension {
                Some(UNFINISHED | UNFINISHED_TIMES) => true,
                Some(SUFFIX | TIMES) => {
                    fga::find_store(storage, &self.tenant, store_id).await?.is_none()
                }
                _ => false,
            };
            if is_gone {
                remove(&path);
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %path.display(), "a snapshot could not be removed");
        }
        _ => {}
    }
}

/// Reading and writing gigabytes must not hold up requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Refused::Io(io::Error::other(error))),
    }
}

fn count(outcome: &'static str) {
    counter!("behalf_fga_snapshots_total", "outcome" => outcome).increment(1);
}

/// A tenant's id as it is when that is a plain word, else in hexadecimal behind an `x-`.
fn folder_name(tenant: &TenantId) -> String {
    let text = tenant.as_str();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("x-{}", behalf_verify::hex(text.as_bytes()))
    }
}
