//! Signed notes (C2SP signed-note): a text, a blank line, and lines of signatures.
//!
//! Two kinds of signature are verified: Ed25519 over the text, and timestamped cosignatures of
//! witnesses (C2SP tlog-cosignature). Signatures of unknown keys are ignored, so a note may carry
//! kinds that are not known here; a bad signature of a known key condemns the whole note.

mod key;
mod signer;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

pub use key::{KeyKind, VerifierKey, VkeyError};
pub use signer::{NoteSigner, SignerError};

/// The longest note that is read.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;

/// The most signature lines that are read.
pub const SIGNATURES_MAX: usize = 64;

/// Why a note is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// More than [`NOTE_BYTES_MAX`] bytes.
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// A control character other than a newline.
    #[error("the note contains a control character")]
    ControlCharacter,
    /// No blank line between a text and signatures.
    #[error("the note has no blank line before its signatures")]
    NoSignatures,
    /// The text is empty or does not end with a newline.
    #[error("the note's text does not end with a newline")]
    Text,
    /// A line below the text is no signature.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Counted from 1.
        line: usize,
    },
    /// More than [`SIGNATURES_MAX`] signature lines.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A signature that claims to be of a known key is not.
    #[error("the signature of known key `{key}` is wrong")]
    BadSignature {
        /// The key's name.
        key: String,
    },
    /// No known key signed the note.
    #[error("no known key signed the note")]
    NoKnownSignature,
    /// Two of the given keys have one name and id.
    #[error("two known keys have the name and id of `{key}`")]
    AmbiguousKey {
        /// The keys' name.
        key: String,
    },
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// The name of the key, as the line says.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id, as the line says.
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What follows the id, in the form of the key's kind.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A note whose form is right; its signatures are checked by [`Note::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A known key's signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When it signed, in seconds since 1970, if signatures of its kind say so.
    pub time: Option<u64>,
}

impl Note {
    /// A note of this text with these signatures.
    ///
    /// # Errors
    /// If the text does not end with a newline or the note would not read back.
    pub fn new(text: &str, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::Text);
        }
        let note = Self { text: text.to_owned(), signatures };
        Self::parse(&note.to_string())
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If it is too long or not exactly in the form of a signed note.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(NoteError::ControlCharacter);
        }
        // The last blank line separates; the text itself may contain some.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let lines = match lines.strip_suffix('\n') {
            Some(lines) => lines,
            None if lines.is_empty() => return Err(NoteError::NoSignatures),
            None => return Err(NoteError::SignatureLine { line: lines.split('\n').count() }),
        };
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at >= SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            let line_number = at.saturating_add(1);
            let signature = parse_line(line);
            signatures.push(signature.ok_or(NoteError::SignatureLine { line: line_number })?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text with its final newline: what is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The same note with one more signature.
    ///
    /// # Errors
    /// If it has [`SIGNATURES_MAX`] already or becomes too long.
    pub fn with_signature(mut self, signature: Signature) -> Result<Self, NoteError> {
        self.signatures.push(signature);
        Self::parse(&self.to_string())
    }

    /// The signatures of the keys that are known, each key once, in the order of the lines.
    ///
    /// # Errors
    /// If no known key signed, or a signature that names a known key is not the key's.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut verified: Vec<Signed<'k>> = Vec::new();
        for signature in &self.signatures {
            let is_named =
                |key: &&VerifierKey| key.name() == signature.name && key.id() == signature.key_id;
            let mut named = keys.iter().filter(is_named);
            let Some(key) = named.next() else { continue };
            if named.next().is_some() {
                return Err(NoteError::AmbiguousKey { key: key.name().to_owned() });
            }
            let time = key.check(&self.text, &signature.bytes)?;
            if !verified.iter().any(|known| known.key == key) {
                verified.push(Signed { key, time });
            }
        }
        if verified.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, key_id, bytes } in &self.signatures {
            let encoded = STANDARD.encode([key_id.as_slice(), bytes].concat());
            writeln!(f, "— {name} {encoded}")?;
        }
        Ok(())
    }
}

/// Key names are not empty and contain neither white space nor a plus sign.
fn is_key_name(name: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.chars().all(is_plain)
}

fn parse_line(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok()?;
    let (key_id, bytes) = decoded.split_first_chunk::<4>()?;
    let is_whole = is_key_name(name) && !bytes.is_empty();
    is_whole.then(|| Signature { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests;
