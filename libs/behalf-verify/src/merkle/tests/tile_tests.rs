//! Tiles: their names, and trees read out of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::merkle::tiles::*;

fn hashes(level: u8) -> TileKind {
    TileKind::Hashes { level }
}

/// The files of a log that grew in these steps, and its tree.
fn log(steps: &[u64]) -> (BTreeMap<String, Vec<u8>>, MemoryTree) {
    let mut files = BTreeMap::new();
    let mut tree = MemoryTree::new();
    for step in steps {
        let old = tree.size();
        for at in old..*step {
            tree.push(leaf_hash(&at.to_be_bytes()));
        }
        for tile in Tile::added(old, *step) {
            let bytes = tile.hashes(&tree).unwrap().unwrap_or_else(|| {
                let first = tile.index() * 256;
                let entries: Vec<[u8; 8]> =
                    (first..first + u64::from(tile.width())).map(u64::to_be_bytes).collect();
                format_bundle(&entries).unwrap()
            });
            assert!(files.insert(tile.to_string(), bytes).is_none(), "{tile} written twice");
        }
    }
    (files, tree)
}

fn reader(
    files: &BTreeMap<String, Vec<u8>>,
    size: u64,
) -> TileReader<impl Fn(&Tile) -> Result<Vec<u8>, String>> {
    TileReader::new(size, |tile: &Tile| {
        files.get(&tile.to_string()).cloned().ok_or_else(|| "absent".to_owned())
    })
}

#[test]
fn paths_are_groups_of_three_digits() {
    let full = |kind, index| Tile::in_tree(kind, index, u64::MAX).unwrap().to_string();
    assert_eq!(full(hashes(0), 0), "tile/0/000");
    assert_eq!(full(hashes(0), 999), "tile/0/999");
    assert_eq!(full(hashes(1), 1_000), "tile/1/x001/000");
    assert_eq!(full(hashes(0), 1_234_067), "tile/0/x001/x234/067");
    assert_eq!(full(TileKind::Entries, 1_234_067), "tile/entries/x001/x234/067");
    let partial = Tile::in_tree(hashes(0), 273, 70_000).unwrap();
    assert_eq!(partial.to_string(), "tile/0/273.p/112");
    assert_eq!(partial.full().to_string(), "tile/0/273");
}

/// The examples of the tlog-tiles specification.
#[test]
fn a_tree_has_the_tiles_the_specification_counts() {
    let widths = |level, size| {
        let tiles = Tile::added(0, size).filter(|tile| tile.kind() == hashes(level));
        let all: Vec<u16> = tiles.map(|tile| tile.width()).collect();
        let full = all.iter().filter(|width| **width == 256).count();
        (full, all.last().copied().filter(|width| *width < 256))
    };
    assert_eq!(widths(0, 70_000), (273, Some(112)));
    assert_eq!(widths(1, 70_000), (1, Some(17)));
    assert_eq!(widths(2, 70_000), (0, Some(1)));
    assert_eq!(widths(3, 70_000), (0, None));
    assert_eq!(widths(0, 256), (1, None));
    assert_eq!(widths(1, 256), (0, Some(1)));
    assert_eq!(Tile::added(0, 0).count(), 0);
    assert_eq!(Tile::added(9, 9).count(), 0);
}

#[test]
fn paths_read_back_and_nothing_else_does() {
    for size in [1, 255, 256, 257, 70_000, 1_000_000] {
        for tile in Tile::added(size - 1, size) {
            assert_eq!(tile.to_string().parse(), Ok(tile));
        }
    }
    assert!("tile/63/000".parse::<Tile>().is_ok());
    assert!("tile/0/x018/x446/x744/x073/x709/x551/615".parse::<Tile>().is_ok());
    assert!("tile/0/x018/x446/x744/x073/x709/x551/616".parse::<Tile>().is_err());
    for bad in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/x01/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/1000",
        "tile/00/000",
        "tile/64/000",
        "tile/256/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/+01",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/+1",
        "tile/0/000/",
        "/tile/0/000",
        "tile/entry/000",
        "tile/data/000",
        "tile/0/000 ",
        "tile/0/../0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(bad.parse::<Tile>().is_err(), "{bad}");
    }
}

