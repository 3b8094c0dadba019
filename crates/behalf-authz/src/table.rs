//! Tuples as a table for people: filtered, in pages, with who wrote each, when and why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use behalf_core::{Actor, Timestamp};
use behalf_fga::{Change, Snapshot, TupleFilter, TupleKey};
use behalf_store::StoreError;
use behalf_store::fga::{self, FgaWriteRow};

use crate::Authz;
use crate::changes::actor_of;
use crate::error::AuthzError;
use crate::query::{decode_token, encode_token};
use crate::state::{OpenStore, Writer};
use crate::write::Author;

/// In a larger store nobody waits for the whole log to be read.
const MAX_TUPLES: usize = 1_000_000;
/// Tuples that are deleted in one commit.
const CHUNK: usize = 1_000;

/// Which tuples the table shows; empty members admit everything.
#[derive(Clone, Debug, Default)]
pub struct TableFilter {
    /// By user, relation and object.
    pub tuples: TupleFilter,
    /// The type of the user.
    pub user_type: String,
    /// The condition that the tuple names.
    pub condition: String,
    /// For how long it holds.
    pub lifetime: Lifetime,
}

/// For how long a tuple holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// However long.
    #[default]
    Any,
    /// For ever, from the start.
    Always,
    /// From or until some time.
    Limited,
    /// Until a time before this one.
    Over(Timestamp),
}

impl TableFilter {
    /// The tuples that it admits, in the order of the engine.
    pub(crate) fn find<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> impl Iterator<Item = TupleKey> + 's {
        let tuples = snapshot.matching(&self.tuples, None).into_iter().flatten();
        tuples.filter(|tuple| self.admits(tuple))
    }

    fn admits(&self, tuple: &TupleKey) -> bool {
        let (user_type, _) = tuple.user.split_once(':').unwrap_or_default();
        (self.user_type.is_empty() || user_type == self.user_type)
            && (self.condition.is_empty()
                || tuple.condition.as_ref().is_some_and(|of| of.name == self.condition))
            && match self.lifetime {
                Lifetime::Any => true,
                Lifetime::Always => tuple.validity.is_always(),
                Lifetime::Limited => !tuple.validity.is_always(),
                Lifetime::Over(now) => tuple.validity.is_expired_at(now.as_micros()),
            }
    }

    /// One page, and what continues behind it.
    fn page(
        &self,
        snapshot: &Snapshot,
        limit: usize,
        after: &str,
    ) -> Result<(Vec<TupleKey>, Option<String>), AuthzError> {
        let after = match after {
            "" => None,
            token => Some(decode_token(token).ok_or(AuthzError::BadContinuationToken)?),
        };
        let found = snapshot.matching(&self.tuples, after.as_ref());
        let found = found.ok_or(AuthzError::BadContinuationToken)?;
        let found = found.filter(|tuple| self.admits(tuple));
        let mut items: Vec<TupleKey> = found.take(limit.saturating_add(1)).collect();
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(encode_token);
        Ok((items, next))
    }
}

/// A page of the table.
#[derive(Clone, Debug, Default)]
pub struct TuplePage {
    /// The tuples, in an order that does not change.
    pub rows: Vec<TupleRow>,
    /// Continues behind them.
    pub next: Option<String>,
    /// How many tuples the filter admits on all pages.
    pub count: usize,
    /// How many tuples the store has.
    pub total: usize,
}

/// A tuple in the table.
#[derive(Clone, Debug)]
pub struct TupleRow {
    /// The tuple.
    pub tuple: TupleKey,
    /// Its writing; not looked up in a very large store.
    pub written: Option<Written>,
}

/// How a tuple came about.
#[derive(Clone, Debug)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// At which revision.
    pub revision: i64,
    /// By whom.
    pub actor: Actor,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
}

impl Authz {
    /// A page of the tuples that `filter` admits; `after` is the `next` of the page before.
    ///
    /// # Errors
    /// `StoreNotFound`, or a token that no page gave.
    pub async fn tuple_table(
        &self,
        store_id: &str,
        filter: &TableFilter,
        limit: usize,
        after: &str,
    ) -> Result<TuplePage, AuthzError> {
        let store = self.open_store(store_id).await?;
        let snapshot = Arc::clone(&store.view().snapshot);
        let (filter, after) = (filter.clone(), after.to_owned());
        let read = Arc::clone(&snapshot);
        let page = tokio::task::spawn_blocking(move || {
            let (items, next) = filter.page(&read, limit, &after)?;
            Ok::<_, AuthzError>((items, next, filter.find(&read).count()))
        });
        let (items, next, count) = page.await.map_err(|_panicked| AuthzError::Contention)??;
        let total = snapshot.tuple_count();
        let written = match total {
            0..=MAX_TUPLES => self.written(&store, &items, snapshot.revision().0).await?,
            _ => vec![None; items.len()],
        };
        let rows = items.into_iter().zip(written).map(|(tuple, row)| {
            let written = row.map(|row| {
                let actor = actor_of(&row.actor)?;
                Ok::<_, StoreError>(Written {
                    at: row.at,
                    revision: row.revision,
                    actor,
                    reason: row.reason,
                })
            });
            Ok::<_, AuthzError>(TupleRow { written: written.transpose()?, tuple })
        });
        Ok(TuplePage { rows: rows.collect::<Result<_, _>>()?, next, count, total })
    }

    /// How many tuples the filter admits.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn count_in_table(
        &self,
        store_id: &str,
        filter: &TableFilter,
    ) -> Result<usize, AuthzError> {
        let snapshot = self.snapshot(store_id).await?;
        Ok(filter.find(&snapshot).count())
    }

    /// Deletes every tuple that the filter admits, in commits of a bounded size, as
    /// [`Authz::delete_by`] does; returns how many there were.
    ///
    /// # Errors
    /// `StoreNotFound`, or when the database fails; then some of them may be gone.
    pub async fn delete_in_table(
        &self,
        store_id: &str,
        filter: &TableFilter,
        author: Author<'_>,
    ) -> Result<usize, AuthzError> {
        let mut deleted: usize = 0;
        loop {
            let look = |writer: &mut Writer| {
                let snapshot = writer.fga.snapshot();
                let found = filter.find(&snapshot).take(CHUNK);
                Ok(found.map(|tuple| Change::Delete(tuple.delete_key())).collect())
            };
            let (count, _) = self.write_planned(store_id, look, author).await?;
            deleted = deleted.saturating_add(count);
            if count < CHUNK {
                return Ok(deleted);
            }
        }
    }

    /// The write that each tuple came about by; nothing for one that is not there any more.
    pub(crate) async fn written(
        &self,
        store: &Arc<OpenStore>,
        tuples: &[TupleKey],
        revision: u64,
    ) -> Result<Vec<Option<FgaWriteRow>>, AuthzError> {
        let keys = tuples.iter().map(TupleKey::delete_key).collect();
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let at = store.written_at(keys, revision).await?;
        let revisions: BTreeSet<i64> = at.iter().flatten().copied().collect();
        let revisions: Vec<i64> = revisions.into_iter().collect();
        let (storage, tenant) = (self.storage(), self.tenant());
        let rows = fga::list_writes(storage, tenant, &store.store_id, &revisions).await?;
        let by_revision: BTreeMap<i64, FgaWriteRow> =
            rows.into_iter().map(|row| (row.revision, row)).collect();
        Ok(at.into_iter().map(|at| by_revision.get(&at?).cloned()).collect())
    }
}
