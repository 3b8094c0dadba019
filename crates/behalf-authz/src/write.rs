//! Writes: planned while the store is held, committed with whatever else belongs to them, and only
//! then shown to readers.

use std::sync::Arc;
use std::time::Duration;

use behalf_core::{Actor, Event, EventKind, TenantId};
use behalf_fga::{Change, StoreModel, TupleFilter, TupleKey, WriteRequest};
use behalf_store::fga::{self, FgaLogRow};
use behalf_store::{Committed, StoreError, UnitOfWork};
use behalf_verify::sha256_hex;
use tokio::sync::OwnedMutexGuard;

use crate::Authz;
use crate::error::AuthzError;
use crate::state::{OpenStore, Writer};

/// How often a write is planned again because another node was faster.
const ATTEMPTS: u32 = 20;
/// The longest pause before that, so that nodes do not meet again at once.
const MAX_PAUSE_MILLIS: u64 = 64;

/// A write that fits the store as it is; the store is held until it is committed or dropped.
#[derive(Debug)]
pub struct PlannedWrite {
    store: Arc<OpenStore>,
    writer: OwnedMutexGuard<Writer>,
    changes: Vec<Change>,
    row: FgaLogRow,
    actor: Actor,
}

/// Who writes, and why.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// Why, in her words; may be empty.
    pub reason: &'a str,
}

impl<'a> From<&'a Actor> for Author<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { actor, reason: "" }
    }
}

impl PlannedWrite {
    /// How many tuples it writes and deletes.
    pub(crate) const fn len(&self) -> usize {
        self.changes.len()
    }

    /// The revision that the store has once this is committed.
    pub const fn revision(&self) -> i64 {
        self.row.revision
    }

    /// The same write, for a reason that the log keeps.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.row.reason);
        self
    }

    fn add_to(&mut self, authz: &Authz, unit: &mut UnitOfWork) {
        unit.id().clone_into(&mut self.row.txn);
        let store_id = &self.store.store_id;
        for statement in fga::append_log(authz.tenant(), store_id, &self.row) {
            unit.add(statement);
        }
        unit.record(&log_event(authz.tenant(), store_id, &self.row, &self.changes, &self.actor));
    }

    /// Shows a committed write to readers.
    fn publish(mut self) {
        if let Err(error) = self.writer.apply(&self.changes, &self.row) {
            // The log is right and the memory is not: read it again before the next answer.
            tracing::error!(store = %self.store.store_id, %error, "a write did not apply in memory");
            self.writer.is_stale = true;
        }
        self.store.publish(&self.writer);
    }
}

/// The event of a write: how much, and a digest of what; the log itself holds the tuples.
pub(crate) fn log_event(
    tenant: &TenantId,
    store_id: &str,
    row: &FgaLogRow,
    changes: &[Change],
    actor: &Actor,
) -> Event {
    let writes = changes.iter().filter(|change| matches!(change, Change::Write(_))).count();
    let deletes = changes.len().saturating_sub(writes);
    Event::new(tenant, EventKind::FgaTuplesWritten, actor.clone())
        .with("store_id", store_id)
        .with("revision", row.revision)
        .with("writes", writes)
        .with("deletes", deletes)
        .with("changes_sha256", sha256_hex(row.changes.as_bytes()))
}

impl Authz {
    /// Checks a write against the model (the latest unless one is named) and the newest version,
    /// and holds the store. `None` when it changes nothing.
    ///
    /// # Errors
    /// The rule of OpenFGA's Write that the request breaks.
    pub async fn plan_write(
        &self,
        store_id: &str,
        model_id: Option<&str>,
        request: &WriteRequest,
        actor: &Actor,
    ) -> Result<Option<PlannedWrite>, AuthzError> {
        let (store, writer, model) = self.hold_with_model(store_id, model_id).await?;
        let now_micros = request.now_micros.or_else(|| Some(self.now().as_micros()));
        let request = WriteRequest { now_micros, ..request.clone() };
        let changes = writer.fga.plan_write(&model, &request)?;
        self.planned(store, writer, changes, actor)
    }

