//! List objects: a walk backwards from the user, along tuples that hold.
//!
//! An object met on a way that grants by itself at every step (unions all along, tuples that hold)
//! is an answer. An object met only on ways through `and`, `but not` or an undecided condition is a
//! candidate, which a check decides; all such checks share one memory. The walk follows every
//! reference that can grant, so nothing is missing. Answers come in the order in which the store
//! came to know the objects, which does not change, so a page can begin where another ended.

use hashbrown::{HashMap, HashSet};

use super::evaluate::{Evaluator, Pair, SubjectId, SubjectKindId};
use super::overlay::Overlay;
use super::plan::{DirectClass, NodeId, Place, StoreModel, Subject, Via};
use super::request::{ListObjectsRequest, Listing, PageRequest, target, user};
use super::scope::{Budget, Scope};
use crate::error::RequestError;
use crate::store::Snapshot;

impl Snapshot {
    /// Lists the objects of a type to which the user has the relation, as `type:id`, each once.
    ///
    /// # Errors
    /// When the request is invalid under the model, a bound is reached, or the check of a candidate
    /// is an error: a list that might be incomplete is not returned.
    pub fn list_objects(
        &self,
        model: &StoreModel,
        list: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        let listing = self.list_objects_page(model, list, &PageRequest::default())?;
        if listing.is_complete { Ok(listing.items) } else { Err(RequestError::Stopped) }
    }

    /// Lists one page. Pages of the same version and question, one after the other, are the whole
    /// list. When the caller's own check ends the request, the page is what was found until then.
    ///
    /// # Errors
    /// As [`Snapshot::list_objects`], and when no page gave the token.
    pub fn list_objects_page(
        &self,
        model: &StoreModel,
        list: &ListObjectsRequest<'_>,
        page: &PageRequest<'_>,
    ) -> Result<Listing<String>, RequestError> {
        let node = target(model, list.object_type, list.relation)?;
        let mut overlay = Overlay::new(self, model, &list.request)?;
        let subject = user(self, model, &mut overlay, list.user)?;
        let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
        let after = page.after.map(|after| {
            let id = after.strip_prefix(list.object_type).and_then(|id| id.strip_prefix(':'));
            id.and_then(|id| overlay.known(self, object_type, id)).ok_or(RequestError::PageToken)
        });
        let after = after.transpose()?;
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: list.request };
        let mut walk = Walk::new(scope, subject, node, true);
        let is_whole = walk.run_until_stopped()?;
        let mut found = walk.found();
        found.retain(|(object, _)| after.is_none_or(|after| *object > after));
        found.sort_unstable();
        let mut evaluator = Evaluator::new(scope, subject);
        let mut listing = Listing::default();
        for (object, is_sure) in found {
            if page.max_results.is_some_and(|most| listing.items.len() >= most) {
                listing.next = listing.items.last().cloned();
                return Ok(listing);
            }
            match if is_sure { Ok(true) } else { evaluator.check(node, object) } {
                Ok(true) => {}
                Ok(false) => continue,
                Err(RequestError::Stopped) => {
                    listing.next = listing.items.last().cloned().filter(|_| is_whole);
                    return Ok(listing);
                }
                Err(error) => return Err(error),
            }
            if let Some(id) = overlay.id(self, object_type, object) {
                let mut text = String::with_capacity(list.object_type.len() + 1 + id.len());
                text.push_str(list.object_type);
                text.push(':');
                text.push_str(id);
                listing.items.push(text);
            }
        }
        listing.is_complete = is_whole;
        Ok(listing)
    }

    /// Lists by id every object of a type to which the user might have the relation: conditions,
    /// times, intersections and exclusions are not looked at, so there may be some too many and
    /// never one too few.
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
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: list.request };
        let mut walk = Walk::new(scope, subject, node, false);
        walk.run()?;
        let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
        let found = walk.found().into_iter();
        let ids = found.filter_map(|(object, _)| overlay.id(self, object_type, object));
        Ok(ids.map(str::to_owned).collect())
    }
}

struct Walk<'a> {
    scope: Scope<'a>,
    subject: SubjectId,
    target: NodeId,
    /// The nodes the target depends on; others lead nowhere.
    wanted: HashSet<NodeId>,
    /// Conditions and times are looked at.
    is_exact: bool,
    /// A way that grants at every step is known to be no longer than a check may go.
    may_be_sure: bool,
    /// Whether a pair that was met is sure.
    seen: HashMap<Pair, bool>,
    sure: Vec<Pair>,
    unsure: Vec<Pair>,
    budget: Budget<'a>,
}

impl<'a> Walk<'a> {
    fn new(scope: Scope<'a>, subject: SubjectId, target: NodeId, is_exact: bool) -> Self {
        Self {
            scope,
            subject,
            target,
            wanted: wanted(scope.model, target),
            is_exact,
            may_be_sure: scope.has_bounded_hops(target),
            seen: HashMap::new(),
            sure: Vec::new(),
            unsure: Vec::new(),
            budget: scope.budget(),
        }
    }

    /// The objects of the target met, and whether they are sure.
    fn found(&self) -> Vec<(u32, bool)> {
        let of_target = self.seen.iter().filter(|((node, _), _)| *node == self.target);
        of_target.map(|((_, object), is_sure)| (*object, *is_sure)).collect()
    }

