//! The proxy: clients get one server's answer as it is, whatever becomes of the other's. What they ask
//! is put aside for a comparison, without what shows who they are, and only if there is room.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use behalf_egress::{Egress, EgressError, OperatorAddress};
use behalf_http::PeerAddress;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::compare::{Kind, Operation, Seen, revision_of};
use super::figures::Summary;
use super::follow::Follower;
use crate::cli::fga::AnswerFrom;
use crate::config::is_loopback;
use crate::slow_body;

/// The largest request, in bytes; OpenFGA takes 616,448.
const REQUEST_MAX: usize = 1024 * 1024;
/// The largest answer that is compared, in bytes; larger ones are only handed on.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Requests that are handed on at once.
const IN_FLIGHT: usize = 1_024;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Questions that wait for their comparison, and their bytes.
pub(super) const QUEUE: usize = 4_096;
pub(super) const QUEUE_BYTES: usize = 128 * 1024 * 1024;

/// What is about one connection (RFC 9110 §7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A question with the answer that its client got.
pub(super) struct Sample {
    pub(super) operation: Operation,
    pub(super) store: String,
    pub(super) question: Bytes,
    pub(super) seen: Seen,
    /// Its place among those that wait.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the proxy works with.
pub(super) struct Proxy {
    pub(super) egress: Egress,
    /// Whose answers clients get, and its address.
    pub(super) from: AnswerFrom,
    pub(super) address: OperatorAddress,
    pub(super) summary: Arc<Summary>,
    pub(super) follower: Arc<Follower>,
    pub(super) samples: mpsc::Sender<Sample>,
    pub(super) room: Arc<Semaphore>,
    pub(super) in_flight: Arc<Semaphore>,
}

impl Proxy {
    pub(super) fn new(
        egress: Egress,
        from: AnswerFrom,
        address: OperatorAddress,
        summary: Arc<Summary>,
        follower: Arc<Follower>,
    ) -> (Self, mpsc::Receiver<Sample>) {
        let (samples, received) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        (Self { egress, from, address, summary, follower, samples, room, in_flight }, received)
    }
}

pub(super) fn router(proxy: Arc<Proxy>) -> Router {
    Router::new().fallback(answer).with_state(proxy)
}

async fn answer(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    if is_for_operator(&request) {
        return axum::Json(proxy.summary.json()).into_response();
    }
    let (request, received) = slow_body::timed(request);
    received.before(forward(proxy, request).await).await
}

/// True for the operator's own question about the comparison: asked on this machine, by its name, and
/// through no other proxy. Anybody else's is the upstream's to answer.
fn is_for_operator(request: &Request) -> bool {
    let headers = request.headers();
    let peer = request.extensions().get::<PeerAddress>();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_proxied = ["forwarded", "x-forwarded-for", "via", "x-real-ip"]
        .iter()
        .any(|name| headers.contains_key(*name));
    request.method() == Method::GET
        && request.uri().path() == "/shadow/report"
        && peer.is_some_and(|peer| peer.0.ip().is_loopback())
        && is_loopback(host)
        && !is_proxied
}

async fn forward(proxy: Arc<Proxy>, request: Request) -> Response {
    proxy.summary.requests.add();
    let turn = tokio::time::timeout(TURN, Arc::clone(&proxy.in_flight).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let retry = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "too many requests at once\n")
            .into_response();
    };
    let (parts, body) = request.into_parts();
    let is_grpc = parts.headers.get(header::CONTENT_TYPE);
    if is_grpc.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        let text = "gRPC is not handed on; ask the server itself\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let address = proxy.address.forwarded(parts.uri.path(), parts.uri.query());
    let Some(address) = address.filter(|_| parts.method != Method::CONNECT) else {
        return (StatusCode::BAD_REQUEST, "the path cannot be handed on\n").into_response();
    };
    let question = match Limited::new(body, REQUEST_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n").into_response();
        }
        Err(_) => {
            return (StatusCode::BAD_REQUEST, "the body could not be read\n").into_response();
        }
    };
    let kind = Kind::of(&parts.method, parts.uri.path());
    let mut headers = end_to_end(parts.headers);
    // These are set anew for the connection to the server.
    for name in [header::HOST, header::CONTENT_LENGTH, header::EXPECT] {
        headers.remove(name);
    }
    // A question that was lost with an old connection may be asked again, as a client would; a write
    // only if it was never sent.
    let is_read = parts.method == Method::GET || matches!(kind, Kind::Question(..));
    let mut asked = Instant::now();
    let method = parts.method.clone();
    let sent = proxy.egress.forward(address.clone(), method, headers.clone(), question.clone());
    let mut forwarded = sent.await;
    let is_lost = match &forwarded {
        Err(error) => is_read || error.is_unsent(),
        Ok(_) => false,
    };
    if is_lost {
        asked = Instant::now();
        let sent = proxy.egress.forward(address, parts.method, headers, question.clone());
        forwarded = sent.await;
    }
    let answer = match forwarded {
        Ok(answer) => answer,
        Err(error) => return no_answer(&proxy, &error),
    };
    let (status, headers) = (answer.status, end_to_end(answer.headers.clone()));
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let mut watched = Watched::new(&proxy.room, kind, question, status, asked, length);
    watched.revision = revision_of(&headers);
    let tee =
        Tee { watched: Some(watched), chunks: Box::pin(answer.into_chunks()), _turn: turn, proxy };
    let mut response = Response::new(Body::from_stream(tee.into_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn no_answer(proxy: &Proxy, error: &EgressError) -> Response {
    proxy.failed();
    tracing::warn!(%error, "{} did not answer", proxy.name());
    (StatusCode::BAD_GATEWAY, format!("{} did not answer\n", proxy.name())).into_response()
}

impl Proxy {
    /// Counts a request that its client got no whole answer to.
    fn failed(&self) {
        match self.from {
            AnswerFrom::Upstream => self.summary.upstream_failures.add(),
            AnswerFrom::Behalf => self.summary.behalf_failures.add(),
        }
    }

    const fn name(&self) -> &'static str {
        match self.from {
            AnswerFrom::Upstream => "the upstream",
            AnswerFrom::Behalf => "Behalf",
        }
    }
}

/// The headers that are not about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

/// What is known of an answer that is still coming.
struct Watched {
    kind: Kind,
    question: Bytes,
    status: StatusCode,
    asked: Instant,
    length: Option<usize>,
    revision: Option<u64>,
    received: usize,
    answer: BytesMut,
    /// What question and answer take of the room for those that wait. None when there is no more, or
    /// nothing to compare; then the answer is not kept.
    room: Option<OwnedSemaphorePermit>,
}

impl Watched {
    fn new(
        room: &Arc<Semaphore>,
        kind: Kind,
        question: Bytes,
        status: StatusCode,
        asked: Instant,
        length: Option<usize>,
    ) -> Self {
        let is_question = matches!(kind, Kind::Question(..));
        let bytes = question.len().saturating_add(1_024);
        let room = if is_question { take_room(room, bytes) } else { None };
        let answer = BytesMut::new();
        let (revision, received) = (None, 0);
        Self { kind, question, status, asked, length, revision, received, answer, room }
    }

    fn keep(&mut self, chunk: &Bytes, room: &Arc<Semaphore>) {
        self.received = self.received.saturating_add(chunk.len());
        let Some(held) = &mut self.room else { return };
        match take_room(room, chunk.len()) {
            Some(more) if self.received <= ANSWER_MAX => {
                held.merge(more);
                self.answer.extend_from_slice(chunk);
            }
            _ => {
                self.room = None;
                self.answer = BytesMut::new();
            }
        }
    }
}

fn take_room(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let bytes = u32::try_from(bytes).ok()?;
    Arc::clone(room).try_acquire_many_owned(bytes).ok()
}

/// An answer on its way to the client.
struct Tee {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, EgressError>> + Send>>,
    watched: Option<Watched>,
    proxy: Arc<Proxy>,
    _turn: OwnedSemaphorePermit,
}

impl Tee {
    fn into_stream(mut self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        // Without a body there is nothing whose end would be seen.
        let is_empty = |watched: &Watched| {
            watched.length == Some(0) || watched.status == StatusCode::NO_CONTENT
        };
        if self.watched.as_ref().is_some_and(is_empty) {
            self.end();
        }
        futures_util::stream::unfold(self, async |mut tee| {
            let chunk = tee.next().await?;
            Some((chunk, tee))
        })
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.chunks.next().await {
            Some(Ok(chunk)) => {
                if let Some(watched) = &mut self.watched {
                    watched.keep(&chunk, &self.proxy.room);
                    // Whoever knows the length does not look for an end.
                    if watched.length == Some(watched.received) {
                        self.end();
                    }
                }
                Some(Ok(chunk))
            }
            Some(Err(error)) => {
                // The client sees that the answer broke off, as it did.
                self.watched = None;
                self.proxy.failed();
                tracing::warn!(%error, "the answer of {} broke off", self.proxy.name());
                Some(Err(io::Error::other("the answer broke off")))
            }
            None => {
                self.end();
                None
            }
        }
    }

    /// The answer is whole.
    fn end(&mut self) {
        let Some(watched) = self.watched.take() else { return };
        let Watched { kind, question, status, asked, answer, revision, room, .. } = watched;
        let took = asked.elapsed();
        match kind {
            Kind::Other => {}
            Kind::Change(assertions) if status.is_success() => {
                self.proxy.follower.kick(assertions);
            }
            Kind::Change(_) => {}
            // Whoever may not ask the one has nothing to ask of the other.
            Kind::Question(..)
                if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {}
            Kind::Question(operation, store) => {
                let seen = Seen { status, body: answer.freeze(), took, revision };
                put_aside(&self.proxy, (operation, store), question, seen, room);
            }
        }
    }
}

/// Puts a question aside if there is room. Nothing waits for it.
fn put_aside(
    proxy: &Proxy,
    (operation, store): (Operation, String),
    question: Bytes,
    seen: Seen,
    room: Option<OwnedSemaphorePermit>,
) {
    let Proxy { summary, follower, samples, from, .. } = proxy;
    summary.took(operation, *from, seen.took);
    if !follower.is_copied(&store) {
        return summary.not_copied.add();
    }
    let Some(room) = room else { return summary.shed.add() };
    let sample = Sample { operation, store, question, seen, _room: room };
    if samples.try_send(sample).is_err() {
        summary.shed.add();
    }
}
