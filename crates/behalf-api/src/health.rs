//! Whether the server lives and can serve.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::{HttpContext, Routes, Rule};
use http::{Method, StatusCode, header};

/// `/healthz` and `/readyz`.
pub fn routes(routes: Routes) -> Routes {
    routes.route(Method::GET, "/healthz", Rule::Public, healthz).route(
        Method::GET,
        "/readyz",
        Rule::Public,
        readyz,
    )
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

fn json(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
