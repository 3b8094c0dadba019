//! What an attacker needs to make tokens of his own: base64url, SHA-256, HMAC.
//!
//! Written out here because the product offers no HMAC, and its crates keep their primitives to
//! themselves.

use serde_json::Value;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Unpadded base64url.
pub fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        bits <<= 8 * (3 - chunk.len());
        for place in 0..=chunk.len() {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[usize::try_from(digit).unwrap()]));
        }
    }
    text
}

/// The bytes that unpadded base64url spells.
pub(crate) fn unbase64url(text: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for digit in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).unwrap());
        }
    }
    bytes
}

/// A compact JWS with this header and these claims, signed by `sign` over the first two parts.
pub fn forge(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = base64url(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// `token` with its header or claims (0 or 1) changed by `change`, and its signature as it was.
pub fn rewritten(token: &str, part: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut value: Value = serde_json::from_slice(&unbase64url(&parts[part])).unwrap();
    change(&mut value);
    parts[part] = base64url(value.to_string().as_bytes());
    parts.join(".")
}

/// HMAC-SHA-256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    let hashed = sha256(key);
    let key = if key.len() > 64 { hashed.as_slice() } else { key };
    block[..key.len()].copy_from_slice(key);
    let inner: Vec<u8> =
        block.iter().map(|byte| byte ^ 0x36).chain(message.iter().copied()).collect();
    let inner = sha256(&inner);
    let outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5C).chain(inner).collect();
    sha256(&outer)
}

/// SHA-256 (FIPS 180-4 §6.2), its constants computed from the primes.
fn sha256(message: &[u8]) -> [u8; 32] {
    let constants: Vec<u32> = primes().take(64).map(|prime| root_bits(prime, 3)).collect();
    let mut state: Vec<u32> = primes().take(8).map(|prime| root_bits(prime, 2)).collect();
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = u64::try_from(message.len()).unwrap() * 8;
    padded.extend(bits.to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> =
            block.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
        for t in 16..64 {
            let (a, b) = (w[t - 15], w[t - 2]);
            let small_0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let small_1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(w[t - 16].wrapping_add(small_0).wrapping_add(w[t - 7]).wrapping_add(small_1));
        }
        let mut v = state.clone();
        for t in 0..64 {
            let (a, e) = (v[0], v[4]);
            let big_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & v[5]) ^ (!e & v[6]);
            let one = v[7]
                .wrapping_add(big_1)
                .wrapping_add(choice)
                .wrapping_add(constants[t])
                .wrapping_add(w[t]);
            let big_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[0] = one.wrapping_add(big_0.wrapping_add(majority));
            v[4] = v[4].wrapping_add(one);
        }
        for (word, added) in state.iter_mut().zip(v) {
            *word = word.wrapping_add(added);
        }
    }
    let bytes: Vec<u8> = state.into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.try_into().unwrap()
}

fn primes() -> impl Iterator<Item = u128> {
    (2..).filter(|n: &u128| (2..*n).all(|divisor| !n.is_multiple_of(divisor)))
}

/// The first 32 bits behind the point of the `degree`-th root of `number`.
fn root_bits(number: u128, degree: u32) -> u32 {
    // The largest x with x^degree <= number * 2^(32 * degree).
    let target = number << (32 * degree);
    let (mut low, mut high) = (0_u128, 1_u128 << 37);
    while low + 1 < high {
        let middle = u128::midpoint(low, high);
        if middle.checked_pow(degree).is_some_and(|power| power <= target) {
            low = middle;
        } else {
            high = middle;
        }
    }
    u32::try_from(low & u128::from(u32::MAX)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attackers_primitives_are_the_real_ones() {
        let long = "x".repeat(200);
        for text in ["", "abc", long.as_str()] {
            assert_eq!(sha256(text.as_bytes()), behalf_crypto::opaque::digest(text));
        }
        // RFC 4231 §4.3.
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(base64url(&mac), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }
}
