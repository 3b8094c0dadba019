//! Questions about the past: the versions of the last minutes are in memory, older ones are made
//! again from the log.

use std::sync::Arc;

use behalf_fga::Snapshot;
use behalf_store::fga;

use crate::Authz;
use crate::error::AuthzError;
use crate::query::{At, Query};
use crate::replay::follow;
use crate::state::{Writer, corrupt};

/// The writes that are replayed for one question at most.
const MAX_REPLAY: u64 = 100_000;

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
        if revision > MAX_REPLAY {
            let text = format!("revision {revision} is no longer kept");
            return Err(AuthzError::Invalid(text));
        }
        let wanted = i64::try_from(revision).unwrap_or(i64::MAX);
        let (storage, tenant) = (self.storage(), self.tenant());
        let mut past = Writer::new();
        for row in fga::list_models(storage, tenant, query.store_id).await? {
            past.add_model(row);
        }
        follow(storage, tenant, query.store_id, &mut past, wanted).await?;
        if past.revision() != wanted {
            return Err(corrupt("fga_log.revision").into());
        }
        let model = past.bind(&now.model_id)?;
        Ok(At { snapshot: past.fga.snapshot(), model, ..now })
    }

    /// The newest version of the store, whatever its models.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn snapshot(&self, store_id: &str) -> Result<Arc<Snapshot>, AuthzError> {
        Ok(Arc::clone(&self.open_store(store_id).await?.view().snapshot))
    }
}
