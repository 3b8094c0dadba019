//! OpenFGA's own behaviour files, asked of the engine in process and of the server over HTTP.
//!
//! The files are found through `BEHALF_CONFORMANCE`, else beside the checkout; they are not copied
//! into this repository. Without them the test says so instead of passing silently. Questions that
//! the engine does not answer yet (list users) are not counted.
#![expect(clippy::print_stdout, reason = "how many assertions ran is worth reading")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::body::Body;
use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, ListObjectsRequest, RequestContext, RequestError,
    StoreModel, TupleKey, WriteRequest,
};
use behalf_tests::TestServer;
use http::{Method, Request, header};
use serde_json::{Map, Value, json};

const FILES: [&str; 2] = ["consolidated_1_1_tests.yaml", "abac_tests.yaml"];
/// As OpenFGA's own runner writes them.
const CHUNK: usize = 40;
const SETUP: &str = r#"
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
"#;

/// A stage of a test, where its tuples are stored or sent along.
struct Stage<'a> {
    place: String,
    stage: &'a Value,
    /// Sent with every question, behind the assertion's own.
    along: &'a [Value],
}

/// What a question is answered with: true or false, a set of objects, or OpenFGA's error code.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Check(bool),
    Objects(BTreeSet<String>),
    Code(u64),
}

