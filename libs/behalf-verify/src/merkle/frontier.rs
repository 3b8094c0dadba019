//! The right edge of a tree: all that appending needs to remember.

use thiserror::Error;

use super::{Hash, empty_root, node_hash};

/// The stored parts are no frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tree of {size} leaves has {expected} peaks, not {found}")]
pub struct FrontierError {
    /// The size that was given.
    pub size: u64,
    /// How many complete subtrees a tree of that size consists of.
    pub expected: u32,
    /// How many were given.
    pub found: usize,
}

/// An append-only tree head: the roots of the complete subtrees, the largest first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// A stored frontier.
    ///
    /// # Errors
    /// If there are not as many peaks as the size has binary ones.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if u32::try_from(peaks.len()) != Ok(expected) {
            return Err(FrontierError { size, expected, found: peaks.len() });
        }
        Ok(Self { size, peaks })
    }

    /// Appends a leaf and returns its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        // Each binary one at the end of the size is a complete subtree that this leaf completes
        // into the next larger one.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = index.saturating_add(1);
        index
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let above = |right: Hash, left: &Hash| node_hash(left, &right);
        match self.peaks.split_last() {
            None => empty_root(),
            Some((last, rest)) => rest.iter().rev().fold(*last, above),
        }
    }
}
