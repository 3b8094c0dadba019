//! Check: evaluates a node of an object for one user.
//!
//! The result is a pure function of (node, object, path): a pair met again on its own path is a
//! cycle, which counts as false in a union and makes every operand of `and` or `but not` that
//! depends on it false (OpenFGA v1). What is remembered, and when that is exact:
//! - A pair whose component does not recurse, or that is entered from another component, does not
//!   depend on the path, so its answer is remembered, a cycle included.
//! - Inside a component of unions the question is reachability, which [`super::search`] answers
//!   without recursion by visiting every pair once.
//! - Inside a component with `and` or `but not` on the circle nothing is remembered.
//!
//! The work is bounded by steps, hops by the node limit, the machine's stack by [`MAX_NESTING`].

use hashbrown::HashMap;

use super::overlay::matches;
use super::plan::{ComponentKind, DirectClass, Expr, Node, NodeId, Subject};
use super::reach::{self, MAX_ROOTS, Reach};
use super::scope::{Budget, Scope};
use crate::error::RequestError;
use crate::tuple::Guard;

/// Expressions inside expressions, over all relations on the way.
pub(super) const MAX_NESTING: u32 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// False, because of a cycle.
    Cycle,
}

/// An error, boxed because it is large and rare.
pub(super) type Failure = Box<RequestError>;
pub(super) type Answer = Result<Truth, Failure>;

/// A node of an object.
pub(super) type Pair = (NodeId, u32);

