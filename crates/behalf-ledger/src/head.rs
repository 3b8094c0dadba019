//! The right edge of a tree: what appending needs, and which tiles it changes.

use std::collections::BTreeMap;

use behalf_verify::merkle::tiles::TILE_WIDTH;
use behalf_verify::merkle::{Frontier, Hash, root_of};

/// The head of a log with the open tile of each level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    frontier: Frontier,
    /// The hashes of the last, not yet full tile of each level, from the leaves up.
    open: Vec<Vec<Hash>>,
}

/// The tiles that appending changed, by level and index.
pub(crate) type ChangedTiles = BTreeMap<(u32, u64), Vec<u8>>;

impl Head {
    /// A stored head. `None` when the open tiles do not lead to the frontier.
    pub(crate) fn from_parts(frontier: Frontier, open: Vec<Vec<Hash>>) -> Option<Self> {
        let head = Self { frontier, open };
        (head.peaks_of_tiles() == head.frontier.peaks()).then_some(head)
    }

    /// How many hashes the open tile of `level` has in a tree of `size` leaves.
    pub(crate) fn open_width(size: u64, level: u32) -> u64 {
        (size >> level.saturating_mul(8).min(63)) % u64::from(TILE_WIDTH)
    }

    pub(crate) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The roots of the complete subtrees, one after the other.
    pub(crate) fn peaks(&self) -> Vec<u8> {
        self.frontier.peaks().concat()
    }

    /// Appends a leaf and notes which tiles it fills.
    pub(crate) fn push(&mut self, leaf: Hash, changed: &mut ChangedTiles) {
        let mut index = self.frontier.push(leaf);
        let mut hash = leaf;
        for level in 0_u32.. {
            let at = usize::try_from(level).unwrap_or(usize::MAX);
            if self.open.len() <= at {
                self.open.push(Vec::new());
            }
            let Some(tile) = self.open.get_mut(at) else { return };
            tile.push(hash);
            index /= u64::from(TILE_WIDTH);
            if tile.len() < usize::from(TILE_WIDTH) {
                // Only its key is noted: it may grow further before it is stored.
                changed.insert((level, index), Vec::new());
                return;
            }
            let full = std::mem::take(tile);
            changed.insert((level, index), full.concat());
            hash = root_of(&full);
        }
    }

    /// The bytes of every tile that was changed, now that no more is appended.
    pub(crate) fn store(&self, mut changed: ChangedTiles) -> ChangedTiles {
        for ((level, _), bytes) in &mut changed {
            let open = usize::try_from(*level).ok().and_then(|level| self.open.get(level));
            if let (true, Some(open)) = (bytes.is_empty(), open) {
                *bytes = open.concat();
            }
        }
        changed
    }

    /// The roots of the complete subtrees as the open tiles have them: each tile holds up to eight
    /// binary levels of them.
    fn peaks_of_tiles(&self) -> Vec<Hash> {
        let mut peaks = Vec::new();
        for tile in self.open.iter().rev() {
            let mut rest = tile.as_slice();
            for bit in (0..8).rev() {
                let span = 1_usize << bit;
                if tile.len() & span != 0 {
                    let (subtree, after) = rest.split_at(span.min(rest.len()));
                    peaks.push(root_of(subtree));
                    rest = after;
                }
            }
        }
        peaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use behalf_verify::merkle::tiles::{Tile, TileKind};
    use behalf_verify::merkle::{MemoryTree, leaf_hash};

    #[test]
    fn tiles_grow_as_the_tree_has_them() {
        let mut head = Head::default();
        let mut tree = MemoryTree::new();
        let mut stored = ChangedTiles::new();
        // Batches of all sizes across two levels' borders.
        for batch in [1_u64, 2, 252, 1, 1, 300, 512, 64_700, 1, 30] {
            let mut changed = ChangedTiles::new();
            for n in 0..batch {
                let leaf = leaf_hash(&(head.size() + n).to_be_bytes());
                tree.push(leaf);
                head.push(leaf, &mut changed);
            }
            stored.extend(head.store(changed));
            assert_eq!(head.root(), tree.root());
            for ((level, index), bytes) in &stored {
                let kind = TileKind::Hashes { level: u8::try_from(*level).unwrap() };
                let tile = Tile::in_tree(kind, *index, tree.size()).unwrap();
                assert_eq!(*bytes, tile.hashes(&tree).unwrap().unwrap(), "{tile}");
            }
        }
        assert_eq!(stored.len(), 258 + 2 + 1);
        let again = Head::from_parts(head.frontier.clone(), head.open.clone()).unwrap();
        assert_eq!(again.root(), tree.root());
        let mut altered = head.open.clone();
        altered[1][0][0] ^= 1;
        assert!(Head::from_parts(head.frontier.clone(), altered).is_none());
    }
}
