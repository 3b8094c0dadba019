//! The surface of OpenFGA's API over HTTP: shapes, limits, codes, headers, tokens.

use std::time::Duration;

use behalf_http::FgaLimits;
use behalf_tests::{Answer, TestServer};
use http::{Method, Request, header};
use serde_json::{Value, json};

const SETUP: &str = r#"
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
"#;

/// A store with a model, and a caller who may do everything.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) store: String,
    pub(crate) model: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(json!({"schema_version": "1.1", "type_definitions": [
            {"type": "user"},
            {"type": "folder", "relations": {"viewer": {"this": {}}}, "metadata": {"relations": {
                "viewer": {"directly_related_user_types": [{"type": "user"}]}}}},
            {"type": "doc", "relations": {
                "parent": {"this": {}},
                "viewer": {"this": {}},
                "can_view": {"union": {"child": [
                    {"computedUserset": {"relation": "viewer"}},
                    {"tupleToUserset": {"tupleset": {"relation": "parent"},
                        "computedUserset": {"relation": "viewer"}}}]}}},
             "metadata": {"relations": {
                "parent": {"directly_related_user_types": [{"type": "folder"}]},
                "viewer": {"directly_related_user_types": [
                    {"type": "user"}, {"type": "user", "wildcard": {}},
                    {"type": "user", "condition": "in_time"}]}}}}],
            "conditions": {"in_time": {"name": "in_time", "expression": "now < until",
                "parameters": {"now": {"type_name": "TYPE_NAME_TIMESTAMP"},
                    "until": {"type_name": "TYPE_NAME_TIMESTAMP"}}}}}))
        .await
    }

    pub(crate) async fn with(model: Value) -> Self {
        Self::of(TestServer::start(SETUP).await, model).await
    }

    /// A server with limits of its own.
    pub(crate) async fn limited(limits: FgaLimits, model: Value) -> Self {
        let server = TestServer::start_with(SETUP, |options| options.fga_limits = limits).await;
        Self::of(server, model).await
    }

    async fn of(server: TestServer, model: Value) -> Self {
        let mut this = Self { server, store: String::new(), model: String::new() };
        let store = this.ask(Method::POST, "/stores", json!({"name": "surface"})).await;
        this.store = store.expect(201).json()["id"].as_str().unwrap().to_owned();
        let written = this.post("/authorization-models", model).await.expect(201).json();
        this.model = written["authorization_model_id"].as_str().unwrap().to_owned();
        this
    }

    /// A request with the key of all stores.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer key-of-all-stores");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.server.send(request.body(body.into()).unwrap()).await
    }

    /// A POST below the store.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, &self.path(path), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &self.path(path), Value::Null).await
    }

    pub(crate) fn path(&self, path: &str) -> String {
        format!("/stores/{}{path}", self.store)
    }

    pub(crate) async fn write(&self, tuples: &[Value]) {
        self.post("/write", json!({"writes": {"tuple_keys": tuples}})).await.expect(200);
    }
}

pub(crate) fn tuple(user: &str, relation: &str, object: &str) -> Value {
    json!({"user": user, "relation": relation, "object": object})
}

