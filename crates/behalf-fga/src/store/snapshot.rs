//! One immutable version of a store.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashMap;

use super::changes::{self, Change};
use super::guards::{GuardPool, Guards, HeldGuard};
use super::names::{Names, Sought};
use super::rows::{Edge, Rows};
use crate::engine::StoreModel;
use crate::error::WriteError;
use crate::model::{AuthorizationModel, InvalidModel};
use crate::tuple::{Guard, TupleKey};

/// So many names are looked for together.
const TOGETHER: usize = 64;

/// Counts the applied writes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// One immutable version of a store's tuples; cloning the `Arc` around it is all a reader does.
#[derive(Clone, Default)]
pub struct Snapshot {
    identity: Arc<Identity>,
    revision: Revision,
    pub(super) types: Names,
    pub(super) relations: Names,
    /// Object ids by type number.
    pub(super) objects: Vec<Arc<Names>>,
    pub(super) tables: Vec<Arc<Table>>,
    table_numbers: Arc<HashMap<TableKey, u32>>,
    pub(super) guard_pool: Arc<GuardPool>,
}

/// Tells stores apart, so that a model bound to one is not used with another. It has a size so that
/// two of them have two addresses.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    _size: u8,
}

/// The tuples of one object type, relation and subject class.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) key: TableKey,
    /// Object → subjects.
    pub(crate) forward: Rows,
    /// Subject → objects.
    pub(crate) reverse: Rows,
    /// What the tuples under a condition or for a time depend on.
    pub(super) guards: Guards,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableKey {
    pub(crate) object_type: u32,
    pub(crate) relation: u32,
    pub(crate) subject_type: u32,
    pub(crate) subject: SubjectKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SubjectKind {
    Object,
    /// The subject is always number 0.
    Wildcard,
    /// Usersets with this relation.
    Userset(u32),
}

/// Where a snapshot's memory goes, in bytes without allocator overhead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// How many tuples there are.
    pub tuples: usize,
    /// Names and their index.
    pub names: usize,
    /// Edges both ways, with their directories.
    pub edges: usize,
    /// What guarded tuples depend on: conditions with their contexts, and times. Versions share
    /// these, and it is counted what all of them have.
    pub guards: usize,
}

