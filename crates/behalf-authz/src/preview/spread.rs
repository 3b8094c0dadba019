//! How far a tuple reaches by the rules of a model: which relations refer to which.

use std::collections::{BTreeMap, BTreeSet};

use behalf_fga::{AuthorizationModel, TypeDefinition, Userset};

/// A relation of a type.
type Name<'m> = (&'m str, &'m str);

/// The references between the relations of a model, backwards.
#[derive(Debug, Default)]
pub(super) struct Spread<'m> {
    /// Relations of the same type whose rules refer to this one, also as to where objects are named.
    beside: BTreeMap<Name<'m>, Vec<&'m str>>,
    /// By a relation `r`: types with `derived: r from tupleset`.
    through: BTreeMap<&'m str, Vec<(&'m str, &'m str, &'m str)>>,
    /// Relations that name objects for others.
    tuplesets: BTreeSet<Name<'m>>,
    /// The types of the users who may have a relation.
    users: BTreeMap<Name<'m>, BTreeSet<&'m str>>,
}

/// A rule that a relation refers to.
#[derive(Clone, Copy)]
enum Reference<'m> {
    Beside(&'m str),
    Through { tupleset: &'m str, relation: &'m str },
}

impl<'m> Spread<'m> {
    pub(super) fn new(model: &'m AuthorizationModel) -> Self {
        let mut spread = Self::default();
        for definition in &model.type_definitions {
            let of = definition.type_name.as_str();
            for (relation, rule) in &definition.relations {
                let mut references = Vec::new();
                collect(rule, &mut references);
                for reference in references {
                    match reference {
                        Reference::Beside(other) => {
                            spread.beside.entry((of, other)).or_default().push(relation);
                        }
                        Reference::Through { tupleset, relation: beyond } => {
                            spread.beside.entry((of, tupleset)).or_default().push(relation);
                            let entry = (of, tupleset, relation.as_str());
                            spread.through.entry(beyond).or_default().push(entry);
                            spread.tuplesets.insert((of, tupleset));
                        }
                    }
                }
            }
        }
        spread.find_users(model);
        spread
    }

    /// Whose types may have each relation: handed on along the references until nothing is new.
    fn find_users(&mut self, model: &'m AuthorizationModel) {
        let types: BTreeMap<&str, &TypeDefinition> =
            model.type_definitions.iter().map(|of| (of.type_name.as_str(), of)).collect();
        // Who hands on to whom, across types.
        let mut onwards: BTreeMap<Name<'m>, Vec<Name<'m>>> = BTreeMap::new();
        let mut open: Vec<(Name<'m>, &'m str)> = Vec::new();
        for definition in types.values() {
            let of = definition.type_name.as_str();
            for (relation, rule) in &definition.relations {
                for admitted in definition.directly_related_user_types(relation) {
                    let user = admitted.type_name.as_str();
                    match admitted.relation.as_str() {
                        "" => open.push(((of, relation), user)),
                        beyond => onwards.entry((user, beyond)).or_default().push((of, relation)),
                    }
                }
                let mut references = Vec::new();
                collect(rule, &mut references);
                for reference in references {
                    match reference {
                        Reference::Beside(other) => {
                            onwards.entry((of, other)).or_default().push((of, relation));
                        }
                        Reference::Through { tupleset, relation: beyond } => {
                            for parent in definition.directly_related_user_types(tupleset) {
                                let parent = (parent.type_name.as_str(), beyond);
                                onwards.entry(parent).or_default().push((of, relation));
                            }
                        }
                    }
                }
            }
        }
        while let Some((name, user)) = open.pop() {
            if self.users.entry(name).or_default().insert(user) {
                let next = onwards.get(&name).into_iter().flatten();
                open.extend(next.map(|next| (*next, user)));
            }
        }
    }

    /// Relations of the same object that refer to this one.
    pub(super) fn beside(&self, object: &str, relation: &str) -> Vec<&'m str> {
        self.beside.get(&(type_of(object), relation)).cloned().unwrap_or_default()
    }

    /// Where the relation is asked for of objects that a tuple names: the type, the relation that
    /// names them, and the one that asks.
    pub(super) fn through<'s>(
        &'s self,
        relation: &str,
    ) -> impl Iterator<Item = (&'m str, &'m str, &'m str)> + use<'s, 'm> {
        self.through.get(relation).into_iter().flatten().copied()
    }

    /// True if tuples of this place name objects for other relations.
    pub(super) fn leads_on(&self, (object, relation): &(String, String)) -> bool {
        self.tuplesets.contains(&(type_of(object), relation.as_str()))
    }

    /// The types of the users who may have the relation.
    pub(super) fn users(&self, object: &str, relation: &str) -> Vec<&'m str> {
        let found = self.users.get(&(type_of(object), relation));
        found.into_iter().flatten().copied().collect()
    }
}

fn type_of(object: &str) -> &str {
    object.split(':').next().unwrap_or_default()
}

/// What a rule refers to. Models nest to a bounded depth.
fn collect<'m>(rule: &'m Userset, references: &mut Vec<Reference<'m>>) {
    match rule {
        Userset::This(_) => {}
        Userset::ComputedUserset(of) => references.push(Reference::Beside(&of.relation)),
        Userset::TupleToUserset(of) => references.push(Reference::Through {
            tupleset: &of.tupleset.relation,
            relation: &of.computed_userset.relation,
        }),
        Userset::Union(of) | Userset::Intersection(of) => {
            of.child.iter().for_each(|child| collect(child, references));
        }
        Userset::Difference(of) => {
            collect(&of.base, references);
            collect(&of.subtract, references);
        }
    }
}
