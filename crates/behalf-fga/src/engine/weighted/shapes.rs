//! Which relations may be answered otherwise by v2, by the shape of the model alone.

use std::collections::BTreeSet;

use super::Change;
use crate::engine::evaluate::{SubjectId, SubjectKindId};
use crate::engine::plan::{Expr, Node, StoreModel, Subject};

impl StoreModel {
    /// The relations, as `type#relation`, to which v2 may answer otherwise than v1, or have no answer
    /// of its own, each with the reasons that can occur; none if v2 does not take the model.
    /// [`Change::SelfReferentialUserset`] can occur with every relation and is left out, as is what
    /// depends on contextual tuples and depth.
    pub fn semantic_changes(&self) -> Vec<(String, BTreeSet<Change>)> {
        if self.unfit().is_some() {
            return Vec::new();
        }
        let mut below: Vec<BTreeSet<Change>> = vec![BTreeSet::new(); self.nodes.len()];
        let mut queue: Vec<&Node> = Vec::new();
        for (node, found) in self.nodes.iter().zip(&mut below) {
            self.add_local(node, &node.expr, found);
            queue.push(node);
        }
        while let Some(node) = queue.pop() {
            let Some(own) = below.get(node.id.0 as usize).cloned() else { continue };
            for above in node.dependents.iter().filter_map(|of| self.node(of.node)) {
                let Some(found) = below.get_mut(above.id.0 as usize) else { continue };
                let known = found.len();
                found.extend(&own);
                if found.len() > known {
                    queue.push(above);
                }
            }
        }
        let relations = self.nodes.iter().zip(below).map(|(node, mut changes)| {
            if has_computed(&node.expr) {
                changes.insert(Change::ComputedUsersetSelfObject);
            }
            (super::fit::name(self, node), changes)
        });
        relations.filter(|(_, changes)| !changes.is_empty()).collect()
    }

    /// Adds what an expression causes for every relation that leads to it.
    fn add_local(&self, node: &Node, expr: &Expr, found: &mut BTreeSet<Change>) {
        match expr {
            Expr::Computed(_) => {}
            Expr::This => {
                let is_alias = node.direct.iter().any(|class| match class.subject {
                    Subject::Userset(to) => self.node(to).is_some_and(|to| has_computed(&to.expr)),
                    Subject::Object | Subject::Wildcard => false,
                });
                if is_alias {
                    found.insert(Change::AliasUserset);
                }
            }
            Expr::TupleToUserset { .. } => {
                found.insert(Change::TtuUserset);
            }
            Expr::Union(children) | Expr::Intersection(children) => {
                children.iter().for_each(|child| self.add_local(node, child, found));
            }
            Expr::Difference(base, subtract) => {
                self.add_local(node, base, found);
                self.add_local(node, subtract, found);
                self.add_exclusion(node, expr, found);
            }
        }
    }

    fn add_exclusion(&self, node: &Node, expr: &Expr, found: &mut BTreeSet<Change>) {
        let usersets = self.nodes.iter().map(|of| self.userset_class(of.id));
        let subject = |kind, class| SubjectId { kind, class, type_number: 0, id: 0 };
        let reaches =
            |kind, class| self.fit().expr_reaches(self, node, expr, &subject(kind, class));
        if usersets.into_iter().any(|class| reaches(SubjectKindId::Object, class)) {
            found.insert(Change::UsersetWithExclusion);
        }
        if self.types.iter().any(|plan| reaches(SubjectKindId::Wildcard, plan.class)) {
            found.insert(Change::WildcardWithExclusion);
        }
    }
}

fn has_computed(expr: &Expr) -> bool {
    match expr {
        Expr::Computed(_) => true,
        Expr::This | Expr::TupleToUserset { .. } => false,
        Expr::Union(children) | Expr::Intersection(children) => children.iter().any(has_computed),
        Expr::Difference(base, subtract) => has_computed(base) || has_computed(subtract),
    }
}
