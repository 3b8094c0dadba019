//! Opaque tokens: random strings that mean something only to who stored their digest.
//!
//! Form: prefix, 43 base62 digits of 32 random bytes, 6 base62 digits of CRC-32 over all before
//! them; for the prefix `bhf_rt_` the regular expression is `bhf_rt_[0-9A-Za-z]{49}`. The checksum
//! lets secret scanners tell a leaked token from a look-alike, and a server refuse a mangled one
//! without a look-up. It is no protection: what counts is the digest of the whole string.

use behalf_core::{Rng, Secret};
use behalf_verify::sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A fresh token with 256 random bits.
pub fn mint(prefix: &str, rng: &dyn Rng) -> Secret<String> {
    let mut random = Zeroizing::new([0_u8; 32]);
    rng.fill(random.as_mut());
    let mut token = String::with_capacity(prefix.len().saturating_add(BODY_LEN + CHECK_LEN));
    token.push_str(prefix);
    push_base62(&mut token, random.as_mut(), BODY_LEN);
    let mut check = crc32(token.as_bytes()).to_be_bytes();
    push_base62(&mut token, &mut check, CHECK_LEN);
    Secret::new(token)
}

/// The SHA-256 digest of the whole token, prefix and all: what the store keeps and looks up.
pub fn digest(token: &str) -> [u8; 32] {
    sha256(token.as_bytes())
}

/// Whether `token` has the form of one that [`mint`] made with `prefix`: a cheap refusal before a
/// look-up, never an acceptance.
pub fn looks_minted(token: &str, prefix: &str) -> bool {
    let Some(digits) = token.strip_prefix(prefix) else { return false };
    let is_base62 = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    if digits.len() != BODY_LEN + CHECK_LEN || !is_base62 {
        return false;
    }
    let Some((signed, check)) = token.split_at_checked(token.len().saturating_sub(CHECK_LEN))
    else {
        return false;
    };
    let mut expected = String::with_capacity(CHECK_LEN);
    push_base62(&mut expected, &mut crc32(signed.as_bytes()).to_be_bytes(), CHECK_LEN);
    expected == check
}

/// Whether two secrets are equal, in a time that tells neither where they differ nor how long the
/// expected one is.
pub fn secrets_equal(a: &[u8], b: &[u8]) -> bool {
    sha256(a).ct_eq(&sha256(b)).into()
}

/// Appends exactly `count` base62 digits of the big-endian `number`, which is used up.
fn push_base62(out: &mut String, number: &mut [u8], count: usize) {
    let mut digits = Zeroizing::new([b'0'; BODY_LEN]);
    for place in digits.iter_mut().take(count).rev() {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        let at = usize::try_from(remainder).unwrap_or(0);
        *place = BASE62.get(at).copied().unwrap_or(b'0');
    }
    out.extend(digits.iter().take(count).map(|&b| char::from(b)));
    number.zeroize();
}

/// CRC-32 as in zip and PNG (polynomial 0xEDB88320, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    let register = bytes.iter().fold(u32::MAX, |register, &byte| {
        (0..8).fold(register ^ u32::from(byte), |register, _| {
            if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 }
        })
    });
    !register
}

/// 62^43 is just above 2^256.
const BODY_LEN: usize = 43;
/// 62^6 is above 2^32.
const CHECK_LEN: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut ASCII texts")]
mod tests;
