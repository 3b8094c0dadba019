//! Whose answers checks get: v1, or v2 as under OpenFGA's `weighted_graph_check`, over HTTP and gRPC.

use behalf_api::fga::wire::openfga_v1 as pb;
use behalf_tests::{GrpcClient, TestServer};
use http::Method;
use serde_json::{Value, json};

use crate::fga_grpc::CHECK;
use crate::fga_surface::{World, tuple};

fn relation(rewrite: &Value, admitted: &Value) -> (Value, Value) {
    (rewrite.clone(), json!({"directly_related_user_types": admitted}))
}

fn of_type(name: &str, relations: &[(&str, (Value, Value))]) -> Value {
    let mut of = json!({"type": name, "relations": {}, "metadata": {"relations": {}}});
    for (relation, (rewrite, metadata)) in relations {
        of["relations"][relation] = rewrite.clone();
        of["metadata"]["relations"][relation] = metadata.clone();
    }
    of
}

/// A model in which every reason for another answer occurs.
fn model() -> Value {
    let this = json!({"this": {}});
    let computed = |name: &str| json!({"computedUserset": {"relation": name}});
    let but_not = |base: &Value, subtract: &Value| json!({"difference": {"base": base, "subtract": subtract}});
    let user = json!([{"type": "user"}]);
    let none = json!([]);
    let from_parent = json!({"tupleToUserset": {"tupleset": {"relation": "parent"},
        "computedUserset": {"relation": "viewer"}}});
    json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        of_type("folder", &[("viewer", relation(&this, &user))]),
        of_type("doc", &[
            ("parent", relation(&this, &json!([{"type": "folder"}]))),
            ("reader", relation(&this, &user)),
            ("gone", relation(&this, &user)),
            ("allowed", relation(&computed("reader"), &none)),
            ("viewer", relation(&this, &json!([{"type": "user"}, {"type": "doc", "relation": "allowed"}]))),
            ("inherited", relation(&from_parent, &none)),
            ("public", relation(&this, &json!([{"type": "user", "wildcard": {}}]))),
            ("open", relation(&but_not(&computed("public"), &computed("gone")), &none)),
            ("kept", relation(&but_not(&this, &computed("gone")),
                &json!([{"type": "user"}, {"type": "doc", "relation": "allowed"}]))),
        ]),
    ]})
}

async fn world() -> World {
    let world = World::with(model()).await;
    world
        .write(&[
            tuple("folder:f", "parent", "doc:1"),
            tuple("doc:2#allowed", "viewer", "doc:1"),
            tuple("doc:2#allowed", "kept", "doc:1"),
            tuple("user:*", "public", "doc:1"),
            tuple("user:a", "reader", "doc:1"),
        ])
        .await;
    world
}

async fn set(world: &World, semantics: &str) -> Value {
    let body = json!({"semantics": semantics});
    world.ask(Method::PUT, &world.path("/behalf/semantics"), body).await.expect(200).json()
}

async fn is_allowed(world: &World, user: &str, relation: &str, object: &str) -> bool {
    let body = json!({"tuple_key": tuple(user, relation, object)});
    world.post("/check", body).await.expect(200).json()["allowed"].as_bool().unwrap()
}

