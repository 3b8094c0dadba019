//! Rows and statements of the agent: threads, turns and their events.

pub mod threads;
pub mod turns;
