//! A turn: what a person wrote, and the machine that takes it to its end.
//!
//! `state` says where a turn stands and what may happen there; it does no IO, so every transition
//! can be read and tested by itself. `live` is the log that streams follow. `run` drives a turn:
//! it asks the model and the gate, and commits each transition with its events before the next.

pub(crate) mod live;
pub(crate) mod run;
pub(crate) mod spans;
pub(crate) mod state;
