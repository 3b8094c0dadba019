//! `/api/v1/documents…` as two people: uploaded, found, shared, withdrawn, deleted; and nobody
//! learns of what she may not read.

use std::collections::BTreeSet;

use axum::body::Body;
use behalf_tests::{Answer, Client, TestServer};
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::world;

const SETUP: &str = r#"
users:
  - {user_id: "auth0|ann", username: ann, password: ann-password, email: ann@example.com, email_verified: true}
  - {user_id: "auth0|bob", username: bob, password: bob-password, email: bob@example.com}
  - {user_id: "auth0|eve", username: eve, password: eve-password}
  - {user_id: "auth0|root", username: root, password: root-password, roles: [administrator]}
clients:
  - {client_id: web, client_secret: web-secret, grant_types: [password]}
  - {client_id: machine, client_secret: machine-secret, app_type: non_interactive, grant_types: [client_credentials]}
client_grants:
  - {client_id: machine, audience: "https://behalf.test/api/", scope: ["read:documents", "import:documents"]}
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
        type group
          relations
            define member: [user]
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*, group#member, user with in_hours]
            define blocked: [user]
            define can_view: (owner or viewer) but not blocked
        condition in_hours(open: bool) { open }
      tuples:
        - {user: "user:auth0|bob", relation: member, object: "group:eng"}
"#;

const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
const ALL: &str = "/api/v1/documents";
const WEB: Client = Client {
    client_id: "web",
    client_secret: Some("web-secret"),
    redirect_uri: "https://web.example/callback",
};
const MACHINE: Client = Client {
    client_id: "machine",
    client_secret: Some("machine-secret"),
    redirect_uri: "https://machine.example/callback",
};

/// A person with a token for the API.
struct Person<'s> {
    server: &'s TestServer,
    token: String,
}

impl<'s> Person<'s> {
    async fn sign_in(server: &'s TestServer, name: &str) -> Self {
        let scope = "read:documents write:documents import:documents";
        let extra = [("audience", "https://behalf.test/api/"), ("scope", scope)];
        let answer = world::password_grant(server, &WEB, name, &extra).await.expect(200).json();
        Self { server, token: world::text(&answer, "access_token").to_owned() }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        call(self.server, method, path, &self.token, body).await
    }

    async fn upload(&self, title: &str, content: &str) -> String {
        let body = json!({"title": title, "content": content, "content_type": "text/plain"});
        let answer = self.call(Method::POST, ALL, body).await.expect(201).json();
        world::text(&answer, "id").to_owned()
    }

    async fn get(&self, id: &str) -> Answer {
        self.call(Method::GET, &format!("{ALL}/{id}"), Value::Null).await
    }

    async fn share(&self, id: &str, user: &str, relation: &str) -> Answer {
        let body = json!({"user": user, "relation": relation, "public": user == "user:*"});
        self.call(Method::POST, &format!("{ALL}/{id}/share"), body).await
    }

    async fn unshare(&self, id: &str, user: &str, relation: &str) -> Answer {
        let body = json!({"user": user, "relation": relation});
        self.call(Method::DELETE, &format!("{ALL}/{id}/share"), body).await
    }

    async fn delete(&self, id: &str) -> Answer {
        self.call(Method::DELETE, &format!("{ALL}/{id}"), Value::Null).await
    }

    /// The titles of what a search finds, best first.
    async fn find(&self, query: &str) -> Vec<String> {
        let body = json!({"query": query, "k": 20});
        let answer = self.call(Method::POST, &format!("{ALL}/search"), body).await.expect(200);
        let results = answer.json()["results"].as_array().unwrap().clone();
        results.iter().map(|result| world::text(result, "title").to_owned()).collect()
    }

