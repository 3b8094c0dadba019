//! `POST /api/v1/documents/search`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use behalf_http::{Caller, HttpContext};
use behalf_retrieval::Reader;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::person;
use crate::json_body::{JsonBody, answer};
use crate::problem::Problem;

/// Passages when `k` does not say.
const DEFAULT_K: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    query: String,
    k: Option<usize>,
}

pub(super) async fn search(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<Body>,
) -> Result<Response, Problem> {
    let (user, actor) = person(caller)?;
    let reader = Reader { user_id: user.user_id, actor };
    let k = body.k.unwrap_or(DEFAULT_K);
    let found = context.retrieval.search(&reader, &body.query, k).await?;
    let results: Vec<Value> = found
        .results
        .into_iter()
        .map(|passage| {
            json!({
                "document_id": passage.document_id,
                "chunk_id": passage.chunk_id,
                "title": passage.title,
                "text": passage.text,
                "score": passage.score,
            })
        })
        .collect();
    Ok(answer(StatusCode::OK, &json!({"results": results})))
}
