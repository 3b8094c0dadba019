//! Rows and statements of identity: who people and applications are, and what they were given.

pub mod access;
pub mod api_keys;
pub mod clients;
pub mod grants;
pub mod keys;
pub mod projects;
pub mod sessions;
pub mod users;
