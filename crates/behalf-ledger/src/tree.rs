//! Reading a stored tree: the tiles that a question needs are fetched as it asks for them.

use std::collections::BTreeMap;

use behalf_core::ProjectId;
use behalf_store::ledger::tiles;
use behalf_verify::merkle::Nodes;
use behalf_verify::merkle::tiles::{Tile, TileKind, TileReadError, TileReader};
use thiserror::Error;

use crate::Ledger;
use crate::error::LedgerError;

/// The tile is not at hand yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not loaded")]
pub(crate) struct NotLoaded;

/// Why a question could not be answered from the tiles at hand.
pub(crate) type Unanswered = TileReadError<NotLoaded>;

/// The tree of a log as it was with `size` leaves, and the tiles of it that were needed so far.
#[derive(Debug)]
pub(crate) struct StoredTree<'l> {
    ledger: &'l Ledger,
    project: ProjectId,
    size: u64,
    loaded: BTreeMap<Tile, Vec<u8>>,
}

impl<'l> StoredTree<'l> {
    pub(crate) fn new(ledger: &'l Ledger, project: &ProjectId, size: u64) -> Self {
        Self { ledger, project: project.clone(), size, loaded: BTreeMap::new() }
    }

    /// What `question` answers from the tree's nodes.
    ///
    /// # Errors
    /// `Fault` when a tile is absent or too short.
    pub(crate) async fn ask<T>(
        &mut self,
        question: impl Fn(&dyn Nodes<Error = Unanswered>) -> Result<T, Unanswered>,
    ) -> Result<T, LedgerError> {
        loop {
            let missing = match self.try_ask(&question) {
                Ok(answer) => return Ok(answer),
                Err(TileReadError::Read { tile, .. }) => tile,
                Err(error) => return Err(LedgerError::fault(error)),
            };
            let bytes = self.ledger.load_tile(&self.project, &missing).await?;
            self.loaded.insert(missing, bytes);
        }
    }

    fn try_ask<T>(
        &self,
        question: impl Fn(&dyn Nodes<Error = Unanswered>) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        let find = |tile: &Tile| self.loaded.get(tile).map(Vec::as_slice).ok_or(NotLoaded);
        question(&TileReader::new(self.size, find))
    }
}

impl Ledger {
    /// The hashes of a tile, as wide as it is named.
    ///
    /// # Errors
    /// `Fault` when it is absent or too short.
    pub(crate) async fn load_tile(
        &self,
        project: &ProjectId,
        tile: &Tile,
    ) -> Result<Vec<u8>, LedgerError> {
        let absent = || LedgerError::fault(format!("{tile} is absent or too short"));
        let TileKind::Hashes { level } = tile.kind() else { return Err(absent()) };
        let index = i64::try_from(tile.index()).map_err(|_range| absent())?;
        let row = tiles::find(self.storage(), self.tenant(), project, level.into(), index).await?;
        let mut bytes = row.ok_or_else(absent)?;
        let len = usize::from(tile.width()).saturating_mul(32);
        if bytes.len() < len {
            return Err(absent());
        }
        // A partial tile is the beginning of what it has grown to.
        bytes.truncate(len);
        Ok(bytes)
    }
}
