//! An open store: the writer's side behind a lock, and the version that readers share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use behalf_core::{Clock, TenantId, Timestamp};
use behalf_fga::{AuthorizationModel, Change, FgaStore, History, Revision, Snapshot, StoreModel};
use behalf_store::fga::{self, FgaLogRow, FgaModelRow};
use behalf_store::{Storage, StoreError};
use tokio::sync::Notify;

use crate::error::AuthzError;
use crate::head::HeadReads;
use crate::times::WriteTimes;

/// Log rows read at once while a store is loaded.
const PAGE: u32 = 1_000;

/// Versions that are kept for questions about the past, and for how long.
const HISTORY_VERSIONS: usize = 1_000;
const HISTORY_AGE_MICROS: i64 = 10 * 60 * 1_000_000;

/// How long a reader waits for a writer before it takes in what another node wrote.
const WRITER_WAIT: Duration = Duration::from_secs(5);

/// A loaded store.
#[derive(Debug)]
pub(crate) struct OpenStore {
    pub(crate) store_id: String,
    pub(crate) writer: Arc<tokio::sync::Mutex<Writer>>,
    view: RwLock<Arc<View>>,
    created_at: Timestamp,
    head: HeadReads,
    /// Tells those who wait for a revision.
    pub(crate) published: Notify,
    pub(crate) times: tokio::sync::Mutex<WriteTimes>,
    /// The versions of the last minutes.
    history: Mutex<History>,
    clock: Arc<dyn Clock>,
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
}

impl View {
    pub(crate) fn model(&self, model_id: &str) -> Option<&Arc<StoreModel>> {
        self.models.get(model_id)
    }
}

/// The one who changes a store. Whoever holds it plans, commits, and then publishes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) fga: FgaStore,
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

    fn view(&self) -> View {
        View {
            snapshot: self.fga.snapshot(),
            models: Arc::clone(&self.bound),
            latest: self.latest.clone(),
            model: self.next_number.saturating_sub(1),
        }
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
    /// Reads a store from its models and its log.
    pub(crate) async fn load(
        storage: &Storage,
        tenant: &TenantId,
        store_id: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, AuthzError> {
        let row = fga::find_store(storage, tenant, store_id).await?;
        let created_at = row.ok_or(AuthzError::StoreNotFound)?.created_at;
        let mut writer = Writer::new();
        catch_up(storage, tenant, store_id, &mut writer).await?;
        if let Some(latest) = writer.latest() {
            writer.bind(&latest)?;
        }
        let mut history = History::new(HISTORY_VERSIONS, HISTORY_AGE_MICROS);
        history.push(writer.fga.snapshot(), clock.now().as_micros());
        let view = RwLock::new(Arc::new(writer.view()));
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        Ok(Self {
            store_id: store_id.to_owned(),
            writer,
            view,
            created_at,
            head: HeadReads::default(),
            published: Notify::new(),
            times: tokio::sync::Mutex::default(),
            history: Mutex::new(history),
            clock: Arc::clone(clock),
        })
    }

    /// Takes in what other nodes have written before this was called. False when the store with
    /// this id is another one by now.
    ///
    /// # Errors
    /// When the database cannot be asked: then nothing may be answered from memory.
    pub(crate) async fn freshen(
        &self,
        storage: &Storage,
        tenant: &TenantId,
    ) -> Result<bool, AuthzError> {
        let read = async || {
            let head = fga::find_head(storage, tenant, &self.store_id).await?;
            let head = head.ok_or(AuthzError::StoreNotFound)?;
            if head.created_at != self.created_at {
                return Ok(false);
            }
            let view = self.view();
            let seen = i64::try_from(view.snapshot.revision().0).unwrap_or(i64::MAX);
            if head.revision <= seen && head.model <= view.model {
                return Ok(true);
            }
            // Whoever holds the writer ends soon; never wait for a caller who waits for this.
            let writer = tokio::time::timeout(WRITER_WAIT, self.writer.lock()).await;
            let mut writer = writer.map_err(|_late| AuthzError::Contention)?;
            catch_up(storage, tenant, &self.store_id, &mut writer).await?;
            if let Some(latest) = writer.latest() {
                writer.bind(&latest)?;
            }
            self.publish(&writer);
            Ok(true)
        };
        self.head.after_now(read).await
    }

    /// The version that readers share now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the writer's newest version to readers.
    pub(crate) fn publish(&self, writer: &Writer) {
        let view = Arc::new(writer.view());
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push(Arc::clone(&view.snapshot), self.clock.now().as_micros());
        drop(history);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        self.published.notify_waiters();
    }

    /// The version of a revision, when it is of the last minutes.
    pub(crate) fn find_version(&self, revision: u64) -> Option<Arc<Snapshot>> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.find(Revision(revision)).cloned()
    }

    /// The writer, up to date, held until the guard is dropped.
    pub(crate) async fn hold(
        &self,
        storage: &Storage,
        tenant: &TenantId,
    ) -> Result<tokio::sync::OwnedMutexGuard<Writer>, AuthzError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if writer.is_stale {
            catch_up(storage, tenant, &self.store_id, &mut writer).await?;
            self.publish(&writer);
        }
        Ok(writer)
    }

    /// The version and the model that a request is answered with: the named model, or the latest.
    pub(crate) async fn view_with(
        &self,
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

/// Takes in what the database knows beyond the writer: models, and the log from its revision.
pub(crate) async fn catch_up(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    writer: &mut Writer,
) -> Result<(), AuthzError> {
    for row in fga::list_models(storage, tenant, store_id).await? {
        if row.number >= writer.next_number {
            writer.add_model(row);
        }
    }
    loop {
        let rows = fga::list_log(storage, tenant, store_id, writer.revision(), PAGE).await?;
        let is_last = rows.len() < PAGE as usize;
        for row in rows {
            replay(&mut writer.fga, &row)?;
        }
        if is_last {
            break;
        }
    }
    writer.is_stale = false;
    Ok(())
}

/// The store as it was at `revision`, with every model that it has now.
pub(crate) async fn replay_to(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    revision: i64,
) -> Result<Writer, AuthzError> {
    let mut writer = Writer::new();
    for row in fga::list_models(storage, tenant, store_id).await? {
        writer.add_model(row);
    }
    while writer.revision() < revision {
        let missing = u32::try_from(revision.saturating_sub(writer.revision())).unwrap_or(PAGE);
        let limit = missing.min(PAGE);
        let rows = fga::list_log(storage, tenant, store_id, writer.revision(), limit).await?;
        if rows.is_empty() {
            return Err(corrupt("fga_log.revision").into());
        }
        for row in rows {
            replay(&mut writer.fga, &row)?;
        }
    }
    Ok(writer)
}

fn replay(fga: &mut FgaStore, row: &FgaLogRow) -> Result<(), AuthzError> {
    let changes: Vec<Change> =
        serde_json::from_str(&row.changes).map_err(|_| corrupt("fga_log.changes"))?;
    let revision = fga.apply(&changes)?;
    // A gap would mean a lost write: nothing is answered from such a store.
    if i64::try_from(revision.0).ok() != Some(row.revision) {
        return Err(corrupt("fga_log.revision").into());
    }
    Ok(())
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}
