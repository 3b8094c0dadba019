//! Exports of records, and their bundles.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{ProjectId, Timestamp};
use behalf_http::{Caller, HttpContext, Params};
use behalf_ledger::{Export, ExportRequest};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{actor, json as answer};
use crate::problem::Problem;

/// Exports on one page of the list.
const PAGE: usize = 50;

/// `POST /api/v1/exports {project?, from?, to?}`.
pub(super) async fn create(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let request = request(&body)?;
    let export = context.ledger.export(&request, &actor(&caller)).await?;
    let location = format!("/api/v1/exports/{}", export.id);
    let mut response = answer(StatusCode::CREATED, &shown(&export));
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `GET /api/v1/exports`.
pub(super) async fn list(
    State(context): State<HttpContext>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let before = params.take("page_token").unwrap_or_default();
    let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
    let exports = context.ledger.list_exports(&before, limit).await?;
    let next = (exports.len() == PAGE).then(|| exports.last().map(|last| last.id.clone()));
    let exports: Vec<Value> = exports.iter().map(shown).collect();
    let body = json!({"exports": exports, "next_page_token": next.flatten()});
    Ok(answer(StatusCode::OK, &body))
}

/// `GET /api/v1/exports/{id}`.
pub(super) async fn get(
    State(context): State<HttpContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let export = context.ledger.load_export(&id).await?;
    Ok(answer(StatusCode::OK, &shown(&export)))
}

/// `GET /api/v1/exports/{id}/bundle`: the zip that `behalf verify` checks.
pub(super) async fn bundle(
    State(context): State<HttpContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let export = context.ledger.load_export(&id).await?;
    let zip = context.ledger.bundle(&export).await?;
    let disposition = format!("attachment; filename=\"behalf-{id}.zip\"");
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, &disposition),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, headers, zip).into_response())
}

/// What a body asks for; no body asks for the whole log of the default project.
fn request(body: &[u8]) -> Result<ExportRequest, Problem> {
    let mut params = match body.is_empty() {
        true => Params::default(),
        false => Params::from_json(body).map_err(|error| Problem::invalid(error.to_string()))?,
    };
    let project = match params.take("project") {
        None => ProjectId::default_project(),
        Some(id) => id.parse().map_err(|_invalid| Problem::not_found())?,
    };
    let mut time = |name: &str| match params.take(name) {
        None => Ok(None),
        Some(text) => Timestamp::from_rfc3339(&text).map(Some).ok_or_else(|| {
            Problem::invalid(format!("`{name}` is neither RFC 3339 nor a date: `{text}`"))
        }),
    };
    let (from, to) = (time("from")?, time("to")?);
    if let Some(name) = params.names().next() {
        return Err(Problem::invalid(format!(
            "`{name}` is not known here; known are project, from, to"
        )));
    }
    Ok(ExportRequest { project, from, to })
}

fn shown(export: &Export) -> Value {
    let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
    json!({
        "id": export.id,
        "project": export.request.project,
        "from": time(export.request.from),
        "to": time(export.request.to),
        "status": "ready",
        "first_entry": export.first,
        "record_count": export.count,
        "tree_size": export.tree_size,
        "created_at": export.created_at.to_rfc3339(),
        "created_by": export.actor,
        "bundle": format!("/api/v1/exports/{}/bundle", export.id),
    })
}
