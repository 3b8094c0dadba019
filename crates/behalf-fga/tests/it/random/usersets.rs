//! v2 beside v1: a userset has in v2 what a new userset, named by tuples like those that name it,
//! has in v1. Nothing is computed from the new one and it is no relation of a parent, so that v1
//! has no reason but those tuples.

use std::sync::Arc;

use behalf_fga::{Change, CheckRequest, FgaStore, Limits, RequestContext, StoreModel, TupleKey};
use serde_json::{Map, Value};

use super::oracle::Tuple;
use super::{Case, is_admitted, key};
use crate::dice::number;

/// Cases, of which the models of some are asked.
const CASES: u64 = 2_000;

/// The userset in whose place a new one stands; each has one of its own.
fn renamed(userset: &str) -> String {
    let (object, relation) = userset.split_once('#').unwrap();
    format!("{object}-{relation}#{relation}")
}

impl Case {
    /// The case's tuples as far as both take them, and the same for new usersets.
    fn with_new_usersets(&self) -> (FgaStore, Arc<StoreModel>) {
        let mut changes = Vec::new();
        let is_taken = |tuple: &&Tuple| is_admitted(&self.model, tuple);
        for tuple in self.stored.iter().filter(is_taken) {
            changes.push(Change::Write(key(tuple)));
            if tuple.user.contains('#') {
                let new = TupleKey { user: renamed(&tuple.user), ..key(tuple) };
                changes.push(Change::Write(new));
            }
        }
        let mut fga = FgaStore::new();
        let model = fga.add_model(self.bound.model().clone()).unwrap();
        fga.apply(&changes).unwrap();
        (fga, model)
    }

    /// How many questions about usersets were asked, and how many of them were allowed.
    fn usersets(&self) -> (usize, usize) {
        let (fga, model) = self.with_new_usersets();
        let snapshot = fga.snapshot();
        let context: Map<String, Value> =
            self.value.map(|x| ("x".to_owned(), x.into())).into_iter().collect();
        let limits = Limits { resolve_node_limit: 0, ..Limits::default() };
        let request =
            RequestContext { context: Some(&context), limits, ..RequestContext::default() };
        let objects = || self.scope.objects.iter().flat_map(|(_, objects)| objects);
        let usersets = objects().flat_map(|of| {
            self.scope.relations.iter().map(move |relation| format!("{of}#{relation}"))
        });
        let (mut asked, mut allowed) = (0, 0);
        for userset in usersets {
            let new = renamed(&userset);
            for object in objects() {
                for relation in self.scope.every_relation() {
                    let check = CheckRequest { user: &userset, relation, object, request };
                    let compared = snapshot.compare_semantics(&model, &check);
                    let expected = snapshot.check(&model, &CheckRequest { user: &new, ..check });
                    let (Ok(answer), Ok(expected)) = (compared.v2, expected) else { continue };
                    if compared.is_fallback {
                        continue;
                    }
                    assert_eq!(
                        answer,
                        expected,
                        "{}",
                        self.describe(format!("{userset} {relation} {object}"))
                    );
                    asked += 1;
                    allowed += usize::from(answer);
                }
            }
        }
        (asked, allowed)
    }
}

#[test]
fn a_userset_has_in_v2_what_its_tuples_give_a_new_one_in_v1() {
    let (seed, cases) = (number("BEHALF_RANDOM_SEED", 1), number("BEHALF_RANDOM_CASES", CASES));
    let (mut fit, mut asked, mut allowed) = (0, 0, 0);
    for seed in seed..seed + cases {
        let case = Case::plain(seed);
        if case.bound.unfit().is_some() {
            continue;
        }
        let of_case = case.usersets();
        fit += 1;
        asked += of_case.0;
        allowed += of_case.1;
    }
    println!("usersets: {fit} of {cases} models are for v2; {asked} checks, {allowed} allowed");
    assert!(allowed > 0 || cases < CASES, "nothing was compared");
}
