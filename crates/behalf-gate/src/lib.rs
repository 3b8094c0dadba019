//! The decision point, and the use cases that touch two domains.
//!
//! The gate itself arrives with the first tool; `flows` is where a use case that writes to two
//! domains is one function and one unit of work.

pub mod flows;
