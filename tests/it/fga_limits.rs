//! OpenFGA's limits, when the operator sets them: what is cut off is said.

use std::collections::BTreeSet;
use std::time::Duration;

use behalf_api::fga::wire::openfga_v1 as pb;
use behalf_http::FgaLimits;
use behalf_tests::GrpcClient;
use serde_json::{Value, json};

use crate::fga_surface::{World, code, tuple};
use crate::kill::{SETUP, Server, exchange};

/// Folders that lie in folders, and documents that everybody of a folder sees.
fn nested() -> Value {
    let direct = |kinds: Value| json!({"directly_related_user_types": kinds});
    let from = |tupleset: &str, relation: &str| {
        json!({"tupleToUserset": {"tupleset": {"relation": tupleset},
            "computedUserset": {"relation": relation}}})
    };
    // A chain of types, none of them recursive.
    let mut types = vec![
        json!({"type": "user"}),
        json!({"type": "t0", "relations": {"viewer": {"this": {}}},
            "metadata": {"relations": {"viewer": direct(json!([{"type": "user"}]))}}}),
    ];
    for level in 1..=4 {
        types.push(json!({"type": format!("t{level}"),
            "relations": {"parent": {"this": {}}, "viewer": from("parent", "viewer")},
            "metadata": {"relations": {
                "parent": direct(json!([{"type": format!("t{}", level - 1)}]))}}}));
    }
    types.push(json!({"type": "doc", "relations": {"viewer": {"this": {}}},
        "metadata": {"relations": {"viewer": direct(json!([{"type": "user"}]))}}}));
    json!({"schema_version": "1.1", "type_definitions": types})
}

async fn with(limits: FgaLimits) -> World {
    World::limited(limits, nested()).await
}

const ASK: &str = "/list-objects";

fn objects() -> Value {
    json!({"type": "doc", "relation": "viewer", "user": "user:a"})
}

fn users() -> Value {
    json!({"object": {"type": "doc", "id": "all"}, "relation": "viewer",
        "user_filters": [{"type": "user"}]})
}

/// Lets one user view 250 documents, and 250 users view one.
async fn share(world: &World) {
    for chunk in 0..5 {
        let names = (0..50).map(|n| chunk * 50 + n);
        let tuples: Vec<Value> = names
            .flat_map(|n| {
                let mine = tuple("user:a", "viewer", &format!("doc:{n}"));
                [mine, tuple(&format!("user:{n}"), "viewer", "doc:all")]
            })
            .collect();
        world.write(&tuples).await;
    }
}

