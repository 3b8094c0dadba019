//! AuthZEN 1.0 over HTTP and gRPC: evaluations, searches in pages, discovery.

use behalf_api::fga::wire::authzen_v1 as az;
use behalf_tests::GrpcClient;
use http::Method;
use serde_json::{Value, json};

use crate::fga_surface::{World, tuple};

fn subject(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

fn resource(id: &str) -> Value {
    json!({"type": "doc", "id": id})
}

fn ask(user: &str, action: &str, doc: &str) -> Value {
    json!({"subject": subject(user), "action": {"name": action}, "resource": resource(doc)})
}

async fn world() -> World {
    let world = World::new().await;
    let conditioned = json!({"user": "user:timed", "relation": "viewer", "object": "doc:1",
        "condition": {"name": "in_time", "context": {}}});
    world
        .write(&[
            tuple("user:a", "viewer", "doc:1"),
            tuple("user:a", "viewer", "doc:2"),
            conditioned,
        ])
        .await;
    world
}

async fn decision(world: &World, body: Value) -> bool {
    let answer = world.post("/access/v1/evaluation", body).await.expect(200).json();
    answer["decision"].as_bool().unwrap()
}

#[tokio::test]
async fn an_evaluation_is_a_check_and_properties_are_values_for_conditions() {
    let world = world().await;
    assert!(decision(&world, ask("a", "can_view", "1")).await);
    assert!(!decision(&world, ask("b", "can_view", "1")).await);
    let missing = world.post("/access/v1/evaluation", ask("timed", "can_view", "1")).await;
    assert_eq!(missing.expect(400).json()["code"], "validation_error");

    let model = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        {"type": "doc", "relations": {"viewer": {"this": {}}}, "metadata": {"relations": {
            "viewer": {"directly_related_user_types": [{"type": "user", "condition": "fits"}]}}}}],
        "conditions": {"fits": {"name": "fits",
            "expression": "subject_level >= resource_level && action_how == 'now' && place == 'x'",
            "parameters": {
                "subject_level": {"type_name": "TYPE_NAME_INT"},
                "resource_level": {"type_name": "TYPE_NAME_INT"},
                "action_how": {"type_name": "TYPE_NAME_STRING"},
                "place": {"type_name": "TYPE_NAME_STRING"}}}}});
    let old = world.model.clone();
    world.post("/authorization-models", model).await.expect(201);
    let conditioned = json!({"user": "user:p", "relation": "viewer", "object": "doc:9",
        "condition": {"name": "fits", "context": {}}});
    world.write(&[conditioned]).await;
    let with = |subject_level: i32, context: Value| {
        let mut body = ask("p", "viewer", "9");
        body["subject"]["properties"] = json!({"level": subject_level});
        body["resource"]["properties"] = json!({"level": 3});
        body["action"]["properties"] = json!({"how": "now"});
        body["context"] = context;
        body
    };
    assert!(decision(&world, with(3, json!({"place": "x"}))).await);
    assert!(!decision(&world, with(2, json!({"place": "x"}))).await);
    // The request's own context wins over properties.
    assert!(decision(&world, with(2, json!({"place": "x", "subject_level": 5}))).await);
    // The header names the model before, which has no such condition and a relation more.
    let headers = [("Openfga-Authorization-Model-Id", old.as_str())];
    let path = world.path("/access/v1/evaluation");
    let answer = world.ask_with(Method::POST, &path, ask("a", "can_view", "1"), &headers).await;
    assert_eq!(answer.expect(200).headers["openfga-authorization-model-id"], old.as_str());
    world.post("/access/v1/evaluation", ask("a", "can_view", "1")).await.expect(400);
    for body in [
        json!({}),
        json!({"subject": subject("a"), "resource": resource("1")}),
        ask("a b", "can_view", "1"),
    ] {
        world.post("/access/v1/evaluation", body).await.expect(400);
    }
}