    /// Every page of the list: ids in order.
    async fn list(&self, page_size: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("{ALL}?page_size={page_size}&page_token={token}");
            let page = self.call(Method::GET, &path, Value::Null).await.expect(200).json();
            let documents = page["documents"].as_array().unwrap();
            assert!(documents.len() <= page_size);
            ids.extend(documents.iter().map(|document| world::text(document, "id").to_owned()));
            match page["next_page_token"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => return ids,
            }
        }
    }
}

async fn call(server: &TestServer, method: Method, path: &str, token: &str, body: Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = if body.is_null() {
        Body::empty()
    } else {
        request = request.header(header::CONTENT_TYPE, "application/json");
        Body::from(body.to_string())
    };
    server.send(request.body(body).unwrap()).await
}

/// Writes or deletes a tuple the way an administrator's program does.
async fn tuple(server: &TestServer, part: &str, user: &str, relation: &str, object: &str) {
    let key = json!({"user": user, "relation": relation, "object": object});
    let body = json!({part: {"tuple_keys": [key]}});
    call(server, Method::POST, &format!("{STORE}/write"), "key-of-all-stores", body)
        .await
        .expect(200);
}

async fn tuples_of(server: &TestServer, object: &str) -> usize {
    let body = json!({"tuple_key": {"object": object}});
    let answer =
        call(server, Method::POST, &format!("{STORE}/read"), "key-of-all-stores", body).await;
    answer.expect(200).json()["tuples"].as_array().unwrap().len()
}

/// What `behalf documents import` says when it does not import.
fn refused_import(args: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
        .args(["documents", "import"])
        .args(args)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_import_that_cannot_begin_says_why_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (notes, data) = (dir.path().join("notes"), dir.path().join("data"));
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("a.md"), "# A note").unwrap();
    let (notes, data) = (notes.to_str().unwrap(), data.to_str().unwrap());
    let said = refused_import(&[notes, "--data", data]);
    assert_eq!(said, format!("behalf: there is no data folder {data}; name yours with --data\n"));
    assert!(!std::path::Path::new(data).exists());

    std::fs::create_dir(data).unwrap();
    let said = refused_import(&[notes, "--data", data, "--owner", "nobody"]);
    assert_eq!(said, "behalf: there is no user `nobody`\n");
    let said = refused_import(&[&format!("{notes}/a.md"), "--data", data]);
    assert!(said.contains("a.md is no folder; give the folder that it is in"), "{said}");
    let said = refused_import(&[&format!("{notes}/b"), "--data", data]);
    assert!(said.contains("b: No such file or directory"), "{said}");
}

#[tokio::test]
async fn an_upload_is_searchable_at_once_and_only_by_its_owner() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let body = json!({
        "title": "Travel policy", "content": "# Trains\n\nTake the *night train* to Vienna.",
        "content_type": "text/markdown",
    });
    let made = ann.call(Method::POST, ALL, body).await.expect(201).json();
    let id = world::text(&made, "id");
    assert_eq!(made["owner"], "user:auth0|ann");
    assert_eq!((&made["revision"], &made["content_type"]), (&json!(1), &json!("text/markdown")));
    assert_eq!(made["created_at"], "2026-11-24T08:00:00.000000Z");
    assert!(made.get("content").is_none());

    assert_eq!(ann.find("night trains to vienna").await, ["Travel policy"]);
    assert_eq!(
        ann.get(id).await.expect(200).json()["content"],
        "# Trains\n\nTake the *night train* to Vienna."
    );
    assert_eq!(ann.list(10).await, [id]);
    assert!(bob.find("night trains to vienna").await.is_empty());
    assert!(bob.list(10).await.is_empty());
    let kinds = server.events().await;
    assert!(kinds.contains(&"document.written".to_owned()));
}

