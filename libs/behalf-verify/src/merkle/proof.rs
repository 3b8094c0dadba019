//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2; checking as in RFC 9162 §2.1.3).

use thiserror::Error;

use super::{Hash, Nodes, empty_root, node_hash, range_root, split_point};

/// A proof cannot be, or does not prove what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf does not exist in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    LeafOutsideTree {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The later tree is the smaller one.
    #[error("a tree of {old} leaves cannot have become one of {new}")]
    Shrunk {
        /// The earlier size.
        old: u64,
        /// The later size.
        new: u64,
    },
    /// Too few or too many hashes for these sizes.
    #[error("the proof has {found} hashes and needs {expected}")]
    Length {
        /// How many it must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The hashes lead to another root than the tree's.
    #[error("the proof leads to another root")]
    Root,
    /// The hashes lead to another root than the earlier tree's.
    #[error("the proof leads to another root of the earlier tree")]
    OldRoot,
}

/// The hashes beside the way from leaf `index` up to the root of the tree of `size` leaves.
/// `None` when that leaf is not in that tree.
///
/// # Errors
/// If the source of nodes fails.
pub fn inclusion_proof<N: Nodes + ?Sized>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end.saturating_sub(start) > 1 {
        let middle = middle(start, end);
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// The hashes that show that the tree of `new` leaves begins with the tree of `old` leaves.
/// Empty when one of them is empty or both are the same. `None` when `old` is larger than `new`.
///
/// # Errors
/// If the source of nodes fails.
pub fn consistency_proof<N: Nodes + ?Sized>(
    nodes: &N,
    old: u64,
    new: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(Some(proof));
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = middle(start, end);
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // RFC 6962 §2.1.2: the verifier knows the old root when it is itself a node of the new tree.
    if start > 0 {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Checks that `leaf` is leaf `index` of the tree with `size` leaves and `root`.
///
/// # Errors
/// If it is not, or the proof is for other numbers.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::LeafOutsideTree { index, size });
    }
    expect_len(proof, inclusion_len(index, size))?;
    // The positions of this node and of the last one on the same level.
    let (mut at, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in proof {
        if at % 2 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // The last node of a level without a sibling is lifted until it has one.
            while at.is_multiple_of(2) && at > 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// One step on the way from a leaf to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The hash beside the way.
    pub sibling: Hash,
    /// Whether it stands to the left.
    pub is_left: bool,
    /// The leaves below it: the first, and the one after the last.
    pub sibling_covers: (u64, u64),
    /// The node above both.
    pub node: Hash,
    /// The leaves below that.
    pub covers: (u64, u64),
}

/// The way that a proof leads from `leaf` to the root, step by step, for showing it. The last
/// step's node is what [`verify_inclusion`] compares with the root.
///
/// # Errors
/// If the leaf is not in a tree of that size, or the proof is for other numbers.
pub fn inclusion_steps(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
) -> Result<Vec<Step>, ProofError> {
    if index >= size {
        return Err(ProofError::LeafOutsideTree { index, size });
    }
    expect_len(proof, inclusion_len(index, size))?;
    // From the root down, where the splits are; the hashes come from the leaf up.
    let mut splits = Vec::new();
    let (mut start, mut end) = (0, size);
    while end.saturating_sub(start) > 1 {
        let middle = middle(start, end);
        let whole = (start, end);
        if index < middle {
            splits.push((whole, (middle, end), false));
            end = middle;
        } else {
            splits.push((whole, (start, middle), true));
            start = middle;
        }
    }
    let mut node = *leaf;
    let steps = splits.into_iter().rev().zip(proof).map(|(split, sibling)| {
        let (covers, sibling_covers, is_left) = split;
        node = if is_left { node_hash(sibling, &node) } else { node_hash(&node, sibling) };
        Step { sibling: *sibling, is_left, sibling_covers, node, covers }
    });
    Ok(steps.collect())
}

/// Checks that the tree with `new` leaves and `new_root` begins with the tree with `old` leaves
/// and `old_root`.
///
/// # Errors
/// If it does not, or the proof is for other sizes.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    expect_len(proof, consistency_len(old, new))?;
    if old == 0 && *old_root != empty_root() {
        return Err(ProofError::OldRoot);
    }
    if old == new && old_root != new_root {
        return Err(ProofError::Root);
    }
    if old == 0 || old == new {
        return Ok(());
    }
    // The highest complete subtree that ends with the old tree: its root is where the proof starts.
    let mut at = old.saturating_sub(1);
    let mut last = new.saturating_sub(1);
    while at % 2 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let mut hashes = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { hashes.next().unwrap_or(old_root) };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in hashes {
        if at % 2 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at.is_multiple_of(2) && at > 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if old_hash != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new_hash == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// How many hashes an inclusion proof has: one per split on the way to the leaf.
fn inclusion_len(index: u64, size: u64) -> usize {
    let (mut start, mut end, mut len) = (0, size, 0_usize);
    while end.saturating_sub(start) > 1 {
        let middle = middle(start, end);
        if index < middle {
            end = middle
        } else {
            start = middle
        }
        len = len.saturating_add(1);
    }
    len
}

fn consistency_len(old: u64, new: u64) -> usize {
    if old == 0 || old == new {
        return 0;
    }
    let (mut start, mut end, mut len) = (0, new, 0_usize);
    while old != end {
        let middle = middle(start, end);
        if old <= middle {
            end = middle
        } else {
            start = middle
        }
        len = len.saturating_add(1);
    }
    len.saturating_add(usize::from(start > 0))
}

fn middle(start: u64, end: u64) -> u64 {
    start.saturating_add(split_point(end.saturating_sub(start)))
}

fn expect_len(proof: &[Hash], expected: usize) -> Result<(), ProofError> {
    if proof.len() == expected {
        Ok(())
    } else {
        Err(ProofError::Length { expected, found: proof.len() })
    }
}
