//! `/stores…` in OpenFGA's dialect: stores, models, tuples, checks, who may ask, what survives.

use std::time::Duration;

use axum::body::Body;
use behalf_tests::{Answer, Client, TestServer};
use http::{Method, Request, header};
use serde_json::{Value, json};

const SETUP: &str = r#"
users:
  - {user_id: "auth0|admin", username: admin2, password: "admin-password", roles: [administrator]}
  - {user_id: "auth0|plain", username: plain, password: "plain-password"}
clients:
  - client_id: machine
    client_secret: machine-secret
    app_type: non_interactive
    grant_types: [client_credentials]
  - client_id: limited
    client_secret: limited-secret
    app_type: non_interactive
    grant_types: [client_credentials]
  - client_id: web
    client_secret: web-secret
    grant_types: [password]
resource_servers:
  - {identifier: "https://fga.example/", name: Own FGA, scopes: ["check:fga"], fga: true}
  - {identifier: "https://other.example/", name: Other, scopes: ["check:fga"]}
client_grants:
  - {client_id: machine, audience: "https://behalf.test/fga/", scope: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
  - {client_id: machine, audience: "https://fga.example/", scope: ["check:fga"]}
  - {client_id: machine, audience: "https://other.example/", scope: ["check:fga"]}
  - {client_id: limited, audience: "https://behalf.test/fga/", scope: ["read:fga", "check:fga"], fga_stores: [01ARZ3NDEKTSV4RRFFQ69G5FAV]}
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
    - {name: one, key: "key-of-one-store", stores: [01ARZ3NDEKTSV4RRFFQ69G5FAV], scopes: ["check:fga"]}
  stores:
    - id: 01ARZ3NDEKTSV4RRFFQ69G5FAV
      name: documents
      model: |
        model
          schema 1.1
        type user
        type group
          relations
            define member: [user, group#member]
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*, group#member]
            define can_view: owner or viewer
      tuples:
        - {user: "user:auth0|ann", relation: owner, object: "doc:1"}
        - {user: "group:eng#member", relation: viewer, object: "doc:2"}
        - {user: "user:auth0|bob", relation: member, object: "group:eng"}
"#;

const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEY: &str = "key-of-all-stores";
const MACHINE: Client = Client {
    client_id: "machine",
    client_secret: Some("machine-secret"),
    redirect_uri: "https://machine.example/",
};

async fn call(server: &TestServer, method: Method, path: &str, token: &str, body: Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.send(request.body(Body::from(body)).unwrap()).await
}

async fn post(server: &TestServer, path: &str, body: Value) -> Answer {
    call(server, Method::POST, &format!("{STORE}{path}"), KEY, body).await
}

fn check_body(user: &str, relation: &str, object: &str) -> Value {
    json!({"tuple_key": {"user": user, "relation": relation, "object": object}})
}

async fn is_allowed(server: &TestServer, user: &str, object: &str) -> bool {
    let answer = post(server, "/check", check_body(user, "can_view", object)).await.expect(200);
    let body = answer.json();
    assert_eq!(body["resolution"], "", "unpopulated members are emitted");
    body["allowed"].as_bool().unwrap()
}

async fn write(server: &TestServer, body: Value) -> Answer {
    post(server, "/write", body).await
}

fn tuple(user: &str, relation: &str, object: &str) -> Value {
    json!({"user": user, "relation": relation, "object": object})
}

async fn machine_token(server: &TestServer, client: &Client, audience: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("audience", audience)];
    let answer = client.token(server, &form).await.expect(200);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_set_up_store_answers_checks_and_a_write_is_seen_by_the_next_one() {
    let server = TestServer::start(SETUP).await;
    assert!(is_allowed(&server, "user:auth0|ann", "doc:1").await);
    assert!(is_allowed(&server, "user:auth0|bob", "doc:2").await);
    assert!(!is_allowed(&server, "user:auth0|bob", "doc:1").await);

    let added = json!({"writes": {"tuple_keys": [tuple("user:*", "viewer", "doc:1")]}});
    assert_eq!(write(&server, added.clone()).await.expect(200).text, "{}");
    assert!(is_allowed(&server, "user:auth0|bob", "doc:1").await);
    let again = write(&server, added).await.expect(400).json();
    assert_eq!(again["code"], "write_failed_due_to_invalid_input");

    let removed = json!({"deletes": {"tuple_keys": [tuple("user:*", "viewer", "doc:1")]}});
    write(&server, removed).await.expect(200);
    assert!(!is_allowed(&server, "user:auth0|bob", "doc:1").await);
    let headers = post(&server, "/check", check_body("user:x", "can_view", "doc:1")).await.headers;
    assert_eq!(headers["behalf-revision"], "3");
    assert_eq!(headers["openfga-store-id"], STORE.trim_start_matches("/stores/"));
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let server = TestServer::start(SETUP).await;
    let added = json!({"writes": {"tuple_keys": [tuple("user:cat", "viewer", "doc:9")]}});
    write(&server, added).await.expect(200);
    let removed = json!({"deletes": {"tuple_keys": [tuple("user:auth0|ann", "owner", "doc:1")]}});
    write(&server, removed).await.expect(200);
    server.server.storage.close().await;
    let TestServer { dir, .. } = server;
    let server = TestServer::start_in(dir, "").await;
    assert!(is_allowed(&server, "user:cat", "doc:9").await);
    assert!(!is_allowed(&server, "user:auth0|ann", "doc:1").await);
}

#[tokio::test]
async fn applying_the_file_again_adds_nothing_and_never_removes_a_tuple() {
    let server = TestServer::start(SETUP).await;
    let added = json!({"writes": {"tuple_keys": [tuple("user:cat", "viewer", "doc:9")]}});
    write(&server, added).await.expect(200);
    assert_eq!(server.apply(SETUP).await.unwrap(), Vec::<String>::new());
    let more = SETUP.replace("[user, user:*, group#member]", "[user, user:*]");
    let changes = server.apply(&more).await.unwrap_err();
    assert!(
        changes.contains("group:eng#member"),
        "a tuple of the file must fit its model: {changes}"
    );
    assert!(is_allowed(&server, "user:cat", "doc:9").await);
}

#[tokio::test]
async fn a_model_is_validated_stored_and_listed_newest_first() {
    let server = TestServer::start(SETUP).await;
    let models = format!("{STORE}/authorization-models");
    let before = call(&server, Method::GET, &models, KEY, Value::Null).await.expect(200).json();
    assert_eq!(before["authorization_models"].as_array().unwrap().len(), 1);
    let bad = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "doc", "relations": {"viewer": {"computedUserset": {"relation": "nobody"}}}}]});
    let refused = call(&server, Method::POST, &models, KEY, bad).await.expect(400).json();
    assert_eq!(refused["code"], "invalid_authorization_model");
    let of_no_shape = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "doc", "relations": {"viewer": {"tupleToUserset": {}}}}]});
    let refused = call(&server, Method::POST, &models, KEY, of_no_shape).await.expect(400).json();
    assert_eq!(refused["code"], "validation_error");
    let generic =
        json!({"type_name": "TYPE_NAME_INT", "generic_types": [{"type_name": "TYPE_NAME_INT"}]});
    let no_such_type = json!({"schema_version": "1.1", "type_definitions": [{"type": "user"}],
        "conditions": {"c": {"name": "c", "expression": "true", "parameters": {"x": generic}}}});
    let refused = call(&server, Method::POST, &models, KEY, no_such_type).await.expect(400).json();
    assert_eq!(refused["code"], "invalid_authorization_model");
    let good = json!({"schema_version": "1.1", "type_definitions": [{"type": "user"}]});
    let written = call(&server, Method::POST, &models, KEY, good).await.expect(201).json();
    let model_id = written["authorization_model_id"].as_str().unwrap();
    let after = call(&server, Method::GET, &models, KEY, Value::Null).await.json();
    assert_eq!(after["authorization_models"][0]["id"], model_id);
    let one = call(&server, Method::GET, &format!("{models}/{model_id}"), KEY, Value::Null).await;
    assert_eq!(one.expect(200).json()["authorization_model"]["schema_version"], "1.1");
    // The latest model answers: it has no type `doc` any more.
    let refused = post(&server, "/check", check_body("user:x", "can_view", "doc:1")).await;
    assert_eq!(refused.expect(400).json()["code"], "validation_error");
    // The one before answers when it is named.
    let mut named = check_body("user:auth0|ann", "can_view", "doc:1");
    named["authorization_model_id"] = before["authorization_models"][0]["id"].clone();
    assert_eq!(post(&server, "/check", named).await.expect(200).json()["allowed"], true);
}

