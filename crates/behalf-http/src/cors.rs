//! Calls from the pages of applications (Fetch §3.3, CORS): metadata for everybody; the routes that
//! single-page applications need for the origins that a client names; never with our cookie.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::HttpContext;

/// What an allowed origin may send, and for how many seconds a browser need not ask again.
const PREFLIGHT: [(HeaderName, HeaderValue); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, auth0-client"),
    ),
    (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
];

/// `OPTIONS`: may a page of that origin ask, and how?
pub async fn preflight(State(context): State<HttpContext>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if allowed(&context, &headers).await.is_some() {
        response.headers_mut().extend(PREFLIGHT);
    }
    response
}

/// `OPTIONS` of what everybody may read.
pub async fn preflight_public() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets pages of that origin read the answer, also when it is a refusal; `None` lets nobody.
pub(crate) fn answer(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    // A cache must not give one origin's answer to another.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let seen = HeaderValue::from_static("retry-after, www-authenticate");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, seen);
    }
}

/// The request's origin, if a client names it. What cannot be looked up is not allowed.
pub(crate) async fn allowed(context: &HttpContext, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let is_known = context.identity.is_web_origin(origin.to_str().ok()?).await;
    let is_known = is_known.unwrap_or_else(|error| {
        tracing::error!(%error, "the origins of clients could not be looked up");
        false
    });
    is_known.then(|| origin.clone())
}
