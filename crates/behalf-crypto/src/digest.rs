//! Digests that bind a decision to exactly what was decided on.

use behalf_verify::canonical_json::{self, CanonicalError};
use behalf_verify::sha256_hex;
use serde_json::Value;

/// 64 lower-case hex digits of SHA-256 over the RFC 8785 form of `value`.
///
/// # Errors
/// If `value` has no canonical form, e.g. an integer beyond 2^53.
pub fn action_digest(value: &Value) -> Result<String, CanonicalError> {
    canonical_json::to_canonical(value).map(|canonical| sha256_hex(canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_depends_on_the_value_and_not_on_its_spelling() {
        // printf '{"arguments":{"n":1},"tool":"createGist"}' | sha256sum
        let expected = "99f938bf437e35fa8a62ca8c5d9a1278e6af3bbe516d19465177879e6f571648";
        let digest = action_digest(&json!({"tool": "createGist", "arguments": {"n": 1}})).unwrap();
        assert_eq!(digest, expected);
        let other = action_digest(&json!({"tool": "createGist", "arguments": {"n": "1"}}));
        assert_ne!(other.unwrap(), expected);
    }

    #[test]
    fn an_integer_that_readers_would_round_has_no_digest() {
        assert!(action_digest(&json!({"n": 9_007_199_254_740_993_u64})).is_err());
    }
}
