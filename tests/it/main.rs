//! Behalf through its public interfaces: one binary, so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod fga;
mod kill;
mod tidy;
