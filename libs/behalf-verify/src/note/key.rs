//! The public keys that notes are checked against, in C2SP's `vkey` spelling.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::{NoteError, is_key_name};
use crate::hash::{hex, sha256_of_parts};

/// The text is no key that can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VkeyError {
    /// Not `name+id+key`.
    #[error("a verifier key is written name+id+key")]
    Malformed,
    /// Empty, or with white space or a plus sign.
    #[error("a key's name is not empty and has no spaces and no plus sign")]
    Name,
    /// Another kind than Ed25519 signatures and cosignatures.
    #[error("the verifier key is of a kind that is not supported")]
    Kind,
    /// The bytes are no Ed25519 public key.
    #[error("the verifier key is no Ed25519 public key")]
    Key,
    /// The id is not the hash of name and key.
    #[error("the verifier key's id does not belong to its name and key")]
    Id,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// The text itself, as logs do.
    Ed25519,
    /// The text with a time in front, as witnesses do.
    CosignatureV1,
}

impl KeyKind {
    /// The byte that stands for the kind in keys and ids.
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }
}

/// A public key with its name.
#[derive(Clone)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    public: [u8; 32],
    key: ParsedPublicKey,
}

impl VerifierKey {
    /// The key of that name.
    ///
    /// # Errors
    /// If the name is not one, or the bytes are no Ed25519 public key.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, VkeyError> {
        if !is_key_name(name) {
            return Err(VkeyError::Name);
        }
        let key = ParsedPublicKey::new(&ED25519, public).map_err(|_| VkeyError::Key)?;
        Ok(Self { name: name.to_owned(), kind, public: *public, key })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The first four bytes of the hash of name, kind and key.
    pub fn id(&self) -> [u8; 4] {
        let name = self.name.as_bytes();
        let [a, b, c, d, ..] = sha256_of_parts(&[name, b"\n", &[self.kind.byte()], &self.public]);
        [a, b, c, d]
    }

    /// The time that this key's `signature` of `text` names, if its kind does.
    pub(super) fn check(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        let (time, message, signature) = match self.kind {
            KeyKind::Ed25519 => (None, text.to_owned(), signature),
            KeyKind::CosignatureV1 => {
                let (time, rest) = signature.split_first_chunk::<8>().ok_or_else(|| self.bad())?;
                let time = u64::from_be_bytes(*time);
                if !COSIGNATURE_TIMES.contains(&time) {
                    return Err(self.bad());
                }
                (Some(time), cosigned_message(time, text), rest)
            }
        };
        self.key.verify_sig(message.as_bytes(), signature).map_err(|_| self.bad())?;
        Ok(time)
    }

    fn bad(&self) -> NoteError {
        NoteError::BadSignature { key: self.name.clone() }
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.kind, &self.public) == (&other.name, other.kind, &other.public)
    }
}

impl Eq for VerifierKey {}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// `name+id+key`, the id in hex and the key in base64 behind the byte of its kind.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        let mut fields = text.splitn(3, '+');
        let mut next = || fields.next().ok_or(VkeyError::Malformed);
        let (name, id, key) = (next()?, next()?, next()?);
        let bytes = STANDARD.decode(key).map_err(|_| VkeyError::Malformed)?;
        let (kind, public) = bytes.split_first().ok_or(VkeyError::Malformed)?;
        let kind = [KeyKind::Ed25519, KeyKind::CosignatureV1]
            .into_iter()
            .find(|known| known.byte() == *kind)
            .ok_or(VkeyError::Kind)?;
        let key = Self::new(name, kind, public.try_into().map_err(|_| VkeyError::Key)?)?;
        if hex(&key.id()) == id { Ok(key) } else { Err(VkeyError::Id) }
    }
}

/// What a witness signs (C2SP tlog-cosignature).
pub(super) fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The times that a cosignature may name.
pub(super) const COSIGNATURE_TIMES: RangeInclusive<u64> = 1..=(u64::MAX >> 1);
