//! Questions about the past: the versions of the last minutes are in memory, older ones are made
//! again from a snapshot and the log.

use std::sync::Arc;

use behalf_core::Timestamp;
use behalf_fga::Snapshot;
use behalf_store::fga;

use crate::Authz;
use crate::error::AuthzError;
use crate::query::{At, Query};
use crate::replay::{follow, take_in_models};
use crate::state::{OpenStore, Writer, corrupt};

/// The writes that are replayed for one question at most.
const MAX_REPLAY: i64 = 100_000;
/// A version with more tuples is not kept for the next question.
const KEEP_TUPLES: usize = 1_000_000;

/// A version that was made again.
#[derive(Debug)]
pub(crate) struct Past {
    store_id: String,
    created_at: Timestamp,
    writer: Writer,
}

impl Authz {
    /// The store as it was at `revision`, with the model that the query names. A revision that is
    /// still to come is waited for as in [`Authz::reach`].
    ///
    /// # Errors
    /// As [`Authz::at`] and [`Authz::reach`], and for a revision too long ago.
    pub async fn at_revision(&self, query: Query<'_>, revision: u64) -> Result<At, AuthzError> {
        self.reach(query.store_id, revision).await?;
        let now = self.at(query).await?;
        let store = self.open_store(query.store_id).await?;
        if let Some(snapshot) = store.find_version(revision) {
            return Ok(At { snapshot, ..now });
        }
        let wanted = i64::try_from(revision).unwrap_or(i64::MAX);
        // One at a time: each may take as much memory as the store.
        let mut kept = self.0.past.lock().await;
        let mut writer = self.make_again(&store, kept.take(), wanted).await?;
        let model = writer.bind(&now.model_id)?;
        let snapshot = writer.fga.snapshot();
        if snapshot.tuple_count() <= KEEP_TUPLES {
            let (store_id, created_at) = (store.store_id.clone(), store.created_at);
            *kept = Some(Past { store_id, created_at, writer });
        }
        Ok(At { snapshot, model, ..now })
    }

    /// The writer of the store as it was, from whatever is nearest before: the version that was made
    /// last, the snapshot file, or nothing.
    async fn make_again(
        &self,
        store: &OpenStore,
        kept: Option<Past>,
        wanted: i64,
    ) -> Result<Writer, AuthzError> {
        let (storage, tenant, store_id) = (self.storage(), self.tenant(), &store.store_id);
        let first = wanted.saturating_sub(MAX_REPLAY).max(0);
        let is_near = |past: &Past| {
            let is_of_store = past.store_id == *store_id && past.created_at == store.created_at;
            is_of_store && (first.max(1)..=wanted).contains(&past.writer.revision())
        };
        let mut writer = Writer::new();
        if let Some(Past { writer: near, .. }) = kept.filter(is_near) {
            // As with a file: a log without its last write is another one.
            let txn = fga::find_log_txn(storage, tenant, store_id, near.revision()).await?;
            if txn.is_some_and(|txn| near.is_at(&txn)) {
                writer = near;
            }
        }
        let from = writer.revision().saturating_add(1).max(first);
        if let Some(files) = &self.0.files
            && let Some(read) =
                files.read(storage, store_id, store.created_at, from..=wanted).await?
        {
            writer = Writer::new();
            writer.go_on_from(read);
        }
        if writer.revision() < first {
            return Err(AuthzError::Invalid(format!("revision {wanted} is no longer kept")));
        }
        take_in_models(storage, tenant, store_id, &mut writer).await?;
        follow(storage, tenant, store_id, &mut writer, wanted).await?;
        if writer.revision() == wanted {
            Ok(writer)
        } else {
            Err(corrupt("fga_log.revision").into())
        }
    }

    /// The newest version of the store, whatever its models.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn snapshot(&self, store_id: &str) -> Result<Arc<Snapshot>, AuthzError> {
        Ok(Arc::clone(&self.open_store(store_id).await?.view().snapshot))
    }
}
