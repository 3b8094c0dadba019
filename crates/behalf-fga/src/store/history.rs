//! Versions that are kept, so that a question can be asked of the past.

use std::collections::VecDeque;
use std::sync::Arc;

use super::snapshot::{Revision, Snapshot};

/// The newest versions of a store, each with the time it was made.
///
/// Versions share what did not change, so one costs what its write touched.
#[derive(Debug)]
pub struct History {
    versions: VecDeque<(i64, Arc<Snapshot>)>,
    max_versions: usize,
    max_age_micros: i64,
}

impl History {
    /// Keeps at most this many versions, each no longer than this. The newest is always kept.
    pub fn new(max_versions: usize, max_age_micros: i64) -> Self {
        Self { versions: VecDeque::new(), max_versions: max_versions.max(1), max_age_micros }
    }

    /// Adds the newest version. One of the same revision, with other models bound, replaces it.
    pub fn push(&mut self, snapshot: Arc<Snapshot>, now_micros: i64) {
        let revision = snapshot.revision();
        while self.versions.back().is_some_and(|(_, last)| last.revision() >= revision) {
            self.versions.pop_back();
        }
        self.versions.push_back((now_micros, snapshot));
        let oldest = now_micros.saturating_sub(self.max_age_micros);
        while self.versions.len() > self.max_versions
            || self.versions.len() > 1 && self.versions.front().is_some_and(|(at, _)| *at < oldest)
        {
            self.versions.pop_front();
        }
    }

    /// The version of a revision, if it is kept.
    pub fn find(&self, revision: Revision) -> Option<&Arc<Snapshot>> {
        let found = self.versions.binary_search_by_key(&revision, |(_, kept)| kept.revision());
        self.versions.get(found.ok()?).map(|(_, kept)| kept)
    }

    /// The oldest revision that is kept.
    pub fn oldest(&self) -> Option<Revision> {
        self.versions.front().map(|(_, kept)| kept.revision())
    }
}
