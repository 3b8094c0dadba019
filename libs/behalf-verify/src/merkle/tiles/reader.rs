//! A tree read from its tiles.

use thiserror::Error;

use super::{TILE_WIDTH, Tile, TileKind, split_hashes};
use crate::merkle::{Hash, Nodes, OutsideTree, root_of};

/// A node could not be read from the tiles.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TileReadError<E> {
    /// The tree has no such complete subtree.
    #[error(transparent)]
    Outside(#[from] OutsideTree),
    /// A tile is shorter or longer than its width says.
    #[error("{tile} has {found} bytes instead of {expected}")]
    Length {
        /// The tile's path.
        tile: Tile,
        /// 32 per hash.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The tile could not be had.
    #[error("cannot read {tile}")]
    Read {
        /// The tile's path.
        tile: Tile,
        /// Why.
        #[source]
        source: E,
    },
}

/// The tree of `size` leaves, whose tiles `read` brings.
#[derive(Clone, Copy, Debug)]
pub struct TileReader<F> {
    size: u64,
    read: F,
}

impl<F> TileReader<F> {
    /// A tree of that size behind `read`, which may cache.
    pub const fn new(size: u64, read: F) -> Self {
        Self { size, read }
    }

    /// How many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl<F, B, E> Nodes for TileReader<F>
where
    F: Fn(&Tile) -> Result<B, E>,
    B: AsRef<[u8]>,
{
    type Error = TileReadError<E>;

    fn node(&self, level: u32, index: u64) -> Result<Hash, TileReadError<E>> {
        let outside = OutsideTree { level, index };
        let tile_level = u8::try_from(level / 8).map_err(|_| outside)?;
        // The node is the root over this many hashes of the tile, from `first` on.
        let span = 1_u64 << (level % 8);
        let first = index.checked_mul(span).ok_or(outside)?;
        let width = u64::from(TILE_WIDTH);
        let kind = TileKind::Hashes { level: tile_level };
        let tile = Tile::in_tree(kind, first / width, self.size).ok_or(outside)?;
        let end = (first % width).checked_add(span).ok_or(outside)?;
        if end > u64::from(tile.width()) {
            return Err(outside.into());
        }
        let bytes = (self.read)(&tile).map_err(|source| TileReadError::Read { tile, source })?;
        let bytes = bytes.as_ref();
        let expected = usize::from(tile.width()).saturating_mul(32);
        if bytes.len() != expected {
            return Err(TileReadError::Length { tile, expected, found: bytes.len() });
        }
        let skip = usize::try_from(first % width).map_err(|_| outside)?;
        let take = usize::try_from(span).map_err(|_| outside)?;
        let hashes: Vec<Hash> = split_hashes(bytes).skip(skip).take(take).copied().collect();
        Ok(root_of(&hashes))
    }
}
