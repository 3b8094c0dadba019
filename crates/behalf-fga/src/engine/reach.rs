//! Check where unions are all there is: reachability, searched from both ends.
//!
//! A node is *plain* if nothing it depends on has `and` or `but not`; then a check asks whether a
//! tuple that names the user can be reached, and a cycle is nothing but false. From the object's
//! end, pairs are visited once each. From the user's end, the groups the user is in are gathered
//! once per request: a *group* is a plain node made of its own tuples only, so that a userset is
//! decided by a look into that set instead of a search through its members.
//!
//! Whatever cannot be decided so (a condition without its values, the request's own tuples, usersets
//! and wildcards as users, too much work) has no answer here, and the evaluator is asked.

use super::evaluate::{Pair, SubjectId, SubjectKindId};
use super::pairs::PairMap;
use super::plan::{Dependent, DirectClass, Node, NodeId, Step, Via};
use super::scope::Scope;
use crate::store::{BackEdge, Edge};

/// A user in more groups than this is searched from the object's end only.
const MAX_GROUPS: usize = 4_096;
/// Pairs and edges looked at for one answer before the evaluator, which has a budget, takes over.
const MAX_WORK: u32 = 200_000;

/// In the map of visited pairs: explored to the end without finding the user.
const DENIED: u32 = u32::MAX;

