//! What v2 needs to know of a model: whether it takes it, and who can be reached from where.

use hashbrown::HashMap;

use super::Unfit;
use crate::engine::evaluate::{SubjectId, SubjectKindId};
use crate::engine::plan::{
    BitSet, ComponentKind, DirectClass, Expr, Node, NodeId, StoreModel, Subject,
};
use crate::model::{RelationReference, Userset};
use crate::tuple::TupleKey;

/// What v2 needs to know of a model.
#[derive(Debug)]
pub(in crate::engine) struct Fit {
    pub(super) unfit: Option<Unfit>,
    /// Per node the classes of users (`Node::reached_by`) to which tuples can lead: every operand of
    /// an `and` must, and the base of a `but not`.
    reached: Vec<BitSet>,
    /// Per node the types whose `type:*` stands in it or below, under whatever operator.
    wild: Vec<BitSet>,
    /// The tables that admit fewer conditions than v1 thinks, with those that they admit.
    pub(super) narrower: HashMap<u32, Vec<Box<str>>>,
}

impl Fit {
    pub(super) fn new(model: &StoreModel) -> Self {
        let count = model.nodes.len();
        let mut this = Self {
            unfit: circle(model),
            reached: vec![BitSet::default(); count],
            wild: vec![BitSet::default(); count],
            narrower: HashMap::new(),
        };
        if this.unfit.is_some() {
            return this;
        }
        this.spread(model);
        this.unfit = model.nodes.iter().find_map(|node| this.unfit_node(model, node));
        for node in &model.nodes {
            for class in &node.direct {
                let admitted = conditions(model, node, class);
                if class.conditions.iter().any(|name| !admitted.contains(name)) {
                    this.narrower.insert(class.table, admitted);
                }
            }
        }
        this
    }

    /// True if tuples can lead from the node to the user.
    pub(super) fn reaches(&self, node: NodeId, subject: &SubjectId) -> bool {
        contains(&self.reached, node, subject.class)
            && (subject.kind != SubjectKindId::Wildcard
                || contains(&self.wild, node, subject.class))
    }

    /// True if tuples can lead from a part of a node's expression to the user.
    pub(super) fn expr_reaches(
        &self,
        model: &StoreModel,
        node: &Node,
        expr: &Expr,
        subject: &SubjectId,
    ) -> bool {
        let leads = self.leads(model, node, expr, subject.class);
        leads
            && (subject.kind != SubjectKindId::Wildcard
                || self.is_wild(model, node, expr, subject.class))
    }

    /// True if v2 sees a way from what is subtracted to the user. Where that is a relation of one
    /// kind of parent, it takes the userset of that relation for reached.
    pub(super) fn may_exclude(
        &self,
        model: &StoreModel,
        node: &Node,
        subtract: &Expr,
        subject: &SubjectId,
    ) -> bool {
        let is_of_parent = match (subtract, subject.kind) {
            (Expr::TupleToUserset { tupleset, targets }, SubjectKindId::Userset(user)) => {
                targets.iter().any(|(_, target)| *target == user)
                    && references(model, *tupleset).len() == 1
            }
            _ => false,
        };
        is_of_parent || self.leads(model, node, subtract, subject.class)
    }

    /// True if a tuple with the condition counts in v2, where v1 admits it.
    pub(super) fn admits(&self, class: &DirectClass, condition: &str) -> bool {
        let admitted = self.narrower.get(&class.table);
        admitted.is_none_or(|admitted| admitted.iter().any(|name| **name == *condition))
    }

