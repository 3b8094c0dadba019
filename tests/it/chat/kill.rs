//! `kill -9` at each step between the question and its answer: whatever the moment, a Gist is
//! published once or not at all, and the answer says which. The server is a real process; model and
//! provider outlive it, and hold it at the step at which it dies.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use behalf::demo::model::{Emit, When};
use behalf_core::Secret;
use behalf_egress::{Body, Call, Egress};
use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use super::wire::{JSON, Plan, Wire, response};
use super::*;

struct Process {
    child: Child,
    base: String,
    egress: Egress,
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("server.log")).unwrap()
}

impl Process {
    async fn start(dir: &Path, model: &ScriptedModel) -> Self {
        for _port in 0..5 {
            if let Some(this) = Self::start_at_some_port(dir, model).await {
                return this;
            }
        }
        panic!("{}", log_of(dir));
    }

    /// Nothing if somebody else was given the port that was free a moment ago.
    async fn start_at_some_port(dir: &Path, model: &ScriptedModel) -> Option<Self> {
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
        let mut this = Self { child, base, egress: Egress::new("behalf-test").unwrap() };
        for _look in 0..600 {
            if this.child.try_wait().unwrap().is_some() && log_of(dir).contains("another program") {
                return None;
            }
            let ready = Call::new(Method::GET, format!("{}readyz", this.base).parse().unwrap());
            if this.egress.send(&ready).await.is_ok_and(|answer| answer.status == 200) {
                return Some(this);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{}", log_of(dir));
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

/// Where the server is when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The approval waits.
    Asked,
    /// It is given; the account's token is being renewed, so nothing has begun.
    Approved,
    /// The request has arrived and has had no effect.
    Sent,
    /// It has had its effect; nothing of the answer is there.
    Had,
    /// Half of the answer is there.
    HalfAnswered,
    /// The answer was lost, and its Gist is being looked for.
    LookedFor,
    /// The outcome is recorded, and the model is being told.
    Recorded,
}

/// What is said of the Gist in the end.
async fn killed_at(step: Step) -> String {
    let wire = Wire::start().await;
    let model = ScriptedModel::start("127.0.0.1:0", Vec::new(), Duration::ZERO).await.unwrap();
    let call = Emit::call("createPublicGist", &json!({"description": "x", "content": "x"}));
    let slowly = Emit::Drip { text: "Over.".to_owned(), every: Duration::from_secs(3_600) };
    let script = |last: Emit| {
        let after = When { last_role: Some("tool"), ..When::default() };
        vec![Rule { when: after, emit: vec![last] }, Rule::always(vec![call.clone()])]
    };
    model.set_script(script(Emit::text("Over.")));
    let held = Plan { cut: 0, holds: true, ..Plan::GOOD };
    match step {
        Step::Asked => {}
        Step::Approved => wire.plan("POST /token", held),
        Step::Sent => wire.plan("x", Plan { has_effect: false, ..held }),
        Step::Had => wire.plan("x", held),
        Step::HalfAnswered => wire.plan("x", Plan { cut: 200, ..held }),
        Step::LookedFor => {
            wire.plan("x", Plan { cut: 0, ..Plan::GOOD });
            wire.plan("GET /gists", held);
        }
        Step::Recorded => model.set_script(script(slowly)),
    }
    let account = match step {
        // Renewed a minute before it ends: soon, but not before the approval is asked for.
        Step::Approved => ", refresh_token: wire-refresh, expires_in: 66",
        _ => "",
    };
    let dir = tempfile::tempdir().unwrap();
    let setup = format!(
        "users: [{{user_id: \"auth0|owner\", email: owner@example.com, username: owner, password: \
         owner-password}}]\nclients:\n  - {{client_id: web, client_secret: web-secret, \
         grant_types: [password]}}\n  - {{client_id: approver, client_secret: approver-secret, \
         approver: true, grant_types: [password]}}\n{}",
        wire.setup(account)
    );
    std::fs::write(dir.path().join("setup.yaml"), setup).unwrap();

    let question = asked("t", &["publish"]);
    let server = Process::start(dir.path(), &model).await;
    let part = interrupt(&server.ask(&question).await);
    if step == Step::Approved {
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    if step != Step::Asked {
        server.approve(&part).await;
    }
    let is_there = || match step {
        Step::Asked => true,
        Step::Approved => wire.count("POST /token") == 1,
        Step::Sent | Step::Had | Step::HalfAnswered => wire.count("x") == 1,
        Step::LookedFor => wire.count("GET /gists") == 1,
        Step::Recorded => model.requests().len() == 2,
    };
    while !is_there() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();

    wire.plan("GET /gists", Plan::GOOD);
    let renewed = r#"{"access_token": "wire-token-2", "expires_in": 28800}"#;
    let renewed = response("200 OK", JSON, renewed);
    wire.plan("POST /token", Plan { answer: Some(renewed), ..Plan::GOOD });
    model.set_script(script(Emit::text("Over.")));
    let server = Process::start(dir.path(), &model).await;
    let before = server.ask(&question).await;
    if step == Step::Asked {
        assert_eq!(interrupt(&before), part, "it waits as before");
        server.approve(&part).await;
    }
    let after = server.ask(&question).await;
    assert_eq!(said(&after), "Over.", "{step:?}");
    let status = text(&output(&after), "status").to_owned();
    server.kill();
    assert_eq!(wire.count("x"), 1, "{step:?}: it is sent once");
    assert_eq!(wire.has("x"), status == "done", "{step:?}: what is said is true");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_any_step_publishes_once_or_not_at_all_and_says_which() {
    let steps = [
        (Step::Asked, "done"),
        (Step::Approved, "done"),
        (Step::Sent, "not_done"),
        (Step::Had, "done"),
        (Step::HalfAnswered, "done"),
        (Step::LookedFor, "done"),
        (Step::Recorded, "done"),
    ];
    let said = join_all(steps.iter().map(|(step, _)| killed_at(*step))).await;
    for ((step, status), said) in steps.iter().zip(said) {
        assert_eq!(said, *status, "{step:?}");
    }
}
