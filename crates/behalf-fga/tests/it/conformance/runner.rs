//! OpenFGA's assertions as its files have them, and the one loop that asks them, whichever way.
//!
//! The files are found through `BEHALF_CONFORMANCE`, else beside the checkout; they are not copied
//! into this repository. Without them a test says so instead of passing silently.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use behalf_fga::AuthorizationModel;
use serde_json::{Value, json};

const FILES: [&str; 2] = ["consolidated_1_1_tests.yaml", "abac_tests.yaml"];
/// How many tuples are written at once, as OpenFGA's own runner writes them.
pub(crate) const CHUNK: usize = 40;

/// What a question is answered with: true or false, a set of objects or users, or OpenFGA's error
/// code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Check(bool),
    List(BTreeSet<String>),
    Code(u64),
}

impl Said {
    /// A list, in which nothing may come twice.
    pub(crate) fn list(items: Vec<String>) -> Self {
        let count = items.len();
        let distinct = BTreeSet::from_iter(items);
        assert_eq!(distinct.len(), count, "something is listed twice: {distinct:?}");
        Self::List(distinct)
    }
}

/// A question: what is asked, with the tuples and the context that go along.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The assertion's `tuple` or `request`.
    pub(crate) asked: &'a Value,
    pub(crate) tuples: &'a [Value],
    pub(crate) context: &'a Value,
}

impl Question<'_> {
    /// The one user filter: a type, and a relation or nothing.
    pub(crate) fn user_filter(&self) -> (&str, &str) {
        let filter = list(&self.asked["filters"]).first().and_then(Value::as_str).unwrap();
        filter.split_once('#').unwrap_or((filter, ""))
    }
}

/// A way to ask: the engine in process, or the server over one of its protocols.
pub(crate) trait Way {
    /// Goes on with a new store.
    async fn new_store(&mut self);
    /// Writes a stage's model, under which is asked from now on, and tuples.
    async fn write(&mut self, model: AuthorizationModel, tuples: &[Value]);
    async fn check(&self, question: Question<'_>) -> Said;
    async fn list_objects(&self, question: Question<'_>) -> Said;
    async fn list_users(&self, question: Question<'_>) -> Said;
}

/// Asks every assertion of both files in both modes: tuples stored, and, for a test of one stage,
/// sent along with every question.
pub(crate) async fn run(what: &str, way: &mut impl Way) {
    let Some(tests) = tests() else {
        println!("conformance: NOT RUN, the data is absent (BEHALF_CONFORMANCE)");
        return;
    };
    let mut tally = Tally::default();
    for (name, test) in &tests {
        let stages = list(&test["stages"]);
        way.new_store().await;
        for (number, stage) in stages.iter().enumerate() {
            way.write(model(stage), list(&stage["tuples"])).await;
            let place = format!("{name}, stage {number}");
            ask(way, &Stage { place, stage, along: &[] }, &mut tally).await;
        }
        if let [stage] = stages {
            way.new_store().await;
            way.write(model(stage), &[]).await;
            let place = format!("{name}, tuples sent along");
            let along = list(&stage["tuples"]);
            ask(way, &Stage { place, stage, along }, &mut tally).await;
        }
    }
    tally.finish(what);
}

/// A stage of a test.
struct Stage<'a> {
    place: String,
    stage: &'a Value,
    /// Sent with every question, behind the assertion's own.
    along: &'a [Value],
}

async fn ask(way: &impl Way, stage: &Stage<'_>, tally: &mut Tally) {
    for kind in ["checkAssertions", "listObjectsAssertions", "listUsersAssertions"] {
        for assertion in list(&stage.stage[kind]) {
            let own = list(&assertion["contextualTuples"]);
            let tuples: Vec<Value> = own.iter().chain(stage.along).cloned().collect();
            let context = &assertion["context"];
            let request = Question { asked: &assertion["request"], tuples: &tuples, context };
            let said = match kind {
                "checkAssertions" => {
                    way.check(Question { asked: &assertion["tuple"], ..request }).await
                }
                "listObjectsAssertions" => way.list_objects(request).await,
                _ => way.list_users(request).await,
            };
            tally.add(&stage.place, assertion, &expected(kind, assertion), &said);
            // Whatever is listed, a check allows.
            let Said::List(items) = said else { continue };
            for item in items {
                let mut tuple = request.asked.clone();
                tuple[if kind == "listUsersAssertions" { "user" } else { "object" }] = json!(&item);
                let said = way.check(Question { asked: &tuple, ..request }).await;
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {item}", stage.place);
            }
        }
    }
}

/// What the file expects; an expectation left out is false, or the empty list.
fn expected(kind: &str, assertion: &Value) -> Said {
    if let Some(code) = assertion["errorCode"].as_u64() {
        return Said::Code(code);
    }
    match &assertion["expectation"] {
        Value::Bool(is_allowed) => Said::Check(*is_allowed),
        _ if kind == "checkAssertions" => Said::Check(false),
        items => Said::list(list(items).iter().map(|i| i.as_str().unwrap().to_owned()).collect()),
    }
}

/// Where OpenFGA's files lie, if they are there.
pub(crate) fn openfga() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "the data lies where the environment says")]
    let folder = std::env::var_os("BEHALF_CONFORMANCE").map(PathBuf::from);
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let beside =
        || above.find_map(|root| Some(root.join("shared/conformance")).filter(|f| f.is_dir()));
    folder.or_else(beside).unwrap_or_default().join("openfga")
}

/// The tests of both files, or nothing when they are not there.
fn tests() -> Option<Vec<(String, Value)>> {
    let mut tests = Vec::new();
    for file in FILES {
        let text = std::fs::read_to_string(openfga().join(file)).ok()?;
        // A number beyond a double; OpenFGA's reader takes it for text, ours refuses it.
        const BEYOND: &str = "1.79769313486231570814527423731704356798070e+309";
        let text = text.replace(&format!(" {BEYOND}"), &format!(" \"{BEYOND}\""));
        let text = text.replace(&format!(" -{BEYOND}"), &format!(" \"-{BEYOND}\""));
        let data: Value = serde_saphyr::from_str(&text).unwrap();
        // A name occurs twice, so a test is named by its place.
        for (number, test) in list(&data["tests"]).iter().enumerate() {
            let name = text_of(test, "name");
            tests.push((format!("{file}[{number}] {name}"), test.clone()));
        }
    }
    Some(tests)
}

fn model(stage: &Value) -> AuthorizationModel {
    AuthorizationModel::validate_dsl(text_of(stage, "model")).unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Counts assertions and gathers those that fail.
#[derive(Default)]
struct Tally {
    run: usize,
    failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, place: &str, assertion: &Value, expected: &Said, said: &Said) {
        self.run += 1;
        if expected != said {
            self.failed.push(format!("{place}: {assertion}: {said:?}"));
        }
    }

    #[track_caller]
    fn finish(self, what: &str) {
        println!("conformance: {} run ({what})", self.run);
        let Self { run, failed } = self;
        assert!(failed.is_empty(), "{} of {run} fail:\n{}", failed.len(), failed.join("\n"));
        assert_eq!(run, 2_225, "{what}: the data changed");
    }
}
