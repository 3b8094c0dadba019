//! Connections to providers, connected accounts and their tokens.
