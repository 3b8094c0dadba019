//! What every part of Behalf shares: ids, time, randomness, secrets, pages, and the event vocabulary.
//!
//! This crate does no IO and knows no runtime. Whatever must cross a row of the workspace
//! (ARCHITECTURE.md) is a small trait here, wired in the binary.

mod clock;
mod event;
mod ids;
mod may_read;
mod page;
mod rng;
mod secret;
mod words;

pub use clock::{Clock, ManualClock, Timestamp};
pub use event::{Actor, Event, EventKind};
pub use ids::{
    ClientId, ConnectionName, InvalidId, ProjectId, RoleId, SessionId, TenantId, UserId, new_ulid,
    ulid_of, ulid_rest,
};
pub use may_read::{Checked, DecidedAt, MayRead, MayReadError, PortFuture, Readable};
pub use page::{Page, PageSize};
pub use rng::{DangerousSeededRng, Rng, random_bytes};
pub use secret::Secret;
pub use words::{counted, grouped};
