//! The live tail: what changed since, and waiting for the next change.
//!
//! The table is the truth; what this process stores itself only wakes who waits. What other nodes
//! store is seen when the wait ends by itself.

use std::time::Duration;

use behalf_core::ProjectId;
use behalf_store::StoreError;
use behalf_store::traces::{self, Place};
use tokio::sync::watch;

use crate::Traces;
use crate::query::TraceSummary;
use crate::reader::Reader;

/// How many changed traces are told at once.
const STEP: u32 = 100;

/// Follows the reader's traces.
#[derive(Debug)]
pub struct Tail {
    traces: Traces,
    project: ProjectId,
    reader: Reader,
    after: Place,
    changed: watch::Receiver<u64>,
}

impl Traces {
    /// A tail that begins after the change number `after`; without one, with what changes next.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tail(
        &self,
        project: &ProjectId,
        reader: Reader,
        after: Option<i64>,
    ) -> Result<Tail, StoreError> {
        // Subscribed first, so that nothing falls between.
        let changed = self.0.changed.subscribe();
        let after = match after {
            Some(after) => after,
            None => traces::newest_sequence(&self.0.storage, self.tenant(), project).await?,
        };
        let after = Place::after_all_of(after);
        Ok(Tail { traces: self.clone(), project: project.clone(), reader, after, changed })
    }
}

impl Tail {
    /// The traces that changed, in order, as they are now. Empty after `patience` without any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self, patience: Duration) -> Result<Vec<TraceSummary>, StoreError> {
        self.changed.mark_unchanged();
        let news = self.news().await?;
        if !news.is_empty() {
            return Ok(news);
        }
        // What others did while nobody looked is news as well: look again in any case.
        if tokio::time::timeout(patience, self.changed.changed()).await.is_ok_and(|w| w.is_err()) {
            // Nobody will store anything any more; the wait is over when its time is.
            tokio::time::sleep(patience).await;
        }
        self.news().await
    }

    async fn news(&mut self) -> Result<Vec<TraceSummary>, StoreError> {
        let Some(owner) = self.reader.only_owner() else { return Ok(Vec::new()) };
        let storage = &self.traces.0.storage;
        let tenant = self.traces.tenant();
        let rows =
            traces::list_changed(storage, tenant, &self.project, owner, &self.after, STEP).await?;
        if let Some(last) = rows.last() {
            self.after = Place::of(last);
        }
        self.traces.summaries(&self.project, rows).await
    }
}
