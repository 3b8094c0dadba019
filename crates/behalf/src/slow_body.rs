//! Bodies that come too slowly, and bodies that nobody wants: whoever trickles bytes must not hold a
//! connection for ever, and whoever sends too many must hear so.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// What every body is given, however small.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes that buy another second.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// The most that is read and thrown away of a body that was refused.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For how long that is done.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// What became of a request's body.
#[derive(Debug)]
pub(crate) struct Received(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    is_late: AtomicBool,
    /// The rest that the handler did not read.
    rest: Mutex<Option<Body>>,
}

impl Received {
    /// The answer to send: the handler's, or the one for a body that came too slowly.
    pub(crate) async fn before(self, response: Response) -> Response {
        if !self.0.is_late.load(Ordering::Relaxed) {
            let rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(rest) = rest
                && response.status().is_client_error()
            {
                discard(rest).await;
            }
            return response;
        }
        let headers =
            [(header::CONTENT_TYPE, "application/problem+json"), (header::CONNECTION, "close")];
        let body = r#"{"type":"about:blank","title":"Request Timeout","status":408,"code":"request_timeout","detail":"the request's body came too slowly and was not read to its end"}"#;
        (StatusCode::REQUEST_TIMEOUT, headers, body).into_response()
    }
}

/// Reads on until the client has sent its body, within bounds. Many write all of it before they
/// read a byte; an answer that closes the connection under them reaches them as a broken pipe.
async fn discard(rest: Body) {
    let mut left = DISCARDED_BYTES_MAX;
    let mut chunks = rest.into_data_stream();
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await
            && let Some(less) = left.checked_sub(chunk.len())
        {
            left = less;
        }
    };
    if tokio::time::timeout(DISCARD_TIME, reading).await.is_err() {
        tracing::debug!("a refused body is cut off");
    }
}

/// Puts a time limit on the request's body, if it has one; it begins when the body is first read.
pub(crate) fn timed<B>(request: http::Request<B>) -> (Request, Received)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    within(request, GRACE)
}

fn within<B>(request: http::Request<B>, grace: Duration) -> (Request, Received)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let fate = Arc::new(Fate::default());
    if request.body().is_end_stream() {
        return (request.map(Body::new), Received(fate));
    }
    let asks_first = request.headers().contains_key(header::EXPECT);
    let request = request.map(|inner| {
        let (inner, fate) = (Some(inner), Arc::clone(&fate));
        let (received, is_read, time) = (0, false, None);
        Body::new(TimedBody { inner, grace, received, is_read, time, asks_first, fate })
    });
    (request, Received(fate))
}

struct TimedBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// There until this is dropped.
    inner: Option<B>,
    grace: Duration,
    received: u64,
    /// True once somebody has read.
    is_read: bool,
    /// When the first wait began, how long the body may take, and the alarm. Most bodies are there
    /// whole when they are read, and need none.
    time: Option<(Instant, Duration, Pin<Box<Sleep>>)>,
    /// True if the client waits for a word before it sends (RFC 9110 §10.1.1).
    asks_first: bool,
    fate: Arc<Fate>,
}

impl<B> TimedBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// What the body may take by what has come of it.
    fn allowed(&self) -> Duration {
        self.grace.saturating_add(Duration::from_secs(self.received / BYTES_PER_SECOND))
    }

    /// Ready when the body has had its time.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed = self.allowed();
        let (began, until, sleep) = self.time.get_or_insert_with(|| {
            (Instant::now(), allowed, Box::pin(tokio::time::sleep(allowed)))
        });
        if *until != allowed {
            *until = allowed;
            sleep.as_mut().reset(*began + allowed);
        }
        sleep.as_mut().poll(cx)
    }
}

impl<B> Drop for TimedBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let is_withheld = self.asks_first && !self.is_read;
        let rest = self.inner.take().filter(|rest| !is_withheld && !rest.is_end_stream());
        if let Some(rest) = rest {
            let mut place = self.fate.rest.lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some(Body::new(rest));
        }
    }
}

impl<B> HttpBody for TimedBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.is_read = true;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    this.received = this.received.saturating_add(length);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
            }
            Poll::Pending => {
                if this.poll_late(cx).is_pending() {
                    return Poll::Pending;
                }
                this.fate.is_late.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(axum::Error::new("the body came too slowly"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    fn post(body: Body) -> (Request, Received) {
        within(Request::post("/").body(body).unwrap(), Duration::from_millis(20))
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let bytes = stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, std::convert::Infallible>(byte)
        });
        let (request, received) = post(Body::from_stream(bytes));
        assert!(request.into_body().collect().await.is_err());
        let answer = received.before(StatusCode::BAD_REQUEST.into_response()).await;
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer.headers()[header::CONNECTION], "close");
    }

    #[tokio::test]
    async fn a_body_that_comes_is_left_alone() {
        for body in [Body::empty(), Body::from("x".repeat(100_000))] {
            let (request, received) = post(body);
            assert!(request.into_body().collect().await.is_ok());
            let answer = received.before(StatusCode::NO_CONTENT.into_response()).await;
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        }
    }
}
