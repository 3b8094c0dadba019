//! OpenFGA's own behaviour files, asked of the engine in process and of the server over HTTP.
//!
//! The files are found through `BEHALF_CONFORMANCE`, else beside the checkout; they are not copied
//! into this repository. Without them the test says so instead of passing silently.
#![expect(clippy::print_stdout, reason = "how many assertions ran is worth reading")]

mod data;
mod engine;
mod grpc;

use std::collections::BTreeSet;

use axum::body::Body;
use behalf_tests::TestServer;
use http::{Method, Request, header};
use serde_json::{Map, Value, json};

use data::{CHUNK, Said, Stage, Tally, contextual, expected, list, model, run, tests, text};

const SETUP: &str = r#"
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
"#;

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
                200 => Said::List(
                    list(&body["objects"]).iter().map(|o| o.as_str().unwrap().to_owned()).collect(),
                ),
                _ => code(&body),
            };
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
        }
        for assertion in list(&stage.stage["listUsersAssertions"]) {
            let said = self.list_users(assertion, &contextual(assertion, stage.along)).await;
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
        }
    }

    async fn list_users(&self, assertion: &Value, along: &[Value]) -> Said {
        let asked = &assertion["request"];
        let (type_name, relation) = user_filter(asked);
        let (object_type, id) = text(asked, "object").split_once(':').unwrap();
        let body = json!({
            "object": {"type": object_type, "id": id},
            "relation": asked["relation"],
            "user_filters": [{"type": type_name, "relation": relation}],
            "contextual_tuples": along,
            "context": assertion["context"],
        });
        let (status, body) = self.question("list-users", body.as_object().unwrap().clone()).await;
        if status != 200 {
            return code(&body);
        }
        let user = |user: &Value| match user.as_object().unwrap().iter().next().unwrap() {
            (kind, of) if kind == "object" => format!("{}:{}", text(of, "type"), text(of, "id")),
            (kind, of) if kind == "wildcard" => format!("{}:*", text(of, "type")),
            (_, of) => format!("{}:{}#{}", text(of, "type"), text(of, "id"), text(of, "relation")),
        };
        Said::List(list(&body["users"]).iter().map(user).collect())
    }
}

/// The one user filter of an assertion: a type, and a relation or nothing.
fn user_filter(asked: &Value) -> (&str, &str) {
    let filter = list(&asked["filters"]).first().and_then(Value::as_str).unwrap();
    filter.split_once('#').unwrap_or((filter, ""))
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
