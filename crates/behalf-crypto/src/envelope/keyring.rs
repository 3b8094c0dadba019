//! The key-encryption keys of one deployment or tenant, and what they seal.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hmac;
use behalf_core::{Rng, Secret};
use subtle::ConstantTimeEq;

use super::aead::{self, Key, context_bytes, random_key};
use super::root_key::FINGERPRINT_BYTES;
use super::{OpenError, PLAINTEXT_BYTES_MAX, RootKey, SealError};

/// A key-encryption key as the store keeps it: worthless without the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKek {
    /// Counts up with each rotation, from 1.
    pub version: u32,
    /// Format, fingerprint of the root key, nonce, wrapped key, tag.
    pub bytes: Vec<u8>,
}

/// Versioned key-encryption keys. New values are sealed under the newest; older ones open what
/// they sealed until everything is rewrapped.
pub struct Keyring {
    owner: Vec<String>,
    keys: BTreeMap<u32, Key>,
    current: u32,
}

impl Keyring {
    /// A ring with one fresh key, and the form of it to store. `owner` says whose keys these are
    /// (e.g. the tenant) and must be given again to [`Self::unlock`].
    ///
    /// # Errors
    /// If `owner` is empty or the provider fails.
    pub fn create(
        root: &RootKey,
        rng: &dyn Rng,
        owner: &[&str],
    ) -> Result<(Self, WrappedKek), SealError> {
        let owner = owner.iter().map(|&part| part.to_owned()).collect();
        let mut ring = Self { owner, keys: BTreeMap::new(), current: 0 };
        let wrapped = ring.rotate(root, rng)?;
        Ok((ring, wrapped))
    }

    /// The ring of the stored keys.
    ///
    /// # Errors
    /// If there is none, a version appears twice, or one does not open with this root key and
    /// owner.
    pub fn unlock(
        root: &RootKey,
        owner: &[&str],
        wrapped: &[WrappedKek],
    ) -> Result<Self, OpenError> {
        let mut keys = BTreeMap::new();
        for WrappedKek { version, bytes } in wrapped {
            let key = unwrap_kek(root, owner, *version, bytes)?;
            if *version == 0 || keys.insert(*version, key).is_some() {
                return Err(OpenError::Versions);
            }
        }
        let current = *keys.keys().next_back().ok_or(OpenError::Versions)?;
        let owner = owner.iter().map(|&part| part.to_owned()).collect();
        Ok(Self { owner, keys, current })
    }

