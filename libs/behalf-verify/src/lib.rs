//! What it takes to check Behalf's evidence, and nothing else: canonical JSON (RFC 8785), Merkle
//! trees and their proofs (RFC 6962), and the C2SP formats of transparency logs: signed notes,
//! checkpoints, tiles and receipts.
//!
//! Everything here is synchronous, does no IO and knows nothing of Behalf's server, so that an
//! auditor can use it alone. Every parser has a limit and names what it refuses.

pub mod bundle;
pub mod canonical_json;
pub mod checkpoint;
mod hash;
pub mod merkle;
pub mod note;
pub mod receipt;

pub use hash::{hex, sha256, sha256_hex};
