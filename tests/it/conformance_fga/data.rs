//! The assertions as the files have them, and the count of those that hold.

use std::collections::BTreeSet;
use std::path::PathBuf;

use behalf_fga::{AuthorizationModel, TupleKey};
use serde_json::Value;

const FILES: [&str; 2] = ["consolidated_1_1_tests.yaml", "abac_tests.yaml"];
/// As OpenFGA's own runner writes them.
pub(super) const CHUNK: usize = 40;

/// A stage of a test, where its tuples are stored or sent along.
pub(super) struct Stage<'a> {
    pub(super) place: String,
    pub(super) stage: &'a Value,
    /// Sent with every question, behind the assertion's own.
    pub(super) along: &'a [Value],
}

/// What a question is answered with: true or false, a set of objects or users, or OpenFGA's error code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Check(bool),
    List(BTreeSet<String>),
    Code(u64),
}

/// The files, or nothing when they are not there.
pub(super) fn tests() -> Option<Vec<(String, Value)>> {
    #[expect(clippy::disallowed_methods, reason = "the data lies where the environment says")]
    let folder = std::env::var_os("BEHALF_CONFORMANCE").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = folder.unwrap_or(beside).join("openfga");
    let mut tests = Vec::new();
    for file in FILES {
        let text = std::fs::read_to_string(folder.join(file)).ok()?;
        // A number beyond a double; OpenFGA's reader takes it for text, ours refuses it.
        const BEYOND: &str = "1.79769313486231570814527423731704356798070e+309";
        let text = text.replace(&format!(" {BEYOND}"), &format!(" \"{BEYOND}\""));
        let text = text.replace(&format!(" -{BEYOND}"), &format!(" \"-{BEYOND}\""));
        let data: Value = serde_saphyr::from_str(&text).unwrap();
        // A name occurs twice, so a test is named by its place.
        for (number, test) in list(&data["tests"]).iter().enumerate() {
            let name = test["name"].as_str().unwrap();
            tests.push((format!("{file}[{number}] {name}"), test.clone()));
        }
    }
    Some(tests)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

pub(super) fn contextual(assertion: &Value, along: &[Value]) -> Vec<Value> {
    list(&assertion["contextualTuples"]).iter().chain(along).cloned().collect()
}

pub(super) fn keys(tuples: &[Value]) -> Vec<TupleKey> {
    tuples.iter().map(|tuple| serde_json::from_value(tuple.clone()).unwrap()).collect()
}

pub(super) fn model(stage: &Value) -> AuthorizationModel {
    AuthorizationModel::validate_dsl(text(stage, "model")).unwrap()
}

/// What the file expects; an expectation left out is false, or the empty list.
pub(super) fn expected(assertion: &Value, otherwise: &Said) -> Said {
    if let Some(code) = assertion["errorCode"].as_u64() {
        return Said::Code(code);
    }
    match (&assertion["expectation"], otherwise) {
        (Value::Bool(is_allowed), _) => Said::Check(*is_allowed),
        (Value::Array(objects), _) => {
            Said::List(objects.iter().map(|object| object.as_str().unwrap().to_owned()).collect())
        }
        _ => otherwise.clone(),
    }
}

/// The stages of a test in both modes: tuples stored, and, for a test of one stage, sent along.
pub(super) fn run(tests: &[(String, Value)], mut ask: impl FnMut(bool, &[Stage<'_>])) {
    for (name, test) in tests {
        let stages = list(&test["stages"]);
        let place = |number: usize| format!("{name}, stage {number}");
        let stored: Vec<_> = stages
            .iter()
            .enumerate()
            .map(|(number, stage)| Stage { place: place(number), stage, along: &[] })
            .collect();
        ask(true, &stored);
        if let [stage] = stages {
            ask(false, &[Stage { place: place(0), stage, along: list(&stage["tuples"]) }]);
        }
    }
}

/// Counts assertions and gathers those that fail.
#[derive(Default)]
pub(super) struct Tally {
    run: usize,
    failed: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, place: &str, assertion: &Value, expected: &Said, said: &Said) {
        self.run += 1;
        if expected != said {
            self.failed.push(format!("{place}: {assertion}: {said:?}"));
        }
    }

    #[track_caller]
    pub(super) fn finish(self, what: &str) {
        println!("conformance: {} run ({what})", self.run);
        let Self { run, failed } = self;
        assert!(failed.is_empty(), "{} of {run} fail:\n{}", failed.len(), failed.join("\n"));
    }
}