fn distinct(list: &Value) -> usize {
    list.as_array().unwrap().iter().map(Value::to_string).collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn lists_are_complete_unless_a_limit_is_set_and_say_so_when_they_are_cut() {
    let whole = with(FgaLimits::default()).await;
    share(&whole).await;
    let answer = whole.post(ASK, objects()).await.expect(200);
    assert_eq!(distinct(&answer.json()["objects"]), 250);
    assert!(!answer.headers.contains_key("behalf-complete"));
    let answer = whole.post("/list-users", users()).await.expect(200);
    assert_eq!(distinct(&answer.json()["users"]), 250);
    assert!(!answer.headers.contains_key("behalf-complete"));

    let limits = FgaLimits {
        list_objects_max_results: 100,
        list_users_max_results: 7,
        ..FgaLimits::default()
    };
    let cut = with(limits).await;
    share(&cut).await;
    let answer = cut.post(ASK, objects()).await.expect(200);
    assert_eq!(distinct(&answer.json()["objects"]), 100);
    assert_eq!(answer.headers["behalf-complete"], "false");
    let answer = cut.post("/list-users", users()).await.expect(200);
    assert_eq!(distinct(&answer.json()["users"]), 7);
    assert_eq!(answer.headers["behalf-complete"], "false");
    // A stream is not cut by number, and a list that fits is not cut at all.
    let answer = cut.post("/streamed-list-objects", objects()).await.expect(200);
    assert_eq!(answer.text.lines().count(), 250);
    assert!(!answer.headers.contains_key("behalf-complete"));
    let few = json!({"type": "doc", "relation": "viewer", "user": "user:7"});
    let answer = cut.post(ASK, few).await.expect(200);
    assert_eq!(answer.json()["objects"], json!(["doc:all"]));
    assert!(!answer.headers.contains_key("behalf-complete"));

    let client = GrpcClient::new(&cut.server.server.router, "key-of-all-stores");
    let request = pb::ListObjectsRequest {
        store_id: cut.store.clone(),
        r#type: "doc".to_owned(),
        relation: "viewer".to_owned(),
        user: "user:a".to_owned(),
        ..Default::default()
    };
    let (answer, metadata): (pb::ListObjectsResponse, _) =
        client.unary("/openfga.v1.OpenFGAService/ListObjects", request).await.unwrap();
    assert_eq!(answer.objects.len(), 100);
    assert_eq!(metadata.get("behalf-complete").unwrap(), "false");
    // Behalf's own lists go on where a page ends, so no limit concerns them.
    let page = json!({"type": "doc", "relation": "viewer", "user": "user:a"});
    let page = cut.post("/behalf/list-objects", page).await.expect(200).json();
    assert_eq!((distinct(&page["objects"]), &page["complete"]), (250, &json!(true)));
}

#[tokio::test]
async fn a_list_ends_at_its_deadline_and_says_that_it_did() {
    let soon = Duration::from_nanos(1);
    let limits = FgaLimits {
        list_objects_deadline: soon,
        list_users_deadline: soon,
        ..FgaLimits::default()
    };
    let late = with(limits).await;
    share(&late).await;
    for path in [ASK, "/streamed-list-objects"] {
        let answer = late.post(path, objects()).await.expect(200);
        assert_eq!(answer.headers["behalf-complete"], "false", "{path}: {}", answer.text);
    }
    let answer = late.post("/list-users", users()).await.expect(200);
    assert_eq!(answer.headers["behalf-complete"], "false");
    let check = json!({"tuple_key": tuple("user:a", "viewer", "doc:1")});
    assert_eq!(late.post("/check", check).await.expect(200).json()["allowed"], true);

    let hour = Duration::from_hours(1);
    let limits = FgaLimits {
        list_objects_deadline: hour,
        list_users_deadline: hour,
        ..FgaLimits::default()
    };
    let early = with(limits).await;
    share(&early).await;
    let answer = early.post(ASK, objects()).await.expect(200);
    assert_eq!(distinct(&answer.json()["objects"]), 250);
    assert!(!answer.headers.contains_key("behalf-complete"));
    let answer = early.post("/list-users", users()).await.expect(200);
    assert_eq!(distinct(&answer.json()["users"]), 250);
}

#[tokio::test]
async fn hops_are_counted_up_to_the_limit_and_not_at_all_without_one() {
    for (limit, is_answered) in [(2, false), (25, true), (0, true)] {
        let world = with(FgaLimits { resolve_node_limit: limit, ..FgaLimits::default() }).await;
        let mut tuples = vec![tuple("user:a", "viewer", "t0:x")];
        tuples
            .extend((1..=4).map(|level| {
                tuple(&format!("t{}:x", level - 1), "parent", &format!("t{level}:x"))
            }));
        world.write(&tuples).await;
        let body = json!({"tuple_key": tuple("user:a", "viewer", "t4:x")});
        let answer = world.post("/check", body).await;
        if is_answered {
            assert_eq!(answer.expect(200).json()["allowed"], true, "{limit}");
        } else {
            assert_eq!(code(answer, 400), "authorization_model_resolution_too_complex");
        }
    }
}

#[tokio::test]
async fn changes_are_kept_back_for_the_horizon() {
    let horizon = Duration::from_mins(2);
    let world = with(FgaLimits { changelog_horizon: horizon, ..FgaLimits::default() }).await;
    let read = async |token: &str| {
        let path = format!("/changes?continuation_token={token}");
        let page = world.get(&path).await.expect(200).json();
        let token = page["continuation_token"].as_str().unwrap().to_owned();
        (page["changes"].as_array().unwrap().len(), token)
    };
    world.write(&[tuple("user:a", "viewer", "doc:1"), tuple("user:b", "viewer", "doc:1")]).await;
    assert_eq!(read("").await, (0, String::new()));
    world.server.advance(Duration::from_mins(1));
    world.write(&[tuple("user:c", "viewer", "doc:1")]).await;
    world.server.advance(Duration::from_mins(1));
    let (count, token) = read("").await;
    assert_eq!(count, 2, "what is older than the horizon");
    assert_eq!(read(&token).await, (0, token.clone()), "nothing new yet: the same token");
    world.server.advance(Duration::from_mins(1));
    assert_eq!(read(&token).await.0, 1);
    // What is kept back of the log counts all the same.
    let check = json!({"tuple_key": tuple("user:c", "viewer", "doc:1")});
    assert_eq!(world.post("/check", check).await.expect(200).json()["allowed"], true);
}

#[tokio::test]
async fn writes_and_batches_hold_as_many_as_the_operator_says() {
    let limits =
        FgaLimits { max_tuples_per_write: 3, max_checks_per_batch: 2, ..FgaLimits::default() };
    let small = with(limits).await;
    let limits =
        FgaLimits { max_tuples_per_write: 300, max_checks_per_batch: 300, ..FgaLimits::default() };
    let large = with(limits).await;
    let write = |count: usize| {
        let keys = (0..count).map(|n| tuple(&format!("user:{n}"), "viewer", "doc:1"));
        json!({"writes": {"tuple_keys": keys.collect::<Vec<_>>()}})
    };
    let batch = |count: usize| {
        let item = |n: usize| json!({"tuple_key": tuple("user:1", "viewer", "doc:1"), "correlation_id": n.to_string()});
        json!({"checks": (0..count).map(item).collect::<Vec<_>>()})
    };
    for (world, tuples, checks) in [(&small, 3, 2), (&large, 300, 300)] {
        let refused = world.post("/write", write(tuples + 1)).await;
        let text = refused.text.clone();
        assert_eq!(code(refused, 400), "exceeded_entity_limit");
        assert!(text.contains(&tuples.to_string()), "{text}");
        world.post("/write", write(tuples)).await.expect(200);
        assert_eq!(
            code(world.post("/batch-check", batch(checks + 1)).await, 400),
            "validation_error"
        );
        let answers = world.post("/batch-check", batch(checks)).await.expect(200).json();
        assert_eq!(answers["result"].as_object().unwrap().len(), checks);
    }
}

#[test]
fn the_program_takes_them_as_flags_and_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("setup.yaml"), SETUP).unwrap();
    let config = dir.path().join("behalf.toml");
    std::fs::write(
        &config,
        "fga-list-objects-max-results = 1\nfga-max-checks-per-batch-check = 7\n",
    )
    .unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--fga-max-checks-per-batch-check", "1"];
    let server = Server::start_with(dir.path(), &flags);
    let ask = |path: &str, body: Value| {
        let path = format!("/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV/{path}");
        exchange(server.port, &path, &body.to_string()).unwrap()
    };
    let keys = ["doc:1", "doc:2"].map(|object| tuple("user:a", "viewer", object));
    let (head, _) = ask("write", json!({"writes": {"tuple_keys": keys}}));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let list = json!({"user": "user:a", "relation": "can_view", "type": "doc"});
    let (head, body) = ask("list-objects", list);
    assert!(head.contains("behalf-complete: false"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(distinct(&body["objects"]), 1);
    let items = ["one", "two"].map(|id| json!({"tuple_key": keys[0], "correlation_id": id}));
    let (head, body) = ask("batch-check", json!({"checks": items}));
    assert!(head.starts_with("HTTP/1.1 400") && body.contains("allowed is 1"), "{head} {body}");
    let (head, body) = exchange(server.port, "/healthz", "").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && body == r#"{"status":"SERVING"}"#, "{head} {body}");
}
