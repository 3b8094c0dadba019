//! Many tuples at once.

use behalf_fga::{TupleFilter, TupleKey};

use crate::Authz;
use crate::error::AuthzError;
use crate::write::Author;

/// Tuples that are deleted in one commit.
const CHUNK: usize = 1_000;

impl Authz {
    /// Writes tuples in one commit, passing over those that exist; of several with one key the last
    /// counts. Returns how many were written, and the store's revision. How many there may be at
    /// once is for the caller to say.
    ///
    /// # Errors
    /// As [`Authz::plan_write`].
    pub async fn import(
        &self,
        store_id: &str,
        tuples: Vec<TupleKey>,
        author: Author<'_>,
    ) -> Result<(usize, u64), AuthzError> {
        let plan = || self.plan_import(store_id, tuples.clone(), author.actor);
        self.write_planned(store_id, plan, author.reason).await
    }

    /// Deletes every tuple that the filter admits, in commits of a bounded size; returns how many
    /// there were, and the store's revision. What others write meanwhile may be deleted or not.
    ///
    /// # Errors
    /// `StoreNotFound`, or when the database fails; then some of them may be gone.
    pub async fn delete_by(
        &self,
        store_id: &str,
        filter: &TupleFilter,
        author: Author<'_>,
    ) -> Result<(usize, u64), AuthzError> {
        let mut deleted: usize = 0;
        loop {
            let plan = || self.plan_delete_by(store_id, filter, author);
            let (count, revision) = self.write_planned(store_id, plan, author.reason).await?;
            deleted = deleted.saturating_add(count);
            if count < CHUNK {
                return Ok((deleted, revision));
            }
        }
    }

    /// How many tuples the filter admits, and the store's revision.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn count_by(
        &self,
        store_id: &str,
        filter: &TupleFilter,
    ) -> Result<(usize, u64), AuthzError> {
        let snapshot = self.snapshot(store_id).await?;
        let count = snapshot.deletes(filter).count();
        Ok((count, snapshot.revision().0))
    }

    async fn plan_delete_by(
        &self,
        store_id: &str,
        filter: &TupleFilter,
        author: Author<'_>,
    ) -> Result<Option<crate::PlannedWrite>, AuthzError> {
        self.plan_deletes(store_id, filter, CHUNK, author.actor).await
    }
}
