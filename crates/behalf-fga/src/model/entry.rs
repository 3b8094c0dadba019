//! Which relations can ever hold: the least fixed point of "has an entry point".
//!
//! A relation has one if a tuple can name a plain object or wildcard for it, or if what it is
//! computed from has one: any operand of a union, all of an intersection, both of an exclusion.
//! The work is linear in the size of the model.

use std::collections::{BTreeMap, BTreeSet};

use super::json::{AuthorizationModel, TypeDefinition, Userset};

/// A relation of a type.
type Key<'a> = (&'a str, &'a str);

/// The relations that have an entry point.
#[derive(Debug)]
pub(crate) struct EntryPoints<'a> {
    found: BTreeSet<Key<'a>>,
    /// Relations without an entry point from which computed relations lead into a loop.
    loops: BTreeSet<Key<'a>>,
}

impl<'a> EntryPoints<'a> {
    pub(crate) fn new(model: &'a AuthorizationModel) -> Self {
        let types: BTreeMap<_, _> =
            model.type_definitions.iter().map(|t| (t.type_name.as_str(), t)).collect();
        let found = Solver::new(&types).solve();
        let mut loops = BTreeSet::new();
        for (&type_name, definition) in &types {
            let is_open = |relation: &str| !found.contains(&(type_name, relation));
            loops.extend(
                computed_loops(definition, &is_open).into_iter().map(|name| (type_name, name)),
            );
        }
        Self { found, loops }
    }

    pub(crate) fn has_entry(&self, type_name: &str, relation: &str) -> bool {
        self.found.contains(&(type_name, relation))
    }

    /// True if computed relations without an entry point lead from the relation into a loop.
    pub(crate) fn is_loop(&self, type_name: &str, relation: &str) -> bool {
        self.loops.contains(&(type_name, relation))
    }
}

/// A part of a rewrite that holds when enough of what it waits for holds.
struct Gate<'a> {
    /// How many more parts must hold.
    missing: usize,
    /// The gate that waits for this one, or the relation that this is the whole rewrite of.
    then: Then<'a>,
}

#[derive(Clone, Copy)]
enum Then<'a> {
    Gate(usize),
    Relation(Key<'a>),
}

/// Unit propagation: each gate opens once, and each wait is looked at once.
struct Solver<'a, 't> {
    types: &'t BTreeMap<&'a str, &'a TypeDefinition>,
    gates: Vec<Gate<'a>>,
    waiting: BTreeMap<Key<'a>, Vec<usize>>,
    /// Gates that open without waiting.
    open: Vec<usize>,
}

impl<'a, 't> Solver<'a, 't> {
    fn new(types: &'t BTreeMap<&'a str, &'a TypeDefinition>) -> Self {
        let mut solver =
            Self { types, gates: Vec::new(), waiting: BTreeMap::new(), open: Vec::new() };
        for (&type_name, definition) in types {
            for (relation, rewrite) in &definition.relations {
                let key = (type_name, relation.as_str());
                solver.add(key, rewrite, Then::Relation(key));
            }
        }
        solver
    }

    fn add(&mut self, key: Key<'a>, rewrite: &'a Userset, then: Then<'a>) {
        let gate = self.gates.len();
        let missing = match rewrite {
            Userset::Intersection(children) => children.child.len(),
            Userset::Difference(_) => 2,
            _ => 1,
        };
        self.gates.push(Gate { missing, then });
        if missing == 0 {
            self.open.push(gate);
        }
        let Some(&definition) = self.types.get(key.0) else { return };
        match rewrite {
            Userset::This(_) => {
                for reference in definition.directly_related_user_types(key.1) {
                    if reference.relation.is_empty() {
                        self.open.push(gate);
                    } else {
                        self.wait((reference.type_name.as_str(), &reference.relation), gate);
                    }
                }
            }
            Userset::ComputedUserset(computed) => self.wait((key.0, &computed.relation), gate),
            Userset::TupleToUserset(ttu) => {
                for parent in definition.directly_related_user_types(&ttu.tupleset.relation) {
                    self.wait((&parent.type_name, &ttu.computed_userset.relation), gate);
                }
            }
            Userset::Union(children) | Userset::Intersection(children) => {
                for child in &children.child {
                    self.add(key, child, Then::Gate(gate));
                }
            }
            Userset::Difference(pair) => {
                self.add(key, &pair.base, Then::Gate(gate));
                self.add(key, &pair.subtract, Then::Gate(gate));
            }
        }
    }

    fn wait(&mut self, relation: Key<'a>, gate: usize) {
        self.waiting.entry(relation).or_default().push(gate);
    }

    fn solve(mut self) -> BTreeSet<Key<'a>> {
        let mut found = BTreeSet::new();
        let mut queue = std::mem::take(&mut self.open);
        while let Some(gate) = queue.pop() {
            let Some(Gate { missing, then }) = self.gates.get_mut(gate) else { continue };
            // A gate that has opened (marked below) is not opened again.
            if *missing == usize::MAX {
                continue;
            }
            *missing = missing.saturating_sub(1);
            if *missing > 0 {
                continue;
            }
            *missing = usize::MAX;
            match *then {
                Then::Gate(parent) => queue.push(parent),
                Then::Relation(key) => {
                    found.insert(key);
                    queue.extend(self.waiting.remove(&key).into_iter().flatten());
                }
            }
        }
        found
    }
}

/// The relations accepted by `admits` from which computed relations so accepted lead into a loop.
pub(crate) fn computed_loops<'a>(
    definition: &'a TypeDefinition,
    admits: &dyn Fn(&str) -> bool,
) -> BTreeSet<&'a str> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (relation, rewrite) in &definition.relations {
        if !admits(relation) {
            continue;
        }
        let mut computed = Vec::new();
        collect_computed(rewrite, &mut computed);
        computed.retain(|name| definition.relations.contains_key(*name) && admits(name));
        left.insert(relation, computed.len());
        for name in computed {
            users.entry(name).or_default().push(relation);
        }
    }
    // Peel off what leads nowhere; what stays leads into a loop.
    let mut ends: Vec<&str> =
        left.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(end) = ends.pop() {
        left.remove(end);
        for user in users.remove(end).into_iter().flatten() {
            if let Some(count) = left.get_mut(user) {
                *count -= 1;
                if *count == 0 {
                    ends.push(user);
                }
            }
        }
    }
    left.into_keys().collect()
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
