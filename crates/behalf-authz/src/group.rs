//! Group commit: writes to one store that arrive while another is being committed share the next
//! commit.
//!
//! A write is planned while its store is held, on top of those that still wait, and joins them; then
//! the store is free for the next. One task commits what waits, again and again until nothing does,
//! and shows each group to readers before it acknowledges it. When a group is not stored, whatever
//! was planned on top of it fails too, and the memory goes back to what readers see.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use behalf_core::Actor;
use behalf_fga::Change;
use behalf_store::fga::{self, FgaLogRow};
use behalf_store::{StoreError, UnitOfWork};
use tokio::sync::{Notify, oneshot};

use crate::Authz;
use crate::state::{OpenStore, View};
use crate::write::log_event;

/// Writes that share a commit, and their changes, at most; one write alone may have more.
const MAX_WRITES: usize = 100;
const MAX_CHANGES: usize = 4_000;

/// A write that waits for its commit.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) row: FgaLogRow,
    pub(crate) changes: Vec<Change>,
    pub(crate) actor: Actor,
    /// The store with it.
    pub(crate) view: View,
    pub(crate) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// The writes of one store that wait.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    has_ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    /// A task commits what waits.
    is_running: bool,
    /// A commit failed: what is planned on the writer's memory does not fit what is stored.
    is_broken: bool,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.lock().is_running
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// The writer's memory is what is stored again.
    pub(crate) fn mend(&self) {
        self.lock().is_broken = false;
    }

    /// Waits until everything that waited has been committed, or has failed. Nothing joins while the
    /// store is held.
    pub(crate) async fn end(&self) {
        loop {
            let mut ended = pin!(self.has_ended.notified());
            ended.as_mut().enable();
            if !self.is_running() {
                return;
            }
            ended.await;
        }
    }

    /// The writes of the next commit; none when nothing waits any more.
    fn next(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let mut changes: usize = 0;
        let count = state.waiting.iter().take(MAX_WRITES).take_while(|write| {
            let before = changes;
            changes = changes.saturating_add(write.changes.len());
            before == 0 || changes <= MAX_CHANGES
        });
        let count = count.count();
        let next: Vec<Waiting> = state.waiting.drain(..count).collect();
        if next.is_empty() {
            state.is_running = false;
            drop(state);
            self.has_ended.notify_waiters();
        }
        next
    }

    /// Ends after a commit that failed; those who planned on top of it may plan again.
    fn fail(&self) {
        let mut state = self.lock();
        state.is_running = false;
        state.is_broken = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.has_ended.notify_waiters();
        for write in waiting {
            answer(write.reply, Err(StoreError::Conflict { what: "store moved" }));
        }
    }
}

impl Authz {
    /// Joins the writes that wait for their commit. The caller holds the store.
    ///
    /// # Errors
    /// `Conflict("store moved")` when the commit that it is planned on has failed.
    pub(crate) fn join(&self, store: &Arc<OpenStore>, write: Waiting) -> Result<(), StoreError> {
        let mut state = store.group.lock();
        if state.is_broken {
            return Err(StoreError::Conflict { what: "store moved" });
        }
        state.waiting.push(write);
        let is_first = !std::mem::replace(&mut state.is_running, true);
        drop(state);
        if is_first {
            tokio::spawn(self.clone().commit_groups(Arc::clone(store)));
        }
        Ok(())
    }

    async fn commit_groups(self, store: Arc<OpenStore>) {
        // If this ends early, a panic say, nobody may wait for it.
        let failing = FailUnlessDone { group: &store.group, is_done: false };
        loop {
            let group = store.group.next();
            if group.is_empty() {
                return failing.done();
            }
            let changes = group.iter().map(|write| write.changes.len() as u64).sum();
            let committed = self.storage().commit(self.group_unit(&store.store_id, &group)).await;
            if let Err(error) = committed {
                // First the memory, so that whoever tries again does not plan on it.
                drop(failing);
                for write in group {
                    answer(write.reply, Err(error.clone()));
                }
                return;
            }
            let (views, replies): (Vec<View>, Vec<_>) =
                group.into_iter().map(|write| (write.view, write.reply)).unzip();
            store.show(views);
            for reply in replies {
                answer(reply, Ok(()));
            }
            self.note_growth(changes);
        }
    }

    fn group_unit(&self, store_id: &str, group: &[Waiting]) -> UnitOfWork {
        let mut unit = self.unit();
        for Waiting { row, changes, actor, .. } in group {
            for statement in fga::append_log(self.tenant(), store_id, row) {
                unit.add(statement);
            }
            let event = log_event(self.tenant(), store_id, row, changes, actor);
            unit.record_of(&row.txn, &event);
        }
        unit
    }
}

fn answer(reply: oneshot::Sender<Result<(), StoreError>>, outcome: Result<(), StoreError>) {
    if reply.send(outcome).is_err() {
        tracing::debug!("the caller of a write has gone");
    }
}

/// Fails what waits when it is dropped, unless all was done.
struct FailUnlessDone<'a> {
    group: &'a Group,
    is_done: bool,
}

impl FailUnlessDone<'_> {
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for FailUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.group.fail();
        }
    }
}
