//! `kill -9` around a call: whatever the moment, a Gist is published once or not at all, and the
//! answer says which. The server is a real process; model and provider outlive it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use behalf::demo::provider::Fault;
use behalf_core::Secret;
use behalf_egress::{Body, Call, Egress};
use http::Method;
use serde_json::json;

use super::*;

struct Process {
    child: Child,
    base: String,
    egress: Egress,
}

impl Process {
    async fn start(dir: &Path, model: &ScriptedModel) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let base = format!("http://127.0.0.1:{port}/");
        let log = std::fs::File::create(dir.join("server.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_behalf-under-test"))
            .args(["serve", "--http", &format!("127.0.0.1:{port}"), "--chat-hold", "1"])
            .args(["--issuer", "http://127.0.0.1:1/", "--model", "scripted", "--model-url"])
            .arg(model.url())
            .arg("--data")
            .arg(dir.join("data"))
            .arg("--apply")
            .arg(dir.join("setup.yaml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let this = Self { child, base, egress: Egress::new("behalf-test").unwrap() };
        for _look in 0..600 {
            let ready = Call::new(Method::GET, format!("{}readyz", this.base).parse().unwrap());
            if this.egress.send(&ready).await.is_ok_and(|answer| answer.status == 200) {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{}", std::fs::read_to_string(dir.join("server.log")).unwrap());
    }

    async fn post(&self, path: &str, token: Option<&Secret<String>>, body: &Value) -> String {
        let address = format!("{}{path}", self.base).parse().unwrap();
        let mut call = Call::new(Method::POST, address).body(Body::Json(body));
        if let Some(token) = token {
            call = call.bearer(token);
        }
        let answer = self.egress.send(&call).await.unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.status.is_success(), "{path}: {text}");
        text
    }

    async fn token(&self, client: &str, audience: &str, scope: &str) -> Secret<String> {
        let body = json!({"grant_type": "password", "client_id": client,
            "client_secret": format!("{client}-secret"), "username": "owner",
            "password": "owner-password", "audience": format!("http://127.0.0.1:1/{audience}"),
            "scope": scope});
        let answer: Value =
            serde_json::from_str(&self.post("oauth/token", None, &body).await).unwrap();
        text(&answer, "access_token").to_owned().into()
    }

    async fn ask(&self, body: &Value) -> Vec<Value> {
        let token = self.token("web", "api/", "openid chat").await;
        let text = self.post("api/chat", Some(&token), body).await;
        chunks(&Answer { status: http::StatusCode::OK, headers: http::HeaderMap::new(), text })
    }

    async fn approve(&self, part: &Value) {
        let token = self.token("approver", "me/", "update:me:approvals").await;
        let id = part["data"]["approval"]["id"].as_str().unwrap();
        self.post(&format!("me/v1/approvals/{id}/approve"), Some(&token), &json!({})).await;
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_publishes_once_or_not_at_all() {
    let chat = Chat::start().await;
    let (model, provider) = (&chat.model, &chat.provider);
    let dir = tempfile::tempdir().unwrap();
    let token = provider.issue("olive", &["public_repo", "gist"]).access_token;
    let setup = format!(
        "users: [{{user_id: \"auth0|owner\", email: owner@example.com, username: owner, password: \
         owner-password}}]\nclients:\n  - {{client_id: web, client_secret: web-secret, \
         grant_types: [password]}}\n  - {{client_id: approver, client_secret: approver-secret, \
         approver: true, grant_types: [password]}}\nconnections: [{{name: github, strategy: \
         github, options: {}}}]\nconnected_accounts: [{{user_id: \"auth0|owner\", connection: \
         github, access_token: \"{}\", scopes: [public_repo, gist]}}]\n",
        provider.connection_options("public_repo, gist"),
        token.expose()
    );
    std::fs::write(dir.path().join("setup.yaml"), setup).unwrap();

    // While the approval waits, and again when it is given.
    let waiting = asked("waiting", &["Publish a public Gist titled \"w\" with the text \"w\""]);
    let server = Process::start(dir.path(), model).await;
    let part = interrupt(&server.ask(&waiting).await);
    server.kill();
    let server = Process::start(dir.path(), model).await;
    assert_eq!(interrupt(&server.ask(&waiting).await), part);
    server.approve(&part).await;
    assert_eq!(output(&server.ask(&waiting).await)["status"], "done");
    assert_eq!((chat.posted_gists(), provider.gists().len()), (1, 1));
    server.kill();

    // While the request is on its way, before it has an effect; and after the effect, while its
    // lost answer is looked up.
    let late = Fault::Slow(Duration::from_secs(60));
    for (name, faults, status, gists) in [
        ("before", vec![late.clone()], "not_done", 1),
        ("after", vec![Fault::HangUpAfter, late], "done", 2),
    ] {
        let text = format!("Publish a public Gist titled \"{name}\" with the text \"{name}\"");
        let question = asked(name, &[text.as_str()]);
        let server = Process::start(dir.path(), model).await;
        let part = interrupt(&server.ask(&question).await);
        let before = provider.received().len();
        for fault in &faults {
            provider.fail_next("/gists", 1, fault);
        }
        server.approve(&part).await;
        while provider.received().len() < before + faults.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        let server = Process::start(dir.path(), model).await;
        let after = server.ask(&question).await;
        let after = match of_type(&after, "tool-output-available").is_empty() {
            true => server.ask(&question).await,
            false => after,
        };
        assert_eq!(output(&after)["status"], status, "{name}");
        server.kill();
        assert_eq!(provider.gists().len(), gists, "{name}");
    }
    assert_eq!(chat.posted_gists(), 3, "each was sent once");
}