#[tokio::test]
async fn what_may_not_be_read_answers_like_what_does_not_exist() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let id = ann.upload("Salaries", "Ann earns much").await;
    for (method, suffix, body) in [
        (Method::GET, "", Value::Null),
        (Method::DELETE, "", Value::Null),
        (Method::POST, "/share", json!({"user": "user:auth0|bob", "relation": "viewer"})),
        (Method::DELETE, "/share", json!({"user": "user:auth0|ann", "relation": "owner"})),
    ] {
        let hidden = bob.call(method.clone(), &format!("{ALL}/{id}{suffix}"), body.clone()).await;
        let absent =
            bob.call(method, &format!("{ALL}/01ARZ3NDEKTSV4RRFFQ69G5FAV{suffix}"), body).await;
        assert_eq!(hidden.status.as_u16(), 404);
        assert_eq!((hidden.status, &hidden.text), (absent.status, &absent.text));
        assert_eq!(hidden.header(header::CONTENT_TYPE), "application/problem+json");
    }
    // Nothing found and nothing visible are the same answer, byte for byte.
    let search =
        |query: &str| bob.call(Method::POST, "/api/v1/documents/search", json!({"query": query}));
    assert_eq!(search("earns").await.expect(200).text, search("zebra").await.expect(200).text);
    assert_eq!(ann.get(&id).await.expect(200).json()["title"], "Salaries");
}

#[tokio::test]
async fn sharing_shows_and_unsharing_hides_from_the_next_query() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let id = ann.upload("Roadmap", "We will ship in spring").await;
    for user in ["user:auth0|bob", "auth0|bob", "BOB", "group:eng#member", "user:*"] {
        ann.share(&id, user, "viewer").await.expect(200);
        ann.share(&id, user, "viewer").await.expect(200);
        assert_eq!(bob.find("spring").await, ["Roadmap"], "{user}");
        assert_eq!(bob.list(10).await, [id.as_str()]);
        bob.get(&id).await.expect(200);
        assert_eq!(bob.delete(&id).await.expect(403).json()["code"], "not_owner");
        bob.share(&id, "user:auth0|eve", "viewer").await.expect(403);

        ann.unshare(&id, user, "viewer").await.expect(204);
        ann.unshare(&id, user, "viewer").await.expect(204);
        assert!(bob.find("spring").await.is_empty(), "{user}");
        assert!(bob.list(10).await.is_empty());
        bob.get(&id).await.expect(404);
    }
    // A second owner may do all of it, and the last one stays.
    ann.share(&id, "user:auth0|bob", "owner").await.expect(200);
    bob.unshare(&id, "user:auth0|ann", "owner").await.expect(204);
    ann.get(&id).await.expect(404);
    let last = bob.unshare(&id, "user:auth0|bob", "owner").await.expect(409);
    assert_eq!(last.json()["code"], "last_owner");
    let kinds: BTreeSet<String> = server.events().await.into_iter().collect();
    assert!(kinds.contains("document.shared") && kinds.contains("document.unshared"));
}

#[tokio::test]
async fn a_share_must_say_what_it_means() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let id = ann.upload("Plan", "text").await;
    let path = format!("{ALL}/{id}/share");
    for body in [
        json!({"user": "user:*", "relation": "viewer"}),
        json!({"user": "user:*", "relation": "viewer", "public": false}),
        json!({"user": "user:*", "relation": "owner", "public": true}),
        json!({"user": "group:*", "relation": "viewer", "public": true}),
        json!({"user": "user:auth0|bob", "relation": "viewer", "public": true}),
        json!({"user": "user:auth0|bob", "relation": "can_view"}),
        json!({"user": "user:auth0|bob", "relation": "blocked"}),
        json!({"user": "user:auth0|bob"}),
        json!({"user": "", "relation": "viewer"}),
        json!({"user": "nobody-of-that-name", "relation": "viewer"}),
        json!({"user": "bob@example.com", "relation": "viewer"}),
        json!({"user": "robot:7", "relation": "viewer"}),
        json!({"user": "user:a b", "relation": "viewer"}),
        json!({"user": "user:x", "relation": "viewer", "until": "tomorrow"}),
    ] {
        let answer = ann.call(Method::POST, &path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}: {}", answer.text);
    }
    assert_eq!(tuples_of(&server, &format!("doc:{id}")).await, 1);
}

