//! The store through its port: one conformance kit, run on every engine, and what is special to
//! the embedded one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod conformance;
mod disk_full;
mod lost_answer;
mod outage;
mod postgres;
mod power_cut;
mod sqlite;
mod vfs;
