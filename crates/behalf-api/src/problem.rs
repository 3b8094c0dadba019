//! Errors of our own APIs: problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use behalf_http::Denial;
use behalf_store::StoreError;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::json;

/// A problem: what happened, in words for a person, and a code for programs.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_secs: Option<u32>,
}

impl Problem {
    /// A problem in the words of the caller of the API.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_secs: None }
    }

    /// The request is not one that this route understands.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// What does not exist, or is not the caller's to see: both read the same.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "nothing with this id can be seen by you")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed in the store");
        let detail = if error.may_be_stored() {
            "the server cannot answer now; look before you send it again: it may have been stored"
        } else {
            "the server cannot answer now; nothing was stored"
        };
        match error {
            StoreError::Unavailable { .. } => Self {
                retry_after_secs: Some(5),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            },
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let mut response = (self.status, headers, body.to_string()).into_response();
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

/// A denial by the rule table, as a problem.
pub fn denied(denial: &Denial) -> Response {
    let mut problem = Problem::new(denial.status(), denial.code(), denial.message());
    problem.retry_after_secs = matches!(denial, Denial::Store(_)).then_some(5);
    let mut response = problem.into_response();
    if let Some(challenge) = denial.challenge() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
