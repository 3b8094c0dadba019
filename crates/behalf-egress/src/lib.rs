//! The one way out: HTTP calls to addresses that the operator configured (providers, models).
//!
//! An address is pinned to its scheme, host and port; redirects are answers, never followed, so a
//! token goes nowhere but there. Calls have time limits and answers have size limits. An error says
//! whether the request may have arrived, because an effect must never happen twice; it never shows
//! an address's query, a header or a body.
//!
//! Addresses that users or clients supply need a guard against private networks, which this crate
//! does not have; they must not come here.

mod address;
mod call;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode};
use thiserror::Error;

pub use address::{InvalidAddress, OperatorAddress};
pub use call::{Body, Call};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stream may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes calls; clones share their connections.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
}

/// An answer, read whole. `Debug` shows no header and no body: both may hold tokens.
#[derive(Clone)]
pub struct Answer {
    /// The status; redirects are shown as they are.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer whose body is still coming.
pub struct StreamedAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    bytes_max: usize,
}

impl std::fmt::Debug for StreamedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamedAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EgressError {
    /// No connection came about, so nothing arrived.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The request may have arrived; what came of it is unknown.
    #[error("no complete answer: {0}")]
    NoAnswer(String),
    /// The answer is larger than the call admits. The request has arrived.
    #[error("the answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
}

impl EgressError {
    /// True if the request cannot have had an effect.
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::NotSent(_))
    }
}

impl Egress {
    /// A client that says it is `user_agent`.
    ///
    /// # Errors
    /// When the machine's trust store cannot be read.
    pub fn new(user_agent: &str) -> Result<Self, EgressError> {
        #[expect(clippy::disallowed_methods, reason = "this is the vetted client")]
        let builder = reqwest::Client::builder();
        let client = builder
            .user_agent(user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(IDLE_TIMEOUT)
            // A pooled connection that the other side has closed looks like a lost answer, and a
            // lost answer must mean that the request was sent: no retries below us.
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| EgressError::NotSent(describe(error)))?;
        Ok(Self { client })
    }

    /// Makes the call and reads the answer.
    ///
    /// # Errors
    /// See [`EgressError`]. Every status is an answer, not an error.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, EgressError> {
        let request = call.to_request(&self.client)?.timeout(call.timeout);
        let response = request.send().await.map_err(failure)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        let mut chunks = limited(response, call.bytes_max);
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk?);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// Hands a request on as it came, and the answer as it comes: its size and its time are the
    /// other side's, but for a silence of a minute. Headers that are about one connection are the
    /// caller's to take out.
    ///
    /// # Errors
    /// See [`EgressError`].
    pub async fn forward(
        &self,
        address: OperatorAddress,
        method: http::Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<StreamedAnswer, EgressError> {
        let request = self.client.request(method, address.into_url()).headers(headers).body(body);
        let response = request.send().await.map_err(failure)?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(StreamedAnswer { status, headers, response, bytes_max: usize::MAX })
    }

    /// Makes the call and gives the answer's body piece by piece. The call's time limit does not
    /// apply; silence of a minute ends the stream with an error.
    ///
    /// # Errors
    /// See [`EgressError`].
    pub async fn stream(&self, call: &Call<'_>) -> Result<StreamedAnswer, EgressError> {
        let response = call.to_request(&self.client)?.send().await.map_err(failure)?;
        Ok(StreamedAnswer {
            status: response.status(),
            headers: response.headers().clone(),
            response,
            bytes_max: call.bytes_max,
        })
    }
}

impl StreamedAnswer {
    /// The body's pieces.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Bytes, EgressError>> + Unpin + Send {
        limited(self.response, self.bytes_max)
    }
}

fn limited(
    response: reqwest::Response,
    bytes_max: usize,
) -> impl Stream<Item = Result<Bytes, EgressError>> + Unpin + Send {
    let mut left = bytes_max;
    let chunks = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| EgressError::NoAnswer(describe(error)))?;
        left = left.checked_sub(chunk.len()).ok_or(EgressError::TooLarge { bytes_max })?;
        Ok(chunk)
    });
    Box::pin(chunks)
}

fn failure(error: reqwest::Error) -> EgressError {
    let is_unsent = error.is_connect() || error.is_builder();
    let reason = describe(error);
    if is_unsent { EgressError::NotSent(reason) } else { EgressError::NoAnswer(reason) }
}

/// The innermost reason, without the address, which may hold a secret in its query.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
