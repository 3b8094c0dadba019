//! How the connections to providers are set up.

pub(crate) mod list;