impl Footprint {
    /// All of it.
    pub fn bytes(&self) -> usize {
        self.names + self.edges + self.guards
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("tables", &self.tables.len())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The revision this version is.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The version there would be if these changes were applied; this one and the store stay as
    /// they are. Models bound to the store can be used with it.
    ///
    /// # Errors
    /// As [`crate::FgaStore::apply`].
    pub fn with_changes(&self, changes: &[Change]) -> Result<Self, WriteError> {
        let mut next = self.clone();
        next.apply(changes)?;
        Ok(next)
    }

    /// Applies changes in place, as one write; when it fails, a part of them may be applied.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        for change in changes {
            changes::apply(self, change)?;
        }
        self.revision = Revision(self.revision.0 + 1);
        Ok(())
    }

    /// The version seen through a model that the store does not have; only the two belong together.
    ///
    /// # Errors
    /// As [`crate::FgaStore::add_model`].
    pub fn with_model(
        &self,
        model: AuthorizationModel,
    ) -> Result<(Self, StoreModel), InvalidModel> {
        let mut next = Self { identity: Arc::default(), ..self.clone() };
        let model = StoreModel::bind(model, &mut next)?;
        Ok((next, model))
    }

    /// How many tuples there are.
    pub fn tuple_count(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// How much memory the version uses; walks the whole store.
    pub fn footprint(&self) -> Footprint {
        let names = self.types.bytes()
            + self.relations.bytes()
            + self.objects.iter().map(|names| names.bytes()).sum::<usize>();
        let table = |table: &Arc<Table>| {
            table.forward.bytes() + table.reverse.bytes() + table.guards.bytes()
        };
        let edges = self.tables.iter().map(table).sum();
        Footprint { tuples: self.tuple_count(), names, edges, guards: self.guard_pool.bytes() }
    }

    /// All tuples, in no promised order.
    pub fn tuples(&self) -> impl Iterator<Item = TupleKey> {
        self.tables.iter().flat_map(move |table| {
            let objects = table.forward.numbers();
            objects.flat_map(move |object| {
                let edges = table.edges(object);
                edges.map(move |(subject, guard)| self.tuple(&table.key, object, subject, guard))
            })
        })
    }

    /// The text of a stored tuple.
    pub(super) fn tuple(
        &self,
        key: &TableKey,
        object: u32,
        subject: u32,
        guard: Option<Guard<'_>>,
    ) -> TupleKey {
        let id = |object_type, number| self.object_id(object_type, number).unwrap_or_default();
        TupleKey {
            user: self.subject_text(key, id(key.subject_type, subject)),
            relation: self.relation_name(key.relation).to_owned(),
            object: format!("{}:{}", self.type_name(key.object_type), id(key.object_type, object)),
            condition: guard.and_then(|guard| guard.condition).cloned(),
            validity: guard.map(|guard| guard.validity).unwrap_or_default(),
        }
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    pub(crate) fn table(&self, number: u32) -> Option<&Table> {
        self.tables.get(number as usize).map(|table| &**table)
    }

    pub(crate) fn table_number(&self, key: &TableKey) -> Option<u32> {
        self.table_numbers.get(key).copied()
    }

    pub(crate) fn type_number(&self, name: &str) -> Option<u32> {
        self.types.find(name)
    }

    pub(crate) fn relation_number(&self, name: &str) -> Option<u32> {
        self.relations.find(name)
    }

    pub(crate) fn object_number(&self, object_type: u32, id: &str) -> Option<u32> {
        self.objects.get(object_type as usize)?.find(id)
    }

    /// The numbers of two objects, each a type's number and an id, looked for together.
    pub(crate) fn two_object_numbers(
        &self,
        one: (u32, &str),
        other: (u32, &str),
    ) -> (Option<u32>, Option<u32>) {
        let names = |(object_type, _): (u32, &str)| self.objects.get(object_type as usize);
        let (Some(ones), Some(others)) = (names(one), names(other)) else {
            let number = |(object_type, id)| self.object_number(object_type, id);
            return (number(one), number(other));
        };
        let sought = (ones.seek(one.1), others.seek(other.1));
        black_box(ones.touch(sought.0) ^ others.touch(sought.1));
        (ones.find_sought(sought.0, one.1), others.find_sought(sought.1, other.1))
    }

    /// The numbers of many objects, each a type's number and an id. Everything that their searches
    /// look at is read before the first search, so that waiting for memory overlaps.
    pub(crate) fn object_numbers(&self, wanted: &[(u32, &str)]) -> Vec<Option<u32>> {
        let mut numbers = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(TOGETHER) {
            let sought: Vec<Option<(&Names, Sought)>> = wanted
                .iter()
                .map(|(object_type, id)| {
                    let names = self.objects.get(*object_type as usize)?;
                    Some((&**names, names.seek(id)))
                })
                .collect();
            let touched = sought.iter().flatten().map(|(names, sought)| names.touch(*sought));
            black_box(touched.fold(0, |sum, byte| sum ^ byte));
            let found = wanted.iter().zip(sought).map(|((_, id), sought)| {
                let (names, sought) = sought?;
                names.find_sought(sought, id)
            });
            numbers.extend(found);
        }
        numbers
    }

    pub(crate) fn object_id(&self, object_type: u32, number: u32) -> Option<&str> {
        self.objects.get(object_type as usize)?.name(number)
    }

    /// The type's number, given now if it has none.
    pub(crate) fn intern_type(&mut self, name: &str) -> Option<u32> {
        let number = self.types.intern(name)?;
        if self.objects.len() <= number as usize {
            self.objects.resize_with(number as usize + 1, Arc::default);
        }
        Some(number)
    }

    pub(crate) fn intern_relation(&mut self, name: &str) -> Option<u32> {
        self.relations.intern(name)
    }

    pub(super) fn intern_object(&mut self, object_type: u32, id: &str) -> Option<u32> {
        Arc::make_mut(self.objects.get_mut(object_type as usize)?).intern(id)
    }

    /// The number of a table, which is created if absent.
    pub(crate) fn ensure_table(&mut self, key: TableKey) -> Option<u32> {
        if let Some(number) = self.table_number(&key) {
            return Some(number);
        }
        self.add_table(Table::new(key))
    }

    /// Gives a new table the next number; nothing if there is one with its key.
    pub(super) fn add_table(&mut self, table: Table) -> Option<u32> {
        let number = u32::try_from(self.tables.len()).ok()?;
        if Arc::make_mut(&mut self.table_numbers).insert(table.key, number).is_some() {
            return None;
        }
        self.tables.push(Arc::new(table));
        Some(number)
    }

    /// A version without tables.
    pub(super) fn of_parts(
        revision: Revision,
        types: Names,
        relations: Names,
        objects: Vec<Arc<Names>>,
    ) -> Self {
        Self { revision, types, relations, objects, ..Self::default() }
    }

    pub(crate) fn type_name(&self, number: u32) -> &str {
        self.types.name(number).unwrap_or_default()
    }

    pub(crate) fn relation_name(&self, relation: u32) -> &str {
        self.relations.name(relation).unwrap_or_default()
    }

    /// The text of a table's subject with this id, which a wildcard does not have.
    pub(crate) fn subject_text(&self, key: &TableKey, id: &str) -> String {
        let type_name = self.type_name(key.subject_type);
        match key.subject {
            SubjectKind::Object => format!("{type_name}:{id}"),
            SubjectKind::Wildcard => format!("{type_name}:*"),
            SubjectKind::Userset(relation) => {
                format!("{type_name}:{id}#{}", self.relation_name(relation))
            }
        }
    }
}

impl Table {
    pub(super) fn new(key: TableKey) -> Self {
        let (forward, reverse) = (Rows::default(), Rows::default());
        Self { key, forward, reverse, guards: Guards::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.forward.len()
    }

    /// The guard of a stored edge; the outer `None` means that there is no edge.
    pub(crate) fn find(&self, object: u32, subject: u32) -> Option<Option<Guard<'_>>> {
        self.guard(object, self.forward.find(object, subject)?)
    }

    /// The subjects of an object, with their guards.
    pub(crate) fn edges(&self, object: u32) -> impl Iterator<Item = (u32, Option<Guard<'_>>)> {
        let row = self.forward.row(object).iter();
        row.filter_map(move |edge| Some((edge.end(), self.guard(object, edge)?)))
    }

    /// The guard of an object's edge. A guarded edge without its guard would be damage, and is as
    /// if it were not there.
    pub(crate) fn guard(&self, object: u32, edge: Edge) -> Option<Option<Guard<'_>>> {
        if !edge.is_guarded() {
            return Some(None);
        }
        self.guards.find(object, edge.end()).map(|held| Some(held.guard()))
    }

    /// The subjects of an object from the number `from` on, in order, with their guards.
    pub(super) fn edges_from(
        &self,
        object: u32,
        from: u32,
    ) -> impl Iterator<Item = (u32, Option<Guard<'_>>)> {
        let row = self.forward.row(object).iter_from(from);
        row.filter_map(move |edge| Some((edge.end(), self.guard(object, edge)?)))
    }

    /// The objects of a subject from the number `from` on, in order.
    pub(super) fn objects_from(&self, subject: u32, from: u32) -> impl Iterator<Item = u32> {
        self.reverse.row(subject).iter_from(from).map(Edge::end)
    }

    /// The first object from the number `from` on that has subjects.
    pub(super) fn next_object(&self, from: u32) -> Option<u32> {
        self.forward.next_row(from)
    }

    /// Puts an edge in, in place of one with the same ends.
    pub(super) fn insert(&mut self, object: u32, subject: u32, held: Option<Arc<HeldGuard>>) {
        self.forward.insert(object, Edge::new(subject, held.is_some()));
        self.reverse.insert(subject, Edge::new(object, held.is_some()));
        match held {
            None => self.guards.remove(object, subject),
            Some(held) => self.guards.insert(object, subject, held),
        }
    }

    /// Takes an edge out, if it is there.
    pub(super) fn remove(&mut self, object: u32, subject: u32) {
        if self.forward.remove(object, subject) {
            self.reverse.remove(subject, object);
            self.guards.remove(object, subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Snapshot};
    use crate::tuple::{TupleKey, Validity};

    #[test]
    fn a_footprint_is_of_all_names_and_all_tables() {
        let validity = Validity { expires_at_micros: Some(1), ..Validity::default() };
        let changes = [
            TupleKey::new("user:1", "viewer", "doc:1"),
            TupleKey { validity, ..TupleKey::new("user:2", "viewer", "doc:1") },
            TupleKey::new("user:1", "member", "group:1"),
        ]
        .map(Change::Write);
        let snapshot = Snapshot::default().with_changes(&changes).unwrap();
        let footprint = snapshot.footprint();
        let objects = [0, 1, 2].map(|number| snapshot.objects[number].bytes());
        let names = [snapshot.types.bytes(), snapshot.relations.bytes()];
        assert_eq!(footprint.names, names.into_iter().chain(objects).sum::<usize>());
        let tables = snapshot.tables.iter();
        let parts = tables
            .flat_map(|table| [table.forward.bytes(), table.reverse.bytes(), table.guards.bytes()]);
        let parts: Vec<usize> = parts.collect();
        assert_eq!(parts.iter().filter(|bytes| **bytes > 0).count(), 5);
        assert_eq!((footprint.tuples, footprint.edges), (3, parts.iter().sum()));
        let guards = snapshot.guard_pool.bytes();
        assert!(guards > 0);
        assert_eq!(
            (footprint.guards, footprint.bytes()),
            (guards, footprint.names + footprint.edges + guards)
        );
    }
}
