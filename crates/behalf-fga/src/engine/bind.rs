//! Compiles a model for a store.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use super::components;
use super::plain;
use super::plan::{
    BitSet, Dependent, DirectClass, Expr, Node, NodeId, Place, StoreModel, Subject, TypePlan, Via,
};
use crate::condition;
use crate::model::{
    AuthorizationModel, InvalidModel, RelationReference, TypeDefinition, Userset, check_model,
    collect_tuplesets,
};
use crate::store::{Snapshot, SubjectKind, TableKey};

impl StoreModel {
    /// Checks the model and binds it; the snapshot gets the numbers and tables it needs.
    pub(crate) fn bind(
        model: AuthorizationModel,
        snapshot: &mut Snapshot,
    ) -> Result<Self, InvalidModel> {
        check_model(&model)?;
        let mut conditions = HashMap::new();
        for (name, condition) in &model.conditions {
            let compiled = condition::compile(condition).map_err(|reason| {
                InvalidModel::ConditionExpression { condition: name.clone(), reason }
            })?;
            conditions.insert(Box::from(name.as_str()), compiled);
        }
        let mut this = Self {
            identity: Arc::clone(snapshot.identity()),
            types: Vec::new(),
            type_numbers: HashMap::new(),
            nodes: Vec::new(),
            components: Vec::new(),
            conditions,
            fit: OnceLock::new(),
            model,
        };
        this.add_types(snapshot)?;
        this.add_direct_classes(snapshot)?;
        this.add_expressions();
        this.add_dependents();
        components::assign(&mut this);
        this.add_reach();
        plain::assign(&mut this);
        Ok(this)
    }

    fn add_types(&mut self, snapshot: &mut Snapshot) -> Result<(), InvalidModel> {
        for (type_index, definition) in self.model.type_definitions.iter().enumerate() {
            let name = definition.type_name.as_str();
            let number = snapshot.intern_type(name).ok_or(InvalidModel::TooMany("types"))?;
            let mut tuplesets = BTreeSet::new();
            definition.relations.values().for_each(|r| collect_tuplesets(r, &mut tuplesets));
            let mut relations = HashMap::new();
            for relation_name in definition.relations.keys() {
                let relation = snapshot
                    .intern_relation(relation_name)
                    .ok_or(InvalidModel::TooMany("relations"))?;
                let node = next_id(self.nodes.len())?;
                self.nodes.push(Node {
                    id: NodeId(node),
                    type_index,
                    object_type: number,
                    relation,
                    relation_name: Box::from(relation_name.as_str()),
                    expr: Expr::Union(Vec::new()),
                    direct: Vec::new(),
                    is_tupleset: tuplesets.contains(relation_name.as_str()),
                    component: 0,
                    is_this_enough: false,
                    steps: Vec::new(),
                    is_plain: false,
                    naming: Vec::new(),
                    group: Vec::new(),
                    hops: 0,
                    reached_by: BitSet::default(),
                    dependents: Vec::new(),
                });
                relations.insert(Box::from(relation_name.as_str()), NodeId(node));
            }
            // Classes: types first, then nodes; see `userset_class`.
            let class = next_id(type_index)?;
            self.types.push(TypePlan { number, class, relations });
            self.type_numbers.insert(Box::from(name), type_index);
        }
        Ok(())
    }

    /// The class of usersets of a node.
    pub(super) fn userset_class(&self, node: NodeId) -> u32 {
        u32::try_from(self.types.len()).unwrap_or(u32::MAX).saturating_add(node.0)
    }

    fn find_node(&self, type_name: &str, relation: &str) -> Option<NodeId> {
        self.type_plan(type_name)?.relations.get(relation).copied()
    }

    pub(super) fn definition(&self, node: &Node) -> Option<&TypeDefinition> {
        self.model.type_definitions.get(node.type_index)
    }

