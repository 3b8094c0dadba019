//! `POST` and `DELETE /api/v1/documents/{id}/share`.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_gate::flows::documents::{self, Share, ShareRelation};
use behalf_http::{Caller, HttpContext};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{parts, person};
use crate::json_body::{JsonBody, answer};
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    user: String,
    relation: ShareRelation,
    #[serde(default)]
    public: bool,
}

impl From<Body> for Share {
    fn from(body: Body) -> Self {
        Self { user: body.user, relation: body.relation, public: body.public }
    }
}

pub(super) async fn share(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<Body>,
) -> Result<Response, Problem> {
    let (user, actor) = person(caller)?;
    let tuple = documents::share(parts(&context), &user, &id, &body.into(), &actor).await?;
    let body = json!({"document_id": id, "user": tuple.user, "relation": tuple.relation});
    Ok(answer(StatusCode::OK, &body))
}

pub(super) async fn unshare(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<Body>,
) -> Result<Response, Problem> {
    let (user, actor) = person(caller)?;
    documents::unshare(parts(&context), &user, &id, &body.into(), &actor).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
