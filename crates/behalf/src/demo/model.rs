//! A scripted model: a server that speaks chat completions, streamed, and says what its script
//! tells it to. It knows nothing and decides nothing; pages label it as scripted.

mod scenario;
mod words;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use behalf_agent::ModelEndpoint;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use scenario::{Emit, Rule, When, journey};

/// How many requests are remembered for those who ask.
const REQUESTS_MAX: usize = 1_000;

/// How long before a connection breaks what was said before is given to arrive.
const FLUSH: Duration = Duration::from_millis(50);

/// A running scripted model.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Asked>>,
    /// Between two pieces of an answer.
    pause: Duration,
}

/// A request that the model was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

impl ScriptedModel {
    /// Starts it on `address`; `pause` stands between two pieces of an answer.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: &str, script: Vec<Rule>, pause: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            requests: Mutex::new(Vec::new()),
            pause,
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(Arc::clone(&shared));
        let (stop, mut stopped) = watch::channel(false);
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            let over = async move {
                // An error means that the model itself is gone.
                if let Err(error) = stopped.wait_for(|is_over| *is_over).await {
                    tracing::debug!(%error, "the scripted model was dropped");
                }
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(over).await {
                tracing::warn!(%error, "the scripted model ended");
            }
        });
        tasks.close();
        Ok(Self { address, shared, stop, tasks })
    }

    /// The API's address, as `--model-url` takes it.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The endpoint that the agent is given.
    ///
    /// # Errors
    /// Never for a model that runs.
    pub fn endpoint(&self) -> anyhow::Result<ModelEndpoint> {
        let name = "scripted".to_owned();
        Ok(ModelEndpoint { url: self.url().parse()?, key: None, name, is_scripted: true })
    }

    /// Replaces the script.
    pub fn set_script(&self, script: Vec<Rule>) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Everything that it was asked so far; the first thousand.
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops it.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.tasks.wait().await;
    }
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        let error = json!({"error": {"message": "the body is not JSON"}});
        return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
    };
    let emitted = {
        let script = shared.script.lock().unwrap_or_else(PoisonError::into_inner);
        scenario::choose(&script, &body)
    };
    {
        let mut requests = shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < REQUESTS_MAX {
            requests.push(Asked { headers, body: body.clone() });
        }
    }
    for emit in &emitted {
        match emit {
            Emit::Status(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                let error = json!({"error": {"message": "the script refuses"}});
                return (status, error.to_string()).into_response();
            }
            Emit::Page(text) => {
                return ([(header::CONTENT_TYPE, "text/html")], text.clone()).into_response();
            }
            _ => {}
        }
    }
    let pieces = pieces(&emitted, &body);
    let pause = shared.pause;
    let pieces = stream::unfold(pieces.into_iter(), move |mut rest| async move {
        let piece = rest.next()?;
        let wait = piece.pause.unwrap_or(pause);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        // An error in the body is a connection that breaks in the middle.
        let bytes = match piece.text {
            Some(text) => Ok(Bytes::from(text)),
            None => Err(std::io::Error::other("the script breaks off")),
        };
        Some((bytes, rest))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// A piece of the answer; without text the connection breaks.
struct Piece {
    text: Option<String>,
    pause: Option<Duration>,
}

fn pieces(emitted: &[Emit], body: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut said = String::new();
    let mut calls = 0_u64;
    let mut add = |delta: Value, finish: Option<&str>, pause: Option<Duration>| {
        let chunk = json!({"id": "chatcmpl-scripted", "object": "chat.completion.chunk",
            "created": 0, "model": "scripted",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        pieces.push(Piece { text: Some(format!("data: {chunk}\n\n")), pause });
    };
    add(json!({"role": "assistant", "content": null}), None, None);
    let mut breaks = false;
    for emit in emitted {
        match emit {
            Emit::Text(text) => {
                for word in text.split_inclusive(' ') {
                    add(json!({"content": word}), None, None);
                }
                said.push_str(text);
            }
            Emit::Drip { text, every } => {
                for letter in text.chars() {
                    add(json!({"content": letter}), None, Some(*every));
                }
                said.push_str(text);
            }
            Emit::Call { id, name, arguments } => {
                let id = id.clone().unwrap_or_else(|| format!("call_{calls}"));
                add(call_delta(calls, Some(&id), name, ""), None, None);
                // Arguments come in pieces too.
                let (first, second) = halves(arguments);
                for piece in [first, second] {
                    let delta = json!({"tool_calls": [{"index": calls, "function":
                                       {"arguments": piece}}]});
                    add(delta, None, None);
                }
                said.push_str(arguments);
                calls = calls.saturating_add(1);
            }
            Emit::BreakOff => breaks = true,
            Emit::Status(_) | Emit::Page(_) => {}
        }
    }
    if breaks {
        // What was said before must have left by then.
        pieces.push(Piece { text: None, pause: Some(FLUSH) });
        return pieces;
    }
    add(json!({}), Some(if calls > 0 { "tool_calls" } else { "stop" }), None);
    let tokens = |text: &str| text.len().div_ceil(4);
    let wants_usage = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    if wants_usage {
        let messages = body.get("messages").map(Value::to_string).unwrap_or_default();
        let usage = json!({"choices": [], "usage": {
            "prompt_tokens": tokens(&messages), "completion_tokens": tokens(&said)}});
        pieces.push(Piece { text: Some(format!("data: {usage}\n\n")), pause: None });
    }
    pieces.push(Piece { text: Some("data: [DONE]\n\n".to_owned()), pause: None });
    pieces
}

fn call_delta(index: u64, id: Option<&str>, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function",
           "function": {"name": name, "arguments": arguments}}]})
}

fn halves(text: &str) -> (&str, &str) {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(place, _)| place);
    text.split_at(middle)
}
