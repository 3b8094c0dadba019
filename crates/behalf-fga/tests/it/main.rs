//! The engine through its public interface: OpenFGA's cases, random models against the plain
//! definition, long histories, any bytes into what reads text.
//!
//! These stand with the crate, so that they are compiled as fast code like the crate itself
//! (`Cargo.toml`), and so that a change of the engine is told right or wrong in seconds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bounds;
mod circles;
mod conditions;
mod conformance;
mod dice;
mod docs;
mod fuzz_replay;
mod history;
mod language;
mod random;
mod store;
mod ways;
mod weighted;
