//! Private keys of logs and witnesses.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use thiserror::Error;

use super::key::{COSIGNATURE_TIMES, cosigned_message};
use super::{KeyKind, Signature, VerifierKey, VkeyError};

/// A note could not be signed, or a key not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignerError {
    /// The name or the key is not acceptable.
    #[error(transparent)]
    Key(#[from] VkeyError),
    /// The seed is no Ed25519 private key.
    #[error("the seed is no Ed25519 private key")]
    Seed,
    /// Cosignatures name a time from 1 to 2^63 - 1, other signatures none.
    #[error("the time does not fit the kind of signature")]
    Time,
    /// The provider refused to sign.
    #[error("signing failed")]
    Signing,
}

/// A named Ed25519 private key. It prints as its public key.
pub struct NoteSigner {
    public: VerifierKey,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// The key of these 32 secret bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// If the name is not one or the provider refuses the seed.
    pub fn from_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, SignerError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignerError::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| SignerError::Seed)?;
        Ok(Self { public: VerifierKey::new(name, kind, public)?, pair })
    }

    /// The public half.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// A log's signature of `text`, which ends with a newline.
    ///
    /// # Errors
    /// If this is a witness's key.
    pub fn sign(&self, text: &str) -> Result<Signature, SignerError> {
        match self.public.kind() {
            KeyKind::Ed25519 => self.signature(&[], text),
            KeyKind::CosignatureV1 => Err(SignerError::Time),
        }
    }

    /// A witness's signature of the checkpoint `text` at `time`, in seconds since 1970.
    ///
    /// # Errors
    /// If this is a log's key, or the time is zero or beyond what the format holds.
    pub fn cosign(&self, text: &str, time: u64) -> Result<Signature, SignerError> {
        match self.public.kind() {
            KeyKind::CosignatureV1 if COSIGNATURE_TIMES.contains(&time) => {
                self.signature(&time.to_be_bytes(), &cosigned_message(time, text))
            }
            _ => Err(SignerError::Time),
        }
    }

    fn signature(&self, prefix: &[u8], message: &str) -> Result<Signature, SignerError> {
        let signed = self.pair.try_sign(message.as_bytes()).map_err(|_| SignerError::Signing)?;
        Ok(Signature {
            name: self.public.name().to_owned(),
            key_id: self.public.id(),
            bytes: [prefix, signed.as_ref()].concat(),
        })
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.public)
    }
}