#[tokio::test]
async fn deleting_takes_passages_and_tuples_along() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let id = ann.upload("Secret plan", "The zebra sleeps at noon").await;
    ann.share(&id, "user:*", "viewer").await.expect(200);
    assert_eq!(bob.find("zebra").await, ["Secret plan"]);
    ann.delete(&id).await.expect(204);
    for person in [&ann, &bob] {
        assert!(person.find("zebra").await.is_empty());
        person.get(&id).await.expect(404);
        person.delete(&id).await.expect(404);
    }
    assert_eq!(tuples_of(&server, &format!("doc:{id}")).await, 0);
    ann.share(&id, "user:auth0|bob", "viewer").await.expect(404);
    assert_eq!(tuples_of(&server, &format!("doc:{id}")).await, 0);
}

#[tokio::test]
async fn an_import_sets_the_id_and_touches_no_tuples() {
    let server = TestServer::start(SETUP).await;
    let (ann, root) =
        (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "root").await);
    let document =
        |text: &str| json!({"title": "Handbook", "content": text, "content_type": "text/html"});
    let made =
        root.call(Method::PUT, "/api/v1/documents/hand-book.1", document("<p>Old zebra")).await;
    let made = made.expect(201).json();
    assert_eq!((&made["id"], &made["owner"]), (&json!("hand-book.1"), &Value::Null));
    root.get("hand-book.1").await.expect(404);
    assert_eq!(tuples_of(&server, "doc:hand-book.1").await, 0);

    tuple(&server, "writes", "user:auth0|ann", "viewer", "doc:hand-book.1").await;
    assert_eq!(ann.find("zebra").await, ["Handbook"]);
    let path = "/api/v1/documents/hand-book.1";
    let made = root.call(Method::PUT, path, document("<p>New giraffe")).await.expect(200).json();
    assert_eq!(made["revision"], 2);
    assert!(ann.find("zebra").await.is_empty(), "the old text is gone from the index");
    assert_eq!(ann.find("giraffe").await, ["Handbook"]);
    assert_eq!(tuples_of(&server, "doc:hand-book.1").await, 1);

    // Without the scope nobody sets an id, and a machine may where it is granted.
    ann.call(Method::PUT, path, document("<p>Mine")).await.expect(403);
    let token = MACHINE
        .token(
            &server,
            &[("grant_type", "client_credentials"), ("audience", "https://behalf.test/api/")],
        )
        .await
        .expect(200)
        .json();
    let token = world::text(&token, "access_token");
    call(&server, Method::PUT, path, token, document("<p>By machine")).await.expect(200);
    let search = json!({"query": "machine"});
    let path = "/api/v1/documents/search";
    let refused = call(&server, Method::POST, path, token, search).await.expect(403).json();
    assert_eq!(refused["code"], "no_subject");
}