/// The files, or nothing when they are not there.
fn tests() -> Option<Vec<(String, Value)>> {
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

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn contextual(assertion: &Value, along: &[Value]) -> Vec<Value> {
    list(&assertion["contextualTuples"]).iter().chain(along).cloned().collect()
}

fn keys(tuples: &[Value]) -> Vec<TupleKey> {
    tuples.iter().map(|tuple| serde_json::from_value(tuple.clone()).unwrap()).collect()
}

fn model(stage: &Value) -> AuthorizationModel {
    AuthorizationModel::validate_dsl(text(stage, "model")).unwrap()
}

/// What the file expects; an expectation left out is false, or the empty list.
fn expected(assertion: &Value, otherwise: &Said) -> Said {
    if let Some(code) = assertion["errorCode"].as_u64() {
        return Said::Code(code);
    }
    match (&assertion["expectation"], otherwise) {
        (Value::Bool(is_allowed), _) => Said::Check(*is_allowed),
        (Value::Array(objects), _) => Said::Objects(
            objects.iter().map(|object| object.as_str().unwrap().to_owned()).collect(),
        ),
        _ => otherwise.clone(),
    }
}

/// The stages of a test in both modes: tuples stored, and, for a test of one stage, sent along.
fn run(tests: &[(String, Value)], mut ask: impl FnMut(bool, &[Stage<'_>])) {
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
    }
}

fn said<T>(answer: Result<T, RequestError>, is: impl FnOnce(T) -> Said) -> Said {
    answer.map_or_else(|error| Said::Code(u64::from(error.code().number())), is)
}

/// Questions of one stage, asked of the engine.
struct Engine<'a> {
    fga: &'a FgaStore,
    model: &'a StoreModel,
}

impl Engine<'_> {
    fn check(&self, tuple: &Value, request: RequestContext<'_>) -> Said {
        let check = CheckRequest {
            user: text(tuple, "user"),
            relation: text(tuple, "relation"),
            object: text(tuple, "object"),
            request,
        };
        said(self.fga.snapshot().check(self.model, &check), Said::Check)
    }

    fn list_objects(&self, request: &Value, context: RequestContext<'_>) -> Said {
        let list = ListObjectsRequest {
            user: text(request, "user"),
            relation: text(request, "relation"),
            object_type: text(request, "type"),
            request: context,
        };
        let objects = self.fga.snapshot().list_objects(self.model, &list);
        if let Ok(objects) = &objects {
            let distinct: BTreeSet<_> = objects.iter().collect();
            assert_eq!(distinct.len(), objects.len(), "an object is listed twice: {request}");
        }
        said(objects, |objects| Said::Objects(objects.into_iter().collect()))
    }

    fn ask(&self, stage: &Stage<'_>, tally: &mut Tally) {
        for assertion in list(&stage.stage["checkAssertions"]) {
            let tuples = keys(&contextual(assertion, stage.along));
            let request = RequestContext {
                contextual_tuples: &tuples,
                context: assertion["context"].as_object(),
                ..RequestContext::default()
            };
            let said = self.check(&assertion["tuple"], request);
            let expected = expected(assertion, &Said::Check(false));
            tally.add(&stage.place, assertion, &expected, &said);
        }
        for assertion in list(&stage.stage["listObjectsAssertions"]) {
            let tuples = keys(&contextual(assertion, stage.along));
            let context = RequestContext {
                contextual_tuples: &tuples,
                context: assertion["context"].as_object(),
                ..RequestContext::default()
            };
            let asked = &assertion["request"];
            let said = self.list_objects(asked, context);
            let expected = expected(assertion, &Said::Objects(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
            let Said::Objects(objects) = said else { continue };
            for object in objects {
                let tuple =
                    json!({"user": asked["user"], "relation": asked["relation"], "object": object});
                let said = self.check(&tuple, context);
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {object}", stage.place);
            }
        }
    }
}

#[test]
fn openfgas_assertions_hold_in_process() {
    let Some(tests) = tests() else {
        println!("conformance: NOT RUN, the data is absent (BEHALF_CONFORMANCE)");
        return;
    };
    let mut tally = Tally::default();
    run(&tests, |is_stored, stages| {
        let mut fga = FgaStore::new();
        for stage in stages {
            let model = fga.add_model(model(stage.stage)).unwrap();
            if is_stored {
                for chunk in list(&stage.stage["tuples"]).chunks(CHUNK) {
                    let request = WriteRequest { writes: keys(chunk), ..WriteRequest::default() };
                    fga.write(&model, &request).unwrap();
                }
            }
            Engine { fga: &fga, model: &model }.ask(stage, &mut tally);
        }
    });
    tally.finish("engine in process");
}

/// Questions of one stage, asked of the server.
struct Http<'a> {
    server: &'a TestServer,
    store: String,
    model_id: String,
}

async fn post(server: &TestServer, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = server.send(request).await;
    (answer.status.as_u16(), answer.json())
}

fn code(body: &Value) -> Said {
    let number = match text(body, "code") {
        "validation_error" => 2000,
        "authorization_model_resolution_too_complex" => 2002,
        "type_not_found" => 2021,
        "relation_not_found" => 2022,
        "invalid_tuple" => 2027,
        other => panic!("an unexpected code: {other}"),
    };
    Said::Code(number)
}

impl<'a> Http<'a> {
    async fn write(server: &'a TestServer, store: &str, stage: &Value, is_stored: bool) -> Self {
        let path = format!("/stores/{store}/authorization-models");
        let written: Value = serde_json::from_str(&model(stage).to_json().unwrap()).unwrap();
        let (status, body) = post(server, &path, written).await;
        assert_eq!(status, 201, "{body}");
        let model_id = text(&body, "authorization_model_id").to_owned();
        if is_stored {
            for chunk in list(&stage["tuples"]).chunks(CHUNK) {
                let body = json!({
                    "writes": {"tuple_keys": chunk},
                    "authorization_model_id": model_id,
                });
                let (status, body) = post(server, &format!("/stores/{store}/write"), body).await;
                assert_eq!(status, 200, "{body}");
            }
        }
        Self { server, store: store.to_owned(), model_id }
    }

    async fn question(&self, operation: &str, mut body: Map<String, Value>) -> (u16, Value) {
        body.insert("authorization_model_id".to_owned(), self.model_id.as_str().into());
        let path = format!("/stores/{}/{operation}", self.store);
        post(self.server, &path, Value::Object(body)).await
    }

    async fn ask(&self, stage: &Stage<'_>, tally: &mut Tally) {
        let along = |assertion: &Value| {
            let tuples = contextual(assertion, stage.along);
            let mut body = Map::new();
            body.insert("contextual_tuples".to_owned(), json!({"tuple_keys": tuples}));
            body.insert("context".to_owned(), assertion["context"].clone());
            body
        };
        for assertion in list(&stage.stage["checkAssertions"]) {
            let mut body = along(assertion);
            body.insert("tuple_key".to_owned(), assertion["tuple"].clone());
            let (status, body) = self.question("check", body).await;
            let said = match status {
                200 => Said::Check(body["allowed"].as_bool().unwrap()),
                _ => code(&body),
            };
            let expected = expected(assertion, &Said::Check(false));
            tally.add(&stage.place, assertion, &expected, &said);
        }
        for assertion in list(&stage.stage["listObjectsAssertions"]) {
            let mut body = along(assertion);
            for name in ["user", "relation", "type"] {
                body.insert(name.to_owned(), assertion["request"][name].clone());
            }
            let (status, body) = self.question("list-objects", body).await;
            let said = match status {
                200 => Said::Objects(
                    list(&body["objects"]).iter().map(|o| o.as_str().unwrap().to_owned()).collect(),
                ),
                _ => code(&body),
            };
            let expected = expected(assertion, &Said::Objects(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
        }
    }
}

#[tokio::test]
async fn openfgas_assertions_hold_over_http() {
    let Some(tests) = tests() else {
        println!("conformance: NOT RUN, the data is absent (BEHALF_CONFORMANCE)");
        return;
    };
    let server = TestServer::start(SETUP).await;
    let mut runs = Vec::new();
    run(&tests, |is_stored, stages| {
        let owned = stages
            .iter()
            .map(|stage| (stage.place.clone(), stage.stage.clone(), stage.along.to_vec()));
        runs.push((is_stored, owned.collect::<Vec<_>>()));
    });
    let mut tally = Tally::default();
    for (is_stored, stages) in &runs {
        let (status, body) = post(&server, "/stores", json!({"name": "conformance"})).await;
        assert_eq!(status, 201, "{body}");
        for (place, stage, along) in stages {
            let http = Http::write(&server, text(&body, "id"), stage, *is_stored).await;
            let stage = Stage { place: place.clone(), stage, along };
            http.ask(&stage, &mut tally).await;
        }
    }
    tally.finish("over HTTP");
}
