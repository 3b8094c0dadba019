//! `/console`: what this deployment is and holds.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::{BrowserOf, Caller, CspSource, HttpContext};
use http::StatusCode;

use crate::frame::Frame;
use crate::{error_page, show};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "overview/overview.html")]
pub(crate) struct Overview {
    frame: Frame,
    users: i64,
    clients: usize,
    issuer: String,
    origin: String,
    version: &'static str,
}

pub(crate) fn samples() -> Vec<Overview> {
    let overview = Overview {
        frame: Frame::sample("/console"),
        users: 12,
        clients: 3,
        issuer: "https://behalf.example.com/".to_owned(),
        origin: "https://behalf.example.com".to_owned(),
        version: "0.1.0",
    };
    vec![overview.clone(), Overview { users: 1, clients: 0, ..overview }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    Extension(caller): Extension<Caller>,
) -> Response {
    let Caller::Person(session) = caller else { return StatusCode::UNAUTHORIZED.into_response() };
    let identity = &context.identity;
    let (users, clients) = match (identity.count_users().await, identity.list_clients().await) {
        (Ok(users), Ok(clients)) => (users, clients.len()),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "the overview could not be counted");
            let text = "The overview cannot be shown right now. Try again in a moment.";
            return error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text);
        }
    };
    let overview = Overview {
        frame: Frame::new(&context, &session, &browser, "/console"),
        users,
        clients,
        issuer: identity.issuer().to_string(),
        origin: identity.issuer().origin().to_owned(),
        version: context.version,
    };
    show(StatusCode::OK, &overview, true, &CspSource::default())
}