#[tokio::test]
async fn evaluations_have_defaults_three_semantics_and_errors_of_their_own() {
    let world = world().await;
    let evaluate = async |semantic: &str, items: Value| {
        let body = json!({"subject": subject("a"), "action": {"name": "can_view"},
            "evaluations": items, "options": {"evaluations_semantic": semantic}});
        let answer = world.post("/access/v1/evaluations", body).await.expect(200).json();
        let evaluations = answer["evaluations"].as_array().unwrap().clone();
        evaluations.iter().map(|one| one["decision"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    let items = json!([
        {"resource": resource("1")},
        {"resource": resource("3")},
        {"resource": resource("2")},
        {"resource": resource("2"), "subject": subject("b")},
    ]);
    assert_eq!(evaluate("execute_all", items.clone()).await, [true, false, true, false]);
    assert_eq!(evaluate("deny_on_first_deny", items.clone()).await, [true, false]);
    assert_eq!(evaluate("permit_on_first_permit", items).await, [true]);

    let mut alone = ask("a", "can_view", "1");
    alone["evaluations"] = json!([]);
    let answer = world.post("/access/v1/evaluations", alone).await.expect(200).json();
    assert_eq!(answer, json!({"evaluations": [{"decision": true}]}));

    let body = json!({"subject": subject("a"), "resource": resource("1"), "evaluations": [
        {"action": {"name": "nope"}}, {"action": {"name": "can_view"}}]});
    let answer = world.post("/access/v1/evaluations", body).await.expect(200).json();
    assert_eq!(answer["evaluations"][0]["decision"], false);
    assert_eq!(answer["evaluations"][0]["context"]["error"]["status"], 400);
    assert_eq!(answer["evaluations"][1], json!({"decision": true}));

    let missing = json!({"subject": subject("a"), "evaluations": [{"resource": resource("1")}]});
    let error = world.post("/access/v1/evaluations", missing).await.expect(400).json();
    assert_eq!(error["message"], "evaluation 0: missing action");
    let odd = json!({"options": {"evaluations_semantic": "guess"}, "evaluations": [ask("a", "can_view", "1")]});
    // A name that is none counts as not said: all are evaluated.
    let answer = world.post("/access/v1/evaluations", odd).await.expect(200).json();
    assert_eq!(answer, json!({"evaluations": [{"decision": true}]}));
}

/// Every result of a search, and the sizes of its pages.
async fn pages(world: &World, path: &str, mut body: Value, limit: u32) -> (Vec<Value>, Vec<usize>) {
    let (mut found, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        body["page"] = json!({"limit": limit, "token": token});
        let answer = world.post(path, body.clone()).await.expect(200).json();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(answer["page"]["count"], results.len());
        sizes.push(results.len());
        found.extend(results.clone());
        answer["page"]["next_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            return (found, sizes);
        }
    }
}

#[tokio::test]
async fn searches_find_resources_and_actions_page_by_page() {
    let world = world().await;
    let more: Vec<Value> =
        (3..10).map(|n| tuple("user:a", "viewer", &format!("doc:{n}"))).collect();
    world.write(&more).await;
    let body = json!({"subject": subject("a"), "action": {"name": "can_view"},
        "resource": {"type": "doc"}});
    let (found, sizes) = pages(&world, "/access/v1/search/resource", body, 4).await;
    assert_eq!(sizes, [4, 4, 1]);
    let expected: Vec<Value> = (1..10).map(|n| resource(&n.to_string())).collect();
    assert_eq!(found, expected);

    let more: Vec<Value> =
        ["c", "d", "e"].map(|user| tuple(&format!("user:{user}"), "viewer", "doc:5")).into();
    world.write(&more).await;
    let body = json!({"subject": {"type": "user"}, "action": {"name": "can_view"},
        "resource": resource("5")});
    let (found, sizes) = pages(&world, "/access/v1/search/subject", body, 3).await;
    assert_eq!(sizes, [3, 1]);
    assert_eq!(found, ["a", "c", "d", "e"].map(subject));

    let body = json!({"subject": subject("a"), "resource": resource("1")});
    let (found, _) = pages(&world, "/access/v1/search/action", body, 1).await;
    assert_eq!(found, [json!({"name": "can_view"}), json!({"name": "viewer"})]);

    let path = "/access/v1/search/resource";
    let body = |page: Value| {
        json!({"subject": subject("a"), "action": {"name": "can_view"},
            "resource": {"type": "doc"}, "page": page})
    };
    world.post(path, body(json!({"limit": 1001}))).await.expect(400);
    world.post(path, body(json!({"token": "made-up"}))).await.expect(400);
    let none = json!({"subject": subject("a"), "resource": {"type": "nope", "id": "1"}});
    let error = world.post("/access/v1/search/action", none).await.expect(400).json();
    assert_eq!(error["code"], "type_not_found");
}

#[tokio::test]
async fn the_discovery_document_names_the_issuers_addresses() {
    let world = world().await;
    let path = format!("/.well-known/authzen-configuration/{}", world.store);
    let answer = world.server.get(&path).await.expect(200).json();
    let store = format!("https://behalf.test/stores/{}", world.store);
    assert_eq!(answer["policy_decision_point"], store);
    for (name, path) in [
        ("access_evaluation_endpoint", "evaluation"),
        ("access_evaluations_endpoint", "evaluations"),
        ("search_subject_endpoint", "search/subject"),
        ("search_resource_endpoint", "search/resource"),
        ("search_action_endpoint", "search/action"),
    ] {
        assert_eq!(answer[name], format!("{store}/access/v1/{path}"));
    }
    world.server.get("/.well-known/authzen-configuration/nope").await.expect(400);
}

#[tokio::test]
async fn the_same_questions_are_answered_over_grpc() {
    let world = world().await;
    let client = GrpcClient::new(&world.server.server.router, "key-of-all-stores");
    let user = |id: &str| {
        Some(az::Subject { r#type: "user".to_owned(), id: id.to_owned(), properties: None })
    };
    let doc = |id: &str| {
        Some(az::Resource { r#type: "doc".to_owned(), id: id.to_owned(), properties: None })
    };
    let view = Some(az::Action { name: "can_view".to_owned(), properties: None });
    let ask = az::EvaluationRequest {
        store_id: world.store.clone(),
        subject: user("a"),
        resource: doc("1"),
        action: view.clone(),
        context: None,
    };
    let path = "/authzen.v1.AuthZenService/Evaluation";
    let (answer, _): (az::EvaluationResponse, _) = client.unary(path, ask.clone()).await.unwrap();
    assert!(answer.decision);
    let headed =
        client.clone().with("openfga-authorization-model-id", "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let error = headed.unary::<_, az::EvaluationResponse>(path, ask).await.unwrap_err();
    assert_eq!(error.number, 2001);
    let search = az::ResourceSearchRequest {
        store_id: world.store.clone(),
        subject: user("a"),
        action: view,
        resource: Some(az::ResourceFilter { r#type: "doc".to_owned(), id: None, properties: None }),
        context: None,
        page: Some(az::PageRequest { token: None, limit: Some(1) }),
    };
    let path = "/authzen.v1.AuthZenService/ResourceSearch";
    let (found, _): (az::ResourceSearchResponse, _) = client.unary(path, search).await.unwrap();
    assert_eq!(found.results, [doc("1").unwrap()]);
    let page = found.page.unwrap();
    assert_eq!((page.count, page.total), (1, Some(2)));
    let open = GrpcClient::new(&world.server.server.router, "");
    let ask = az::GetConfigurationRequest { store_id: world.store.clone() };
    let path = "/authzen.v1.AuthZenService/GetConfiguration";
    let (answer, _): (az::GetConfigurationResponse, _) = open.unary(path, ask).await.unwrap();
    assert!(answer.policy_decision_point.ends_with(&world.store));
}
