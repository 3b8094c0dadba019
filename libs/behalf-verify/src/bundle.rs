//! Export bundles: records with everything that it takes to check them offline, in one zip.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | SHA-256 and length of every other file, and what was exported |
//! | `records.jsonl` | one line for each record: its bytes are exactly the log's entry |
//! | `checkpoint` | the signed tree that everything is checked against |
//! | `keys/log.vkey` | the key that signed it |
//! | `tile/…` | the tree's hashes (C2SP tlog-tiles) |
//! | `checkpoints/…` | earlier signed trees |
//! | `receipts/….tlog-proof` | a receipt for each record, in exports that are not too long |
//! | `README.txt` | how to check all this |
//!
//! A bundle proves that its records are what the log's key signed. That the log shows others the
//! same, an older checkpoint or a witness must vouch for.

mod archive;
mod check;
mod fault;
mod manifest;

use crate::merkle::Hash;

pub use check::verify;
pub use fault::{Fault, Faults};
pub use manifest::{BundleFile, BundleLog, BundleWindow, Manifest};

/// The file that lists every other.
pub const MANIFEST: &str = "manifest.json";
/// The records, one a line.
pub const RECORDS: &str = "records.jsonl";
/// The signed tree.
pub const CHECKPOINT: &str = "checkpoint";
/// The log's public key.
pub const KEY: &str = "keys/log.vkey";
/// How to check a bundle.
pub const README: &str = "README.txt";
/// What the names of earlier signed trees begin with; their size follows.
pub const HISTORY: &str = "checkpoints/";
/// What the names of receipts begin with; the record's id follows.
pub const RECEIPTS: &str = "receipts/";
/// What the names of receipts end with.
pub const RECEIPT_SUFFIX: &str = ".tlog-proof";

/// The format that this version writes and reads.
pub const FORMAT: &str = "behalf.export/1";

/// What is read of a bundle at most, unpacked.
pub const UNPACKED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Why a bundle does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is no zip, or has no manifest.
    #[error("not a bundle: {0}")]
    NotABundle(String),
    /// It is one, but not what the log's key signed.
    #[error("{0}")]
    Invalid(Faults),
}

/// What a valid bundle proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleReport {
    /// The log's unique name.
    pub origin: String,
    /// The key that signed, as a vkey.
    pub key: String,
    /// How many leaves the signed tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The first record's place in the log.
    pub first: u64,
    /// How many records there are.
    pub count: u64,
    /// How many receipts there are.
    pub receipts: u64,
    /// How many earlier checkpoints the tree begins with.
    pub checkpoints: u64,
    /// The size of the older checkpoint that the tree begins with, if one was given.
    pub older: Option<u64>,
}