#[track_caller]
pub(crate) fn code(answer: Answer, status: u16) -> String {
    let body = answer.expect(status).json();
    assert!(!body["message"].as_str().unwrap().is_empty(), "{body}");
    body["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn changes_are_read_in_order_and_a_token_continues_behind_them() {
    let world = World::new().await;
    let first = world.server.now();
    let empty = world.get("/changes").await.expect(200).json();
    assert_eq!(empty, json!({"changes": [], "continuation_token": ""}));
    world.write(&[tuple("user:a", "viewer", "doc:1"), tuple("user:a", "viewer", "folder:1")]).await;
    world.server.advance(Duration::from_secs(60));
    let later = world.server.now();
    let conditioned = json!({"user": "user:b", "relation": "viewer", "object": "doc:1",
        "condition": {"name": "in_time", "context": {"until": "2027-01-01T00:00:00Z"}}});
    world.write(std::slice::from_ref(&conditioned)).await;
    let deletes = json!({"deletes": {"tuple_keys": [tuple("user:b", "viewer", "doc:1")]}});
    world.post("/write", deletes).await.expect(200);
    world.server.advance(Duration::from_secs(1));

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/changes?page_size=1&continuation_token={token}");
        let page = world.get(&path).await.expect(200).json();
        let next = page["continuation_token"].as_str().unwrap().to_owned();
        match page["changes"].as_array().unwrap().as_slice() {
            [] => {
                assert_eq!(next, token, "nothing new: the same token");
                break;
            }
            [change] => seen.push(change.clone()),
            more => panic!("{more:?}"),
        }
        token = next;
    }
    let shown = |tuple: &Value, condition: Value, operation: &str, at: behalf_core::Timestamp| {
        let mut tuple = tuple.clone();
        tuple["condition"] = condition;
        json!({"tuple_key": tuple, "operation": operation, "timestamp": at.to_rfc3339()})
    };
    let write = "TUPLE_OPERATION_WRITE";
    assert_eq!(
        seen,
        [
            shown(&tuple("user:a", "viewer", "doc:1"), Value::Null, write, first),
            shown(&tuple("user:a", "viewer", "folder:1"), Value::Null, write, first),
            shown(&conditioned, conditioned["condition"].clone(), write, later),
            shown(
                &tuple("user:b", "viewer", "doc:1"),
                Value::Null,
                "TUPLE_OPERATION_DELETE",
                later
            ),
        ]
    );

    // By type, from a time on, and what does not go together.
    let folders = world.get("/changes?type=folder").await.expect(200).json();
    assert_eq!(folders["changes"].as_array().unwrap().len(), 1);
    let of_folders = folders["continuation_token"].as_str().unwrap();
    let same = world.get(&format!("/changes?type=folder&continuation_token={of_folders}")).await;
    assert_eq!(same.expect(200).json()["changes"], json!([]));
    let other = world.get(&format!("/changes?type=doc&continuation_token={of_folders}")).await;
    assert_eq!(code(other, 400), "query_string_type_continuation_token_mismatch");
    for (start, count) in [(first, 4), (first.plus(Duration::from_secs(1)), 2), (later, 2)] {
        let path = format!("/changes?start_time={}", start.to_rfc3339());
        let page = world.get(&path).await.expect(200).json();
        assert_eq!(page["changes"].as_array().unwrap().len(), count, "{start}");
    }
    let future = world.server.now().plus(Duration::from_secs(5)).to_rfc3339();
    assert_eq!(
        code(world.get(&format!("/changes?start_time={future}")).await, 400),
        "validation_error"
    );
    assert_eq!(
        code(world.get("/changes?continuation_token=made-up").await, 400),
        "invalid_continuation_token"
    );
    assert_eq!(code(world.get("/changes?page_size=101").await, 400), "page_size_invalid");
    for query in
        ["page_size=x", "page_size=", "page_size=0", "start_time=", "start_time=2026-01-01"]
    {
        let answer = world.get(&format!("/changes?{query}")).await;
        assert_eq!(code(answer, 400), "validation_error", "{query}");
    }
    assert_eq!(code(world.get("/changes?type=a%20b").await, 400), "type_invalid_pattern");
}

#[tokio::test]
async fn the_log_keeps_who_wrote_why_and_in_which_commit() {
    let world = World::new().await;
    let body = json!({"writes": {"tuple_keys": [tuple("user:a", "viewer", "doc:1")]}});
    let headers = [("Behalf-Reason", "ticket 4711")];
    world.ask_with(Method::POST, &world.path("/write"), body, &headers).await.expect(200);
    let query = behalf_authz::ChangesQuery { size: 10, ..Default::default() };
    let changes = world.server.server.authz.read_changes(&world.store, query).await.unwrap();
    let [change] = changes.items.as_slice() else { panic!("{changes:?}") };
    assert_eq!(change.actor, behalf_core::Actor::ApiKey { name: "all".to_owned() });
    assert_eq!(change.reason, "ticket 4711");
    let outbox = world.server.outbox().await;
    let is_of_commit = |id: &str| !change.txn.is_empty() && id.starts_with(&change.txn);
    let records: Vec<_> = outbox.iter().filter(|row| is_of_commit(&row.event_id)).collect();
    let [record] = records.as_slice() else { panic!("{change:?}") };
    assert_eq!(record.kind, "fga.tuples_written");
}

