//! The `OpenAPI` document: every route that programs call is in it, nothing else is, and it says who
//! may call what.

use std::collections::BTreeSet;

use behalf_api::openapi::{is_for_programs, path_of};
use behalf_http::Rule;
use behalf_tests::TestServer;
use http::header;
use serde_json::Value;

use crate::world::text;

async fn document(server: &TestServer) -> Value {
    let answer = server.get("/openapi.json").await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    answer.json()
}

/// Every operation: its method, its path and itself.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.clone(), path.clone(), operation))
    });
    operations.collect()
}

#[tokio::test]
async fn every_route_that_programs_call_is_described_and_nothing_else_is() {
    let server = TestServer::start("").await;
    let document = document(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://behalf.test");
    let described: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(method, path, _)| format!("{} {path}", method.to_uppercase()))
        .collect();
    let routes = server.server.rules.iter().filter(|route| is_for_programs(route));
    let routes: BTreeSet<String> =
        routes.map(|route| format!("{} {}", route.method, path_of(route))).collect();
    let missing = routes.difference(&described).collect::<Vec<_>>();
    assert!(missing.is_empty(), "describe in crates/behalf-api/openapi/openapi.json: {missing:?}");
    let gone = described.difference(&routes).collect::<Vec<_>>();
    assert!(gone.is_empty(), "take out of crates/behalf-api/openapi/openapi.json: {gone:?}");
}

#[tokio::test]
async fn each_operation_says_what_it_does_who_may_ask_and_what_comes_back() {
    let server = TestServer::start("").await;
    let document = document(&server).await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(ids.insert(text(operation, "operationId").to_owned()), "{name}: id is used twice");
        assert!(!text(operation, "summary").is_empty(), "{name}");
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|tag| tag["name"] == operation["tags"][0]), "{name}: tag");
        assert!(operation["security"].is_array(), "{name}: who may ask");

        let responses = operation["responses"].as_object().unwrap();
        let is_good = |status: &String| status.starts_with('2') || status.starts_with('3');
        assert!(responses.keys().any(is_good), "{name}");
        for (status, response) in responses {
            let is_said = response["description"].is_string() || response["$ref"].is_string();
            assert!(is_said, "{name}: {status}");
        }
        let placeholders: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let in_path: BTreeSet<&str> = in_path.map(|parameter| text(parameter, "name")).collect();
        assert_eq!(in_path, placeholders, "{name}");
    }
}

#[tokio::test]
async fn the_document_asks_for_the_scope_that_the_server_asks_for() {
    let server = TestServer::start("").await;
    let document = document(&server).await;
    for route in server.server.rules.iter().filter(|route| is_for_programs(route)) {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][path_of(route)][method];
        let scope = match route.rule {
            Rule::Bearer(_, scope) | Rule::Api(scope) | Rule::Fga(scope, _) => scope,
            Rule::Public | Rule::Person | Rule::Role(..) => continue,
        };
        assert_eq!(operation["security"][0]["token"][0], scope, "{}", route.path);
        assert!(text(operation, "x-audience").starts_with("https://behalf.test/"));
        assert!(operation["responses"]["401"]["$ref"].is_string(), "{}", route.path);
    }
}

#[tokio::test]
async fn what_the_document_refers_to_is_there_and_used() {
    let server = TestServer::start("").await;
    let document = document(&server).await;
    let whole = document.to_string();
    let refs: BTreeSet<&str> =
        whole.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    for pointer in &refs {
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    for schema in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(refs.contains(format!("/components/schemas/{schema}").as_str()), "{schema}");
    }
}
