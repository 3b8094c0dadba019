//! The whole log read again: every leaf against its hash, every tile against the one above it, the
//! tree against what was signed.

use std::collections::BTreeMap;

use behalf_core::ProjectId;
use behalf_verify::merkle::tiles::{Tile, TileKind};
use behalf_verify::merkle::{Hash, leaf_hash, range_root, root_of};

use crate::Ledger;
use crate::error::LedgerError;
use crate::sequencer::as_row_number;
use crate::tree::StoredTree;

/// Faults that are named; more are counted only.
const FAULTS_MAX: usize = 20;

/// What reading the whole log again found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many leaves were read.
    pub leaves: u64,
    /// What contradicts what, the first twenty.
    pub faults: Vec<String>,
    /// How many faults there are.
    pub fault_count: usize,
}

impl AuditReport {
    fn note(&mut self, fault: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault());
        }
        self.fault_count = self.fault_count.saturating_add(1);
    }
}

impl Ledger {
    /// Reads the signed part of the log again and compares everything that is stored twice.
    ///
    /// # Errors
    /// When the store fails, or the project has no log.
    pub async fn audit(&self, project: &ProjectId) -> Result<AuditReport, LedgerError> {
        let mut report = AuditReport::default();
        let checkpoint = match self.checkpoint(project).await {
            Ok(checkpoint) => checkpoint,
            Err(LedgerError::Fault(fault)) => {
                report.note(|| fault);
                return Ok(report);
            }
            Err(error) => return Err(error),
        };
        if let Some(fault) = self.summary(project).await?.fault {
            report.note(|| fault);
        }
        let size = checkpoint.size;
        let mut above: BTreeMap<u64, Hash> = BTreeMap::new();
        for level in 0..8 {
            let kind = TileKind::Hashes { level };
            let mut next = BTreeMap::new();
            for index in 0_u64.. {
                let Some(tile) = Tile::in_tree(kind, index, size) else { break };
                // A long log is read between other work, not instead of it.
                tokio::task::yield_now().await;
                let Some(hashes) = self.audited_tile(project, &tile, &mut report).await? else {
                    continue;
                };
                if level == 0 {
                    self.audit_leaves(project, &tile, &hashes, &mut report).await?;
                } else {
                    let first = index.saturating_mul(256);
                    for (below, hash) in (first..).zip(&hashes) {
                        if above.get(&below).is_some_and(|expected| expected != hash) {
                            report.note(|| format!("{tile} contradicts tile {below} below it"));
                        }
                    }
                }
                if tile.is_full() {
                    next.insert(index, root_of(&hashes));
                }
            }
            above = next;
        }
        report.leaves = size;
        let mut tree = StoredTree::new(self, project, size);
        match tree.ask(|nodes| range_root(nodes, 0, size)).await {
            Ok(root) if root == checkpoint.root => {}
            Ok(_) => report.note(|| format!("the tree of {size} leaves is not what was signed")),
            Err(LedgerError::Fault(fault)) => report.note(|| fault),
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    async fn audited_tile(
        &self,
        project: &ProjectId,
        tile: &Tile,
        report: &mut AuditReport,
    ) -> Result<Option<Vec<Hash>>, LedgerError> {
        match self.load_tile(project, tile).await {
            Ok(bytes) => Ok(Some(bytes.as_chunks::<32>().0.to_vec())),
            Err(LedgerError::Fault(fault)) => {
                report.note(|| fault);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn audit_leaves(
        &self,
        project: &ProjectId,
        tile: &Tile,
        hashes: &[Hash],
        report: &mut AuditReport,
    ) -> Result<(), LedgerError> {
        let first = as_row_number(tile.index().saturating_mul(256))?;
        let end = first.saturating_add(i64::from(tile.width()));
        let rows = match self.leaves(project, first, end, u32::from(tile.width())).await {
            Ok(rows) => rows,
            Err(LedgerError::Fault(fault)) => {
                report.note(|| fault);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (leaf, hash) in rows.iter().zip(hashes) {
            if leaf_hash(leaf.entry.as_bytes()) != *hash {
                let (index, id) = (leaf.leaf_index, &leaf.event_id);
                report.note(|| format!("entry {index} (record {id}) is not what {tile} holds"));
            }
        }
        Ok(())
    }
}
