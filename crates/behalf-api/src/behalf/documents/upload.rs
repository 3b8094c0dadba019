//! `POST /api/v1/documents` and `PUT /api/v1/documents/{id}`.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use behalf_gate::flows::documents;
use behalf_http::{Caller, HttpContext};
use behalf_retrieval::{ContentType, NewDocument};
use http::StatusCode;
use serde::Deserialize;

use super::{actor_of, parts, person, shown};
use crate::json_body::{JsonBody, answer};
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    title: String,
    content: String,
    content_type: Option<String>,
}

impl Upload {
    fn read(self) -> Result<NewDocument, Problem> {
        let content_type = self.content_type.as_deref().unwrap_or(ContentType::Plain.as_str());
        let content_type = ContentType::parse(content_type).ok_or_else(|| {
            let known: Vec<&str> = ContentType::ALL.into_iter().map(ContentType::as_str).collect();
            let text = format!("`content_type` is none of {} in UTF-8", known.join(", "));
            Problem::new(StatusCode::BAD_REQUEST, "unsupported_content_type", text)
        })?;
        Ok(NewDocument { title: self.title, content_type, content: self.content })
    }
}

pub(super) async fn upload(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<Upload>,
) -> Result<Response, Problem> {
    let (user, actor) = person(caller)?;
    let document = documents::upload(parts(&context), &user, body.read()?, &actor).await?;
    Ok(answer(StatusCode::CREATED, &shown(&document)))
}

pub(super) async fn put(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<Upload>,
) -> Result<Response, Problem> {
    let actor = actor_of(&caller);
    let (document, is_new) = documents::put(parts(&context), &id, body.read()?, &actor).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer(status, &shown(&document)))
}