#[tokio::test]
async fn assertions_are_written_whole_and_checked_against_their_model() {
    let world = World::new().await;
    let path = world.path(&format!("/assertions/{}", world.model));
    let put = async |body: Value| world.ask(Method::PUT, &path, body).await;
    let none = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
    assert_eq!(none, json!({"authorization_model_id": world.model, "assertions": []}));
    let assertion = json!({
        "tuple_key": tuple("user:a", "can_view", "doc:1"), "expectation": true,
        "contextual_tuples": [{"user": "user:a", "relation": "viewer", "object": "doc:1", "condition": null}],
        "context": {"now": "2026-01-01T00:00:00Z"},
    });
    assert_eq!(put(json!({"assertions": [assertion]})).await.expect(204).text, "");
    let read = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
    assert_eq!(read["assertions"], json!([assertion]));
    let replaced = json!({"assertions": [
        {"tuple_key": tuple("user:b", "viewer", "doc:1"), "expectation": false}]});
    put(replaced).await.expect(204);
    let read = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
    assert_eq!(
        read["assertions"],
        json!([{"tuple_key": tuple("user:b", "viewer", "doc:1"), "expectation": false,
            "contextual_tuples": [], "context": null}])
    );
    let check = |user: &str, relation: &str| json!({"tuple_key": tuple(user, relation, "doc:1")});
    let many = |count: usize| json!({"assertions": vec![check("user:a", "viewer"); count]});
    assert_eq!(code(put(many(101)).await, 400), "assertions_too_many_items");
    put(many(100)).await.expect(204);
    let unknown = json!({"assertions": [check("user:a", "owner")]});
    assert_eq!(code(put(unknown).await, 400), "validation_error");
    let crowded = json!({"assertions": [{"tuple_key": tuple("user:a", "viewer", "doc:1"),
        "contextual_tuples": vec![tuple("user:a", "viewer", "doc:1"); 21]}]});
    assert_eq!(code(put(crowded).await, 400), "validation_error");
    let invalid = json!({"assertions": [{"tuple_key": tuple("user:a", "viewer", "doc:1"),
        "contextual_tuples": [tuple("user:a", "can_view", "doc:1")]}]});
    assert_eq!(code(put(invalid).await, 400), "validation_error");
    let other = world.path("/assertions/01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let missing = world.ask(Method::PUT, &other, json!({"assertions": []})).await;
    assert_eq!(code(missing, 400), "authorization_model_not_found");
    assert!(world.server.events().await.contains(&"fga.assertions_written".to_owned()));
}

#[tokio::test]
async fn stores_and_models_are_listed_in_pages_and_stores_by_name() {
    let world = World::new().await;
    for name in ["alpha", "beta", "alpha"] {
        world.ask(Method::POST, "/stores", json!({"name": name})).await.expect(201);
    }
    let pages = async |path: &str, member: &str| {
        let mut counts = Vec::new();
        let mut token = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{separator}pageSize=2&continuation_token={token}");
            let page = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
            counts.push(page[member].as_array().unwrap().len());
            token = page["continuation_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                return counts;
            }
        }
    };
    // The two that are there from the first start, the one of this world, and three.
    assert_eq!(pages("/stores", "stores").await, [2, 2, 2]);
    assert_eq!(pages("/stores?name=alpha", "stores").await, [2]);
    assert_eq!(pages("/stores?name=nobody", "stores").await, [0]);
    for _ in 0..2 {
        let model = json!({"schema_version": "1.2", "type_definitions": [{"type": "user"}]});
        world.post("/authorization-models", model).await.expect(201);
    }
    let models = world.path("/authorization-models");
    assert_eq!(pages(&models, "authorization_models").await, [2, 1]);
    for path in ["/stores", models.as_str()] {
        let bad = world.ask(Method::GET, &format!("{path}?page_size=0"), Value::Null).await;
        assert_eq!(code(bad, 400), "page_size_invalid");
        let path_of = format!("{path}?continuation_token=nope");
        let bad = world.ask(Method::GET, &path_of, Value::Null).await;
        assert_eq!(code(bad, 400), "invalid_continuation_token");
        let path_of = format!("{path}?continuation_token=a%20b");
        let bad = world.ask(Method::GET, &path_of, Value::Null).await;
        assert_eq!(code(bad, 400), "validation_error");
    }
    let renamed = world.ask(Method::PATCH, &world.path(""), json!({"name": "other"})).await;
    assert_eq!(code(renamed, 404), "unimplemented");
    let nothing = world.get("/no-such-method").await;
    assert_eq!(code(nothing, 404), "undefined_endpoint");
}

