//! Chats through the router, with the scripted model and the scripted provider on loopback.

mod approvals;
mod cut;
mod dialects;
mod forged;
mod journey;
mod kill;
mod model;
mod page;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use behalf::demo::model::{Rule, ScriptedModel, journey};
use behalf::demo::provider::{LocalProvider, ProviderOptions};
use behalf::wiring::ServerOptions;
use behalf_agent::ModelEndpoint;
use behalf_core::ManualClock;
use behalf_crypto::SystemRng;
use behalf_identity::Issuer;
use behalf_tests::{Answer, ISSUER, START, TestServer};
use http::{Request, header};
use serde_json::{Value, json};

use crate::world::{self, APPROVER, WEB, text};

const API: &str = "https://behalf.test/api/";
const ME: &str = "https://behalf.test/me/";

/// A server with its model and its provider.
struct Chat {
    server: TestServer,
    model: ScriptedModel,
    provider: LocalProvider,
    /// The owner's token, through the application `web`.
    token: String,
    /// The provider's token of the owner's account, once it is connected.
    secret: Option<String>,
}

impl Chat {
    async fn start() -> Self {
        Self::with(journey()).await
    }

    async fn with(script: Vec<Rule>) -> Self {
        Self::with_model(script, None).await
    }

    /// With a model at `url` instead of the scripted one.
    async fn with_model(script: Vec<Rule>, url: Option<String>) -> Self {
        let model = ScriptedModel::start("127.0.0.1:0", script, Duration::ZERO).await.unwrap();
        let provider = LocalProvider::start(
            "127.0.0.1:0",
            ProviderOptions {
                client_id: "gh".to_owned(),
                client_secret: "gh-secret".to_owned(),
                redirect_uris: vec!["https://behalf.test/login/callback".to_owned()],
                people: vec!["olive".to_owned()],
                token_lifetime: None,
                clock: Arc::new(ManualClock::new(START)),
                rng: Arc::new(SystemRng),
            },
        )
        .await
        .unwrap();
        let mut endpoint = endpoint(&model);
        if let Some(url) = url {
            endpoint.url = url.parse().unwrap();
        }
        let server = TestServer::start_with(world::SETUP, |options| {
            options.model = Some(endpoint);
            options.chat_hold = Duration::ZERO;
        })
        .await;
        let connection = format!(
            "connections: [{{name: github, strategy: github, options: {}}}]",
            provider.connection_options("public_repo, gist")
        );
        server.apply(&connection).await.unwrap();
        let token = token(&server, "owner").await;
        Self { server, model, provider, token, secret: None }
    }

    /// The owner's account is connected, as if she had done it on the page.
    async fn connect(&mut self) {
        let issued = self.provider.issue("olive", &["public_repo", "gist"]);
        let secret = issued.access_token.expose().clone();
        let setup = format!(
            "connected_accounts: [{{user_id: \"auth0|owner\", connection: github, access_token: \
             \"{secret}\", scopes: [public_repo, gist]}}]"
        );
        self.server.apply(&setup).await.unwrap();
        self.secret = Some(secret);
    }

    /// Posts a body as the owner and reads the whole stream.
    async fn post(&self, body: &Value) -> Answer {
        self.post_as(&self.token, body).await
    }

    async fn post_as(&self, token: &str, body: &Value) -> Answer {
        self.send("/api/chat", token, body, &[]).await
    }

