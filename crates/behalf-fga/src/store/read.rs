//! Stored tuples by what is known of them: a page costs what it holds, not what the store holds.
//!
//! Tuples come by table, in the order of the tables' names, and within one by their numbers, which
//! are never given anew: whoever goes on behind a tuple meets every other that did not change once.

use std::iter;

use super::changes::Change;
use super::snapshot::{Snapshot, SubjectKind, Table};
use super::write::DeleteKey;
use crate::tuple::{Guard, TupleKey, UserRef, parse_object, parse_user};

/// Which tuples to read; empty members admit everything, `type:` admits every object of the type.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the tuple's of its name")]
pub struct TupleFilter {
    pub user: String,
    pub relation: String,
    pub object: String,
}

/// A table's place among the others: object type, relation, subject type, kind of subject, its
/// relation.
type Place<'a> = (&'a str, &'a str, &'a str, u8, &'a str);

/// A filter in its parts.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'a> {
    object_type: Option<&'a str>,
    object_id: Option<&'a str>,
    relation: Option<&'a str>,
    user: Option<UserRef<'a>>,
}

/// Behind which tuple of a table to go on.
#[derive(Clone, Copy, Debug)]
struct Behind {
    object: u32,
    subject: u32,
}

type Found<'a> = Box<dyn Iterator<Item = (u32, u32, Option<Guard<'a>>)> + 'a>;

impl TupleFilter {
    /// The parts; `None` when no tuple can have them.
    fn wanted(&self) -> Option<Wanted<'_>> {
        let mut wanted = Wanted::default();
        if let Some(object_type) = self.object.strip_suffix(':') {
            wanted.object_type = Some(object_type);
        } else if !self.object.is_empty() {
            let object = parse_object(&self.object).ok()?;
            wanted.object_type = Some(object.type_name);
            wanted.object_id = Some(object.id);
        }
        if !self.relation.is_empty() {
            wanted.relation = Some(&self.relation);
        }
        if !self.user.is_empty() {
            wanted.user = Some(parse_user(&self.user).ok()?);
        }
        Some(wanted)
    }
}

