//! `GET /api/v1/traces`: the caller's traces, or by role everybody's, newest first.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use behalf_core::{PageSize, Timestamp};
use behalf_http::{Caller, HttpContext, Params};
use behalf_traces::{ListError, TraceFilter};
use serde_json::json;

use super::body::{answer, summary};
use crate::problem::Problem;

pub(super) async fn list(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let size =
        match params.take("page_size") {
            None => PageSize::DEFAULT,
            Some(text) => text.parse().ok().and_then(PageSize::new).ok_or_else(|| {
                Problem::invalid(format!("`page_size` is 1 to {}", PageSize::MAX))
            })?,
        };
    let page_token = params.take("page_token");
    let filter = filter(&mut params)?;
    let page = context
        .traces
        .list(&caller.trace_project(), &caller.trace_reader(), &filter, size, page_token.as_deref())
        .await
        .map_err(|error| match error {
            ListError::PageToken(error) => Problem::invalid(error.to_string()),
            ListError::Store(error) => error.into(),
        })?;
    let traces = page.items.iter().map(summary).collect::<Vec<_>>();
    Ok(answer(&json!({"traces": traces, "next_page_token": page.next})))
}

fn filter(params: &mut Params) -> Result<TraceFilter, Problem> {
    let status = params.take("status").unwrap_or_default();
    if !matches!(status.as_str(), "" | "open" | "waiting" | "ok" | "error") {
        return Err(Problem::invalid("`status` is `open`, `waiting`, `ok` or `error`"));
    }
    let mut time = |name: &str| match params.take(name) {
        None => Ok(None),
        Some(text) => Timestamp::from_rfc3339(&text)
            .map(Some)
            .ok_or_else(|| Problem::invalid(format!("`{name}` is no RFC 3339 time"))),
    };
    let (from, to) = (time("from")?, time("to")?);
    Ok(TraceFilter {
        owner: params.take("user_id").unwrap_or_default(),
        tool: params.take("tool").unwrap_or_default(),
        model: params.take("model").unwrap_or_default(),
        status,
        text: params.take("q").unwrap_or_default(),
        from,
        to,
    })
}
