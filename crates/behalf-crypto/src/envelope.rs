//! Envelope encryption of what the store keeps secret: root key → key-encryption keys → a fresh
//! data key for each write.
//!
//! AES-256-GCM throughout. A sealed value says where it belongs: the context (tenant, user,
//! connection, column, row version, …) is authenticated with it, so a value copied to another
//! row, column or tenant, or an older one put back, does not open. A commitment to the data key
//! closes GCM's gap that one ciphertext may open under two keys.
//!
//! Sealed values, format 1, big-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format, `0x01` |
//! | 4 | version of the key-encryption key |
//! | 12 + 32 + 16 | nonce, data key under the key-encryption key, tag |
//! | 32 | commitment: HMAC-SHA256(data key, `commit`) |
//! | 12 + n + 16 | nonce, plaintext under the data key, tag |

mod aead;
mod keyring;
mod root_key;

use thiserror::Error;

pub use keyring::{Keyring, WrappedKek};
pub use root_key::{RootKey, RootKeyError};

/// The longest plaintext in bytes.
pub const PLAINTEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A value could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// A context without parts would let values be exchanged freely.
    #[error("the context is empty")]
    EmptyContext,
    /// More than [`PLAINTEXT_BYTES_MAX`] bytes.
    #[error("at most {PLAINTEXT_BYTES_MAX} bytes are sealed in one value")]
    TooLong,
    /// The provider refused to encrypt.
    #[error("encryption failed")]
    Encryption,
}

/// A sealed value or a wrapped key does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Too short, or of a format that this version does not know.
    #[error("not a sealed value of a known format")]
    Format,
    /// The key-encryption key of that version is not in the ring: retired or destroyed.
    #[error("key version {0} is not available")]
    UnknownKek(u32),
    /// The key was wrapped by another root key; both fingerprints are safe to show.
    #[error("wrapped by root key `{found}`, but `{expected}` is given")]
    OtherRootKey {
        /// The fingerprint of the root key at hand.
        expected: String,
        /// The fingerprint of the root key that wrapped the key.
        found: String,
    },
    /// Two wrapped keys of one version, or none at all.
    #[error("wrapped keys have versions that are absent or repeated")]
    Versions,
    /// Altered, or sealed for another place.
    #[error("the value was altered or belongs to another place")]
    Decryption,
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut ASCII texts")]
mod tests;
