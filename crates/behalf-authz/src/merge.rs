//! Changes that come from elsewhere: a file of tuples, or the log of another server. Each is looked
//! at by itself, so that whoever brings them learns which do not fit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use behalf_fga::{Change, DeleteKey, StoreModel, TupleKey};

use crate::Authz;
use crate::error::AuthzError;
use crate::state::Writer;
use crate::write::Author;

/// Changes that one commit takes.
const MAX_CHANGES: usize = 1_000;
/// Models that a tuple is tried with, newest first: another server may hold tuples that only an
/// older model knows.
const MAX_MODELS: usize = 50;

/// Changes to take in together.
#[derive(Clone, Copy, Debug)]
pub struct Merge<'a> {
    /// In this order; of several with one key the last counts.
    pub changes: &'a [Change],
    /// True for a copy of another log: a tuple takes the place of one that differs, older models
    /// count too, and what fits is taken even if something else does not.
    pub is_copy: bool,
    /// Only look what it would do.
    pub is_dry_run: bool,
}

/// What came of a [`Merge`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Tuples that were not there, or were different.
    pub written: usize,
    /// Tuples that were there, and are not now.
    pub deleted: usize,
    /// Changes that changed nothing.
    pub unchanged: usize,
    /// Changes that do not fit. Unless the merge is a copy, then nothing was taken in.
    pub refused: Vec<Refused>,
    /// The store's revision.
    pub revision: u64,
}

/// A change that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of the changes, from zero.
    pub index: usize,
    /// Why.
    pub reason: String,
}

impl Authz {
    /// Takes changes in, in one commit.
    ///
    /// # Errors
    /// `StoreNotFound`, `NoModel`, `TooMany`, or when the database fails.
    pub async fn merge(
        &self,
        store_id: &str,
        merge: Merge<'_>,
        author: Author<'_>,
    ) -> Result<Merged, AuthzError> {
        if merge.changes.len() > MAX_CHANGES {
            return Err(AuthzError::TooMany { what: "changes", limit: MAX_CHANGES });
        }
        let merged = Mutex::new(Merged::default());
        let look = |writer: &mut Writer| {
            let (now, changes) = look(writer, store_id, merge, self.now().as_micros())?;
            let is_refused = !now.refused.is_empty() && !merge.is_copy;
            *merged.lock().unwrap_or_else(PoisonError::into_inner) = now;
            Ok(if merge.is_dry_run || is_refused { Vec::new() } else { changes })
        };
        let (_, revision) = self.write_planned(store_id, look, author).await?;
        let merged = merged.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Merged { revision, ..merged })
    }
}

/// What the merge does to the store as it is.
fn look(
    writer: &mut Writer,
    store_id: &str,
    merge: Merge<'_>,
    now: i64,
) -> Result<(Merged, Vec<Change>), AuthzError> {
    let latest = writer.latest().ok_or_else(|| AuthzError::NoModel(store_id.to_owned()))?;
    let latest = writer.bind(&latest)?;
    let mut merged = Merged::default();
    // What each key holds afterwards, in the order of the keys.
    let mut after: BTreeMap<DeleteKey, Option<TupleKey>> = BTreeMap::new();
    for (index, change) in merge.changes.iter().enumerate() {
        let key = match change {
            Change::Write(tuple) => tuple.delete_key(),
            Change::Delete(key) => key.clone(),
        };
        let before = match after.get(&key) {
            Some(tuple) => tuple.clone(),
            None => writer.fga.snapshot().find_tuple(&key),
        };
        match change {
            Change::Delete(_) if before.is_none() => {
                merged.unchanged = merged.unchanged.saturating_add(1);
            }
            Change::Delete(_) => {
                merged.deleted = merged.deleted.saturating_add(1);
                after.insert(key, None);
            }
            Change::Write(tuple) => match fits(writer, &latest, tuple, before.as_ref(), merge, now)
            {
                Err(reason) => merged.refused.push(Refused { index, reason }),
                Ok(false) => merged.unchanged = merged.unchanged.saturating_add(1),
                Ok(true) => {
                    merged.written = merged.written.saturating_add(1);
                    after.insert(key, Some(tuple.clone()));
                }
            },
        }
    }
    let snapshot = writer.fga.snapshot();
    let mut changes = Vec::new();
    for (key, tuple) in after {
        let stored = snapshot.find_tuple(&key);
        if stored == tuple {
            continue;
        }
        if stored.is_some() {
            changes.push(Change::Delete(key));
        }
        changes.extend(tuple.map(Change::Write));
    }
    Ok((merged, changes))
}

/// True if the tuple is to be written, false if it is there already, or why it does not fit.
fn fits(
    writer: &mut Writer,
    latest: &StoreModel,
    tuple: &TupleKey,
    before: Option<&TupleKey>,
    merge: Merge<'_>,
    now: i64,
) -> Result<bool, String> {
    if before == Some(tuple) {
        return Ok(false);
    }
    let invalid = |reason| format!("Invalid tuple '{tuple}'. Reason: {reason}");
    if let Err(reason) = latest.validate_write(tuple)
        && !(merge.is_copy && fits_older(writer, tuple))
    {
        return Err(invalid(reason));
    }
    let is_in_the_way = before.is_some_and(|before| !before.validity.is_expired_at(now));
    if is_in_the_way && !merge.is_copy {
        return Err(format!(
            "'{tuple}' is there already, with another condition or for another time"
        ));
    }
    Ok(true)
}

fn fits_older(writer: &mut Writer, tuple: &TupleKey) -> bool {
    writer.newest_ids(MAX_MODELS).iter().any(|model_id| {
        writer.bind(model_id).is_ok_and(|model| model.validate_write(tuple).is_ok())
    })
}
