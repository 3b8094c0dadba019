//! Behalf's cryptography: keys and JOSE, envelope encryption, password hashes, opaque tokens, PKCE.
//!
//! One provider, aws-lc-rs, does the mathematics; this crate owns the formats and the refusals. It
//! does no IO, reads no clock, and knows neither users nor clients. Nothing that prints shows key
//! material.

mod base64url;
pub mod digest;
pub mod envelope;
pub mod jose;
pub mod opaque;
pub mod password;
pub mod pkce;
mod rng;

pub use rng::SystemRng;
