//! What the scripted provider receives, and how it can be told to fail.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};

use super::Shared;

/// The largest request that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// How many requests are remembered.
const RECEIVED_MAX: usize = 20_000;

/// How a request fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered rightly, but late.
    Slow(Duration),
    /// It has its effect, but only that many bytes of the answer arrive.
    Cut(usize),
    /// It has no effect and this answer: status, `Retry-After` in seconds, body.
    Answer(u16, Option<u32>, String),
    /// The connection ends without an answer, and without an effect.
    HangUpBefore,
    /// The connection ends without an answer, after the effect.
    HangUpAfter,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its `Authorization` header.
    pub authorization: Option<String>,
    /// Its body.
    pub body: String,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    received: VecDeque<Received>,
    planned: Vec<(String, usize, Fault)>,
}

impl Faults {
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.iter().cloned().collect()
    }

    pub(super) fn add(&mut self, path: &str, times: usize, fault: &Fault) {
        self.planned.push((path.to_owned(), times, fault.clone()));
    }

    fn note(&mut self, received: Received) -> Option<Fault> {
        let path = received.path.split('?').next().unwrap_or_default().to_owned();
        if self.received.len() >= RECEIVED_MAX {
            self.received.pop_front();
        }
        self.received.push_back(received);
        let index =
            self.planned.iter().position(|(known, times, _)| *known == path && *times > 0)?;
        let (_, times, fault) = self.planned.get_mut(index)?;
        *times = times.saturating_sub(1);
        Some(fault.clone())
    }
}

/// Marks a response whose connection ends instead.
#[derive(Clone, Copy, Debug)]
struct HangUp;

/// The response, or the end of its connection.
pub(super) fn hang_up_or(response: Response) -> io::Result<Response> {
    match response.extensions().get::<HangUp>() {
        Some(HangUp) => Err(io::Error::other("told to hang up")),
        None => Ok(response),
    }
}

/// Notes each request, and fails those that were chosen.
pub(super) async fn interfere(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let body = body.to_bytes();
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let received = Received {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        authorization: authorization.and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let fault = shared.faults().note(received);
    let request = Request::from_parts(parts, Body::from(body));
    match fault {
        None => next.run(request).await,
        Some(Fault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            next.run(request).await
        }
        Some(Fault::Cut(after)) => cut(next.run(request).await, after).await,
        Some(Fault::Answer(status, retry_after, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            let mut response =
                (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
            if let Some(secs) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, secs.into());
            }
            response
        }
        Some(Fault::HangUpBefore) => hang_up(),
        Some(Fault::HangUpAfter) => {
            let _effect = next.run(request).await;
            hang_up()
        }
    }
}

fn hang_up() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(HangUp);
    response
}

/// The response with its true length, whose body ends after `after` bytes.
async fn cut(response: Response, after: usize) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return hang_up() };
    let body = body.to_bytes();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let pieces: [io::Result<Bytes>; 2] =
        [Ok(body.slice(..after.min(body.len()))), Err(io::Error::other("told to break off"))];
    Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
}
