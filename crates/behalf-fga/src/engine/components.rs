//! Groups nodes into components of mutual recursion (Tarjan's algorithm, without recursion).

use super::plan::{
    Component, ComponentKind, Expr, Node, NodeId, Place, StoreModel, UNBOUNDED_HOPS, Via,
};

/// Sets every node's component and classifies the components.
pub(super) fn assign(model: &mut StoreModel) {
    let successors: Vec<Vec<usize>> = model
        .nodes
        .iter()
        .map(|node| {
            let mut found = Vec::new();
            model.for_each_reference(
                node,
                &node.expr,
                Place::Enough,
                &mut |NodeId(target), _, _| {
                    found.push(target as usize);
                },
            );
            found
        })
        .collect();
    let component_of = tarjan(&successors);
    let count = component_of.iter().max().map_or(0, |last| last + 1);
    for (node, component) in model.nodes.iter_mut().zip(&component_of) {
        node.component = u32::try_from(*component).unwrap_or(u32::MAX);
    }
    let mut kinds = vec![ComponentKind::Single; count];
    for (at, node) in model.nodes.iter().enumerate() {
        let own = node.component;
        let is_recursive = successors.get(at).is_some_and(|next| {
            next.iter().any(|to| component_of.get(*to) == component_of.get(at))
        });
        if !is_recursive {
            continue;
        }
        let Some(kind) = kinds.get_mut(own as usize) else { continue };
        if !is_monotone(model, node, &node.expr) {
            *kind = ComponentKind::Mixed;
        } else if *kind == ComponentKind::Single {
            *kind = ComponentKind::Monotone;
        }
    }
    model.components = kinds.into_iter().map(|kind| Component { kind }).collect();
    count_hops(model);
}

/// Components are numbered from the leaves up, so those a component refers to come before it.
fn count_hops(model: &mut StoreModel) {
    let mut hops = vec![0_u32; model.components.len()];
    let mut nodes: Vec<&Node> = model.nodes.iter().collect();
    nodes.sort_by_key(|node| node.component);
    for node in nodes {
        let own = node.component as usize;
        let mut most = value(&hops, own);
        model.for_each_reference(node, &node.expr, Place::Enough, &mut |target, via, _| {
            let Some(target) = model.node(target).filter(|t| t.component != node.component) else {
                return;
            };
            let hop = u32::from(via != Via::Computed);
            most = most.max(value(&hops, target.component as usize).saturating_add(hop));
        });
        let is_mixed = model.components.get(own).is_some_and(|c| c.kind == ComponentKind::Mixed);
        set(&mut hops, own, if is_mixed { UNBOUNDED_HOPS } else { most });
    }
    for node in &mut model.nodes {
        node.hops = value(&hops, node.component as usize);
    }
}

/// True if references into the node's own component stand under unions only.
fn is_monotone(model: &StoreModel, node: &Node, expr: &Expr) -> bool {
    match expr {
        Expr::Union(children) => children.iter().all(|child| is_monotone(model, node, child)),
        Expr::This | Expr::Computed(_) | Expr::TupleToUserset { .. } => true,
        Expr::Intersection(_) | Expr::Difference(..) => !refers_inside(model, node, expr),
    }
}

/// True if the expression refers into the node's own component.
pub(super) fn refers_inside(model: &StoreModel, node: &Node, expr: &Expr) -> bool {
    let mut found = false;
    model.for_each_reference(node, expr, Place::Enough, &mut |target, _, _| {
        found |= model.node(target).is_some_and(|target| target.component == node.component);
    });
    found
}

fn tarjan(successors: &[Vec<usize>]) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let count = successors.len();
    let mut index = vec![UNSEEN; count];
    let mut low = vec![UNSEEN; count];
    let mut is_open = vec![false; count];
    let mut component = vec![0; count];
    let mut open: Vec<usize> = Vec::new();
    let (mut next_index, mut next_component) = (0, 0);
    for root in 0..count {
        if index.get(root) != Some(&UNSEEN) {
            continue;
        }
        let mut stack: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some(frame) = stack.last_mut() {
            let (node, at) = *frame;
            frame.1 += 1;
            if at == 0 {
                set(&mut index, node, next_index);
                set(&mut low, node, next_index);
                next_index += 1;
                open.push(node);
                set(&mut is_open, node, true);
            }
            if let Some(&to) = successors.get(node).and_then(|next| next.get(at)) {
                if index.get(to) == Some(&UNSEEN) {
                    stack.push((to, 0));
                } else if is_open.get(to) == Some(&true) {
                    let reached = value(&index, to).min(value(&low, node));
                    set(&mut low, node, reached);
                }
                continue;
            }
            stack.pop();
            if let Some(&(parent, _)) = stack.last() {
                let reached = value(&low, node).min(value(&low, parent));
                set(&mut low, parent, reached);
            }
            if value(&low, node) == value(&index, node) {
                while let Some(member) = open.pop() {
                    set(&mut is_open, member, false);
                    set(&mut component, member, next_component);
                    if member == node {
                        break;
                    }
                }
                next_component += 1;
            }
        }
    }
    component
}

fn value<T: Copy + Default>(of: &[T], at: usize) -> T {
    of.get(at).copied().unwrap_or_default()
}

fn set<T>(of: &mut [T], at: usize, to: T) {
    if let Some(slot) = of.get_mut(at) {
        *slot = to;
    }
}
