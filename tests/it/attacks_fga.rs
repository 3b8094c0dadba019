//! What an attacker, or a careless client, tries against `/stores`.

use axum::body::Body;
use behalf_http::FgaAuth;
use behalf_tests::{Answer, TestServer};
use http::{Method, Request, header};
use serde_json::{Value, json};

const SETUP: &str = r#"
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
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
            define viewer: [user, user:*, user with limit]
            define can_view: owner or viewer
        condition limit(x: int) {
          x < 10
        }
      tuples:
        - {user: "user:ann", relation: owner, object: "doc:1"}
        - {user: "user:bob", relation: viewer, object: "doc:1", condition: {name: limit}}
"#;
const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn send(server: &TestServer, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("{STORE}{path}"))
        .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
        .body(body.into());
    server.send(request.unwrap()).await
}

async fn post(server: &TestServer, path: &str, body: Value) -> Answer {
    send(server, path, body.to_string()).await
}

fn key(user: &str, relation: &str, object: &str) -> Value {
    json!({"user": user, "relation": relation, "object": object})
}

#[tokio::test]
async fn without_authentication_no_web_page_gets_in() {
    let server = TestServer::start_with(SETUP, |options| {
        options.fga_auth = FgaAuth { oidc: false, preshared: false, none: true };
    })
    .await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::post(format!("{STORE}/check"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // A page may send this without asking first: the content type is plain.
        let body = json!({"tuple_key": key("user:ann", "owner", "doc:1")}).to_string();
        let request = request.header(header::CONTENT_TYPE, "text/plain").body(Body::from(body));
        server.send(request.unwrap()).await.status.as_u16()
    };
    assert_eq!(ask(&[]).await, 200);
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "behalf.test"] {
        assert_eq!(ask(&[("host", host)]).await, 200, "{host}");
    }
    assert_eq!(ask(&[("origin", "https://behalf.test")]).await, 200);
    for headers in [
        [("origin", "https://evil.example"), ("host", "127.0.0.1:8080")],
        [("origin", "null"), ("host", "127.0.0.1:8080")],
        [("sec-fetch-site", "cross-site"), ("host", "127.0.0.1:8080")],
        // A name that the page's owner lets point here.
        [("sec-fetch-site", "same-origin"), ("host", "evil.example:8080")],
        [("accept", "*/*"), ("host", "127.0.0.1.evil.example")],
    ] {
        assert_eq!(ask(&headers).await, 403, "{headers:?}");
    }
}

#[tokio::test]
async fn camel_case_is_understood_and_never_dropped() {
    let server = TestServer::start(SETUP).await;
    let shared = key("user:cat", "owner", "doc:9");
    let check = json!({
        "tupleKey": shared,
        "contextualTuples": {"tupleKeys": [shared]},
    });
    assert_eq!(post(&server, "/check", check).await.expect(200).json()["allowed"], true);
    // A model that does not exist, asked for in either case, is not the latest one.
    for name in ["authorizationModelId", "authorization_model_id"] {
        let mut body = json!({"tuple_key": shared});
        body[name] = "01ARZ3NDEKTSV4RRFFQ69G5FAA".into();
        let answer = post(&server, "/check", body).await.expect(400).json();
        assert_eq!(answer["code"], "authorization_model_not_found");
    }
    let batch = json!({"checks": [{
        "tupleKey": shared, "contextualTuples": {"tupleKeys": [shared]}, "correlationId": "a",
    }]});
    let answer = post(&server, "/batch-check", batch).await.expect(200).json();
    assert_eq!(answer["result"]["a"]["allowed"], true);
    let write = json!({"writes": {"tupleKeys": [shared], "onDuplicate": "ignore"}});
    for _again in 0..2 {
        post(&server, "/write", write.clone()).await.expect(200);
    }
    let delete = json!({"deletes": {"tupleKeys": [shared], "onMissing": "ignore"}});
    for _again in 0..2 {
        post(&server, "/write", delete.clone()).await.expect(200);
    }
    let page = post(&server, "/read", json!({"pageSize": 1})).await.expect(200).json();
    let next = json!({"pageSize": 1, "continuationToken": page["continuation_token"]});
    let second = post(&server, "/read", next).await.expect(200).json();
    assert_ne!(page["tuples"], second["tuples"]);
    let list = json!({
        "user": "user:cat", "relation": "owner", "type": "doc",
        "contextualTuples": {"tupleKeys": [shared]},
    });
    let answer = post(&server, "/list-objects", list).await.expect(200).json();
    assert_eq!(answer["objects"], json!(["doc:9"]));
}

