//! The log as readers see it: which tuples were written and deleted, when, by whom and why.

use behalf_core::{Actor, Timestamp, ulid_of, ulid_rest};
use behalf_fga::{Change, TupleKey};
use behalf_store::StoreError;
use behalf_store::fga::{self, FgaLogRow};

use crate::Authz;
use crate::error::AuthzError;

/// Writes read at once: few at first, as those of an import hold many changes, then more.
const FIRST_PAGE: u32 = 4;
const PAGE: u32 = 200;
/// A write holds fewer changes than this.
const CHANGES_PER_WRITE: u128 = 1 << 24;

/// One change of the log.
#[derive(Clone, Debug)]
pub struct TupleChange {
    /// The tuple; without a condition when it was deleted.
    pub tuple: TupleKey,
    /// True if it was deleted.
    pub is_delete: bool,
    /// When.
    pub at: Timestamp,
    /// The store's revision from then on.
    pub revision: i64,
    /// By whom.
    pub actor: Actor,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
    /// The commit that it was a part of, perhaps with writes to other stores.
    pub txn: String,
}

/// Which changes to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangesQuery<'a> {
    /// Of objects of this type only, unless it is empty.
    pub object_type: &'a str,
    /// How many at most.
    pub size: usize,
    /// The token of the page before; empty for the first.
    pub token: &'a str,
    /// From this time on, when there is no token.
    pub start: Option<Timestamp>,
    /// Up to this time; nothing for everything.
    pub until: Option<Timestamp>,
}

/// A page of changes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The changes, oldest first.
    pub items: Vec<TupleChange>,
    /// Continues behind them; the same again when there are none.
    pub token: String,
    /// The newest revision that was looked at.
    pub revision: i64,
}

/// A write of the log, with all its changes.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The store's revision from then on.
    pub revision: i64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
    /// What was written and deleted.
    pub changes: Vec<Change>,
}

/// Behind which change to continue: how many changes of which write were seen.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    revision: i64,
    seen: usize,
}

impl Authz {
    /// Reads the store's log in order.
    ///
    /// # Errors
    /// `StoreNotFound`, a token that no page gave, or one of another type's page.
    pub async fn read_changes(
        &self,
        store_id: &str,
        query: ChangesQuery<'_>,
    ) -> Result<Changes, AuthzError> {
        let (storage, tenant) = (self.storage(), self.tenant());
        let store = fga::find_store(storage, tenant, store_id).await?;
        let head = store.ok_or(AuthzError::StoreNotFound)?.revision;
        let mut position = match (query.token, query.start) {
            ("", None) => Position::default(),
            ("", Some(start)) => self.first_since(store_id, head, start).await?,
            (token, _) => decode(token, query.object_type)?,
        };
        let mut last = None;
        let mut items = Vec::new();
        // The write that was seen in part is read again.
        let mut after = position.revision.saturating_sub(i64::from(position.seen > 0));
        let mut page = FIRST_PAGE;
        'log: loop {
            let rows = fga::list_log(storage, tenant, store_id, after, page).await?;
            let is_last = rows.len() < page as usize;
            page = page.saturating_mul(2).min(PAGE);
            for row in rows {
                if query.until.is_some_and(|until| row.at > until) {
                    break 'log;
                }
                after = row.revision;
                let skip = if row.revision == position.revision { position.seen } else { 0 };
                for (index, change) in changes(&row)?.into_iter().enumerate().skip(skip) {
                    if !concerns(&change, query.object_type) {
                        continue;
                    }
                    if items.len() == query.size {
                        break 'log;
                    }
                    position = Position { revision: row.revision, seen: index.saturating_add(1) };
                    last = Some((position, row.at));
                    items.push(change_of(change, &row)?);
                }
            }
            if is_last {
                break;
            }
        }
        let token = last.map_or_else(
            || query.token.to_owned(),
            |(position, at)| encode(position, at, query.object_type),
        );
        Ok(Changes { items, token, revision: head.max(after) })
    }

    /// Up to `limit` writes before the revision `before`, newest first; the newest of all when it
    /// is `None`.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn recent_writes(
        &self,
        store_id: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LogEntry>, AuthzError> {
        let (storage, tenant) = (self.storage(), self.tenant());
        let store = fga::find_store(storage, tenant, store_id).await?;
        let head = store.ok_or(AuthzError::StoreNotFound)?.revision;
        let last = before.map_or(head, |before| before.saturating_sub(1)).min(head);
        let after = last.saturating_sub(i64::from(limit)).max(0);
        let count = u32::try_from(last.saturating_sub(after)).unwrap_or(0);
        let rows = fga::list_log(storage, tenant, store_id, after, count).await?;
        rows.into_iter()
            .rev()
            .map(|row| {
                Ok(LogEntry {
                    revision: row.revision,
                    at: row.at,
                    actor: actor_of(&row.actor)?,
                    changes: changes(&row)?,
                    reason: row.reason,
                })
            })
            .collect()
    }

    /// The position before the first write at `start` or later. Times rise with revisions, but for
    /// clocks of several nodes that differ, so a few steps find it.
    async fn first_since(
        &self,
        store_id: &str,
        head: i64,
        start: Timestamp,
    ) -> Result<Position, AuthzError> {
        let (mut low, mut high) = (0, head);
        while low < high {
            let middle = low.midpoint(high);
            let time = fga::find_log_time(self.storage(), self.tenant(), store_id, middle).await?;
            match time {
                Some(time) if time < start => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(Position { revision: low, seen: 0 })
    }
}

/// The token that continues behind everything up to `revision`.
pub fn token_at(now: Timestamp, revision: i64, object_type: &str) -> String {
    encode(Position { revision, seen: 0 }, now, object_type)
}

fn changes(row: &FgaLogRow) -> Result<Vec<Change>, StoreError> {
    serde_json::from_str(&row.changes)
        .map_err(|_| StoreError::Corrupt { what: "fga_log.changes".to_owned() })
}

pub(crate) fn actor_of(json: &str) -> Result<Actor, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Corrupt { what: "fga_log.actor".to_owned() })
}

