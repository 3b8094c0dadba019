//! The runs of agents: `/api/v1/traces`.

mod body;
mod list;
mod live;
mod show;

use behalf_http::{HttpContext, Routes, Rule};
use http::Method;

use crate::problem;

/// Every route of the runs of agents.
pub fn routes(context: &HttpContext) -> Routes {
    let read = Rule::Api("read:traces");
    Routes::new(context.clone(), problem::denied)
        .route(Method::GET, "/api/v1/traces", read, list::list)
        .route(Method::GET, "/api/v1/traces/live", read, live::live)
        .route(Method::GET, "/api/v1/traces/{trace_id}", read, show::show)
}
