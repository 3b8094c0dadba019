//! AES-256-GCM with its nonce in front and its tag behind, and the bytes that contexts become.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use behalf_core::{Rng, random_bytes};
use zeroize::Zeroizing;

use super::{OpenError, SealError};

/// How much longer a sealed text is than the plain one.
pub(super) const OVERHEAD: usize = NONCE_LEN + 16;

/// Key bytes that are wiped on drop.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// A fresh key.
pub(super) fn random_key(rng: &dyn Rng) -> Key {
    let mut key = Key::default();
    rng.fill(key.as_mut());
    key
}

/// Appends nonce, ciphertext and tag of `plaintext` to `out`.
pub(super) fn seal_onto(
    out: &mut Vec<u8>,
    key: &Key,
    aad: &[u8],
    plaintext: &[u8],
    rng: &dyn Rng,
) -> Result<(), SealError> {
    let nonce: [u8; NONCE_LEN] = random_bytes(rng);
    out.reserve(plaintext.len().saturating_add(OVERHEAD));
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let tag = less_safe(key)
        .and_then(|key| {
            let body = out.get_mut(start..).unwrap_or_default();
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_separate_tag(nonce, Aad::from(aad), body).ok()
        })
        .ok_or(SealError::Encryption);
    match tag {
        Ok(tag) => {
            out.extend_from_slice(tag.as_ref());
            Ok(())
        }
        Err(error) => {
            // Nothing half encrypted stays in the caller's buffer.
            zeroize::Zeroize::zeroize(out);
            Err(error)
        }
    }
}

/// The plaintext of nonce, ciphertext and tag.
pub(super) fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(OpenError::Format)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Format)?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let key = less_safe(key).ok_or(OpenError::Decryption)?;
    let len = key
        .open_in_place(nonce, Aad::from(aad), buffer.as_mut_slice())
        .map_err(|_| OpenError::Decryption)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

/// The 32-byte key in nonce, ciphertext and tag.
pub(super) fn open_key(wrapping: &Key, aad: &[u8], sealed: &[u8]) -> Result<Key, OpenError> {
    let bytes = open(wrapping, aad, sealed)?;
    let mut key = Key::default();
    if bytes.len() != key.len() {
        return Err(OpenError::Format);
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// `domain`, the number of parts, and each part with its length in front: no two contexts, and no
/// two purposes, have the same bytes.
pub(super) fn context_bytes(domain: &str, context: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_part(&mut bytes, domain);
    bytes.extend_from_slice(&len_bytes(context.len()));
    for part in context {
        push_part(&mut bytes, part);
    }
    bytes
}

fn push_part(bytes: &mut Vec<u8>, part: &str) {
    bytes.extend_from_slice(&len_bytes(part.len()));
    bytes.extend_from_slice(part.as_bytes());
}

fn len_bytes(len: usize) -> [u8; 8] {
    u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes()
}

fn less_safe(key: &Key) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
}
