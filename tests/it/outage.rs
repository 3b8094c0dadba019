//! The database goes away under load and comes back: meanwhile every route says so, in its dialect
//! and with 503; nothing is said to be stored that is not; and the same server serves again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use behalf_core::Secret;
use behalf_http::{RouteRule, Rule};
use behalf_identity::OwnApi;
use behalf_tests::{Answer, Cluster, ISSUER, TestServer};
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{WEB, password_grant, signed_in_as, text};

const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEY: &str = "Bearer key-of-all-stores";

const SETUP: &str = r#"
users:
  - user_id: "auth0|all"
    username: all
    password: all-password
    roles: [administrator, operator, security, auditor, billing_administrator]
clients:
  - {client_id: web, client_secret: web-secret, callbacks: ["https://web.example/callback"], grant_types: [authorization_code, password, "urn:openid:params:grant-type:ciba"]}
fga:
  api_keys: [{name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}]
  stores:
    - {id: 01ARZ3NDEKTSV4RRFFQ69G5FAV, name: load, model: "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n"}
"#;

const WRITERS: usize = 4;
/// Acknowledged writes to wait for, before the outage and after it.
const ENOUGH: usize = 40;

/// What writers were told, tuple by tuple.
#[derive(Default)]
struct Told {
    stored: RefCell<BTreeSet<String>>,
    refused: RefCell<BTreeSet<String>>,
    is_over: Cell<bool>,
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "{what}");
}

async fn post(server: &TestServer, path: &str, bearer: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, bearer)
        .header(header::CONTENT_TYPE, "application/json");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn write(server: &TestServer, writer: usize, told: &Told) {
    let mut next = 0;
    while !told.is_over.get() {
        let object = format!("doc:{writer}-{next}");
        let tuple = json!({"user": "user:ann", "relation": "viewer", "object": object});
        let body = json!({"writes": {"tuple_keys": [tuple]}});
        let answer = post(server, &format!("{STORE}/write"), KEY, &body).await;
        match answer.status {
            StatusCode::OK => told.stored.borrow_mut().insert(object),
            StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                told.refused.borrow_mut().insert(object)
            }
            status => panic!("{status}: {}", answer.text),
        };
        next += 1;
    }
}

/// Everything with which the routes are asked.
struct Caller {
    cookie: String,
    tokens: Vec<(OwnApi, String)>,
}

impl Caller {
    /// The person with every role, her session, and tokens with every scope of the routes.
    async fn of(server: &TestServer) -> Self {
        let cookie = signed_in_as(server, "all").await.cookie_header();
        let mut tokens = Vec::new();
        for api in [OwnApi::UserInfo, OwnApi::Behalf, OwnApi::MyAccount] {
            let scope_of = |route: &RouteRule| match route.rule {
                Rule::Bearer(own, scope) if own == api => Some(scope),
                Rule::Api(scope) if api == OwnApi::Behalf => Some(scope),
                _ => None,
            };
            let scopes: BTreeSet<&str> = server.server.rules.iter().filter_map(scope_of).collect();
            let scope = scopes.into_iter().chain(["openid"]).collect::<Vec<_>>().join(" ");
            let audience = api.audience(server.server.identity.issuer());
            let audience = if api == OwnApi::UserInfo { String::new() } else { audience };
            let mut extra = vec![("scope", scope.as_str())];
            extra.extend((!audience.is_empty()).then_some(("audience", audience.as_str())));
            let answer = password_grant(server, &WEB, "all", &extra).await.expect(200).json();
            tokens.push((api, format!("Bearer {}", text(&answer, "access_token"))));
        }
        Self { cookie, tokens }
    }

    fn bearer(&self, api: OwnApi) -> &str {
        &self.tokens.iter().find(|(own, _)| *own == api).unwrap().1
    }

    /// The status of the route's answer; its body is not read, which may be a stream.
    async fn ask(&self, server: &TestServer, route: &RouteRule) -> http::response::Parts {
        let id = "00000000000000000000000000000000";
        let parts = route.path.split('/').map(|part| match part {
            part if part.starts_with("{*") => "some/thing",
            part if part.starts_with('{') => id,
            part => part,
        });
        let request = Request::builder()
            .method(route.method.clone())
            .uri(parts.collect::<Vec<_>>().join("/"))
            .header(header::HOST, "behalf.test");
        let request = match route.rule {
            Rule::Fga(..) => request.header(header::AUTHORIZATION, KEY),
            Rule::Bearer(api, _) => request.header(header::AUTHORIZATION, self.bearer(api)),
            Rule::Api(_) => request.header(header::AUTHORIZATION, self.bearer(OwnApi::Behalf)),
            Rule::Public | Rule::Person | Rule::Role(..) => request
                .header(header::COOKIE, &self.cookie)
                .header(header::ORIGIN, ISSUER.trim_end_matches('/')),
        };
        let request = request.body(Body::empty()).unwrap();
        server.server.router.clone().oneshot(request).await.unwrap().into_parts().0
    }
}

