//! The service around the authorization engine: it keeps stores, models and the log of tuple
//! writes, loads a store when it is first asked, and answers at one revision per request.
//!
//! The engine (`behalf-fga`) decides in memory; this crate makes its state durable and knows
//! neither HTTP nor SQL. A write is planned against the newest version while its store is held,
//! committed with the events that record it, and only then published to readers.

mod assertions;
mod bulk;
mod changes;
mod error;
mod head;
mod merge;
mod model;
mod past;
mod query;
mod setup;
mod state;
mod store;
mod times;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use behalf_core::{Clock, Rng, TenantId, Timestamp, new_ulid};
use behalf_store::{Storage, UnitOfWork};

pub use assertions::Assertion;
pub use behalf_fga as engine;
pub use changes::{Changes, ChangesQuery, TupleChange, token_at};
pub use error::AuthzError;
pub use merge::{Merge, Merged, Refused};
pub use query::{Answer, At, Query, TupleFilter, from_hex};
pub use setup::{ConditionEntry, DOCUMENTS, FgaStoreEntry, PlannedSetup, TupleEntry};
pub use store::{FgaStoreInfo, SubjectName};
pub use write::{Author, PlannedWrite};

use state::OpenStore;

/// The authorization service of one tenant; clones share it.
#[derive(Clone, Debug)]
pub struct Authz(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    open: RwLock<HashMap<String, Arc<OpenStore>>>,
    /// Held while a store is loaded, so that it is loaded once.
    loading: tokio::sync::Mutex<()>,
}

impl Authz {
    /// The service over `storage` for `tenant`; nothing is loaded yet.
    pub fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        tenant: TenantId,
    ) -> Self {
        let open = RwLock::new(HashMap::new());
        let loading = tokio::sync::Mutex::new(());
        Self(Arc::new(Inner { storage, clock, rng, tenant, open, loading }))
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// A fresh ULID.
    pub fn new_id(&self) -> String {
        new_ulid(self.now(), &*self.0.rng)
    }

    fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.now(), &*self.0.rng)
    }

    /// The store, loaded, with everything that was written before this was called, on whichever
    /// node. When that cannot be told, there is no store to ask: no answer comes from old memory.
    async fn open(&self, store_id: &str) -> Result<Arc<OpenStore>, AuthzError> {
        if !self.storage().is_shared() {
            return self.open_here(store_id).await;
        }
        // Twice: the store may have been deleted elsewhere and made anew.
        for _attempt in 0..2 {
            let store = self.open_here(store_id).await?;
            match store.freshen(self.storage(), self.tenant()).await {
                Ok(true) => return Ok(store),
                Ok(false) | Err(AuthzError::StoreNotFound) => self.forget(store_id),
                Err(error) => return Err(error),
            }
        }
        Err(AuthzError::StoreNotFound)
    }

    async fn open_here(&self, store_id: &str) -> Result<Arc<OpenStore>, AuthzError> {
        if let Some(store) = self.find_open(store_id) {
            return Ok(store);
        }
        let _one_at_a_time = self.0.loading.lock().await;
        if let Some(store) = self.find_open(store_id) {
            return Ok(store);
        }
        let store = Arc::new(
            OpenStore::load(self.storage(), self.tenant(), store_id, &self.0.clock).await?,
        );
        let mut open = self.0.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(store_id.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    fn find_open(&self, store_id: &str) -> Option<Arc<OpenStore>> {
        self.0.open.read().unwrap_or_else(PoisonError::into_inner).get(store_id).cloned()
    }

    fn forget(&self, store_id: &str) {
        self.0.open.write().unwrap_or_else(PoisonError::into_inner).remove(store_id);
    }
}
