//! Behalf over HTTP, by dialect. A handler extracts, makes one call into a domain crate, and turns
//! the outcome into its dialect's words; it decides nothing.

pub mod agent;
pub mod audit;
pub mod behalf;
pub mod fga;
pub mod health;
mod json_body;
pub mod me;
pub mod oauth;
pub mod openapi;
pub mod problem;
pub mod traces;