#[tokio::test]
async fn conditions_and_exclusions_are_decided_at_hand_over() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    // Many that bob is excluded from rank before the one that he may read.
    for n in 0..30 {
        let id = ann.upload(&format!("Zebra zebra {n}"), "zebra zebra zebra").await;
        ann.share(&id, "user:auth0|bob", "viewer").await.expect(200);
        tuple(&server, "writes", "user:auth0|bob", "blocked", &format!("doc:{id}")).await;
    }
    let id = ann.upload("Plain", "Among many animals there is also one zebra").await;
    ann.share(&id, "user:auth0|bob", "viewer").await.expect(200);
    // A condition that lacks its value decides nothing, which is no.
    let conditional = ann.upload("Conditional", "zebra").await;
    let key = json!({
        "user": "user:auth0|bob", "relation": "viewer", "object": format!("doc:{conditional}"),
        "condition": {"name": "in_hours"},
    });
    let body = json!({"writes": {"tuple_keys": [key]}});
    call(&server, Method::POST, &format!("{STORE}/write"), "key-of-all-stores", body)
        .await
        .expect(200);

    let search = json!({"query": "zebra", "k": 1});
    let found = bob.call(Method::POST, "/api/v1/documents/search", search).await.expect(200).json();
    assert_eq!(found["results"][0]["title"], "Plain");
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    assert_eq!(bob.find("zebra").await, ["Plain"]);
    assert_eq!(bob.list(3).await, [id.as_str()]);
    bob.get(&conditional).await.expect(404);
    assert_eq!(ann.find("zebra").await.len(), 20);
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_nor_show_what_may_not_be_read() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let mut shared = Vec::new();
    for n in 0..25 {
        server.advance(std::time::Duration::from_millis(n % 3));
        let id = ann.upload(&format!("Paper {n}"), "text").await;
        if n % 2 == 0 {
            ann.share(&id, "user:auth0|bob", "viewer").await.expect(200);
            shared.push(id);
        }
    }
    let all = ann.list(100).await;
    assert_eq!(all.len(), 25);
    for size in [1, 2, 7, 12, 13, 25] {
        assert_eq!(ann.list(size).await, all, "{size}");
        let seen: BTreeSet<String> = bob.list(size).await.into_iter().collect();
        assert_eq!(seen, shared.iter().cloned().collect(), "{size}");
    }
    // A page begun before a withdrawal does not show what was withdrawn.
    let first = bob.call(Method::GET, &format!("{ALL}?page_size=5"), Value::Null).await.json();
    let token = world::text(&first, "next_page_token");
    for id in &shared {
        ann.unshare(id, "user:auth0|bob", "viewer").await.expect(204);
    }
    let path = format!("{ALL}?page_size=5&page_token={token}");
    let second = bob.call(Method::GET, &path, Value::Null).await.expect(200).json();
    assert_eq!(second, json!({"documents": [], "next_page_token": null}));
    for bad in [
        "page_token=x",
        "page_token=1.%2e%2e",
        "page_size=0",
        "page_size=101",
        "page_size=1&page_size=2",
    ] {
        bob.call(Method::GET, &format!("{ALL}?{bad}"), Value::Null).await.expect(400);
    }
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let raw = |content_type: &'static str, body: String| {
        let request = Request::post(ALL)
            .header(header::AUTHORIZATION, format!("Bearer {}", ann.token))
            .header(header::CONTENT_TYPE, content_type);
        server.send(request.body(Body::from(body)).unwrap())
    };
    let good = r#"{"title":"t","content":"c"}"#;
    raw("application/json; charset=utf-8", good.to_owned()).await.expect(201);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        raw(content_type, good.to_owned()).await.expect(415);
    }
    for body in [
        "",
        "[]",
        "null",
        "{",
        r#"{"title":"t"}"#,
        r#"{"content":"c"}"#,
        r#"{"title":"t","content":"c","id":"1"}"#,
        r#"{"title":"t","content":"c","owner":"user:x"}"#,
        r#"{"title":"t","content":"c","title":"u"}"#,
        r#"{"title":"t","content":"c","t\u0069tle":"u"}"#,
        r#"{"title":"t","content":1}"#,
        r#"{"title":"t","content":"a\u0000b"}"#,
        r#"{"title":"t\nu","content":"c"}"#,
        r#"{"title":" ","content":"c"}"#,
        r#"{"title":"t","content":" "}"#,
        r#"{"title":"t","content":"\ud800"}"#,
        r#"{"title":"t","content":"c","content_type":"application/pdf"}"#,
        r#"{"title":"t","content":"c","content_type":"text/plain; charset=latin1"}"#,
    ] {
        raw("application/json", body.to_owned()).await.expect(400);
    }
    let large = json!({"title": "t", "content": "x".repeat(10 * 1024 * 1024 + 1)}).to_string();
    let refused = raw("application/json", large).await.expect(413);
    assert_eq!(refused.json()["code"], "too_large");
    raw("application/json", " ".repeat(30 * 1024 * 1024)).await.expect(413);
    let largest =
        json!({"title": "t", "content": "\n\"x".repeat(10 * 1024 * 1024 / 3)}).to_string();
    raw("application/json", largest).await.expect(201);
    let path = "/api/v1/documents/search";
    for body in [
        json!({}),
        json!({"query": ""}),
        json!({"query": "  "}),
        json!({"query": 1}),
        json!({"query": "x", "k": 0}),
        json!({"query": "x", "k": 51}),
        json!({"query": "x", "k": -1}),
        json!({"query": "x".repeat(4_001)}),
        json!({"query": "x", "filter": "y"}),
    ] {
        ann.call(Method::POST, path, body).await.expect(400);
    }
}

