//! What others see of a log: its state, its records, its tiles and its proofs.

use behalf_core::{ProjectId, Timestamp};
use behalf_store::ledger::leaves::{LeafFilter, LeafRow};
use behalf_store::ledger::{checkpoints, leaves, logs};
use behalf_store::outbox;
use behalf_verify::merkle::tiles::{Tile, TileKind, format_bundle};
use behalf_verify::merkle::{Hash, inclusion_proof};

use crate::Ledger;
use crate::error::LedgerError;
use crate::log::verified;
use crate::sequencer::as_row_number;
use crate::tree::StoredTree;

/// A checkpoint that the log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// How many leaves the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// The state of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    /// The project whose log it is.
    pub project: ProjectId,
    /// Its unique name.
    pub origin: String,
    /// Its public key, as notes are checked against.
    pub key: String,
    /// How many leaves there are; the latest may not be signed yet.
    pub size: u64,
    /// What was signed last.
    pub checkpoint: SignedCheckpoint,
    /// Why nothing is appended or signed: a contradiction in what is stored.
    pub fault: Option<String>,
}

/// A record: an event that has become a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The project whose log it is in.
    pub project: ProjectId,
    /// Its place in the log.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// The event's kind.
    pub kind: String,
    /// The actor's id.
    pub actor: String,
    /// When it happened.
    pub at: Timestamp,
    /// The entry: the very bytes that are hashed.
    pub entry: String,
}

/// A record with the way from its leaf to a signed root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProof {
    /// The record.
    pub record: Record,
    /// The hashes beside the way, from the leaf's sibling up.
    pub path: Vec<Hash>,
    /// The checkpoint whose root is at its end.
    pub checkpoint: SignedCheckpoint,
}

impl Ledger {
    /// The log's state.
    ///
    /// # Errors
    /// `NotFound` when the project has no log.
    pub async fn summary(&self, project: &ProjectId) -> Result<LogSummary, LedgerError> {
        let row = logs::find(self.storage(), self.tenant(), project).await?;
        let row = row.ok_or(LedgerError::NotFound)?;
        let fault = match self.log(&mut *self.0.logs.lock().await, project).await {
            Ok(_) => None,
            Err(LedgerError::Fault(fault)) => Some(fault),
            Err(error) => return Err(error),
        };
        let latest = checkpoints::find_latest(self.storage(), self.tenant(), project, i64::MAX);
        let latest = latest.await?.ok_or(LedgerError::NotFound)?;
        // A checkpoint that does not verify is shown as the fault that it is, not as a root.
        let (size, root) = match (verified(&row, &latest), &fault) {
            (Ok(signed), _) => signed,
            (Err(_), Some(_)) => (u64::try_from(latest.size).unwrap_or(0), [0; 32]),
            (Err(error), None) => return Err(error),
        };
        let checkpoint =
            SignedCheckpoint { size, root, note: latest.note, signed_at: latest.signed_at };
        Ok(LogSummary {
            project: project.clone(),
            origin: row.origin,
            key: row.vkey,
            size: u64::try_from(row.size).unwrap_or(0),
            checkpoint,
            fault,
        })
    }

