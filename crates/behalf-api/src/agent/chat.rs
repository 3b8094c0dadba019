//! `POST /api/chat` and `GET /api/chat/{id}/stream`.
//!
//! Which dialect is spoken follows from the body; the options `sdk` (6, 7) and `interrupts`
//! (`auth0`) stand in the body, or in the headers `x-behalf-ai-sdk` and `x-behalf-interrupts`.
//! Errors before the stream are one sentence of plain text.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_agent::AgentError;
use behalf_agent::dialect::request::{ChatHeaders, ChatRequest};
use behalf_agent::dialect::{Dialect, Encoder, InterruptStyle, Seen};
use behalf_gate::Mandate;
use behalf_http::{Caller, HttpContext};
use behalf_store::StoreError;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode, Version};
use serde_json::Value;

use super::stream;

/// Someone wrote to the agent.
pub(super) async fn post(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    version: Version,
    uri: http::Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let Ok(body) = body else {
        return sentence(StatusCode::PAYLOAD_TOO_LARGE, "The chat is too large; start a new one.");
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return sentence(StatusCode::BAD_REQUEST, "The chat is not JSON.");
    };
    let said = Said::of(&headers, &uri);
    let request = match ChatRequest::read(&body, said.as_headers()) {
        Ok(request) => request,
        Err(error) => return sentence(StatusCode::BAD_REQUEST, error.0),
    };
    let Some(mandate) = mandate(&context, &caller) else {
        return sentence(StatusCode::FORBIDDEN, "This access token is about no person.");
    };
    let follower = match context.agent.post(mandate, &request).await {
        Ok(follower) => follower,
        Err(error) => return refused(&error),
    };
    let issuer = context.identity.issuer().as_str();
    let encoder =
        Encoder::new(request.dialect, request.style, request.seen, follower.message_id(), issuer);
    stream::respond(follower, encoder, request.dialect, version, context.chat_hold)
}

/// A client that comes back: what has happened in the turn that runs or waits, and what follows.
pub(super) async fn resume(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(thread_id): Path<String>,
    version: Version,
    uri: http::Uri,
    headers: HeaderMap,
) -> Response {
    let Some(mandate) = mandate(&context, &caller) else {
        return sentence(StatusCode::FORBIDDEN, "This access token is about no person.");
    };
    let follower = match context.agent.follow(mandate.subject(), &thread_id).await {
        Ok(Some(follower)) => follower,
        Ok(None) => return StatusCode::NO_CONTENT.into_response(),
        Err(error) => return refused(&error),
    };
    let said = Said::of(&headers, &uri);
    let (dialect, style) = said.dialect();
    let issuer = context.identity.issuer().as_str();
    let encoder = Encoder::new(dialect, style, Seen::default(), follower.message_id(), issuer);
    stream::respond(follower, encoder, dialect, version, context.chat_hold)
}

/// The mandate of the built-in agent for whoever called; `None` for a client's own token.
fn mandate(context: &HttpContext, caller: &Caller) -> Option<Mandate> {
    let agent = context.identity.built_in_agent();
    match caller {
        Caller::Person(session) => Some(Mandate::of_session(session, agent)),
        Caller::Token(token, Some(_person)) => Mandate::of_token(token, agent),
        Caller::Token(_, None) | Caller::Fga(..) | Caller::Project(_) => None,
    }
}

/// What stands beside the body.
struct Said {
    sdk: Option<String>,
    interrupts: Option<String>,
    protocol: Option<String>,
}

impl Said {
    fn of(headers: &HeaderMap, uri: &http::Uri) -> Self {
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query = uri.query().unwrap_or_default();
        let protocol = query.split('&').find_map(|pair| pair.strip_prefix("protocol="));
        Self {
            sdk: header("x-behalf-ai-sdk"),
            interrupts: header("x-behalf-interrupts"),
            protocol: protocol.map(str::to_owned),
        }
    }

    fn as_headers(&self) -> ChatHeaders<'_> {
        ChatHeaders {
            sdk: self.sdk.as_deref(),
            interrupts: self.interrupts.as_deref(),
            protocol: self.protocol.as_deref(),
        }
    }

    /// A request without a body says what it reads in its query: `text`, `data`, or nothing.
    fn dialect(&self) -> (Dialect, InterruptStyle) {
        let sdk = self.sdk.as_deref().and_then(|sdk| sdk.trim().parse().ok());
        let dialect = match self.protocol.as_deref() {
            Some("text") => Dialect::Text,
            Some("data") => Dialect::Data { is_legacy: false },
            _ => Dialect::Ui { sdk: sdk.filter(|sdk| matches!(sdk, 6 | 7)) },
        };
        let is_auth0 = self.interrupts.as_deref() == Some("auth0");
        (dialect, if is_auth0 { InterruptStyle::Auth0 } else { InterruptStyle::Native })
    }
}

fn refused(error: &AgentError) -> Response {
    let (status, text) = match error {
        AgentError::NoModel => (
            StatusCode::SERVICE_UNAVAILABLE,
            "This server has no model; its operator can name one with --model-url and --model.",
        ),
        AgentError::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many questions are under way; wait for one, or decide what they wait for.",
        ),
        AgentError::Stopping => {
            (StatusCode::SERVICE_UNAVAILABLE, "The server is stopping; ask again in a moment.")
        }
        AgentError::Full => {
            (StatusCode::CONFLICT, "This chat holds no more questions; start a new one.")
        }
        AgentError::Text => {
            (StatusCode::BAD_REQUEST, "Your message is empty, or longer than 64 KB.")
        }
        AgentError::Store(StoreError::Conflict { .. }) => {
            (StatusCode::CONFLICT, "The same question is being stored; ask again.")
        }
        AgentError::Gate(_) | AgentError::Retrieval(_) | AgentError::Store(_) => {
            tracing::error!(%error, "a chat could not be answered");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "The server cannot answer now; ask again in a moment, the same question is not asked twice.",
            )
        }
    };
    let mut response = sentence(status, text);
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn sentence(status: StatusCode, text: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
