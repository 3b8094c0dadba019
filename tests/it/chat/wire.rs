//! A GitHub down to its bytes: for each Gist, by its description, what becomes of it and of the
//! answer can be said beforehand; and it holds what it is told to hold until its caller is gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Whether it has its effect.
    pub(super) has_effect: bool,
    /// The answer's bytes; `None`: the true ones.
    pub(super) answer: Option<Vec<u8>>,
    /// How many bytes of it are sent.
    pub(super) cut: usize,
    /// Whether the connection then stays open without a word.
    pub(super) holds: bool,
}

impl Plan {
    /// All goes well.
    pub(super) const GOOD: Self =
        Self { has_effect: true, answer: None, cut: usize::MAX, holds: false };

    /// It has no effect, and this answer.
    pub(super) fn answer(status: &str, kind: &str, body: &str) -> Self {
        let answer = Some(response(status, kind, body));
        Self { has_effect: false, answer, ..Self::GOOD }
    }
}

#[derive(Default)]
struct State {
    plans: BTreeMap<String, Plan>,
    gists: Vec<Value>,
    /// How often each request came: `POST <description>`, or method and path.
    counts: BTreeMap<String, usize>,
}

/// A running one; clones share it.
#[derive(Clone)]
pub(super) struct Wire {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = wire.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let wire = serving.clone();
                // A caller that hangs up is part of the play.
                tokio::spawn(async move { wire.serve(stream).await.ok() });
            }
        });
        wire
    }

    /// A set-up file with the connection to it and the owner's account.
    pub(super) fn setup(&self, account: &str) -> String {
        let base = format!("http://{}/", self.address);
        format!(
            "connections: [{{name: github, strategy: github, options: {{client_id: gh, \
             client_secret: gh-secret, authorization_url: \"{base}authorize\", token_url: \
             \"{base}token\", userinfo_url: \"{base}user\", api_base_url: \"{base}\", scope: \
             [public_repo, gist]}}}}]\nconnected_accounts: [{{user_id: \"auth0|owner\", \
             connection: github, access_token: wire-token, scopes: [public_repo, gist]{account}}}]\n"
        )
    }

    /// The address of something of it.
    pub(super) fn address(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// What becomes of the Gist of that description, or of `GET /gists` and the like.
    pub(super) fn plan(&self, what: &str, plan: Plan) {
        self.state.lock().unwrap().plans.insert(what.to_owned(), plan);
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.state.lock().unwrap().counts.get(what).copied().unwrap_or_default()
    }

    /// Whether there is a Gist of that description.
    pub(super) fn has(&self, description: &str) -> bool {
        let state = self.state.lock().unwrap();
        state.gists.iter().any(|gist| described(gist) == description)
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some((line, body)) = read(&mut stream).await? else { return Ok(()) };
        let path = line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
        let gist: Value = serde_json::from_str(&body).unwrap_or_default();
        let what = match path.as_str() {
            "POST /gists" => described(&gist),
            _ => path.clone(),
        };
        let (plan, truth) = {
            let mut state = self.state.lock().unwrap();
            *state.counts.entry(what.clone()).or_default() += 1;
            let plan = state.plans.get(&what).cloned().unwrap_or(Plan::GOOD);
            let truth = match path.as_str() {
                "POST /gists" => {
                    let made = made(&gist, state.gists.len());
                    if plan.has_effect {
                        state.gists.push(made.clone());
                    }
                    response("201 Created", JSON, &made.to_string())
                }
                "GET /gists" => response("200 OK", JSON, &json!(state.gists).to_string()),
                _ => response("404 Not Found", JSON, "{}"),
            };
            (plan, truth)
        };
        let answer = plan.answer.unwrap_or(truth);
        stream.write_all(&answer[..plan.cut.min(answer.len())]).await?;
        stream.flush().await?;
        if plan.holds {
            // Until the caller is gone: it says nothing more.
            stream.read_u8().await?;
        }
        stream.shutdown().await
    }
}

pub(super) const JSON: &str = "application/json";

/// A whole answer.
pub(super) fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The Gist as the API shows it; its length does not depend on how many there are.
pub(super) fn made(gist: &Value, count: usize) -> Value {
    json!({"id": format!("g{count:05}"), "html_url": format!("https://gist.example/{count:05}"),
        "description": gist["description"], "public": true})
}

/// A Gist's description without the mark.
fn described(gist: &Value) -> String {
    let description = gist["description"].as_str().unwrap_or_default();
    description.split(" [behalf:").next().unwrap_or_default().to_owned()
}

/// The request's first line and its body.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let line = text.lines().next().unwrap_or_default().to_owned();
                return Ok(Some((line, body.to_owned())));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
