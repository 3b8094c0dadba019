//! What was missing: the tuples that would have granted the relation, and what took it away.
//!
//! Pairs that do not hold are visited from the asked one on, nearest first, along tuples that hold.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::super::evaluate::{Pair, SubjectKindId, Truth};
use super::super::plan::{DirectClass, Expr, Node, Subject};
use super::proof::Prover;
use super::{Lack, Missing, object_text, tuple_text};
use crate::tuple::{Guard, TupleKey};

const MAX_MISSING: usize = 100;
const MAX_PAIRS: usize = 1_000;

pub(super) struct Denial<'a> {
    prover: Prover<'a>,
    user: &'a str,
    /// The pair and tuple that a pair was first reached by.
    reached: HashMap<Pair, Option<(Pair, Option<TupleKey>)>>,
    queue: VecDeque<Pair>,
    missing: Vec<Missing>,
    is_truncated: bool,
}

impl<'a> Denial<'a> {
    pub(super) fn new(prover: Prover<'a>, user: &'a str) -> Self {
        Self {
            prover,
            user,
            reached: HashMap::new(),
            queue: VecDeque::new(),
            missing: Vec::new(),
            is_truncated: false,
        }
    }

    /// What was missing, and whether there was more.
    pub(super) fn missing(mut self, root: Pair) -> (Vec<Missing>, bool) {
        self.reached.insert(root, None);
        self.queue.push_back(root);
        while let Some(pair) = self.queue.pop_front() {
            if let Some(node) = self.prover.scope.model.node(pair.0) {
                self.expr(node, &node.expr, pair);
            }
        }
        (self.missing, self.is_truncated)
    }

    fn expr(&mut self, node: &'a Node, expr: &'a Expr, pair: Pair) {
        match expr {
            Expr::This => self.own_tuples(node, pair),
            Expr::Computed(target) => self.reach((*target, pair.1), pair, None),
            Expr::TupleToUserset { tupleset, targets } => {
                let Some(owner) = self.prover.scope.model.node(*tupleset) else { return };
                let mut has_parent = false;
                for (class, target) in targets {
                    let Some(class) = owner.direct.get(*class) else { continue };
                    for (parent, guard) in self.prover.scope.edges(class, pair.1) {
                        has_parent = true;
                        let target = Some((*target, parent));
                        self.follow(owner, class, pair, (parent, guard), target);
                    }
                }
                if !has_parent {
                    let tupleset = owner.relation_name.to_string();
                    self.add(pair, Lack::Parent { tupleset });
                }
            }
            Expr::Union(children) => children.iter().for_each(|c| self.expr(node, c, pair)),
            Expr::Intersection(children) => {
                for child in children {
                    let answer = self.prover.evaluator.operand(node, child, pair.1);
                    if !matches!(answer, Ok(Truth::True)) {
                        self.expr(node, child, pair);
                    }
                }
            }
            Expr::Difference(base, subtract) => {
                let answer = self.prover.evaluator.operand(node, base, pair.1);
                if !matches!(answer, Ok(Truth::True)) {
                    self.expr(node, base, pair);
                }
                match self.prover.evaluator.operand(node, subtract, pair.1) {
                    Ok(Truth::True) => match self.prover.prove_expr(node, subtract, pair.1) {
                        Some(by) => self.add(pair, Lack::Excluded { by: Box::new(by) }),
                        None => self.is_truncated = true,
                    },
                    Ok(Truth::Cycle) => self.add(pair, Lack::Cycle),
                    _ => {}
                }
            }
        }
    }

    fn own_tuples(&mut self, node: &'a Node, pair: Pair) {
        let subject = self.prover.evaluator.subject;
        let mut could_be_given = false;
        for class in &node.direct {
            let is_of_type = class.subject_type == subject.type_number;
            let edges = self.prover.scope.edges(class, pair.1);
            match (class.subject, subject.kind) {
                (Subject::Userset(target), kind) => {
                    could_be_given |= kind == SubjectKindId::Userset(target);
                    for edge in edges {
                        self.follow(node, class, pair, edge, Some((target, edge.0)));
                    }
                }
                (_, SubjectKindId::Userset(_)) => {}
                (Subject::Wildcard, kind) if is_of_type => {
                    could_be_given |= kind == SubjectKindId::Wildcard;
                    for edge in edges {
                        self.follow(node, class, pair, edge, None);
                    }
                }
                (Subject::Object, SubjectKindId::Object) if is_of_type => {
                    could_be_given = true;
                    if let Some(guard) = self.prover.scope.edge(class, pair.1, subject.id) {
                        self.follow(node, class, pair, (subject.id, guard), None);
                    }
                }
                _ => {}
            }
        }
        if could_be_given {
            self.add(pair, Lack::Tuple { user: self.user.to_owned() });
        }
    }

    /// Goes on to the target if the tuple holds; otherwise says why it does not.
    fn follow(
        &mut self,
        owner: &'a Node,
        class: &'a DirectClass,
        pair: Pair,
        (subject, guard): (u32, Option<Guard<'a>>),
        target: Option<Pair>,
    ) {
        let scope = self.prover.scope;
        let tuple = || tuple_text(scope, owner, class, pair.1, subject, guard);
        let lack = match scope.holds(class, guard) {
            Ok(true) => {
                if let Some(target) = target {
                    self.reach(target, pair, Some(tuple()));
                }
                return;
            }
            Err(error) => Lack::Condition { tuple: tuple(), error: Some(error.to_string()) },
            Ok(false) => {
                let Some(guard) = guard else { return };
                if scope.model.admits(class, guard.condition).is_err() {
                    return;
                }
                match scope.request.now_micros {
                    Some(now) if guard.validity.is_expired_at(now) => {
                        Lack::Expired { tuple: tuple() }
                    }
                    Some(now) if !guard.validity.holds_at(now) => Lack::NotYet { tuple: tuple() },
                    _ => Lack::Condition { tuple: tuple(), error: None },
                }
            }
        };
        self.add(pair, lack);
    }

    fn reach(&mut self, pair: Pair, from: Pair, tuple: Option<TupleKey>) {
        let subject = self.prover.evaluator.subject;
        let node = self.prover.scope.model.node(pair.0);
        let can_hold = node.is_some_and(|node| node.reached_by.contains(subject.class));
        if !can_hold || self.reached.contains_key(&pair) || self.prover.holds(pair) {
            return;
        }
        if self.reached.len() >= MAX_PAIRS {
            self.is_truncated = true;
            return;
        }
        self.reached.insert(pair, Some((from, tuple)));
        self.queue.push_back(pair);
    }

    fn add(&mut self, pair: Pair, what: Lack) {
        if self.missing.len() >= MAX_MISSING {
            self.is_truncated = true;
            return;
        }
        let Some(node) = self.prover.scope.model.node(pair.0) else { return };
        let mut via = Vec::new();
        let mut at = pair;
        while let Some(Some((from, tuple))) = self.reached.get(&at) {
            via.extend(tuple.clone());
            at = *from;
        }
        via.reverse();
        self.missing.push(Missing {
            object: object_text(self.prover.scope, node, pair.1),
            relation: node.relation_name.to_string(),
            via,
            what,
        });
    }
}
