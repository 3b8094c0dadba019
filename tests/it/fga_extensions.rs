//! What Behalf answers beyond OpenFGA: why, which of these, complete lists in pages, the past, dry
//! runs, many tuples at once, and the log as it is written.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use roaring::{RoaringBitmap, RoaringTreemap};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fga_surface::{World, tuple};

async fn world() -> World {
    let world = World::new().await;
    world
        .write(&[
            tuple("folder:f", "parent", "doc:1"),
            tuple("user:a", "viewer", "folder:f"),
            tuple("user:a", "viewer", "doc:2"),
        ])
        .await;
    world
}

async fn delete(world: &World, key: Value) {
    world.post("/write", json!({"deletes": {"tuple_keys": [key]}})).await.expect(200);
}

#[tokio::test]
async fn explain_shows_the_path_or_what_was_missing() {
    let world = world().await;
    let explain = async |user: &str| {
        let body = json!({"tuple_key": tuple(user, "can_view", "doc:1")});
        world.post("/behalf/explain", body).await.expect(200).json()
    };
    let allowed = explain("user:a").await;
    assert_eq!(allowed["allowed"], true);
    assert_eq!(allowed["revision"], 1);
    assert_eq!(
        allowed["path"],
        json!([tuple("folder:f", "parent", "doc:1"), tuple("user:a", "viewer", "folder:f")])
    );
    let denied = explain("user:b").await;
    assert_eq!(denied["allowed"], false);
    assert!(!denied["missing"].as_array().unwrap().is_empty(), "{denied}");
    world.post("/behalf/explain", json!({})).await.expect(400);
}

#[tokio::test]
async fn filter_answers_thousands_of_ids_at_once() {
    let world = world().await;
    let ids: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let body = |ids: &[String]| json!({"user": "user:a", "relation": "can_view", "type": "doc", "ids": ids});
    let answer = world.post("/behalf/filter", body(&ids[..9_000])).await.expect(200).json();
    assert_eq!(answer, json!({"allowed": ["1", "2"]}));
    let more: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let refused = world.post("/behalf/filter", body(&more)).await.expect(400).json();
    assert_eq!(refused["code"], "exceeded_entity_limit");
}

