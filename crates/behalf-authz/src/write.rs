//! Writes: planned while the store is held, committed with whatever else belongs to them, or with
//! other writes that wait ([`crate::group`]), and only then shown to readers.

use std::sync::Arc;
use std::time::Duration;

use behalf_core::{Actor, Event, EventKind, TenantId};
use behalf_fga::{Change, TupleFilter, WriteRequest};
use behalf_store::fga::{self, FgaLogRow};
use behalf_store::{Committed, StoreError, UnitOfWork};
use behalf_verify::sha256_hex;
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::Authz;
use crate::error::AuthzError;
use crate::group::Waiting;
use crate::state::{OpenStore, Writer};

/// How often a write is planned again because another node was faster.
const ATTEMPTS: u32 = 20;
/// The longest pause before that, so that nodes do not meet again at once.
const MAX_PAUSE_MILLIS: u64 = 64;

/// A write that fits the store as it is stored; the store is held until it is committed or dropped.
#[derive(Debug)]
pub struct PlannedWrite(Planned);

/// A write that fits the writer's memory, in which other writes may wait for their commit.
#[derive(Debug)]
pub(crate) struct Planned {
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
    /// What it changes.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.0.changes
    }

    /// The revision that the store has once this is committed.
    pub const fn revision(&self) -> i64 {
        self.0.row.revision
    }

    fn add_to(&mut self, authz: &Authz, unit: &mut UnitOfWork) {
        let Planned { store, changes, row, actor, .. } = &mut self.0;
        unit.id().clone_into(&mut row.txn);
        for statement in fga::append_log(authz.tenant(), &store.store_id, row) {
            unit.add(statement);
        }
        unit.record(&log_event(authz.tenant(), &store.store_id, row, changes, actor));
    }

    /// Shows a committed write to readers.
    fn publish(self) {
        let Planned { store, mut writer, changes, row, .. } = self.0;
        if let Err(error) = writer.apply(&changes, &row) {
            // The log is right and the memory is not: read it again before the next answer.
            tracing::error!(store = %store.store_id, %error, "a write did not apply in memory");
            writer.is_stale = true;
        }
        store.publish(&writer);
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
        let store = self.open_store(store_id).await?;
        let mut writer = store.hold(self.storage(), self.tenant()).await?;
        let changes = self.look_at(&mut writer, store_id, model_id, request)?;
        Ok(self.planned(store, writer, changes, actor)?.map(PlannedWrite))
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
        let store = self.open_store(store_id).await?;
        let writer = store.hold(self.storage(), self.tenant()).await?;
        let changes = writer.fga.snapshot().deletes(&filter).collect();
        Ok(self.planned(store, writer, changes, actor)?.map(PlannedWrite))
    }

    /// What the write changes.
    fn look_at(
        &self,
        writer: &mut Writer,
        store_id: &str,
        model_id: Option<&str>,
        request: &WriteRequest,
    ) -> Result<Vec<Change>, AuthzError> {
        let model = writer.model(store_id, model_id)?;
        let now_micros = request.now_micros.or_else(|| Some(self.now().as_micros()));
        let request = WriteRequest { now_micros, ..request.clone() };
        Ok(writer.fga.plan_write(&model, &request)?)
    }

    fn planned(
        &self,
        store: Arc<OpenStore>,
        writer: OwnedMutexGuard<Writer>,
        changes: Vec<Change>,
        actor: &Actor,
    ) -> Result<Option<Planned>, AuthzError> {
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
        Ok(Some(Planned { store, writer, changes, row, actor: actor.clone() }))
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
                    let changes = writes.iter().map(|write| write.0.changes.len() as u64).sum();
                    writes.into_iter().for_each(PlannedWrite::publish);
                    this.note_growth(changes);
                    Ok(committed)
                }
                Err(error) => {
                    // A conflict was not stored; of any other failure that is not known.
                    let is_known =
                        matches!(error, StoreError::Conflict { what } if what != "store moved");
                    for mut write in writes {
                        write.0.writer.is_stale |= !is_known;
                    }
                    Err(error)
                }
            }
        });
        task.await.unwrap_or_else(|_panicked| {
            Err(StoreError::Internal { reason: "a commit ended early".to_owned() })
        })
    }

    /// Looks whether the stores in memory have become too large, now and then.
    pub(crate) fn note_growth(&self, changes: u64) {
        if self.0.open.has_grown(changes) {
            let this = self.clone();
            tokio::spawn(async move { this.0.open.keep_within_budget("").await });
        }
    }

    /// Writes and deletes tuples; returns the store's revision.
    ///
    /// # Errors
    /// The rule of OpenFGA's Write that the request breaks.
    pub async fn write(
        &self,
        store_id: &str,
        model_id: Option<&str>,
        request: &WriteRequest,
        author: impl Into<Author<'_>>,
    ) -> Result<i64, AuthzError> {
        let look = |writer: &mut Writer| self.look_at(writer, store_id, model_id, request);
        let (_, revision) = self.write_planned(store_id, look, author.into()).await?;
        Ok(i64::try_from(revision).unwrap_or(i64::MAX))
    }

    /// Commits what `look` finds is to be changed, together with other writes that wait, and again
    /// when another node was faster; returns how many tuples were written and deleted, and the
    /// store's revision.
    pub(crate) async fn write_planned(
        &self,
        store_id: &str,
        look: impl Fn(&mut Writer) -> Result<Vec<Change>, AuthzError>,
        author: Author<'_>,
    ) -> Result<(usize, u64), AuthzError> {
        for attempt in 0..ATTEMPTS {
            let Some(planned) = self.plan_among_others(store_id, &look, author.actor).await? else {
                return Ok((0, self.snapshot(store_id).await?.revision().0));
            };
            let (count, revision) = (planned.changes.len(), planned.row.revision);
            match self.commit_among_others(planned, author.reason).await {
                Ok(()) => return Ok((count, revision.unsigned_abs())),
                Err(error) if error.is_conflict("store moved") => self.pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthzError::Contention)
    }

    /// Plans on top of the writes that wait. That nothing is to be done, or that it is refused, is
    /// believed only of what is stored: the others may yet fail.
    async fn plan_among_others(
        &self,
        store_id: &str,
        look: impl Fn(&mut Writer) -> Result<Vec<Change>, AuthzError>,
        actor: &Actor,
    ) -> Result<Option<Planned>, AuthzError> {
        let store = self.open_store(store_id).await?;
        let mut writer = store.hold_among_others(self.storage(), self.tenant()).await?;
        let mut changes = look(&mut writer);
        let is_change = changes.as_ref().is_ok_and(|changes| !changes.is_empty());
        if !is_change && store.group.is_running() {
            store.settle(self.storage(), self.tenant(), &mut writer).await?;
            changes = look(&mut writer);
        }
        self.planned(store, writer, changes?, actor)
    }

    async fn commit_among_others(&self, planned: Planned, reason: &str) -> Result<(), StoreError> {
        let Planned { store, mut writer, changes, mut row, actor } = planned;
        reason.clone_into(&mut row.reason);
        row.txn = self.new_id();
        if let Err(error) = writer.apply(&changes, &row) {
            writer.is_stale = true;
            let reason = format!("a planned write did not apply: {error}");
            return Err(StoreError::Internal { reason });
        }
        let (reply, answer) = oneshot::channel();
        self.join(&store, Waiting { row, changes, actor, view: writer.view(), reply })?;
        drop(writer);
        answer.await.unwrap_or_else(|_dropped| {
            Err(StoreError::Internal { reason: "a commit ended early".to_owned() })
        })
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
