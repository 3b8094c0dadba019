//! The walk from an object's relation to a user, along stored tuples only.

use hashbrown::{HashMap, HashSet};

use super::Change;
use super::fit::Fit;
use crate::engine::evaluate::{MAX_NESTING, Pair, SubjectId, SubjectKindId};
use crate::engine::plan::{ComponentKind, DirectClass, Expr, Node, NodeId, Subject};
use crate::engine::scope::{Budget, Scope};
use crate::error::RequestError;
use crate::tuple::Guard;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// It could not be found.
    Failure(Box<RequestError>),
    /// v2 has none.
    NoAnswer(Change),
}

impl Refusal {
    fn is_end(&self) -> bool {
        matches!(self, Self::Failure(error) if error.is_end())
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Failure(Box::new(error))
    }
}

type Answer = Result<bool, Refusal>;

/// The component that is being searched, and references into it.
type Inside<'i> = Option<(u32, &'i mut Vec<Pair>)>;

pub(super) struct Walk<'a> {
    scope: Scope<'a>,
    fit: &'a Fit,
    subject: SubjectId,
    known: HashMap<Pair, bool>,
    budget: Budget<'a>,
    nesting: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: Scope<'a>, fit: &'a Fit, subject: SubjectId) -> Self {
        let budget = scope.budget();
        Self { scope, fit, subject, known: HashMap::new(), budget, nesting: 0 }
    }

    /// Whether the user has a node's relation to an object.
    pub(super) fn node(&mut self, pair: Pair) -> Answer {
        self.budget.step()?;
        let Some(node) = self.scope.model.node(pair.0) else { return Ok(false) };
        if !self.fit.reaches(pair.0, &self.subject) {
            return Ok(false);
        }
        if let Some(known) = self.known.get(&pair) {
            return Ok(*known);
        }
        let kind = self.scope.model.components.get(node.component as usize).map(|c| c.kind);
        let is_allowed = match kind {
            Some(ComponentKind::Monotone) => self.search(node.component, pair)?,
            _ => self.expr(node, &node.expr, pair.1, &mut None)?,
        };
        self.known.insert(pair, is_allowed);
        Ok(is_allowed)
    }

    /// Looks at every pair of a component that the first leads to.
    fn search(&mut self, component: u32, first: Pair) -> Answer {
        let mut seen: HashSet<Pair> = [first].into_iter().collect();
        let mut open = vec![first];
        let mut any = Any::default();
        let mut found = Vec::new();
        while let Some((id, object)) = open.pop() {
            let Some(node) = self.scope.model.node(id) else { continue };
            let mut inside = Some((component, &mut found));
            if any.add(self.expr(node, &node.expr, object, &mut inside)) {
                return any.answer();
            }
            open.extend(found.drain(..).filter(|pair| seen.insert(*pair)));
        }
        let answer = any.answer();
        if answer.is_ok() {
            // Everything that any of them leads to was looked at.
            self.known.extend(seen.into_iter().map(|pair| (pair, false)));
        }
        answer
    }

    /// Evaluates an expression. References into the component `inside` are put there instead.
    fn expr(
        &mut self,
        node: &'a Node,
        expr: &'a Expr,
        object: u32,
        inside: &mut Inside<'_>,
    ) -> Answer {
        if self.nesting >= MAX_NESTING {
            return Err(RequestError::TooComplex.into());
        }
        if !self.fit.expr_reaches(self.scope.model, node, expr, &self.subject) {
            return Ok(false);
        }
        self.nesting += 1;
        let answer = match expr {
            Expr::This => self.direct(node, object, inside),
            Expr::Computed(target) => self.reference((*target, object), inside),
            Expr::TupleToUserset { tupleset, targets } => {
                self.parents(*tupleset, targets, object, inside)
            }
            Expr::Union(children) => {
                let mut any = Any::default();
                for child in children {
                    if any.add(self.expr(node, child, object, inside)) {
                        break;
                    }
                }
                any.answer()
            }
            Expr::Intersection(children) => self.intersection(node, children, object),
            Expr::Difference(base, subtract) => self.difference(node, base, subtract, object),
        };
        self.nesting -= 1;
        answer
    }

    /// A false beats what is no answer.
    fn intersection(&mut self, node: &'a Node, children: &'a [Expr], object: u32) -> Answer {
        let mut refusal = None;
        for child in children {
            match self.expr(node, child, object, &mut None) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(end) if end.is_end() => return Err(end),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        refusal.map_or(Ok(true), Err)
    }

    /// A base that is false and a subtract that is true beat what is no answer.
    fn difference(
        &mut self,
        node: &'a Node,
        base: &'a Expr,
        subtract: &'a Expr,
        object: u32,
    ) -> Answer {
        let subject = &self.subject;
        let may_exclude = self.fit.may_exclude(self.scope.model, node, subtract, subject);
        match subject.kind {
            SubjectKindId::Wildcard => {
                return Err(Refusal::NoAnswer(Change::WildcardWithExclusion));
            }
            SubjectKindId::Userset(_) if !may_exclude => {
                return Err(Refusal::NoAnswer(Change::UsersetWithExclusion));
            }
            _ => {}
        }
        let refusal = match self.expr(node, base, object, &mut None) {
            Ok(true) => None,
            Ok(false) => return Ok(false),
            Err(end) if end.is_end() => return Err(end),
            Err(error) => Some(error),
        };
        match self.expr(node, subtract, object, &mut None) {
            Ok(true) => Ok(false),
            Ok(false) => refusal.map_or(Ok(true), Err),
            Err(error) => Err(refusal.unwrap_or(error)),
        }
    }

    fn reference(&mut self, target: Pair, inside: &mut Inside<'_>) -> Answer {
        if let Some((component, found)) = inside
            && self.scope.model.node(target.0).is_some_and(|to| to.component == *component)
        {
            found.push(target);
            return Ok(false);
        }
        self.node(target)
    }

    /// The relation's own tuples.
    fn direct(&mut self, node: &'a Node, object: u32, inside: &mut Inside<'_>) -> Answer {
        let mut any = Any::default();
        for class in &node.direct {
            let is_of_type = class.subject_type == self.subject.type_number;
            let done = match (class.subject, self.subject.kind) {
                (Subject::Userset(target), kind) => {
                    let is_named = kind == SubjectKindId::Userset(target)
                        && any.add(self.tuple(class, object, self.subject.id));
                    is_named || self.edges(class, target, object, inside, &mut any)
                }
                (Subject::Object, SubjectKindId::Object) if is_of_type => {
                    any.add(self.tuple(class, object, self.subject.id))
                }
                (Subject::Wildcard, SubjectKindId::Object | SubjectKindId::Wildcard)
                    if is_of_type =>
                {
                    any.add(self.tuple(class, object, 0))
                }
                _ => false,
            };
            if done {
                break;
            }
        }
        any.answer()
    }

    fn parents(
        &mut self,
        tupleset: NodeId,
        targets: &'a [(usize, NodeId)],
        object: u32,
        inside: &mut Inside<'_>,
    ) -> Answer {
        let Some(tupleset) = self.scope.model.node(tupleset) else { return Ok(false) };
        let mut any = Any::default();
        for &(class, target) in targets {
            let Some(class) = tupleset.direct.get(class) else { continue };
            if self.edges(class, target, object, inside, &mut any) {
                break;
            }
        }
        any.answer()
    }

    /// The tuple of these two ends; a contextual one hides a stored one.
    fn tuple(&mut self, class: &'a DirectClass, object: u32, subject: u32) -> Answer {
        self.budget.step()?;
        match self.scope.edge(class, object, subject) {
            None => Ok(false),
            Some(guard) => self.holds(class, guard),
        }
    }

    /// Asks the target of everything that the object's tuples of a class name; true if no other
    /// operand is to be looked at.
    fn edges(
        &mut self,
        class: &'a DirectClass,
        target: NodeId,
        object: u32,
        inside: &mut Inside<'_>,
        any: &mut Any,
    ) -> bool {
        if !self.fit.reaches(target, &self.subject) {
            return false;
        }
        for (subject, guard) in self.scope.edges(class, object) {
            let answer = match self.budget.step() {
                Ok(()) => self.holds(class, guard),
                Err(end) => Err(end.into()),
            };
            let answer = match answer {
                Ok(true) => self.reference((target, subject), inside),
                answer => answer,
            };
            if any.add(answer) {
                return true;
            }
        }
        false
    }

    fn holds(&self, class: &DirectClass, guard: Option<Guard<'_>>) -> Answer {
        if let Some(condition) = guard.and_then(|guard| guard.condition)
            && !self.fit.admits(class, &condition.name)
        {
            return Ok(false);
        }
        Ok(self.scope.holds(class, guard)?)
    }
}

/// Folds the operands of a union: a true beats what is no answer, and that beats false.
#[derive(Default)]
struct Any {
    is_true: bool,
    refusal: Option<Refusal>,
}

impl Any {
    /// True if no other operand is to be looked at.
    fn add(&mut self, answer: Answer) -> bool {
        match answer {
            Ok(is_true) => self.is_true |= is_true,
            Err(end) if end.is_end() => {
                self.refusal = Some(end);
                return true;
            }
            Err(error) => {
                self.refusal.get_or_insert(error);
            }
        }
        self.is_true
    }

    fn answer(self) -> Answer {
        match self.refusal {
            Some(refusal) if !self.is_true => Err(refusal),
            _ => Ok(self.is_true),
        }
    }
}