    /// Plans the deletion of every tuple of `object`, however many there are. `None` when there is
    /// none.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn plan_delete_object(
        &self,
        store_id: &str,
        object: &str,
        actor: &Actor,
    ) -> Result<Option<PlannedWrite>, AuthzError> {
        let filter = TupleFilter { object: object.to_owned(), ..TupleFilter::default() };
        self.plan_deletes(store_id, &filter, usize::MAX, actor).await
    }

    /// Plans the deletion of the tuples that the filter admits, the first `limit` of them.
    pub(crate) async fn plan_deletes(
        &self,
        store_id: &str,
        filter: &TupleFilter,
        limit: usize,
        actor: &Actor,
    ) -> Result<Option<PlannedWrite>, AuthzError> {
        let store = self.open_store(store_id).await?;
        let writer = store.hold(self.storage(), self.tenant()).await?;
        let changes = writer.fga.snapshot().deletes(filter).take(limit).collect();
        self.planned(store, writer, changes, actor)
    }

    /// Plans the writing of tuples that do not exist.
    pub(crate) async fn plan_import(
        &self,
        store_id: &str,
        tuples: Vec<TupleKey>,
        actor: &Actor,
    ) -> Result<Option<PlannedWrite>, AuthzError> {
        let (store, writer, model) = self.hold_with_model(store_id, None).await?;
        let changes = writer.fga.plan_import(&model, tuples, Some(self.now().as_micros()))?;
        self.planned(store, writer, changes, actor)
    }

    /// The store, held, and the named model, or else the latest.
    async fn hold_with_model(
        &self,
        store_id: &str,
        model_id: Option<&str>,
    ) -> Result<(Arc<OpenStore>, OwnedMutexGuard<Writer>, Arc<StoreModel>), AuthzError> {
        let store = self.open_store(store_id).await?;
        let mut writer = store.hold(self.storage(), self.tenant()).await?;
        let model_id = match (model_id, writer.latest()) {
            (Some(model_id), _) => model_id.into(),
            (None, Some(latest)) => latest,
            (None, None) => return Err(AuthzError::NoModel(store_id.to_owned())),
        };
        let model = writer.bind(&model_id)?;
        Ok((store, writer, model))
    }

    pub(crate) fn planned(
        &self,
        store: Arc<OpenStore>,
        writer: OwnedMutexGuard<Writer>,
        changes: Vec<Change>,
        actor: &Actor,
    ) -> Result<Option<PlannedWrite>, AuthzError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let text = serde_json::to_string(&changes).map_err(|error| StoreError::Internal {
            reason: format!("changes as JSON: {error}"),
        })?;
        let revision = writer.revision().saturating_add(1);
        let row = FgaLogRow {
            revision,
            changes: text,
            actor: serde_json::to_string(actor).unwrap_or_default(),
            reason: String::new(),
            txn: String::new(),
            at: self.now(),
        };
        Ok(Some(PlannedWrite { store, writer, changes, row, actor: actor.clone() }))
    }

    /// Commits `unit` together with the planned writes, then shows them to readers. It runs to its
    /// end even if the caller goes away: a committed revocation is never left unseen.
    ///
    /// # Errors
    /// `Conflict("store moved")` when another node wrote meanwhile, or what the unit's own
    /// preconditions say; then nothing was stored.
    pub async fn commit(
        &self,
        mut unit: UnitOfWork,
        mut writes: Vec<PlannedWrite>,
    ) -> Result<Committed, StoreError> {
        for write in &mut writes {
            write.add_to(self, &mut unit);
        }
        let this = self.clone();
        let task = tokio::spawn(async move {
            match this.storage().commit(unit).await {
                Ok(committed) => {
                    let changes = writes.iter().map(|write| write.len() as u64).sum();
                    writes.into_iter().for_each(PlannedWrite::publish);
                    if this.0.open.has_grown(changes) {
                        let this = this.clone();
                        tokio::spawn(async move { this.0.open.keep_within_budget("").await });
                    }
                    Ok(committed)
                }
                Err(error) => {
                    // A conflict was not stored; of any other failure that is not known.
                    let is_known =
                        matches!(error, StoreError::Conflict { what } if what != "store moved");
                    for mut write in writes {
                        write.writer.is_stale |= !is_known;
                    }
                    Err(error)
                }
            }
        });
        task.await.unwrap_or_else(|_panicked| {
            Err(StoreError::Internal { reason: "a commit ended early".to_owned() })
        })
    }

    /// Writes and deletes tuples; returns the store's revision.
    ///
    /// # Errors
    /// As [`Authz::plan_write`].
    pub async fn write(
        &self,
        store_id: &str,
        model_id: Option<&str>,
        request: &WriteRequest,
        author: impl Into<Author<'_>>,
    ) -> Result<i64, AuthzError> {
        let author = author.into();
        let plan = || self.plan_write(store_id, model_id, request, author.actor);
        let (_, revision) = self.write_planned(store_id, plan, author.reason).await?;
        Ok(i64::try_from(revision).unwrap_or(i64::MAX))
    }

    /// Commits what `plan` gives, again when another node was faster; returns how many tuples were
    /// written and deleted, and the store's revision.
    pub(crate) async fn write_planned<P>(
        &self,
        store_id: &str,
        plan: impl Fn() -> P,
        reason: &str,
    ) -> Result<(usize, u64), AuthzError>
    where
        P: Future<Output = Result<Option<PlannedWrite>, AuthzError>>,
    {
        for attempt in 0..ATTEMPTS {
            let Some(planned) = plan().await? else {
                return Ok((0, self.snapshot(store_id).await?.revision().0));
            };
            let (count, revision) = (planned.len(), planned.revision());
            let planned = planned.because(reason);
            match self.commit(self.unit(), vec![planned]).await {
                Ok(_) => return Ok((count, revision.unsigned_abs())),
                Err(error) if error.is_conflict("store moved") => self.pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthzError::Contention)
    }

    /// Lets another node finish; a random time, longer with each attempt.
    async fn pause(&self, attempt: u32) {
        let mut byte = [0];
        self.0.rng.fill(&mut byte);
        let longest = 1_u64.checked_shl(attempt).unwrap_or(u64::MAX).min(MAX_PAUSE_MILLIS);
        let millis = u64::from(byte[0]).saturating_mul(longest) / 256;
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
