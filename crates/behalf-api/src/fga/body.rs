//! Bodies and answers of the dialect: unknown members of a request are discarded, unpopulated
//! members of an answer are there.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use behalf_authz::At;
use behalf_authz::engine::TupleKey;
use behalf_http::HttpContext;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::FgaError;

/// A JSON body, whatever the content type says: OpenFGA's gateway does not look either.
#[derive(Debug)]
pub(super) struct FgaBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<HttpContext> for FgaBody<T> {
    type Rejection = FgaError;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, FgaError> {
        let body = Bytes::from_request(request, context)
            .await
            .map_err(|_| FgaError::validation("the body could not be read or is too large"))?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let text =
                if error.is_data() { error.to_string() } else { "malformed JSON".to_owned() };
            FgaError::validation(text)
        })
    }
}

/// `{"tuple_keys": […]}`, as checks and batch items carry contextual tuples.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ContextualTuples {
    #[serde(default)]
    pub(super) tuple_keys: Vec<TupleKey>,
}

/// A condition context: an object, or nothing.
pub(super) type Context = Option<Map<String, Value>>;

/// A member that must be there.
pub(super) fn required<T>(
    value: Option<T>,
    code: &'static str,
    field: &str,
) -> Result<T, FgaError> {
    value.ok_or_else(|| FgaError::input(code, format!("invalid {field}: value is required")))
}

/// A 200 with the headers that say which store, model and revision answered.
pub(super) fn answered(store_id: &str, at: &At, body: &Value) -> Response {
    let mut response = json(StatusCode::OK, body);
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("openfga-authorization-model-id", &at.model_id);
    put("openfga-store-id", store_id);
    put("behalf-revision", &at.revision().to_string());
    response
}

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
