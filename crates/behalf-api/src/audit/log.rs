//! The log in C2SP's paths, so that other people's tools can read it (tlog-tiles).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_core::ProjectId;
use behalf_http::HttpContext;
use behalf_verify::merkle::tiles::Tile;
use http::{StatusCode, header};

use crate::problem::Problem;

/// `GET /log/{project}/checkpoint`.
pub(super) async fn checkpoint(
    State(context): State<HttpContext>,
    Path(project): Path<String>,
) -> Result<Response, Problem> {
    let checkpoint = context.ledger.checkpoint(&parse(&project)?).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "private, max-age=1"),
    ];
    Ok((StatusCode::OK, headers, checkpoint.note).into_response())
}

/// `GET /log/{project}/tile/…`: hashes or entries, as wide as the path says. What a path names never
/// changes; it is private because a log has readers, not a public.
pub(super) async fn tile(
    State(context): State<HttpContext>,
    Path((project, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let tile: Tile = format!("tile/{path}").parse().map_err(|_invalid| Problem::not_found())?;
    let bytes = context.ledger.tile(&parse(&project)?, &tile).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((StatusCode::OK, headers, bytes).into_response())
}

fn parse(project: &str) -> Result<ProjectId, Problem> {
    project.parse().map_err(|_invalid| Problem::not_found())
}
