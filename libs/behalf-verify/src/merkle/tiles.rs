//! Tiles (C2SP tlog-tiles): a log's hashes and entries as files of 256, immutable once full.
//!
//! A tile at level L holds the roots of complete subtrees of 256^L leaves; the levels in between
//! are computed. Entry bundles hold the entries themselves, with their lengths.

mod reader;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Hash, Nodes};

pub use reader::{TileReadError, TileReader};

/// How many hashes a full tile has.
pub const TILE_WIDTH: u16 = 256;

/// The longest entry: bundles have 16-bit lengths.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// The highest level that a path may name.
const LEVEL_MAX: u8 = 63;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// The entries of the log.
    Entries,
    /// The roots of complete subtrees of 256^level leaves.
    Hashes {
        /// 0 for leaf hashes.
        level: u8,
    },
}

/// The name of one tile: full, or as wide as some tree had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// The text names no tile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no tile path")]
pub struct InvalidTilePath(String);

impl Tile {
    /// The tile at `index` as a tree of `size` leaves has it; `None` where that tree has none.
    pub fn in_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let below = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = kind.count(size).checked_sub(below).filter(|&width| width > 0)?;
        let width = u16::try_from(width).unwrap_or(TILE_WIDTH).min(TILE_WIDTH);
        Some(Self { kind, index, width })
    }

    /// The tiles that a tree of `new` leaves has and one of `old` leaves has not: what is to be
    /// written when the log grows. Entry bundles first, then the levels from below.
    pub fn added(old: u64, new: u64) -> impl Iterator<Item = Self> {
        let levels = (0..8).map(|level| TileKind::Hashes { level });
        std::iter::once(TileKind::Entries).chain(levels).flat_map(move |kind| {
            let first = kind.count(old) / u64::from(TILE_WIDTH);
            (first..)
                .map_while(move |index| Self::in_tree(kind, index, new))
                .filter(move |&tile| Self::in_tree(kind, tile.index, old) != Some(tile))
        })
    }

    /// What the tile holds.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// The tile's place among those of its kind.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it will never grow.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile grown full, where a partial one may have been deleted.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// The bytes of a tile of hashes: 32 for each. `None` for an entry bundle.
    ///
    /// # Errors
    /// If the source of nodes fails.
    pub fn hashes<N: Nodes + ?Sized>(&self, nodes: &N) -> Result<Option<Vec<u8>>, N::Error> {
        let TileKind::Hashes { level } = self.kind else { return Ok(None) };
        let first = self.index.saturating_mul(u64::from(TILE_WIDTH));
        let mut bytes = Vec::with_capacity(usize::from(self.width).saturating_mul(32));
        for at in 0..u64::from(self.width) {
            let level = u32::from(level).saturating_mul(8);
            bytes.extend_from_slice(&nodes.node(level, first.saturating_add(at))?);
        }
        Ok(Some(bytes))
    }
}

impl TileKind {
    /// How many hashes or entries of this kind a tree of `size` leaves has.
    fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes { level } => {
                size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0)
            }
        }
    }
}

/// `tile/<level>/<index>[.p/<width>]`, the index in groups of three digits: 1234067 is
/// `x001/x234/067`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        while rest >= 1000 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        groups.push(rest);
        for (at, group) in groups.iter().enumerate().rev() {
            if at > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = InvalidTilePath;

    fn from_str(text: &str) -> Result<Self, InvalidTilePath> {
        // What prints as the same text was spelled as it must be: no zeros or groups too many.
        parse_path(text)
            .filter(|tile| tile.to_string() == text)
            .ok_or_else(|| InvalidTilePath(text.chars().take(80).collect()))
    }
}

fn parse_path(text: &str) -> Option<Tile> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes { level: level.parse().ok().filter(|&l| l <= LEVEL_MAX)? },
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok().filter(|&w| w < TILE_WIDTH)?),
        None => (rest, TILE_WIDTH),
    };
    let mut index = 0_u64;
    for group in groups.split('/') {
        let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(digits)?;
    }
    (width > 0).then_some(Tile { kind, index, width })
}

/// An entry bundle cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    /// An entry longer than [`ENTRY_BYTES_MAX`].
    #[error("entry {at} of the bundle has more than {ENTRY_BYTES_MAX} bytes")]
    EntryTooLong {
        /// Its place in the bundle.
        at: usize,
    },
    /// The bundle ends inside an entry, or before it.
    #[error("the bundle ends before entry {at} does")]
    Truncated {
        /// The entry's place in the bundle.
        at: usize,
    },
    /// Bytes after the last entry.
    #[error("something follows the last entry of the bundle")]
    Trailing,
}

/// The bytes of an entry bundle: each entry with its length in front.
///
/// # Errors
/// If an entry is too long.
pub fn format_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let len = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong { at })?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The `width` entries of a bundle.
///
/// # Errors
/// If there are fewer or more bytes than that.
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(usize::from(width));
    for at in 0..usize::from(width) {
        let truncated = BundleError::Truncated { at };
        let (len, after) = rest.split_first_chunk::<2>().ok_or(truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (entry, after) = after.split_at_checked(len).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::Trailing) }
}

/// The hashes that the bytes of a tile consist of.
fn split_hashes(bytes: &[u8]) -> impl Iterator<Item = &Hash> {
    bytes.as_chunks::<32>().0.iter()
}
