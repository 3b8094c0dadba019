//! Bodies that come too slowly: whoever trickles bytes must not hold a connection for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// What every body is given, however small.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes that buy another second.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// Whether a body came too slowly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness(Arc<AtomicBool>);

impl Lateness {
    /// The answer in place of what the handler made of half a body.
    pub(crate) fn or(&self, response: Response) -> Response {
        if !self.0.load(Ordering::Relaxed) {
            return response;
        }
        let headers =
            [(header::CONTENT_TYPE, "application/problem+json"), (header::CONNECTION, "close")];
        let body = r#"{"type":"about:blank","title":"Request Timeout","status":408,"code":"request_timeout","detail":"the request's body came too slowly and was not read to its end"}"#;
        (StatusCode::REQUEST_TIMEOUT, headers, body).into_response()
    }
}

/// Puts a time limit on the request's body, if it has one; it begins when the body is first read.
pub(crate) fn timed(request: Request) -> (Request, Lateness) {
    within(request, GRACE)
}

fn within(request: Request, grace: Duration) -> (Request, Lateness) {
    let lateness = Lateness::default();
    if request.body().is_end_stream() {
        return (request, lateness);
    }
    let late = lateness.clone();
    let request =
        request.map(|inner| Body::new(TimedBody { inner, grace, received: 0, time: None, late }));
    (request, lateness)
}

struct TimedBody {
    inner: Body,
    grace: Duration,
    received: u64,
    time: Option<(Instant, Pin<Box<Sleep>>)>,
    late: Lateness,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let (began, sleep) = this
            .time
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(this.grace))));
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    this.received = this.received.saturating_add(length);
                    let earned = Duration::from_secs(this.received / BYTES_PER_SECOND);
                    sleep.as_mut().reset(*began + this.grace + earned);
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.late.0.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(axum::Error::new("the body came too slowly"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt as _};
    use http_body_util::BodyExt as _;

    use super::*;

    fn post(body: Body) -> (Request, Lateness) {
        within(Request::post("/").body(body).unwrap(), Duration::from_millis(20))
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let bytes = stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, std::convert::Infallible>(byte)
        });
        let (request, lateness) = post(Body::from_stream(bytes));
        assert!(request.into_body().collect().await.is_err());
        let answer = lateness.or(StatusCode::BAD_REQUEST.into_response());
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer.headers()[header::CONNECTION], "close");
    }

    #[tokio::test]
    async fn a_body_that_comes_is_left_alone() {
        for body in [Body::empty(), Body::from("x".repeat(100_000))] {
            let (request, lateness) = post(body);
            assert!(request.into_body().collect().await.is_ok());
            let answer = lateness.or(StatusCode::NO_CONTENT.into_response());
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        }
    }
}
