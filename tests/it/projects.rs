//! Projects: the set-up file as it is documented, and what the key of a project opens.

use std::time::Duration;

use axum::body::Body;
use behalf_core::{Actor, ProjectId, Timestamp};
use behalf_gate::flows::ApplyOptions;
use behalf_tests::TestServer;
use behalf_traces::{Span, SpanKind, SpanStatus};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::text;

/// The file with every section, as it is documented.
const DOCUMENTED: &str = include_str!("../data/setup.yaml");

const SETUP: &str = r#"
projects:
  - {id: default, name: Default, api_keys: [{name: ci, key: akt_default, scopes: ["traces:read"]}]}
  - {id: shop, name: Shop, api_keys: [{name: ci, key: akt_of_shop, scopes: ["traces:read", "traces:write"]}, {name: in, key: akt_only_writes, scopes: ["traces:write"]}]}
"#;
const LIST: &str = "/api/v1/traces";

fn span(trace: u8, said: &str) -> Span {
    let Value::Object(attributes) =
        json!({"gen_ai.input.messages": [{"role": "user", "content": said}]})
    else {
        panic!("an object")
    };
    let start = Timestamp::from_secs(behalf_tests::START.as_secs());
    Span {
        trace_id: [trace; 16],
        span_id: [trace; 8],
        parent_span_id: None,
        name: "run".to_owned(),
        kind: SpanKind::Other,
        start,
        end: start.plus(Duration::from_secs(1)),
        status: SpanStatus::Ok,
        attributes,
    }
}

async fn append(server: &TestServer, project: &str, span: Span) {
    let project: ProjectId = project.parse().unwrap();
    let owner = "auth0|ann".parse().ok();
    server.server.traces.append(&project, owner.as_ref(), vec![span]).await.unwrap();
}

async fn trace_ids(server: &TestServer, key: &str) -> Vec<String> {
    let list = server.get_with_token(LIST, key).await.expect(200).json();
    let traces = list["traces"].as_array().unwrap().iter();
    traces.map(|trace| text(trace, "trace_id").to_owned()).collect()
}

#[tokio::test]
async fn the_documented_file_applies_whole_and_then_changes_nothing() {
    let server = TestServer::start("").await;
    let changes = server.apply(DOCUMENTED).await.unwrap();
    for line in ["create project default", "create project key default/ci", "create FGA key ci"] {
        assert!(changes.iter().any(|change| change == line), "{line} in {changes:?}");
    }
    assert_eq!(server.apply(DOCUMENTED).await.unwrap(), Vec::<String>::new());
    assert!(server.events().await.contains(&"project.written".to_owned()));
}

#[tokio::test]
async fn a_key_reads_the_traces_of_its_project_and_of_no_other() {
    let server = TestServer::start(SETUP).await;
    append(&server, "default", span(1, "said by a person")).await;
    append(&server, "shop", span(2, "said in the shop")).await;
    assert_eq!(trace_ids(&server, "akt_default").await, ["01".repeat(16)]);
    assert_eq!(trace_ids(&server, "akt_of_shop").await, ["02".repeat(16)]);
    let path = |trace: &str| format!("{LIST}/{}", trace.repeat(16));
    let one = server.get_with_token(&path("02"), "akt_of_shop").await.expect(200);
    // Roles decide who sees what was said, and a machine has none.
    assert_eq!(one.json()["content"], "withheld");
    assert!(!one.text.contains("said in the shop"), "{}", one.text);
    server.get_with_token(&path("01"), "akt_of_shop").await.expect(404);
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_name_and_nothing_else() {
    let server = TestServer::start(SETUP).await;
    let refused = server.get_with_token(LIST, "akt_only_writes").await.expect(403).json();
    assert_eq!(refused["code"], "insufficient_scope");
    for near in ["akt_of_sho", "akt_of_shopp", "AKT_OF_SHOP", "akt_of_shop="] {
        server.get_with_token(LIST, near).await.expect(401);
    }
    for route in &server.server.rules {
        let asked = route.method == http::Method::GET && !route.path.contains('{');
        let is_api = !matches!(
            route.rule,
            behalf_http::Rule::Public | behalf_http::Rule::Person | behalf_http::Rule::Role(..)
        );
        if asked && is_api && !route.path.starts_with(LIST) {
            let answer = server.get_with_token(route.path, "akt_of_shop").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", route.path);
        }
    }
}

#[tokio::test]
async fn a_key_is_written_once_unless_a_reset_is_asked_for_and_ends_what_it_followed() {
    let server = TestServer::start(SETUP).await;
    let request = Request::get("/api/v1/traces/live")
        .header(header::AUTHORIZATION, "Bearer akt_of_shop")
        .header(header::HOST, "behalf.test");
    let request = request.body(Body::empty()).unwrap();
    let tail = server.server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(tail.status(), StatusCode::OK);

    let other = SETUP.replace("akt_of_shop", "akt_new_key");
    assert_eq!(server.apply(&other).await.unwrap(), Vec::<String>::new());
    server.get_with_token(LIST, "akt_of_shop").await.expect(200);
    let reset = ApplyOptions { actor: Actor::System, is_dry_run: false, resets_secrets: true };
    server.apply_with(&other, &reset).await.unwrap();
    server.get_with_token(LIST, "akt_of_shop").await.expect(401);
    server.get_with_token(LIST, "akt_new_key").await.expect(200);

    append(&server, "shop", span(3, "after the reset")).await;
    let told = tail.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&told).contains("event: trace"), "{told:?}");
}

#[tokio::test]
async fn entries_that_are_wrong_keep_the_file_out() {
    let key = |name: &str, key: &str| format!("{{name: {name}, key: {key}}}");
    for (wrong, word) in [
        ("projects: [{name: Nameless}]".to_owned(), "id"),
        ("projects: [{id: 'a b'}]".to_owned(), "project id"),
        ("projects: [{id: a}, {id: a}]".to_owned(), "project"),
        ("projects: [{id: a, keys: []}]".to_owned(), "api_keys"),
        ("projects: [{id: a, api_keys: [{name: k, key: short}]}]".to_owned(), "8 characters"),
        (
            "projects: [{id: a, api_keys: [{name: k, key: long-enough, scopes: [all]}]}]"
                .to_owned(),
            "traces:write, traces:read",
        ),
        (
            format!(
                "projects: [{{id: a, api_keys: [{}, {}]}}]",
                key("k", "long-enough"),
                key("l", "long-enough")
            ),
            "the same key",
        ),
    ] {
        let server = TestServer::start("").await;
        let error = server.apply(&wrong).await.unwrap_err();
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}