/// The answer to a POST below the store that takes a bitmap.
async fn bitmap(world: &World, path: &str, body: &Value) -> (http::response::Parts, Vec<u8>) {
    let request = Request::post(world.path(path))
        .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
        .header(header::ACCEPT, "application/vnd.roaring");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = world.server.server.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn a_filter_comes_as_a_bitmap_of_places_and_a_list_as_one_of_numbers() {
    let world = world().await;
    let ids = ["x", "2", "nothing", "1", "2"];
    let body = json!({"user": "user:a", "relation": "can_view", "type": "doc", "ids": ids});
    let (parts, bytes) = bitmap(&world, "/behalf/filter", &body).await;
    assert_eq!(parts.status, 200);
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/vnd.roaring");
    assert_eq!(parts.headers["behalf-revision"], "1");
    let places = RoaringBitmap::deserialize_from(&*bytes).unwrap();
    assert_eq!(places.iter().collect::<Vec<_>>(), [1, 3, 4]);
    // What the format says of it, byte for byte: no runs, one container of three places from key 0.
    let expected =
        [&[0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 16, 0, 0, 0][..], &[1, 0, 3, 0, 4, 0]];
    assert_eq!(bytes, expected.concat());

    // Runs are written as runs: ten thousand places are a few bytes.
    let same = json!({"user": "user:a", "relation": "can_view", "type": "doc",
        "ids": vec!["1"; 10_000]});
    let (_, bytes) = bitmap(&world, "/behalf/filter", &same).await;
    assert_eq!(RoaringBitmap::deserialize_from(&*bytes).unwrap().len(), 10_000);
    assert!(bytes.len() < 32, "{}", bytes.len());

    let far = ["4294967297", "18446744073709551615"];
    let more = far.map(|id| tuple("user:a", "viewer", &format!("doc:{id}")));
    world.write(&more).await;
    let body = json!({"user": "user:a", "relation": "can_view", "type": "doc"});
    let (parts, bytes) = bitmap(&world, "/behalf/list-objects", &body).await;
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["behalf-revision"]),
        (200, &"2".parse().unwrap())
    );
    let numbers = RoaringTreemap::deserialize_from(&*bytes).unwrap();
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [1, 2, (1 << 32) + 1, u64::MAX]);

    // At an earlier revision, of nothing, and refusals, which are JSON as everywhere.
    let early = json!({"user": "user:a", "relation": "can_view", "type": "doc", "at_revision": 1});
    let (_, bytes) = bitmap(&world, "/behalf/list-objects", &early).await;
    assert_eq!(RoaringTreemap::deserialize_from(&*bytes).unwrap().len(), 2);
    let nobody = json!({"user": "user:b", "relation": "can_view", "type": "doc"});
    let (_, bytes) = bitmap(&world, "/behalf/list-objects", &nobody).await;
    assert!(RoaringTreemap::deserialize_from(&*bytes).unwrap().is_empty());
    world.write(&[tuple("user:a", "viewer", "doc:07")]).await;
    let mut paged = early.clone();
    paged["page_size"] = json!(10);
    for (body, said) in [(&body, "`doc:07` is none"), (&paged, "a bitmap has no pages")] {
        let (parts, bytes) = bitmap(&world, "/behalf/list-objects", body).await;
        let error = String::from_utf8(bytes).unwrap();
        assert_eq!(parts.status, 400, "{error}");
        assert!(error.contains("\"validation_error\"") && error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_list_in_pages_is_that_of_its_first_pages_revision() {
    let world = World::new().await;
    let many: Vec<Value> =
        (0..90).map(|n| tuple("user:a", "viewer", &format!("doc:{n}"))).collect();
    world.write(&many).await;
    let page = async |token: &str| {
        let body = json!({"type": "doc", "relation": "can_view", "user": "user:a",
            "page_size": 40, "page_token": token});
        world.post("/behalf/list-objects", body).await.expect(200).json()
    };
    let first = page("").await;
    assert_eq!((first["complete"].clone(), first["revision"].clone()), (json!(false), json!(1)));
    // What is taken away meanwhile is still in a list that was begun before.
    world.post("/behalf/delete", json!({"filter": {"user": "user:a"}})).await.expect(200);
    let mut found = first["objects"].as_array().unwrap().clone();
    let mut token = first["next_page_token"].as_str().unwrap().to_owned();
    while !token.is_empty() {
        let next = page(&token).await;
        assert_eq!(next["revision"], 1);
        found.extend(next["objects"].as_array().unwrap().clone());
        next["next_page_token"].as_str().unwrap().clone_into(&mut token);
    }
    let distinct: std::collections::BTreeSet<String> =
        found.iter().map(|object| object.as_str().unwrap().to_owned()).collect();
    assert_eq!((found.len(), distinct.len()), (90, 90));
    let now = page("").await;
    assert_eq!((now["objects"].clone(), now["complete"].clone()), (json!([]), json!(true)));
    let bad = json!({"type": "doc", "relation": "can_view", "user": "user:a", "page_token": "zz"});
    let refused = world.post("/behalf/list-objects", bad).await.expect(400).json();
    assert_eq!(refused["code"], "invalid_continuation_token");
}

#[tokio::test]
async fn who_could_see_it_at_an_earlier_revision_is_answered_from_memory_and_from_the_log() {
    let world = world().await;
    delete(&world, tuple("user:a", "viewer", "folder:f")).await;
    world.write(&[tuple("user:b", "viewer", "doc:1")]).await;
    let users = async |revision: u64| {
        let body = json!({"object": "doc:1", "relation": "can_view",
            "user_filter": {"type": "user"}, "at_revision": revision});
        let answer = world.post("/behalf/list-users", body).await.expect(200);
        assert_eq!(answer.headers["behalf-revision"], revision.to_string());
        answer.json()["users"].clone()
    };
    let expected = [(1, json!(["user:a"])), (2, json!([])), (3, json!(["user:b"]))];
    for (revision, expected) in &expected {
        assert_eq!(users(*revision).await, *expected, "{revision}");
    }
    // Later, the versions in memory are gone, and a write pushes them out: the log says the same.
    world.server.advance(Duration::from_secs(3_600));
    world.write(&[tuple("user:c", "viewer", "doc:9")]).await;
    for (revision, expected) in &expected {
        assert_eq!(users(*revision).await, *expected, "{revision}");
    }
    let ahead = json!({"tuple_key": tuple("user:a", "viewer", "doc:1"), "at_revision": 9});
    world.post("/behalf/explain", ahead).await.expect(503);
}

#[tokio::test]
async fn a_dry_run_says_what_a_change_gives_and_takes_and_changes_nothing() {
    let world = world().await;
    let of_objects = json!({"type": "doc", "relation": "can_view", "user": "user:a"});
    let body = json!({
        "writes": [tuple("user:a", "viewer", "doc:3")],
        "deletes": [tuple("user:a", "viewer", "folder:f")],
        "list_objects": of_objects,
    });
    let diff = world.post("/behalf/diff", body).await.expect(200).json();
    assert_eq!(diff, json!({"gained": ["doc:3"], "lost": ["doc:1"]}));
    let model = json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        {"type": "doc", "relations": {"viewer": {"this": {}}, "can_view": {"this": {}}},
         "metadata": {"relations": {
            "viewer": {"directly_related_user_types": [{"type": "user"}]},
            "can_view": {"directly_related_user_types": [{"type": "user"}]}}}}]});
    let body = json!({"authorization_model": model,
        "list_users": {"object": "doc:2", "relation": "can_view", "user_filter": {"type": "user"}}});
    let diff = world.post("/behalf/diff", body).await.expect(200).json();
    assert_eq!(diff, json!({"gained": [], "lost": ["user:a"]}));
    let bad = json!({"writes": [tuple("user:a", "can_view", "doc:3")], "list_objects": of_objects});
    world.post("/behalf/diff", bad).await.expect(400);
    world.post("/behalf/diff", json!({})).await.expect(400);
    let check = json!({"tuple_key": tuple("user:a", "can_view", "doc:1")});
    let answer = world.post("/check", check).await.expect(200);
    assert_eq!(
        (answer.json()["allowed"].clone(), &answer.headers["behalf-revision"]),
        (json!(true), &"1".parse().unwrap())
    );
}