    /// The first contextual tuple that only v1 admits.
    pub(super) fn refused<'t>(
        &self,
        model: &StoreModel,
        tuples: &'t [TupleKey],
    ) -> Option<&'t TupleKey> {
        if self.narrower.is_empty() {
            return None;
        }
        tuples.iter().find(|tuple| {
            let resolved = model.resolve(&tuple.user, &tuple.relation, &tuple.object);
            let class = resolved.and_then(|resolved| model.direct_class_of(&resolved, tuple));
            let condition = tuple.condition.as_ref();
            class.is_ok_and(|class| condition.is_some_and(|of| !self.admits(class, &of.name)))
        })
    }

    /// Fills `reached` and `wild` with the least sets that agree with every expression.
    fn spread(&mut self, model: &StoreModel) {
        let mut queue: Vec<&Node> = model.nodes.iter().collect();
        // From the leaves up, so that most nodes are looked at once.
        queue.sort_by_key(|node| std::cmp::Reverse(node.component));
        while let Some(node) = queue.pop() {
            let reached = self.reached_in(model, node, &node.expr);
            let wild = self.wild_in(model, node, &node.expr);
            let at = node.id.0 as usize;
            let mut has_grown = false;
            for (sets, found) in [(&mut self.reached, reached), (&mut self.wild, wild)] {
                has_grown |= sets.get_mut(at).is_some_and(|set| set.extend(&found));
            }
            if has_grown {
                queue.extend(node.dependents.iter().filter_map(|of| model.node(of.node)));
            }
        }
    }

    fn reached_in(&self, model: &StoreModel, node: &Node, expr: &Expr) -> BitSet {
        let mut set = BitSet::default();
        match expr {
            Expr::Union(children) => {
                for child in children {
                    set.extend(&self.reached_in(model, node, child));
                }
            }
            Expr::Intersection(children) => {
                let mut sets = children.iter().map(|child| self.reached_in(model, node, child));
                set = sets.next().unwrap_or_default();
                sets.for_each(|other| set.retain(&other));
            }
            Expr::Difference(base, _) => set = self.reached_in(model, node, base),
            leaf => for_each_target(node, leaf, &mut |class, target| {
                if let Some(below) = target.and_then(|to| self.reached.get(to.0 as usize)) {
                    set.extend(below);
                }
                if let Some(class) = class {
                    set.insert(class_of(model, class));
                }
            }),
        }
        set
    }

    fn wild_in(&self, model: &StoreModel, node: &Node, expr: &Expr) -> BitSet {
        let mut set = BitSet::default();
        match expr {
            Expr::Union(children) | Expr::Intersection(children) => {
                for child in children {
                    set.extend(&self.wild_in(model, node, child));
                }
            }
            Expr::Difference(base, subtract) => {
                set = self.wild_in(model, node, base);
                set.extend(&self.wild_in(model, node, subtract));
            }
            leaf => for_each_target(node, leaf, &mut |class, target| {
                if let Some(below) = target.and_then(|to| self.wild.get(to.0 as usize)) {
                    set.extend(below);
                }
                if let Some(class) = class.filter(|class| class.subject == Subject::Wildcard) {
                    set.insert(class_of(model, class));
                }
            }),
        }
        set
    }

    /// As [`Self::reached_in`], for one class.
    fn leads(&self, model: &StoreModel, node: &Node, expr: &Expr, wanted: u32) -> bool {
        match expr {
            Expr::Union(children) => {
                children.iter().any(|child| self.leads(model, node, child, wanted))
            }
            Expr::Intersection(children) => {
                children.iter().all(|child| self.leads(model, node, child, wanted))
            }
            Expr::Difference(base, _) => self.leads(model, node, base, wanted),
            leaf => {
                let mut is_there = false;
                for_each_target(node, leaf, &mut |class, target| {
                    is_there |= target.is_some_and(|to| contains(&self.reached, to, wanted))
                        || class.is_some_and(|class| class_of(model, class) == wanted);
                });
                is_there
            }
        }
    }

    /// As [`Self::wild_in`], for one type, but every operand of an `and` must have it.
    fn is_wild(&self, model: &StoreModel, node: &Node, expr: &Expr, wanted: u32) -> bool {
        match expr {
            Expr::Union(children) => {
                children.iter().any(|child| self.is_wild(model, node, child, wanted))
            }
            Expr::Intersection(children) => {
                children.iter().all(|child| self.is_wild(model, node, child, wanted))
            }
            Expr::Difference(base, subtract) => {
                self.is_wild(model, node, base, wanted)
                    || self.is_wild(model, node, subtract, wanted)
            }
            leaf => {
                let mut is_there = false;
                for_each_target(node, leaf, &mut |class, target| {
                    let is_wildcard = |class: &DirectClass| {
                        class.subject == Subject::Wildcard && class_of(model, class) == wanted
                    };
                    is_there |= target.is_some_and(|to| contains(&self.wild, to, wanted))
                        || class.is_some_and(is_wildcard);
                });
                is_there
            }
        }
    }

    fn unfit_node(&self, model: &StoreModel, node: &Node) -> Option<Unfit> {
        let definition = model.definition(node)?;
        let rewrite = definition.relations.get(&*node.relation_name)?;
        let mut missing = None;
        for_each_parent_relation(rewrite, &mut |tupleset, computed| {
            for parent in definition.directly_related_user_types(tupleset) {
                let plan = model.type_plan(&parent.type_name);
                if plan.is_none_or(|plan| !plan.relations.contains_key(computed)) {
                    missing.get_or_insert_with(|| format!("{}#{computed}", parent.type_name));
                }
            }
        });
        match missing {
            Some(missing) => Some(Unfit::MissingRelation { relation: name(model, node), missing }),
            None => self.unfit_expr(model, node, &node.expr),
        }
    }

    fn unfit_expr(&self, model: &StoreModel, node: &Node, expr: &Expr) -> Option<Unfit> {
        let within = |children: &[Expr]| {
            children.iter().find_map(|child| self.unfit_expr(model, node, child))
        };
        match expr {
            Expr::This | Expr::Computed(_) | Expr::TupleToUserset { .. } => None,
            Expr::Union(children) => within(children),
            Expr::Intersection(children) => within(children).or_else(|| {
                let common = self.reached_in(model, node, expr);
                let has_common = model.types.iter().any(|plan| common.contains(plan.class));
                (!has_common).then(|| Unfit::NothingInCommon { relation: name(model, node) })
            }),
            Expr::Difference(base, subtract) => {
                let unfit = self.unfit_expr(model, node, base);
                unfit.or_else(|| self.unfit_expr(model, node, subtract)).or_else(|| {
                    is_one_edge(model, node, base, subtract)
                        .then(|| Unfit::SameOperands { relation: name(model, node) })
                })
            }
        }
    }
}

