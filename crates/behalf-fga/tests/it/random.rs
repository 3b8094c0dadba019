//! Random models over random tuples: the engine against the plain definition of Check, and batch,
//! filter, list-objects, list-users and expand against Check and the tuples.
//!
//! A case that fails prints its seed; `BEHALF_RANDOM_SEED` runs that one, and `BEHALF_RANDOM_CASES`
//! says how many follow.
#![expect(clippy::print_stdout, reason = "which cases ran is worth reading")]

mod lists;
mod oracle;
mod peer;
mod reasons;
mod shapes;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, FilterRequest, Limits, ListObjectsRequest,
    RequestContext, RequestError, Semantics, Snapshot, StoreModel, TupleCondition, TupleKey,
    Validity, WriteRequest,
};
use serde_json::{Map, Value, json};

use lists::pages;
use oracle::{Facts, Model, Oracle, Restriction, Rewrite, Truth, Tuple, kind_of, type_of};

use crate::dice::{Dice, number};

const CASES: u64 = 200;
/// The types with relations; `user` and `agent` have none.
const TYPES: [&str; 3] = ["group", "folder", "doc"];
const RELATIONS: [&str; 4] = ["member", "viewer", "editor", "blocked"];
const PARENT: &str = "parent";
const IDS: [&str; 3] = ["1", "2", "3"];
/// The time of a request that has one.
const NOW: i64 = 1_000;
/// Of the oracle and of the engine; beyond, a question is passed over.
const STEPS: u32 = 30_000;