fn concerns(change: &Change, object_type: &str) -> bool {
    let object = match change {
        Change::Write(tuple) => &tuple.object,
        Change::Delete(key) => &key.object,
    };
    object_type.is_empty() || object.split_once(':').is_some_and(|(name, _)| name == object_type)
}

fn change_of(change: Change, row: &FgaLogRow) -> Result<TupleChange, StoreError> {
    let (tuple, is_delete) = match change {
        Change::Write(tuple) => (tuple, false),
        Change::Delete(key) => (TupleKey::new(key.user, key.relation, key.object), true),
    };
    Ok(TupleChange {
        tuple,
        is_delete,
        at: row.at,
        revision: row.revision,
        actor: actor_of(&row.actor)?,
        reason: row.reason.clone(),
        txn: row.txn.clone(),
    })
}

/// `ulid|type` in hexadecimal, as OpenFGA's tokens carry it; the ULID's free bits are the position.
fn encode(position: Position, at: Timestamp, object_type: &str) -> String {
    let revision = u128::from(position.revision.unsigned_abs());
    let rest = revision.saturating_mul(CHANGES_PER_WRITE).saturating_add(position.seen as u128);
    behalf_verify::hex(format!("{}|{object_type}", ulid_of(at, rest)).as_bytes())
}

fn decode(token: &str, object_type: &str) -> Result<Position, AuthzError> {
    let bytes = crate::query::from_hex(token).ok_or(AuthzError::BadContinuationToken)?;
    let text = String::from_utf8(bytes).map_err(|_| AuthzError::BadContinuationToken)?;
    let (ulid, of_type) = text.split_once('|').ok_or(AuthzError::BadContinuationToken)?;
    let rest = ulid_rest(ulid).ok_or(AuthzError::BadContinuationToken)?;
    if of_type != object_type {
        return Err(AuthzError::TokenOfAnotherType);
    }
    let position = i64::try_from(rest / CHANGES_PER_WRITE)
        .ok()
        .zip(usize::try_from(rest % CHANGES_PER_WRITE).ok());
    let (revision, seen) = position.ok_or(AuthzError::BadContinuationToken)?;
    Ok(Position { revision, seen })
}