#[tokio::test]
async fn tuples_are_deleted_by_a_filter_after_they_were_counted() {
    let world = World::new().await;
    let many: Vec<Value> =
        (0..80).map(|n| tuple(&format!("user:{n}"), "viewer", &format!("doc:{}", n % 2))).collect();
    world.write(&many).await;
    let ask = async |body: Value| world.post("/behalf/delete", body).await;
    let filter = json!({"object": "doc:1"});
    let dry = ask(json!({"filter": filter, "dry_run": true})).await.expect(200).json();
    assert_eq!(dry, json!({"would_delete": 40}));
    assert_eq!(ask(json!({"filter": filter})).await.expect(200).json(), json!({"deleted": 40}));
    assert_eq!(ask(json!({"filter": filter})).await.expect(200).json(), json!({"deleted": 0}));
    let one = json!({"filter": {"user": "user:0"}});
    assert_eq!(ask(one).await.expect(200).json(), json!({"deleted": 1}));
    ask(json!({"filter": {}})).await.expect(400);
    let left = world.post("/read", json!({"page_size": 100})).await.expect(200).json();
    assert_eq!(left["tuples"].as_array().unwrap().len(), 39);
}

#[tokio::test]
async fn an_export_imports_into_another_store_and_may_be_repeated() {
    let world = World::new().await;
    let lines: Vec<String> = (0..1_234)
        .map(|n| tuple(&format!("user:{n}"), "viewer", &format!("doc:{}", n % 7)).to_string())
        .collect();
    let conditioned = json!({"user": "user:x", "relation": "viewer", "object": "doc:1",
        "condition": {"name": "in_time", "context": {"until": "2027-01-01T00:00:00Z"}},
        "expires_at": "2030-01-01T00:00:00.000000Z"});
    let file = format!("{}\n{conditioned}\n\n", lines.join("\n"));
    let import = async |store: &str, file: String| {
        let request = Request::post(format!("/stores/{store}/behalf/import"))
            .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
            .header("behalf-reason", "migration");
        world.server.send(request.body(Body::from(file)).unwrap()).await
    };
    let answer = import(&world.store, file.clone()).await.expect(200).json();
    assert_eq!(answer, json!({"written": 1_235, "passed_over": 0}));
    let again = import(&world.store, file).await.expect(200).json();
    assert_eq!(again, json!({"written": 0, "passed_over": 1_235}));

    let export = world.get("/behalf/export").await.expect(200);
    assert_eq!(export.text.lines().count(), 1_235);
    assert!(export.text.contains(&conditioned.to_string()) || export.text.contains("expires_at"));
    let other = world.ask(Method::POST, "/stores", json!({"name": "other"})).await.json();
    let other = other["id"].as_str().unwrap();
    let model = world.get(&format!("/authorization-models/{}", world.model)).await.json();
    let models = format!("/stores/{other}/authorization-models");
    world.ask(Method::POST, &models, model["authorization_model"].clone()).await.expect(201);
    let copied = import(other, export.text.clone()).await.expect(200).json();
    assert_eq!(copied["written"], 1_235);
    let second =
        world.ask(Method::GET, &format!("/stores/{other}/behalf/export"), Value::Null).await;
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&second.expect(200).text), sorted(&export.text));

    let bad = format!("{}\n{{\"user\": 5}}\n", tuple("user:new", "viewer", "doc:1"));
    let error = import(&world.store, bad).await.expect(400).json();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("line 2: "), "{message}");
}

