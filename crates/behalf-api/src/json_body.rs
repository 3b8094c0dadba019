//! The JSON bodies of our own APIs: read strictly, each member once and none that is not known.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use behalf_http::HttpContext;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A body of `application/json` that reads as a `T`, which denies unknown fields.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<HttpContext> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let text = "the request's body must be `application/json`";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_media_type", text));
        }
        let body = Bytes::from_request(request, context).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large("the request's body is larger than this address reads")
            } else {
                Problem::invalid("the request's body broke off")
            }
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Problem::invalid(format!("the body is not the JSON that this address reads: {error}"))
        })
    }
}

/// What is sent is larger than it may be.
pub(crate) fn too_large(detail: &str) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// An answer in JSON that no cache keeps.
pub(crate) fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
