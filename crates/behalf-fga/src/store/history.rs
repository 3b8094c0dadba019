//! Versions that are kept, so that a question can be asked of the past.

use std::collections::VecDeque;
use std::sync::Arc;

use super::snapshot::{Revision, Snapshot};

/// The newest versions of a store, each with the time it was made.
///
/// Versions share what did not change, so one costs what its write touched.
#[derive(Debug)]
pub struct History {
    versions: VecDeque<Kept>,
    max_versions: usize,
    max_age_micros: i64,
    max_changes: u64,
}

#[derive(Debug)]
struct Kept {
    at: i64,
    /// Changes up to it, from wherever its owner counts.
    changes: u64,
    snapshot: Arc<Snapshot>,
}

impl History {
    /// Keeps at most this many versions, each no longer than this. The newest is always kept.
    pub fn new(max_versions: usize, max_age_micros: i64) -> Self {
        let max_versions = max_versions.max(1);
        let (versions, max_changes) = (VecDeque::new(), u64::MAX);
        Self { versions, max_versions, max_age_micros, max_changes }
    }

    /// Keeps no version that the newest is more than so many changes away from: each change keeps
    /// some pages of memory in use.
    #[must_use]
    pub fn with_max_changes(self, max_changes: u64) -> Self {
        Self { max_changes, ..self }
    }

    /// Adds the newest version. One of the same revision, with other models bound, replaces it.
    pub fn push(&mut self, snapshot: Arc<Snapshot>, now_micros: i64) {
        let changes = self.versions.back().map_or(0, |last| last.changes);
        self.push_after(snapshot, now_micros, changes);
    }

    /// As [`Self::push`], with the number of changes up to this version, from wherever the caller
    /// counts.
    pub fn push_after(&mut self, snapshot: Arc<Snapshot>, now_micros: i64, changes: u64) {
        let revision = snapshot.revision();
        while self.versions.back().is_some_and(|last| last.snapshot.revision() >= revision) {
            self.versions.pop_back();
        }
        self.versions.push_back(Kept { at: now_micros, changes, snapshot });
        let oldest = now_micros.saturating_sub(self.max_age_micros);
        let first_change = changes.saturating_sub(self.max_changes);
        let is_over = |kept: &Kept| kept.at < oldest || kept.changes < first_change;
        while self.versions.len() > self.max_versions
            || self.versions.len() > 1 && self.versions.front().is_some_and(is_over)
        {
            self.versions.pop_front();
        }
    }

    /// The version of a revision, if it is kept.
    pub fn find(&self, revision: Revision) -> Option<&Arc<Snapshot>> {
        let found = self.versions.binary_search_by_key(&revision, |kept| kept.snapshot.revision());
        self.versions.get(found.ok()?).map(|kept| &kept.snapshot)
    }

    /// The oldest revision that is kept.
    pub fn oldest(&self) -> Option<Revision> {
        self.versions.front().map(|kept| kept.snapshot.revision())
    }
}
