//! Randomness of tests that can be repeated.

/// Randomness from a seed (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`; nothing is below 0, which counts as 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }
}

/// A number that the environment may say.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    said(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What the environment says.
#[expect(clippy::disallowed_methods, reason = "longer runs, and seeds, are asked for by hand")]
pub(crate) fn said(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}