/// A request of each dialect that needs the database, and the answer when there is none.
async fn ask_each_dialect(server: &TestServer, caller: &Caller) -> Vec<(&'static str, Answer)> {
    let api = caller.bearer(OwnApi::Behalf);
    let check = json!({"tuple_key": {"user": "user:ann", "relation": "viewer", "object": "doc:x"}});
    let document = json!({"title": "T", "content": "text", "content_type": "text/plain"});
    let page = async |path: &str| {
        let request = Request::get(path).header(header::COOKIE, &caller.cookie);
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let get = async |path: &str, api| {
        let request = Request::get(path).header(header::AUTHORIZATION, caller.bearer(api));
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let backchannel = [
        ("scope", "openid"),
        ("binding_message", "Do it"),
        ("login_hint", r#"{"format":"iss_sub","iss":"https://behalf.test/","sub":"auth0|all"}"#),
    ];
    vec![
        ("openfga", post(server, &format!("{STORE}/check"), KEY, &check).await),
        ("oauth", password_grant(server, &WEB, "all", &[("scope", "openid")]).await),
        ("oauth", WEB.post(server, "/bc-authorize", &backchannel).await),
        ("bearer", get("/userinfo", OwnApi::UserInfo).await),
        ("page", page(&WEB.authorize_path(&[("scope", "openid")])).await),
        ("page", page("/account/approvals").await),
        ("page", page("/console/traces").await),
        ("problem", get("/me/v1/approvals", OwnApi::MyAccount).await),
        ("problem", get("/me/v1/connected-accounts/accounts", OwnApi::MyAccount).await),
        ("problem", post(server, "/api/v1/documents", api, &document).await),
        ("problem", post(server, "/api/v1/documents/search", api, &json!({"query": "x"})).await),
        ("problem", get("/api/v1/traces", OwnApi::Behalf).await),
        ("problem", get("/log/default/checkpoint", OwnApi::Behalf).await),
        ("ready", server.get("/readyz").await),
    ]
}

fn assert_unavailable(dialect: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{dialect}: {}", answer.text);
    let words = answer.text.to_lowercase();
    for inner in ["postgres", "sqlstate", "connection", "socket", "nothing was stored"] {
        assert!(!words.contains(inner), "{dialect}: {}", answer.text);
    }
    let content_type = answer.header(header::CONTENT_TYPE);
    match dialect {
        "openfga" => assert_eq!(answer.json()["code"], "internal_error"),
        "oauth" => assert_eq!(answer.json()["error"], "temporarily_unavailable"),
        "bearer" => assert_eq!(content_type, "application/json", "{}", answer.text),
        "problem" => {
            assert_eq!(content_type, "application/problem+json", "{}", answer.text);
            assert_eq!(answer.json()["status"], 503);
        }
        "page" => assert!(content_type.starts_with("text/html"), "{content_type}"),
        _ => return,
    }
    assert_ne!(answer.header(header::RETRY_AFTER), "", "{dialect}: {}", answer.text);
}

async fn assert_every_route_is_unavailable(server: &TestServer, caller: &Caller) {
    for route in &server.server.rules {
        let line = format!("{} {}", route.method, route.path);
        let answer = caller.ask(server, route).await;
        let status = answer.status;
        let content_type = answer.headers.get(header::CONTENT_TYPE);
        let is_grpc =
            content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if is_grpc && route.rule != Rule::Public {
            let grpc_status = answer.headers.get("grpc-status");
            assert!(grpc_status.is_some_and(|code| code == "14"), "{line}: UNAVAILABLE");
        } else if is_grpc {
            assert!(status.is_success(), "{line}: {status}");
        } else if route.rule == Rule::Public {
            // What is made from memory goes on; what the request lacks may be said first.
            let is_read = matches!(route.method, Method::GET | Method::OPTIONS);
            let is_read = is_read && status.is_success();
            let is_told = status == StatusCode::SERVICE_UNAVAILABLE || status.is_client_error();
            assert!(is_read || is_told, "{line}: {status}");
        } else {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_every_route_answers_503_and_serves_again_afterwards() {
    let Some(cluster) = Cluster::new("routes") else { return };
    let url = cluster.start().await;
    let server = TestServer::start_with(SETUP, |options| options.database = Some(Secret::new(url)));
    let server = server.await;
    let caller = Caller::of(&server).await;

    let told = Told::default();
    let stored = || told.stored.borrow().len();
    let writers = (0..WRITERS).map(|writer| write(&server, writer, &told));
    let outage = async {
        until("the first writes are stored", || stored() >= ENOUGH).await;
        cluster.stop().await;
        until("writes are refused", || told.refused.borrow().len() >= WRITERS).await;
        let before = stored();
        for (dialect, answer) in ask_each_dialect(&server, &caller).await {
            assert_unavailable(dialect, &answer);
        }
        assert_every_route_is_unavailable(&server, &caller).await;
        assert_eq!(server.get("/healthz").await.status, StatusCode::OK, "the process lives");
        assert_eq!(stored(), before, "nothing was acknowledged meanwhile");
        cluster.start().await;
        until("writes are stored again", || stored() >= before + ENOUGH).await;
        told.is_over.set(true);
    };
    tokio::join!(futures_util::future::join_all(writers), outage);

    for (dialect, answer) in ask_each_dialect(&server, &caller).await {
        assert!(answer.status.as_u16() < 400, "{dialect}: {}: {}", answer.status, answer.text);
    }
    let mut present = BTreeSet::new();
    let mut page = json!({"page_size": 100});
    loop {
        let read = post(&server, &format!("{STORE}/read"), KEY, &page).await.expect(200).json();
        let tuples = read["tuples"].as_array().unwrap().iter();
        present.extend(tuples.map(|tuple| text(&tuple["key"], "object").to_owned()));
        page["continuation_token"] = read["continuation_token"].clone();
        if text(&read, "continuation_token").is_empty() {
            break;
        }
    }
    let (stored, refused) = (told.stored.take(), told.refused.take());
    assert!(stored.is_subset(&present), "lost: {:?}", stored.difference(&present));
    let others: BTreeSet<_> = present.difference(&stored).cloned().collect();
    assert!(others.is_subset(&refused), "from nowhere: {others:?}");
    let outbox = server.outbox().await;
    let is_write = |facts: &str| facts.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let writes = outbox.iter().filter(|row| row.kind == "fga.tuples_written");
    let writes = writes.filter(|row| is_write(&row.facts)).count();
    assert_eq!(writes, present.len(), "each has its event");
    server.server.storage.close().await;
}
