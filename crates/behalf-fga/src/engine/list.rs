//! List objects: candidates by walking backwards from the user, each then checked.
//!
//! The walk follows every reference, so its candidates include every object the user can have the
//! relation to; the check, which shares one memory over all candidates, decides. The result is
//! complete: nothing is cut off silently.

use hashbrown::HashSet;

use super::evaluate::{Evaluator, Pair, SubjectId, SubjectKindId};
use super::overlay::Overlay;
use super::plan::{NodeId, StoreModel, Subject, Via};
use super::request::{ListObjectsRequest, target, user};
use crate::error::RequestError;
use crate::store::Snapshot;

impl Snapshot {
    /// Lists the objects of a type to which the user has the relation, as `type:id`, each once, in
    /// no promised order.
    ///
    /// # Errors
    /// When the request is invalid under the model, a bound is reached, or the check of a candidate
    /// is an error: a list that might be incomplete is not returned.
    pub fn list_objects(
        &self,
        model: &StoreModel,
        list: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        let node = target(model, list.object_type, list.relation)?;
        let mut overlay = Overlay::new(self, model, &list.request)?;
        let subject = user(self, model, &mut overlay, list.user)?;
        let max_steps = list.request.limits.max_steps;
        let candidates = Walk::new(self, model, &overlay, subject, node, max_steps).run()?;
        let mut evaluator = Evaluator::new(self, model, &overlay, &list.request, subject);
        let mut found = Vec::new();
        for object in candidates {
            if !evaluator.check(node, object)? {
                continue;
            }
            let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
            if let Some(id) = overlay.id(self, object_type, object) {
                found.push(format!("{}:{id}", list.object_type));
            }
        }
        Ok(found)
    }

    /// Lists by id every object of a type to which the user might have the relation: conditions,
    /// intersections and exclusions are not looked at, so there may be some too many and never one
    /// too few.
    ///
    /// # Errors
    /// When the request is invalid under the model, or a bound is reached.
    pub fn list_candidates(
        &self,
        model: &StoreModel,
        list: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        let node = target(model, list.object_type, list.relation)?;
        let mut overlay = Overlay::new(self, model, &list.request)?;
        let subject = user(self, model, &mut overlay, list.user)?;
        let max_steps = list.request.limits.max_steps;
        let candidates = Walk::new(self, model, &overlay, subject, node, max_steps).run()?;
        let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
        let ids = candidates.into_iter().filter_map(|object| overlay.id(self, object_type, object));
        Ok(ids.map(str::to_owned).collect())
    }
}

struct Walk<'a> {
    snapshot: &'a Snapshot,
    model: &'a StoreModel,
    overlay: &'a Overlay<'a>,
    subject: SubjectId,
    target: NodeId,
    /// The nodes the target depends on; others lead nowhere.
    wanted: HashSet<NodeId>,
    seen: HashSet<Pair>,
    queue: Vec<Pair>,
    steps_left: u64,
    max_steps: u64,
}

impl<'a> Walk<'a> {
    fn new(
        snapshot: &'a Snapshot,
        model: &'a StoreModel,
        overlay: &'a Overlay<'a>,
        subject: SubjectId,
        target: NodeId,
        max_steps: u64,
    ) -> Self {
        Self {
            snapshot,
            model,
            overlay,
            subject,
            target,
            wanted: wanted(model, target),
            seen: HashSet::new(),
            queue: Vec::new(),
            steps_left: max_steps,
            max_steps,
        }
    }

    fn run(mut self) -> Result<Vec<u32>, RequestError> {
        self.start()?;
        let mut found = Vec::new();
        while let Some(pair) = self.queue.pop() {
            if pair.0 == self.target {
                found.push(pair.1);
            }
            let Some(node) = self.model.node(pair.0) else { continue };
            for dependent in &node.dependents {
                match dependent.via {
                    Via::Computed => self.reach((dependent.node, pair.1))?,
                    Via::Table(table) => self.follow(dependent.node, table, pair.1)?,
                }
            }
        }
        Ok(found)
    }

    /// The pairs whose own tuples name the user, and the user itself if it is a userset.
    fn start(&mut self) -> Result<(), RequestError> {
        if let SubjectKindId::Userset(node) = self.subject.kind {
            self.reach((node, self.subject.id))?;
        }
        let mut wanted: Vec<NodeId> = self.wanted.iter().copied().collect();
        wanted.sort_unstable();
        for id in wanted {
            let Some(node) = self.model.node(id) else { continue };
            for class in &node.direct {
                if class.subject_type != self.subject.type_number {
                    continue;
                }
                match (class.subject, self.subject.kind) {
                    (Subject::Wildcard, SubjectKindId::Object | SubjectKindId::Wildcard) => {
                        self.follow(id, class.table, 0)?;
                    }
                    (Subject::Object, SubjectKindId::Object) => {
                        self.follow(id, class.table, self.subject.id)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, node: NodeId, table: u32, subject: u32) -> Result<(), RequestError> {
        if !self.wanted.contains(&node) {
            return Ok(());
        }
        let snapshot = self.snapshot;
        let overlay = self.overlay;
        let stored = snapshot.table(table).into_iter().flat_map(|t| t.reverse.row(subject));
        for object in stored.copied().chain(overlay.objects(table, subject)) {
            self.reach((node, object))?;
        }
        Ok(())
    }

    fn reach(&mut self, pair: Pair) -> Result<(), RequestError> {
        self.steps_left =
            self.steps_left.checked_sub(1).ok_or(RequestError::BudgetExceeded(self.max_steps))?;
        if self.wanted.contains(&pair.0) && self.seen.insert(pair) {
            self.queue.push(pair);
        }
        Ok(())
    }
}

/// The nodes a node's expression refers to, directly or not, and the node itself.
fn wanted(model: &StoreModel, target: NodeId) -> HashSet<NodeId> {
    let mut found = HashSet::from([target]);
    let mut queue = vec![target];
    while let Some(id) = queue.pop() {
        let Some(node) = model.node(id) else { continue };
        model.for_each_reference(node, &node.expr, &mut |next, _| {
            if found.insert(next) {
                queue.push(next);
            }
        });
    }
    found
}
