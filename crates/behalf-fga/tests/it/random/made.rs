//! Random models, and random tuples of them.

use std::collections::BTreeMap;

use behalf_fga::{
    AuthorizationModel, Condition, ConditionParamTypeRef, Difference, Empty, Metadata,
    ObjectRelation, RelationMetadata, RelationReference, TupleCondition, TupleKey, TupleToUserset,
    TypeDefinition, TypeName, Userset, Usersets, Validity,
};

use super::NOW;
use super::oracle::{Model, Restriction, Rewrite, Tuple, kind_of, type_of};
use super::scope::{PARENT, Scope, Size, TYPES};
use crate::dice::Dice;

impl Dice {
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Some of the kinds; of those under the condition a third as many.
fn restrictions(dice: &mut Dice, kinds: &[Restriction], chance: usize) -> Vec<Restriction> {
    let mut found = Vec::new();
    for kind in kinds {
        if dice.one_in(if kind.is_conditioned { chance * 3 } else { chance }) {
            found.push(kind.clone());
        }
    }
    // A plain user, or for parents a plain group, is always admitted.
    if !found.contains(&kinds[0]) {
        found.push(kinds[0].clone());
    }
    found
}

fn rewrite(dice: &mut Dice, scope: &Scope, depth: usize) -> Rewrite {
    let each = |dice: &mut Dice, count: usize| -> Vec<Rewrite> {
        (0..count).map(|_| rewrite(dice, scope, depth + 1)).collect()
    };
    match dice.below(if depth == 0 { 12 } else { 9 }) {
        6 | 7 if scope.has_parents => {
            Rewrite::From(dice.pick(&scope.relations).to_owned(), PARENT.to_owned())
        }
        0..=3 => Rewrite::This,
        4..=7 => Rewrite::Computed(dice.pick(&scope.relations).to_owned()),
        operator => {
            let count = 2 + dice.below(2);
            match operator {
                8 | 9 => Rewrite::Or(each(dice, count)),
                10 => Rewrite::And(each(dice, count)),
                _ => {
                    let base = Box::new(rewrite(dice, scope, depth + 1));
                    Rewrite::ButNot(base, Box::new(rewrite(dice, scope, depth + 1)))
                }
            }
        }
    }
}

fn uses_this(rewrite: &Rewrite) -> bool {
    match rewrite {
        Rewrite::This => true,
        Rewrite::Computed(_) | Rewrite::From(..) => false,
        Rewrite::Or(operands) | Rewrite::And(operands) => operands.iter().any(uses_this),
        Rewrite::ButNot(base, subtract) => uses_this(base) || uses_this(subtract),
    }
}

pub(super) fn random_model(dice: &mut Dice, scope: &Scope) -> Model {
    let mut model = Model::default();
    let parents: Vec<Restriction> =
        scope.kinds.iter().filter(|kind| is_type(kind)).cloned().collect();
    let chance = match scope.size {
        Size::Small => 2,
        Size::Middle => 3,
        Size::Large => 4,
    };
    for name in &scope.types {
        for relation in &scope.relations {
            let rewrite = rewrite(dice, scope, 0);
            let admitted = match uses_this(&rewrite) {
                true => restrictions(dice, &scope.kinds, chance),
                false => Vec::new(),
            };
            model.0.insert(((*name).to_owned(), (*relation).to_owned()), (rewrite, admitted));
        }
        if scope.has_parents {
            let parents = restrictions(dice, &parents, 2);
            model.0.insert(((*name).to_owned(), PARENT.to_owned()), (Rewrite::This, parents));
        }
    }
    model
}

/// Whether these are plain objects that have relations themselves.
fn is_type(kind: &Restriction) -> bool {
    TYPES.contains(&kind.user.as_str())
}

/// The model that admits everything.
pub(super) fn widest(scope: &Scope) -> Model {
    let mut model = Model::default();
    for name in &scope.types {
        for relation in scope.every_relation() {
            let entry = (Rewrite::This, scope.kinds.clone());
            model.0.insert(((*name).to_owned(), relation.to_owned()), entry);
        }
    }
    model
}

fn userset(rewrite: &Rewrite) -> Userset {
    let relation = |name: &str| ObjectRelation { object: String::new(), relation: name.to_owned() };
    let all = |operands: &[Rewrite]| Usersets { child: operands.iter().map(userset).collect() };
    match rewrite {
        Rewrite::This => Userset::This(Empty {}),
        Rewrite::Computed(name) => Userset::ComputedUserset(relation(name)),
        Rewrite::From(name, tupleset) => Userset::TupleToUserset(TupleToUserset {
            tupleset: relation(tupleset),
            computed_userset: relation(name),
        }),
        Rewrite::Or(operands) => Userset::Union(all(operands)),
        Rewrite::And(operands) => Userset::Intersection(all(operands)),
        Rewrite::ButNot(base, subtract) => Userset::Difference(Box::new(Difference {
            base: userset(base),
            subtract: userset(subtract),
        })),
    }
}

fn reference(restriction: &Restriction) -> RelationReference {
    let Restriction { user, is_conditioned } = restriction;
    let (object, relation) = user.split_once('#').unwrap_or((user, ""));
    RelationReference {
        type_name: type_of(object).to_owned(),
        relation: relation.to_owned(),
        wildcard: user.ends_with(":*").then_some(Empty {}),
        condition: if *is_conditioned { "limit".to_owned() } else { String::new() },
    }
}

pub(super) fn authorization_model(model: &Model) -> AuthorizationModel {
    let plain = |name: &str| TypeDefinition { type_name: name.to_owned(), ..Default::default() };
    let mut types = vec![plain("user"), plain("agent")];
    for name in TYPES {
        let of_type = model.0.iter().filter(|((of, _), _)| of == name);
        let (mut relations, mut metadata) = (BTreeMap::new(), BTreeMap::new());
        for ((_, relation), (rewrite, admitted)) in of_type {
            relations.insert(relation.clone(), userset(rewrite));
            let admits = RelationMetadata {
                directly_related_user_types: admitted.iter().map(reference).collect(),
                ..RelationMetadata::default()
            };
            metadata.insert(relation.clone(), admits);
        }
        if !relations.is_empty() {
            let metadata = Metadata { relations: Some(metadata), ..Metadata::default() };
            types.push(TypeDefinition { relations, metadata: Some(metadata), ..plain(name) });
        }
    }
    let int = ConditionParamTypeRef { type_name: TypeName::Int, generic_types: Vec::new() };
    let limit = Condition {
        name: "limit".to_owned(),
        expression: "x < 10".to_owned(),
        parameters: BTreeMap::from([("x".to_owned(), int)]),
        metadata: None,
    };
    AuthorizationModel {
        id: String::new(),
        schema_version: "1.1".to_owned(),
        type_definitions: types,
        conditions: BTreeMap::from([(limit.name.clone(), limit)]),
    }
}

/// What tuples fit.
#[derive(Clone, Copy)]
pub(super) enum Fitting<'a> {
    Model(&'a Model),
    /// Some model that there was before.
    Anything,
}

impl<'a> Fitting<'a> {
    fn admitted(self, scope: &'a Scope, name: &str, relation: &str) -> &'a [Restriction] {
        let Self::Model(model) = self else { return &scope.kinds };
        &model.0[&(name.to_owned(), relation.to_owned())].1
    }
}

fn random_user(dice: &mut Dice, scope: &Scope, kind: &str) -> String {
    match kind.split_once('#') {
        _ if kind.ends_with(":*") => kind.to_owned(),
        Some((name, relation)) => format!("{name}:{}#{relation}", dice.pick(&scope.ids)),
        None => format!("{kind}:{}", dice.pick(&scope.ids)),
    }
}

/// A tuple that fits; `None` where the relation drawn admits none.
fn random_tuple(dice: &mut Dice, scope: &Scope, fitting: Fitting<'_>) -> Option<Tuple> {
    let name = dice.pick(&scope.types);
    let relation = match scope.has_parents && dice.one_in(3) {
        true => PARENT,
        false => dice.pick(&scope.relations),
    };
    let admitted = fitting.admitted(scope, name, relation);
    let restriction = admitted.get(dice.below(admitted.len()))?;
    let limit = match dice.below(3) {
        0 => None,
        1 => Some(5),
        _ => Some(15),
    };
    Some(Tuple {
        object: format!("{name}:{}", dice.pick(&scope.ids)),
        relation: relation.to_owned(),
        user: random_user(dice, scope, &restriction.user),
        limit: restriction.is_conditioned.then_some(limit),
        ..random_times(dice)
    })
}

/// One tuple in four holds for a time; around [`NOW`], or until it, or from it on.
fn random_times(dice: &mut Dice) -> Tuple {
    let (from, until) = match dice.below(16) {
        0 => (Some(NOW), None),
        1 => (None, Some(NOW)),
        2 => (Some(NOW - 1), Some(NOW + 1)),
        3 => (Some(NOW + 1), None),
        _ => (None, None),
    };
    Tuple { from, until, ..Tuple::default() }
}

/// Tuples with different keys. Half of the parents are plain ones, or nothing would be inherited.
pub(super) fn random_tuples(
    dice: &mut Dice,
    scope: &Scope,
    fitting: Fitting<'_>,
    count: usize,
) -> Vec<Tuple> {
    let mut tuples: Vec<Tuple> = Vec::new();
    for _ in 0..count {
        let Some(mut tuple) = random_tuple(dice, scope, fitting) else { continue };
        if tuple.relation == PARENT && dice.one_in(2) {
            let user = dice.pick(&scope.types).to_owned();
            let plain = Restriction { user, is_conditioned: false };
            if fitting.admitted(scope, type_of(&tuple.object), PARENT).contains(&plain) {
                (tuple.user, tuple.limit) = (random_user(dice, scope, &plain.user), None);
            }
        }
        let is_new = tuples.iter().all(|known| known.key() != tuple.key());
        if is_new && !is_of_itself(&tuple) {
            tuples.push(tuple);
        }
    }
    tuples
}

fn is_of_itself(tuple: &Tuple) -> bool {
    tuple.user.split_once('#') == Some((tuple.object.as_str(), tuple.relation.as_str()))
}

/// True if the relation admits the very kind of the tuple.
pub(super) fn is_admitted(model: &Model, tuple: &Tuple) -> bool {
    let place = (type_of(&tuple.object).to_owned(), tuple.relation.clone());
    let is_conditioned = tuple.limit.is_some();
    let kind = Restriction { user: kind_of(&tuple.user), is_conditioned };
    model.0.get(&place).is_some_and(|(_, admitted)| admitted.contains(&kind))
}

/// True for a userset without a condition where the relation admits it only under one, and its plain
/// type without: OpenFGA takes it (`docs/reference/openfga.md`).
pub(super) fn is_admitted_by_type_alone(model: &Model, tuple: &Tuple) -> bool {
    let place = (type_of(&tuple.object).to_owned(), tuple.relation.clone());
    let (_, admitted) = &model.0[&place];
    let admits = |user: &str, is_conditioned: bool| {
        admitted.contains(&Restriction { user: user.to_owned(), is_conditioned })
    };
    let kind = kind_of(&tuple.user);
    let is_userset = tuple.user.contains('#') && tuple.limit.is_none();
    is_userset
        && !admits(&kind, false)
        && admits(&kind, true)
        && admits(type_of(&tuple.user), false)
}

pub(super) fn without_times(tuples: &mut [Tuple]) {
    for tuple in tuples {
        (tuple.from, tuple.until) = (None, None);
    }
}

pub(super) fn key(tuple: &Tuple) -> TupleKey {
    let condition = tuple.limit.map(|value| TupleCondition {
        name: "limit".to_owned(),
        context: value.map(|x| ("x".to_owned(), x.into())).into_iter().collect(),
    });
    let validity = Validity { not_before_micros: tuple.from, expires_at_micros: tuple.until };
    let key = TupleKey::new(&*tuple.user, &*tuple.relation, &*tuple.object);
    TupleKey { condition, validity, ..key }
}