#[tokio::test]
async fn whoever_watches_is_told_each_change_and_comes_again_behind_the_last() {
    let world = world().await;
    let open = async |path: &str, last: &str| {
        let mut request = Request::get(world.path(path))
            .header(header::HOST, "behalf.test")
            .header(header::AUTHORIZATION, "Bearer key-of-all-stores");
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = world.server.server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        response.into_body()
    };
    async fn next(body: &mut Body) -> (String, Value) {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let part = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().to_owned()
        };
        (part("id: "), serde_json::from_str(&part("data: ")).unwrap())
    }
    let mut body = open("/behalf/watch?type=doc", "").await;
    let body_of_write = json!({"writes": {"tuple_keys": [
        tuple("user:z", "viewer", "folder:f"), tuple("user:z", "viewer", "doc:7")]}});
    let headers = [("Behalf-Reason", "ticket 1")];
    world.ask_with(Method::POST, &world.path("/write"), body_of_write, &headers).await.expect(200);
    let (id, change) = next(&mut body).await;
    assert_eq!(change["tuple_key"]["object"], "doc:7", "only documents were asked for");
    assert_eq!(
        (change["revision"].clone(), change["reason"].clone()),
        (json!(2), json!("ticket 1"))
    );
    assert_eq!(change["actor"], json!({"type": "api_key", "name": "all"}));
    delete(&world, tuple("user:z", "viewer", "doc:7")).await;
    let (_, change) = next(&mut body).await;
    assert_eq!(change["operation"], "TUPLE_OPERATION_DELETE");
    // She comes again behind the first.
    let mut again = open("/behalf/watch?type=doc", &id).await;
    let (_, change) = next(&mut again).await;
    assert_eq!(change["operation"], "TUPLE_OPERATION_DELETE");
    world.get("/behalf/watch?continuation_token=made-up").await.expect(400);
}

