//! The service around the authorization engine: it keeps stores, models and the log of tuple
//! writes, loads a store when it is first asked, and answers at one revision per request.
//!
//! The engine (`behalf-fga`) decides in memory; this crate makes its state durable and knows
//! neither HTTP nor SQL. A write is planned against the newest version while its store is held,
//! committed with the events that record it, and only then published to readers; writes that arrive
//! together share a commit.

mod access;
mod assertions;
mod bulk;
mod changes;
mod error;
mod files;
mod group;
mod head;
mod loads;
mod memory;
mod merge;
mod model;
mod names;
mod past;
mod preview;
mod query;
mod replay;
mod setup;
mod state;
mod store;
mod table;
mod times;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use behalf_core::{Clock, Rng, TenantId, Timestamp, new_ulid};
use behalf_fga::Limits;
use behalf_store::{Storage, UnitOfWork};

pub use access::{Access, AccessControl, AccessControlError, ApiRight};
pub use assertions::Assertion;
pub use behalf_fga as engine;
pub use behalf_fga::TupleFilter;
pub use changes::{Changes, ChangesQuery, LogEntry, TupleChange, token_at};
pub use error::AuthzError;
pub use merge::{Merge, Merged, Refused};
pub use model::ModelVersion;
pub use names::KnownNames;
pub use preview::{ModelPreview, RelationChange, TuplePreview};
pub use query::{Answer, At, Query, from_hex};
pub use setup::{ConditionEntry, DOCUMENTS, FgaStoreEntry, PlannedSetup, TupleEntry};
pub use store::{FgaStoreInfo, SubjectName};
pub use table::{Lifetime, TableFilter, TuplePage, TupleRow, Written};
pub use write::{Author, PlannedWrite};

use files::SnapshotFiles;
use loads::Loads;
use memory::OpenStores;
use past::Past;
use state::OpenStore;

/// The authorization service of one tenant; clones share it.
#[derive(Clone, Debug)]
pub struct Authz(Arc<Inner>);

/// What the service is made of.
#[derive(Debug)]
pub struct AuthzParts {
    /// The database.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Whose stores.
    pub tenant: TenantId,
    /// Where snapshot files lie, in a folder per tenant; without it every start reads the logs.
    pub snapshots: Option<PathBuf>,
    /// How many bytes the stores in memory may take together. One that is larger works alone.
    pub memory_bytes: u64,
    /// What every question may cost.
    pub limits: Limits,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    files: Option<Arc<SnapshotFiles>>,
    open: OpenStores,
    /// What every question may cost.
    limits: Limits,
    loads: Loads,
    /// The version of long ago that was asked for last.
    past: tokio::sync::Mutex<Option<Past>>,
}

impl Authz {
    /// The service of a tenant; nothing is loaded yet. Snapshot files of stores that are gone are
    /// removed.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn open(parts: AuthzParts) -> Result<Self, AuthzError> {
        let AuthzParts { storage, clock, rng, tenant, snapshots, memory_bytes, limits } = parts;
        let files = snapshots.map(|folder| Arc::new(SnapshotFiles::new(&folder, &tenant)));
        if let Some(files) = &files {
            files.tidy(&storage).await?;
        }
        let open = OpenStores::new(memory_bytes);
        let (loads, past) = (Loads::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { storage, clock, rng, tenant, files, open, limits, loads, past })))
    }

    /// Saves every store in memory, so that the next start has little to read. To be called when
    /// nothing is written any more.
    pub async fn close(&self) {
        for store in self.0.open.all() {
            store.save_to_leave().await;
        }
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    fn limits(&self) -> Limits {
        self.0.limits
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
    async fn open_store(&self, store_id: &str) -> Result<Arc<OpenStore>, AuthzError> {
        if !self.storage().is_shared() {
            return self.open_here(store_id).await;
        }
        // Twice: the store may have been deleted elsewhere and made anew.
        for _attempt in 0..2 {
            let store = self.open_here(store_id).await?;
            match store.freshen(self.storage(), self.tenant()).await {
                Ok(true) => return Ok(store),
                Ok(false) | Err(AuthzError::StoreNotFound) => self.forget(store_id).await,
                Err(error) => return Err(error),
            }
        }
        Err(AuthzError::StoreNotFound)
    }

    async fn open_here(&self, store_id: &str) -> Result<Arc<OpenStore>, AuthzError> {
        if let Some(store) = self.0.open.find(store_id) {
            return Ok(store);
        }
        // To its end even if the caller goes: whoever waits with him would have to begin again.
        let (this, store_id) = (self.clone(), store_id.to_owned());
        let load = tokio::spawn(async move { this.load(&store_id).await });
        load.await.unwrap_or_else(|_panicked| Err(AuthzError::Contention))
    }

    async fn load(&self, store_id: &str) -> Result<Arc<OpenStore>, AuthzError> {
        let _alone = self.0.loads.enter(store_id).await;
        if let Some(store) = self.0.open.find(store_id) {
            return Ok(store);
        }
        let files = self.0.files.as_ref();
        let length = files.map_or(0, |files| files.length(store_id));
        let room = self.0.open.make_room_for(length).await;
        let (storage, tenant, clock) = (self.storage(), self.tenant(), &self.0.clock);
        let store = Arc::new(OpenStore::load(storage, tenant, store_id, clock, files).await?);
        self.0.open.insert(&store);
        drop(room);
        store.save_when_due();
        self.0.open.keep_within_budget(store_id).await;
        Ok(store)
    }

    /// Lets go of a store that is not there any more, or is another one by now.
    async fn forget(&self, store_id: &str) {
        match (self.0.open.remove(store_id), &self.0.files) {
            (Some(store), _) => store.unsave().await,
            (None, Some(files)) => files.remove(store_id),
            (None, None) => {}
        }
    }
}
