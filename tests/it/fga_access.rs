//! Access control: a client may ask of a store what the access control store says, by every route.

use behalf::wiring::ServerOptions;
use behalf_api::fga::wire::{authzen_v1 as az, openfga_v1 as pb};
use behalf_authz::engine::{AuthorizationModel, DeleteKey, OnConflict, TupleKey, WriteRequest};
use behalf_authz::{AccessControl, ApiRight};
use behalf_core::Actor;
use behalf_http::{LocalCaller, RouteRule, Rule};
use behalf_identity::Issuer;
use behalf_tests::{Answer, Client, GrpcClient, ISSUER, TestServer};
use http::{Method, Request, header};
use prost::Message;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{WEB, text};

/// The set-up file is the one that the documentation gives.
const HOW_TO: &str = include_str!("../../docs/how-to/access-control.md");
const ACCESS: &str = "01ACCESS000000000000000000";
const KEY: &str = "key-of-all-stores";

const SETUP: &str = r#"
users:
  - {user_id: "auth0|ann", username: ann, password: ann-password, roles: [administrator]}
clients:
  - {client_id: only, client_secret: s-secret, app_type: non_interactive, grant_types: [client_credentials]}
  - {client_id: others, client_secret: s-secret, app_type: non_interactive, grant_types: [client_credentials]}
  - {client_id: web, client_secret: web-secret, callbacks: ["https://web.example/callback"], grant_types: [authorization_code, password]}
