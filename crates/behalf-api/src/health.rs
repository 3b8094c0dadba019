//! Whether the server lives, whether it can serve, and what it has measured.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::{HttpContext, Routes, Rule};
use http::{Method, StatusCode, header};
use metrics::gauge;

/// Everything that the process has measured, as text.
pub type Measured = fn() -> String;

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes(routes: Routes, measured: Measured) -> Routes {
    let metrics = async move |State(context): State<HttpContext>| metrics(&context, measured).await;
    routes
        .route(Method::GET, "/healthz", Rule::Public, healthz)
        .route(Method::GET, "/readyz", Rule::Public, readyz)
        .route(Method::GET, "/metrics", Rule::Public, metrics)
}

async fn healthz() -> Response {
    json(StatusCode::OK, r#"{"status":"SERVING"}"#)
}

/// Ready means that the database answers.
async fn readyz(State(context): State<HttpContext>) -> Response {
    match context.identity.count_users().await {
        Ok(_) => json(StatusCode::OK, r#"{"status":"SERVING"}"#),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"NOT_SERVING"}"#)
        }
    }
}

/// What is measured when somebody looks is measured now; what happened meanwhile was counted then.
async fn metrics(context: &HttpContext, measured: Measured) -> Response {
    let (waiting, queue) = (context.ledger.count_waiting().await, context.ledger.queue_depth());
    match waiting.map(|waiting| u32::try_from(waiting).unwrap_or(u32::MAX)) {
        Ok(waiting) => gauge!("behalf_outbox_events").set(waiting),
        Err(error) => tracing::warn!(%error, "the outbox could not be counted"),
    }
    gauge!("behalf_commit_queue").set(u32::try_from(queue).unwrap_or(u32::MAX));
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, headers, measured()).into_response()
}

fn json(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
