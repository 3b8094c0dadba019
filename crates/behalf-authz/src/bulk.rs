//! Many tuples at once.

use behalf_fga::{TupleFilter, TupleKey};

use crate::Authz;
use crate::error::AuthzError;
use crate::state::Writer;
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
        let look = |writer: &mut Writer| {
            let model = writer.model(store_id, None)?;
            let now = Some(self.now().as_micros());
            Ok(writer.fga.plan_import(&model, tuples.clone(), now)?)
        };
        self.write_planned(store_id, look, author).await
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
            let look = |writer: &mut Writer| {
                Ok(writer.fga.snapshot().deletes(filter).take(CHUNK).collect())
            };
            let (count, revision) = self.write_planned(store_id, look, author).await?;
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
}
