//! The binary's parts: command line, configuration, wiring. Tests build the same server from here.
//!
//! The only place that reads the environment, the machine's clock and the operating system's
//! randomness.

pub mod cli;
mod commands;
pub mod config;
mod control;
mod data_dir;
pub mod demo;
mod dev_ca;
mod output;
mod sequencer;
mod server;
mod server_client;
pub mod setup_file;
mod slow_body;
mod system;
mod telemetry;
pub mod wiring;

pub use commands::run;
