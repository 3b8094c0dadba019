//! Use cases that touch two domains: one function each, one unit of work, one commit.

mod apply;

pub use apply::{ApplyError, ApplyOptions, FgaSection, SetupFile, SetupOutcome, apply};
