//! Turning events into leaves: append, new head and removal from the outbox in one unit of work.
//!
//! A crash between any two steps leaves either the event in the outbox or its leaf in the log,
//! never both and never neither. Several processes may run this: the head's row lets one of them
//! append at a time, and the others load the head again.

use std::collections::BTreeMap;
use std::time::Duration;

use behalf_core::ProjectId;
use behalf_store::ledger::checkpoints::CheckpointRow;
use behalf_store::ledger::leaves::LeafRow;
use behalf_store::ledger::{checkpoints, leaves, logs, tiles};
use behalf_store::outbox::{self, OutboxRow};
use behalf_store::{StoreError, UnitOfWork};
use behalf_verify::merkle::{consistency_proof, leaf_hash};

use crate::Ledger;
use crate::error::LedgerError;
use crate::head::ChangedTiles;
use crate::leaf::{actor_id, entry};
use crate::log::Log;
use crate::tree::StoredTree;

/// Events that become leaves in one unit at most.
const BATCH: u32 = 256;

/// A log signs no more often than this while it grows.
const SIGNING_INTERVAL: Duration = Duration::from_secs(1);

impl Ledger {
    /// One round of the sequencer: every event that waits becomes a leaf, and each log that has
    /// grown is signed unless it was signed within the last second. Returns how many leaves there
    /// are more.
    ///
    /// # Errors
    /// When the store fails, or a log contradicts itself: its events wait, the others' do not.
    pub async fn advance(&self) -> Result<usize, LedgerError> {
        let mut logs = self.0.logs.lock().await;
        let appended = self.append_waiting(&mut logs).await;
        self.sign_grown(&mut logs, SIGNING_INTERVAL).await?;
        appended
    }

    /// Waits until all events committed before it are leaves, under a signed checkpoint.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let mut logs = self.0.logs.lock().await;
        let appended = self.append_waiting(&mut logs).await;
        self.sign_grown(&mut logs, Duration::ZERO).await?;
        appended.map(|_count| ())
    }

    async fn append_waiting(
        &self,
        logs: &mut BTreeMap<ProjectId, Log>,
    ) -> Result<usize, LedgerError> {
        let mut total = 0_usize;
        let mut failed = None;
        for project in outbox::list_projects(self.storage(), self.tenant()).await? {
            match self.append_project(logs, &project).await {
                Ok(appended) => total = total.saturating_add(appended),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(total), Err)
    }

    /// Appends batches until one was not full: what was committed before then is in.
    async fn append_project(
        &self,
        logs: &mut BTreeMap<ProjectId, Log>,
        project: &ProjectId,
    ) -> Result<usize, LedgerError> {
        let mut total = 0_usize;
        loop {
            let log = self.log(logs, project).await?;
            let from = as_row_number(log.head.size())?;
            let (storage, tenant) = (self.storage(), self.tenant());
            let events = outbox::list_of(storage, tenant, project, BATCH).await?;
            if !events.is_empty()
                && let Err(error) = self.append(project, log, &events).await
            {
                // What is in memory may be ahead of what is stored.
                logs.remove(project);
                let is_conflict = matches!(error, LedgerError::Store(StoreError::Conflict { .. }));
                // Another sequencer was faster: the head is loaded again. However often that
                // happens, the log has grown each time; a head that stands still is a fault.
                let now = logs::find(storage, tenant, project).await?;
                if is_conflict && now.is_some_and(|now| now.size != from) {
                    continue;
                }
                return Err(error);
            }
            total = total.saturating_add(events.len());
            if u32::try_from(events.len()).is_ok_and(|count| count < BATCH) {
                return Ok(total);
            }
        }
    }

    async fn append(
        &self,
        project: &ProjectId,
        log: &mut Log,
        events: &[OutboxRow],
    ) -> Result<(), LedgerError> {
        let tenant = self.tenant();
        let mut unit = self.unit();
        let mut changed = ChangedTiles::new();
        let from = as_row_number(log.head.size())?;
        for event in events {
            let entry = entry(event, &log.origin);
            let leaf_index = as_row_number(log.head.size())?;
            log.head.push(leaf_hash(entry.as_bytes()), &mut changed);
            let leaf = LeafRow {
                project_id: project.clone(),
                leaf_index,
                event_id: event.event_id.clone(),
                kind: event.kind.clone(),
                actor: actor_id(event),
                at: event.at,
                entry,
            };
            unit.add(leaves::insert(tenant, &leaf));
            unit.add(outbox::remove(tenant, &event.event_id));
        }
        for ((level, index), bytes) in log.head.store(changed) {
            unit.add(tiles::put(tenant, project, level, as_row_number(index)?, bytes));
        }
        let to = as_row_number(log.head.size())?;
        unit.add(logs::advance(tenant, project, from, to, log.head.peaks()));
        self.storage().commit(unit).await?;
        Ok(())
    }

    /// Signs each log that has grown and was not signed within `interval`.
    async fn sign_grown(
        &self,
        logs: &mut BTreeMap<ProjectId, Log>,
        interval: Duration,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let mut failed = Vec::new();
        for (project, log) in &mut *logs {
            if now.since(log.signed_at) >= interval
                && let Err(error) = self.sign(project, log).await
            {
                failed.push((project.clone(), error));
            }
        }
        // The signer may remember what was not stored; it is loaded again.
        failed.iter().for_each(|(project, _)| drop(logs.remove(project)));
        failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Signs the log's head unless it was.
    async fn sign(&self, project: &ProjectId, log: &mut Log) -> Result<(), LedgerError> {
        let (size, root, old) = (log.head.size(), log.head.root(), log.signer.size());
        if size == old {
            return Ok(());
        }
        let mut tree = StoredTree::new(self, project, size);
        let proof = tree.ask(|nodes| consistency_proof(nodes, old, size)).await?;
        let proof = proof.ok_or_else(|| LedgerError::fault("the tree has become smaller"))?;
        let now = self.now();
        let note = log.signer.sign(size, root, &proof)?.to_string();
        let checkpoint = CheckpointRow { size: as_row_number(size)?, note, signed_at: now };
        let mut unit = UnitOfWork::new(now, self.rng());
        unit.add(checkpoints::insert(self.tenant(), project, &checkpoint));
        self.storage().commit(unit).await?;
        log.signed_at = now;
        Ok(())
    }
}

/// A size or index as rows hold it.
pub(crate) fn as_row_number(number: u64) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_range| LedgerError::fault("the log is too long"))
}
