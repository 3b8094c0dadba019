//! Contextual tuples and the names only one request knows.

use hashbrown::HashMap;

use super::plan::{StoreModel, Subject};
use super::request::RequestContext;
use crate::error::RequestError;
use crate::store::{SCRATCH, Snapshot};
use crate::tuple::{Guard, UserRef};

/// A request's additions to the store.
#[derive(Debug, Default)]
pub(super) struct Overlay<'a> {
    /// By table and object, in the order they were given.
    forward: Vec<ContextualEdge<'a>>,
    /// By table and subject.
    reverse: Vec<(u32, u32, u32)>,
    scratch: HashMap<(u32, Box<str>), u32>,
    scratch_names: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ContextualEdge<'a> {
    table: u32,
    object: u32,
    pub(super) subject: u32,
    pub(super) guard: Option<Guard<'a>>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(
        snapshot: &Snapshot,
        model: &StoreModel,
        request: &RequestContext<'a>,
    ) -> Result<Self, RequestError> {
        if !model.belongs_to(snapshot) {
            return Err(RequestError::ForeignModel);
        }
        let limit = request.limits.max_contextual_tuples;
        if request.contextual_tuples.len() > limit {
            return Err(RequestError::TooMany { what: "contextual tuples", limit });
        }
        let mut overlay = Self::default();
        for tuple in request.contextual_tuples {
            let invalid =
                |reason| RequestError::InvalidContextualTuple { tuple: tuple.to_string(), reason };
            let resolved =
                model.resolve(&tuple.user, &tuple.relation, &tuple.object).map_err(invalid)?;
            let class = model.direct_class_of(&resolved, tuple).map_err(invalid)?;
            let Some(node) = model.node(resolved.node) else { continue };
            let object = overlay.object(snapshot, node.object_type, resolved.object.id);
            let subject = match resolved.user {
                UserRef::Wildcard { .. } => 0,
                UserRef::Object(user) | UserRef::Userset { object: user, .. } => {
                    overlay.object(snapshot, class.subject_type, user.id)
                }
            };
            let table = class.table;
            let guard = Guard::of(tuple);
            overlay.forward.push(ContextualEdge { table, object, subject, guard });
            overlay.reverse.push((table, subject, object));
        }
        // Stable, so that of equal keys the first given stays first.
        overlay.forward.sort_by_key(|edge| (edge.table, edge.object));
        overlay.reverse.sort_unstable();
        Ok(overlay)
    }

    /// The number of an object in this request.
    pub(super) fn object(&mut self, snapshot: &Snapshot, object_type: u32, id: &str) -> u32 {
        self.numbered(snapshot.object_number(object_type, id), object_type, id)
    }

    /// The number of an object in this request, given its number in the store.
    pub(super) fn numbered(&mut self, stored: Option<u32>, object_type: u32, id: &str) -> u32 {
        if let Some(number) = stored.or_else(|| self.scratch(object_type, id)) {
            return number;
        }
        let key: (u32, Box<str>) = (object_type, Box::from(id));
        let number = SCRATCH + u32::try_from(self.scratch_names.len()).unwrap_or(SCRATCH - 1);
        self.scratch_names.push(key.1.clone());
        self.scratch.insert(key, number);
        number
    }

    /// The number of an object that the store or the request knows.
    pub(super) fn known(&self, snapshot: &Snapshot, object_type: u32, id: &str) -> Option<u32> {
        let stored = snapshot.object_number(object_type, id);
        stored.or_else(|| self.scratch(object_type, id))
    }

    fn scratch(&self, object_type: u32, id: &str) -> Option<u32> {
        if self.scratch.is_empty() {
            return None;
        }
        self.scratch.get(&(object_type, Box::from(id))).copied()
    }

    /// The id of an object in this request.
    pub(super) fn id<'s>(
        &'s self,
        snapshot: &'s Snapshot,
        object_type: u32,
        number: u32,
    ) -> Option<&'s str> {
        match number.checked_sub(SCRATCH) {
            None => snapshot.object_id(object_type, number),
            Some(at) => self.scratch_names.get(at as usize).map(|name| &**name),
        }
    }

    /// True if the request has no tuples of its own.
    pub(super) fn is_empty(&self) -> bool {
        self.forward.is_empty()
    }

    pub(super) fn edges(&self, table: u32, object: u32) -> &[ContextualEdge<'a>] {
        if self.forward.is_empty() {
            return &[];
        }
        let key = (table, object);
        let start = self.forward.partition_point(|edge| (edge.table, edge.object) < key);
        let end = self.forward.partition_point(|edge| (edge.table, edge.object) <= key);
        self.forward.get(start..end).unwrap_or(&[])
    }

    /// The objects a subject is related to through a table.
    pub(super) fn objects(&self, table: u32, subject: u32) -> impl Iterator<Item = u32> {
        let start = self.reverse.partition_point(|&(t, s, _)| (t, s) < (table, subject));
        self.reverse
            .iter()
            .skip(start)
            .take_while(move |&&(t, s, _)| (t, s) == (table, subject))
            .map(|&(_, _, object)| object)
    }
}

/// The subject's kind in the terms of a class.
pub(super) fn matches(class: Subject, is_wildcard: bool) -> bool {
    matches!((class, is_wildcard), (Subject::Object, false) | (Subject::Wildcard, true))
}