client_grants:
  - {client_id: only, audience: "https://behalf.test/fga/", scope: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
  - {client_id: others, audience: "https://behalf.test/fga/", scope: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
"#;

/// The set-up file of the how-to, for this issuer and with a secret that is known.
fn how_to() -> String {
    let (_, rest) = HOW_TO.split_once("```yaml\n").unwrap();
    let (block, _) = rest.split_once("   ```").unwrap();
    let lines = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    let setup = lines.collect::<Vec<_>>().join("\n");
    let setup = setup.replace("https://behalf.example/", ISSUER);
    let client = "client_id: fga-admin\n";
    setup.replacen(client, &format!("{client}    client_secret: s-secret\n"), 1)
}

fn client(client_id: &'static str) -> Client {
    Client { client_id, client_secret: Some("s-secret"), redirect_uri: "" }
}

/// A server whose API is under access control.
struct World {
    server: TestServer,
    control: AccessControl,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start(&how_to()).await;
        server.apply(SETUP).await.unwrap();
        let (model_id, _) = server.server.authz.load_model(ACCESS, None).await.unwrap();
        let control = AccessControl { store_id: ACCESS.to_owned(), model_id };
        server.server.authz.verify_access_control(&control).await.unwrap();
        let mut options = ServerOptions::new(Issuer::parse(ISSUER).unwrap());
        options.fga_access_control = Some(control.clone());
        let TestServer { server, clock, dir } = server;
        server.storage.close().await;
        drop(server);
        Self { server: TestServer::reopen(dir, clock, options).await, control }
    }

    async fn token(&self, client_id: &'static str) -> String {
        let form = [("grant_type", "client_credentials"), ("audience", "https://behalf.test/fga/")];
        let answer = client(client_id).token(&self.server, &form).await.expect(200).json();
        text(&answer, "access_token").to_owned()
    }

    async fn change(&self, request: WriteRequest) {
        let authz = &self.server.server.authz;
        authz.write(ACCESS, None, &request, &Actor::System).await.unwrap();
    }

    /// Writes a tuple to the access control store.
    async fn grant(&self, client_id: &str, relation: &str, object: &str) {
        let writes = vec![TupleKey::new(format!("application:{client_id}"), relation, object)];
        let on_duplicate = OnConflict::Ignore;
        self.change(WriteRequest { writes, on_duplicate, ..WriteRequest::default() }).await;
    }

    async fn revoke(&self, client_id: &str, relation: &str, object: &str) {
        let user = format!("application:{client_id}");
        let deletes =
            vec![DeleteKey { user, relation: relation.to_owned(), object: object.to_owned() }];
        self.change(WriteRequest { deletes, ..WriteRequest::default() }).await;
    }

    /// A store with a model of two modules and a type of none, and its model's id.
    async fn store(&self) -> (String, String) {
        let authz = &self.server.server.authz;
        let store = authz.create_store("shop", &Actor::System).await.unwrap().id;
        let model = AuthorizationModel::from_json(&model().to_string()).unwrap();
        let model_id = authz.write_model(&store, model, &Actor::System).await.unwrap();
        let writes = vec![TupleKey::new("user:ann", "viewer", "doc:1")];
        let request = WriteRequest { writes, ..WriteRequest::default() };
        authz.write(&store, None, &request, &Actor::System).await.unwrap();
        (store, model_id)
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.server.send(request.body(body.to_owned().into()).unwrap()).await
    }

    fn grpc(&self, token: &str) -> GrpcClient {
        GrpcClient::new(&self.server.server.router, token)
    }
}

fn model() -> Value {
    let of = |module: &str| json!({"module": module, "relations": {"viewer": {"directly_related_user_types": [{"type": "user"}]}}});
    let viewer = json!({"viewer": {"this": {}}});
    json!({"schema_version": "1.2", "type_definitions": [
        {"type": "user"},
        {"type": "doc", "relations": viewer, "metadata": of("docs")},
        {"type": "bill", "relations": {"viewer": {"this": {}}, "payer": {"this": {}}},
         "metadata": {"module": "bills", "relations": {
            "viewer": {"directly_related_user_types": [{"type": "user"}]},
            "payer": {"module": "docs", "directly_related_user_types": [{"type": "user"}]}}}},
        {"type": "plain", "relations": viewer, "metadata": of("")}]})
}

fn tuple(object: &str) -> Value {
    json!({"user": "user:bob", "relation": "viewer", "object": object})
}

fn model_json() -> String {
    let mut model = model();
    model["type_definitions"].as_array_mut().unwrap().truncate(2);
    model.to_string()
}

/// A request that each route answers well.
fn sample(route: &RouteRule, store: &str, model_id: &str) -> Option<Vec<u8>> {
    let of = route.path.strip_prefix("/stores").unwrap_or(route.path);
    let of = of.strip_prefix("/{store_id}").unwrap_or(of);
    let key = json!({"user": "user:ann", "relation": "viewer", "object": "doc:1"});
    let evaluation = json!({"subject": {"type": "user", "id": "ann"},
        "resource": {"type": "doc", "id": "1"}, "action": {"name": "viewer"}});
    let json = match (route.method.as_str(), of) {
        ("GET" | "DELETE", _) => return Some(Vec::new()),
        ("POST", "") if route.path == "/stores" => json!({"name": "another"}),
        ("PATCH", "") => json!({"name": "other"}),
        ("POST", "/authorization-models") | ("PUT", "/behalf/authorization-models/{model_id}") => {
            return Some(model_json().into_bytes());
        }
        ("PUT", "/assertions/{model_id}") => json!({"assertions": []}),
        ("POST", "/write") => json!({"writes": {"tuple_keys": [tuple("doc:2")]}}),
        ("POST", "/read") => json!({}),
        ("POST", "/check" | "/behalf/explain" | "/behalf/semantics") => json!({"tuple_key": key}),
        ("POST", "/batch-check") => json!({"checks": [{"correlation_id": "1", "tuple_key": key}]}),
        ("POST", "/expand") => json!({"tuple_key": {"relation": "viewer", "object": "doc:1"}}),
        (
            "POST",
            "/list-objects"
            | "/streamed-list-objects"
            | "/behalf/list-objects"
            | "/behalf/list-all-objects",
        ) => json!({"type": "doc", "relation": "viewer", "user": "user:ann"}),
        ("POST", "/list-users") => json!({"object": {"type": "doc", "id": "1"},
            "relation": "viewer", "user_filters": [{"type": "user"}]}),
        ("POST", "/behalf/list-users") => {
            json!({"object": "doc:1", "relation": "viewer", "user_filter": {"type": "user"}})
        }
        ("POST", "/access/v1/evaluation") => evaluation,
        ("POST", "/access/v1/evaluations") => json!({"evaluations": [evaluation]}),
        ("POST", "/access/v1/search/subject") => json!({"subject": {"type": "user"},
            "resource": {"type": "doc", "id": "1"}, "action": {"name": "viewer"}}),
        ("POST", "/access/v1/search/resource") => json!({"subject": {"type": "user", "id": "ann"},
            "resource": {"type": "doc"}, "action": {"name": "viewer"}}),
        ("POST", "/access/v1/search/action") => json!({"subject": {"type": "user", "id": "ann"},
            "resource": {"type": "doc", "id": "1"}}),
        ("POST", "/behalf/filter") => {
            json!({"type": "doc", "relation": "viewer", "user": "user:ann", "ids": ["1"]})
        }
        ("POST", "/behalf/diff") => json!({"writes": [tuple("doc:2")],
            "list_objects": {"type": "doc", "relation": "viewer", "user": "user:bob"}}),
        ("POST", "/behalf/delete") => json!({"filter": {"object": "doc:1"}}),
        ("POST", "/behalf/import") => tuple("doc:2"),
        ("PUT", "/behalf/semantics") => json!({"semantics": "v1"}),
        ("PUT", "/behalf/store") => json!({"name": "shop"}),
        ("POST", "/behalf/merge") => json!({"changes": []}),
        _ => return grpc_sample(of, store, model_id),
    };
    Some(json.to_string().into_bytes())
}

fn framed(message: &impl Message) -> Option<Vec<u8>> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap();
    Some([&[0][..], &length.to_be_bytes()[..], &bytes].concat())
}