#[tokio::test]
async fn a_models_json_has_every_member_and_comes_back_as_it_went_in() {
    let world = World::new().await;
    let path = format!("/authorization-models/{}", world.model);
    let model = world.get(&path).await.expect(200).json()["authorization_model"].clone();
    assert_eq!(model["id"], world.model.as_str());
    assert_eq!(
        model["type_definitions"][0],
        json!({"type": "user", "relations": {}, "metadata": null})
    );
    let doc = &model["type_definitions"][2];
    assert_eq!(
        doc["relations"]["can_view"],
        json!({"union": {"child": [
            {"computedUserset": {"object": "", "relation": "viewer"}},
            {"tupleToUserset": {"tupleset": {"object": "", "relation": "parent"},
                "computedUserset": {"object": "", "relation": "viewer"}}}]}})
    );
    assert_eq!(
        doc["metadata"]["relations"]["viewer"],
        json!({"directly_related_user_types": [
            {"type": "user", "condition": ""}, {"type": "user", "wildcard": {}, "condition": ""},
            {"type": "user", "condition": "in_time"}], "module": "", "source_info": null})
    );
    assert_eq!(
        model["conditions"]["in_time"]["parameters"]["now"],
        json!({"type_name": "TYPE_NAME_TIMESTAMP", "generic_types": []})
    );
    let again = world.post("/authorization-models", model.clone()).await.expect(201).json();
    let again = again["authorization_model_id"].as_str().unwrap().to_owned();
    let mut second = world.get(&format!("/authorization-models/{again}")).await.json();
    second["authorization_model"]["id"] = model["id"].clone();
    assert_eq!(second["authorization_model"], model);
}

