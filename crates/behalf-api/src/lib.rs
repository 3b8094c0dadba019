//! Behalf over HTTP, by dialect. A handler extracts, makes one call into a domain crate, and turns
//! the outcome into its dialect's words; it decides nothing.

pub mod fga;
pub mod health;
pub mod me;
pub mod oauth;
pub mod problem;
pub mod traces;
