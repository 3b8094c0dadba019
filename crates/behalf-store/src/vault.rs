//! Rows and statements of the vault: connections, connected accounts, connects under way.

pub mod accounts;
pub mod connections;
pub mod connects;
