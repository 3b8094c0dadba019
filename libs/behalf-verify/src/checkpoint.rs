//! Checkpoints (C2SP tlog-checkpoint): which log, how many leaves, which root; and whose word
//! counts for it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::merkle::{Hash, empty_root};
use crate::note::{KeyKind, Note, NoteError, VerifierKey};

/// The most extension lines that are read.
pub const EXTENSIONS_MAX: usize = 16;

/// Why a checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The note around it is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Fewer than three lines, or no newline at the end.
    #[error("a checkpoint has at least three lines, each with its newline")]
    Lines,
    /// The first line is empty.
    #[error("the checkpoint's origin is empty")]
    Origin,
    /// The second line is no plain decimal number.
    #[error("the checkpoint's tree size is malformed")]
    Size,
    /// The third line is not the base64 of 32 bytes.
    #[error("the checkpoint's root hash is malformed")]
    Root,
    /// A tree without leaves has only one root.
    #[error("the checkpoint's root is not the one of the empty tree")]
    EmptyTree,
    /// An empty extension line, or more than [`EXTENSIONS_MAX`].
    #[error("the checkpoint's extension lines are malformed")]
    Extensions,
    /// Another log's checkpoint.
    #[error("the checkpoint is of log `{found}`, not of `{expected}`")]
    OtherLog {
        /// The log that the policy is for.
        expected: String,
        /// The checkpoint's origin.
        found: String,
    },
    /// No key of the log signed it.
    #[error("no key of the log signed the checkpoint")]
    NotSignedByLog,
    /// Fewer witnesses than the policy demands.
    #[error("{found} known witnesses signed the checkpoint; {needed} are needed")]
    TooFewWitnesses {
        /// How many the policy demands.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// The policy's keys do not fit their roles, or one counts twice.
    #[error("the policy's key `{0}` is of the wrong kind or appears twice")]
    Policy(String),
}

/// The state of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's unique name.
    pub origin: String,
    /// How many leaves there are.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// Further lines. Cosignatures vouch for none of them; logs should have none.
    pub extensions: Vec<String>,
}

/// The text of a checkpoint, three or more lines.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads the text of a checkpoint, without signatures.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let mut next = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root) = (next()?, next()?, next()?);
        if origin.is_empty() || origin.chars().any(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = parse_hash(root).ok_or(CheckpointError::Root)?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyTree);
        }
        let extensions: Vec<String> =
            lines.take(EXTENSIONS_MAX.saturating_add(1)).map(str::to_owned).collect();
        if extensions.len() > EXTENSIONS_MAX || extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Extensions);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }
}

/// Whose signatures make a checkpoint of one log acceptable.
#[derive(Clone, Debug)]
pub struct LogPolicy {
    origin: String,
    /// The log's keys first, then the witnesses'.
    keys: Vec<VerifierKey>,
    witnesses_min: usize,
}

/// A checkpoint that its log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The known witnesses that saw it. Without any, the log may show others another history.
    pub witnesses: Vec<Witnessed>,
}

/// A known witness's cosignature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// The witness's key name.
    pub name: String,
    /// When it signed, in seconds since 1970.
    pub time: u64,
}

impl LogPolicy {
    /// Accepts checkpoints of `origin` that one of `log_keys` signed, and at least
    /// `witnesses_min` of `witnesses`.
    ///
    /// # Errors
    /// If a log key is for cosignatures or a witness's is not, or one key appears twice: the same
    /// key under two names would count as two witnesses.
    pub fn new(
        origin: &str,
        log_keys: &[VerifierKey],
        witnesses: &[VerifierKey],
        witnesses_min: usize,
    ) -> Result<Self, CheckpointError> {
        let is_misplaced = |key: &&VerifierKey, kind| key.kind() != kind;
        let misplaced = log_keys
            .iter()
            .find(|key| is_misplaced(key, KeyKind::Ed25519))
            .or_else(|| witnesses.iter().find(|key| is_misplaced(key, KeyKind::CosignatureV1)));
        let keys: Vec<VerifierKey> = log_keys.iter().chain(witnesses).cloned().collect();
        let repeated = keys.iter().enumerate().find(|(at, key)| {
            keys.iter().take(*at).any(|earlier| earlier.public() == key.public())
        });
        match misplaced.or_else(|| repeated.map(|(_, key)| key)) {
            Some(key) => Err(CheckpointError::Policy(key.name().to_owned())),
            None => Ok(Self { origin: origin.to_owned(), keys, witnesses_min }),
        }
    }

    /// The log that the policy is for.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Checks a checkpoint with its signatures.
    ///
    /// # Errors
    /// If anything about its form is wrong, it is of another log, the log did not sign it, too few
    /// witnesses did, or any signature of a known key is wrong.
    pub fn verify(&self, signed: &str) -> Result<VerifiedCheckpoint, CheckpointError> {
        let note = Note::parse(signed)?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin != self.origin {
            let (expected, found) = (self.origin.clone(), checkpoint.origin);
            return Err(CheckpointError::OtherLog { expected, found });
        }
        let signatures = note.verify(&self.keys)?;
        if !signatures.iter().any(|signed| signed.key.kind() == KeyKind::Ed25519) {
            return Err(CheckpointError::NotSignedByLog);
        }
        let witnesses: Vec<Witnessed> = signatures
            .iter()
            .filter_map(|signed| {
                signed.time.map(|time| Witnessed { name: signed.key.name().to_owned(), time })
            })
            .collect();
        if witnesses.len() < self.witnesses_min {
            let (needed, found) = (self.witnesses_min, witnesses.len());
            return Err(CheckpointError::TooFewWitnesses { needed, found });
        }
        Ok(VerifiedCheckpoint { checkpoint, witnesses })
    }
}

/// A number in the one spelling without sign and leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A hash in padded base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    // 32 bytes are 44 characters; nothing longer is decoded.
    if text.len() != 44 {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