fn grpc_sample(path: &str, store: &str, model_id: &str) -> Option<Vec<u8>> {
    let (store_id, model_id) = (store.to_owned(), model_id.to_owned());
    let (user, relation, object) = ("user:ann".to_owned(), "viewer".to_owned(), "doc:1".to_owned());
    let key = Some(pb::CheckRequestTupleKey {
        user: user.clone(),
        relation: relation.clone(),
        object: object.clone(),
    });
    let subject = Some(az::Subject { r#type: "user".into(), id: "ann".into(), properties: None });
    let resource = Some(az::Resource { r#type: "doc".into(), id: "1".into(), properties: None });
    let action = Some(az::Action { name: "viewer".into(), properties: None });
    let method = path.rsplit('/').next().unwrap();
    match method {
        "Read" => framed(&pb::ReadRequest { store_id, ..Default::default() }),
        "Write" => {
            let tuple =
                pb::TupleKey { user, relation, object: "doc:2".into(), ..Default::default() };
            let writes = pb::WriteRequestWrites { tuple_keys: vec![tuple], ..Default::default() };
            framed(&pb::WriteRequest { store_id, writes: Some(writes), ..Default::default() })
        }
        "Check" => framed(&pb::CheckRequest { store_id, tuple_key: key, ..Default::default() }),
        "BatchCheck" => {
            let correlation_id = "1".to_owned();
            let item = pb::BatchCheckItem { tuple_key: key, correlation_id, ..Default::default() };
            framed(&pb::BatchCheckRequest { store_id, checks: vec![item], ..Default::default() })
        }
        "Expand" => {
            let key = pb::ExpandRequestTupleKey { relation, object };
            framed(&pb::ExpandRequest { store_id, tuple_key: Some(key), ..Default::default() })
        }
        "ReadAuthorizationModels" => {
            framed(&pb::ReadAuthorizationModelsRequest { store_id, ..Default::default() })
        }
        "ReadAuthorizationModel" => {
            framed(&pb::ReadAuthorizationModelRequest { store_id, id: model_id })
        }
        "WriteAuthorizationModel" => {
            let of = pb::TypeDefinition { r#type: "user".into(), ..Default::default() };
            framed(&pb::WriteAuthorizationModelRequest {
                store_id,
                schema_version: "1.1".into(),
                type_definitions: vec![of],
                ..Default::default()
            })
        }
        "WriteAssertions" => framed(&pb::WriteAssertionsRequest {
            store_id,
            authorization_model_id: model_id,
            ..Default::default()
        }),
        "ReadAssertions" => {
            framed(&pb::ReadAssertionsRequest { store_id, authorization_model_id: model_id })
        }
        "ReadChanges" => framed(&pb::ReadChangesRequest { store_id, ..Default::default() }),
        "CreateStore" => framed(&pb::CreateStoreRequest { name: "another".into() }),
        "UpdateStore" => framed(&pb::UpdateStoreRequest { store_id, name: "other".into() }),
        "DeleteStore" => framed(&pb::DeleteStoreRequest { store_id }),
        "GetStore" => framed(&pb::GetStoreRequest { store_id }),
        "ListStores" => framed(&pb::ListStoresRequest::default()),
        "ListObjects" | "StreamedListObjects" => framed(&pb::ListObjectsRequest {
            store_id,
            r#type: "doc".into(),
            relation,
            user,
            ..Default::default()
        }),
        "ListUsers" => framed(&pb::ListUsersRequest {
            store_id,
            object: Some(pb::Object { r#type: "doc".into(), id: "1".into() }),
            relation,
            user_filters: vec![pb::UserTypeFilter { r#type: "user".into(), ..Default::default() }],
            ..Default::default()
        }),
        "Evaluation" => {
            framed(&az::EvaluationRequest { store_id, subject, resource, action, context: None })
        }
        "Evaluations" => framed(&az::EvaluationsRequest {
            store_id,
            subject,
            resource,
            action,
            evaluations: vec![az::EvaluationsItemRequest::default()],
            ..Default::default()
        }),
        "SubjectSearch" => framed(&az::SubjectSearchRequest {
            store_id,
            subject: Some(az::SubjectFilter { r#type: "user".into(), ..Default::default() }),
            resource,
            action,
            ..Default::default()
        }),
        "ResourceSearch" => framed(&az::ResourceSearchRequest {
            store_id,
            subject,
            resource: Some(az::ResourceFilter { r#type: "doc".into(), ..Default::default() }),
            action,
            ..Default::default()
        }),
        "ActionSearch" => {
            framed(&az::ActionSearchRequest { store_id, subject, resource, ..Default::default() })
        }
        _ => None,
    }
}

/// Is the request let in? The refusal must be access control's, of this relation to this object.
async fn is_let_in(
    world: &World,
    token: &str,
    route: &RouteRule,
    (path, body): (&str, &[u8]),
    lacks: &str,
) -> bool {
    let name = format!("{} {}", route.method, route.path);
    if path.starts_with("/stores") {
        let request = Request::builder()
            .method(route.method.clone())
            .uri(path)
            .header(header::HOST, "behalf.test")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(axum::body::Body::from(body.to_vec())).unwrap();
        let response = world.server.server.router.clone().oneshot(request).await.unwrap();
        if response.status().as_u16() != 403 {
            let is_well = response.status().is_success();
            assert!(is_well || route.method == Method::PATCH, "{name}: {}", response.status());
            return true;
        }
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        // A stream's error has gRPC's number for its class in place of a code.
        let code = if path.contains("/streamed-") { "\"code\":16" } else { "\"forbidden\"" };
        assert!(body.contains(code) && body.contains(lacks), "{name}: {body}");
        return false;
    }
    let answer = world.grpc(token).raw(path, body.to_vec(), &[]).await;
    let status = |headers: &http::HeaderMap| headers.get("grpc-status").cloned();
    let status = status(&answer.headers).or_else(|| answer.trailers.as_ref().and_then(status));
    let status = status.unwrap().to_str().unwrap().to_owned();
    if status != "1600" {
        let expected = if path.ends_with("/UpdateStore") { "12" } else { "0" };
        assert_eq!(status, expected, "{name}: {:?}", answer.headers);
        return true;
    }
    let message = answer.headers["grpc-message"].to_str().unwrap();
    assert!(message.contains(lacks), "{name}: {message}");
    false
}

/// The relation that its rule names lets a client in, and every other one together does not.
#[tokio::test]
async fn every_route_asks_for_its_relation_and_no_other() {
    let world = World::new().await;
    let (only, others) = (world.token("only").await, world.token("others").await);
    // The how-to lets everybody list stores, of which each sees her own.
    world.revoke("*", "can_call_list_stores", "system:fga").await;
    let mut count = 0;
    for route in &world.server.server.rules {
        let Rule::Fga(_, right) = route.rule else { continue };
        let (store, model_id) = world.store().await;
        let new_id = world.server.server.authz.new_id();
        // A model or a store that is there already has its id; new ones have new ones.
        let is_new = route.method == Method::PUT && route.path.contains("/behalf/");
        let model_in_path = if is_new { &new_id } else { &model_id };
        let path = route.path.replace("{store_id}", &store).replace("{model_id}", model_in_path);
        let body = sample(route, &store, &model_id).unwrap_or_else(|| {
            panic!("{}: new? Give it a request here, and a line in the how-to", route.path)
        });
        let request = (path.as_str(), body.as_slice());
        let object = right.object(&store);
        let lacks = format!("`{}` on `{object}`", right.relation());
        for right in ApiRight::ALL.into_iter().filter(|other| *other != right) {
            world.grant("others", right.relation(), &right.object(&store)).await;
        }
        assert!(!is_let_in(&world, &others, route, request, &lacks).await, "{}", route.path);
        for right in ApiRight::ALL.into_iter().filter(|other| *other != right) {
            world.revoke("others", right.relation(), &right.object(&store)).await;
        }
        world.grant("only", right.relation(), &object).await;
        assert!(is_let_in(&world, &only, route, request, "").await, "{}", route.path);
        world.revoke("only", right.relation(), &object).await;
        if right != ApiRight::DeleteStore {
            assert!(!is_let_in(&world, &only, route, request, &lacks).await, "{}", route.path);
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_relation_stands_in_the_documentation() {
    let (_, table) = HOW_TO.split_once("## What each method needs").unwrap();
    for right in ApiRight::ALL {
        assert!(table.contains(&format!("`{}`", right.relation())), "{right:?}");
    }
}

#[tokio::test]
async fn without_the_whole_store_a_write_touches_one_module() {
    let world = World::new().await;
    let (store, model_id) = world.store().await;
    let token = world.token("only").await;
    let write = async |writes: &[&str], deletes: &[Value]| {
        let mut body = json!({"authorization_model_id": model_id});
        if !writes.is_empty() {
            let tuples: Vec<Value> = writes.iter().map(|object| tuple(object)).collect();
            body["writes"] = json!({"tuple_keys": tuples});
        }
        if !deletes.is_empty() {
            body["deletes"] = json!({"tuple_keys": deletes});
        }
        let path = format!("/stores/{store}/write");
        world.ask(&token, Method::POST, &path, &body.to_string()).await
    };
    let store_wide = format!("`can_call_write` on `store:{store}`");
    assert!(write(&["doc:2"], &[]).await.expect(403).text.contains(&store_wide));
    world.grant("only", "can_call_write", &format!("module:{store}|docs")).await;
    write(&["doc:2"], &[]).await.expect(200);
    write(&[], &[tuple("doc:2")]).await.expect(200);
    // A relation may belong to another module than its type.
    let payer = json!({"user": "user:bob", "relation": "payer", "object": "bill:1"});
    let body = json!({"writes": {"tuple_keys": [payer]}}).to_string();
    let path = format!("/stores/{store}/write");
    world.ask(&token, Method::POST, &path, &body).await.expect(200);
    for (writes, deletes) in [
        (&["bill:1"][..], &[][..]),
        (&["plain:1"], &[]),
        (&["doc:3", "plain:1"], &[]),
        (&["plain:1", "doc:3"], &[]),
        (&["bill:1", "doc:3"], &[]),
        (&["nothing:1"], &[]),
        (&["doc:3"], &[tuple("plain:1")]),
    ] {
        let refused = write(writes, deletes).await.expect(403).text;
        assert!(refused.contains(&store_wide), "{writes:?}: {refused}");
    }
    // Both modules, but not in one request.
    world.grant("only", "can_call_write", &format!("module:{store}|bills")).await;
    write(&["bill:1"], &[]).await.expect(200);
    let refused = write(&["doc:3"], &[tuple("bill:1")]).await.expect(403).text;
    assert!(refused.contains("touches one module, not 2"), "{refused}");
    // A module is not the store, whichever way tuples are written.
    for (path, body) in [
        ("import", tuple("doc:4").to_string()),
        ("delete", json!({"filter": {"object": "doc:1"}}).to_string()),
        ("merge", json!({"changes": []}).to_string()),
    ] {
        let path = format!("/stores/{store}/behalf/{path}");
        world.ask(&token, Method::POST, &path, &body).await.expect(403);
    }
    // Over gRPC, and with the whole store.
    let grpc = world.grpc(&token);
    let message = |objects: &[&str]| {
        let tuple = |object: &&str| pb::TupleKey {
            user: "user:cid".to_owned(),
            relation: "viewer".to_owned(),
            object: (*object).to_owned(),
            ..Default::default()
        };
        let tuple_keys = objects.iter().map(tuple).collect();
        let writes = Some(pb::WriteRequestWrites { tuple_keys, ..Default::default() });
        pb::WriteRequest { store_id: store.clone(), writes, ..Default::default() }
    };
    const WRITE: &str = "/openfga.v1.OpenFGAService/Write";
    let send = async |objects: &[&str]| {
        let sent = grpc.unary::<_, pb::WriteResponse>(WRITE, message(objects)).await;
        sent.map_or_else(|error| error.number, |_| 0)
    };
    assert_eq!(send(&["doc:5"]).await, 0);
    assert_eq!(send(&["doc:6", "bill:6"]).await, 1600);
    world.grant("only", "writer", &format!("store:{store}")).await;
    assert_eq!(send(&["doc:6", "bill:6", "plain:6"]).await, 0);
}

#[tokio::test]
async fn the_module_is_that_of_the_model_that_the_write_is_made_with() {
    let world = World::new().await;
    let (store, old) = world.store().await;
    let token = world.token("only").await;
    world.grant("only", "can_call_write", &format!("module:{store}|docs")).await;
    let moved = model().to_string().replace("\"docs\"", "\"bills\"");
    let moved = AuthorizationModel::from_json(&moved).unwrap();
    let new = world.server.server.authz.write_model(&store, moved, &Actor::System).await.unwrap();
    let path = format!("/stores/{store}/write");
    for (model_id, object, status) in
        [("", "doc:2", 403), (new.as_str(), "doc:2", 403), (old.as_str(), "doc:2", 200)]
    {
        let body = json!({"authorization_model_id": model_id,
            "writes": {"tuple_keys": [tuple(object)]}});
        world.ask(&token, Method::POST, &path, &body.to_string()).await.expect(status);
    }
    let unknown = json!({"authorization_model_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "writes": {"tuple_keys": [tuple("doc:2")]}});
    world.ask(&token, Method::POST, &path, &unknown.to_string()).await.expect(403);
}

#[tokio::test]
async fn stores_are_listed_that_the_client_could_get() {
    let world = World::new().await;
    let mut stores = Vec::new();
    for _ in 0..5 {
        stores.push(world.store().await.0);
    }
    stores.sort();
    let token = world.token("only").await;
    let pages = async |token: &str| {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/stores?page_size=2&continuation_token={after}");
            let page = world.ask(token, Method::GET, &path, "").await.expect(200).json();
            let listed = page["stores"].as_array().unwrap();
            seen.extend(listed.iter().map(|store| text(store, "id").to_owned()));
            text(&page, "continuation_token").clone_into(&mut after);
            if after.is_empty() {
                return seen;
            }
        }
    };
    assert_eq!(pages(&token).await, Vec::<String>::new());
    for index in [4, 0, 2] {
        world.grant("only", "checker", &format!("store:{}", stores[index])).await;
    }
    let expected = vec![stores[0].clone(), stores[2].clone(), stores[4].clone()];
    assert_eq!(pages(&token).await, expected);
    const LIST: &str = "/openfga.v1.OpenFGAService/ListStores";
    let request = pb::ListStoresRequest::default();
    let listed = world.grpc(&token).unary::<_, pb::ListStoresResponse>(LIST, request).await;
    let listed = listed.unwrap().0.stores.into_iter().map(|store| store.id);
    assert_eq!(listed.collect::<Vec<_>>(), expected);
    // Whoever administers the system sees them all, without a tuple about any.
    let all = pages(&world.token("fga-admin").await).await;
    assert!(stores.iter().all(|store| all.contains(store)) && all.contains(&ACCESS.to_owned()));
}

#[tokio::test]
async fn who_is_no_client_is_let_in_nowhere_except_by_the_folder() {
    let world = World::new().await;
    let (store, _) = world.store().await;
    let path = format!("/stores/{store}/check");
    let body = json!({"tuple_key": {"user": "user:ann", "relation": "viewer", "object": "doc:1"}});
    let refused = world.ask(KEY, Method::POST, &path, &body.to_string()).await.expect(403).text;
    assert!(refused.contains("only a client's access token opens this"), "{refused}");
    world.ask(KEY, Method::GET, "/stores", "").await.expect(403);
    world.ask(KEY, Method::POST, "/stores", r#"{"name": "another"}"#).await.expect(403);
    let mut request = Request::post(path.as_str()).body(body.to_string().into()).unwrap();
    request.extensions_mut().insert(LocalCaller(Actor::System));
    assert_eq!(world.server.send(request).await.expect(200).json()["allowed"], true);
}

#[tokio::test]
async fn a_persons_token_is_her_applications_and_scopes_hold_on_top() {
    let world = World::new().await;
    let (store, _) = world.store().await;
    let body = json!({"tuple_key": {"user": "user:ann", "relation": "viewer", "object": "doc:1"}});
    let path = format!("/stores/{store}/check");
    let token = async |scope: &str| {
        let form = [
            ("grant_type", "password"),
            ("username", "ann"),
            ("password", "ann-password"),
            ("audience", "https://behalf.test/fga/"),
            ("scope", scope),
        ];
        let answer = WEB.token(&world.server, &form).await.expect(200).json();
        text(&answer, "access_token").to_owned()
    };
    let (may_check, may_read) = (token("check:fga").await, token("read:fga").await);
    let ask = async |token: &str| world.ask(token, Method::POST, &path, &body.to_string()).await;
    // She is an administrator, and her application has no rights.
    let refused = ask(&may_check).await.expect(403).text;
    assert!(refused.contains("`application:web` lacks `can_call_check`"), "{refused}");
    world.grant("web", "admin", "system:fga").await;
    assert_eq!(ask(&may_check).await.expect(200).json()["allowed"], true);
    let refused = ask(&may_read).await.expect(403).text;
    assert!(refused.contains("lacks scope `check:fga`"), "{refused}");
}

#[tokio::test]
async fn when_access_control_cannot_be_asked_nothing_is_allowed() {
    let world = World::new().await;
    let (store, _) = world.store().await;
    let token = world.token("fga-admin").await;
    let path = format!("/stores/{store}");
    world.ask(&token, Method::GET, &path, "").await.expect(200);
    world.server.server.authz.delete_store(ACCESS, &Actor::System).await.unwrap();
    for path in [path.as_str(), "/stores"] {
        let answer = world.ask(&token, Method::GET, path, "").await.expect(500);
        assert!(!answer.text.contains(ACCESS), "{}", answer.text);
    }
    let error = world.server.server.authz.verify_access_control(&world.control).await.unwrap_err();
    assert_eq!(error.to_string(), format!("there is no FGA store `{ACCESS}`"));
}

#[tokio::test]
async fn a_model_that_lacks_a_relation_cannot_be_asked() {
    let server = TestServer::start(&how_to()).await;
    let authz = &server.server.authz;
    let (model_id, json) = authz.load_model(ACCESS, None).await.unwrap();
    let control = |model_id: &str| AccessControl {
        store_id: ACCESS.to_owned(),
        model_id: model_id.to_owned(),
    };
    authz.verify_access_control(&control(&model_id)).await.unwrap();
    let missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let error = authz.verify_access_control(&control(missing)).await.unwrap_err().to_string();
    assert_eq!(error, format!("FGA store `{ACCESS}` has no model `{missing}`"));
    let text = AuthorizationModel::from_json(&json).unwrap().to_dsl().unwrap();
    for (line, lacks) in [
        ("define can_call_expand", "the relation `can_call_expand` of the type `store`"),
        ("define can_call_list_stores", "the relation `can_call_list_stores` of the type `system`"),
    ] {
        let lines = text.lines().filter(|of| !of.trim().starts_with(line));
        let model = AuthorizationModel::from_dsl(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        let model_id = authz.write_model(ACCESS, model, &Actor::System).await.unwrap();
        let error = authz.verify_access_control(&control(&model_id)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("model `{model_id}` lacks {lacks}"));
    }
}
