//! Trees against a naive recomputation; proofs against tampering.

use super::*;
use crate::hash::hex;

mod tile_tests;

/// The leaves whose roots Certificate Transparency's implementations publish.
const LEAVES: [&[u8]; 8] = [
    b"",
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[
        0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
        0x6f,
    ],
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

fn tree(count: u64) -> MemoryTree {
    leaves(count).into_iter().collect()
}

/// RFC 6962 §2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(naive_split(more.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// RFC 6962 §2.1.1, word for word.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if m < k {
        [path(m, left), vec![mth(right)]].concat()
    } else {
        [path(m - k, right), vec![mth(left)]].concat()
    }
}

/// RFC 6962 §2.1.2, word for word.
fn subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if m <= k {
        [subproof(m, left, known), vec![mth(right)]].concat()
    } else {
        [subproof(m - k, right, false), vec![mth(left)]].concat()
    }
}

fn naive_split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    for (size, expected) in ROOTS.iter().enumerate() {
        let leaves: Vec<Hash> = LEAVES[..size].iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hex(&root_of(&leaves)), *expected, "{size}");
    }
}

#[test]
fn every_way_to_a_root_agrees_with_the_definition() {
    let leaves = leaves(300);
    let (mut frontier, mut memory) = (Frontier::new(), MemoryTree::new());
    for size in 0..=leaves.len() {
        let expected = mth(&leaves[..size]);
        assert_eq!(root_of(&leaves[..size]), expected, "{size}");
        assert_eq!(frontier.root(), expected, "{size}");
        assert_eq!(memory.root(), expected, "{size}");
        assert_eq!((frontier.size(), memory.size()), (size as u64, size as u64));
        let stored = Frontier::from_parts(frontier.size(), frontier.peaks().to_vec());
        assert_eq!(stored.as_ref(), Ok(&frontier));
        if let Some(leaf) = leaves.get(size) {
            assert_eq!(frontier.push(*leaf), size as u64);
            memory.push(*leaf);
        }
    }
}

#[test]
fn a_frontier_has_one_peak_per_binary_one() {
    let peak = leaf_hash(b"");
    for (size, peaks) in [(0, 1), (1, 0), (1, 2), (7, 2), (8, 3), (u64::MAX, 63)] {
        let refused = Frontier::from_parts(size, vec![peak; peaks]).unwrap_err();
        assert_eq!((refused.size, refused.found), (size, peaks));
    }
    assert!(Frontier::from_parts(u64::MAX, vec![peak; 64]).is_ok());
}

#[test]
fn inclusion_proofs_are_the_definitions_and_hold() {
    let (leaves, tree) = (leaves(300), tree(300));
    for size in (1..=66_usize).chain([127, 128, 129, 255, 256, 257, 299, 300]) {
        let root = mth(&leaves[..size]);
        for index in 0..size {
            let proof = inclusion_proof(&tree, index as u64, size as u64).unwrap().unwrap();
            assert_eq!(proof, path(index, &leaves[..size]), "{index} of {size}");
            let held = verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &root);
            assert_eq!(held, Ok(()), "{index} of {size}");
        }
        assert_eq!(inclusion_proof(&tree, size as u64, size as u64), Ok(None));
    }
    assert!(inclusion_proof(&tree, 0, 301).is_err());
}

#[test]
fn an_inclusion_proof_holds_for_its_leaf_place_and_tree_only() {
    let (leaves, tree) = (leaves(40), tree(40));
    for size in 1..=20_u64 {
        for index in 0..size {
            let proof = inclusion_proof(&tree, index, size).unwrap().unwrap();
            let leaf = &leaves[usize::try_from(index).unwrap()];
            for other_size in 0..=40_u64 {
                let root = mth(&leaves[..usize::try_from(other_size).unwrap()]);
                for other in 0..=other_size {
                    let held = verify_inclusion(leaf, other, other_size, &proof, &root).is_ok();
                    let same = (index, size) == (other, other_size);
                    assert_eq!(held, same, "{index} of {size} as {other} of {other_size}");
                }
            }
            let root = mth(&leaves[..usize::try_from(size).unwrap()]);
            let other_leaf = leaf_hash(b"other");
            let refused = verify_inclusion(&other_leaf, index, size, &proof, &root);
            assert_eq!(refused, Err(ProofError::Root));
        }
    }
    let refused = verify_inclusion(&leaves[0], 7, 7, &[], &tree.root());
    assert_eq!(refused, Err(ProofError::LeafOutsideTree { index: 7, size: 7 }));
}

#[test]
fn consistency_proofs_are_the_definitions_and_hold() {
    let (leaves, tree) = (leaves(300), tree(300));
    for new in (0..=66_usize).chain([128, 129, 256, 257, 300]) {
        let new_root = mth(&leaves[..new]);
        for old in 0..=new {
            let proof = consistency_proof(&tree, old as u64, new as u64).unwrap().unwrap();
            if old > 0 {
                assert_eq!(proof, subproof(old, &leaves[..new], true), "{old} to {new}");
            }
            let old_root = mth(&leaves[..old]);
            let held = verify_consistency(old as u64, new as u64, &proof, &old_root, &new_root);
            assert_eq!(held, Ok(()), "{old} to {new}");
        }
        assert_eq!(consistency_proof(&tree, new as u64 + 1, new as u64), Ok(None));
    }
}