#[tokio::test]
async fn hostile_ids_titles_and_queries_stay_text() {
    let server = TestServer::start(SETUP).await;
    let (ann, root) =
        (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "root").await);
    let document = json!({"title": "t", "content": "c"});
    for id in ["..", "%2e%2e", "a%2Fb", "a%3Ab", "a%23owner", "%2A", "a%20b", "a%00b", "%C3%A4"] {
        let answer = root.call(Method::PUT, &format!("{ALL}/{id}"), document.clone()).await;
        assert!(answer.status.is_client_error(), "{id}: {}", answer.status);
        ann.get(id).await.expect(404);
    }
    let title = "<script>alert(1)</script> \"quoted\" 'x' %s {{7*7}}";
    let id = ann.upload(title, "zebra'; DROP TABLE documents; --").await;
    assert_eq!(ann.get(&id).await.expect(200).json()["title"], title);
    for query in [
        "zebra' OR '1'='1",
        "\"zebra",
        "zebra\"",
        "NEAR(zebra, 2)",
        "zebra*",
        "^zebra",
        "-zebra",
        "heading:zebra",
        "{heading} : zebra",
        "zebra AND",
        "(zebra",
        "zebra)",
        "zebra + x",
        "chunk_index MATCH zebra",
        "zebra\u{0}x zebra",
        "ze\u{0}bra \u{1}zebra zebra",
    ] {
        assert_eq!(ann.find(query).await, [title], "{query}");
    }
    for query in ["*", "\"", "\"\"", "()", "OR", "AND OR NOT", "\u{0}", "\u{202e}"] {
        assert!(ann.find(query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn who_has_no_token_scope_or_state_is_refused() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let id = ann.upload("t", "c").await;
    for (method, path) in [
        (Method::GET, ALL.to_owned()),
        (Method::POST, ALL.to_owned()),
        (Method::GET, format!("{ALL}/{id}")),
        (Method::PUT, format!("{ALL}/{id}")),
        (Method::DELETE, format!("{ALL}/{id}")),
        (Method::POST, format!("{ALL}/{id}/share")),
        (Method::DELETE, format!("{ALL}/{id}/share")),
        (Method::POST, format!("{ALL}/search")),
    ] {
        call(&server, method.clone(), &path, "", json!({})).await.expect(401);
        call(&server, method.clone(), &path, "nonsense", json!({})).await.expect(401);
        let extra = [("audience", "https://behalf.test/api/"), ("scope", "chat")];
        let chat = world::password_grant(&server, &WEB, "ann", &extra).await.expect(200).json();
        let token = world::text(&chat, "access_token").to_owned();
        call(&server, method.clone(), &path, &token, json!({})).await.expect(403);
        let extra = [("audience", "https://behalf.test/me/")];
        let me = world::password_grant(&server, &WEB, "ann", &extra).await.expect(200).json();
        let token = world::text(&me, "access_token").to_owned();
        call(&server, method, &path, &token, json!({})).await.expect(401);
    }
}

#[tokio::test]
async fn each_search_leaves_a_record_without_its_words() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let id = ann.upload("Plan", "The zebra sleeps").await;
    ann.find("zebra").await;
    let rows = server.outbox().await;
    let record = rows.iter().rfind(|row| row.kind == "documents.searched").unwrap();
    let facts: Value = serde_json::from_str(&record.facts).unwrap();
    assert!(!record.facts.contains("zebra"), "{facts}");
    assert_eq!(facts["user_id"], "auth0|ann");
    assert_eq!(facts["store_id"], "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_eq!(facts["passages"][0]["document_id"], id.as_str());
    assert_eq!(facts["passages"][0]["chunk"], 0);
    assert_eq!(facts["query_sha256"].as_str().unwrap().len(), 64);
    assert!(facts["revision"].as_u64().unwrap() > 0);
    assert!(record.actor.contains("web"), "{}", record.actor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_seen_by_every_search_that_begins_after_it() {
    let server = TestServer::start(SETUP).await;
    let (ann, bob) = (Person::sign_in(&server, "ann").await, Person::sign_in(&server, "bob").await);
    let eve = Person::sign_in(&server, "eve").await;
    let id = ann.upload("Changing", "zebra").await;
    let noise = async {
        for n in 0..60 {
            let other = eve.upload(&format!("Noise {n}"), "zebra crossing").await;
            eve.share(&other, "user:auth0|nobody", "viewer").await.expect(200);
        }
    };
    let pairs = async {
        for round in 0..60 {
            ann.share(&id, "user:auth0|bob", "viewer").await.expect(200);
            assert_eq!(bob.find("zebra").await, ["Changing"], "round {round}");
            ann.unshare(&id, "user:auth0|bob", "viewer").await.expect(204);
            assert!(bob.find("zebra").await.is_empty(), "round {round}");
        }
    };
    let reading = async {
        // Whatever the moment: her own or nothing, never ann's.
        for _ in 0..60 {
            assert!(eve.find("zebra").await.iter().all(|title| title.starts_with("Noise")));
        }
    };
    tokio::join!(noise, pairs, reading);
}

#[tokio::test]
async fn a_deletion_and_a_share_at_once_leave_no_tuple_behind() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    for n in 0..20 {
        let id = ann.upload(&format!("Short-lived {n}"), "zebra").await;
        let (shared, deleted) = tokio::join!(ann.share(&id, "user:*", "viewer"), ann.delete(&id));
        deleted.expect(204);
        assert!(matches!(shared.status.as_u16(), 200 | 404), "{}", shared.status);
        assert_eq!(tuples_of(&server, &format!("doc:{id}")).await, 0);
    }
}

#[tokio::test]
async fn a_restart_keeps_documents_passages_and_permissions() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let id = ann.upload("Kept", "zebra").await;
    ann.share(&id, "user:auth0|bob", "viewer").await.expect(200);
    let TestServer { server, dir, .. } = server;
    server.storage.close().await;
    drop(server);
    let server = TestServer::start_in(dir, "").await;
    let bob = Person::sign_in(&server, "bob").await;
    assert_eq!(bob.find("zebra").await, ["Kept"]);
    assert!(Person::sign_in(&server, "eve").await.find("zebra").await.is_empty());
}

#[tokio::test]
async fn a_blocked_person_reads_nothing() {
    let server = TestServer::start(SETUP).await;
    let ann = Person::sign_in(&server, "ann").await;
    let id = ann.upload("Public", "zebra").await;
    ann.share(&id, "user:*", "viewer").await.expect(200);
    let reader = "auth0|nobody".parse().unwrap();
    let may_read = server.server.retrieval.may_read(&reader, &[&id]).await.unwrap();
    assert_eq!(may_read, [false], "who is not known reads nothing, public or not");
    let ann_id = "auth0|ann".parse().unwrap();
    let may_read = server.server.retrieval.may_read(&ann_id, &[&id, "absent"]).await.unwrap();
    assert_eq!(may_read, [true, false]);
}
