//! Where the nodes of a tree lie, and the roots of ranges of leaves.

use thiserror::Error;

use super::{Hash, empty_root, node_hash, split_point};

/// A source of the hashes of complete subtrees.
pub trait Nodes {
    /// Why a hash could not be had.
    type Error;

    /// The root of the subtree over the 2^`level` leaves from `index` × 2^`level` on.
    ///
    /// # Errors
    /// If the source cannot be read or the subtree is not complete.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The tree has no such complete subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the tree has no node {index} at level {level}")]
pub struct OutsideTree {
    /// The level above the leaves.
    pub level: u32,
    /// The index within the level.
    pub index: u64,
}

/// A whole tree in memory, every node of it: about 64 bytes per leaf.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    levels: Vec<Vec<Hash>>,
}

impl MemoryTree {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { return };
            let left = nodes.last().copied();
            nodes.push(hash);
            match left {
                Some(left) if nodes.len().is_multiple_of(2) => hash = node_hash(&left, &hash),
                _ => return,
            }
        }
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| u64::try_from(leaves.len()).unwrap_or(u64::MAX))
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        // All nodes within the size are there.
        range_root(self, 0, self.size()).unwrap_or_else(|_| empty_root())
    }
}

impl Nodes for MemoryTree {
    type Error = OutsideTree;

    fn node(&self, level: u32, index: u64) -> Result<Hash, OutsideTree> {
        usize::try_from(level)
            .ok()
            .zip(usize::try_from(index).ok())
            .and_then(|(level, index)| self.levels.get(level)?.get(index))
            .copied()
            .ok_or(OutsideTree { level, index })
    }
}

impl FromIterator<Hash> for MemoryTree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }
}

/// RFC 6962's MTH over the leaves from `start` to before `end`. `start` must be a multiple of the
/// smallest power of two that is not below the number of leaves, as in every subtree of a tree.
///
/// # Errors
/// If the source fails.
pub fn range_root<N: Nodes + ?Sized>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let size = end.saturating_sub(start);
    if size == 0 {
        return Ok(empty_root());
    }
    if size.is_power_of_two() {
        let level = size.ilog2();
        return nodes.node(level, start >> level);
    }
    // At most 64 deep: the right part is smaller than a power of two below the whole.
    let middle = start.saturating_add(split_point(size));
    let left = range_root(nodes, start, middle)?;
    Ok(node_hash(&left, &range_root(nodes, middle, end)?))
}
