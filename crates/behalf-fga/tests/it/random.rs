//! Random models over random tuples: the engine against the plain definition of Check, and batch,
//! filter, list-objects, list-users and expand against Check and the tuples.
//!
//! A case that fails prints its seed; `BEHALF_RANDOM_SEED` runs that one, and `BEHALF_RANDOM_CASES`
//! says how many follow. The seed says how large a case is, too (`scope::Size`).
#![expect(clippy::print_stdout, reason = "which cases ran is worth reading")]

mod lists;
mod made;
mod oracle;
mod peer;
mod reasons;
mod scope;
mod shapes;
mod tally;
mod usersets;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use behalf_fga::{
    Change, CheckRequest, FgaStore, FilterRequest, Limits, ListObjectsRequest, PageRequest,
    RequestContext, RequestError, Semantics, Snapshot, StoreModel, TupleKey, WriteRequest,
};
use serde_json::{Map, Value};

use lists::pages;
use made::{
    Fitting, authorization_model, is_admitted, is_admitted_by_type_alone, key, random_model,
    random_tuples, without_times,
};
use oracle::{Facts, Model, Oracle, TooMuch, Truth, Tuple, kind_of, type_of};
use scope::Scope;
use tally::Tally;

use crate::dice::{Dice, number};

const CASES: u64 = 800;
/// The time of a request that has one.
const NOW: i64 = 1_000;
/// Of the oracle and of the engine; beyond, a question is passed over.
const STEPS: u32 = 30_000;

