//! Finds the nodes whose checks are reachability, and what those look at; see [`super::reach`].

use super::plan::{ClassId, Expr, Node, NodeId, Place, Step, StoreModel, Subject};

/// At most so many relations of an object, with at most so many steps, are looked at as one.
const MAX_MERGED: usize = 32;

pub(super) fn assign(model: &mut StoreModel) {
    let steps: Vec<Option<Vec<Step>>> = model
        .nodes
        .iter()
        .map(|node| {
            let mut steps = Vec::new();
            flatten(node, &node.expr, &mut steps).then_some(steps)
        })
        .collect();
    let of = |node: NodeId| steps.get(node.0 as usize).and_then(Option::as_deref);
    let mut plain = vec![false; model.nodes.len()];
    let mut groups = vec![Vec::new(); model.nodes.len()];
    let mut naming = vec![Vec::new(); model.nodes.len()];
    for (at, node) in model.nodes.iter().enumerate() {
        let below = below(model, node.id);
        let is_plain = below.iter().all(|node| of(*node).is_some());
        let is_group = is_plain && below.iter().all(|node| of(*node).is_some_and(is_of_tuples));
        if let Some(slot) = plain.get_mut(at) {
            *slot = is_plain;
        }
        if let Some(slot) = naming.get_mut(at).filter(|_| is_plain) {
            let classes = below.iter().filter_map(|node| model.node(*node)).flat_map(|n| &n.direct);
            let of_users = classes.filter(|class| class.subject == Subject::Object);
            *slot = of_users.map(|class| (class.subject_type, class.table)).collect();
        }
        if let Some(slot) = groups.get_mut(at).filter(|_| is_group) {
            *slot = below;
        }
    }
    let nodes = model.nodes.iter();
    let merged: Vec<Vec<Step>> = nodes
        .zip(&plain)
        .map(|(n, is_plain)| if *is_plain { merged(n.id, of) } else { vec![] })
        .collect();
    let found = merged.into_iter().zip(plain).zip(groups).zip(naming);
    for (node, (((steps, is_plain), group), naming)) in model.nodes.iter_mut().zip(found) {
        node.is_plain = is_plain;
        node.group = group;
        node.naming = naming;
        node.steps = steps;
    }
}

/// The steps of a plain node, those of other relations of the object in place of the relations: where
/// all is a union, it says the same, and what they look at is read at once instead of in one wave
/// after the other (an item of a batch takes a tenth less where a relation names two others).
fn merged<'s>(node: NodeId, of: impl Fn(NodeId) -> Option<&'s [Step]>) -> Vec<Step> {
    let mut steps = of(node).unwrap_or_default().to_vec();
    let mut merged = vec![node];
    let mut at = 0;
    while let Some(step) = steps.get(at).copied() {
        let Step::Computed(target) = step else {
            at += 1;
            continue;
        };
        let own = of(target).unwrap_or_default();
        if merged.contains(&target) {
            steps.remove(at);
        } else if merged.len() == MAX_MERGED || steps.len() + own.len() > MAX_MERGED {
            at += 1;
        } else {
            steps.splice(at..=at, own.iter().copied());
            merged.push(target);
        }
    }
    steps
}

/// The steps of a union; false if it is none.
fn flatten(node: &Node, expr: &Expr, steps: &mut Vec<Step>) -> bool {
    match expr {
        Expr::This => {
            for (class, direct) in node.direct.iter().enumerate() {
                let class = ClassId { node: node.id, class };
                steps.push(match direct.subject {
                    Subject::Object => Step::User(class),
                    Subject::Wildcard => Step::Wildcard(class),
                    Subject::Userset(target) => Step::Usersets(class, target),
                });
            }
            true
        }
        Expr::Computed(target) => {
            steps.push(Step::Computed(*target));
            true
        }
        Expr::TupleToUserset { tupleset, targets } => {
            let class = |class| ClassId { node: *tupleset, class };
            let parents = targets.iter();
            steps.extend(parents.map(|&(at, target)| Step::Parents(class(at), target)));
            true
        }
        Expr::Union(children) => children.iter().all(|child| flatten(node, child, steps)),
        Expr::Intersection(_) | Expr::Difference(..) => false,
    }
}

/// True if the relation is made of its own tuples only.
fn is_of_tuples(steps: &[Step]) -> bool {
    steps.iter().all(|step| matches!(step, Step::User(_) | Step::Wildcard(_) | Step::Usersets(..)))
}

/// A node and all it depends on.
fn below(model: &StoreModel, root: NodeId) -> Vec<NodeId> {
    let mut found = vec![root];
    let mut is_found = vec![false; model.nodes.len()];
    if let Some(root) = is_found.get_mut(root.0 as usize) {
        *root = true;
    }
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        next += 1;
        let Some(node) = model.node(id) else { continue };
        model.for_each_reference(node, &node.expr, Place::Enough, &mut |to, _, _| {
            let is_known = is_found.get_mut(to.0 as usize);
            if is_known.is_some_and(|is_known| !std::mem::replace(is_known, true)) {
                found.push(to);
            }
        });
    }
    found
}