    /// False if the caller's own check ended the walk.
    fn run_until_stopped(&mut self) -> Result<bool, RequestError> {
        match self.run() {
            Ok(()) => Ok(true),
            Err(RequestError::Stopped) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sure ways first, so that most pairs are met once.
    fn run(&mut self) -> Result<(), RequestError> {
        self.budget.look()?;
        self.start()?;
        loop {
            let (pair, is_sure) = match (self.sure.pop(), self.unsure.is_empty()) {
                (Some(pair), _) => (pair, true),
                (None, false) => match self.unsure.pop() {
                    // Met again on a sure way, and gone on from there.
                    Some(pair) if self.seen.get(&pair) == Some(&true) => continue,
                    Some(pair) => (pair, false),
                    None => return Ok(()),
                },
                (None, true) => return Ok(()),
            };
            let Some(node) = self.scope.model.node(pair.0) else { continue };
            for dependent in &node.dependents {
                let is_wanted = self.wanted.contains(&dependent.node);
                if dependent.place == Place::Subtracted || !is_wanted {
                    continue;
                }
                let is_sure = is_sure && dependent.place == Place::Enough;
                match dependent.via {
                    Via::Computed => self.reach((dependent.node, pair.1), is_sure)?,
                    Via::Tuples { owner, class } => {
                        let owner = self.scope.model.node(owner);
                        let class = owner.and_then(|owner| owner.direct.get(class));
                        let Some(class) = class else { continue };
                        self.follow(dependent.node, class, pair.1, is_sure, false)?;
                    }
                }
            }
        }
    }

    /// The pairs whose own tuples name the user, and the user itself if it is a userset.
    fn start(&mut self) -> Result<(), RequestError> {
        if let SubjectKindId::Userset(node) = self.subject.kind {
            self.reach((node, self.subject.id), true)?;
        }
        let mut wanted: Vec<NodeId> = self.wanted.iter().copied().collect();
        wanted.sort_unstable();
        for id in wanted {
            let Some(node) = self.scope.model.node(id) else { continue };
            for class in &node.direct {
                if class.subject_type != self.subject.type_number {
                    continue;
                }
                let subject = match (class.subject, self.subject.kind) {
                    (Subject::Wildcard, SubjectKindId::Object | SubjectKindId::Wildcard) => 0,
                    (Subject::Object, SubjectKindId::Object) => self.subject.id,
                    _ => continue,
                };
                let is_user = class.subject == Subject::Object;
                self.follow(id, class, subject, node.is_this_enough, is_user)?;
            }
        }
        Ok(())
    }

    /// Goes from a subject to the objects whose tuples in the class name it. `is_user`: the subject
    /// is the user asked about, whose contextual tuple hides the stored one.
    fn follow(
        &mut self,
        node: NodeId,
        class: &DirectClass,
        subject: u32,
        is_sure: bool,
        is_user: bool,
    ) -> Result<(), RequestError> {
        let Scope { snapshot, overlay, .. } = self.scope;
        let has_contextual = !overlay.is_empty();
        let stored = snapshot.table(class.table).into_iter();
        for edge in stored.flat_map(|table| table.reverse.row(subject).iter()) {
            let object = edge.end();
            if edge.is_guarded() || (has_contextual && is_user) || !class.admits_plain {
                self.follow_tuple(class, (node, object), subject, is_sure, is_user)?;
            } else {
                self.reach((node, object), is_sure)?;
            }
        }
        for object in overlay.objects(class.table, subject) {
            self.follow_tuple(class, (node, object), subject, is_sure, is_user)?;
        }
        Ok(())
    }

    /// Goes on to the pair if a tuple between the two holds, or might.
    fn follow_tuple(
        &mut self,
        class: &DirectClass,
        pair: Pair,
        subject: u32,
        is_sure: bool,
        is_user: bool,
    ) -> Result<(), RequestError> {
        self.budget.step()?;
        if !self.is_exact {
            return self.reach(pair, false);
        }
        let mut is_undecided = false;
        for guard in self.scope.tuples_between(class, pair.1, subject, is_user) {
            match self.scope.holds(class, guard) {
                Ok(true) => return self.reach(pair, is_sure),
                Ok(false) => {}
                Err(_) => is_undecided = true,
            }
        }
        if is_undecided { self.reach(pair, false) } else { Ok(()) }
    }

    fn reach(&mut self, pair: Pair, is_sure: bool) -> Result<(), RequestError> {
        self.budget.step()?;
        if !self.wanted.contains(&pair.0) {
            return Ok(());
        }
        let is_sure = is_sure && self.may_be_sure;
        match self.seen.insert(pair, is_sure) {
            None if is_sure => self.sure.push(pair),
            None => self.unsure.push(pair),
            Some(false) if is_sure => self.sure.push(pair),
            Some(was_sure) => {
                self.seen.insert(pair, was_sure);
            }
        }
        Ok(())
    }
}

/// The nodes that can grant a node, directly or not, and the node itself.
fn wanted(model: &StoreModel, target: NodeId) -> HashSet<NodeId> {
    let mut found = HashSet::from([target]);
    let mut queue = vec![target];
    while let Some(id) = queue.pop() {
        let Some(node) = model.node(id) else { continue };
        model.for_each_reference(node, &node.expr, Place::Enough, &mut |next, _, _| {
            if found.insert(next) {
                queue.push(next);
            }
        });
    }
    found
}