#[tokio::test]
async fn a_batch_answers_each_check_for_itself() {
    let server = TestServer::start(SETUP).await;
    let item = |id: &str, user: &str, relation: &str| json!({"correlation_id": id, "tuple_key": tuple(user, relation, "doc:1")});
    let body = json!({"checks": [
        item("yes", "user:auth0|ann", "can_view"),
        item("no", "user:auth0|bob", "can_view"),
        item("bad", "user:auth0|bob", "nothing"),
    ], "consistency": "HIGHER_CONSISTENCY"});
    let result = post(&server, "/batch-check", body).await.expect(200).json()["result"].clone();
    assert_eq!(result["yes"], json!({"allowed": true}));
    assert_eq!(result["no"], json!({"allowed": false}));
    assert_eq!(result["bad"]["error"]["input_error"], "validation_error");
    let twice = json!({"checks": [
        item("same", "user:auth0|ann", "can_view"), item("same", "user:x", "can_view")]});
    post(&server, "/batch-check", twice).await.expect(400);
    post(&server, "/batch-check", json!({"checks": []})).await.expect(400);
}

#[tokio::test]
async fn read_has_its_seven_shapes_and_pages_to_the_end() {
    let server = TestServer::start(SETUP).await;
    let many: Vec<Value> =
        (0..90).map(|n| tuple(&format!("user:{n:03}"), "viewer", "doc:many")).collect();
    write(&server, json!({"writes": {"tuple_keys": many}})).await.expect(200);
    let count = async |key: Value| {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut body = json!({"page_size": 40, "continuation_token": token});
            if !key.is_null() {
                body["tuple_key"] = key.clone();
            }
            let page = post(&server, "/read", body).await.expect(200).json();
            found.extend(page["tuples"].as_array().unwrap().clone());
            token = page["continuation_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                return found.len();
            }
        }
    };
    assert_eq!(count(Value::Null).await, 93);
    assert_eq!(count(json!({"object": "doc:many"})).await, 90);
    assert_eq!(count(json!({"object": "doc:many", "relation": "viewer"})).await, 90);
    assert_eq!(count(json!({"object": "doc:many", "relation": "owner"})).await, 0);
    assert_eq!(count(json!({"object": "doc:many", "user": "user:007"})).await, 1);
    assert_eq!(count(json!({"object": "doc:", "user": "user:auth0|ann"})).await, 1);
    assert_eq!(count(tuple("user:auth0|ann", "owner", "doc:1")).await, 1);
    for bad in [json!({"user": "user:x"}), json!({"object": "doc:"}), json!({"relation": "owner"})]
    {
        post(&server, "/read", json!({"tuple_key": bad})).await.expect(400);
    }
    post(&server, "/read", json!({"page_size": 101})).await.expect(400);
    post(&server, "/read", json!({"continuation_token": "made-up"})).await.expect(400);
}

