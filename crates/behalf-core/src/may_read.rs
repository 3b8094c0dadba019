//! The question that retrieval asks of authorization: which documents may this person read?
//!
//! Retrieval and authorization stand in one row and do not know each other; the answer is wired in
//! above them.

use std::fmt;
use std::pin::Pin;

use thiserror::Error;

use crate::ids::UserId;

/// What a port that may wait gives back.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an answer about documents was decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecidedAt {
    /// The authorization store; empty when there is none, and then nothing may be read.
    pub store_id: String,
    /// Its model.
    pub model_id: String,
    /// Its revision.
    pub revision: u64,
}

/// The documents that a person might read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// Their ids, each once, in no order. There may be some too many and never one too few.
    pub document_ids: Vec<String>,
    /// What it was decided from.
    pub decided_at: DecidedAt,
}

/// Which of the documents asked about a person may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// An answer for each, in order.
    pub may_read: Vec<bool>,
    /// What it was decided from.
    pub decided_at: DecidedAt,
}

/// The question could not be answered, which is never a yes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MayReadError {
    /// Not now; try again.
    #[error("authorization is unavailable: {0}")]
    Unavailable(String),
    /// Not before somebody repairs what is wrong.
    #[error("authorization failed: {0}")]
    Failed(String),
}

/// Who may read which document.
pub trait MayRead: Send + Sync + fmt::Debug {
    /// Every document that the person might read. Conditions and exclusions need not be looked at,
    /// so what is found among these still has to be checked.
    fn list_readable<'a>(
        &'a self,
        user_id: &'a UserId,
    ) -> PortFuture<'a, Result<Readable, MayReadError>>;

    /// For each document whether the person may read it, decided from what is committed now. A
    /// document about which no answer can be had may not be read.
    fn check<'a>(
        &'a self,
        user_id: &'a UserId,
        document_ids: &'a [&'a str],
    ) -> PortFuture<'a, Result<Checked, MayReadError>>;
}