    async fn send(
        &self,
        path: &str,
        token: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Posts a question and gives the stream's chunks.
    async fn ask(&self, body: &Value) -> Vec<Value> {
        chunks(&self.post(body).await.expect(200))
    }

    /// Follows the thread's turn that runs or waits.
    async fn follow(&self, thread: &str) -> Answer {
        self.server.get_with_token(&format!("/api/chat/{thread}/stream"), &self.token).await
    }

    /// Decides an approval through the approver's application.
    async fn decide(&self, id: &str, verdict: &str) -> Answer {
        let form = [("audience", ME), ("scope", "read:me:approvals update:me:approvals")];
        let tokens =
            world::password_grant(&self.server, &APPROVER, "owner", &form).await.expect(200).json();
        let path = format!("/me/v1/approvals/{id}/{verdict}");
        self.send(&path, text(&tokens, "access_token"), &json!({}), &[]).await
    }

    fn posted_gists(&self) -> usize {
        self.provider.count("POST", "/gists")
    }

    /// No secret has reached the model, and none is in what `texts` show.
    #[track_caller]
    fn assert_no_secret(&self, texts: &[&str]) {
        let secret = self.secret.as_deref().unwrap();
        for request in self.model.requests() {
            assert!(!request.body.to_string().contains(secret));
        }
        for text in texts {
            assert!(!text.contains(secret), "{text}");
        }
    }

    /// Stops the server and starts another on the same folder.
    async fn restart(self) -> Self {
        let Self { server, model, provider, secret, .. } = self;
        let TestServer { server: old, clock, dir } = server;
        old.agent.stop().await;
        old.storage.close().await;
        drop(old);
        let mut options = ServerOptions::new(Issuer::parse(ISSUER).unwrap());
        options.model = Some(endpoint(&model));
        options.chat_hold = Duration::ZERO;
        let server = TestServer::reopen(dir, clock, options).await;
        server.server.agent.start();
        let token = token(&server, "owner").await;
        Self { server, model, provider, token, secret }
    }
}

fn endpoint(model: &ScriptedModel) -> ModelEndpoint {
    ModelEndpoint {
        url: model.url().parse().unwrap(),
        key: Some("model-key".into()),
        name: "scripted".to_owned(),
        is_scripted: true,
    }
}

/// A person's token for the chat and for documents.
async fn token(server: &TestServer, name: &str) -> String {
    let form =
        [("audience", API), ("scope", "openid chat read:documents write:documents read:traces")];
    let tokens = world::password_grant(server, &WEB, name, &form).await.expect(200).json();
    text(&tokens, "access_token").to_owned()
}

/// A body as AI SDK 5 and newer post it: what the person wrote, oldest first.
fn asked(thread: &str, written: &[&str]) -> Value {
    let messages: Vec<Value> = written
        .iter()
        .enumerate()
        .map(|(place, text)| {
            json!({"id": format!("m{place}"), "role": "user",
                   "parts": [{"type": "text", "text": text}]})
        })
        .collect();
    json!({"id": thread, "trigger": "submit-message", "messages": messages})
}

/// The chunks of a UI message stream, which ends as it must.
#[track_caller]
fn chunks(answer: &Answer) -> Vec<Value> {
    let mut frames: Vec<&str> =
        answer.text.split("\n\n").filter(|frame| !frame.is_empty() && *frame != ": ping").collect();
    assert_eq!(frames.pop(), Some("data: [DONE]"), "{}", answer.text);
    let chunks = frames.into_iter().map(|frame| {
        let json = frame.strip_prefix("data: ").unwrap_or_else(|| panic!("{frame}"));
        serde_json::from_str(json).unwrap()
    });
    chunks.collect()
}

/// Those of a type.
fn of_type<'a>(chunks: &'a [Value], kind: &str) -> Vec<&'a Value> {
    chunks.iter().filter(|chunk| chunk["type"] == kind).collect()
}

/// The text of an answer.
fn said(chunks: &[Value]) -> String {
    let deltas = of_type(chunks, "text-delta");
    deltas.iter().map(|chunk| chunk["delta"].as_str().unwrap()).collect()
}

/// The newest interrupt.
#[track_caller]
fn interrupt(chunks: &[Value]) -> Value {
    let parts = of_type(chunks, "data-behalf-interrupt");
    (*parts.last().unwrap_or_else(|| panic!("no interrupt in {chunks:?}"))).clone()
}

/// The one output.
#[track_caller]
fn output(chunks: &[Value]) -> Value {
    let outputs = of_type(chunks, "tool-output-available");
    assert_eq!(outputs.len(), 1, "{chunks:?}");
    outputs[0]["output"].clone()
}

const REPOSITORIES: &str = "Show me popular Next.js repositories about AI";
const GIST: &str = "Publish a public Gist titled \"Notes\" with the text \"one line\"";