/// One store, one model, some questions.
struct Case {
    seed: u64,
    scope: Scope,
    fga: FgaStore,
    bound: Arc<StoreModel>,
    model: Model,
    /// The definition, and the same where what lacks a value holds not, or holds.
    oracle: Oracle,
    completed: OnceCell<[Oracle; 2]>,
    stored: Vec<Tuple>,
    contextual: Vec<Tuple>,
    value: Option<i64>,
    now: Option<i64>,
    /// Bounds that some questions run into.
    tight: Limits,
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
        let scope = Scope::drawn(seed, &mut dice);
        let mut fga = FgaStore::new();
        let (model, bound) = loop {
            let model = random_model(&mut dice, &scope);
            if let Ok(bound) = fga.add_model(authorization_model(&model)) {
                break (model, bound);
            }
        };
        let [stale, fitting, along] = scope.most_tuples();
        // Some are there that only another model admitted.
        let count = dice.below(stale);
        let mut stale = random_tuples(&mut dice, &scope, Fitting::Anything, count);
        let mut fitting = random_tuples(&mut dice, &scope, Fitting::Model(&model), fitting);
        fitting.retain(|tuple| stale.iter().all(|known| known.key() != tuple.key()));
        let count = if dice.one_in(scope.one_in(1)) { dice.below(along) } else { 0 };
        let mut contextual = random_tuples(&mut dice, &scope, Fitting::Model(&model), count);
        if is_plain {
            for tuples in [&mut stale, &mut fitting, &mut contextual] {
                without_times(tuples);
            }
            stale.retain(|tuple| !is_admitted_by_type_alone(&model, tuple));
            if peer::semantics() == Semantics::V2 {
                // Of usersets from under another model it takes one that names a parent for the
                // parent, and passes over conditions that its model does not have there.
                stale.retain(|tuple| !tuple.user.contains('#') || is_admitted(&model, tuple));
            }
        }
        if !stale.is_empty() {
            let changes: Vec<Change> = stale.iter().map(key).map(Change::Write).collect();
            fga.apply(&changes).unwrap();
        }
        if !fitting.is_empty() {
            let writes = fitting.iter().map(key).collect();
            fga.write(&bound, &WriteRequest { writes, ..WriteRequest::default() }).unwrap();
        }
        // Some stores go on from their snapshots.
        let (mut fga, mut bound) = (fga, bound);
        if dice.one_in(scope.one_in(3)) {
            let bytes = fga.snapshot().encode("store");
            fga = FgaStore::from_snapshot(Snapshot::decode(&bytes, "store").unwrap());
            bound = fga.add_model(bound.model().clone()).unwrap();
        }
        let value = [None, Some(3), Some(30)][dice.below(3)];
        let now = (!dice.one_in(8)).then_some(NOW);
        let tight = Limits {
            resolve_node_limit: u32::try_from(dice.below(5)).unwrap(),
            max_steps: 4 + dice.below(60) as u64,
            ..Limits::default()
        };
        let stored = stale.into_iter().chain(fitting).collect();
        let case = Self::of(scope, (fga, bound), model, (stored, contextual), (value, now));
        Self { seed, tight, ..case }
    }

    /// The store with the model bound to it, the tuples stored and sent along, and the request's
    /// value and time.
    fn of(
        scope: Scope,
        (fga, bound): (FgaStore, Arc<StoreModel>),
        model: Model,
        (stored, contextual): (Vec<Tuple>, Vec<Tuple>),
        (value, now): (Option<i64>, Option<i64>),
    ) -> Self {
        let unknown = Truth::Failure;
        let facts = Facts { stored: &stored, contextual: &contextual, value, now, unknown };
        let oracle = Oracle::new(&scope, &model, &facts);
        let completed = OnceCell::new();
        let (seed, tight) = (0, Limits::default());
        Self {
            seed,
            scope,
            fga,
            bound,
            model,
            oracle,
            completed,
            stored,
            contextual,
            value,
            now,
            tight,
        }
    }

    /// The answer that is the same whether what lacks a value holds or not, if it is.
    fn decided(&self, user: &str, relation: &str, object: &str) -> Result<Option<bool>, TooMuch> {
        let Self { scope, model, stored, contextual, .. } = self;
        let (value, now) = (self.value, self.now);
        let oracle =
            |unknown| Oracle::new(scope, model, &Facts { stored, contextual, value, now, unknown });
        let completed = self.completed.get_or_init(|| [oracle(Truth::False), oracle(Truth::True)]);
        let [without, with] = completed;
        let without = without.check(user, relation, object, STEPS)? == Truth::True;
        let with = with.check(user, relation, object, STEPS)? == Truth::True;
        Ok((with == without).then_some(with))
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
            // A condition on a way that no such user can come is not looked at; nor, where there
            // are unions only, is one that changes nothing.
            Ok(is_allowed) if truth == Truth::Failure => {
                let Ok(decided) = self.decided(user, relation, object) else { return };
                let is_plain =
                    self.contextual.is_empty() && self.model.is_plain(type_of(object), relation);
                let is_same = decided == Some(*is_allowed) && (kind_of(user) != "user" || is_plain);
                assert!(is_same, "{}", self.describe(question));
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
        for user in &self.scope.subjects {
            for (name, objects) in &self.scope.objects {
                for relation in self.scope.every_relation() {
                    let check = |object| CheckRequest { user, relation, object, request };
                    let checks: Vec<_> = objects.iter().map(|object| check(object)).collect();
                    let single = self.check_each(&snapshot, &checks, tally);
                    self.lists(&snapshot, (user, relation, name), request, &single, tally);
                    asked.extend(checks.into_iter().zip(single));
                }
            }
        }
        if !self.is_sampled(0, self.scope.one_in(1)) {
            return;
        }
        // Each object once more, for all users by turns.
        asked.sort_by_key(|(check, _)| (check.object, check.relation));
        let (checks, single): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let batch = snapshot.batch_check(&self.bound, &checks);
        for ((check, single), batch) in checks.iter().zip(single).zip(batch) {
            assert_eq!(batch, single, "{}", self.describe(format_args!("{check:?}")));
        }
    }

    /// Checks of the objects of one type, one by one, against the definition; of some of them what
    /// they cost at once, under bounds, and explained.
    fn check_each(
        &self,
        snapshot: &Snapshot,
        checks: &[CheckRequest<'_>],
        tally: &mut Tally,
    ) -> Vec<Result<bool, RequestError>> {
        let single = checks.iter().map(|check| snapshot.check(&self.bound, check));
        let single: Vec<_> = single.collect();
        for (check, answer) in checks.iter().zip(&single) {
            self.compare((check.user, check.relation, check.object), answer, tally);
            // Explanations take longer than all the rest.
            if self.is_sampled(tally.checks, self.scope.one_in(4)) {
                self.reasons(snapshot, check, answer, tally);
            }
        }
        if self.is_sampled(tally.checks, self.scope.one_in(1)) {
            self.bounds(snapshot, checks, &single, tally);
            let batch = snapshot.batch_check(&self.bound, checks);
            assert_eq!(batch, single, "{}", self.describe(format_args!("{checks:?}")));
        }
        single
    }

    /// Whether what is asked of one question in `n` is asked of this.
    const fn is_sampled(&self, question: usize, n: usize) -> bool {
        (question as u64).wrapping_add(self.seed).is_multiple_of(n as u64)
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
        let ids = &self.scope.ids;
        let filter = FilterRequest { user, relation, object_type: name, ids, request };
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
        let expected: BTreeSet<String> = ids
            .iter()
            .zip(answers)
            .filter(|(_, is_allowed)| *is_allowed)
            .map(|(id, _)| format!("{name}:{id}"))
            .collect();
        assert_eq!(listed.len(), expected.len(), "{}", self.describe(question));
        if self.is_sampled(tally.lists, self.scope.one_in(1)) {
            let ask = |page: &PageRequest<'_>| {
                snapshot.list_objects_page(&self.bound, &list, page).unwrap()
            };
            assert_eq!(pages(ask), listed, "{}", self.describe(question));
        }
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
                    let case = Case::new(number);
                    of_case.cases[case.scope.size as usize] += 1;
                    case.run(&mut of_case);
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
    println!("random models: {cases} from seed {seed}: {tally}");
    if cases >= 100 {
        tally.says_enough();
    }
}