#[test]
fn a_consistency_proof_holds_for_its_sizes_and_roots_only() {
    let (leaves, tree) = (leaves(20), tree(20));
    let root = |size: u64| mth(&leaves[..usize::try_from(size).unwrap()]);
    for new in 0..=14_u64 {
        for old in 0..=new {
            let proof = consistency_proof(&tree, old, new).unwrap().unwrap();
            for other_new in 0..=20_u64 {
                for other_old in 0..=20_u64 {
                    let (old_root, new_root) = (root(other_old), root(other_new));
                    let held =
                        verify_consistency(other_old, other_new, &proof, &old_root, &new_root);
                    // Nothing needs to be proved for an empty or an equal tree.
                    let trivial = proof.is_empty()
                        && other_old <= other_new
                        && (other_old == 0 || other_old == other_new);
                    let same = (old, new) == (other_old, other_new);
                    assert_eq!(
                        held.is_ok(),
                        same || trivial,
                        "{old} to {new} as {other_old} to {other_new}"
                    );
                }
            }
            let foreign = leaf_hash(b"fork");
            assert!(verify_consistency(old, new, &proof, &foreign, &root(new)).is_err());
            if old > 0 {
                assert!(verify_consistency(old, new, &proof, &root(old), &foreign).is_err());
            }
        }
    }
    let shrunk = verify_consistency(3, 2, &[], &root(3), &root(2));
    assert_eq!(shrunk, Err(ProofError::Shrunk { old: 3, new: 2 }));
}

/// A log that rewrote one leaf cannot prove that it only appended.
#[test]
fn a_rewritten_log_is_not_consistent_with_its_past() {
    for old in 1..=16_u64 {
        for rewritten in 0..old {
            let before = root_of(&leaves(old));
            let mut forged = leaves(old + 5);
            forged[usize::try_from(rewritten).unwrap()] = leaf_hash(b"rewritten");
            let forged: MemoryTree = forged.into_iter().collect();
            let proof = consistency_proof(&forged, old, old + 5).unwrap().unwrap();
            let held = verify_consistency(old, old + 5, &proof, &before, &forged.root());
            assert!(held.is_err(), "leaf {rewritten} of {old}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_proof_is_noticed() {
    let (leaves, tree) = (leaves(23), tree(23));
    let root = tree.root();
    let inclusion = inclusion_proof(&tree, 13, 23).unwrap().unwrap();
    let consistency = consistency_proof(&tree, 13, 23).unwrap().unwrap();
    let old_root = mth(&leaves[..13]);
    for at in 0..inclusion.len() {
        for byte in 0..32 {
            let mut changed = inclusion.clone();
            changed[at][byte] ^= 0x40;
            let held = verify_inclusion(&leaves[13], 13, 23, &changed, &root);
            assert_eq!(held, Err(ProofError::Root));
        }
    }
    for at in 0..consistency.len() {
        for byte in 0..32 {
            let mut changed = consistency.clone();
            changed[at][byte] ^= 0x40;
            assert!(verify_consistency(13, 23, &changed, &old_root, &root).is_err());
        }
    }
    for len in (0..inclusion.len()).chain([inclusion.len() + 1, 64, 1000]) {
        let mut other = inclusion.clone();
        other.resize(len, root);
        let (expected, found) = (inclusion.len(), len);
        let held = verify_inclusion(&leaves[13], 13, 23, &other, &root);
        assert_eq!(held, Err(ProofError::Length { expected, found }));
    }
}

#[test]
fn hostile_sizes_neither_hang_nor_overflow() {
    let hash = leaf_hash(b"");
    let sizes = [0, 1, 2, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    for size in sizes {
        for index in sizes {
            for len in [0, 1, 31, 63, 64, 65] {
                let proof = vec![hash; len];
                assert!(size == 1 || verify_inclusion(&hash, index, size, &proof, &hash).is_err());
                let held = verify_consistency(index, size, &proof, &hash, &hash);
                assert!(held.is_err() || (index == size && len == 0 && size > 0));
            }
        }
    }
}

#[test]
fn the_steps_of_a_proof_lead_to_the_root_and_cover_the_tree() {
    for size in 1..40_u64 {
        let tree: MemoryTree = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        for index in 0..size {
            let proof = inclusion_proof(&tree, index, size).unwrap().unwrap();
            let leaf = leaf_hash(&index.to_be_bytes());
            let steps = inclusion_steps(&leaf, index, size, &proof).unwrap();
            let top = steps.last().map_or(leaf, |step| step.node);
            assert_eq!(top, tree.root(), "{index} of {size}");
            for step in &steps {
                let (first, end) = step.sibling_covers;
                assert_eq!(range_root(&tree, first, end).unwrap(), step.sibling);
                assert!(step.covers.0 <= first && end <= step.covers.1);
            }
        }
        assert!(inclusion_steps(&[0; 32], size, size, &[]).is_err());
    }
}
