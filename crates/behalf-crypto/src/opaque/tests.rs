//! Opaque tokens: their form, and every truncation of it.

use behalf_core::DangerousSeededRng;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

fn minted(seed: u64) -> String {
    mint("bhf_rt_", &DangerousSeededRng::new(seed)).expose().clone()
}

struct FixedRng(u8);

impl Rng for FixedRng {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

impl std::fmt::Debug for FixedRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FixedRng")
    }
}

#[test]
fn the_form_is_prefix_43_digits_and_6_of_checksum() {
    for seed in 0..200 {
        let token = minted(seed);
        assert_eq!(token.len(), "bhf_rt_".len() + 49);
        assert!(token.bytes().skip(7).all(|b| b.is_ascii_alphanumeric()), "{token}");
        assert!(looks_minted(&token, "bhf_rt_"));
        assert!(!looks_minted(&token, "bhf_at_"));
        assert!(!looks_minted(&token, "bhf_"));
        assert!(!looks_minted(&token, ""));
    }
}

#[test]
fn the_extremes_fit_their_places() {
    let zero = mint("p_", &FixedRng(0));
    assert!(zero.expose().starts_with(&format!("p_{}", "0".repeat(43))));
    // 2^256 - 1 in base 62, computed with another program.
    let ones = mint("p_", &FixedRng(255));
    assert!(
        ones.expose().starts_with("p_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"),
        "{}",
        ones.expose()
    );
}

#[test]
fn the_checksum_is_the_crc_32_of_zip_files() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
}

/// N18: what is not the whole token is another token.
#[test]
fn every_prefix_suffix_padding_and_case_variant_is_refused() {
    let token = minted(1);
    let mut variants: Vec<String> = Vec::new();
    for cut in 0..token.len() {
        variants.push(token[..cut].to_owned());
        if cut > 0 {
            variants.push(token[cut..].to_owned());
        }
    }
    for extra in ["=", "==", " ", "\n", "\0", "A", ".", "%3D", "\u{200b}"] {
        variants.push(format!("{token}{extra}"));
        variants.push(format!("{extra}{token}"));
    }
    variants.push(token.to_lowercase());
    variants.push(token.to_uppercase());
    for (at, c) in token.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
        let flipped =
            if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        variants.push(format!("{}{flipped}{}", &token[..at], &token[at + 1..]));
    }
    for variant in variants {
        assert!(!looks_minted(&variant, "bhf_rt_"), "{variant:?}");
        assert_ne!(digest(&variant), digest(&token), "{variant:?}");
    }
}

#[test]
fn equality_looks_at_everything() {
    assert!(secrets_equal(b"", b""));
    assert!(secrets_equal(b"web-secret", b"web-secret"));
    for other in [&b"web-secre"[..], b"web-secret ", b"", b"Web-secret"] {
        assert!(!secrets_equal(b"web-secret", other));
    }
}

#[test]
fn a_token_does_not_print_itself() {
    let token = mint("bhf_rt_", &DangerousSeededRng::new(1));
    assert_eq!(format!("{token:?}"), "[secret]");
}

proptest! {
    #[test]
    fn arbitrary_text_is_never_taken_for_a_token(text in ".{0,80}") {
        prop_assert!(!looks_minted(&text, "bhf_rt_"));
    }

    #[test]
    fn one_changed_character_breaks_the_checksum(seed: u64, at in 7_usize..56, to in "[0-9A-Za-z]") {
        let token = minted(seed);
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(looks_minted(&changed, "bhf_rt_"), changed == token);
    }
}