    fn add_direct_classes(&mut self, snapshot: &mut Snapshot) -> Result<(), InvalidModel> {
        let mut found = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let references = self
                .definition(node)
                .map_or(&[][..], |d| d.directly_related_user_types(&node.relation_name));
            found.push(self.direct_classes(node, references, snapshot)?);
        }
        for (node, direct) in self.nodes.iter_mut().zip(found) {
            node.direct = direct;
        }
        Ok(())
    }

    fn direct_classes(
        &self,
        node: &Node,
        references: &[RelationReference],
        snapshot: &mut Snapshot,
    ) -> Result<Vec<DirectClass>, InvalidModel> {
        let mut classes: Vec<DirectClass> = Vec::new();
        for reference in references {
            let Some(subject_plan) = self.type_plan(&reference.type_name) else { continue };
            let (subject, kind) = if reference.wildcard.is_some() {
                (Subject::Wildcard, SubjectKind::Wildcard)
            } else if reference.relation.is_empty() {
                (Subject::Object, SubjectKind::Object)
            } else {
                let target = self.find_node(&reference.type_name, &reference.relation);
                let Some((target, node)) = target.and_then(|t| Some((t, self.node(t)?))) else {
                    continue;
                };
                (Subject::Userset(target), SubjectKind::Userset(node.relation))
            };
            let key = TableKey {
                object_type: node.object_type,
                relation: node.relation,
                subject_type: subject_plan.number,
                subject: kind,
            };
            let table = snapshot.ensure_table(key).ok_or(InvalidModel::TooMany("tables"))?;
            let known = classes.iter().position(|class| class.table == table);
            let class = match known.and_then(|at| classes.get_mut(at)) {
                Some(class) => class,
                None => {
                    classes.push(DirectClass {
                        subject_type: subject_plan.number,
                        subject,
                        table,
                        admits_plain: false,
                        conditions: conditions_of_type(references, &reference.type_name),
                    });
                    let Some(class) = classes.last_mut() else { continue };
                    class
                }
            };
            class.admits_plain |= reference.condition.is_empty();
        }
        Ok(classes)
    }

    fn add_expressions(&mut self) {
        let exprs: Vec<Expr> = self
            .nodes
            .iter()
            .map(|node| {
                let rewrite =
                    self.definition(node).and_then(|d| d.relations.get(&*node.relation_name));
                rewrite.map_or(Expr::Union(Vec::new()), |rewrite| self.expr(node, rewrite))
            })
            .collect();
        for (node, expr) in self.nodes.iter_mut().zip(exprs) {
            node.is_this_enough = match &expr {
                Expr::This => true,
                Expr::Union(children) => children.iter().any(|child| matches!(child, Expr::This)),
                _ => false,
            };
            node.expr = expr;
        }
    }

    fn expr(&self, node: &Node, rewrite: &Userset) -> Expr {
        let empty = || Expr::Union(Vec::new());
        let own = |relation: &str| {
            self.types.get(node.type_index).and_then(|plan| plan.relations.get(relation)).copied()
        };
        let all = |children: &[Userset]| children.iter().map(|c| self.expr(node, c)).collect();
        match rewrite {
            Userset::This(_) => Expr::This,
            Userset::ComputedUserset(computed) => {
                own(&computed.relation).map_or_else(empty, Expr::Computed)
            }
            Userset::TupleToUserset(ttu) => {
                let Some(tupleset) = own(&ttu.tupleset.relation) else { return empty() };
                let classes = self.node(tupleset).map_or(&[][..], |node| node.direct.as_slice());
                let mut targets = Vec::new();
                for (at, class) in classes.iter().enumerate() {
                    let parent = self.types.iter().find(|t| t.number == class.subject_type);
                    let target = parent
                        .and_then(|parent| parent.relations.get(&*ttu.computed_userset.relation));
                    if let (Subject::Object, Some(target)) = (class.subject, target) {
                        targets.push((at, *target));
                    }
                }
                Expr::TupleToUserset { tupleset, targets }
            }
            Userset::Union(children) => {
                // Unions in unions are one union.
                let mut flat = Vec::new();
                for child in &children.child {
                    match self.expr(node, child) {
                        Expr::Union(inner) => flat.extend(inner),
                        expr => flat.push(expr),
                    }
                }
                Expr::Union(flat)
            }
            Userset::Intersection(children) => Expr::Intersection(all(&children.child)),
            Userset::Difference(pair) => Expr::Difference(
                Box::new(self.expr(node, &pair.base)),
                Box::new(self.expr(node, &pair.subtract)),
            ),
        }
    }

    fn add_dependents(&mut self) {
        let mut found: Vec<(NodeId, Dependent)> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let Ok(id) = u32::try_from(at) else { continue };
            self.for_each_reference(node, &node.expr, Place::Enough, &mut |target, via, place| {
                found.push((target, Dependent { node: NodeId(id), via, place }));
            });
        }
        for (target, dependent) in found {
            if let Some(node) = self.nodes.get_mut(target.0 as usize)
                && !node.dependents.contains(&dependent)
            {
                node.dependents.push(dependent);
            }
        }
    }

    /// Visits every node the expression refers to.
    pub(super) fn for_each_reference(
        &self,
        node: &Node,
        expr: &Expr,
        place: Place,
        visit: &mut dyn FnMut(NodeId, Via, Place),
    ) {
        match expr {
            Expr::This => {
                for (at, class) in node.direct.iter().enumerate() {
                    if let Subject::Userset(target) = class.subject {
                        visit(target, Via::Tuples { owner: node.id, class: at }, place);
                    }
                }
            }
            Expr::Computed(target) => visit(*target, Via::Computed, place),
            Expr::TupleToUserset { tupleset, targets } => {
                for (class, target) in targets {
                    visit(*target, Via::Tuples { owner: *tupleset, class: *class }, place);
                }
            }
            Expr::Union(children) => {
                for child in children {
                    self.for_each_reference(node, child, place, visit);
                }
            }
            Expr::Intersection(children) => {
                for child in children {
                    self.for_each_reference(node, child, place.needed(), visit);
                }
            }
            Expr::Difference(base, subtract) => {
                self.for_each_reference(node, base, place.needed(), visit);
                self.for_each_reference(node, subtract, place.subtracted(), visit);
            }
        }
    }

    /// Spreads user classes along references until nothing changes.
    fn add_reach(&mut self) {
        let mut queue: Vec<NodeId> = Vec::new();
        for at in 0..self.nodes.len() {
            let Ok(id) = u32::try_from(at) else { continue };
            let Some(node) = self.nodes.get(at) else { continue };
            let mut classes = BitSet::default();
            if contains_this(&node.expr) {
                for class in &node.direct {
                    let plan = self.types.iter().find(|t| t.number == class.subject_type);
                    match (class.subject, plan) {
                        (Subject::Userset(target), _) => {
                            classes.insert(self.userset_class(target));
                        }
                        (_, Some(plan)) => {
                            classes.insert(plan.class);
                        }
                        _ => {}
                    }
                }
            }
            if let Some(node) = self.nodes.get_mut(at) {
                node.reached_by = classes;
            }
            queue.push(NodeId(id));
        }
        while let Some(id) = queue.pop() {
            let Some(node) = self.node(id) else { continue };
            let mut from = node.reached_by.clone();
            from.insert(self.userset_class(id));
            let dependents: Vec<NodeId> = node.dependents.iter().map(|d| d.node).collect();
            for dependent in dependents {
                if let Some(node) = self.nodes.get_mut(dependent.0 as usize)
                    && node.reached_by.extend(&from)
                {
                    queue.push(dependent);
                }
            }
        }
    }
}

fn contains_this(expr: &Expr) -> bool {
    match expr {
        Expr::This => true,
        Expr::Computed(_) | Expr::TupleToUserset { .. } => false,
        Expr::Union(children) | Expr::Intersection(children) => children.iter().any(contains_this),
        Expr::Difference(base, subtract) => contains_this(base) || contains_this(subtract),
    }
}

/// OpenFGA admits a condition by the user's type alone, whatever the kind of user.
fn conditions_of_type(references: &[RelationReference], type_name: &str) -> Vec<Box<str>> {
    references
        .iter()
        .filter(|reference| reference.type_name == type_name && !reference.condition.is_empty())
        .map(|reference| Box::from(reference.condition.as_str()))
        .collect()
}

fn next_id(count: usize) -> Result<u32, InvalidModel> {
    u32::try_from(count).map_err(|_| InvalidModel::TooMany("relations"))
}
