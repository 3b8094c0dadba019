//! The rules of OpenFGA's Write.

use std::collections::BTreeSet;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::changes::{Change, find};
use super::snapshot::Snapshot;
use crate::engine::StoreModel;
use crate::error::{TupleError, WriteError};
use crate::tuple::{Guard, TupleKey, UserRef, parse_user};

/// Writes and deletes together may not be more than this in one request, unless it says otherwise.
pub const MAX_TUPLES_PER_WRITE: usize = 100;

/// The condition context of a tuple may not be larger than this.
pub const MAX_CONDITION_CONTEXT_BYTES: usize = 32 * 1024;

/// Writes and deletes to apply together; deletes come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteRequest {
    /// Tuples to add.
    pub writes: Vec<TupleKey>,
    /// Keys to delete.
    pub deletes: Vec<DeleteKey>,
    /// What to do about a tuple that exists.
    pub on_duplicate: OnConflict,
    /// What to do about a key to delete that does not exist.
    pub on_missing: OnConflict,
    /// The time, in microseconds since the Unix epoch: a tuple that has expired by then is no
    /// duplicate. Without it, expired tuples are in the way until they are deleted.
    pub now_micros: Option<i64>,
    /// How many writes and deletes there may be together; nothing for [`MAX_TUPLES_PER_WRITE`].
    pub max_tuples: Option<usize>,
}

/// The key of a tuple, without its condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeleteKey {
    /// The user.
    pub user: String,
    /// The relation.
    pub relation: String,
    /// The object.
    pub object: String,
}

/// What a write does about a tuple that is there already, or not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the request.
    #[default]
    Error,
    /// Skip the tuple.
    Ignore,
}

impl TupleKey {
    /// The key without the condition.
    pub fn delete_key(&self) -> DeleteKey {
        DeleteKey {
            user: self.user.clone(),
            relation: self.relation.clone(),
            object: self.object.clone(),
        }
    }
}

pub(super) fn plan(
    snapshot: &Snapshot,
    model: &StoreModel,
    request: &WriteRequest,
) -> Result<Vec<Change>, WriteError> {
    if !model.belongs_to(snapshot) {
        return Err(WriteError::ForeignModel);
    }
    if request.writes.is_empty() && request.deletes.is_empty() {
        return Err(WriteError::Empty);
    }
    for tuple in &request.writes {
        validate(model, tuple).map_err(|reason| invalid(tuple, reason))?;
    }
    for key in &request.deletes {
        // A delete is not checked against the model, only for having a user.
        if let Err(TupleError::MalformedUser) = parse_user(&key.user) {
            let tuple = format!("{}#{}@{}", key.object, key.relation, key.user);
            return Err(WriteError::InvalidTuple { tuple, reason: TupleError::MalformedUser });
        }
    }
    check_duplicates(request)?;
    let mut changes = Vec::with_capacity(request.writes.len() + request.deletes.len());
    for key in &request.deletes {
        let exists = stored(snapshot, key).is_some();
        if exists {
            changes.push(Change::Delete(key.clone()));
        } else if request.on_missing == OnConflict::Error {
            let DeleteKey { user, relation, object } = key.clone();
            return Err(WriteError::DoesNotExist { user, relation, object });
        }
    }
    for tuple in &request.writes {
        match unexpired(snapshot, tuple, request.now_micros) {
            None => changes.push(Change::Write(tuple.clone())),
            Some(_) if request.on_duplicate == OnConflict::Error => {
                let DeleteKey { user, relation, object } = tuple.delete_key();
                return Err(WriteError::AlreadyExists { user, relation, object });
            }
            Some(stored) if is_same(stored, Guard::of(tuple)) => {}
            Some(_) => return Err(WriteError::Conflict(tuple.to_string())),
        }
    }
    Ok(changes)
}

impl StoreModel {
    /// Checks that the tuple could be written under the model, whatever is there already.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn validate_write(&self, tuple: &TupleKey) -> Result<(), TupleError> {
        validate(self, tuple)
    }
}

impl Snapshot {
    /// The tuple with that key, as it is stored.
    pub fn find_tuple(&self, key: &DeleteKey) -> Option<TupleKey> {
        let guard = stored(self, key)?;
        let DeleteKey { user, relation, object } = key.clone();
        Some(TupleKey {
            condition: guard.and_then(|guard| guard.condition.cloned()),
            validity: guard.map(|guard| guard.validity).unwrap_or_default(),
            ..TupleKey::new(user, relation, object)
        })
    }
}

