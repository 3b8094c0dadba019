//! Proof key for code exchange (RFC 7636), method `S256` only: `plain` protects against nothing.

use behalf_verify::sha256;
use subtle::ConstantTimeEq;

use crate::base64url;

/// The challenge that belongs to `verifier` (RFC 7636 §4.2).
pub fn challenge_s256(verifier: &str) -> String {
    base64url::encode(&sha256(verifier.as_bytes()))
}

/// Whether `text` is a possible verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
pub fn is_verifier(text: &str) -> bool {
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)
}

/// Whether `text` is a possible challenge: the base64url of 32 bytes.
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && base64url::decode(text).is_some_and(|bytes| bytes.len() == 32)
}

/// Whether `verifier` is well formed and belongs to `challenge`.
pub fn verify(verifier: &str, challenge: &str) -> bool {
    let expected = challenge_s256(verifier);
    is_verifier(verifier) && bool::from(expected.as_bytes().ct_eq(challenge.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tests cut ASCII texts")]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn rfc_7636_appendix_b() {
        assert_eq!(challenge_s256(VERIFIER), CHALLENGE);
        assert!(verify(VERIFIER, CHALLENGE));
        assert!(is_verifier(VERIFIER));
        assert!(is_challenge(CHALLENGE));
    }

    #[test]
    fn the_challenge_itself_and_every_variant_are_refused() {
        assert!(!verify(CHALLENGE, CHALLENGE), "plain is not offered");
        assert!(!verify(VERIFIER, &format!("{CHALLENGE}=")));
        assert!(!verify(VERIFIER, ""));
        assert!(!verify("", ""));
        for end in 0..CHALLENGE.len() {
            assert!(!verify(VERIFIER, &CHALLENGE[..end]));
            assert!(!verify(&VERIFIER[..end], CHALLENGE));
        }
        assert!(!verify(&VERIFIER.to_lowercase(), CHALLENGE));
    }

    #[test]
    fn verifiers_have_43_to_128_unreserved_characters() {
        assert!(!is_verifier(&"a".repeat(42)));
        assert!(is_verifier(&"~".repeat(43)));
        assert!(is_verifier(&"a".repeat(128)));
        assert!(!is_verifier(&"a".repeat(129)));
        for bad in ["+", "/", "=", " ", "ä", "\0"] {
            assert!(!is_verifier(&format!("{}{bad}", "a".repeat(50))), "{bad:?}");
        }
        // The base64url of a short verifier matches, but the verifier is not one.
        assert!(!verify("short", &challenge_s256("short")));
    }

    #[test]
    fn challenges_are_43_characters_that_spell_32_bytes() {
        assert!(!is_challenge(&CHALLENGE[..42]));
        assert!(!is_challenge(&format!("{CHALLENGE}A")));
        // The last character may carry only four bits.
        assert!(!is_challenge(&format!("{}N", &CHALLENGE[..42])));
    }
}
