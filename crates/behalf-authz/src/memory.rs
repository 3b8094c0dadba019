//! Which stores are in memory: loaded when they are first asked, let go when there is no room and
//! nobody uses them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use metrics::gauge;

use crate::state::OpenStore;

/// Bytes in memory per byte of a snapshot file, about: names have an index there.
const PER_FILE_BYTE: u64 = 2;
/// It is looked how much memory all stores take after so many changes.
const LOOK_AFTER: u64 = 10_000;

/// The stores in memory.
#[derive(Debug)]
pub(crate) struct OpenStores {
    by_id: RwLock<HashMap<String, Arc<OpenStore>>>,
    /// How many bytes all of them may take.
    budget: u64,
    /// Counts uses, so that the one used longest ago is known.
    uses: AtomicU64,
    /// Changes written since it was last looked how much memory all take.
    grown: AtomicU64,
    /// About how many bytes those will take that are being loaded.
    loading: AtomicU64,
    /// Held while stores are let go.
    letting_go: tokio::sync::Mutex<()>,
}

/// Room in memory for a store that is being loaded.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    of: &'a OpenStores,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.loading.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl OpenStores {
    /// None yet; together they may take `budget` bytes.
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            by_id: RwLock::default(),
            budget,
            uses: AtomicU64::new(0),
            grown: AtomicU64::new(0),
            loading: AtomicU64::new(0),
            letting_go: tokio::sync::Mutex::new(()),
        }
    }

    /// The store, if it is in memory.
    pub(crate) fn find(&self, store_id: &str) -> Option<Arc<OpenStore>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let store = by_id.get(store_id)?;
        store.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(Arc::clone(store))
    }

    pub(crate) fn insert(&self, store: &Arc<OpenStore>) {
        store.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(store.store_id.clone(), Arc::clone(store));
        drop(by_id);
        let bytes = store.bytes();
        if bytes > self.budget {
            tracing::warn!(
                store_id = %store.store_id, bytes, budget = self.budget,
                "one FGA store alone is larger than the memory for all of them (--fga-memory-mb)"
            );
        }
        self.measure();
    }

    pub(crate) fn remove(&self, store_id: &str) -> Option<Arc<OpenStore>> {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let removed = by_id.remove(store_id);
        drop(by_id);
        self.measure();
        removed
    }

    /// Every store in memory.
    pub(crate) fn all(&self) -> Vec<Arc<OpenStore>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.values().cloned().collect()
    }

    /// How many bytes all stores take.
    fn bytes(&self) -> u64 {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.values().map(|store| store.bytes()).sum()
    }

    /// Tells the operator what is in memory; returns how many bytes.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn measure(&self) -> u64 {
        let count = self.by_id.read().unwrap_or_else(PoisonError::into_inner).len();
        let bytes = self.bytes();
        gauge!("behalf_fga_stores_loaded").set(count as f64);
        gauge!("behalf_fga_stores_bytes").set(bytes as f64);
        bytes
    }

    /// Makes room for a store whose file has so many bytes, and keeps it until what is returned is
    /// dropped.
    pub(crate) async fn make_room_for(&self, file_bytes: u64) -> Room<'_> {
        let bytes = file_bytes.saturating_mul(PER_FILE_BYTE);
        self.loading.fetch_add(bytes, Ordering::SeqCst);
        let room = Room { of: self, bytes };
        self.let_go("").await;
        room
    }

    /// Lets stores go if those in memory have become too large; `newest` stays.
    pub(crate) async fn keep_within_budget(&self, newest: &str) {
        if self.measure() > self.budget {
            self.let_go(newest).await;
        }
    }

    /// True when so much was written that it is time for [`Self::keep_within_budget`].
    pub(crate) fn has_grown(&self, changes: u64) -> bool {
        let before = self.grown.fetch_add(changes, Ordering::Relaxed);
        let is_much = before.saturating_add(changes) >= LOOK_AFTER;
        if is_much {
            self.grown.store(0, Ordering::Relaxed);
        }
        is_much
    }

    /// Lets the stores go that were used longest ago and that nobody holds, until those fit that are
    /// being loaded. Each is saved before.
    async fn let_go(&self, newest: &str) {
        let _one_at_a_time = self.letting_go.lock().await;
        let mut stores = self.all();
        stores.sort_by_key(|store| store.used.load(Ordering::Relaxed));
        let mut left = self.bytes();
        let loading = || self.loading.load(Ordering::SeqCst);
        let fits = |left: u64| left.saturating_add(loading()) <= self.budget;
        for store in stores {
            if fits(left) {
                break;
            }
            // The map's and this one's: whoever else holds it has a request or a write under way.
            if store.store_id == newest || Arc::strong_count(&store) > 2 {
                continue;
            }
            store.save_to_leave().await;
            let (store_id, bytes) = (store.store_id.clone(), store.bytes());
            drop(store);
            if self.remove_unused(&store_id) {
                left = left.saturating_sub(bytes);
                tracing::info!(store_id, bytes, "let an FGA store go from memory");
            }
        }
        self.measure();
    }

    /// Removes a store unless somebody holds it. Nobody can come to hold it meanwhile: that takes
    /// the map.
    fn remove_unused(&self, store_id: &str) -> bool {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let is_unused = by_id.get(store_id).is_some_and(|store| Arc::strong_count(store) == 1);
        let removed = if is_unused { by_id.remove(store_id) } else { None };
        drop(by_id);
        let is_removed = removed.is_some();
        // A large store takes a while to be freed, and nobody needs to wait for that.
        drop(tokio::task::spawn_blocking(move || drop(removed)));
        is_removed
    }
}