    /// Adds a fresh key, under which new values are sealed from now on, and gives the form of it
    /// to store.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn rotate(&mut self, root: &RootKey, rng: &dyn Rng) -> Result<WrappedKek, SealError> {
        let version = self.current.checked_add(1).ok_or(SealError::Encryption)?;
        let key = random_key(rng);
        let owner: Vec<&str> = self.owner.iter().map(String::as_str).collect();
        let wrapped = wrap_kek(root, &owner, version, &key, rng)?;
        self.keys.insert(version, key);
        self.current = version;
        Ok(wrapped)
    }

    /// All keys wrapped again, by another root key.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn wrap_all(&self, root: &RootKey, rng: &dyn Rng) -> Result<Vec<WrappedKek>, SealError> {
        let owner: Vec<&str> = self.owner.iter().map(String::as_str).collect();
        self.keys.iter().map(|(version, key)| wrap_kek(root, &owner, *version, key, rng)).collect()
    }

    /// The version under which new values are sealed.
    pub const fn current_version(&self) -> u32 {
        self.current
    }

    /// Seals `plaintext` for the place that `context` names.
    ///
    /// # Errors
    /// If the context is empty, the plaintext too long, or the provider fails.
    pub fn seal(
        &self,
        context: &[&str],
        plaintext: &[u8],
        rng: &dyn Rng,
    ) -> Result<Vec<u8>, SealError> {
        if context.is_empty() {
            return Err(SealError::EmptyContext);
        }
        if plaintext.len() > PLAINTEXT_BYTES_MAX {
            return Err(SealError::TooLong);
        }
        let key = random_key(rng);
        let mut sealed = Vec::new();
        self.push_head(&mut sealed, context, &key, rng)?;
        sealed.extend_from_slice(commitment(&key).as_ref());
        let aad = self.payload_aad(context);
        aead::seal_onto(&mut sealed, &key, &aad, plaintext, rng)?;
        Ok(sealed)
    }

    /// The plaintext of a value that was sealed for the place that `context` names.
    ///
    /// # Errors
    /// If the value is of no known format, its key is not in the ring, it was altered, or it was
    /// sealed for another place.
    pub fn open(&self, context: &[&str], sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let parts = Parts::split(sealed)?;
        let key = self.data_key(context, &parts)?;
        let mut plaintext = aead::open(&key, &self.payload_aad(context), parts.payload)?;
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }

    /// The same value with its data key wrapped by the newest key; the payload stays as it is.
    ///
    /// # Errors
    /// If the data key does not open for this place, or the provider fails.
    pub fn rewrap(
        &self,
        context: &[&str],
        sealed: &[u8],
        rng: &dyn Rng,
    ) -> Result<Vec<u8>, OpenError> {
        let parts = Parts::split(sealed)?;
        let key = self.data_key(context, &parts)?;
        let mut rewrapped = Vec::with_capacity(sealed.len());
        self.push_head(&mut rewrapped, context, &key, rng).map_err(|_| OpenError::Decryption)?;
        rewrapped.extend_from_slice(parts.commitment);
        rewrapped.extend_from_slice(parts.payload);
        Ok(rewrapped)
    }

    /// The version of the key that a sealed value needs, to find what is still to be rewrapped.
    ///
    /// # Errors
    /// If the value is of no known format.
    pub fn version_of(sealed: &[u8]) -> Result<u32, OpenError> {
        Parts::split(sealed).map(|parts| parts.version)
    }

    fn push_head(
        &self,
        out: &mut Vec<u8>,
        context: &[&str],
        key: &Key,
        rng: &dyn Rng,
    ) -> Result<(), SealError> {
        let kek = self.keys.get(&self.current).ok_or(SealError::Encryption)?;
        out.push(FORMAT);
        out.extend_from_slice(&self.current.to_be_bytes());
        let aad = self.data_key_aad(context, self.current);
        aead::seal_onto(out, kek, &aad, key.as_slice(), rng)
    }

    fn data_key(&self, context: &[&str], parts: &Parts<'_>) -> Result<Key, OpenError> {
        let kek = self.keys.get(&parts.version).ok_or(OpenError::UnknownKek(parts.version))?;
        let aad = self.data_key_aad(context, parts.version);
        let key = aead::open_key(kek, &aad, parts.wrapped_key)?;
        if bool::from(commitment(&key).as_ref().ct_eq(parts.commitment)) {
            Ok(key)
        } else {
            Err(OpenError::Decryption)
        }
    }

    fn payload_aad(&self, context: &[&str]) -> Vec<u8> {
        self.aad("behalf.envelope.payload.v1", context)
    }

    /// The key's version is bound here and not to the payload, which survives rotation.
    fn data_key_aad(&self, context: &[&str], version: u32) -> Vec<u8> {
        let mut aad = self.aad("behalf.envelope.data-key.v1", context);
        aad.extend_from_slice(&version.to_be_bytes());
        aad
    }

    fn aad(&self, domain: &str, context: &[&str]) -> Vec<u8> {
        let owner: Vec<&str> = self.owner.iter().map(String::as_str).collect();
        let mut aad = context_bytes(domain, &owner);
        aad.extend_from_slice(&context_bytes("context", context));
        aad
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("owner", &self.owner)
            .field("versions", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A sealed value taken apart.
struct Parts<'a> {
    version: u32,
    wrapped_key: &'a [u8],
    commitment: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let Some((&FORMAT, rest)) = sealed.split_first() else { return Err(OpenError::Format) };
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(OpenError::Format)?;
        let (wrapped_key, rest) =
            rest.split_at_checked(aead::OVERHEAD + 32).ok_or(OpenError::Format)?;
        let (commitment, payload) = rest.split_at_checked(32).ok_or(OpenError::Format)?;
        let longest = PLAINTEXT_BYTES_MAX.saturating_add(aead::OVERHEAD);
        if !(aead::OVERHEAD..=longest).contains(&payload.len()) {
            return Err(OpenError::Format);
        }
        Ok(Self { version: u32::from_be_bytes(*version), wrapped_key, commitment, payload })
    }
}

fn commitment(key: &Key) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), b"commit")
}

fn wrap_kek(
    root: &RootKey,
    owner: &[&str],
    version: u32,
    key: &Key,
    rng: &dyn Rng,
) -> Result<WrappedKek, SealError> {
    if owner.is_empty() {
        return Err(SealError::EmptyContext);
    }
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(root.fingerprint_bytes());
    aead::seal_onto(&mut bytes, root.key(), &kek_aad(owner, version), key.as_slice(), rng)?;
    Ok(WrappedKek { version, bytes })
}

fn unwrap_kek(
    root: &RootKey,
    owner: &[&str],
    version: u32,
    bytes: &[u8],
) -> Result<Key, OpenError> {
    let Some((&FORMAT, rest)) = bytes.split_first() else { return Err(OpenError::Format) };
    let (fingerprint, sealed) =
        rest.split_first_chunk::<FINGERPRINT_BYTES>().ok_or(OpenError::Format)?;
    if fingerprint != root.fingerprint_bytes() {
        return Err(OpenError::OtherRootKey {
            expected: root.fingerprint(),
            found: behalf_verify::hex(fingerprint),
        });
    }
    aead::open_key(root.key(), &kek_aad(owner, version), sealed)
}

fn kek_aad(owner: &[&str], version: u32) -> Vec<u8> {
    let mut aad = context_bytes("behalf.envelope.kek.v1", owner);
    aad.extend_from_slice(&version.to_be_bytes());
    aad
}

const FORMAT: u8 = 1;
