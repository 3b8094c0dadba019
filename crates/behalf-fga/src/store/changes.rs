//! Applies single changes to a version that is being made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::guards::HeldGuard;
use super::snapshot::{Snapshot, SubjectKind, Table, TableKey};
use super::write::DeleteKey;
use crate::error::{TupleError, WriteError};
use crate::tuple::{Guard, ObjectRef, TupleKey, UserRef, parse_object, parse_user};

/// One change, as a log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The tuple is there afterwards, with this condition.
    Write(TupleKey),
    /// No tuple with this key is there afterwards.
    Delete(DeleteKey),
}

pub(super) fn apply(snapshot: &mut Snapshot, change: &Change) -> Result<(), WriteError> {
    match change {
        Change::Write(tuple) => write(snapshot, tuple),
        Change::Delete(key) => {
            if let Some(place) = find(snapshot, key)
                && let Some(table) = table_mut(snapshot, place.table)
            {
                table.remove(place.object, place.subject);
            }
            Ok(())
        }
    }
}

/// Where a tuple is or would be.
pub(super) struct Place {
    pub(super) table: u32,
    pub(super) object: u32,
    pub(super) subject: u32,
}

/// Finds the place of a key whose names all have numbers.
pub(super) fn find(snapshot: &Snapshot, key: &DeleteKey) -> Option<Place> {
    let object = parse_object(&key.object).ok()?;
    let user = parse_user(&key.user).ok()?;
    let object_type = snapshot.type_number(object.type_name)?;
    let subject_type = snapshot.type_number(user.type_name())?;
    let (subject_kind, id) = match user {
        UserRef::Object(object) => (SubjectKind::Object, Some(object.id)),
        UserRef::Wildcard { .. } => (SubjectKind::Wildcard, None),
        UserRef::Userset { object, relation } => {
            (SubjectKind::Userset(snapshot.relation_number(relation)?), Some(object.id))
        }
    };
    let relation = snapshot.relation_number(&key.relation)?;
    let table_key = TableKey { object_type, relation, subject_type, subject: subject_kind };
    Some(Place {
        table: snapshot.table_number(&table_key)?,
        object: snapshot.object_number(object_type, object.id)?,
        subject: match id {
            Some(id) => snapshot.object_number(subject_type, id)?,
            None => 0,
        },
    })
}

fn write(snapshot: &mut Snapshot, tuple: &TupleKey) -> Result<(), WriteError> {
    let invalid =
        |reason: TupleError| WriteError::InvalidTuple { tuple: tuple.to_string(), reason };
    let object = parse_object(&tuple.object).map_err(invalid)?;
    let user = parse_user(&tuple.user).map_err(invalid)?;
    let place = intern(snapshot, object, &tuple.relation, user)?;
    let held = Guard::of(tuple)
        .map(|guard| HeldGuard { condition: guard.condition.cloned(), validity: guard.validity })
        .map(|held| snapshot.guard_pool.share(held));
    let Some(table) = table_mut(snapshot, place.table) else {
        return Err(WriteError::Full("tables"));
    };
    table.insert(place.object, place.subject, held);
    Ok(())
}

fn intern(
    snapshot: &mut Snapshot,
    object: ObjectRef<'_>,
    relation: &str,
    user: UserRef<'_>,
) -> Result<Place, WriteError> {
    let full = |what: &'static str| move || WriteError::Full(what);
    let object_type = snapshot.intern_type(object.type_name).ok_or_else(full("types"))?;
    let subject_type = snapshot.intern_type(user.type_name()).ok_or_else(full("types"))?;
    let relation = snapshot.intern_relation(relation).ok_or_else(full("relations"))?;
    let (subject, id) = match user {
        UserRef::Object(object) => (SubjectKind::Object, Some(object.id)),
        UserRef::Wildcard { .. } => (SubjectKind::Wildcard, None),
        UserRef::Userset { object, relation } => {
            let relation = snapshot.intern_relation(relation).ok_or_else(full("relations"))?;
            (SubjectKind::Userset(relation), Some(object.id))
        }
    };
    let key = TableKey { object_type, relation, subject_type, subject };
    Ok(Place {
        table: snapshot.ensure_table(key).ok_or_else(full("tables"))?,
        object: snapshot.intern_object(object_type, object.id).ok_or_else(full("objects"))?,
        subject: match id {
            Some(id) => snapshot.intern_object(subject_type, id).ok_or_else(full("objects"))?,
            None => 0,
        },
    })
}

fn table_mut(snapshot: &mut Snapshot, number: u32) -> Option<&mut Table> {
    snapshot.tables.get_mut(number as usize).map(Arc::make_mut)
}
