//! `GET /api/v1/traces/{trace_id}`: one trace with its spans.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use behalf_http::{Caller, HttpContext};

use super::body::{answer, trace};
use crate::problem::Problem;

pub(super) async fn show(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(trace_id): Path<String>,
) -> Result<Response, Problem> {
    let project = caller.trace_project();
    let reader = caller.trace_reader();
    let found = context.traces.find(&project, &reader, &trace_id).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let spans = found.spans.iter().collect::<Vec<_>>();
    let details = context.traces.details(&project, &found, &spans).await?;
    Ok(answer(&trace(&found, &details)))
}
