//! Receipts (C2SP tlog-proof, version 1): all that it takes to check offline that one entry is in
//! a log, in one small text file.

mod extra;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::checkpoint::{CheckpointError, LogPolicy, VerifiedCheckpoint, decimal, parse_hash};
use crate::merkle::{Hash, PROOF_HASHES_MAX, ProofError, leaf_hash, verify_inclusion};
use crate::note::{NOTE_BYTES_MAX, Note, NoteError};

pub use extra::{ReceiptExtra, ReceiptReport, verify_file};

/// The most extra data that a receipt may carry.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;

/// The longest receipt that is read.
pub const RECEIPT_BYTES_MAX: usize = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX;

/// Why a receipt is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// More than [`RECEIPT_BYTES_MAX`] bytes.
    #[error("the receipt is longer than {RECEIPT_BYTES_MAX} bytes")]
    TooLong,
    /// Another format, or another version of it.
    #[error("a receipt starts with the line `{HEADER}`")]
    Header,
    /// The extra data is empty, too long or no base64.
    #[error("the receipt's extra data is malformed")]
    Extra,
    /// The line with the index is missing or holds no plain decimal number.
    #[error("the receipt's index is malformed")]
    Index,
    /// A line of the proof is not the base64 of 32 bytes, or there are too many.
    #[error("proof line {line} of the receipt is malformed")]
    Proof {
        /// Counted from 1.
        line: usize,
    },
    /// No blank line before the checkpoint.
    #[error("the receipt has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint's form is wrong.
    #[error("the receipt's checkpoint is malformed: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint is not acceptable.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The receipt carries neither entry nor key, so it cannot be checked alone.
    #[error("the receipt carries no entry and no key; verify it with the log that it is of")]
    Bare,
    /// The key in the receipt did not sign the checkpoint that was kept.
    #[error("the receipt's log did not sign the older checkpoint: {0}")]
    OtherSigner(#[source] CheckpointError),
    /// The checkpoint that was kept is of another tree; a receipt does not say how both relate.
    #[error(
        "the older checkpoint has {older} entries and the receipt's {own}; a receipt cannot be \
         compared with it, an export can"
    )]
    Incomparable {
        /// The size of the tree that was kept.
        older: u64,
        /// The size of the receipt's tree.
        own: u64,
    },
    /// The log signed two trees of one size.
    #[error("the log signed two different trees of {size} entries: it shows two histories")]
    TwoHistories {
        /// Their size.
        size: u64,
    },
    /// The entry is not where the receipt says.
    #[error("the entry is not in the log: {0}")]
    Inclusion(#[from] ProofError),
}

/// The proof that an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    extra: Option<Vec<u8>>,
    index: u64,
    proof: Vec<Hash>,
    checkpoint: Note,
}

impl Receipt {
    /// The receipt for entry `index` of the tree that `checkpoint` signs. `extra` is carried along
    /// and vouched for by nobody.
    ///
    /// # Errors
    /// If the parts are longer than a receipt may be.
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        proof: Vec<Hash>,
        checkpoint: Note,
    ) -> Result<Self, ReceiptError> {
        let receipt = Self { extra, index, proof, checkpoint };
        receipt.to_string().parse()
    }

    /// Unauthenticated extra data, e.g. the salt of a commitment.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The entry's place in the log.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The hashes from the leaf's sibling up.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint with its signatures.
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// Checks that `entry` is in the log of `policy`, where the receipt says.
    ///
    /// # Errors
    /// If the checkpoint is not acceptable or the entry is not there.
    pub fn verify(
        &self,
        entry: &[u8],
        policy: &LogPolicy,
    ) -> Result<VerifiedCheckpoint, ReceiptError> {
        let verified = policy.verify(&self.checkpoint.to_string())?;
        let (size, root) = (verified.checkpoint.size, &verified.checkpoint.root);
        verify_inclusion(&leaf_hash(entry), self.index, size, &self.proof, root)?;
        Ok(verified)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.proof {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong);
        }
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let rest = rest.ok_or(ReceiptError::Header)?;
        // The checkpoint has a blank line of its own, after this one.
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(ReceiptError::NoCheckpoint)?;
        let mut lines = head.split('\n').peekable();
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(parse_extra(line).ok_or(ReceiptError::Extra)?),
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("index ")?))
            .ok_or(ReceiptError::Index)?;
        let mut proof = Vec::new();
        for (at, line) in lines.enumerate() {
            let malformed = ReceiptError::Proof { line: at.saturating_add(1) };
            match parse_hash(line) {
                Some(hash) if at < PROOF_HASHES_MAX => proof.push(hash),
                _ => return Err(malformed),
            }
        }
        Ok(Self { extra, index, proof, checkpoint: Note::parse(checkpoint)? })
    }
}

fn parse_extra(line: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(line.strip_prefix("extra ")?).ok()?;
    (1..=EXTRA_BYTES_MAX).contains(&bytes.len()).then_some(bytes)
}

/// The first line, which names format and version.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

#[cfg(test)]
mod tests;
