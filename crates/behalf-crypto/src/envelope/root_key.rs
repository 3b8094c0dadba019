//! The root key: the one secret that lies outside the data.

use std::fmt;

use aws_lc_rs::hmac;
use behalf_core::{Rng, Secret};
use thiserror::Error;
use zeroize::Zeroizing;

use super::aead::{Key, random_key};
use crate::base64url;

/// The text or the bytes are no root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RootKeyError {
    /// A root key has exactly 32 bytes.
    #[error("a root key has 32 bytes")]
    Length,
    /// The text does not start with the header word of a root key file.
    #[error("a root key file starts with `{HEADER}`")]
    Header,
    /// After the header word comes base64url of 32 bytes, and nothing else.
    #[error("the root key file is malformed after its header word")]
    Malformed,
}

/// 256 secret bits that wrap the key-encryption keys.
#[derive(Clone)]
pub struct RootKey {
    key: Key,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

impl RootKey {
    /// A fresh key.
    pub fn generate(rng: &dyn Rng) -> Self {
        Self::new(random_key(rng))
    }

    /// The key of these bytes.
    ///
    /// # Errors
    /// If there are not 32 of them.
    pub fn from_bytes(bytes: &Secret<Vec<u8>>) -> Result<Self, RootKeyError> {
        let mut key = Key::default();
        if bytes.expose().len() != key.len() {
            return Err(RootKeyError::Length);
        }
        key.copy_from_slice(bytes.expose());
        Ok(Self::new(key))
    }

    /// The key that a key file holds; white space around the text does not count.
    ///
    /// # Errors
    /// If the text is not what [`Self::to_text`] makes.
    pub fn from_text(text: &Secret<String>) -> Result<Self, RootKeyError> {
        let text = text.expose().trim_ascii();
        let (header, digits) = text.split_once(' ').ok_or(RootKeyError::Header)?;
        if header != HEADER {
            return Err(RootKeyError::Header);
        }
        let bytes = base64url::decode(digits).ok_or(RootKeyError::Malformed)?;
        Self::from_bytes(&Secret::new(bytes)).map_err(|_| RootKeyError::Malformed)
    }

    /// The key as one line for a key file.
    pub fn to_text(&self) -> Secret<String> {
        let digits = Zeroizing::new(base64url::encode(self.key.as_slice()));
        Secret::new(format!("{HEADER} {}\n", digits.as_str()))
    }

    /// 16 hex digits that name the key and give nothing of it away.
    pub fn fingerprint(&self) -> String {
        behalf_verify::hex(&self.fingerprint)
    }

    fn new(key: Key) -> Self {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, key.as_slice());
        let tag = hmac::sign(&mac, b"behalf.root-key.fingerprint.v1");
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        for (to, from) in fingerprint.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Self { key, fingerprint }
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) const fn fingerprint_bytes(&self) -> &[u8; FINGERPRINT_BYTES] {
        &self.fingerprint
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

pub(super) const FINGERPRINT_BYTES: usize = 8;
const HEADER: &str = "behalf-root-key-v1";