    /// How many events have no leaf yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_waiting(&self) -> Result<i64, LedgerError> {
        Ok(outbox::count(self.storage(), self.tenant()).await?)
    }

    /// How many units of work wait for the embedded store.
    pub fn queue_depth(&self) -> usize {
        self.storage().queue_depth()
    }

    /// The projects that have a log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_projects(&self) -> Result<Vec<ProjectId>, LedgerError> {
        let rows = logs::list(self.storage(), self.tenant()).await?;
        Ok(rows.into_iter().map(|row| row.project_id).collect())
    }

    /// What the log signed last.
    ///
    /// # Errors
    /// `NotFound` when the project has no log, `Fault` when the note does not verify.
    pub async fn checkpoint(&self, project: &ProjectId) -> Result<SignedCheckpoint, LedgerError> {
        self.checkpoint_below(project, i64::MAX).await
    }

    /// What the log signed last of trees of at most `size_max` leaves.
    pub(crate) async fn checkpoint_below(
        &self,
        project: &ProjectId,
        size_max: i64,
    ) -> Result<SignedCheckpoint, LedgerError> {
        let (storage, tenant) = (self.storage(), self.tenant());
        let row = logs::find(storage, tenant, project).await?.ok_or(LedgerError::NotFound)?;
        let latest = checkpoints::find_latest(storage, tenant, project, size_max).await?;
        let latest = latest.ok_or_else(|| LedgerError::fault("there is no checkpoint"))?;
        let (size, root) = verified(&row, &latest)?;
        Ok(SignedCheckpoint { size, root, note: latest.note, signed_at: latest.signed_at })
    }

    /// The bytes of a tile or an entry bundle of the signed tree.
    ///
    /// # Errors
    /// `NotFound` when the signed tree has no such tile, not even as part of a wider one.
    pub async fn tile(&self, project: &ProjectId, tile: &Tile) -> Result<Vec<u8>, LedgerError> {
        let size = self.checkpoint(project).await?.size;
        let is_there = Tile::in_tree(tile.kind(), tile.index(), size)
            .is_some_and(|known| known.width() >= tile.width());
        if !is_there {
            return Err(LedgerError::NotFound);
        }
        if tile.kind() != TileKind::Entries {
            return self.load_tile(project, tile).await;
        }
        let first = as_row_number(tile.index().saturating_mul(256))?;
        let end = first.saturating_add(i64::from(tile.width()));
        let rows = self.leaves(project, first, end, u32::from(tile.width())).await?;
        let entries: Vec<&str> = rows.iter().map(|leaf| leaf.entry.as_str()).collect();
        format_bundle(&entries).map_err(LedgerError::fault)
    }

    /// The leaves from `first` to before `end`, every one of at most `limit`.
    ///
    /// # Errors
    /// `Fault` when one is absent.
    pub(crate) async fn leaves(
        &self,
        project: &ProjectId,
        first: i64,
        end: i64,
        limit: u32,
    ) -> Result<Vec<LeafRow>, LedgerError> {
        let rows = leaves::list(self.storage(), self.tenant(), project, first, end, limit).await?;
        let wanted = end.saturating_sub(first).min(i64::from(limit));
        for (expected, row) in (first..).zip(&rows) {
            if row.leaf_index != expected {
                return Err(LedgerError::fault(format!("leaf {expected} is absent")));
            }
        }
        if i64::try_from(rows.len()) != Ok(wanted) {
            let absent = first.saturating_add(i64::try_from(rows.len()).unwrap_or(0));
            return Err(LedgerError::fault(format!("leaf {absent} is absent")));
        }
        Ok(rows)
    }

    /// The record of that id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_record(&self, id: &str) -> Result<Option<Record>, LedgerError> {
        let found = leaves::find(self.storage(), self.tenant(), id).await?;
        if found.is_some() {
            return found.map(record).transpose();
        }
        // It may be an event that has just been committed.
        self.flush().await?;
        leaves::find(self.storage(), self.tenant(), id).await?.map(record).transpose()
    }

    /// The latest records before index `before` that pass `filter`, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_records(
        &self,
        project: &ProjectId,
        filter: &LeafFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Record>, LedgerError> {
        let before = before.map_or(Ok(i64::MAX), as_row_number)?;
        let (storage, tenant) = (self.storage(), self.tenant());
        let rows = leaves::list_latest(storage, tenant, project, filter, before, limit).await?;
        rows.into_iter().map(record).collect()
    }

    /// Every kind of record that the log holds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_kinds(&self, project: &ProjectId) -> Result<Vec<String>, LedgerError> {
        Ok(leaves::list_kinds(self.storage(), self.tenant(), project).await?)
    }

    /// The record of that id with its inclusion proof under the latest checkpoint.
    ///
    /// # Errors
    /// `NotFound` when there is no such record.
    pub async fn prove(&self, id: &str) -> Result<RecordProof, LedgerError> {
        let record = self.find_record(id).await?.ok_or(LedgerError::NotFound)?;
        let mut checkpoint = self.checkpoint(&record.project).await?;
        if record.index >= checkpoint.size {
            self.flush().await?;
            checkpoint = self.checkpoint(&record.project).await?;
        }
        let mut tree = StoredTree::new(self, &record.project, checkpoint.size);
        let (index, size) = (record.index, checkpoint.size);
        let path = tree.ask(|nodes| inclusion_proof(nodes, index, size)).await?;
        let path = path.ok_or_else(|| LedgerError::fault("a leaf was never signed"))?;
        Ok(RecordProof { record, path, checkpoint })
    }
}

pub(crate) fn record(leaf: LeafRow) -> Result<Record, LedgerError> {
    Ok(Record {
        project: leaf.project_id,
        index: u64::try_from(leaf.leaf_index)
            .map_err(|_range| LedgerError::fault("a leaf's index is negative"))?,
        id: leaf.event_id,
        kind: leaf.kind,
        actor: leaf.actor,
        at: leaf.at,
        entry: leaf.entry,
    })
}
