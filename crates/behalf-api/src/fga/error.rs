//! Errors in OpenFGA's shape: `{code, message}`.

use axum::response::{IntoResponse, Response};
use behalf_authz::AuthzError;
use behalf_http::Denial;
use behalf_store::StoreError;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::json;

/// An error of the dialect.
#[derive(Debug)]
pub(super) struct FgaError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl FgaError {
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::input("validation_error", message)
    }

    pub(super) fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) const fn is_input(&self) -> bool {
        self.status.as_u16() < 500
    }
}

impl From<AuthzError> for FgaError {
    fn from(error: AuthzError) -> Self {
        let of_engine = |code: behalf_authz::engine::ErrorCode, message: String| Self {
            status: StatusCode::from_u16(code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: code.name(),
            message,
        };
        let internal = |status: StatusCode, error: &dyn std::fmt::Display| {
            tracing::error!(%error, "an authorization request failed");
            Self { status, code: "internal_error", message: "Internal Server Error".to_owned() }
        };
        match error {
            AuthzError::StoreNotFound => Self {
                status: StatusCode::NOT_FOUND,
                code: "store_id_not_found",
                message: "Store ID not found".to_owned(),
            },
            AuthzError::NoModel(_) => {
                Self::input("latest_authorization_model_not_found", error.to_string())
            }
            AuthzError::ModelNotFound(_) => {
                Self::input("authorization_model_not_found", error.to_string())
            }
            AuthzError::Model(error) => of_engine(error.code(), error.to_string()),
            AuthzError::Write(error) => of_engine(error.code(), error.to_string()),
            AuthzError::Request(error) => of_engine(error.code(), error.to_string()),
            AuthzError::BadContinuationToken => {
                Self::input("invalid_continuation_token", error.to_string())
            }
            AuthzError::Invalid(message) => Self::validation(message),
            AuthzError::Store(StoreError::Unavailable { reason, .. }) => {
                internal(StatusCode::SERVICE_UNAVAILABLE, &reason)
            }
            AuthzError::Contention => internal(StatusCode::SERVICE_UNAVAILABLE, &error),
            AuthzError::Store(error) => internal(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

impl IntoResponse for FgaError {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message}).to_string();
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A denial by the rule table, in this dialect.
pub(super) fn denied(denial: &Denial) -> Response {
    let code = match denial {
        Denial::Unauthenticated(None) => "bearer_token_missing",
        Denial::Unauthenticated(Some(_)) => "unauthenticated",
        Denial::Scope(_) | Denial::Role | Denial::FgaStore | Denial::ForeignOrigin => "forbidden",
        Denial::Store(_) => "internal_error",
    };
    let error = FgaError { status: denial.status(), code, message: denial.message() };
    let mut response = error.into_response();
    if denial.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