#[derive(Clone, Copy, Debug)]
pub(super) struct SubjectId {
    pub(super) kind: SubjectKindId,
    pub(super) type_number: u32,
    pub(super) id: u32,
    pub(super) class: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubjectKindId {
    Object,
    Wildcard,
    Userset(NodeId),
}

/// A remembered answer, and how many hops below itself it looked.
#[derive(Clone, Copy, Debug)]
struct Known {
    truth: Truth,
    height: u32,
}

/// Answers one check. Most need no evaluator.
pub(super) fn check(
    scope: Scope<'_>,
    subject: SubjectId,
    (node, object): Pair,
) -> Result<bool, RequestError> {
    let is_for_reach = Reach::is_for_node(&scope, node) && Reach::is_for(&scope, &subject);
    if is_for_reach && let Some(is_allowed) = Reach::new(scope, subject).check((node, object)) {
        return Ok(is_allowed);
    }
    Evaluator::with(scope, subject, None).check(node, object)
}

pub(super) struct Evaluator<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) subject: SubjectId,
    known: HashMap<Pair, Known>,
    /// The pairs being evaluated inside components with `and` or `but not`.
    path: Vec<Pair>,
    budget: Budget<'a>,
    reach: Option<Reach<'a>>,
    nesting: u32,
    /// The deepest hop since the innermost remembered pair began.
    pub(super) deepest: u32,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(scope: Scope<'a>, subject: SubjectId) -> Self {
        let is_for_reach = Reach::is_for(&scope, &subject);
        Self::with(scope, subject, is_for_reach.then(|| Reach::new(scope, subject)))
    }

    /// With what is known of the user already; nothing if its questions are not for [`Reach`].
    pub(super) fn with(scope: Scope<'a>, subject: SubjectId, reach: Option<Reach<'a>>) -> Self {
        Self {
            scope,
            subject,
            known: HashMap::new(),
            path: Vec::new(),
            budget: scope.budget(),
            reach,
            nesting: 0,
            deepest: 0,
        }
    }

    /// Answers for one object; a new budget, what is known is kept.
    pub(super) fn check(&mut self, node: NodeId, object: u32) -> Result<bool, RequestError> {
        if let Some(is_allowed) = self.reach((node, object)) {
            return Ok(is_allowed);
        }
        self.budget.renew();
        self.deepest = 0;
        match self.node(None, (node, object), 0) {
            Ok(truth) => Ok(truth == Truth::True),
            Err(failure) => Err(*failure),
        }
    }

    /// Answers for many pairs, each as [`Self::check`]; plain nodes are looked at together.
    pub(super) fn check_all(&mut self, pairs: &[Pair]) -> Vec<Result<bool, RequestError>> {
        let mut answers = Vec::with_capacity(pairs.len());
        for pairs in pairs.chunks(MAX_ROOTS) {
            if let Some(reach) = &mut self.reach {
                reach.ask_first(pairs);
                reach::explore(&mut [reach]);
            }
            for pair in pairs {
                answers.push(match self.reach.as_ref().and_then(|reach| reach.known(*pair)) {
                    Some(is_allowed) => Ok(is_allowed),
                    None => self.check(pair.0, pair.1),
                });
            }
        }
        answers
    }

    /// The answer for a plain node, if it can be found by [`Reach`].
    fn reach(&mut self, pair: Pair) -> Option<bool> {
        let reach = self.reach.as_mut().filter(|_| Reach::is_for_node(&self.scope, pair.0));
        reach?.check(pair)
    }

    /// Answers for an operand of a node's expression by itself.
    pub(super) fn operand(&mut self, node: &'a Node, expr: &'a Expr, object: u32) -> Answer {
        self.budget.renew();
        self.expr(node, expr, object, 0, &mut None)
    }

    /// Evaluates a pair; `from` is the component of the expression that asks.
    pub(super) fn node(&mut self, from: Option<u32>, pair: Pair, depth: u32) -> Answer {
        self.step()?;
        let Some(node) = self.scope.model.node(pair.0) else { return Ok(Truth::False) };
        if self.is_self(pair) {
            return Ok(Truth::True);
        }
        if !node.reached_by.contains(self.subject.class) {
            return Ok(Truth::False);
        }
        if from == Some(node.component) {
            return self.on_path(node, pair, depth);
        }
        if let Some(truth) = self.recall(pair, depth) {
            return Ok(truth);
        }
        let outer_deepest = std::mem::replace(&mut self.deepest, depth);
        let kind = self.scope.model.components.get(node.component as usize).map(|c| c.kind);
        let answer = match kind {
            Some(ComponentKind::Monotone) => self.search(pair, depth),
            Some(ComponentKind::Mixed) => self.on_path(node, pair, depth),
            _ => self.expr(node, &node.expr, pair.1, depth, &mut None),
        };
        if let Ok(truth) = answer {
            self.remember(pair, truth, depth);
        }
        self.deepest = self.deepest.max(outer_deepest);
        answer
    }

    /// True if the subject is the very userset asked about.
    pub(super) fn is_self(&self, pair: Pair) -> bool {
        self.subject.kind == SubjectKindId::Userset(pair.0) && self.subject.id == pair.1
    }

    pub(super) fn recall(&mut self, pair: Pair, depth: u32) -> Option<Truth> {
        let known = self.known.get(&pair)?;
        let deepest = depth + known.height;
        // Deeper than before, the same way might end at the limit: look again.
        let limit = self.scope.request.limits.resolve_node_limit;
        if limit != 0 && deepest >= limit {
            return None;
        }
        self.deepest = self.deepest.max(deepest);
        Some(known.truth)
    }

    pub(super) fn remember(&mut self, pair: Pair, truth: Truth, depth: u32) {
        let height = self.deepest.saturating_sub(depth);
        self.known.insert(pair, Known { truth, height });
    }

    pub(super) fn step(&mut self) -> Result<(), Failure> {
        Ok(self.budget.step()?)
    }

    fn hop(&mut self, depth: u32) -> Result<u32, Failure> {
        let depth = depth + 1;
        let limit = self.scope.request.limits.resolve_node_limit;
        self.deepest = self.deepest.max(depth);
        if limit != 0 && depth >= limit {
            return Err(Box::new(RequestError::TooComplex));
        }
        Ok(depth)
    }

    fn on_path(&mut self, node: &'a Node, pair: Pair, depth: u32) -> Answer {
        if self.path.contains(&pair) {
            return Ok(Truth::Cycle);
        }
        self.path.push(pair);
        let answer = self.expr(node, &node.expr, pair.1, depth, &mut None);
        self.path.pop();
        answer
    }

    /// Evaluates an expression of a node. With `inside`, references into the node's own component
    /// are put there instead of being evaluated.
    pub(super) fn expr(
        &mut self,
        node: &'a Node,
        expr: &'a Expr,
        object: u32,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
    ) -> Answer {
        self.nesting += 1;
        let answer = if self.nesting > MAX_NESTING {
            Err(Box::new(RequestError::TooComplex))
        } else {
            match expr {
                Expr::This => self.direct(node, object, depth, inside),
                Expr::Computed(target) => self.reference(node, (*target, object), depth, inside),
                Expr::TupleToUserset { tupleset, targets } => {
                    self.tuple_to_userset(node, *tupleset, targets, object, depth, inside)
                }
                Expr::Union(children) => {
                    let mut any = Any::default();
                    for child in children {
                        if any.add(self.expr(node, child, object, depth, inside)) {
                            break;
                        }
                    }
                    any.answer()
                }
                Expr::Intersection(children) => self.intersection(node, children, object, depth),
                Expr::Difference(base, subtract) => {
                    self.difference(node, base, subtract, object, depth)
                }
            }
        };
        self.nesting -= 1;
        answer
    }

    /// A false beats an error, and a false that no cycle caused beats one that a cycle caused.
    fn intersection(
        &mut self,
        node: &'a Node,
        children: &'a [Expr],
        object: u32,
        depth: u32,
    ) -> Answer {
        let mut has_cycle = false;
        let mut failure = None;
        for child in children {
            match self.expr(node, child, object, depth, &mut None) {
                Ok(Truth::True) => {}
                Ok(Truth::False) => return Ok(Truth::False),
                Ok(Truth::Cycle) => has_cycle = true,
                Err(error) if error.is_bound() => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            // The operand might have been false without a cycle.
            Some(error) if error.is_bound() => Err(error),
            _ if has_cycle => Ok(Truth::Cycle),
            Some(error) => Err(error),
            None => Ok(Truth::True),
        }
    }

    /// Base false or subtract true beats an error; a cycle in either is false. A bound reached in the
    /// base is an error whatever is subtracted: beyond the bound there may be a cycle, which denies
    /// what lies above, while a plain false may allow it.
    fn difference(
        &mut self,
        node: &'a Node,
        base: &'a Expr,
        subtract: &'a Expr,
        object: u32,
        depth: u32,
    ) -> Answer {
        let base = match self.expr(node, base, object, depth, &mut None) {
            Ok(Truth::True) => None,
            Ok(truth) => return Ok(truth),
            Err(error) if error.is_bound() => return Err(error),
            Err(error) => Some(error),
        };
        match self.expr(node, subtract, object, depth, &mut None) {
            Ok(Truth::True) => Ok(Truth::False),
            Ok(Truth::Cycle) => Ok(Truth::Cycle),
            Ok(Truth::False) => base.map_or(Ok(Truth::True), Err),
            Err(error) => Err(base.unwrap_or(error)),
        }
    }

    fn reference(
        &mut self,
        node: &Node,
        target: Pair,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
    ) -> Answer {
        if let Some(found) = inside
            && self.scope.model.node(target.0).is_some_and(|to| to.component == node.component)
        {
            found.push(target);
            return Ok(Truth::False);
        }
        self.node(Some(node.component), target, depth)
    }

    /// Like [`Self::reference`], one hop further.
    fn hop_reference(
        &mut self,
        node: &Node,
        target: Pair,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
    ) -> Answer {
        let is_inside = inside.is_some()
            && self.scope.model.node(target.0).is_some_and(|to| to.component == node.component);
        let depth = if is_inside { depth } else { self.hop(depth)? };
        self.reference(node, target, depth, inside)
    }

    /// The relation's own tuples: the user, the user's type as wildcard, usersets.
    fn direct(
        &mut self,
        node: &'a Node,
        object: u32,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
    ) -> Answer {
        let mut any = Any::default();
        for class in &node.direct {
            let is_subjects_type = class.subject_type == self.subject.type_number;
            let done = match (class.subject, self.subject.kind) {
                (Subject::Userset(target), _) => {
                    self.usersets(node, class, target, object, depth, inside, &mut any)
                }
                (_, SubjectKindId::Userset(_)) => false,
                (Subject::Wildcard, _) if is_subjects_type => any.add(self.wildcard(class, object)),
                (kind, subject) if is_subjects_type => {
                    matches(kind, subject == SubjectKindId::Wildcard)
                        && any.add(self.user_tuple(class, object))
                }
                _ => false,
            };
            if done {
                break;
            }
        }
        any.answer()
    }

    /// The tuple of the very user.
    fn user_tuple(&mut self, class: &'a DirectClass, object: u32) -> Answer {
        self.step()?;
        match self.scope.edge(class, object, self.subject.id) {
            None => Ok(Truth::False),
            Some(guard) => Ok(truth(self.scope.holds(class, guard)?)),
        }
    }

    fn wildcard(&mut self, class: &'a DirectClass, object: u32) -> Answer {
        let mut any = Any::default();
        self.for_each_edge(class, object, &mut any, &mut |_, _, _| Ok(Truth::True));
        any.answer()
    }

    fn usersets(
        &mut self,
        node: &'a Node,
        class: &'a DirectClass,
        target: NodeId,
        object: u32,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
        any: &mut Any,
    ) -> bool {
        let is_same = self.subject.kind == SubjectKindId::Userset(target);
        let is_reached = self
            .scope
            .model
            .node(target)
            .is_some_and(|n| n.reached_by.contains(self.subject.class));
        if !is_same && !is_reached {
            return false;
        }
        self.for_each_edge(class, object, any, &mut |this, userset, _| {
            if is_same && userset == this.subject.id {
                return Ok(Truth::True);
            }
            if !is_reached {
                return Ok(Truth::False);
            }
            this.hop_reference(node, (target, userset), depth, inside)
        })
    }

    fn tuple_to_userset(
        &mut self,
        node: &'a Node,
        tupleset: NodeId,
        targets: &'a [(usize, NodeId)],
        object: u32,
        depth: u32,
        inside: &mut Option<&mut Vec<Pair>>,
    ) -> Answer {
        let Some(tupleset) = self.scope.model.node(tupleset) else { return Ok(Truth::False) };
        let mut any = Any::default();
        for &(class, target) in targets {
            let is_same = self.subject.kind == SubjectKindId::Userset(target);
            let is_reached = self
                .scope
                .model
                .node(target)
                .is_some_and(|n| n.reached_by.contains(self.subject.class));
            let Some(class) = tupleset.direct.get(class).filter(|_| is_same || is_reached) else {
                continue;
            };
            let done = self.for_each_edge(class, object, &mut any, &mut |this, parent, _| {
                this.hop_reference(node, (target, parent), depth, inside)
            });
            if done {
                break;
            }
        }
        any.answer()
    }

    /// Adds the answer for every edge of the object that holds, contextual ones first; true as
    /// soon as one is true.
    fn for_each_edge(
        &mut self,
        class: &'a DirectClass,
        object: u32,
        any: &mut Any,
        answer: &mut dyn FnMut(&mut Self, u32, &DirectClass) -> Answer,
    ) -> bool {
        for (subject, guard) in self.scope.edges(class, object) {
            if any.add(self.edge(class, subject, guard, answer)) {
                return true;
            }
        }
        false
    }

    fn edge(
        &mut self,
        class: &'a DirectClass,
        subject: u32,
        guard: Option<Guard<'_>>,
        answer: &mut dyn FnMut(&mut Self, u32, &DirectClass) -> Answer,
    ) -> Answer {
        self.step()?;
        if !self.scope.holds(class, guard)? {
            return Ok(Truth::False);
        }
        answer(self, subject, class)
    }
}

fn truth(holds: bool) -> Truth {
    if holds { Truth::True } else { Truth::False }
}

/// Folds the operands of a union: a true beats an error, an error beats false. An error that ends
/// the request ends the union.
#[derive(Default)]
pub(super) struct Any {
    is_true: bool,
    has_cycle: bool,
    failure: Option<Failure>,
}

impl Any {
    /// True if no other operand is to be looked at.
    pub(super) fn add(&mut self, answer: Answer) -> bool {
        match answer {
            Ok(Truth::True) => self.is_true = true,
            Ok(Truth::False) => {}
            Ok(Truth::Cycle) => self.has_cycle = true,
            Err(failure) if failure.is_end() => {
                self.failure = Some(failure);
                return true;
            }
            Err(failure) => {
                self.failure.get_or_insert(failure);
            }
        }
        self.is_true
    }

    pub(super) fn answer(self) -> Answer {
        match self.failure {
            _ if self.is_true => Ok(Truth::True),
            Some(failure) => Err(failure),
            None if self.has_cycle => Ok(Truth::Cycle),
            None => Ok(Truth::False),
        }
    }
}
