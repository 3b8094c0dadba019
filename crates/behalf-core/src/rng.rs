//! Randomness as an argument: the operating system's in production, seeded in tests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where random bytes come from.
pub trait Rng: Send + Sync + fmt::Debug {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` fresh random bytes.
pub fn random_bytes<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill(&mut bytes);
    bytes
}

/// A predictable generator (`SplitMix64`) for tests that compare whole answers; never for production.
#[derive(Debug)]
pub struct DangerousSeededRng(AtomicU64);

impl DangerousSeededRng {
    /// A generator whose bytes follow from `seed` alone.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Rng for DangerousSeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            for (byte, random) in chunk.iter_mut().zip(z.to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_never_the_same_block_twice() {
        let (a, b) = (DangerousSeededRng::new(7), DangerousSeededRng::new(7));
        let first: [u8; 24] = random_bytes(&a);
        assert_eq!(first, random_bytes::<24>(&b));
        assert_ne!(first, random_bytes::<24>(&a));
    }
}
