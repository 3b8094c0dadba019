//! An open store: the writer's side behind a lock, and the version that readers share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use behalf_core::{Clock, TenantId, Timestamp};
use behalf_fga::{
    AuthorizationModel, Change, DeleteKey, FgaStore, History, Revision, Semantics, Snapshot,
    StoreModel,
};
use behalf_store::fga::{self, FgaLogRow, FgaModelRow};
use behalf_store::{Storage, StoreError};
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;

use crate::error::AuthzError;
use crate::files::{Origin, SnapshotFiles};
use crate::group::Group;
use crate::head::HeadReads;
use crate::replay::catch_up;
use crate::store::semantics_of;
use crate::times::WriteTimes;

/// Versions that are kept for questions about the past, and for how long.
const HISTORY_VERSIONS: usize = 1_000;
const HISTORY_AGE_MICROS: i64 = 10 * 60 * 1_000_000;
/// Changes between the oldest and the newest of them: each keeps pages of memory in use.
const HISTORY_CHANGES: u64 = 50_000;

/// A store is saved after so many changes, or more in a large one: one in so many of its tuples.
const SAVE_AFTER: u64 = 1_000;
const SAVE_AFTER_PART: u64 = 16;
/// What a file may lack of a store that leaves memory: one in so many of its tuples.
const SAVE_TO_LEAVE_PART: u64 = 256;
/// Saves of one store are at least this far apart.
const SAVE_PAUSE: Duration = Duration::from_secs(30);
/// What a change that was not measured yet counts in bytes, about.
const BYTES_PER_CHANGE: u64 = 128;

/// How long a reader waits for a writer before it takes in what another node wrote.
const WRITER_WAIT: Duration = Duration::from_secs(5);

/// A loaded store.
#[derive(Debug)]
pub(crate) struct OpenStore {
    pub(crate) store_id: String,
    pub(crate) writer: Arc<tokio::sync::Mutex<Writer>>,
    /// Writes that wait for their commit.
    pub(crate) group: Group,
    view: RwLock<Arc<View>>,
    pub(crate) created_at: Timestamp,
    /// True while checks are answered as v2 does.
    is_v2: AtomicBool,
    head: HeadReads,
    /// Tells those who wait for a revision.
    pub(crate) published: Notify,
    pub(crate) times: tokio::sync::Mutex<WriteTimes>,
    /// The versions of the last minutes.
    history: Mutex<History>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    files: Option<Arc<SnapshotFiles>>,
    saved: tokio::sync::Mutex<Saved>,
    /// True while somebody waits to save it.
    is_due: AtomicBool,
    /// The changes that the last save, or the file it was loaded from, has.
    saved_changes: AtomicU64,
    /// What it takes in memory, when that was measured, and after how many changes.
    measured: Mutex<(u64, u64)>,
    /// What the times take, too.
    pub(crate) times_bytes: AtomicU64,
    /// When it was used last, counted in uses.
    pub(crate) used: AtomicU64,
}

/// What the store's snapshot file holds.
#[derive(Debug, Default)]
struct Saved {
    revision: i64,
    at: Option<Instant>,
    /// The store was deleted: nothing of it is written any more.
    is_gone: bool,
}

/// One version with the models that were bound to it or before; a request uses one.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Bound models by id.
    models: Arc<BTreeMap<String, Arc<StoreModel>>>,
    /// The newest model's id.
    pub(crate) latest: Option<Arc<str>>,
    /// The number of the newest model that it knows.
    pub(crate) model: i64,
    /// The id of the version's last write.
    txn: Arc<str>,
    /// How many changes were applied since the store was loaded.
    changes: u64,
}

impl View {
    pub(crate) fn model(&self, model_id: &str) -> Option<&Arc<StoreModel>> {
        self.models.get(model_id)
    }

    fn revision(&self) -> i64 {
        i64::try_from(self.snapshot.revision().0).unwrap_or(i64::MAX)
    }
}

/// The one who changes a store. Whoever holds it plans, commits, and then publishes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) fga: FgaStore,
    /// The id of the last write; empty when the memory is not what the log says.
    txn: Arc<str>,
    /// How many changes were applied since the store was loaded.
    changes: u64,
    /// Every model's JSON by id.
    known: BTreeMap<String, String>,
    pub(crate) next_number: i64,
    latest: Option<Arc<str>>,
    bound: Arc<BTreeMap<String, Arc<StoreModel>>>,
    /// True when the database may know more than the memory: the outcome of a commit is unknown,
    /// or another node wrote.
    pub(crate) is_stale: bool,
}

