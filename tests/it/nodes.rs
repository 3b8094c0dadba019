//! Two servers on one PostgreSQL database: what one acknowledged, the other acts upon at once.

use axum::body::Body;
use behalf_tests::{Answer, TestServer};
use http::{Request, header};
use serde_json::{Value, json};

const SETUP: &str = r#"
fga:
  api_keys: [{name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}]
  stores:
    - id: 01ARZ3NDEKTSV4RRFFQ69G5FAV
      name: documents
      model: |
        model
          schema 1.1
        type user
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*]
            define can_view: owner or viewer
"#;
const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn call(server: &TestServer, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
        .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
        .unwrap();
    server.send(request).await
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Answer {
    call(server, "POST", &format!("{STORE}{path}"), body).await
}

fn tuple(user: &str, object: &str) -> Value {
    json!({"user": user, "relation": "viewer", "object": object})
}

async fn write(server: &TestServer, user: &str, object: &str) {
    let body = json!({"writes": {"tuple_keys": [tuple(user, object)]}});
    post(server, "/write", &body).await.expect(200);
}

async fn revoke(server: &TestServer, user: &str, object: &str) {
    let body = json!({"deletes": {"tuple_keys": [tuple(user, object)]}});
    post(server, "/write", &body).await.expect(200);
}

async fn is_allowed(server: &TestServer, user: &str, object: &str) -> bool {
    let body = json!({"tuple_key": {"user": user, "relation": "can_view", "object": object}});
    post(server, "/check", &body).await.expect(200).json()["allowed"].as_bool().unwrap()
}

#[tokio::test]
async fn a_revocation_on_one_node_is_seen_by_the_next_check_on_the_other() {
    let here = TestServer::start(SETUP).await;
    let Some(there) = here.second_node().await else { return };
    for round in 0..20 {
        let object = format!("doc:{round}");
        write(&here, "user:ann", &object).await;
        assert!(is_allowed(&there, "user:ann", &object).await, "round {round}");
        revoke(&there, "user:ann", &object).await;
        assert!(!is_allowed(&here, "user:ann", &object).await, "round {round}");
        assert!(!is_allowed(&there, "user:ann", &object).await, "round {round}");
    }
    let read = post(&there, "/read", &json!({})).await.expect(200).json();
    assert_eq!(read["tuples"], json!([]));
}

#[tokio::test]
async fn a_model_and_a_deleted_store_are_seen_on_the_other_node() {
    let here = TestServer::start(SETUP).await;
    let Some(there) = here.second_node().await else { return };
    write(&here, "user:ann", "doc:1").await;
    assert!(is_allowed(&there, "user:ann", "doc:1").await);
    let model = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        {"type": "doc", "relations": {
            "viewer": {"this": {}},
            "can_view": {"difference": {"base": {"computedUserset": {"relation": "viewer"}},
                "subtract": {"computedUserset": {"relation": "blocked"}}}},
            "blocked": {"this": {}}},
         "metadata": {"relations": {
            "viewer": {"directly_related_user_types": [{"type": "user"}]},
            "blocked": {"directly_related_user_types": [{"type": "user"}]}}}}]});
    post(&here, "/authorization-models", &model).await.expect(201);
    let blocked = json!({"user": "user:ann", "relation": "blocked", "object": "doc:1"});
    post(&there, "/write", &json!({"writes": {"tuple_keys": [blocked]}})).await.expect(200);
    assert!(!is_allowed(&here, "user:ann", "doc:1").await);
    assert!(!is_allowed(&there, "user:ann", "doc:1").await);

    call(&here, "DELETE", STORE, &Value::Null).await.expect(204);
    let body = json!({"tuple_key": tuple("user:ann", "doc:1")});
    post(&there, "/check", &body).await.expect(404);
}

#[tokio::test]
async fn a_setting_on_one_node_holds_for_the_next_check_on_the_other() {
    let here = TestServer::start(SETUP).await;
    let Some(there) = here.second_node().await else { return };
    let itself = json!({"tuple_key":
        {"user": "doc:1#viewer", "relation": "viewer", "object": "doc:1"}});
    let allowed =
        async || post(&there, "/check", &itself).await.expect(200).json()["allowed"].clone();
    assert_eq!(allowed().await, true);
    for (semantics, expected) in [("v2", false), ("v1", true)] {
        let path = format!("{STORE}/behalf/semantics");
        call(&here, "PUT", &path, &json!({"semantics": semantics})).await.expect(200);
        assert_eq!(allowed().await, expected, "{semantics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_at_once_lose_nothing() {
    const WRITES: usize = 25;
    let here = TestServer::start(SETUP).await;
    let Some(there) = here.second_node().await else { return };
    let write_all = async |server: &TestServer, name: &str| {
        for n in 0..WRITES {
            write(server, &format!("user:{name}"), &format!("doc:{n}")).await;
        }
    };
    tokio::join!(write_all(&here, "ann"), write_all(&there, "bob"));
    for n in 0..WRITES {
        let object = format!("doc:{n}");
        assert!(is_allowed(&there, "user:ann", &object).await, "{object}");
        assert!(is_allowed(&here, "user:bob", &object).await, "{object}");
    }
    let outbox = here.outbox().await;
    let revisions: Vec<i64> = outbox
        .iter()
        .filter(|row| row.kind == "fga.tuples_written")
        .map(|row| serde_json::from_str::<Value>(&row.facts).unwrap())
        .filter(|facts| STORE.ends_with(facts["store_id"].as_str().unwrap()))
        .map(|facts| facts["revision"].as_i64().unwrap())
        .collect();
    assert_eq!(revisions, (1..=2 * WRITES as i64).collect::<Vec<_>>(), "in the order of commits");
}
