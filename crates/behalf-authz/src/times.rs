//! When each stored tuple was written. The engine does not keep it; it is read from the log when a
//! reader first asks for tuples with their times, and followed from then on.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use behalf_core::{TenantId, Timestamp};
use behalf_fga::{Change, DeleteKey};
use behalf_store::fga;
use behalf_store::{Storage, StoreError};

/// Writes read at once; those of an import are large.
const PAGE: u32 = 100;

/// The times of one store's tuples, up to a revision.
#[derive(Debug, Default)]
pub(crate) struct WriteTimes {
    hasher: RandomState,
    /// The revision of the tuple's writing by a hash of its key: of two tuples that share one, the
    /// later is shown.
    by_key: HashMap<u64, i64>,
    /// When each revision was made, from the first on.
    times: Vec<Timestamp>,
    revision: i64,
}

impl WriteTimes {
    /// Reads on from where it stopped, to `revision` at least.
    pub(crate) async fn follow(
        &mut self,
        storage: &Storage,
        tenant: &TenantId,
        store_id: &str,
        revision: i64,
    ) -> Result<(), StoreError> {
        while self.revision < revision {
            let rows = fga::list_log(storage, tenant, store_id, self.revision, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let changes: Vec<Change> = serde_json::from_str(&row.changes)
                    .map_err(|_| StoreError::Corrupt { what: "fga_log.changes".to_owned() })?;
                for change in changes {
                    match change {
                        Change::Write(tuple) => {
                            self.by_key.insert(self.key(&tuple.delete_key()), row.revision);
                        }
                        Change::Delete(key) => {
                            self.by_key.remove(&self.key(&key));
                        }
                    }
                }
                self.times.push(row.at);
                self.revision = row.revision;
            }
        }
        Ok(())
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        let slot = size_of::<(u64, i64)>() as u64 + 1;
        let times = (self.times.capacity() as u64).saturating_mul(size_of::<Timestamp>() as u64);
        (self.by_key.capacity() as u64).saturating_mul(slot).saturating_add(times)
    }

    /// When the tuple was written, and at which revision.
    pub(crate) fn find(&self, key: &DeleteKey) -> Option<(Timestamp, i64)> {
        let revision = *self.by_key.get(&self.key(key))?;
        // The log has no gap: the first revision is 1.
        let index = usize::try_from(revision.checked_sub(1)?).ok()?;
        self.times.get(index).map(|at| (*at, revision))
    }

    fn key(&self, key: &DeleteKey) -> u64 {
        self.hasher.hash_one((&key.user, &key.relation, &key.object))
    }
}