impl Dice {
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Every kind of user that tuples of this test have.
fn kinds() -> Vec<String> {
    let mut kinds: Vec<String> = ["user", "user:*", "agent", "agent:*"].map(String::from).into();
    for name in TYPES {
        kinds.push(name.to_owned());
        kinds.extend(RELATIONS.iter().map(|relation| format!("{name}#{relation}")));
    }
    kinds
}

fn restrictions(dice: &mut Dice, kinds: &[String], chance: usize) -> Vec<Restriction> {
    let mut found = Vec::new();
    for user in kinds {
        for is_conditioned in [false, true] {
            if dice.one_in(if is_conditioned { chance * 3 } else { chance }) {
                found.push(Restriction { user: user.clone(), is_conditioned });
            }
        }
    }
    // A plain user, or for parents a plain group, is always admitted.
    let first = Restriction { user: kinds[0].clone(), is_conditioned: false };
    if !found.contains(&first) {
        found.push(first);
    }
    found
}

fn rewrite(dice: &mut Dice, depth: usize) -> Rewrite {
    let operands = |dice: &mut Dice| {
        let count = 2 + dice.below(2);
        (0..count).map(|_| rewrite(dice, depth + 1)).collect()
    };
    match dice.below(if depth == 0 { 12 } else { 9 }) {
        0..=3 => Rewrite::This,
        4 | 5 => Rewrite::Computed(dice.pick(&RELATIONS).to_owned()),
        6 | 7 => Rewrite::From(dice.pick(&RELATIONS).to_owned(), PARENT.to_owned()),
        8 | 9 => Rewrite::Or(operands(dice)),
        10 => Rewrite::And(operands(dice)),
        _ => {
            Rewrite::ButNot(Box::new(rewrite(dice, depth + 1)), Box::new(rewrite(dice, depth + 1)))
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

fn random_model(dice: &mut Dice) -> Model {
    let mut model = Model::default();
    let kinds = kinds();
    let types: Vec<String> = TYPES.map(String::from).into();
    for name in TYPES {
        for relation in RELATIONS {
            let rewrite = rewrite(dice, 0);
            let admitted = match uses_this(&rewrite) {
                true => restrictions(dice, &kinds, 4),
                false => Vec::new(),
            };
            model.0.insert((name.to_owned(), relation.to_owned()), (rewrite, admitted));
        }
        let parents = restrictions(dice, &types, 2);
        model.0.insert((name.to_owned(), PARENT.to_owned()), (Rewrite::This, parents));
    }
    model
}

fn widest() -> Model {
    let mut model = Model::default();
    let every = kinds().into_iter().flat_map(|user| {
        [false, true].map(|is_conditioned| Restriction { user: user.clone(), is_conditioned })
    });
    let every: Vec<_> = every.collect();
    for name in TYPES {
        for relation in RELATIONS.into_iter().chain([PARENT]) {
            let entry = (Rewrite::This, every.clone());
            model.0.insert((name.to_owned(), relation.to_owned()), entry);
        }
    }
    model
}

fn rewrite_json(rewrite: &Rewrite) -> Value {
    let relation = |name: &str| json!({"relation": name});
    let all = |operands: &[Rewrite]| operands.iter().map(rewrite_json).collect::<Vec<_>>();
    match rewrite {
        Rewrite::This => json!({"this": {}}),
        Rewrite::Computed(name) => json!({"computedUserset": relation(name)}),
        Rewrite::From(name, tupleset) => json!({"tupleToUserset": {
            "tupleset": relation(tupleset), "computedUserset": relation(name),
        }}),
        Rewrite::Or(operands) => json!({"union": {"child": all(operands)}}),
        Rewrite::And(operands) => json!({"intersection": {"child": all(operands)}}),
        Rewrite::ButNot(base, subtract) => json!({"difference": {
            "base": rewrite_json(base), "subtract": rewrite_json(subtract),
        }}),
    }
}

fn restriction_json(restriction: &Restriction) -> Value {
    let Restriction { user, is_conditioned } = restriction;
    let mut json = json!({"type": type_of(user).split('#').next()});
    if let Some((_, relation)) = user.split_once('#') {
        json["relation"] = relation.into();
    }
    if user.ends_with(":*") {
        json["wildcard"] = json!({});
    }
    if *is_conditioned {
        json["condition"] = "limit".into();
    }
    json
}

fn authorization_model(model: &Model) -> AuthorizationModel {
    let mut types: Vec<Value> = vec![json!({"type": "user"}), json!({"type": "agent"})];
    for name in TYPES {
        let of_type = model.0.iter().filter(|((of, _), _)| of == name);
        let (mut relations, mut metadata) = (Map::new(), Map::new());
        for ((_, relation), (rewrite, admitted)) in of_type {
            relations.insert(relation.clone(), rewrite_json(rewrite));
            let admitted: Vec<_> = admitted.iter().map(restriction_json).collect();
            metadata.insert(relation.clone(), json!({"directly_related_user_types": admitted}));
        }
        types.push(
            json!({"type": name, "relations": relations, "metadata": {"relations": metadata}}),
        );
    }
    let limit = json!({
        "name": "limit", "expression": "x < 10", "parameters": {"x": {"type_name": "TYPE_NAME_INT"}},
    });
    serde_json::from_value(json!({
        "schema_version": "1.1", "type_definitions": types, "conditions": {"limit": limit},
    }))
    .unwrap()
}

/// The model that admits everything, under which the stored tuples are written.
static WIDEST: LazyLock<(Model, AuthorizationModel)> = LazyLock::new(|| {
    let model = widest();
    let bindable = authorization_model(&model);
    (model, bindable)
});

fn random_user(dice: &mut Dice, kind: &str) -> String {
    match kind.split_once('#') {
        _ if kind.ends_with(":*") => kind.to_owned(),
        Some((name, relation)) => format!("{name}:{}#{relation}", dice.pick(&IDS)),
        None => format!("{kind}:{}", dice.pick(&IDS)),
    }
}

/// A tuple that `model` admits; `None` where the relation drawn admits none.
fn random_tuple(dice: &mut Dice, model: &Model) -> Option<Tuple> {
    let name = dice.pick(&TYPES);
    let relation = match dice.one_in(3) {
        true => PARENT,
        false => dice.pick(&RELATIONS),
    };
    let (_, admitted) = model.0.get(&(name.to_owned(), relation.to_owned()))?;
    let kinds: Vec<&Restriction> = admitted.iter().collect();
    let restriction = if kinds.is_empty() { return None } else { dice.pick(&kinds) };
    let limit = match dice.below(3) {
        0 => None,
        1 => Some(5),
        _ => Some(15),
    };
    Some(Tuple {
        object: format!("{name}:{}", dice.pick(&IDS)),
        relation: relation.to_owned(),
        user: random_user(dice, &restriction.user),
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
fn random_tuples(dice: &mut Dice, model: &Model, count: usize) -> Vec<Tuple> {
    let mut tuples: Vec<Tuple> = Vec::new();
    for _ in 0..count {
        let Some(mut tuple) = random_tuple(dice, model) else { continue };
        if tuple.relation == PARENT && dice.one_in(2) {
            let plain = Restriction { user: dice.pick(&TYPES).to_owned(), is_conditioned: false };
            let (_, admitted) = &model.0[&(type_of(&tuple.object).to_owned(), PARENT.to_owned())];
            if admitted.contains(&plain) {
                (tuple.user, tuple.limit) = (random_user(dice, &plain.user), None);
            }
        }
        let is_new = tuples.iter().all(|known| known.key() != tuple.key());
        if is_new && tuple.user != format!("{}#{}", tuple.object, tuple.relation) {
            tuples.push(tuple);
        }
    }
    tuples
}

/// True for a userset without a condition where the relation admits it only under one, and its plain
/// type without: OpenFGA takes it (`docs/reference/openfga.md`).
fn is_admitted_by_type_alone(model: &Model, tuple: &Tuple) -> bool {
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

fn without_times(tuples: &mut [Tuple]) {
    for tuple in tuples {
        (tuple.from, tuple.until) = (None, None);
    }
}

fn key(tuple: &Tuple) -> TupleKey {
    let condition = tuple.limit.map(|value| TupleCondition {
        name: "limit".to_owned(),
        context: value.map(|x| ("x".to_owned(), x.into())).into_iter().collect(),
    });
    let validity = Validity { not_before_micros: tuple.from, expires_at_micros: tuple.until };
    let key = TupleKey::new(&*tuple.user, &*tuple.relation, &*tuple.object);
    TupleKey { condition, validity, ..key }
}

/// One store, one model, some questions.
struct Case {
    seed: u64,
    fga: FgaStore,
    bound: Arc<StoreModel>,
    model: Model,
    /// The definition, and the same where a condition without a value is not met.
    oracle: Oracle,
    lenient: Oracle,
    stored: Vec<Tuple>,
    contextual: Vec<Tuple>,
    value: Option<i64>,
    now: Option<i64>,
    /// Bounds that some questions run into.
    tight: Limits,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    checks: usize,
    allowed: usize,
    failures: usize,
    passed_over: usize,
    lists: usize,
    user_lists: usize,
    proofs: usize,
    bounded: usize,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            checks: self.checks + other.checks,
            allowed: self.allowed + other.allowed,
            failures: self.failures + other.failures,
            passed_over: self.passed_over + other.passed_over,
            lists: self.lists + other.lists,
            user_lists: self.user_lists + other.user_lists,
            proofs: self.proofs + other.proofs,
            bounded: self.bounded + other.bounded,
        }
    }
}

impl Case {
    fn new(seed: u64) -> Self {
        Self::made(seed, false)
    }

    /// One for OpenFGA: its tuples hold for ever, and none is one that only OpenFGA admits.
    fn plain(seed: u64) -> Self {
        Self::made(seed, true)
    }

    fn made(seed: u64, is_plain: bool) -> Self {
        let mut dice = Dice(seed);
        let mut fga = FgaStore::new();
        let (wide, widest) = &*WIDEST;
        let widest = fga.add_model(widest.clone()).unwrap();
        let (model, bound) = loop {
            let model = random_model(&mut dice);
            if let Ok(bound) = fga.add_model(authorization_model(&model)) {
                break (model, bound);
            }
        };
        // Half of the tuples fit the model, the others only the one before it.
        let count = dice.below(20);
        let mut stored = random_tuples(&mut dice, wide, count);
        for tuple in random_tuples(&mut dice, &model, 25) {
            if stored.iter().all(|known| known.key() != tuple.key()) {
                stored.push(tuple);
            }
        }
        if is_plain {
            without_times(&mut stored);
            stored.retain(|tuple| !is_admitted_by_type_alone(&model, tuple));
            if peer::semantics() == Semantics::V2 {
                // It takes a userset that names a parent, from under another model, for the parent.
                stored.retain(|tuple| tuple.relation != PARENT || !tuple.user.contains('#'));
            }
        }
        if !stored.is_empty() {
            let writes = stored.iter().map(key).collect();
            fga.write(&widest, &WriteRequest { writes, ..WriteRequest::default() }).unwrap();
        }
        // One store in three goes on from its snapshot.
        let (mut fga, mut bound) = (fga, bound);
        if dice.one_in(3) {
            let bytes = fga.snapshot().encode("store");
            fga = FgaStore::from_snapshot(Snapshot::decode(&bytes, "store").unwrap());
            bound = fga.add_model(bound.model().clone()).unwrap();
        }
        let count = dice.below(6);
        let mut contextual = random_tuples(&mut dice, &model, count);
        if is_plain {
            without_times(&mut contextual);
        }
        let value = [None, Some(3), Some(30)][dice.below(3)];
        let now = (!dice.one_in(8)).then_some(NOW);
        let tight = Limits {
            resolve_node_limit: u32::try_from(dice.below(5)).unwrap(),
            max_steps: 4 + dice.below(60) as u64,
            ..Limits::default()
        };
        let case = Self::of((fga, bound), model, (stored, contextual), (value, now));
        Self { seed, tight, ..case }
    }

    /// The store with the model bound to it, the tuples stored and sent along, and the request's
    /// value and time.
    fn of(
        (fga, bound): (FgaStore, Arc<StoreModel>),
        model: Model,
        (stored, contextual): (Vec<Tuple>, Vec<Tuple>),
        (value, now): (Option<i64>, Option<i64>),
    ) -> Self {
        let ways = model.ways();
        let oracle = |fails| {
            let facts = Facts { stored: &stored, contextual: &contextual, value, now, fails };
            Oracle::new(&model, &ways, &facts)
        };
        let (oracle, lenient) = (oracle(true), oracle(false));
        let (seed, tight) = (0, Limits::default());
        Self { seed, fga, bound, model, oracle, lenient, stored, contextual, value, now, tight }
    }

    fn subjects() -> Vec<String> {
        let mut subjects: Vec<String> =
            ["user:1", "user:2", "user:none", "user:*", "agent:1"].map(String::from).into();
        subjects.extend(
            ["group:1", "group:2#member", "folder:1#viewer", "doc:3#blocked"].map(String::from),
        );
        subjects
    }

    fn describe(&self, question: impl Display) -> String {
        let show = |tuples: &[Tuple]| {
            let line = |tuple: &Tuple| {
                let (object, relation, user) = tuple.key();
                let Tuple { limit, from, until, .. } = tuple;
                format!("  {object}#{relation}@{user} {limit:?} {from:?}..{until:?}\n")
            };
            tuples.iter().map(line).collect::<String>()
        };
        let mut rules = String::new();
        for ((name, relation), (rewrite, admitted)) in &self.model.0 {
            let kinds = admitted.iter().map(|kind| {
                format!("{}{}", kind.user, if kind.is_conditioned { " if" } else { "" })
            });
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            rules += &format!("  {name}#{relation}: {rewrite:?} [{kinds}]\n");
        }
        format!(
            "seed {}, {question}, x = {:?}, now = {:?}\n{rules}stored\n{}contextual\n{}",
            self.seed,
            self.value,
            self.now,
            show(&self.stored),
            show(&self.contextual)
        )
    }

    /// Compares one answer with the definition.
    fn compare(
        &self,
        (user, relation, object): (&str, &str, &str),
        engine: &Result<bool, RequestError>,
        tally: &mut Tally,
    ) {
        let question = format_args!("{user} {relation} {object}");
        let Ok(truth) = self.oracle.check(user, relation, object, STEPS) else {
            tally.passed_over += 1;
            return;
        };
        match engine {
            Err(RequestError::BudgetExceeded(_)) => tally.passed_over += 1,
            Err(RequestError::Condition { .. } | RequestError::NoTime) => {
                assert_eq!(truth, Truth::Failure, "{}", self.describe(question));
                tally.failures += 1;
            }
            Err(error) => panic!("{error}: {}", self.describe(question)),
            // A condition on a way that no such user can come is not looked at.
            Ok(is_allowed) if truth == Truth::Failure => {
                let without = self.lenient.check(user, relation, object, STEPS);
                let Ok(without) = without else { return };
                let is_same = *is_allowed == (without == Truth::True);
                assert!(is_same && kind_of(user) != "user", "{}", self.describe(question));
            }
            Ok(is_allowed) => {
                let is_true = truth == Truth::True;
                assert_eq!(*is_allowed, is_true, "{}", self.describe(question));
                tally.allowed += usize::from(is_true);
            }
        }
        tally.checks += 1;
    }

    /// Whether there is a tuple that lacks what this error says is not given.
    fn may_fail_with(&self, error: &RequestError) -> bool {
        let any_tuple = |is: fn(&Tuple) -> bool| self.stored.iter().chain(&self.contextual).any(is);
        match error {
            RequestError::Condition { .. } => {
                self.value.is_none() && any_tuple(|tuple| tuple.limit == Some(None))
            }
            RequestError::NoTime => {
                self.now.is_none() && any_tuple(|tuple| tuple.from.or(tuple.until).is_some())
            }
            _ => false,
        }
    }

    fn run(&self, tally: &mut Tally) {
        let contextual: Vec<TupleKey> = self.contextual.iter().map(key).collect();
        let context: Map<String, Value> =
            self.value.map(|x| ("x".to_owned(), x.into())).into_iter().collect();
        let limits =
            Limits { resolve_node_limit: 0, max_steps: u64::from(STEPS), ..Limits::default() };
        let request = RequestContext {
            contextual_tuples: &contextual,
            context: Some(&context),
            limits,
            now_micros: self.now,
            ..RequestContext::default()
        };
        let snapshot = self.fga.snapshot();
        self.users(&snapshot, request, tally);
        self.trees(&snapshot, request);
        let mut asked = Vec::new();
        for user in Self::subjects() {
            for name in TYPES {
                for relation in RELATIONS.into_iter().chain([PARENT]) {
                    let objects: Vec<String> =
                        IDS.iter().map(|id| format!("{name}:{id}")).collect();
                    let checks: Vec<CheckRequest<'_>> = objects
                        .iter()
                        .map(|object| CheckRequest { user: &user, relation, object, request })
                        .collect();
                    let single: Vec<_> =
                        checks.iter().map(|check| snapshot.check(&self.bound, check)).collect();
                    for (check, answer) in checks.iter().zip(&single) {
                        self.compare((&user, relation, check.object), answer, tally);
                        // Explanations take longer than all the rest: one in four.
                        if tally.checks.is_multiple_of(4) {
                            self.reasons(&snapshot, check, answer, tally);
                        }
                    }
                    self.bounds(&snapshot, &checks, &single, tally);
                    let batch = snapshot.batch_check(&self.bound, &checks);
                    let question = format_args!("{user} {relation} {name}");
                    assert_eq!(batch, single, "{}", self.describe(question));
                    self.lists(&snapshot, (&user, relation, name), request, &single, tally);
                    let objects = objects.into_iter().zip(single);
                    asked.extend(
                        objects.map(|(object, answer)| (object, relation, user.clone(), answer)),
                    );
                }
            }
        }
        // Each object once more, for all users by turns.
        asked.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let checks: Vec<CheckRequest<'_>> = asked
            .iter()
            .map(|(object, relation, user, _)| CheckRequest { user, relation, object, request })
            .collect();
        let batch = snapshot.batch_check(&self.bound, &checks);
        for ((object, relation, user, single), batch) in asked.iter().zip(batch) {
            let question = format_args!("{user} {relation} {object}");
            assert_eq!(&batch, single, "{}", self.describe(question));
        }
    }

    /// Within bounds that are too tight for some questions, an answer is the same or an error.
    fn bounds(
        &self,
        snapshot: &Snapshot,
        checks: &[CheckRequest<'_>],
        single: &[Result<bool, RequestError>],
        tally: &mut Tally,
    ) {
        for (check, free) in checks.iter().zip(single) {
            let request = RequestContext { limits: self.tight, ..check.request };
            let check = CheckRequest { request, ..*check };
            let tight = snapshot.check(&self.bound, &check);
            match &tight {
                Err(RequestError::TooComplex | RequestError::BudgetExceeded(_)) => {
                    tally.bounded += 1;
                }
                // What would have decided lies beyond the bound.
                Err(error) if self.may_fail_with(error) => {}
                _ => assert_eq!(tight, *free, "{}", self.describe(format_args!("{check:?}"))),
            }
        }
        let Some(CheckRequest { user, relation, object, request }) = checks.first() else { return };
        let request = RequestContext { limits: self.tight, ..*request };
        let object_type = type_of(object);
        let list = ListObjectsRequest { user, relation, object_type, request };
        let Ok(listed) = snapshot.list_objects(&self.bound, &list) else { return };
        for (check, free) in checks.iter().zip(single) {
            let is_listed = listed.iter().any(|object| object == check.object);
            if let Ok(is_allowed) = free {
                let question = format_args!("{check:?} of {listed:?}");
                assert_eq!(is_listed, *is_allowed, "{}", self.describe(question));
            }
        }
    }

    /// List objects and filter say what the checks say.
    fn lists(
        &self,
        snapshot: &Snapshot,
        (user, relation, name): (&str, &str, &str),
        request: RequestContext<'_>,
        single: &[Result<bool, RequestError>],
        tally: &mut Tally,
    ) {
        let question = format_args!("list {user} {relation} {name}");
        let Ok(answers) = single.iter().cloned().collect::<Result<Vec<bool>, _>>() else { return };
        let filter = FilterRequest { user, relation, object_type: name, ids: &IDS, request };
        assert_eq!(
            snapshot.filter(&self.bound, &filter),
            Ok(answers.clone()),
            "{}",
            self.describe(question)
        );
        let list = ListObjectsRequest { user, relation, object_type: name, request };
        let listed = match snapshot.list_objects(&self.bound, &list) {
            Err(RequestError::BudgetExceeded(_)) => return,
            listed => listed.unwrap(),
        };
        let expected: BTreeSet<String> = IDS
            .iter()
            .zip(answers)
            .filter(|(_, is_allowed)| *is_allowed)
            .map(|(id, _)| format!("{name}:{id}"))
            .collect();
        assert_eq!(listed.len(), expected.len(), "{}", self.describe(question));
        let pages = pages(|page| snapshot.list_objects_page(&self.bound, &list, page).unwrap());
        assert_eq!(pages, listed, "{}", self.describe(question));
        let listed: BTreeSet<String> = listed.into_iter().collect();
        assert_eq!(listed, expected, "{}", self.describe(question));
        tally.lists += 1;
    }
}

#[test]
fn the_engine_agrees_with_the_plain_definition() {
    let (seed, cases) = (number("BEHALF_RANDOM_SEED", 1), number("BEHALF_RANDOM_CASES", CASES));
    let next = AtomicU64::new(seed);
    let tally = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            let mut tally = Tally::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= seed + cases {
                    return tally;
                }
                // Which questions are sampled depends on the case alone.
                let case = || {
                    let mut of_case = Tally::default();
                    Case::new(number).run(&mut of_case);
                    of_case
                };
                match catch_unwind(AssertUnwindSafe(case)) {
                    Ok(of_case) => tally = tally.and(of_case),
                    Err(panic) => {
                        next.store(seed + cases, Ordering::Relaxed);
                        println!("random models: seed {number} fails");
                        resume_unwind(panic);
                    }
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).fold(Tally::default(), Tally::and)
    });
    let Tally { checks, allowed, failures, passed_over, lists, user_lists, proofs, bounded } =
        tally;
    println!(
        "random models: {cases} from seed {seed}: {checks} checks ({allowed} allowed, {failures} \
         without a value, {passed_over} passed over), {lists} lists of objects, {user_lists} of users, {proofs} proofs, {bounded} \
         ended at a bound"
    );
    if cases < 100 {
        return;
    }
    // Of every kind of answer there are many.
    assert!(allowed > checks / 50 && passed_over < checks / 10, "the cases say too little");
    assert!(failures > checks / 100 && bounded > checks / 100, "the cases say too little");
    assert!(lists > checks / 5 && user_lists > checks / 3, "the cases say too little");
    assert!(proofs > checks / 200, "the cases say too little");
}
