//! OpenFGA's own behaviour files, asked of the server: over HTTP here, over gRPC in [`grpc`]. What is
//! asked and expected stands with the engine, which is asked the same.
#![expect(clippy::print_stdout, reason = "how many assertions ran is worth reading")]

mod grpc;
#[path = "../../crates/behalf-fga/tests/it/conformance/runner.rs"]
mod runner;

use axum::body::Body;
use behalf_fga::AuthorizationModel;
use behalf_tests::TestServer;
use http::{Method, Request, header};
use serde_json::{Value, json};

use runner::{CHUNK, Question, Said, Way, list, run, text_of};

const SETUP: &str = r#"
fga:
  api_keys:
    - {name: all, key: "key-of-all-stores", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}
"#;

/// The server, and the store and the model that are asked.
struct Http {
    server: TestServer,
    store: String,
    model_id: String,
}

impl Http {
    async fn start() -> Self {
        let server = TestServer::start(SETUP).await;
        Self { server, store: String::new(), model_id: String::new() }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer key-of-all-stores")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = self.server.send(request).await;
        (answer.status.as_u16(), answer.json())
    }

    async fn ask(&self, operation: &str, mut body: Value, is: impl FnOnce(&Value) -> Said) -> Said {
        body["authorization_model_id"] = self.model_id.as_str().into();
        let path = format!("/stores/{}/{operation}", self.store);
        match self.post(&path, &body).await {
            (200, body) => is(&body),
            (_, body) => code(&body),
        }
    }
}

fn code(body: &Value) -> Said {
    let number = match text_of(body, "code") {
        "validation_error" => 2000,
        "authorization_model_resolution_too_complex" => 2002,
        "type_not_found" => 2021,
        "relation_not_found" => 2022,
        "invalid_tuple" => 2027,
        other => panic!("an unexpected code: {other}"),
    };
    Said::Code(number)
}

impl Way for Http {
    async fn new_store(&mut self) {
        let (status, body) = self.post("/stores", &json!({"name": "conformance"})).await;
        assert_eq!(status, 201, "{body}");
        self.store = text_of(&body, "id").to_owned();
    }

    async fn write(&mut self, model: AuthorizationModel, tuples: &[Value]) {
        let path = format!("/stores/{}/authorization-models", self.store);
        let model = serde_json::from_str(&model.to_json().unwrap()).unwrap();
        let (status, body) = self.post(&path, &model).await;
        assert_eq!(status, 201, "{body}");
        self.model_id = text_of(&body, "authorization_model_id").to_owned();
        for chunk in tuples.chunks(CHUNK) {
            let body = json!({
                "writes": {"tuple_keys": chunk},
                "authorization_model_id": self.model_id,
            });
            let (status, body) = self.post(&format!("/stores/{}/write", self.store), &body).await;
            assert_eq!(status, 200, "{body}");
        }
    }

    async fn check(&self, Question { asked, tuples, context }: Question<'_>) -> Said {
        let body = json!({
            "tuple_key": {
                "user": asked["user"], "relation": asked["relation"], "object": asked["object"],
            },
            "contextual_tuples": {"tuple_keys": tuples},
            "context": context,
        });
        self.ask("check", body, |body| Said::Check(body["allowed"].as_bool().unwrap())).await
    }

    async fn list_objects(&self, Question { asked, tuples, context }: Question<'_>) -> Said {
        let body = json!({
            "user": asked["user"],
            "relation": asked["relation"],
            "type": asked["type"],
            "contextual_tuples": {"tuple_keys": tuples},
            "context": context,
        });
        let objects = |body: &Value| {
            let objects = list(&body["objects"]).iter();
            Said::list(objects.map(|object| object.as_str().unwrap().to_owned()).collect())
        };
        self.ask("list-objects", body, objects).await
    }

    async fn list_users(&self, question: Question<'_>) -> Said {
        let Question { asked, tuples, context } = question;
        let (type_name, relation) = question.user_filter();
        let (object_type, id) = text_of(asked, "object").split_once(':').unwrap();
        let body = json!({
            "object": {"type": object_type, "id": id},
            "relation": asked["relation"],
            "user_filters": [{"type": type_name, "relation": relation}],
            "contextual_tuples": tuples,
            "context": context,
        });
        let users = |body: &Value| Said::list(list(&body["users"]).iter().map(user).collect());
        self.ask("list-users", body, users).await
    }
}

fn user(user: &Value) -> String {
    let (kind, of) = user.as_object().unwrap().iter().next().unwrap();
    let part = |name| text_of(of, name);
    match kind.as_str() {
        "object" => format!("{}:{}", part("type"), part("id")),
        "wildcard" => format!("{}:*", part("type")),
        _ => format!("{}:{}#{}", part("type"), part("id"), part("relation")),
    }
}

#[tokio::test]
async fn openfgas_assertions_hold_over_http() {
    run("over HTTP", &mut Http::start().await).await;
}