#[tokio::test]
async fn null_is_absent() {
    let server = TestServer::start(SETUP).await;
    let check = json!({
        "tuple_key": {"user": "user:ann", "relation": "owner", "object": "doc:1", "x": null},
        "contextual_tuples": {"tuple_keys": null},
        "authorization_model_id": null,
        "context": null,
    });
    assert_eq!(post(&server, "/check", check).await.expect(200).json()["allowed"], true);
    let tuple = json!({
        "user": "user:cat", "relation": "viewer", "object": "doc:2",
        "condition": {"name": "limit", "context": null},
    });
    let write = json!({"writes": {"tuple_keys": [tuple]}, "deletes": null});
    post(&server, "/write", write).await.expect(200);
    let read = json!({"tuple_key": null, "page_size": null, "continuation_token": null});
    post(&server, "/read", read).await.expect(200);
}

#[tokio::test]
async fn a_member_named_twice_is_refused_however_deep() {
    let server = TestServer::start(SETUP).await;
    let body = |context: &str| {
        format!(
            r#"{{"tuple_key": {{"user": "user:bob", "relation": "viewer", "object": "doc:1"}},
                "context": {context}}}"#
        )
    };
    let answer = send(&server, "/check", body(r#"{"x": 5}"#)).await.expect(200);
    assert_eq!(answer.json()["allowed"], true);
    for context in [r#"{"x": 50, "x": 5}"#, r#"{"x": 5, "y": [{"a": 1, "\u0061": 2}]}"#] {
        let answer = send(&server, "/check", body(context)).await.expect(400).json();
        assert_eq!(answer["code"], "validation_error", "{answer}");
    }
    let twice = r#"{"tuple_key": {"user": "user:ann", "relation": "owner", "object": "doc:2",
        "object": "doc:1"}}"#;
    send(&server, "/check", twice).await.expect(400);
    let twice = r#"{"authorization_model_id": "", "authorizationModelId": "x"}"#;
    send(&server, "/check", twice).await.expect(400);
}