#[tokio::test]
async fn every_reason_is_told_and_every_answer_follows_the_setting() {
    let world = world().await;
    assert_eq!(world.get("/behalf/semantics").await.expect(200).json()["semantics"], "v1");
    let cases = [
        ("doc:1#viewer", "viewer", true, false, "self_referential_userset", false),
        ("doc:2#reader", "viewer", true, false, "alias_userset", false),
        ("doc:1#reader", "allowed", true, false, "computed_userset_self_object", false),
        ("folder:f#viewer", "inherited", true, false, "ttu_userset", false),
        ("doc:2#allowed", "kept", true, true, "userset_with_exclusion", true),
        ("user:*", "open", true, true, "wildcard_with_exclusion", true),
        ("user:a", "allowed", true, true, "", false),
        ("doc:2#allowed", "viewer", true, true, "", false),
    ];
    for (user, relation, v1, v2, reason, asks_v1) in cases {
        let body = json!({"tuple_key": tuple(user, relation, "doc:1")});
        let both = world.post("/behalf/semantics", body).await.expect(200).json();
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        let expected = json!({"v1": {"allowed": v1}, "v2": {"allowed": v2}, "reason": reason,
            "v2_asks_v1": asks_v1, "unfit": null});
        assert_eq!(both, expected, "{user} {relation}");
        assert_eq!(is_allowed(&world, user, relation, "doc:1").await, v1, "{user} {relation}");
    }
    let answer = set(&world, "v2").await;
    let may_change =
        |relation: &str, reasons: &[&str]| json!({"relation": relation, "reasons": reasons});
    let (alias, computed) = ("alias_userset", "computed_userset_self_object");
    let expected = json!({"semantics": "v2", "authorization_model_id": world.model, "unfit": null,
    "relations": [
        may_change("doc#allowed", &[computed]),
        may_change("doc#inherited", &["ttu_userset"]),
        may_change("doc#kept", &[alias, computed, "userset_with_exclusion"]),
        may_change("doc#open", &[computed, "wildcard_with_exclusion"]),
        may_change("doc#viewer", &[alias]),
    ]});
    assert_eq!(answer, expected);
    for (user, relation, _, v2, ..) in cases {
        assert_eq!(is_allowed(&world, user, relation, "doc:1").await, v2, "{user} {relation}");
        let key = tuple(user, relation, "doc:1");
        let explained = world.post("/behalf/explain", json!({"tuple_key": key})).await;
        let explained = explained.expect(200).json();
        assert_eq!(explained["allowed"], v2, "{user} {relation}");
        assert_eq!(explained["because"].is_null(), !v2, "{user} {relation}");
        let filter =
            json!({"user": user, "relation": relation, "type": "doc", "ids": ["1", "nothing"]});
        let filtered = world.post("/behalf/filter", filter).await.expect(200).json();
        assert_eq!(filtered["allowed"], json!(if v2 { &["1"][..] } else { &[] }), "{user}");
    }
    let checks = cases.iter().enumerate().map(|(at, (user, relation, ..))| {
        json!({"tuple_key": tuple(user, relation, "doc:1"), "correlation_id": at.to_string()})
    });
    let body = json!({"checks": checks.collect::<Vec<_>>()});
    let batch = world.post("/batch-check", body).await.expect(200).json();
    for (at, (user, relation, _, v2, ..)) in cases.iter().enumerate() {
        assert_eq!(batch["result"][at.to_string()]["allowed"], *v2, "{user} {relation}");
    }
    let events = world.server.events().await;
    assert_eq!(events.iter().filter(|kind| *kind == "fga.semantics_set").count(), 1);
    // Set again it is the same, and nothing is recorded.
    set(&world, "v2").await;
    assert_eq!(world.server.events().await, events);
    set(&world, "v1").await;
    assert!(is_allowed(&world, "doc:1#viewer", "viewer", "doc:1").await);
}

#[tokio::test]
async fn grpc_follows_and_lists_do_not() {
    let world = world().await;
    let list = async || {
        let body = json!({"user": "folder:f#viewer", "relation": "inherited", "type": "doc"});
        world.post("/list-objects", body).await.expect(200).json()
    };
    let before = list().await;
    assert_eq!(before, json!({"objects": ["doc:1"]}));
    set(&world, "v2").await;
    assert_eq!(list().await, before, "OpenFGA has a v2 of Check only");
    let client = GrpcClient::new(&world.server.server.router, "key-of-all-stores");
    let ask = async |relation: &str| {
        let key = pb::CheckRequestTupleKey {
            user: "folder:f#viewer".into(),
            relation: relation.into(),
            object: "doc:1".into(),
        };
        let store_id = world.store.clone();
        let request = pb::CheckRequest { store_id, tuple_key: Some(key), ..Default::default() };
        client.unary::<_, pb::CheckResponse>(CHECK, request).await
    };
    assert!(!ask("inherited").await.unwrap().0.allowed);
    let refused = ask("nothing").await.unwrap_err();
    assert_eq!(
        (refused.number, refused.message.as_str()),
        (2000, "object relation does not exist")
    );
}

