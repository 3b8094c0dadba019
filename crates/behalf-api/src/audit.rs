//! The verifiable log for programs: receipts, exports and checks as problems-and-JSON, the log
//! itself in C2SP's paths (tlog-tiles).
//!
//! Everything needs `read:records` (or `export:records`, which includes it); exports need
//! `export:records`. A log is never public: who acts when is nobody else's business.

mod exports;
mod log;
mod records;

use axum::response::{IntoResponse, Response};
use behalf_core::Actor;
use behalf_http::{Caller, HttpContext, Routes, Rule};
use behalf_ledger::LedgerError;
use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::problem::{self, Problem};

/// The largest body: the longest receipt in JSON.
const BODY_LIMIT: usize = 1024 * 1024;

/// Every route.
pub fn routes(context: &HttpContext) -> Routes {
    let (read, export) = (Rule::Api("read:records"), Rule::Api("export:records"));
    let (get, post) = (Method::GET, Method::POST);
    Routes::new(context.clone(), problem::denied)
        .body_limit(BODY_LIMIT)
        .route(get.clone(), "/api/v1/records/{id}/receipt", read, records::receipt)
        .route(post.clone(), "/api/v1/verify", read, records::verify)
        .route(get.clone(), "/api/v1/exports", export, exports::list)
        .route(post, "/api/v1/exports", export, exports::create)
        .route(get.clone(), "/api/v1/exports/{id}", export, exports::get)
        .route(get.clone(), "/api/v1/exports/{id}/bundle", export, exports::bundle)
        .route(get.clone(), "/log/{project}/checkpoint", read, log::checkpoint)
        .route(get, "/log/{project}/tile/{*path}", read, log::tile)
}

/// Whom the record names.
fn actor(caller: &Caller) -> Actor {
    match caller {
        Caller::Fga(caller, _) => caller.actor.clone(),
        Caller::Project(machine) => machine.actor.clone(),
        Caller::Token(token, _) => Actor::Client {
            client_id: token.client_id.to_string(),
            sub: token.user_id().map(String::from),
        },
        Caller::Person(session) => Actor::User { sub: session.user.user_id.to_string() },
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NotFound => Self::not_found(),
            LedgerError::Window(text) => Self::invalid(text),
            LedgerError::Store(error) => error.into(),
            LedgerError::Fault(_) | LedgerError::Key(_) => {
                tracing::error!(%error, "the log cannot answer");
                let detail =
                    "the log contradicts itself; an operator must look at the server's log";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "log_fault", detail)
            }
        }
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