impl Writer {
    pub(crate) fn revision(&self) -> i64 {
        i64::try_from(self.fga.snapshot().revision().0).unwrap_or(i64::MAX)
    }

    pub(crate) fn view(&self) -> View {
        View {
            snapshot: self.fga.snapshot(),
            models: Arc::clone(&self.bound),
            latest: self.latest.clone(),
            model: self.next_number.saturating_sub(1),
            txn: Arc::clone(&self.txn),
            changes: self.changes,
        }
    }

    /// Applies a write that is in the log.
    pub(crate) fn apply(&mut self, changes: &[Change], row: &FgaLogRow) -> Result<(), AuthzError> {
        let revision = self.fga.apply(changes)?;
        self.applied(revision, changes, row)
    }

    /// As [`Self::apply`] on a fork that is given up when this fails.
    pub(crate) fn replay(&mut self, changes: &[Change], row: &FgaLogRow) -> Result<(), AuthzError> {
        let revision = self.fga.replay(changes)?;
        self.applied(revision, changes, row)
    }

    fn applied(
        &mut self,
        revision: Revision,
        changes: &[Change],
        row: &FgaLogRow,
    ) -> Result<(), AuthzError> {
        self.changes = self.changes.saturating_add(changes.len() as u64).saturating_add(1);
        // A gap would mean a lost write: nothing is answered from such a store.
        if i64::try_from(revision.0).ok() != Some(row.revision) {
            self.txn = Arc::default();
            return Err(corrupt("fga_log.revision").into());
        }
        self.txn = row.txn.as_str().into();
        Ok(())
    }

    /// A writer that goes its own way from here, to try out what is not yet committed.
    pub(crate) fn fork(&self) -> Self {
        Self {
            fga: FgaStore::from_snapshot(self.fga.snapshot().as_ref().clone()),
            txn: Arc::clone(&self.txn),
            changes: self.changes,
            known: self.known.clone(),
            next_number: self.next_number,
            latest: self.latest.clone(),
            bound: Arc::clone(&self.bound),
            is_stale: self.is_stale,
        }
    }

    /// Goes back to what readers see: what was applied since is not stored.
    fn go_back_to(&mut self, view: &View) {
        self.fga = FgaStore::from_snapshot(view.snapshot.as_ref().clone());
        self.txn = Arc::clone(&view.txn);
        self.changes = view.changes;
        self.bound = Arc::clone(&view.models);
    }

    /// The named model, or else the latest, bound to this store.
    pub(crate) fn model(
        &mut self,
        store_id: &str,
        model_id: Option<&str>,
    ) -> Result<Arc<StoreModel>, AuthzError> {
        let model_id = match (model_id, self.latest()) {
            (Some(model_id), _) => model_id.into(),
            (None, Some(latest)) => latest,
            (None, None) => return Err(AuthzError::NoModel(store_id.to_owned())),
        };
        self.bind(&model_id)
    }

    /// Goes on from a version that was read back, and the commit of its last write.
    pub(crate) fn go_on_from(&mut self, (snapshot, txn): (Snapshot, String)) {
        self.fga = FgaStore::from_snapshot(snapshot);
        self.txn = txn.into();
    }

    /// True if its last write was a part of this commit.
    pub(crate) fn is_at(&self, txn: &str) -> bool {
        *self.txn == *txn
    }

    /// Goes on as a fork that has come further.
    pub(crate) fn take_over(&mut self, fork: Self) {
        let Self { fga, txn, changes, .. } = fork;
        (self.fga, self.txn, self.changes) = (fga, txn, changes);
    }

    /// The model, bound to this store.
    pub(crate) fn bind(&mut self, model_id: &str) -> Result<Arc<StoreModel>, AuthzError> {
        if let Some(model) = self.bound.get(model_id) {
            return Ok(Arc::clone(model));
        }
        let json = self
            .known
            .get(model_id)
            .ok_or_else(|| AuthzError::ModelNotFound(model_id.to_owned()))?;
        let model = AuthorizationModel::from_json(json).map_err(|_| corrupt("fga_models.model"))?;
        let model = self.fga.add_model(model)?;
        Arc::make_mut(&mut self.bound).insert(model_id.to_owned(), Arc::clone(&model));
        Ok(model)
    }