#[tokio::test]
async fn odd_names_are_errors_or_denials_and_never_others_names() {
    let server = TestServer::start(SETUP).await;
    for user in [
        "",
        "user",
        "user:",
        ":ann",
        "user:ann#",
        "user:ann#owner#x",
        "user:*#owner",
        "user:a:b",
        "user: ann",
        "user:ann\n",
        "user:ann\0",
        "user:ann\t",
        "User:ann",
        "user:#owner",
        "#",
        ":",
        "*",
        "user:ann:*",
        "doc:1#nothing",
        "nothing:1",
        "nothing:*",
    ] {
        let body = json!({"tuple_key": key(user, "can_view", "doc:1")});
        let answer = post(&server, "/check", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{user:?}: {}", answer.text);
    }
    // Other people: by case, by look, by a space that is none, by what stands behind.
    for user in [
        "user:Ann",
        "user:ANN",
        "user:аnn",
        "user:ann\u{a0}",
        "user:ann\u{200b}",
        "user:ann*",
        "user:ann@x",
        "user:**",
        "user:%61nn",
        "user:ann/../ann",
        "user:ａnn",
    ] {
        let body = json!({"tuple_key": key(user, "can_view", "doc:1")});
        let answer = post(&server, "/check", body).await.expect(200).json();
        assert_eq!(answer["allowed"], false, "{user:?}");
    }
    for object in ["", "doc", "doc:", ":1", "doc:*", "doc:1#viewer", "doc:1:2", "doc:1 ", "Doc:1"] {
        let body = json!({"tuple_key": key("user:ann", "can_view", object)});
        let answer = post(&server, "/check", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{object:?}: {}", answer.text);
    }
    for (user, relation, object) in [
        ("user:x", "can_view", "doc:1"),
        ("user:ann#owner", "viewer", "doc:1"),
        ("doc:1", "viewer", "doc:2"),
        ("doc:*", "viewer", "doc:1"),
        ("user:*", "owner", "doc:1"),
        ("user:x", "nothing", "doc:1"),
        ("user:x", "", "doc:1"),
        ("user:x", "viewer", "doc:*"),
    ] {
        let body = json!({"writes": {"tuple_keys": [key(user, relation, object)]}});
        let answer = post(&server, "/write", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{user} {relation} {object}: {}", answer.text);
    }
    let read = post(&server, "/read", json!({})).await.expect(200).json();
    assert_eq!(read["tuples"].as_array().unwrap().len(), 2, "nothing was stored");
}

#[tokio::test]
async fn names_and_pages_have_openfgas_lengths() {
    let server = TestServer::start(SETUP).await;
    let fits =
        key(&format!("user:{}", "u".repeat(507)), "viewer", &format!("doc:{}", "d".repeat(252)));
    let body = json!({"writes": {"tuple_keys": [fits]}});
    post(&server, "/write", body).await.expect(200);
    post(&server, "/check", json!({"tuple_key": fits})).await.expect(200);
    let long = [
        key(&format!("user:{}", "u".repeat(508)), "viewer", "doc:1"),
        key("user:ann", "viewer", &format!("doc:{}", "d".repeat(253))),
        key("user:ann", &"r".repeat(51), "doc:1"),
    ];
    for tuple in &long {
        for (path, body) in [
            ("/write", json!({"writes": {"tuple_keys": [tuple]}})),
            ("/write", json!({"deletes": {"tuple_keys": [tuple], "on_missing": "ignore"}})),
            ("/check", json!({"tuple_key": tuple})),
            (
                "/check",
                json!({
                    "tuple_key": key("user:ann", "viewer", "doc:1"),
                    "contextual_tuples": {"tuple_keys": [tuple]},
                }),
            ),
            ("/batch-check", json!({"checks": [{"tuple_key": tuple, "correlation_id": "a"}]})),
            ("/read", json!({"tuple_key": tuple})),
        ] {
            let answer = post(&server, path, body).await.expect(400).json();
            assert!(answer["code"].is_string(), "{path}: {answer}");
        }
    }
    for (token, code) in [
        ("x", "invalid_continuation_token"),
        ("00", "invalid_continuation_token"),
        ("zz", "invalid_continuation_token"),
        ("5b5d", "invalid_continuation_token"),
        ("\u{e9}", "validation_error"),
        (&"0".repeat(6_000), "validation_error"),
    ] {
        let answer = post(&server, "/read", json!({"continuation_token": token})).await;
        assert_eq!(answer.expect(400).json()["code"], code, "{token}");
    }
}

#[tokio::test]
async fn a_contextual_tuple_is_gone_with_its_request() {
    let server = TestServer::start(SETUP).await;
    let shared = key("user:eve", "owner", "doc:1");
    let with = json!({"tuple_key": shared, "contextual_tuples": {"tuple_keys": [shared]}});
    let without = json!({"tuple_key": shared});
    let batch = json!({"checks": [
        {"tuple_key": shared, "contextual_tuples": {"tuple_keys": [shared]}, "correlation_id": "a"},
        {"tuple_key": shared, "correlation_id": "b"},
        {"tuple_key": shared, "contextual_tuples": {"tuple_keys": [shared]}, "correlation_id": "c"},
    ]});
    for _again in 0..3 {
        let is_allowed = async |body: &Value| {
            post(&server, "/check", body.clone()).await.expect(200).json()["allowed"].clone()
        };
        assert_eq!(is_allowed(&with).await, true);
        assert_eq!(is_allowed(&without).await, false);
        let answers = post(&server, "/batch-check", batch.clone()).await.expect(200).json();
        let answers = ["a", "b", "c"].map(|id| answers["result"][id]["allowed"].clone());
        assert_eq!(answers, [json!(true), json!(false), json!(true)]);
    }
    let many: Vec<Value> = (0..101).map(|n| key(&format!("user:{n}"), "owner", "doc:1")).collect();
    let body = json!({"tuple_key": shared, "contextual_tuples": {"tuple_keys": many}});
    post(&server, "/check", body).await.expect(400);
}

#[tokio::test]
async fn deep_and_huge_input_is_refused_and_the_server_lives() {
    let server = TestServer::start(SETUP).await;
    let deep = format!("{{\"context\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    send(&server, "/check", deep).await.expect(400);
    let mut nested = json!({"this": {}});
    for _level in 0..50 {
        nested = json!({"union": {"child": [nested, {"this": {}}]}});
    }
    let model = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        {"type": "doc", "relations": {"r": nested}, "metadata": {"relations": {
            "r": {"directly_related_user_types": [{"type": "user"}]}}}},
    ]});
    let answer = post(&server, "/authorization-models", model).await;
    assert!([201, 400].contains(&answer.status.as_u16()), "{}", answer.text);
    for number in ["1e400", "-1e400", "123456789012345678901234567890", "1e-400", "0.1e1000"] {
        let body = format!(
            r#"{{"tuple_key": {{"user": "user:bob", "relation": "viewer", "object": "doc:1"}},
                "context": {{"x": {number}}}}}"#
        );
        let answer = send(&server, "/check", body).await;
        let is_denied = answer.status.as_u16() == 200 && answer.json()["allowed"] == false;
        let is_zero = number == "1e-400" && answer.status.as_u16() == 200;
        assert!(answer.status.as_u16() == 400 || is_denied || is_zero, "{number}: {}", answer.text);
    }
    let mut dsl =
        "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define r: ".to_owned();
    dsl += &format!("{}[user]{}", "(".repeat(100_000), ")".repeat(100_000));
    let setup = json!({"fga": {"stores": [{"name": "deep", "model": dsl}]}});
    assert!(server.apply(&setup.to_string()).await.is_err());
    let huge = Request::builder()
        .method(Method::POST)
        .uri(format!("{STORE}/write"))
        .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
        .body(Body::from(vec![b' '; 700_000]));
    let answer = server.send(huge.unwrap()).await.expect(413).json();
    assert_eq!(answer["code"], "resource_exhausted");
    let alive = json!({"tuple_key": key("user:ann", "owner", "doc:1")});
    assert_eq!(post(&server, "/check", alive).await.expect(200).json()["allowed"], true);
}