#[tokio::test]
async fn malformed_bodies_are_refused_in_the_dialect_and_change_nothing() {
    let server = TestServer::start(SETUP).await;
    for body in ["{", "[]", "\"x\"", "{\"writes\": 5}"] {
        let request = Request::post(format!("{STORE}/write"))
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"));
        let answer = server.send(request.body(Body::from(body)).unwrap()).await.expect(400);
        assert_eq!(answer.json()["code"], "validation_error", "{body}");
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    }
    let huge = "x".repeat(700_000);
    let body = json!({"writes": {"tuple_keys": [tuple(&huge, "viewer", "doc:1")]}});
    let answer = write(&server, body).await.expect(413);
    assert_eq!(answer.json()["code"], "resource_exhausted");
    for (user, relation, object) in [
        ("ann", "viewer", "doc:1"),
        ("user:ann", "can_view", "doc:1"),
        ("user:ann", "viewer", "doc"),
        ("user:ann", "viewer", "folder:1"),
        ("group:eng", "viewer", "doc:1"),
    ] {
        let body = json!({"writes": {"tuple_keys": [tuple(user, relation, object)]}});
        let answer = write(&server, body).await;
        assert_eq!(answer.status, 400, "{user} {relation} {object}");
    }
    let none = post(&server, "/check", json!({})).await.expect(400).json();
    assert_eq!(none["code"], "tuple_key_value_not_specified");
    let unknown = call(
        &server,
        Method::POST,
        "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAX/check",
        KEY,
        check_body("user:x", "can_view", "doc:1"),
    )
    .await
    .expect(404)
    .json();
    assert_eq!(unknown["code"], "store_id_not_found");
    let headers = post(&server, "/check", check_body("user:x", "can_view", "doc:1")).await.headers;
    assert_eq!(headers["behalf-revision"], "1", "nothing was written");
}

