//! OpenFGA's methods over gRPC: numbers, messages, who may call, health, reflection.

use behalf_api::fga::wire::{health_v1, openfga_v1 as pb, reflection_v1};
use behalf_tests::{GrpcClient, GrpcError};
use http::Method;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use serde_json::{Value, json};

use crate::fga_surface::{World, tuple};

pub(crate) const CHECK: &str = "/openfga.v1.OpenFGAService/Check";
const KEY: &str = "key-of-all-stores";

fn client(world: &World) -> GrpcClient {
    GrpcClient::new(&world.server.server.router, KEY)
}

fn check(world: &World, user: &str, relation: &str, object: &str) -> pb::CheckRequest {
    pb::CheckRequest {
        store_id: world.store.clone(),
        tuple_key: Some(pb::CheckRequestTupleKey {
            user: user.to_owned(),
            relation: relation.to_owned(),
            object: object.to_owned(),
        }),
        ..pb::CheckRequest::default()
    }
}

async fn refused<Q>(client: &GrpcClient, path: &'static str, message: Q) -> (u16, String)
where
    Q: prost::Message + Clone + 'static,
{
    let answer = client.unary::<Q, pb::CheckResponse>(path, message).await;
    let GrpcError { number, message } = answer.map(|(answer, _)| answer).unwrap_err();
    (number, message)
}

#[tokio::test]
async fn errors_carry_openfgas_numbers_and_broken_rules_grpcs_own() {
    let world = World::new().await;
    let client = client(&world);
    let (number, _) = refused(&client, CHECK, check(&world, "user:a", "nope", "doc:1")).await;
    assert_eq!(number, 2000);
    let (number, message) = refused(&client, CHECK, check(&world, "user:a", "viewer", "x")).await;
    assert_eq!(number, 3, "a field that breaks its rule");
    assert_eq!(
        message,
        "invalid CheckRequest.TupleKey: embedded message failed validation | caused by: invalid \
         CheckRequestTupleKey.Object: value does not match regex pattern \"^[^\\\\s]{2,256}$\""
    );
    let missing = pb::CheckRequest { tuple_key: None, ..check(&world, "", "", "") };
    assert_eq!(refused(&client, CHECK, missing).await.0, 3);
    let mut other = check(&world, "user:a", "viewer", "doc:1");
    other.store_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned();
    assert_eq!(refused(&client, CHECK, other).await.0, 5002);
    let mut unknown_model = check(&world, "user:a", "viewer", "doc:1");
    unknown_model.authorization_model_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned();
    assert_eq!(refused(&client, CHECK, unknown_model).await.0, 2001);
    let update = "/openfga.v1.OpenFGAService/UpdateStore";
    assert_eq!(refused(&client, update, pb::UpdateStoreRequest::default()).await.0, 12);
    let nothing = "/openfga.v1.OpenFGAService/Nothing";
    assert_eq!(refused(&client, nothing, pb::GetStoreRequest::default()).await.0, 12);
    let crowd = (0..101).map(|n| pb::TupleKey {
        user: format!("user:{n}"),
        relation: "viewer".to_owned(),
        object: "doc:1".to_owned(),
        ..Default::default()
    });
    let write = pb::WriteRequest {
        store_id: world.store.clone(),
        writes: Some(pb::WriteRequestWrites { tuple_keys: crowd.collect(), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(refused(&client, "/openfga.v1.OpenFGAService/Write", write).await.0, 2053);
    let large = check(&world, &"x".repeat(700_000), "viewer", "doc:1");
    assert_eq!(refused(&client, CHECK, large).await.0, 8);
    // The store does not come to that revision in the caller's time.
    let late = client.clone().with("grpc-timeout", "20m").with("behalf-min-revision", "9");
    assert_eq!(refused(&late, CHECK, check(&world, "user:a", "viewer", "doc:1")).await.0, 4);
}

#[tokio::test]
async fn who_may_call_is_decided_as_over_http() {
    let world = World::new().await;
    let ask = check(&world, "user:a", "viewer", "doc:1");
    let router = &world.server.server.router;
    let (number, _) = refused(&GrpcClient::new(router, ""), CHECK, ask.clone()).await;
    assert_eq!(number, 1010);
    let (number, _) = refused(&GrpcClient::new(router, "no-such-key"), CHECK, ask.clone()).await;
    assert_eq!(number, 1500);
    let other = world.ask(Method::POST, "/stores", json!({"name": "other"})).await.json();
    let limited = format!(
        "fga:\n  api_keys:\n    - {{name: one, key: key-of-one-store, stores: [{}], \
         scopes: [\"check:fga\"]}}\n",
        other["id"].as_str().unwrap()
    );
    world.server.apply(&limited).await.unwrap();
    let one = GrpcClient::new(router, "key-of-one-store");
    assert_eq!(refused(&one, CHECK, ask.clone()).await.0, 1600, "the store is out of reach");
    let create = "/openfga.v1.OpenFGAService/CreateStore";
    let store = pb::CreateStoreRequest { name: "more".to_owned() };
    assert_eq!(refused(&one, create, store).await.0, 1600, "a scope is missing");
    let mut reached = ask;
    reached.store_id = other["id"].as_str().unwrap().to_owned();
    assert_eq!(refused(&one, CHECK, reached).await.0, 2020, "reached, but it has no model");
}

#[tokio::test]
async fn stores_models_tuples_changes_and_assertions_go_both_ways() {
    let world = World::new().await;
    let client = client(&world);
    let (store, _): (pb::CreateStoreResponse, _) = client
        .unary(
            "/openfga.v1.OpenFGAService/CreateStore",
            pb::CreateStoreRequest { name: "by grpc".to_owned() },
        )
        .await
        .unwrap();
    let store_id = store.id.clone();
    let (read, _): (pb::ReadAuthorizationModelResponse, _) = client
        .unary(
            "/openfga.v1.OpenFGAService/ReadAuthorizationModel",
            pb::ReadAuthorizationModelRequest {
                store_id: world.store.clone(),
                id: world.model.clone(),
            },
        )
        .await
        .unwrap();
    let model = read.authorization_model.unwrap();
    let (written, _): (pb::WriteAuthorizationModelResponse, _) = client
        .unary(
            "/openfga.v1.OpenFGAService/WriteAuthorizationModel",
            pb::WriteAuthorizationModelRequest {
                store_id: store_id.clone(),
                type_definitions: model.type_definitions.clone(),
                schema_version: model.schema_version.clone(),
                conditions: model.conditions.clone(),
            },
        )
        .await
        .unwrap();
    // HTTP shows the same model, but for its id.
    let path =
        format!("/stores/{store_id}/authorization-models/{}", written.authorization_model_id);
    let mut by_http = world.ask(Method::GET, &path, Value::Null).await.expect(200).json();
    by_http["authorization_model"]["id"] = world.model.as_str().into();
    let first = world.get(&format!("/authorization-models/{}", world.model)).await.json();
    assert_eq!(by_http, first);

    let time = |text: &str| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
    };
    let context = |name: &str, text: &str| prost_types::Struct {
        fields: [(name.to_owned(), time(text))].into(),
    };
    let key = pb::TupleKey {
        user: "user:a".to_owned(),
        relation: "viewer".to_owned(),
        object: "doc:1".to_owned(),
        condition: Some(pb::RelationshipCondition {
            name: "in_time".to_owned(),
            context: Some(context("until", "2027-01-01T00:00:00Z")),
        }),
        ..Default::default()
    };
    let write = pb::WriteRequest {
        store_id: store_id.clone(),
        writes: Some(pb::WriteRequestWrites {
            tuple_keys: vec![key.clone()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let (_, metadata): (pb::WriteResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/Write", write).await.unwrap();
    assert_eq!(metadata.get("behalf-revision").unwrap(), "1");
    for (now, allowed) in [("2026-06-01T00:00:00Z", true), ("2028-06-01T00:00:00Z", false)] {
        let mut ask = check(&world, "user:a", "can_view", "doc:1");
        ask.store_id.clone_from(&store_id);
        ask.context = Some(context("now", now));
        let (answer, metadata): (pb::CheckResponse, _) = client.unary(CHECK, ask).await.unwrap();
        assert_eq!(answer.allowed, allowed, "{now}");
        let model = metadata.get("openfga-authorization-model-id").unwrap();
        assert_eq!(model, written.authorization_model_id.as_str());
    }
    let read = pb::ReadRequest { store_id: store_id.clone(), ..Default::default() };
    let (page, _): (pb::ReadResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/Read", read).await.unwrap();
    let tuple = &page.tuples[0];
    assert_eq!(tuple.key.as_ref(), Some(&key));
    assert_eq!(tuple.timestamp.as_ref().unwrap().seconds, world.server.now().as_secs());
    let changes = pb::ReadChangesRequest { store_id: store_id.clone(), ..Default::default() };
    let (changes, _): (pb::ReadChangesResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/ReadChanges", changes).await.unwrap();
    assert_eq!(changes.changes[0].tuple_key.as_ref(), Some(&key));
    assert_eq!(changes.changes[0].operation(), pb::TupleOperation::Write);
    let assertion = pb::Assertion {
        tuple_key: Some(pb::AssertionTupleKey {
            object: "doc:1".to_owned(),
            relation: "can_view".to_owned(),
            user: "user:a".to_owned(),
        }),
        expectation: true,
        contextual_tuples: vec![key],
        context: None,
    };
    let write = pb::WriteAssertionsRequest {
        store_id: store_id.clone(),
        authorization_model_id: written.authorization_model_id.clone(),
        assertions: vec![assertion.clone()],
    };
    let _: (pb::WriteAssertionsResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/WriteAssertions", write).await.unwrap();
    let read = pb::ReadAssertionsRequest {
        store_id: store_id.clone(),
        authorization_model_id: written.authorization_model_id,
    };
    let (assertions, _): (pb::ReadAssertionsResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/ReadAssertions", read).await.unwrap();
    assert_eq!(assertions.assertions, [assertion]);
    let delete = pb::DeleteStoreRequest { store_id: store_id.clone() };
    let _: (pb::DeleteStoreResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/DeleteStore", delete).await.unwrap();
    let get = pb::GetStoreRequest { store_id };
    assert_eq!(refused(&client, "/openfga.v1.OpenFGAService/GetStore", get).await.0, 5002);
}

#[tokio::test]
async fn objects_come_one_by_one_on_the_stream_and_so_do_errors() {
    let world = World::new().await;
    let tuples: Vec<Value> =
        (0..60).map(|n| tuple("user:a", "viewer", &format!("doc:{n}"))).collect();
    world.write(&tuples).await;
    let request = |object_type: &str| pb::StreamedListObjectsRequest {
        store_id: world.store.clone(),
        r#type: object_type.to_owned(),
        relation: "can_view".to_owned(),
        user: "user:a".to_owned(),
        ..Default::default()
    };
    let path = "/openfga.v1.OpenFGAService/StreamedListObjects";
    let client = client(&world);
    let found: Vec<pb::StreamedListObjectsResponse> =
        client.streaming(path, vec![request("doc")]).await.unwrap();
    let found: std::collections::BTreeSet<_> = found.into_iter().map(|one| one.object).collect();
    assert_eq!(found.len(), 60);
    let error = client
        .streaming::<_, pb::StreamedListObjectsResponse>(path, vec![request("nope")])
        .await
        .unwrap_err();
    assert_eq!(error.number, 2021);
}

#[tokio::test]
async fn health_and_reflection_answer_without_a_token() {
    let world = World::new().await;
    let client = GrpcClient::new(&world.server.server.router, "");
    let path = "/grpc.health.v1.Health/Check";
    for service in ["", "openfga.v1.OpenFGAService", "authzen.v1.AuthZenService"] {
        let ask = health_v1::HealthCheckRequest { service: service.to_owned() };
        let (answer, _): (health_v1::HealthCheckResponse, _) =
            client.unary(path, ask).await.unwrap();
        assert_eq!(answer.status().as_str_name(), "SERVING");
    }
    let ask = health_v1::HealthCheckRequest { service: "nobody.v1".to_owned() };
    assert_eq!(refused(&client, path, ask).await.0, 5);

    let question = |ask| reflection_v1::ServerReflectionRequest {
        message_request: Some(ask),
        ..Default::default()
    };
    use reflection_v1::server_reflection_request::MessageRequest as Ask;
    use reflection_v1::server_reflection_response::MessageResponse as Told;
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let questions = vec![
            question(Ask::ListServices(String::new())),
            question(Ask::FileContainingSymbol("openfga.v1.OpenFGAService".to_owned())),
            question(Ask::FileContainingSymbol("openfga.v1.UsersetTree.Leaf".to_owned())),
            question(Ask::FileByFilename("nope.proto".to_owned())),
        ];
        let told: Vec<reflection_v1::ServerReflectionResponse> =
            client.streaming(path, questions).await.unwrap();
        let told: Vec<Told> = told.into_iter().map(|one| one.message_response.unwrap()).collect();
        let [
            Told::ListServicesResponse(services),
            Told::FileDescriptorResponse(of_service),
            Told::FileDescriptorResponse(of_message),
            Told::ErrorResponse(error),
        ] = told.as_slice()
        else {
            panic!("{told:?}");
        };
        let names: Vec<&str> = services.service.iter().map(|one| one.name.as_str()).collect();
        assert!(names.contains(&"openfga.v1.OpenFGAService"), "{names:?}");
        assert_eq!(of_service, of_message);
        let file = FileDescriptorProto::decode(&*of_service.file_descriptor_proto[0]).unwrap();
        assert_eq!(file.service[0].method.len(), 19);
        assert_eq!(error.error_code, 5);
    }
}
