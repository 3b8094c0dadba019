//! Refusals in OAuth's shape: `{error, error_description}` (RFC 6749 §5.2).

use axum::response::{IntoResponse, Response};
use behalf_http::{Denial, ParamsError};
use behalf_identity::GrantError;
use behalf_store::StoreError;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::{Map, Value, json};

/// An OAuth answer that is an error.
#[derive(Debug)]
pub(super) struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: String,
    retry_after_secs: Option<u32>,
    challenges_basic: bool,
    /// Members beside RFC 6749's.
    members: Map<String, Value>,
}

impl OAuthError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            description: description.into(),
            retry_after_secs: None,
            challenges_basic: false,
            members: Map::new(),
        }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// With one more member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// With a `Retry-After`.
    pub(super) const fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// A refusal of the domain. `used_basic` is true when the client tried the `Authorization`
    /// header: only then may a challenge be sent, because SDKs lose the error otherwise.
    pub(super) fn of(refusal: &GrantError, used_basic: bool) -> Self {
        let status = match refusal {
            GrantError::InvalidClient(_) => StatusCode::UNAUTHORIZED,
            GrantError::UnauthorizedClient(_) | GrantError::AccessDenied(_) => {
                StatusCode::FORBIDDEN
            }
            GrantError::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            GrantError::Busy { .. } | GrantError::Store(StoreError::Unavailable { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            GrantError::Store(_) | GrantError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let retry_after_secs = match refusal {
            GrantError::Busy { retry_after_secs }
            | GrantError::TooManyAttempts { retry_after_secs, .. } => Some(*retry_after_secs),
            // SDKs read whole seconds from this header and nothing from the body.
            GrantError::SlowDown { retry_after_secs } => Some(*retry_after_secs),
            GrantError::Store(StoreError::Unavailable { .. }) => Some(5),
            _ => None,
        };
        let description = if status.is_server_error() {
            tracing::error!(error = %refusal, "a token request failed");
            "the server cannot answer now; nothing was issued".to_owned()
        } else {
            refusal.to_string()
        };
        let challenges_basic = used_basic && status == StatusCode::UNAUTHORIZED;
        Self {
            retry_after_secs,
            challenges_basic,
            ..Self::new(status, refusal.code(), description)
        }
    }

    pub(super) fn too_large() -> Self {
        let mut error = Self::invalid_request("the body is too large");
        error.status = StatusCode::PAYLOAD_TOO_LARGE;
        error
    }

    pub(super) fn unsupported_media_type() -> Self {
        let mut error =
            Self::invalid_request("send `application/x-www-form-urlencoded` or `application/json`");
        error.status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        error
    }
}

impl From<ParamsError> for OAuthError {
    fn from(error: ParamsError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let mut body = self.members;
        body.insert("error".into(), self.code.into());
        body.insert("error_description".into(), self.description.into());
        let mut response = answer(self.status, &Value::Object(body));
        let headers = response.headers_mut();
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.challenges_basic {
            let basic = HeaderValue::from_static("Basic realm=\"behalf\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

/// A JSON answer that no cache keeps. The content type carries no charset: SDKs compare it whole.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, headers, body.to_string()).into_response()
}

/// A denial by the rule table, in this dialect.
pub(super) fn denied(denial: &Denial) -> Response {
    let body = json!({"error": denial.code(), "error_description": denial.message()});
    let mut response = answer(denial.status(), &body);
    if let Some(challenge) = denial.challenge() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if denial.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