#[tokio::test]
async fn who_may_ask_is_decided_by_scope_store_and_audience() {
    let server = TestServer::start(SETUP).await;
    let check = check_body("user:auth0|ann", "can_view", "doc:1");
    let check_path = format!("{STORE}/check");
    let ask = async |token: &str, path: &str, body: Value| {
        call(&server, Method::POST, path, token, body).await
    };
    assert_eq!(
        ask("", &check_path, check.clone()).await.expect(401).json()["code"],
        "bearer_token_missing"
    );
    ask("key-of-nobody", &check_path, check.clone()).await.expect(401);
    ask(KEY, &check_path, check.clone()).await.expect(200);
    // A key limited to one store and one scope.
    ask("key-of-one-store", &check_path, check.clone()).await.expect(200);
    let write_path = format!("{STORE}/write");
    let refused = ask("key-of-one-store", &write_path, json!({})).await.expect(403);
    assert_eq!(refused.json()["code"], "forbidden");
    let other = call(&server, Method::POST, "/stores", KEY, json!({"name": "other"})).await;
    let other = other.expect(201).json()["id"].as_str().unwrap().to_owned();
    ask("key-of-one-store", &format!("/stores/{other}/check"), check.clone()).await.expect(403);
    // Access tokens: ours, one for an API marked `fga`, one for an API that is not.
    for (audience, status) in [
        ("https://behalf.test/fga/", 200),
        ("https://fga.example/", 200),
        ("https://other.example/", 401),
    ] {
        let token = machine_token(&server, &MACHINE, audience).await;
        ask(&token, &check_path, check.clone()).await.expect(status);
    }
    let limited = Client { client_id: "limited", client_secret: Some("limited-secret"), ..MACHINE };
    let token = machine_token(&server, &limited, "https://behalf.test/fga/").await;
    ask(&token, &check_path, check.clone()).await.expect(200);
    ask(&token, &format!("/stores/{other}/check"), check.clone()).await.expect(403);
    let listed =
        call(&server, Method::GET, "/stores", &token, Value::Null).await.expect(200).json();
    assert_eq!(listed["stores"].as_array().unwrap().len(), 1, "only what it reaches is listed");
    // An expired token.
    server.advance(Duration::from_secs(3_700));
    ask(&token, &check_path, check).await.expect(401);
}

#[tokio::test]
async fn a_persons_role_decides_her_scopes_for_stores() {
    let server = TestServer::start(SETUP).await;
    let web = Client { client_id: "web", client_secret: Some("web-secret"), ..MACHINE };
    for (name, password, scopes) in [
        ("admin2", "admin-password", "read:fga check:fga write:fga admin:fga"),
        ("plain", "plain-password", ""),
    ] {
        let form = [
            ("grant_type", "password"),
            ("username", name),
            ("password", password),
            ("audience", "https://behalf.test/fga/"),
            ("scope", "read:fga check:fga write:fga admin:fga"),
        ];
        let answer = web.token(&server, &form).await.expect(200).json();
        assert_eq!(answer["scope"], scopes, "{name}");
    }
}

#[tokio::test]
async fn a_deleted_store_is_gone_with_its_tuples() {
    let server = TestServer::start(SETUP).await;
    call(&server, Method::DELETE, STORE, KEY, Value::Null).await.expect(204);
    post(&server, "/check", check_body("user:auth0|ann", "can_view", "doc:1")).await.expect(404);
    // Again it is gone, as in OpenFGA.
    call(&server, Method::DELETE, STORE, KEY, Value::Null).await.expect(204);
    let events = server.events().await;
    assert!(events.contains(&"fga.store_deleted".to_owned()));
    // The same id again is another store: nothing of the old one answers.
    server
        .apply(
            &SETUP.replace("- {user: \"user:auth0|ann\", relation: owner, object: \"doc:1\"}", ""),
        )
        .await
        .unwrap();
    assert!(!is_allowed(&server, "user:auth0|ann", "doc:1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_writers_lose_nothing_and_readers_see_whole_writes() {
    let server = std::sync::Arc::new(TestServer::start(SETUP).await);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let server = std::sync::Arc::clone(&server);
        tasks.spawn(async move {
            for n in 0..5 {
                let user = format!("user:w{writer}-{n}");
                let pair = [tuple(&user, "viewer", "doc:a"), tuple(&user, "viewer", "doc:b")];
                write(&server, json!({"writes": {"tuple_keys": pair}})).await.expect(200);
                let item = |id: &str, object: &str| {
                    json!({"correlation_id": id, "tuple_key": tuple(&user, "can_view", object)})
                };
                let body = json!({"checks": [item("a", "doc:a"), item("b", "doc:b")]});
                let result = post(&server, "/batch-check", body).await.expect(200).json();
                assert_eq!(result["result"]["a"]["allowed"], true);
                assert_eq!(result["result"]["b"]["allowed"], true);
            }
        });
    }
    tasks.join_all().await;
    let headers = post(&server, "/check", check_body("user:x", "can_view", "doc:1")).await.headers;
    assert_eq!(headers["behalf-revision"], "81", "one revision per write, without gaps");
}