    pub(crate) fn latest(&self) -> Option<Arc<str>> {
        self.latest.clone()
    }

    /// The latest model as it is stored.
    pub(crate) fn latest_json(&self) -> Option<&str> {
        self.known.get(self.latest.as_deref()?).map(String::as_str)
    }

    /// The stored model with that id.
    pub(crate) fn find_json(&self, model_id: &str) -> Option<&str> {
        self.known.get(model_id).map(String::as_str)
    }

    /// Up to `limit` ids of models, the greatest first: ULIDs grow with time.
    pub(crate) fn newest_ids(&self, limit: usize) -> Vec<String> {
        self.known.keys().rev().take(limit).cloned().collect()
    }

    /// The writer of an empty store.
    pub(crate) fn new() -> Self {
        Self { next_number: 1, ..Self::default() }
    }

    /// Takes a committed model in as the latest.
    pub(crate) fn add_model(&mut self, row: FgaModelRow) {
        self.latest = Some(row.model_id.as_str().into());
        self.next_number = row.number.saturating_add(1);
        self.known.insert(row.model_id, row.model);
    }
}

impl OpenStore {
    /// Reads a store: its models, its snapshot if there is one, and the log from there.
    pub(crate) async fn load(
        storage: &Storage,
        tenant: &TenantId,
        store_id: &str,
        clock: &Arc<dyn Clock>,
        files: Option<&Arc<SnapshotFiles>>,
    ) -> Result<Self, AuthzError> {
        let row = fga::find_store(storage, tenant, store_id).await?;
        let row = row.ok_or(AuthzError::StoreNotFound)?;
        let created_at = row.created_at;
        let is_v2 = AtomicBool::new(semantics_of(&row.semantics) == Semantics::V2);
        let mut writer = Writer::new();
        if let Some(files) = files
            && let Some(read) = files.read(storage, store_id, created_at, 0..=i64::MAX).await?
        {
            writer.go_on_from(read);
        }
        let saved = Saved { revision: writer.revision(), ..Saved::default() };
        catch_up(storage, tenant, store_id, &mut writer).await?;
        if let Some(latest) = writer.latest() {
            writer.bind(&latest)?;
        }
        let mut history =
            History::new(HISTORY_VERSIONS, HISTORY_AGE_MICROS).with_max_changes(HISTORY_CHANGES);
        history.push_after(writer.fga.snapshot(), clock.now().as_micros(), writer.changes);
        let times = WriteTimes::new(storage, tenant, store_id, created_at, files);
        let view = writer.view();
        let measured = Mutex::new((measure(&view.snapshot), view.changes));
        let view = RwLock::new(Arc::new(view));
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        Ok(Self {
            store_id: store_id.to_owned(),
            writer,
            group: Group::default(),
            view,
            created_at,
            is_v2,
            head: HeadReads::default(),
            published: Notify::new(),
            times: tokio::sync::Mutex::new(times),
            history: Mutex::new(history),
            clock: Arc::clone(clock),
            tenant: tenant.clone(),
            files: files.cloned(),
            saved: tokio::sync::Mutex::new(saved),
            is_due: AtomicBool::new(false),
            saved_changes: AtomicU64::new(0),
            measured,
            times_bytes: AtomicU64::new(0),
            used: AtomicU64::new(0),
        })
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.times_bytes.load(Ordering::Relaxed).saturating_add(self.snapshot_bytes())
    }

