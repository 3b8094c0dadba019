//! Everything Behalf remembers: one storage port, all of its SQL, and the drivers below it.
//!
//! A write is a [`UnitOfWork`]: statements with preconditions and events, built without holding a
//! connection, then committed whole or not at all by [`Storage::commit`]. A read is one statement
//! that sees everything acknowledged before it began. SQL lives in this crate only, one folder per
//! domain; row structs live here, and the domain crates turn them into their own types.

pub mod agent;
pub mod documents;
mod error;
pub mod fga;
pub mod gate;
mod held;
pub mod identity;
pub mod ledger;
mod migrations;
pub mod outbox;
mod postgres;
mod sqlite;
mod storage;
pub mod traces;
mod unit;
mod value;
pub mod vault;

pub use error::StoreError;
pub use held::Held;
pub use migrations::{MigrationStatus, Phase};
pub use sqlite::{DangerSynchronous, SqliteOptions};
pub use storage::Storage;
pub use unit::{Committed, Sql, Statement, UnitOfWork};
pub use value::{FromValue, Row, Value};
