//! gRPC's framing over HTTP/2: messages with five bytes before them, the status in the trailers, or
//! in the headers when there is nothing but an error.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use behalf_http::HttpContext;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use http_body_util::{LengthLimitError, Limited};
use prost::Message;

use crate::fga::BODY_LIMIT;
use crate::fga::call::{Answer, Call};
use crate::fga::error::FgaError;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// How many bytes of a stream are gathered before they are sent.
const CHUNK: usize = 16 * 1024;

/// A call that is coming in.
pub(super) struct Incoming {
    parts: Parts,
    body: Body,
}

impl Incoming {
    pub(super) fn new(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        Self { parts, body }
    }

    /// How long the caller waits.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let text = self.parts.headers.get(TIMEOUT)?.to_str().ok()?;
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = digits.parse().ok()?;
        match unit {
            "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
            "M" => Some(Duration::from_secs(number.saturating_mul(60))),
            "S" => Some(Duration::from_secs(number)),
            "m" => Some(Duration::from_millis(number)),
            "u" => Some(Duration::from_micros(number)),
            "n" => Some(Duration::from_nanos(number)),
            _ => None,
        }
    }

    /// The caller and her one message.
    pub(super) async fn call<M: Message + Default>(
        self,
        context: &HttpContext,
    ) -> Result<(Call, M), FgaError> {
        let call = Call::new(&self.parts, context)?;
        Ok((call, self.message().await?))
    }

    /// The one message.
    pub(super) async fn message<M: Message + Default>(self) -> Result<M, FgaError> {
        let body = Limited::new(self.body, BODY_LIMIT.saturating_add(PREFIX));
        let bytes = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return FgaError::too_large();
            }
            FgaError::validation("the message could not be read")
        })?;
        let mut bytes = BytesMut::from(bytes.to_bytes());
        let message = take(&mut bytes)?;
        match message {
            Some(message) if bytes.is_empty() => decode(message),
            _ => Err(FgaError::internal("one whole message was expected")),
        }
    }

    /// The messages as they come; the stream ends after the first error.
    pub(super) fn messages<M: Message + Default>(
        self,
    ) -> impl futures_util::Stream<Item = Result<M, FgaError>> + Send {
        let state = (self.body.into_data_stream(), BytesMut::new(), false);
        futures_util::stream::unfold(state, async |(mut body, mut bytes, is_over)| {
            if is_over {
                return None;
            }
            loop {
                match take(&mut bytes) {
                    Ok(Some(message)) => return Some((decode(message), (body, bytes, false))),
                    Ok(None) => {}
                    Err(error) => return Some((Err(error), (body, bytes, true))),
                }
                match body.next().await {
                    Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                    Some(Err(_)) | None => return None,
                }
            }
        })
    }
}