/// A relation in a circle with an operand of `and` or `but not` in it.
fn circle(model: &StoreModel) -> Option<Unfit> {
    let node = model.nodes.iter().find(|node| {
        let component = model.components.get(node.component as usize);
        component.is_some_and(|component| component.kind == ComponentKind::Mixed)
    })?;
    Some(Unfit::Circle { relation: name(model, node) })
}

/// True if both operands are the same single edge of OpenFGA's graph, where they become one.
fn is_one_edge(model: &StoreModel, node: &Node, base: &Expr, subtract: &Expr) -> bool {
    match (base, subtract) {
        (Expr::This, Expr::This) => references(model, node.id).len() == 1,
        (
            Expr::TupleToUserset { tupleset, targets },
            Expr::TupleToUserset { tupleset: other, targets: others },
        ) => tupleset == other && targets == others && references(model, *tupleset).len() == 1,
        _ => false,
    }
}

pub(super) fn name(model: &StoreModel, node: &Node) -> String {
    let type_name = model.definition(node).map_or("", |definition| &definition.type_name);
    format!("{type_name}#{}", node.relation_name)
}

fn contains(sets: &[BitSet], node: NodeId, class: u32) -> bool {
    sets.get(node.0 as usize).is_some_and(|set| set.contains(class))
}

/// Visits what a leaf of an expression names: classes of tuples, and nodes that are asked further.
fn for_each_target(
    node: &Node,
    leaf: &Expr,
    visit: &mut dyn FnMut(Option<&DirectClass>, Option<NodeId>),
) {
    match leaf {
        Expr::This => {
            for class in &node.direct {
                let target = match class.subject {
                    Subject::Userset(target) => Some(target),
                    Subject::Object | Subject::Wildcard => None,
                };
                visit(Some(class), target);
            }
        }
        Expr::Computed(target) => visit(None, Some(*target)),
        Expr::TupleToUserset { targets, .. } => {
            targets.iter().for_each(|(_, target)| visit(None, Some(*target)));
        }
        Expr::Union(_) | Expr::Intersection(_) | Expr::Difference(..) => {}
    }
}

fn for_each_parent_relation<'u>(rewrite: &'u Userset, visit: &mut dyn FnMut(&'u str, &'u str)) {
    match rewrite {
        Userset::This(_) | Userset::ComputedUserset(_) => {}
        Userset::TupleToUserset(ttu) => {
            visit(&ttu.tupleset.relation, &ttu.computed_userset.relation);
        }
        Userset::Union(children) | Userset::Intersection(children) => {
            children.child.iter().for_each(|child| for_each_parent_relation(child, visit));
        }
        Userset::Difference(pair) => {
            for_each_parent_relation(&pair.base, visit);
            for_each_parent_relation(&pair.subtract, visit);
        }
    }
}

/// What the model says a relation's own tuples may name.
fn references(model: &StoreModel, node: NodeId) -> &[RelationReference] {
    let node = model.node(node);
    let definition = node.and_then(|node| Some((node, model.definition(node)?)));
    definition.map_or(&[], |(node, definition)| {
        definition.directly_related_user_types(&node.relation_name)
    })
}

/// The conditions that the model admits for the very kind of user of a class.
fn conditions(model: &StoreModel, node: &Node, class: &DirectClass) -> Vec<Box<str>> {
    let relation = match class.subject {
        Subject::Userset(target) => model.node(target).map_or("", |node| &*node.relation_name),
        Subject::Object | Subject::Wildcard => "",
    };
    let is_wildcard = class.subject == Subject::Wildcard;
    let is_of_class = |reference: &&RelationReference| {
        let plan = model.type_plan(&reference.type_name);
        plan.is_some_and(|plan| plan.number == class.subject_type)
            && reference.relation == relation
            && reference.wildcard.is_some() == is_wildcard
    };
    let names = references(model, node.id).iter().filter(is_of_class).map(|of| &*of.condition);
    names.filter(|name| !name.is_empty()).map(Box::from).collect()
}

/// The class of the users that a class of tuples names.
fn class_of(model: &StoreModel, class: &DirectClass) -> u32 {
    if let Subject::Userset(target) = class.subject {
        return model.userset_class(target);
    }
    let plan = model.types.iter().find(|plan| plan.number == class.subject_type);
    plan.map_or(u32::MAX, |plan| plan.class)
}
