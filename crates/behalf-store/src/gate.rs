//! Rows and statements of the decision point: calls, approvals, interrupts.
//!
//! Every transition is an UPDATE with its precondition: of two who try the same, one conflicts.

pub mod approvals;
pub mod calls;
pub mod interrupts;