pub(super) fn plan_import(
    snapshot: &Snapshot,
    model: &StoreModel,
    tuples: Vec<TupleKey>,
    now_micros: Option<i64>,
) -> Result<Vec<Change>, WriteError> {
    if !model.belongs_to(snapshot) {
        return Err(WriteError::ForeignModel);
    }
    let mut seen = HashSet::with_capacity(tuples.len());
    let mut is_new = Vec::with_capacity(tuples.len());
    for tuple in tuples.iter().rev() {
        validate(model, tuple).map_err(|reason| invalid(tuple, reason))?;
        if !seen.insert((&tuple.user, &tuple.relation, &tuple.object)) {
            is_new.push(false);
            continue;
        }
        let stored = unexpired(snapshot, tuple, now_micros);
        is_new.push(stored.is_none());
        if stored.is_some_and(|stored| !is_same(stored, Guard::of(tuple))) {
            return Err(WriteError::Conflict(tuple.to_string()));
        }
    }
    drop(seen);
    let counting = tuples.into_iter().zip(is_new.into_iter().rev());
    Ok(counting.filter(|(_, is_new)| *is_new).map(|(tuple, _)| Change::Write(tuple)).collect())
}

/// The guard of the stored tuple, unless it has expired; the outer `None` means that there is none.
fn unexpired<'a>(
    snapshot: &'a Snapshot,
    tuple: &TupleKey,
    now_micros: Option<i64>,
) -> Option<Option<Guard<'a>>> {
    stored(snapshot, &tuple.delete_key()).filter(|guard| {
        let validity = guard.map(|guard| guard.validity).unwrap_or_default();
        !now_micros.is_some_and(|now| validity.is_expired_at(now))
    })
}

fn validate(model: &StoreModel, tuple: &TupleKey) -> Result<(), TupleError> {
    model.validate_tuple(tuple)?;
    if let Ok(UserRef::Userset { relation, .. }) = parse_user(&tuple.user)
        && relation == tuple.relation
        && tuple.user.strip_suffix(relation).and_then(|u| u.strip_suffix('#'))
            == Some(&tuple.object)
    {
        return Err(TupleError::Implicit);
    }
    if tuple.validity.is_never() {
        return Err(TupleError::NeverValid);
    }
    if let Some(condition) = &tuple.condition {
        let size = serde_json::to_string(&condition.context).map_or(usize::MAX, |text| text.len());
        if size > MAX_CONDITION_CONTEXT_BYTES {
            let limit = MAX_CONDITION_CONTEXT_BYTES;
            return Err(TupleError::ContextTooLarge { size, limit });
        }
    }
    Ok(())
}

fn check_duplicates(request: &WriteRequest) -> Result<(), WriteError> {
    let mut seen = BTreeSet::new();
    let writes = request.writes.iter().map(TupleKey::delete_key);
    for key in request.deletes.iter().cloned().chain(writes) {
        let DeleteKey { user, relation, object } = key.clone();
        if !seen.insert(key) {
            return Err(WriteError::Duplicate { user, relation, object });
        }
    }
    let most = request.max_tuples.unwrap_or(MAX_TUPLES_PER_WRITE);
    if seen.len() > most {
        return Err(WriteError::TooMany(most));
    }
    Ok(())
}

fn is_same(one: Option<Guard<'_>>, other: Option<Guard<'_>>) -> bool {
    let validity = |guard: Option<Guard<'_>>| guard.map(|guard| guard.validity).unwrap_or_default();
    one.and_then(|guard| guard.condition) == other.and_then(|guard| guard.condition)
        && validity(one) == validity(other)
}

/// The guard of the stored tuple; the outer `None` means that there is no tuple.
fn stored<'a>(snapshot: &'a Snapshot, key: &DeleteKey) -> Option<Option<Guard<'a>>> {
    let place = find(snapshot, key)?;
    snapshot.table(place.table)?.find(place.object, place.subject)
}

fn invalid(tuple: &TupleKey, reason: TupleError) -> WriteError {
    WriteError::InvalidTuple { tuple: tuple.to_string(), reason }
}