#[test]
fn a_tree_read_from_tiles_is_the_tree() {
    let (files, tree) = log(&[1, 2, 255, 256, 257, 300, 513, 70_000]);
    let size = tree.size();
    let tiles = reader(&files, size);
    assert_eq!(range_root(&tiles, 0, size).unwrap(), tree.root());
    for level in 0..17_u32 {
        for index in [0, 1, 7, 255, 256, 272, 69_999].into_iter().filter(|i| *i < size >> level) {
            assert_eq!(tiles.node(level, index).unwrap(), tree.node(level, index).unwrap());
        }
        assert!(matches!(tiles.node(level, size >> level), Err(TileReadError::Outside(_))));
    }
    for (index, old) in [(0, 1), (255, 256), (256, 257), (65_535, 65_536), (69_999, 69_999)] {
        let proof = inclusion_proof(&tiles, index, size).unwrap().unwrap();
        let leaf = leaf_hash(&index.to_be_bytes());
        assert_eq!(verify_inclusion(&leaf, index, size, &proof, &tree.root()), Ok(()));
        let proof = consistency_proof(&tiles, old, size).unwrap().unwrap();
        let old_root = range_root(&tiles, 0, old).unwrap();
        assert_eq!(verify_consistency(old, size, &proof, &old_root, &tree.root()), Ok(()));
    }
}

#[test]
fn every_tree_on_the_way_can_be_read() {
    let steps: Vec<u64> = (1..=600).collect();
    let (files, tree) = log(&steps);
    for size in 1..=600 {
        let root = range_root(&reader(&files, size), 0, size).unwrap();
        assert_eq!(root, range_root(&tree, 0, size).unwrap(), "{size}");
    }
}

#[test]
fn only_tiles_of_the_tree_are_read() {
    let (files, _) = log(&[70_000]);
    let read = RefCell::new(BTreeSet::new());
    let tiles = TileReader::new(70_000, |tile: &Tile| {
        read.borrow_mut().insert(tile.to_string());
        files.get(&tile.to_string()).cloned().ok_or(())
    });
    inclusion_proof(&tiles, 1_000, 70_000).unwrap().unwrap();
    let read: Vec<String> = read.into_inner().into_iter().collect();
    assert_eq!(read, ["tile/0/003", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"]);
}

#[test]
fn missing_and_mangled_tiles_are_named() {
    let (files, tree) = log(&[300]);
    let mut without = files.clone();
    without.remove("tile/0/001.p/44").unwrap();
    let error = range_root(&reader(&without, 300), 0, 300).unwrap_err();
    assert_eq!(error.to_string(), "cannot read tile/0/001.p/44");

    for cut in [0, 1, 44 * 32 - 1, 44 * 32 + 1] {
        let mut mangled = files.clone();
        mangled.get_mut("tile/0/001.p/44").unwrap().resize(cut, 0);
        let error = range_root(&reader(&mangled, 300), 0, 300).unwrap_err();
        let expected = format!("tile/0/001.p/44 has {cut} bytes instead of 1408");
        assert_eq!(error.to_string(), expected);
    }
    for path in ["tile/0/001.p/44", "tile/1/000.p/1"] {
        for at in 0..files[path].len() {
            let mut changed = files.clone();
            changed.get_mut(path).unwrap()[at] ^= 1;
            let root = range_root(&reader(&changed, 300), 0, 300).unwrap();
            assert_ne!(root, tree.root(), "{path} byte {at}");
        }
    }
}

#[test]
fn bundles_hold_entries_with_their_lengths() {
    let longest = vec![7; ENTRY_BYTES_MAX];
    let entries: [&[u8]; 3] = [b"{}", b"", &longest];
    let bytes = format_bundle(&entries).unwrap();
    assert_eq!(parse_bundle(&bytes, 3).unwrap(), entries);
    assert_eq!(bytes[..6], [0, 2, b'{', b'}', 0, 0]);
    assert_eq!(parse_bundle(&bytes, 2), Err(BundleError::Trailing));
    assert_eq!(parse_bundle(&bytes, 4), Err(BundleError::Truncated { at: 3 }));
    assert_eq!(parse_bundle(&bytes[..3], 3), Err(BundleError::Truncated { at: 0 }));
    assert_eq!(parse_bundle(&[0], 1), Err(BundleError::Truncated { at: 0 }));
    assert_eq!(parse_bundle(&[], 0), Ok(Vec::new()));
    let longer = [longest.as_slice(), &[7]].concat();
    assert_eq!(format_bundle(&[longer]), Err(BundleError::EntryTooLong { at: 0 }));
}
