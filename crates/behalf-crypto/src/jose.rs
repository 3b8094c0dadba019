//! JSON web tokens: compact JWS (RFC 7515) with asymmetric keys only.
//!
//! What this module owns: which algorithms exist, how a key is named, which token is acceptable.
//! The key found by `kid` pins the algorithm; the token's header merely has to agree with it
//! (RFC 8725 §3.1). HMAC is not offered, so a public key can never be taken for a shared secret.

mod key_set;
mod rsa_der;
mod signing;
mod validation;
mod verify;
mod verifying;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use key_set::{KEYS_MAX, KeySet};
pub use signing::{SignError, SigningKey};
pub use validation::{ClaimError, Validation};
pub use verify::{Header, TOKEN_BYTES_MAX, TypRule, Verified, VerifyError, verify};
pub use verifying::VerifyingKey;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: what Auth0's clients expect.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// RSASSA-PSS with SHA-256.
    PS256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::RS256, Self::ES256, Self::EdDSA, Self::PS256];

    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::PS256 => "PS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Exactly as registered: `rs256` is not `RS256` (RFC 7515 §4.1.1).
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text).ok_or(UnknownAlgorithm)
    }
}

/// The text names no algorithm that Behalf signs or verifies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown signature algorithm; known are RS256, ES256, EdDSA and PS256")]
pub struct UnknownAlgorithm;

/// A key could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The provider refused to make a key.
    #[error("key generation failed")]
    Generation,
    /// The PKCS #8 text is no private key for this algorithm.
    #[error("not a PKCS #8 private key for {0}")]
    Pkcs8(Algorithm),
    /// The JWK is not an object, or lacks or garbles a member.
    #[error("member `{0}` of the JWK is missing or malformed")]
    Jwk(&'static str),
    /// The JWK's key type, curve or algorithm is none that Behalf verifies with.
    #[error("the JWK is for no algorithm that is accepted here")]
    Unsupported,
    /// The JWK holds private members. Whoever sent it must make a new key.
    #[error("the JWK contains a private key")]
    Private,
    /// The key is too short to trust or too long to be quick with.
    #[error("RSA keys have 2048 to 4096 bits")]
    Size,
    /// Another key of the set has this `kid`.
    #[error("two keys have the id `{0}`")]
    DuplicateKid(String),
    /// More keys than a set may hold.
    #[error("a key set holds at most {KEYS_MAX} keys")]
    TooMany,
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut ASCII texts")]
mod tests;
