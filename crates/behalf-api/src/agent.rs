//! The agent's dialects: chats as the AI SDK's clients speak them.

mod chat;
mod stream;

use axum::response::{IntoResponse, Response};
use behalf_http::{Denial, HttpContext, Routes, Rule};
use http::Method;
use http::header::{self, HeaderValue};

/// The largest history that is read, in bytes.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// The chat's routes.
pub fn routes(context: &HttpContext) -> Routes {
    Routes::new(context.clone(), denied)
        .body_limit(BODY_MAX)
        .route(Method::POST, "/api/chat", Rule::Api("chat"), chat::post)
        .route(Method::GET, "/api/chat/{id}/stream", Rule::Api("chat"), chat::resume)
}

/// A denial as chat clients show it: they make the body the error's message, so it is a sentence.
fn denied(denial: &Denial) -> Response {
    let mut sentence = denial.message();
    if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
        sentence.replace_range(..1, &first);
    }
    sentence.push('.');
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut response = (denial.status(), plain, sentence).into_response();
    if let Some(challenge) = denial.challenge() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