#[tokio::test]
async fn models_beyond_the_limits_are_refused_with_their_codes() {
    let world = World::new().await;
    let refused = async |model: Value| code(world.post("/authorization-models", model).await, 400);
    let types = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({"type": format!("t{n}")})).collect()
    };
    assert_eq!(refused(json!({"schema_version": "1.1"})).await, "type_definitions_too_few_items");
    assert_eq!(
        refused(json!({"schema_version": "1.1", "type_definitions": types(101)})).await,
        "exceeded_entity_limit"
    );
    assert_eq!(
        refused(json!({"schema_version": "2", "type_definitions": types(1)})).await,
        "validation_error"
    );
    assert_eq!(
        refused(json!({"schema_version": "1.1", "type_definitions": [{"type": "a#b"}]})).await,
        "type_invalid_pattern"
    );
    // Where a rewrite breaks its rule, the gateway reads a number of its own off the text.
    let rewritten = async |name: &str, rewrite: Value| {
        let types = json!([{"type": "user"}, {"type": "doc", "relations": {name: rewrite}}]);
        refused(json!({"schema_version": "1.1", "type_definitions": types})).await
    };
    let this = json!({"this": {}});
    let long = "r".repeat(51);
    for (name, rewrite, expected) in [
        ("a b", this.clone(), "relations_invalid_pattern"),
        (&long, this.clone(), "relations_invalid_pattern"),
        ("a.b c", this.clone(), "validation_error"),
        ("r", json!({"difference": {"subtract": this}}), "difference_base_missing_value"),
        ("r", json!({"difference": {"base": this}}), "subtract_base_missing_value"),
        (
            "r",
            json!({"union": {"child": [{"difference": {"base": this, "subtract": null}}]}}),
            "subtract_base_missing_value",
        ),
        ("r", json!({"computedUserset": {"relation": long}}), "relation_too_long"),
        (
            "r",
            json!({"computedUserset": {"relation": "r", "object": "o".repeat(257)}}),
            "object_too_long",
        ),
    ] {
        assert_eq!(rewritten(name, rewrite).await, expected, "{name}");
    }
    let admitted = json!({"schema_version": "1.1", "type_definitions": [{"type": "user"},
        {"type": "doc", "relations": {"r": this}, "metadata": {"relations": {
            "r": {"directly_related_user_types": [{"type": "us er"}]}}}}]});
    assert_eq!(refused(admitted).await, "type_invalid_pattern");
    let parameter = |n: usize| (format!("p{n}"), json!({"type_name": "TYPE_NAME_BOOL"}));
    let conditioned = |name: &str, body: Value| json!({"schema_version": "1.1", "type_definitions": types(1), "conditions": {name: body}});
    let parameters: serde_json::Map<_, _> = (0..26).map(parameter).collect();
    for (name, body) in [
        ("c", json!({"name": "c", "expression": "p0", "parameters": parameters})),
        ("c", json!({"name": "c", "expression": "x".repeat(513), "parameters": {}})),
        ("c d", json!({"name": "c d", "expression": "true", "parameters": {}})),
    ] {
        assert_eq!(refused(conditioned(name, body)).await, "validation_error", "{name}");
    }
    let condition = |n: usize| {
        let name = format!("c{n}");
        let body = json!({"name": name, "expression": "x", "parameters": {"x": {"type_name": "TYPE_NAME_BOOL"}}});
        (name, body)
    };
    let conditions: serde_json::Map<_, _> = (0..26).map(condition).collect();
    assert_eq!(
        refused(
            json!({"schema_version": "1.1", "type_definitions": types(1), "conditions": conditions})
        )
        .await,
        "validation_error"
    );
    let long = "m".repeat(262_200);
    assert_eq!(
        refused(json!({"schema_version": "1.2", "type_definitions": [
            {"type": "user", "metadata": {"module": long}}]}))
        .await,
        "exceeded_entity_limit"
    );
    world
        .post(
            "/authorization-models",
            json!({"schema_version": "1.1", "type_definitions": types(100)}),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn duplicate_and_missing_tuples_are_errors_or_passed_over_as_asked() {
    let world = World::new().await;
    let write = async |body: Value| world.post("/write", body).await;
    let one = tuple("user:a", "viewer", "doc:1");
    let mut conditioned = one.clone();
    conditioned["condition"] = json!({"name": "in_time", "context": {}});
    world.write(std::slice::from_ref(&one)).await;
    let again = json!({"writes": {"tuple_keys": [one]}});
    assert_eq!(code(write(again.clone()).await, 400), "write_failed_due_to_invalid_input");
    for option in ["on_duplicate", "onDuplicate"] {
        let mut ignoring = again.clone();
        ignoring["writes"][option] = "ignore".into();
        write(ignoring).await.expect(200);
    }
    let other = json!({"writes": {"tuple_keys": [conditioned], "on_duplicate": "ignore"}});
    assert_eq!(code(write(other).await, 409), "Aborted");
    let odd = json!({"writes": {"tuple_keys": [one], "on_duplicate": "replace"}});
    assert_eq!(code(write(odd).await, 400), "validation_error");
    let gone = json!({"deletes": {"tuple_keys": [tuple("user:z", "viewer", "doc:1")]}});
    assert_eq!(code(write(gone.clone()).await, 400), "write_failed_due_to_invalid_input");
    let mut ignoring = gone;
    ignoring["deletes"]["on_missing"] = "ignore".into();
    let answer = write(ignoring).await.expect(200);
    assert_eq!(answer.headers["behalf-revision"], "1", "nothing was written");
    let both = json!({"writes": {"tuple_keys": [one]}, "deletes": {"tuple_keys": [one]}});
    assert_eq!(code(write(both).await, 400), "cannot_allow_duplicate_tuples_in_one_request");
    assert_eq!(code(write(json!({})).await, 400), "invalid_write_input");
    assert_eq!(code(write(json!({"writes": {"tuple_keys": []}})).await, 400), "validation_error");
    let many: Vec<_> = (0..101).map(|n| tuple(&format!("user:{n}"), "viewer", "doc:2")).collect();
    assert_eq!(
        code(write(json!({"writes": {"tuple_keys": many}})).await, 400),
        "exceeded_entity_limit"
    );
    let itself = tuple("doc:1#viewer", "viewer", "doc:1");
    assert_eq!(
        code(write(json!({"writes": {"tuple_keys": [itself]}})).await, 400),
        "validation_error"
    );
}

#[tokio::test]
async fn fields_beyond_their_rules_are_refused_with_openfgas_words() {
    let world = World::new().await;
    let check =
        async |key: Value| world.post("/check", json!({"tuple_key": key})).await.expect(400).json();
    let long = |n: usize| "x".repeat(n);
    let key = r"invalid CheckRequestTupleKey";
    for (tuple, message) in [
        (
            tuple("user:a", &long(51), "doc:1"),
            format!(r#"{key}.Relation: value does not match regex pattern "^[^:#@\\s]{{1,50}}$""#),
        ),
        (
            tuple("user:a", "viewer", &format!("doc:{}", long(253))),
            format!(r#"{key}.Object: value does not match regex pattern "^[^\\s]{{2,256}}$""#),
        ),
        (
            tuple(&format!("user:{}", long(508)), "viewer", "doc:1"),
            format!(r#"{key}.User: value does not match regex pattern "^[^\\s]{{2,512}}$""#),
        ),
    ] {
        let body = check(tuple).await;
        assert_eq!(body["code"], "validation_error");
        assert_eq!(body["message"], message);
    }
    let none = world.post("/check", json!({})).await;
    assert_eq!(code(none, 400), "tuple_key_value_not_specified");
    let crowd = vec![tuple("user:a", "viewer", "doc:1"); 101];
    let body = json!({"tuple_key": tuple("user:a", "viewer", "doc:1"), "contextual_tuples": {"tuple_keys": crowd}});
    assert_eq!(code(world.post("/check", body).await, 400), "validation_error");
    let list = async |body: Value| code(world.post("/list-objects", body).await, 400);
    assert_eq!(
        list(json!({"type": "", "relation": "viewer", "user": "user:a"})).await,
        "type_invalid_pattern"
    );
    assert_eq!(
        list(json!({"type": "doc", "relation": "viewer", "user": ""})).await,
        "validation_error"
    );
    assert_eq!(
        list(json!({"type": "nope", "relation": "viewer", "user": "user:a"})).await,
        "type_not_found"
    );
    assert_eq!(
        list(json!({"type": "doc", "relation": "nope", "user": "user:a"})).await,
        "relation_not_found"
    );
    let bad_store = world
        .ask(
            Method::POST,
            "/stores/nope/check",
            json!({"tuple_key": tuple("user:a", "viewer", "doc:1")}),
        )
        .await;
    assert_eq!(code(bad_store, 400), "validation_error");
    let name = world.ask(Method::POST, "/stores", json!({"name": "ab"})).await;
    assert_eq!(code(name, 400), "validation_error");
}

#[tokio::test]
async fn requests_are_read_as_the_gateway_reads_them() {
    let world = World::new().await;
    world.write(&[tuple("user:a", "viewer", "doc:1")]).await;
    let key = tuple("user:a", "viewer", "doc:1");
    for body in [
        json!({"tuple_key": key, "some_future_field": {"x": 1}, "trace": true}),
        json!({"tupleKey": key, "authorizationModelId": world.model}),
        json!({"tuple_key": key, "contextual_tuples": null, "authorization_model_id": null, "context": null}),
        json!({"tuple_key": key, "consistency": "MINIMIZE_LATENCY"}),
        json!({"tuple_key": key, "consistency": 200}),
        // A name that is none is passed over, as an unknown member is.
        json!({"tuple_key": key, "consistency": "SOMETIMES"}),
    ] {
        let answer = world.post("/check", body).await.expect(200);
        assert_eq!(answer.json(), json!({"allowed": true, "resolution": ""}));
        assert_eq!(answer.headers["openfga-authorization-model-id"], world.model.as_str());
        assert_eq!(answer.headers["openfga-store-id"], world.store.as_str());
        assert_eq!(answer.headers["behalf-revision"], "1");
        assert_eq!(answer.headers["x-request-id"].len(), 26);
    }
    for body in [
        json!({"tuple_key": key, "tupleKey": key}),
        json!({"tuple_key": key, "consistency": 7}),
        json!({"tuple_key": [1]}),
        json!({"tuple_key": {"user": 5}}),
        json!({"tuple_key": key, "context": []}),
    ] {
        assert_eq!(code(world.post("/check", body).await, 400), "validation_error");
    }
    // An error names the request too.
    let answer = world.post("/check", json!({})).await.expect(400);
    assert_eq!(answer.headers["x-request-id"].len(), 26);
}

#[tokio::test]
async fn read_gives_each_tuple_with_the_time_it_was_written() {
    let world = World::new().await;
    let first = world.server.now();
    world.write(&[tuple("user:a", "viewer", "doc:1"), tuple("user:b", "viewer", "doc:1")]).await;
    let read = async || {
        let page = world.post("/read", json!({"tuple_key": {"object": "doc:1"}})).await;
        let tuples = page.expect(200).json()["tuples"].as_array().unwrap().clone();
        let pair = |t: &Value| {
            (
                t["key"]["user"].as_str().unwrap().to_owned(),
                t["timestamp"].as_str().unwrap().to_owned(),
            )
        };
        tuples.iter().map(pair).collect::<Vec<_>>()
    };
    let at = |user: &str, time: behalf_core::Timestamp| (user.to_owned(), time.to_rfc3339());
    assert_eq!(read().await, [at("user:a", first), at("user:b", first)]);
    // Deleted and written again: the time is that of the last writing.
    world.server.advance(Duration::from_secs(9));
    let one = tuple("user:a", "viewer", "doc:1");
    world.post("/write", json!({"deletes": {"tuple_keys": [one]}})).await.expect(200);
    world.write(&[one]).await;
    assert_eq!(read().await, [at("user:a", world.server.now()), at("user:b", first)]);
}

#[tokio::test]
async fn list_objects_streams_a_line_per_object() {
    let world = World::new().await;
    world.write(&[tuple("user:a", "viewer", "doc:1"), tuple("user:*", "viewer", "doc:2")]).await;
    let body = json!({"type": "doc", "relation": "can_view", "user": "user:a"});
    let answer = world.post("/streamed-list-objects", body.clone()).await.expect(200);
    let mut lines: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(Value::to_string);
    assert_eq!(
        lines,
        [json!({"result": {"object": "doc:1"}}), json!({"result": {"object": "doc:2"}})]
    );
    assert_eq!(answer.headers["behalf-revision"], "1");
    let mut objects = world.post("/list-objects", body).await.expect(200).json()["objects"].clone();
    objects.as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(objects, json!(["doc:1", "doc:2"]));
    let bad = json!({"type": "nope", "relation": "can_view", "user": "user:a"});
    let error = world.post("/streamed-list-objects", bad).await.expect(400).json();
    assert_eq!(
        error,
        json!({"error": {"code": 3, "message": "type 'nope' not found", "details": []}})
    );
}

#[tokio::test]
async fn an_answer_waits_for_the_revision_asked_for_or_says_that_it_is_not_there() {
    let world = World::new().await;
    let check = json!({"tuple_key": tuple("user:a", "viewer", "doc:1")});
    let ask = async |revision: &str| {
        let headers = [("Behalf-Min-Revision", revision)];
        world.ask_with(Method::POST, &world.path("/check"), check.clone(), &headers).await
    };
    assert_eq!(ask("0").await.expect(200).json()["allowed"], false);
    let writing = async {
        tokio::task::yield_now().await;
        world.write(&[tuple("user:a", "viewer", "doc:1")]).await;
    };
    let (answer, ()) = tokio::join!(ask("1"), writing);
    assert_eq!(answer.expect(200).json()["allowed"], true, "it waited for the write");
    assert_eq!(code(ask("2").await, 503), "unavailable");
    assert_eq!(code(ask("soon").await, 400), "validation_error");
}

#[tokio::test]
async fn users_are_listed_by_the_one_filter() {
    let world = World::new().await;
    world
        .write(&[
            tuple("user:a", "viewer", "doc:1"),
            tuple("folder:f", "parent", "doc:1"),
            tuple("user:b", "viewer", "folder:f"),
            tuple("user:*", "viewer", "doc:2"),
        ])
        .await;
    let list = async |id: &str, filters: Value| {
        let body = json!({"object": {"type": "doc", "id": id}, "relation": "can_view", "user_filters": filters});
        world.post("/list-users", body).await
    };
    let users = async |id: &str| {
        let answer = list(id, json!([{"type": "user"}])).await.expect(200).json();
        let mut users = answer["users"].as_array().unwrap().clone();
        users.sort_by_key(Value::to_string);
        users
    };
    let object = |id: &str| json!({"object": {"type": "user", "id": id}});
    assert_eq!(users("1").await, [object("a"), object("b")]);
    assert_eq!(users("2").await, [json!({"wildcard": {"type": "user"}})]);
    assert_eq!(users("3").await, Vec::<Value>::new());
    for (filters, expected) in [
        (json!([]), "validation_error"),
        (json!([{"type": "user"}, {"type": "doc"}]), "validation_error"),
        (json!([{"type": "nope"}]), "type_not_found"),
        (json!([{"type": "doc", "relation": "nope"}]), "relation_not_found"),
        (json!([{"type": "a b"}]), "type_invalid_pattern"),
    ] {
        assert_eq!(code(list("1", filters).await, 400), expected);
    }
    let bad = json!({"object": {"type": "doc", "id": ""}, "relation": "can_view", "user_filters": [{"type": "user"}]});
    assert_eq!(code(world.post("/list-users", bad).await, 400), "validation_error");
}

#[tokio::test]
async fn expand_shows_one_level_of_a_relation() {
    let world = World::new().await;
    world.write(&[tuple("folder:f", "parent", "doc:1"), tuple("user:a", "viewer", "doc:1")]).await;
    let expand = async |relation: &str| {
        let body = json!({"tuple_key": {"relation": relation, "object": "doc:1"}});
        world.post("/expand", body).await.expect(200).json()["tree"]["root"].clone()
    };
    assert_eq!(
        expand("viewer").await,
        json!({"name": "doc:1#viewer", "leaf": {"users": {"users": ["user:a"]}}})
    );
    assert_eq!(
        expand("can_view").await,
        json!({"name": "doc:1#can_view", "union": {"nodes": [
            {"name": "doc:1#can_view", "leaf": {"computed": {"userset": "doc:1#viewer"}}},
            {"name": "doc:1#can_view", "leaf": {"tupleToUserset": {"tupleset": "doc:1#parent",
                "computed": [{"userset": "folder:f#viewer"}]}}}]}})
    );
    let refused =
        async |key: Value| code(world.post("/expand", json!({"tuple_key": key})).await, 400);
    assert_eq!(refused(json!({"object": "doc:1"})).await, "invalid_expand_input");
    assert_eq!(refused(json!({"object": "doc:1", "relation": "nope"})).await, "validation_error");
    assert_eq!(code(world.post("/expand", json!({})).await, 400), "tuple_key_value_not_specified");
}

#[tokio::test]
async fn a_tuple_may_begin_later_and_end() {
    let world = World::new().await;
    let start = world.server.now();
    let at = |secs: u64| start.plus(Duration::from_secs(secs)).to_rfc3339();
    let mut key = tuple("user:a", "viewer", "doc:1");
    key["not_before"] = at(60).into();
    key["expires_at"] = at(120).into();
    world.write(std::slice::from_ref(&key)).await;
    let allowed = async || {
        let body = json!({"tuple_key": tuple("user:a", "can_view", "doc:1")});
        world.post("/check", body).await.expect(200).json()["allowed"].clone()
    };
    assert_eq!(allowed().await, false, "not yet");
    world.server.advance(Duration::from_secs(60));
    assert_eq!(allowed().await, true);
    let list = json!({"type": "doc", "relation": "viewer", "user": "user:a"});
    let objects = world.post("/list-objects", list.clone()).await.expect(200).json();
    assert_eq!(objects["objects"], json!(["doc:1"]));
    let read = world.post("/read", json!({})).await.expect(200).json();
    assert_eq!(read["tuples"][0]["key"]["expires_at"], at(120));
    world.server.advance(Duration::from_secs(60));
    assert_eq!(allowed().await, false, "no longer");
    let objects = world.post("/list-objects", list).await.expect(200).json();
    assert_eq!(objects["objects"], json!([]));
    key["expires_at"] = "soon".into();
    let bad = world.post("/write", json!({"writes": {"tuple_keys": [key]}})).await;
    assert_eq!(code(bad, 400), "validation_error");
}