#[tokio::test]
async fn all_objects_of_a_user_come_in_one_call_by_type_and_relation() {
    let world = world().await;
    let ask = async |more: Value| {
        let mut body = json!({"user": "user:a"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.post("/behalf/list-all-objects", body).await
    };
    let group = |kind: &str, relation: &str, objects: &[&str]| json!({"type": kind, "relation": relation, "objects": objects});
    let all = ask(json!({})).await.expect(200).json();
    assert_eq!(
        all["results"],
        json!([
            group("folder", "viewer", &["folder:f"]),
            group("doc", "can_view", &["doc:1", "doc:2"]),
            group("doc", "viewer", &["doc:2"]),
        ])
    );
    assert_eq!((&all["complete"], &all["next_page_token"]), (&json!(true), &json!("")));
    let of_type = ask(json!({"types": ["folder"]})).await.expect(200).json();
    assert_eq!(of_type["results"], json!([group("folder", "viewer", &["folder:f"])]));
    let by_relation = ask(json!({"relations": ["can_view"]})).await.expect(200).json();
    assert_eq!(by_relation["results"], json!([group("doc", "can_view", &["doc:1", "doc:2"])]));
    let along = json!({"contextual_tuples": {"tuple_keys": [tuple("user:a", "viewer", "folder:g")]},
        "types": ["folder"]});
    let found = ask(along).await.expect(200).json();
    assert_eq!(found["results"][0]["objects"].as_array().unwrap().len(), 2);

    // In pages of one revision: what is written meanwhile is in none of them.
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page = ask(json!({"page_size": 1, "page_token": token})).await.expect(200).json();
        assert_eq!(page["revision"], 1);
        for result in page["results"].as_array().unwrap() {
            for object in result["objects"].as_array().unwrap() {
                found.push(format!("{} {}", result["relation"], object).replace('"', ""));
            }
        }
        world.write(&[tuple("user:a", "viewer", &format!("doc:new-{}", found.len()))]).await;
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        assert_eq!(page["complete"], token.is_empty());
        if token.is_empty() {
            break;
        }
    }
    let expected = ["viewer folder:f", "can_view doc:1", "can_view doc:2", "viewer doc:2"];
    assert_eq!(found, expected);

    for (body, code) in [
        (json!({"types": ["ship"]}), "type_not_found"),
        (json!({"relations": ["captain"]}), "relation_not_found"),
        (json!({"user": "nobody"}), "validation_error"),
        (json!({"page_token": "00"}), "invalid_continuation_token"),
        (json!({"page_size": 10_001}), "page_size_invalid"),
    ] {
        assert_eq!(ask(body).await.expect(400).json()["code"], code);
    }
}

#[tokio::test]
async fn what_one_relation_lacks_keeps_no_other_back() {
    let world = world().await;
    let conditioned = json!({"user": "user:b", "relation": "viewer", "object": "doc:1",
        "condition": {"name": "in_time", "context": {"until": "2027-01-01T00:00:00Z"}}});
    world.write(&[conditioned, tuple("user:b", "viewer", "folder:f")]).await;
    let ask = async |context: Value| {
        let body = json!({"user": "user:b", "context": context});
        world.post("/behalf/list-all-objects", body).await.expect(200).json()
    };
    let without = ask(json!({})).await;
    assert_eq!(without["complete"], false);
    let results = without["results"].as_array().unwrap();
    assert_eq!(results[0]["objects"], json!(["folder:f"]));
    let errors: Vec<&str> =
        results.iter().filter_map(|result| result["error"]["code"].as_str()).collect();
    assert!(!errors.is_empty() && errors.iter().all(|code| *code == "validation_error"));
    let with = ask(json!({"now": "2026-06-01T00:00:00Z"})).await;
    assert_eq!(with["complete"], true);
    assert!(with["results"].as_array().unwrap().iter().all(|one| one["error"].is_null()));
}
