//! The operating system's randomness as `behalf-core`'s [`Rng`].

use aws_lc_rs::rand;
use behalf_core::Rng;

/// The random bytes that production uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing that follows could be safe, and no caller could go on.
        if rand::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use behalf_core::random_bytes;

    #[test]
    fn system_bytes_do_not_repeat() {
        assert_ne!(random_bytes::<32>(&SystemRng), random_bytes::<32>(&SystemRng));
    }
}