pub(super) struct Reach<'a> {
    scope: Scope<'a>,
    subject: SubjectId,
    /// The question in which a pair was last visited, or [`DENIED`].
    visited: PairMap,
    stack: Vec<Pair>,
    /// What the current question has visited.
    trail: Vec<Pair>,
    question: u32,
    /// Groups the user is in, each with the number of the gathering that last met it.
    groups: PairMap,
    gathered: Vec<(NodeId, Gathered)>,
    /// The objects whose tuples name the user, by table.
    named: Vec<(u32, Option<&'a [BackEdge]>)>,
    work: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gathered {
    /// All groups are known.
    All,
    /// Some tuple could not be decided, so only "is in" can be relied on.
    Undecided,
    /// There are too many.
    TooMany,
}

/// What a step says.
enum Found {
    User,
    Nothing,
    /// Nothing, as far as it can be decided here.
    Undecided,
}

impl<'a> Reach<'a> {
    /// Nothing if questions of this request are not for here.
    pub(super) fn new(scope: Scope<'a>, subject: SubjectId) -> Option<Self> {
        let is_for_here = subject.kind == SubjectKindId::Object && scope.overlay.is_empty();
        is_for_here.then(|| Self {
            scope,
            subject,
            visited: PairMap::default(),
            stack: Vec::new(),
            trail: Vec::new(),
            question: 0,
            groups: PairMap::default(),
            gathered: Vec::new(),
            named: Vec::new(),
            work: 0,
        })
    }

    /// Whether the user has the plain relation; nothing if it cannot be decided here.
    pub(super) fn check(&mut self, root: Pair) -> Option<bool> {
        self.question += 1;
        self.work = 0;
        self.stack.clear();
        self.trail.clear();
        let mut is_decided = true;
        self.push(root);
        while let Some(pair) = self.stack.pop() {
            let Some(node) = self.scope.model.node(pair.0) else { continue };
            for step in &node.steps {
                match self.step(node, step, pair.1) {
                    Found::User => return Some(true),
                    Found::Nothing => {}
                    Found::Undecided => is_decided = false,
                }
            }
            if self.work > MAX_WORK {
                return None;
            }
        }
        if !is_decided {
            return None;
        }
        for pair in self.trail.drain(..) {
            self.visited.insert(pair, DENIED);
        }
        Some(false)
    }

    fn push(&mut self, pair: Pair) {
        self.work += 1;
        let Some(node) = self.scope.model.node(pair.0) else { return };
        if !node.reached_by.contains(self.subject.class) {
            return;
        }
        let last = self.visited.insert_or(pair, self.question, DENIED);
        if last != Some(DENIED) && last != Some(self.question) {
            self.trail.push(pair);
            self.stack.push(pair);
        }
    }

    fn step(&mut self, node: &'a Node, step: &'a Step, object: u32) -> Found {
        match *step {
            Step::User { class } => self.user(node, class, object),
            Step::Wildcard { class } => {
                let Some(class) = node.direct.get(class) else { return Found::Nothing };
                if class.subject_type != self.subject.type_number {
                    return Found::Nothing;
                }
                self.tuples(class, object, &mut |_, _| Found::User)
            }
            Step::Usersets { class, target } => {
                let Some(class) = node.direct.get(class) else { return Found::Nothing };
                self.usersets(class, target, object)
            }
            Step::Parents { tupleset, class, target } => {
                let owner = self.scope.model.node(tupleset);
                let class = owner.and_then(|owner| owner.direct.get(class));
                let Some(class) = class else { return Found::Nothing };
                self.tuples(class, object, &mut |this, parent| {
                    this.push((target, parent));
                    Found::Nothing
                })
            }
            Step::Computed(target) => {
                self.push((target, object));
                Found::Nothing
            }
        }
    }

    /// Whether a tuple of the object names the user, looked for among the user's tuples, which are
    /// the same for every object of the request.
    fn user(&mut self, node: &'a Node, class: usize, object: u32) -> Found {
        let Some(class) = node.direct.get(class) else { return Found::Nothing };
        if class.subject_type != self.subject.type_number {
            return Found::Nothing;
        }
        let Some(table) = self.scope.snapshot.table(class.table) else { return Found::Nothing };
        let known = self.named.iter().find(|(number, _)| *number == class.table);
        let row = match known {
            Some((_, row)) => *row,
            None => {
                let row = table.reverse.small_row(self.subject.id);
                self.named.push((class.table, row));
                row
            }
        };
        let is_guarded = match row {
            Some(row) => match row.binary_search_by_key(&object, Edge::key) {
                Ok(at) => row.get(at).is_some_and(|edge| edge.is_guarded()),
                Err(_) => return Found::Nothing,
            },
            None => match table.find(object, self.subject.id) {
                Some(guard) => guard.is_some(),
                None => return Found::Nothing,
            },
        };
        if !is_guarded {
            return if class.admits_plain { Found::User } else { Found::Nothing };
        }
        let guard = table.guarded.find(object, self.subject.id).map(|edge| edge.guard());
        match self.scope.holds(class, guard) {
            Ok(true) => Found::User,
            Ok(false) => Found::Nothing,
            Err(_) => Found::Undecided,
        }
    }

    fn usersets(&mut self, class: &'a DirectClass, target: NodeId, object: u32) -> Found {
        let is_reached = self.scope.model.node(target);
        if !is_reached.is_some_and(|node| node.reached_by.contains(self.subject.class)) {
            return Found::Nothing;
        }
        // Most objects name no userset, and then the user's groups need not be known.
        let table = self.scope.snapshot.table(class.table);
        let is_empty = table.is_none_or(|table| {
            table.plain.small_row(object).is_some_and(<[_]>::is_empty)
                && table.guarded.small_row(object).is_some_and(<[_]>::is_empty)
        });
        if is_empty {
            return Found::Nothing;
        }
        let gathered = self.gather(target);
        self.tuples(class, object, &mut |this, group| {
            let pair = (target, group);
            match gathered {
                Gathered::TooMany => this.push(pair),
                _ if this.groups.get(pair).is_some() => return Found::User,
                Gathered::All => {}
                Gathered::Undecided => return Found::Undecided,
            }
            Found::Nothing
        })
    }

    /// Goes through the tuples of an object that hold, until one leads to the user.
    fn tuples(
        &mut self,
        class: &'a DirectClass,
        object: u32,
        visit: &mut dyn FnMut(&mut Self, u32) -> Found,
    ) -> Found {
        let Some(table) = self.scope.snapshot.table(class.table) else { return Found::Nothing };
        let mut found = Found::Nothing;
        if class.admits_plain {
            for subject in table.plain.row(object) {
                self.work += 1;
                match visit(self, *subject) {
                    Found::User => return Found::User,
                    Found::Nothing => {}
                    Found::Undecided => found = Found::Undecided,
                }
            }
        }
        for edge in table.guarded.row(object) {
            self.work += 1;
            match self.scope.holds(class, Some(edge.guard())) {
                Ok(true) => match visit(self, edge.subject) {
                    Found::User => return Found::User,
                    Found::Nothing => {}
                    Found::Undecided => found = Found::Undecided,
                },
                Ok(false) => {}
                Err(_) => found = Found::Undecided,
            }
        }
        found
    }

    /// Gathers the groups of a group node that the user is in, once per request.
    fn gather(&mut self, target: NodeId) -> Gathered {
        if let Some((_, gathered)) = self.gathered.iter().find(|(node, _)| *node == target) {
            return *gathered;
        }
        let gathered = self.gather_now(target);
        self.gathered.push((target, gathered));
        gathered
    }

    fn gather_now(&mut self, target: NodeId) -> Gathered {
        let Some(node) = self.scope.model.node(target) else { return Gathered::TooMany };
        if node.group.is_empty() {
            return Gathered::TooMany;
        }
        let mut gathered = Gathered::All;
        let mut queue: Vec<Pair> = Vec::new();
        for member in &node.group {
            let Some(member) = self.scope.model.node(*member) else { continue };
            for class in &member.direct {
                let subject = match class.subject {
                    _ if class.subject_type != self.subject.type_number => continue,
                    super::plan::Subject::Object => self.subject.id,
                    super::plan::Subject::Wildcard => 0,
                    super::plan::Subject::Userset(_) => continue,
                };
                self.groups_naming(member.id, class, subject, &mut queue, &mut gathered);
            }
        }
        let mut next = 0;
        while let Some(&(from, object)) = queue.get(next) {
            next += 1;
            if queue.len() > MAX_GROUPS {
                return Gathered::TooMany;
            }
            let Some(from) = self.scope.model.node(from) else { continue };
            for Dependent { node: to, via, .. } in &from.dependents {
                let Via::Tuples { owner, class } = *via else { continue };
                if owner != *to || !node.group.contains(to) {
                    continue;
                }
                let owner = self.scope.model.node(owner);
                let Some(class) = owner.and_then(|owner| owner.direct.get(class)) else { continue };
                self.groups_naming(*to, class, object, &mut queue, &mut gathered);
            }
        }
        gathered
    }

    /// Adds the groups whose tuples of a class name the subject.
    fn groups_naming(
        &mut self,
        node: NodeId,
        class: &'a DirectClass,
        subject: u32,
        queue: &mut Vec<Pair>,
        gathered: &mut Gathered,
    ) {
        let Some(table) = self.scope.snapshot.table(class.table) else { return };
        for edge in table.reverse.row(subject) {
            let group = edge.key();
            let holds = if edge.is_guarded() {
                let guard = table.guarded.find(group, subject).map(|edge| edge.guard());
                self.scope.holds(class, guard)
            } else {
                Ok(class.admits_plain)
            };
            match holds {
                Ok(true) => {
                    // Another gathering may have met it, and gone on elsewhere from there.
                    let number = u32::try_from(self.gathered.len()).unwrap_or(u32::MAX);
                    if self.groups.insert((node, group), number) != Some(number) {
                        queue.push((node, group));
                    }
                }
                Ok(false) => {}
                Err(_) => *gathered = Gathered::Undecided,
            }
            if queue.len() > MAX_GROUPS {
                return;
            }
        }
    }
}