#[tokio::test]
async fn what_cannot_be_set_or_compared_is_refused() {
    let world = world().await;
    let put = async |path: &str, body: Value| world.ask(Method::PUT, path, body).await;
    let path = world.path("/behalf/semantics");
    put(&path, json!({"semantics": "v3"})).await.expect(400);
    put(&path, json!({})).await.expect(400);
    let nowhere = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/behalf/semantics";
    put(nowhere, json!({"semantics": "v2"})).await.expect(404);
    world.post("/behalf/semantics", json!({})).await.expect(400);
    set(&world, "v2").await;
    for (user, relation, object, message) in [
        ("user:a", "nothing", "doc:1", "object relation does not exist"),
        ("user:a", "viewer", "nothing:1", "object relation does not exist"),
        ("nobody:a", "viewer", "doc:1", "the 'user' field is malformed"),
    ] {
        let body = json!({"tuple_key": tuple(user, relation, object)});
        let refused = world.post("/check", body).await.expect(400).json();
        assert_eq!(refused, json!({"code": "validation_error", "message": message}));
    }
    let body = json!({"tuple_key": tuple("user:a", "nothing", "doc:1")});
    let both = world.post("/behalf/semantics", body).await.expect(200).json();
    assert_eq!(both["v2"]["error"]["message"], "object relation does not exist");
    assert_eq!(both["reason"], Value::Null);

    // A store without a model has a setting too.
    let made = world.ask(Method::POST, "/stores", json!({"name": "empty"})).await.expect(201);
    let path = format!("/stores/{}/behalf/semantics", made.json()["id"].as_str().unwrap());
    let answer = put(&path, json!({"semantics": "v2"})).await.expect(200).json();
    assert_eq!(answer, json!({"semantics": "v2"}));
}

#[tokio::test]
async fn a_model_that_v2_does_not_take_is_told_and_answered_by_v1() {
    let mut model = model();
    // `viewer from parent` may then meet a user, who has no such relation.
    model["type_definitions"][2]["metadata"]["relations"]["parent"]["directly_related_user_types"] =
        json!([{"type": "folder"}, {"type": "user"}]);
    let world = World::with(model).await;
    let answer = set(&world, "v2").await;
    let unfit = json!({"reason": "missing_relation", "relation": "doc#inherited",
        "missing": "user#viewer"});
    assert_eq!(answer["unfit"], unfit);
    assert!(is_allowed(&world, "doc:1#viewer", "viewer", "doc:1").await);
    let body = json!({"tuple_key": tuple("doc:1#viewer", "viewer", "doc:1")});
    let both = world.post("/behalf/semantics", body).await.expect(200).json();
    let expected = json!({"v1": {"allowed": true}, "v2": {"allowed": true}, "reason": null,
        "v2_asks_v1": true, "unfit": unfit});
    assert_eq!(both, expected);
}

#[tokio::test]
async fn a_set_up_file_sets_it_too() {
    const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let setup = |store: &str| {
        format!(
            "fga:
  api_keys:
    - {{name: all, key: key-of-all-stores, stores: [\"*\"], scopes: [\"read:fga\"]}}
  stores:
    - {{{store}}}
"
        )
    };
    let shop =
        |semantics: &str| setup(&format!("id: 01ARZ3NDEKTSV4RRFFQ69G5FAV, name: shop{semantics}"));
    let server = TestServer::start(&shop(", semantics: v2")).await;
    let world = World { server, store: String::new(), model: String::new() };
    let read = async || {
        let path = format!("{STORE}/behalf/semantics");
        world.ask(Method::GET, &path, Value::Null).await.expect(200).json()["semantics"].clone()
    };
    assert_eq!(read().await, "v2");
    // Where it does not say, it stays as it is.
    assert_eq!(world.server.apply(&shop("")).await.unwrap(), Vec::<String>::new());
    assert_eq!(read().await, "v2");
    let changes = world.server.apply(&shop(", semantics: v1")).await.unwrap();
    assert_eq!(changes, ["answer checks of FGA store shop as v1"]);
    assert_eq!(read().await, "v1");
    let built_in = setup("name: behalf, semantics: v2");
    assert!(world.server.apply(&built_in).await.unwrap_err().contains("built in"));
}

#[tokio::test]
async fn the_setting_outlives_a_restart() {
    let world = world().await;
    set(&world, "v2").await;
    let World { server, store, model } = world;
    server.server.storage.close().await;
    let TestServer { dir, .. } = server;
    let world = World { server: TestServer::start_in(dir, "").await, store, model };
    assert_eq!(world.get("/behalf/semantics").await.expect(200).json()["semantics"], "v2");
    assert!(!is_allowed(&world, "doc:1#viewer", "viewer", "doc:1").await);
}
