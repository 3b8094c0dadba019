//! The verifiable log: its head, leaves, tiles and checkpoints, and what was exported of it.

pub mod checkpoints;
pub mod exports;
pub mod leaves;
pub mod logs;
pub mod tiles;