    fn snapshot_bytes(&self) -> u64 {
        let view = self.view();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, at) = *measured;
        let since = view.changes.saturating_sub(at);
        if since < SAVE_AFTER.max(view.snapshot.tuple_count() as u64 / SAVE_AFTER_PART) {
            return bytes.saturating_add(since.saturating_mul(BYTES_PER_CHANGE));
        }
        *measured = (measure(&view.snapshot), view.changes);
        measured.0
    }

    /// Saves the store soon, when enough was written since the last time.
    pub(crate) fn save_when_due(self: &Arc<Self>) {
        if self.files.is_none() || !self.is_save_due() || self.is_due.swap(true, Ordering::SeqCst) {
            return;
        }
        // Whoever waits does not keep the store in memory.
        let store = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let Some(strong) = store.upgrade() else { return };
                let last = strong.saved.lock().await.at;
                drop(strong);
                if let Some(last) = last {
                    tokio::time::sleep_until(last + SAVE_PAUSE).await;
                }
                let Some(strong) = store.upgrade() else { return };
                strong.save().await;
                strong.is_due.store(false, Ordering::SeqCst);
                // What was written meanwhile found that somebody waits.
                if !strong.is_save_due() || strong.is_due.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        });
    }

    fn is_save_due(&self) -> bool {
        self.changes_since_save() >= self.part_of_it(SAVE_AFTER_PART).max(SAVE_AFTER)
    }

    fn changes_since_save(&self) -> u64 {
        self.view().changes.saturating_sub(self.saved_changes.load(Ordering::SeqCst))
    }

    fn part_of_it(&self, part: u64) -> u64 {
        self.view().snapshot.tuple_count() as u64 / part
    }

    /// Saves the store before it leaves memory, unless its file has all but a little.
    pub(crate) async fn save_to_leave(&self) {
        let is_little = self.changes_since_save() < self.part_of_it(SAVE_TO_LEAVE_PART);
        if !is_little || self.saved.lock().await.revision == 0 {
            self.save_snapshot().await;
        }
        self.save_times().await;
    }

    async fn save(&self) {
        self.save_snapshot().await;
        self.save_times().await;
    }

    /// Writes the newest version into the store's snapshot file, if it is not there yet.
    async fn save_snapshot(&self) {
        let Some(files) = &self.files else { return };
        let mut saved = self.saved.lock().await;
        let view = self.view();
        if saved.is_gone || view.revision() == saved.revision || view.txn.is_empty() {
            return;
        }
        let origin = Origin {
            tenant: self.tenant.clone(),
            store_id: self.store_id.clone(),
            created_at: self.created_at,
            revision: view.revision(),
            txn: view.txn.as_ref().to_owned(),
        };
        saved.at = Some(Instant::now());
        if files.write(origin, Arc::clone(&view.snapshot)).await {
            saved.revision = view.revision();
        }
        // Also after a failure: a full disk is not tried again with each write.
        self.saved_changes.store(view.changes, Ordering::SeqCst);
    }

    async fn save_times(&self) {
        let revision = self.view().revision();
        let mut times = self.times.lock().await;
        times.save(revision).await;
        self.times_bytes.store(times.bytes(), Ordering::Relaxed);
    }

    /// At which revision each tuple was written, as of `revision` at least; nothing for one that is
    /// not there any more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn written_at(
        self: &Arc<Self>,
        tuples: Vec<DeleteKey>,
        revision: i64,
    ) -> Result<Vec<Option<i64>>, StoreError> {
        let store = Arc::clone(self);
        // To its end even if the caller goes: what was read would be lost.
        let task = tokio::spawn(async move {
            let mut times = store.times.lock().await;
            let found = times.find(tuples, revision).await;
            store.times_bytes.store(times.bytes(), Ordering::Relaxed);
            found
        });
        task.await.unwrap_or_else(|_panicked| {
            Err(StoreError::Internal { reason: "a look at times ended early".to_owned() })
        })
    }

    /// Removes the snapshot file of a store that was deleted, for good.
    pub(crate) async fn unsave(&self) {
        self.saved.lock().await.is_gone = true;
        self.times.lock().await.give_up();
        if let Some(files) = &self.files {
            files.remove(&self.store_id);
        }
    }

    /// Takes in what other nodes have written before this was called. False when the store with
    /// this id is another one by now.
    ///
    /// # Errors
    /// When the database cannot be asked: then nothing may be answered from memory.
    pub(crate) async fn freshen(
        self: &Arc<Self>,
        storage: &Storage,
        tenant: &TenantId,
    ) -> Result<bool, AuthzError> {
        let read = async || {
            let view = self.view();
            let seen = view.revision();
            let head = fga::find_head(storage, tenant, &self.store_id, seen).await?;
            let head = head.ok_or(AuthzError::StoreNotFound)?;
            // A log without what was read from it is another one: a back-up was restored, say.
            let is_same_log = seen == 0 || head.seen_txn == *view.txn;
            if head.created_at != self.created_at || !is_same_log {
                return Ok(false);
            }
            self.set_semantics(semantics_of(&head.semantics));
            if head.revision <= seen && head.model <= view.model {
                return Ok(true);
            }
            // Whoever holds the writer ends soon; never wait for a caller who waits for this.
            let hold = self.hold(storage, tenant);
            let held = tokio::time::timeout(WRITER_WAIT, hold).await;
            let mut writer = held.map_err(|_late| AuthzError::Contention)??;
            catch_up(storage, tenant, &self.store_id, &mut writer).await?;
            if let Some(latest) = writer.latest() {
                writer.bind(&latest)?;
            }
            self.publish(&writer);
            Ok(true)
        };
        self.head.after_now(read).await
    }

    /// Whose answers it gives to checks.
    pub(crate) fn semantics(&self) -> Semantics {
        if self.is_v2.load(Ordering::Relaxed) { Semantics::V2 } else { Semantics::V1 }
    }

    pub(crate) fn set_semantics(&self, semantics: Semantics) {
        self.is_v2.store(semantics == Semantics::V2, Ordering::Relaxed);
    }

    /// The version that readers share now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the writer's newest version to readers.
    pub(crate) fn publish(self: &Arc<Self>, writer: &Writer) {
        self.show(vec![writer.view()]);
    }

    /// Shows versions to readers, in the order of their revisions: the last is the newest.
    pub(crate) fn show(self: &Arc<Self>, views: Vec<View>) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().as_micros();
        for view in &views {
            history.push_after(Arc::clone(&view.snapshot), now, view.changes);
        }
        drop(history);
        let Some(newest) = views.into_iter().next_back() else { return };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(newest);
        self.published.notify_waiters();
        self.save_when_due();
    }

    /// The version of a revision, when it is of the last minutes.
    pub(crate) fn find_version(&self, revision: u64) -> Option<Arc<Snapshot>> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.find(Revision(revision)).cloned()
    }

    /// The writer, up to date, held until the guard is dropped; nothing waits for its commit.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        storage: &Storage,
        tenant: &TenantId,
    ) -> Result<OwnedMutexGuard<Writer>, AuthzError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        self.settle(storage, tenant, &mut writer).await?;
        Ok(writer)
    }

    /// The writer with the writes that wait for their commit, held until the guard is dropped.
    pub(crate) async fn hold_among_others(
        self: &Arc<Self>,
        storage: &Storage,
        tenant: &TenantId,
    ) -> Result<OwnedMutexGuard<Writer>, AuthzError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if writer.is_stale || self.group.is_broken() {
            self.settle(storage, tenant, &mut writer).await?;
        }
        Ok(writer)
    }

    /// Waits for the writes that wait. If they failed, or the memory is not to be believed for
    /// another reason, it is what is stored afterwards.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        storage: &Storage,
        tenant: &TenantId,
        writer: &mut Writer,
    ) -> Result<(), AuthzError> {
        self.group.end().await;
        if writer.is_stale || self.group.is_broken() {
            writer.go_back_to(&self.view());
            catch_up(storage, tenant, &self.store_id, writer).await?;
            self.group.mend();
            self.publish(writer);
        }
        Ok(())
    }

    /// The version and the model that a request is answered with: the named model, or the latest.
    pub(crate) async fn view_with(
        self: &Arc<Self>,
        storage: &Storage,
        tenant: &TenantId,
        model_id: Option<&str>,
    ) -> Result<(Arc<View>, Arc<StoreModel>, Arc<str>), AuthzError> {
        let view = self.view();
        let wanted: Arc<str> = match (model_id, &view.latest) {
            (Some(model_id), _) => model_id.into(),
            (None, Some(latest)) => Arc::clone(latest),
            (None, None) => return Err(AuthzError::NoModel(self.store_id.clone())),
        };
        if let Some(model) = view.model(&wanted) {
            let model = Arc::clone(model);
            return Ok((view, model, wanted));
        }
        let mut writer = self.hold(storage, tenant).await?;
        let model = writer.bind(&wanted)?;
        self.publish(&writer);
        Ok((self.view(), model, wanted))
    }
}

/// What a version takes in memory.
fn measure(snapshot: &Snapshot) -> u64 {
    snapshot.footprint().bytes() as u64
}

pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}
