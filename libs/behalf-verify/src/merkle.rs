//! Merkle trees as RFC 6962 defines them: what a log commits to, and the two proofs against it.
//!
//! An inclusion proof shows that a leaf is in the tree of a given size and root; a consistency
//! proof shows that a later tree only appended to an earlier one. Making proofs needs the tree's
//! nodes from wherever they lie ([`Nodes`]); checking them needs nothing but hashes.

mod frontier;
mod nodes;
mod proof;
pub mod tiles;

pub use frontier::{Frontier, FrontierError};
pub use nodes::{MemoryTree, Nodes, OutsideTree, range_root};
pub use proof::{
    ProofError, Step, consistency_proof, inclusion_proof, inclusion_steps, verify_consistency,
    verify_inclusion,
};

use crate::hash::{sha256, sha256_of_parts};

/// A SHA-256 hash of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// The most hashes a proof in a tree of 2^64 leaves can have.
pub const PROOF_HASHES_MAX: usize = 64;

/// The hash of a leaf with this content (RFC 6962 §2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256_of_parts(&[&[0x00], entry])
}

/// The hash of the node above `left` and `right` (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_of_parts(&[&[0x01], left, right])
}

/// The root of the tree without leaves.
pub fn empty_root() -> Hash {
    sha256(b"")
}

/// The root of the tree with these leaf hashes.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// The largest power of two below `size`, which is at least 2: where RFC 6962 splits a tree.
fn split_point(size: u64) -> u64 {
    size.saturating_sub(1).checked_ilog2().map_or(0, |log| 1 << log)
}

#[cfg(test)]
mod tests;
