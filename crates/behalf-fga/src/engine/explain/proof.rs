//! The shortest proof: the fewest tuples that together make a pair hold.
//!
//! Pairs that hold are gathered from the asked one on, then each gets the cost of its cheapest
//! alternative until no cost falls any more. A cost is built from smaller ones, so the proof read
//! off in the end never rests on itself.

use hashbrown::HashMap;

use super::super::evaluate::{Evaluator, Pair, SubjectKindId, Truth};
use super::super::plan::{DirectClass, Expr, Node, Subject};
use super::super::scope::Scope;
use super::{Proof, Reason, object_text, tuple_text};
use crate::tuple::Guard;

/// No more pairs are looked at, and no longer proof is given.
const MAX_PAIRS: usize = 10_000;
const MAX_DEPTH: u32 = 200;

pub(super) struct Prover<'a> {
    pub(super) evaluator: Evaluator<'a>,
    pub(super) scope: Scope<'a>,
    /// The cheapest proof known of a pair that holds, in tuples.
    costs: HashMap<Pair, Option<u32>>,
}

/// A tuple on the way to another pair, or to the user.
struct Way<'a> {
    owner: &'a Node,
    class: &'a DirectClass,
    subject: u32,
    guard: Option<Guard<'a>>,
    /// Where the user must be found; nothing if the tuple names the user.
    target: Option<Pair>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(evaluator: Evaluator<'a>) -> Self {
        Self { scope: evaluator.scope, evaluator, costs: HashMap::new() }
    }

    /// The shortest proof of a pair; nothing if it does not hold, or the proof is too long.
    pub(super) fn prove(&mut self, root: Pair) -> Option<Proof> {
        self.settle(root)?;
        self.proof(root, 0)
    }

    /// The shortest proof of an expression of a pair.
    pub(super) fn prove_expr(
        &mut self,
        node: &'a Node,
        expr: &'a Expr,
        object: u32,
    ) -> Option<Proof> {
        let mut targets = Vec::new();
        self.references(node, expr, object, &mut targets);
        for target in targets {
            let _settled = self.settle(target);
        }
        self.expr_proof(node, expr, object, 0)
    }

    pub(super) fn holds(&mut self, pair: Pair) -> bool {
        self.evaluator.check(pair.0, pair.1).unwrap_or(false)
    }

    /// Gathers what the pair rests on, and finds every cost.
    fn settle(&mut self, root: Pair) -> Option<()> {
        let mut order = Vec::new();
        let mut queue = vec![root];
        while let Some(pair) = queue.pop() {
            if self.costs.contains_key(&pair) || !self.holds(pair) {
                continue;
            }
            if self.costs.len() >= MAX_PAIRS {
                return None;
            }
            self.costs.insert(pair, None);
            order.push(pair);
            let node = self.scope.model.node(pair.0)?;
            self.references(node, &node.expr, pair.1, &mut queue);
        }
        loop {
            let mut has_changed = false;
            for pair in order.iter().rev() {
                let cost = self.cost(*pair);
                if let Some(known) = self.costs.get_mut(pair)
                    && cost.is_some()
                    && (known.is_none() || cost < *known)
                {
                    *known = cost;
                    has_changed = true;
                }
            }
            if !has_changed {
                return Some(());
            }
        }
    }

    fn references(&self, node: &'a Node, expr: &'a Expr, object: u32, into: &mut Vec<Pair>) {
        match expr {
            Expr::This | Expr::TupleToUserset { .. } => {
                into.extend(self.ways(node, expr, object).iter().filter_map(|way| way.target));
            }
            Expr::Computed(target) => into.push((*target, object)),
            Expr::Union(children) | Expr::Intersection(children) => {
                for child in children {
                    self.references(node, child, object, into);
                }
            }
            Expr::Difference(base, _) => self.references(node, base, object, into),
        }
    }

    /// The tuples that hold and lead on, or name the user.
    fn ways(&self, node: &'a Node, expr: &'a Expr, object: u32) -> Vec<Way<'a>> {
        let mut ways = Vec::new();
        match expr {
            Expr::This => {
                for class in &node.direct {
                    self.own_ways(node, class, object, &mut ways);
                }
            }
            Expr::TupleToUserset { tupleset, targets } => {
                let Some(owner) = self.scope.model.node(*tupleset) else { return ways };
                for (class, target) in targets {
                    let Some(class) = owner.direct.get(*class) else { continue };
                    let tuples = self.holding(class, object);
                    ways.extend(tuples.into_iter().map(|(subject, guard)| Way {
                        owner,
                        class,
                        subject,
                        guard,
                        target: Some((*target, subject)),
                    }));
                }
            }
            _ => {}
        }
        ways
    }

    fn own_ways(
        &self,
        node: &'a Node,
        class: &'a DirectClass,
        object: u32,
        ways: &mut Vec<Way<'a>>,
    ) {
        let user = self.evaluator.subject;
        let is_userset = matches!(user.kind, SubjectKindId::Userset(_));
        let is_of_type = class.subject_type == user.type_number;
        let way = |subject, guard, target| Way { owner: node, class, subject, guard, target };
        match class.subject {
            Subject::Userset(target) => {
                for (subject, guard) in self.holding(class, object) {
                    ways.push(way(subject, guard, Some((target, subject))));
                }
            }
            Subject::Wildcard if is_of_type && !is_userset => {
                for (subject, guard) in self.holding(class, object) {
                    ways.push(way(subject, guard, None));
                }
            }
            Subject::Object if is_of_type && user.kind == SubjectKindId::Object => {
                if let Some(guard) = self.scope.edge(class, object, user.id)
                    && self.scope.holds(class, guard) == Ok(true)
                {
                    ways.push(way(user.id, guard, None));
                }
            }
            _ => {}
        }
    }

    fn holding(&self, class: &'a DirectClass, object: u32) -> Vec<(u32, Option<Guard<'a>>)> {
        let edges = self.scope.edges(class, object);
        edges.filter(|(_, guard)| self.scope.holds(class, *guard) == Ok(true)).collect()
    }

    fn cost(&mut self, pair: Pair) -> Option<u32> {
        if self.evaluator.is_self(pair) {
            return Some(0);
        }
        let node = self.scope.model.node(pair.0)?;
        self.expr_cost(node, &node.expr, pair.1)
    }

    fn known(&self, pair: Pair) -> Option<u32> {
        self.costs.get(&pair).copied().flatten()
    }

    fn expr_cost(&mut self, node: &'a Node, expr: &'a Expr, object: u32) -> Option<u32> {
        match expr {
            Expr::This | Expr::TupleToUserset { .. } => {
                let ways = self.ways(node, expr, object);
                ways.iter().filter_map(|way| self.way_cost(way)).min()
            }
            Expr::Computed(target) => self.known((*target, object)),
            Expr::Union(children) => {
                children.iter().filter_map(|child| self.expr_cost(node, child, object)).min()
            }
            Expr::Intersection(children) => {
                children.iter().map(|child| self.expr_cost(node, child, object)).sum()
            }
            Expr::Difference(base, subtract) => {
                let cost = self.expr_cost(node, base, object)?;
                self.is_false(node, subtract, object).then_some(cost)
            }
        }
    }

    fn way_cost(&self, way: &Way<'a>) -> Option<u32> {
        match way.target {
            None => Some(1),
            Some(target) if self.evaluator.is_self(target) => Some(1),
            Some(target) => self.known(target).map(|cost| cost + 1),
        }
    }

    fn is_false(&mut self, node: &'a Node, expr: &'a Expr, object: u32) -> bool {
        matches!(self.evaluator.operand(node, expr, object), Ok(Truth::False))
    }

    fn proof(&mut self, pair: Pair, depth: u32) -> Option<Proof> {
        let node = self.scope.model.node(pair.0)?;
        if self.evaluator.is_self(pair) {
            return Some(self.of(node, pair.1, Reason::Itself));
        }
        if depth > MAX_DEPTH {
            return None;
        }
        self.expr_proof(node, &node.expr, pair.1, depth + 1)
    }

    fn of(&self, node: &Node, object: u32, reason: Reason) -> Proof {
        Proof {
            object: object_text(self.scope, node, object),
            relation: node.relation_name.to_string(),
            reason,
        }
    }

    fn expr_proof(
        &mut self,
        node: &'a Node,
        expr: &'a Expr,
        object: u32,
        depth: u32,
    ) -> Option<Proof> {
        let reason = match expr {
            Expr::This | Expr::TupleToUserset { .. } => {
                let ways = self.ways(node, expr, object);
                let costs = ways.iter().map(|way| self.way_cost(way));
                let cheapest = costs.zip(&ways).filter(|(cost, _)| cost.is_some());
                let (_, way) = cheapest.min_by_key(|(cost, _)| *cost)?;
                let (class, guard) = (way.class, way.guard);
                let tuple = tuple_text(self.scope, way.owner, class, object, way.subject, guard);
                match way.target {
                    None => Reason::Tuple { tuple },
                    Some(target) => {
                        let from = Box::new(self.proof(target, depth)?);
                        match expr {
                            Expr::This => Reason::Userset { tuple, from },
                            _ => Reason::Parent { tuple, from },
                        }
                    }
                }
            }
            Expr::Computed(target) => {
                Reason::Computed { from: Box::new(self.proof((*target, object), depth)?) }
            }
            Expr::Union(children) => {
                let mut best = None;
                for child in children {
                    let Some(cost) = self.expr_cost(node, child, object) else { continue };
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, child));
                    }
                }
                return self.expr_proof(node, best?.1, object, depth);
            }
            Expr::Intersection(children) => Reason::All {
                of: children
                    .iter()
                    .map(|child| self.expr_proof(node, child, object, depth))
                    .collect::<Option<_>>()?,
            },
            Expr::Difference(base, _) => {
                Reason::Except { base: Box::new(self.expr_proof(node, base, object, depth)?) }
            }
        };
        Some(self.of(node, object, reason))
    }
}