/// Takes one message off the front, when it is there as a whole.
fn take(bytes: &mut BytesMut) -> Result<Option<Bytes>, FgaError> {
    let Some(&[compressed, a, b, c, d]) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    if compressed != 0 {
        return Err(FgaError::unimplemented("compressed messages are not understood"));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > BODY_LIMIT {
        return Err(FgaError::too_large());
    }
    if bytes.len() < length.saturating_add(PREFIX) {
        return Ok(None);
    }
    drop(bytes.split_to(PREFIX));
    Ok(Some(bytes.split_to(length).freeze()))
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, FgaError> {
    M::decode(message).map_err(|error| FgaError::internal(format!("no such message: {error}")))
}

/// Adds the message with its prefix.
fn put(bytes: &mut BytesMut, message: &impl Message) {
    let length = message.encoded_len();
    bytes.reserve(length.saturating_add(PREFIX));
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // There is room for it.
    if message.encode(bytes).is_err() {
        tracing::error!("a message did not fit");
    }
}

/// The message with its prefix.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    put(&mut bytes, message);
    bytes.freeze()
}

/// The answer to a call with one message.
pub(super) fn reply<M: Message>(answer: Result<Answer<M>, FgaError>) -> Response {
    match answer {
        Ok(answer) => {
            let headers = [(header::CONTENT_TYPE, "application/grpc")];
            let body =
                Body::new(OneMessage { message: Some(framed(&answer.value)), is_over: false });
            let mut response = (StatusCode::OK, headers, body).into_response();
            answer.stamp.put(response.headers_mut());
            response
        }
        Err(error) => refuse(&error),
    }
}

/// The body of an answer with one message, which ends well.
struct OneMessage {
    message: Option<Bytes>,
    is_over: bool,
}

impl HttpBody for OneMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let message = self.message.take().map(Frame::data);
        let frame = message.or_else(|| {
            let was_over = std::mem::replace(&mut self.is_over, true);
            (!was_over).then(|| Frame::trailers(status_of_success()))
        });
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// The answer to a call with a message for each value.
pub(super) fn reply_all<T: Send + 'static, M: Message>(
    answer: Result<Answer<Vec<T>>, FgaError>,
    message: impl Fn(T) -> M + Send + 'static,
) -> Response {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return refuse(&error),
    };
    let mut values = answer.value.into_iter();
    let chunks = std::iter::from_fn(move || {
        let mut bytes = BytesMut::new();
        while bytes.len() < CHUNK
            && let Some(value) = values.next()
        {
            put(&mut bytes, &message(value));
        }
        (!bytes.is_empty()).then(|| bytes.freeze())
    });
    let mut response = stream(futures_util::stream::iter(chunks));
    answer.stamp.put(response.headers_mut());
    response
}

/// An answer of framed messages, which ends with the first error, or well.
pub(super) fn stream_until_error(
    messages: impl futures_util::Stream<Item = Result<Bytes, FgaError>> + Send + 'static,
) -> Response {
    let frames = messages.map(|message| match message {
        Ok(bytes) => Frame::data(bytes),
        Err(error) => Frame::trailers(status_of(&error)),
    });
    let well = std::future::ready(Frame::trailers(status_of_success()));
    let frames = frames.chain(futures_util::stream::once(well)).scan(false, |is_over, frame| {
        let next = (!*is_over).then_some(frame);
        *is_over = next.as_ref().is_none_or(Frame::is_trailers);
        std::future::ready(next.map(Ok::<_, Infallible>))
    });
    let headers = [(header::CONTENT_TYPE, "application/grpc")];
    let body = Body::new(http_body_util::StreamBody::new(frames));
    (StatusCode::OK, headers, body).into_response()
}

/// An answer of framed messages that ends well.
pub(super) fn stream(
    messages: impl futures_util::Stream<Item = Bytes> + Send + 'static,
) -> Response {
    stream_until_error(messages.map(Ok))
}

/// An error and nothing else: its status stands in the headers.
pub(super) fn refuse(error: &FgaError) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/grpc")];
    let mut response = (StatusCode::OK, headers).into_response();
    let headers = response.headers_mut();
    headers.extend(status_of(error));
    // Whoever compresses is told by this what is read instead.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    response
}

/// What trailers say after an answer that ended well.
fn status_of_success() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

/// What headers or trailers say of an error.
fn status_of(error: &FgaError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(error.grpc_number()));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&error.grpc_message())) {
        headers.insert(MESSAGE, message);
    }
    headers
}

/// What is not visible ASCII is percent-encoded in `grpc-message`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_when_it_is_whole_plain_and_small() {
        let mut bytes = BytesMut::from(&[0, 0, 0, 0, 3, b'a', b'b'][..]);
        assert!(take(&mut bytes).unwrap().is_none());
        bytes.extend_from_slice(b"cd");
        assert_eq!(take(&mut bytes).unwrap().unwrap(), "abc");
        assert_eq!(&*bytes, b"d");
        let number = |bytes: &[u8]| take(&mut BytesMut::from(bytes)).unwrap_err().grpc_number();
        assert_eq!(number(&[1, 0, 0, 0, 1, 0]), 12);
        assert_eq!(number(&[0, 0, 10, 0, 0]), 8);
    }

    #[test]
    fn an_error_message_is_percent_encoded() {
        assert_eq!(percent_encoded("100% é\n~"), "100%25 %C3%A9%0A~");
    }
}
