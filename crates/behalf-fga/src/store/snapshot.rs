//! One immutable version of a store.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use super::names::Names;
use super::rows::{Edge, Rows};
use crate::tuple::{TupleCondition, TupleKey};

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
    /// Object → subjects, without condition.
    pub(crate) plain: Rows<u32>,
    /// Object → subjects, with their conditions.
    pub(crate) conditioned: Rows<ConditionedEdge>,
    /// Subject → objects, with or without condition.
    pub(crate) reverse: Rows<u32>,
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

#[derive(Clone, Debug)]
pub(crate) struct ConditionedEdge {
    pub(crate) subject: u32,
    pub(crate) condition: Arc<TupleCondition>,
}

impl Edge for ConditionedEdge {
    fn key(&self) -> u32 {
        self.subject
    }
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
            table.plain.bytes() + table.conditioned.bytes() + table.reverse.bytes()
        };
        let edges = self.tables.iter().map(table).sum();
        Footprint { tuples: self.tuple_count(), names, edges }
    }

    /// All tuples, in no promised order.
    pub fn tuples(&self) -> impl Iterator<Item = TupleKey> {
        self.tables.iter().flat_map(|table| {
            let plain = table.plain.all().map(|(object, subject)| (object, *subject, None));
            let conditioned = table
                .conditioned
                .all()
                .map(|(object, edge)| (object, edge.subject, Some(&edge.condition)));
            plain.chain(conditioned).map(|(object, subject, condition)| TupleKey {
                user: self.subject_text(&table.key, subject),
                relation: self.relation_name(table.key.relation).to_owned(),
                object: self.object_text(table.key.object_type, object),
                condition: condition.map(|condition| (**condition).clone()),
            })
        })
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    pub(super) fn advance(&mut self) {
        self.revision = Revision(self.revision.0 + 1);
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
        let number = u32::try_from(self.tables.len()).ok()?;
        self.tables.push(Arc::new(Table {
            key,
            plain: Rows::default(),
            conditioned: Rows::default(),
            reverse: Rows::default(),
        }));
        Arc::make_mut(&mut self.table_numbers).insert(key, number);
        Some(number)
    }

    fn object_text(&self, object_type: u32, number: u32) -> String {
        let type_name = self.types.name(object_type).unwrap_or_default();
        let id = self.object_id(object_type, number).unwrap_or_default();
        format!("{type_name}:{id}")
    }

    fn relation_name(&self, relation: u32) -> &str {
        self.relations.name(relation).unwrap_or_default()
    }

    fn subject_text(&self, key: &TableKey, number: u32) -> String {
        match key.subject {
            SubjectKind::Object => self.object_text(key.subject_type, number),
            SubjectKind::Wildcard => {
                format!("{}:*", self.types.name(key.subject_type).unwrap_or_default())
            }
            SubjectKind::Userset(relation) => {
                let object = self.object_text(key.subject_type, number);
                format!("{object}#{}", self.relation_name(relation))
            }
        }
    }
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.conditioned.len()
    }

    /// The condition of a stored edge; the outer `None` means that there is no edge.
    pub(crate) fn find(&self, object: u32, subject: u32) -> Option<Option<&TupleCondition>> {
        if self.plain.find(object, subject).is_some() {
            return Some(None);
        }
        self.conditioned.find(object, subject).map(|edge| Some(&*edge.condition))
    }

    /// The subjects of an object, with their conditions.
    pub(crate) fn edges(
        &self,
        object: u32,
    ) -> impl Iterator<Item = (u32, Option<&TupleCondition>)> {
        let plain = self.plain.row(object).map(|subject| (*subject, None));
        let conditioned =
            self.conditioned.row(object).map(|edge| (edge.subject, Some(&*edge.condition)));
        plain.chain(conditioned)
    }
}
