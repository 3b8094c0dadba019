//! Which relations can ever hold: the least fixed point of "has an entry point".
//!
//! A relation has one if a tuple can name a plain object or wildcard for it, or if what it is
//! computed from has one: any operand of a union, all of an intersection, both of an exclusion.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::json::{AuthorizationModel, TypeDefinition, Userset};

/// A relation of a type.
type Key<'a> = (&'a str, &'a str);

/// The relations that have an entry point.
pub(crate) struct EntryPoints<'a> {
    types: BTreeMap<&'a str, &'a TypeDefinition>,
    found: BTreeSet<Key<'a>>,
}

impl<'a> EntryPoints<'a> {
    pub(crate) fn new(model: &'a AuthorizationModel) -> Self {
        let types: BTreeMap<_, _> =
            model.type_definitions.iter().map(|t| (t.type_name.as_str(), t)).collect();
        let mut this = Self { types, found: BTreeSet::new() };
        let mut dependents: HashMap<Key<'a>, Vec<Key<'a>>> = HashMap::new();
        let mut queue: Vec<Key<'a>> = Vec::new();
        for (&type_name, &definition) in &this.types {
            for (relation, rewrite) in &definition.relations {
                let key = (type_name, relation.as_str());
                this.for_each_dependency(key, rewrite, &mut |dependency| {
                    dependents.entry(dependency).or_default().push(key);
                });
                queue.push(key);
            }
        }
        while let Some(key) = queue.pop() {
            if this.found.contains(&key) {
                continue;
            }
            let Some(rewrite) = this.rewrite(key) else { continue };
            if this.holds(key, rewrite) {
                this.found.insert(key);
                queue.extend(dependents.get(&key).into_iter().flatten().copied());
            }
        }
        this
    }

    pub(crate) fn has_entry(&self, type_name: &str, relation: &str) -> bool {
        self.found.contains(&(type_name, relation))
    }

    /// True if computed relations without an entry point lead from the relation into a loop.
    pub(crate) fn is_loop(&self, type_name: &str, relation: &str) -> bool {
        let Some(&definition) = self.types.get(type_name) else { return false };
        computed_cycle(definition, relation, &|name| !self.has_entry(type_name, name))
    }

    fn rewrite(&self, (type_name, relation): Key<'_>) -> Option<&'a Userset> {
        self.types.get(type_name)?.relations.get(relation)
    }

    fn holds(&self, key: Key<'a>, rewrite: &'a Userset) -> bool {
        match rewrite {
            Userset::This(_) => {
                let Some(definition) = self.types.get(key.0) else { return false };
                definition.directly_related_user_types(key.1).iter().any(|reference| {
                    reference.relation.is_empty()
                        || self.has_entry(&reference.type_name, &reference.relation)
                })
            }
            Userset::Union(children) => children.child.iter().any(|c| self.holds(key, c)),
            Userset::Intersection(children) => children.child.iter().all(|c| self.holds(key, c)),
            Userset::Difference(pair) => {
                self.holds(key, &pair.base) && self.holds(key, &pair.subtract)
            }
            Userset::ComputedUserset(_) | Userset::TupleToUserset(_) => {
                let mut any = false;
                self.for_each_dependency(key, rewrite, &mut |dependency| {
                    any |= self.found.contains(&dependency);
                });
                any
            }
        }
    }

    fn for_each_dependency(
        &self,
        key: Key<'a>,
        rewrite: &'a Userset,
        visit: &mut dyn FnMut(Key<'a>),
    ) {
        match rewrite {
            Userset::This(_) => {
                let Some(definition) = self.types.get(key.0) else { return };
                for reference in definition.directly_related_user_types(key.1) {
                    if !reference.relation.is_empty() {
                        visit((reference.type_name.as_str(), reference.relation.as_str()));
                    }
                }
            }
            Userset::ComputedUserset(computed) => visit((key.0, computed.relation.as_str())),
            Userset::TupleToUserset(ttu) => {
                let Some(definition) = self.types.get(key.0) else { return };
                for parent in definition.directly_related_user_types(&ttu.tupleset.relation) {
                    visit((parent.type_name.as_str(), ttu.computed_userset.relation.as_str()));
                }
            }
            Userset::Union(children) | Userset::Intersection(children) => {
                for child in &children.child {
                    self.for_each_dependency(key, child, visit);
                }
            }
            Userset::Difference(pair) => {
                self.for_each_dependency(key, &pair.base, visit);
                self.for_each_dependency(key, &pair.subtract, visit);
            }
        }
    }
}

/// True if computed relations accepted by `admits` lead from `start` into a loop.
pub(crate) fn computed_cycle(
    definition: &TypeDefinition,
    start: &str,
    admits: &dyn Fn(&str) -> bool,
) -> bool {
    // Depth-first with an explicit stack: a relation is open while its successors are visited.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut stack: Vec<(&str, bool)> = vec![(start, false)];
    while let Some((relation, leave)) = stack.pop() {
        if leave {
            open.remove(relation);
            done.insert(relation);
            continue;
        }
        if open.contains(relation) {
            return true;
        }
        let Some((relation, rewrite)) = definition.relations.get_key_value(relation) else {
            continue;
        };
        if done.contains(relation.as_str()) || !admits(relation) {
            continue;
        }
        open.insert(relation);
        stack.push((relation, true));
        let mut computed = Vec::new();
        collect_computed(rewrite, &mut computed);
        stack.extend(computed.into_iter().map(|name| (name, false)));
    }
    false
}

fn collect_computed<'a>(rewrite: &'a Userset, found: &mut Vec<&'a str>) {
    match rewrite {
        Userset::This(_) | Userset::TupleToUserset(_) => {}
        Userset::ComputedUserset(computed) => found.push(&computed.relation),
        Userset::Union(children) | Userset::Intersection(children) => {
            children.child.iter().for_each(|child| collect_computed(child, found));
        }
        Userset::Difference(pair) => {
            collect_computed(&pair.base, found);
            collect_computed(&pair.subtract, found);
        }
    }
}