impl Snapshot {
    /// The tuples that a filter admits, in an order that does not change with the version; with
    /// `after` those behind that tuple, which may be gone. `None` when the store never had it.
    pub fn matching<'a>(
        &'a self,
        filter: &'a TupleFilter,
        after: Option<&'a DeleteKey>,
    ) -> Option<impl Iterator<Item = TupleKey> + 'a> {
        let after = match after {
            None => None,
            Some(key) => Some(self.behind(key)?),
        };
        let wanted = filter.wanted();
        let mut tables: Vec<(Place<'a>, &'a Table)> = self
            .tables
            .iter()
            .map(|table| (self.place(table), &**table))
            .filter(|(place, _)| wanted.is_some_and(|wanted| wanted.admits(place)))
            .filter(|(place, _)| after.is_none_or(|(after, _)| *place >= after))
            .collect();
        tables.sort_unstable_by_key(|(place, _)| *place);
        let wanted = wanted.unwrap_or_default();
        Some(tables.into_iter().flat_map(move |(place, table)| {
            let behind = after.filter(|(after, _)| *after == place).map(|(_, behind)| behind);
            let found = self.find_in(table, wanted, behind);
            found.map(|(object, subject, guard)| self.tuple(&table.key, object, subject, guard))
        }))
    }

    /// As [`Self::matching`], as the changes that delete those tuples.
    pub fn deletes<'a>(&'a self, filter: &'a TupleFilter) -> impl Iterator<Item = Change> + 'a {
        let tuples = self.matching(filter, None).into_iter().flatten();
        tuples.map(|tuple| {
            let TupleKey { user, relation, object, .. } = tuple;
            Change::Delete(DeleteKey { user, relation, object })
        })
    }

    fn place(&self, table: &Table) -> Place<'_> {
        let key = &table.key;
        let (kind, relation) = match key.subject {
            SubjectKind::Object => (0, ""),
            SubjectKind::Wildcard => (1, ""),
            SubjectKind::Userset(relation) => (2, self.relation_name(relation)),
        };
        (
            self.type_name(key.object_type),
            self.relation_name(key.relation),
            self.type_name(key.subject_type),
            kind,
            relation,
        )
    }

    /// The place of a tuple that is or was stored.
    fn behind<'a>(&self, key: &'a DeleteKey) -> Option<(Place<'a>, Behind)> {
        let (object, user) = (parse_object(&key.object).ok()?, parse_user(&key.user).ok()?);
        let (kind, relation, id) = match user {
            UserRef::Object(object) => (0, "", Some(object.id)),
            UserRef::Wildcard { .. } => (1, "", None),
            UserRef::Userset { object, relation } => (2, relation, Some(object.id)),
        };
        let number =
            |type_name: &str, id: &str| self.object_number(self.type_number(type_name)?, id);
        let behind = Behind {
            object: number(object.type_name, object.id)?,
            subject: match id {
                Some(id) => number(user.type_name(), id)?,
                None => 0,
            },
        };
        let place = (object.type_name, key.relation.as_str(), user.type_name(), kind, relation);
        Some((place, behind))
    }

    /// The tuples of one table, behind one of them: by its object, by its subject, or all.
    fn find_in<'a>(
        &'a self,
        table: &'a Table,
        wanted: Wanted<'_>,
        behind: Option<Behind>,
    ) -> Found<'a> {
        let key = &table.key;
        let object = wanted.object_id.map(|id| self.object_number(key.object_type, id));
        let subject = wanted.user.map(|user| match user {
            UserRef::Wildcard { .. } => Some(0),
            UserRef::Object(object) | UserRef::Userset { object, .. } => {
                self.object_number(key.subject_type, object.id)
            }
        });
        let next = |number: fn(&Behind) -> u32| {
            behind.as_ref().map_or(0, |behind| number(behind).saturating_add(1))
        };
        match (object, subject) {
            // A name without a number is in no tuple.
            (Some(None), _) | (_, Some(None)) => Box::new(iter::empty()),
            (Some(Some(object)), Some(Some(subject))) => {
                let guard = table.find(object, subject).filter(|_| behind.is_none());
                Box::new(guard.map(|guard| (object, subject, guard)).into_iter())
            }
            (Some(Some(object)), None) => {
                let edges = table.edges_from(object, next(|behind| behind.subject));
                Box::new(edges.map(move |(subject, guard)| (object, subject, guard)))
            }
            (None, Some(Some(subject))) => {
                let objects = table.objects_from(subject, next(|behind| behind.object));
                Box::new(objects.filter_map(move |object| {
                    table.find(object, subject).map(|guard| (object, subject, guard))
                }))
            }
            (None, None) => {
                let first = behind.map_or(0, |behind| behind.object);
                let objects = iter::successors(table.next_object(first), |object| {
                    table.next_object(object.checked_add(1)?)
                });
                Box::new(objects.flat_map(move |object| {
                    let from = behind.filter(|behind| behind.object == object);
                    let from = from.map_or(0, |behind| behind.subject.saturating_add(1));
                    let edges = table.edges_from(object, from);
                    edges.map(move |(subject, guard)| (object, subject, guard))
                }))
            }
        }
    }
}

impl Wanted<'_> {
    fn admits(&self, place: &Place<'_>) -> bool {
        let (object_type, relation, subject_type, kind, subject_relation) = *place;
        let is_user = self.user.is_none_or(|user| {
            let is_kind = match user {
                UserRef::Object(_) => kind == 0,
                UserRef::Wildcard { .. } => kind == 1,
                UserRef::Userset { relation, .. } => kind == 2 && relation == subject_relation,
            };
            is_kind && user.type_name() == subject_type
        });
        self.object_type.is_none_or(|wanted| wanted == object_type)
            && self.relation.is_none_or(|wanted| wanted == relation)
            && is_user
    }
}
