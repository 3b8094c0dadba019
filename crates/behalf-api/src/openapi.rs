//! `GET /openapi.json`: what programs can call, as `OpenAPI` 3.1.
//!
//! What each operation reads and answers is written by hand in `openapi/openapi.json`; who may call
//! it comes from the rule table, so that the document cannot promise what the server refuses. Pages
//! are no interface for programs and are left out.

use axum::response::IntoResponse as _;
use behalf_http::{RouteRule, Routes, Rule, project_scope};
use behalf_identity::{Issuer, OwnApi};
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Map, Value, json};

/// The operations and the shapes of what they read and answer.
const WRITTEN: &str = include_str!("../openapi/openapi.json");
/// What only browsers ask for.
const PAGES: [&str; 3] = ["/u/", "/account/", "/assets/"];

/// Adds `/openapi.json`, which describes `routes` and itself.
///
/// # Errors
/// When what is written by hand is no JSON object.
pub fn routes(routes: Routes, issuer: &Issuer) -> Result<Routes, serde_json::Error> {
    const PATH: &str = "/openapi.json";
    let own = RouteRule { method: Method::GET, path: PATH, rule: Rule::Public };
    let rules: Vec<&RouteRule> = routes.rules().iter().chain([&own]).collect();
    let document = Bytes::from(Value::Object(document(&rules, issuer)?).to_string());
    Ok(routes.route(Method::GET, PATH, Rule::Public, async move || {
        ([(header::CONTENT_TYPE, "application/json")], document.clone()).into_response()
    }))
}

/// True if programs call the route, so that the document must describe it.
pub fn is_for_programs(route: &RouteRule) -> bool {
    // Browsers send preflights by themselves, and gRPC's methods have descriptions of their own.
    let is_grpc = route.path.split('/').nth(1).is_some_and(|part| part.contains(".v1"));
    if route.method == Method::OPTIONS || is_grpc {
        return false;
    }
    match route.rule {
        Rule::Person | Rule::Role(..) => false,
        Rule::Public => !PAGES.iter().any(|page| route.path.starts_with(page)),
        Rule::Bearer(..) | Rule::Api(_) | Rule::Fga(..) => true,
    }
}

/// The route's path in `OpenAPI`'s words, which know no rest of a path.
pub fn path_of(route: &RouteRule) -> String {
    route.path.replace("{*", "{")
}

fn document(
    rules: &[&RouteRule],
    issuer: &Issuer,
) -> Result<Map<String, Value>, serde_json::Error> {
    let mut document: Map<String, Value> = serde_json::from_str(WRITTEN)?;
    document.insert("servers".to_owned(), json!([{"url": issuer.origin()}]));
    if let Some(Value::Object(info)) = document.get_mut("info") {
        info.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    }
    let Some(Value::Object(paths)) = document.get_mut("paths") else { return Ok(document) };
    for route in rules {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = paths.get_mut(&path_of(route)).and_then(|path| path.get_mut(&method));
        if let Some(Value::Object(operation)) = operation {
            guard(operation, route, issuer);
        }
    }
    Ok(document)
}

/// Writes down who may call the operation, and how the others are refused.
fn guard(operation: &mut Map<String, Value>, route: &RouteRule, issuer: &Issuer) {
    let (api, security) = match route.rule {
        // Everybody, or whom the handler itself admits.
        Rule::Public | Rule::Person | Rule::Role(..) => {
            operation.entry("security").or_insert_with(|| json!([]));
            return;
        }
        Rule::Bearer(api, scope) => (api, vec![json!({"token": [scope]})]),
        Rule::Api(scope) => {
            let mut security = vec![json!({"token": [scope]}), json!({"session": []})];
            security.extend(project_scope(scope).map(|scope| json!({"presharedKey": [scope]})));
            (OwnApi::Behalf, security)
        }
        Rule::Fga(scope, right) => {
            operation.insert("x-access-control-relation".to_owned(), right.relation().into());
            (OwnApi::Fga, vec![json!({"token": [scope]}), json!({"presharedKey": [scope]})])
        }
    };
    operation.insert("security".to_owned(), security.into());
    operation.insert("x-audience".to_owned(), api.audience(issuer).into());
    let shape = match api {
        OwnApi::Fga => "FgaError",
        OwnApi::UserInfo => "OAuthError",
        _ if route.path.starts_with("/api/chat") => "Sentence",
        _ => "Problem",
    };
    let Some(Value::Object(responses)) = operation.get_mut("responses") else { return };
    for status in ["401", "403", "503"] {
        let answer = || json!({"$ref": format!("#/components/responses/{shape}{status}")});
        responses.entry(status).or_insert_with(answer);
    }
}
