//! Relationship tuples: written, deleted, read.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use behalf_authz::engine::{OnConflict, WriteRequest};
use behalf_http::{Caller, HttpContext};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::actor;
use super::body::{FgaBody, Key, Tuple, delete_keys, json as answer, or_default, tuple_keys};
use super::error::FgaError;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Write {
    writes: Option<Writes>,
    deletes: Option<Deletes>,
    #[serde(alias = "authorizationModelId")]
    authorization_model_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Writes {
    #[serde(default, alias = "tupleKeys", deserialize_with = "or_default")]
    tuple_keys: Vec<Tuple>,
    #[serde(alias = "onDuplicate")]
    on_duplicate: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Deletes {
    #[serde(default, alias = "tupleKeys", deserialize_with = "or_default")]
    tuple_keys: Vec<Key>,
    #[serde(alias = "onMissing")]
    on_missing: Option<String>,
}

pub(super) async fn write(
    State(context): State<HttpContext>,
    caller: Extension<Caller>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Write>,
) -> Result<Response, FgaError> {
    let (writes, deletes) = (body.writes.unwrap_or_default(), body.deletes.unwrap_or_default());
    let request = WriteRequest {
        writes: tuple_keys(writes.tuple_keys)?,
        deletes: delete_keys(deletes.tuple_keys)?,
        on_duplicate: on_conflict(writes.on_duplicate.as_deref(), "on_duplicate")?,
        on_missing: on_conflict(deletes.on_missing.as_deref(), "on_missing")?,
        ..WriteRequest::default()
    };
    let model_id = body.authorization_model_id.filter(|id| !id.is_empty());
    context.authz.write(&store_id, model_id.as_deref(), &request, &actor(&caller)).await?;
    Ok(answer(StatusCode::OK, &json!({})))
}

fn on_conflict(value: Option<&str>, field: &str) -> Result<OnConflict, FgaError> {
    match value.unwrap_or_default() {
        "" | "error" => Ok(OnConflict::Error),
        "ignore" => Ok(OnConflict::Ignore),
        _ => Err(FgaError::validation(format!(
            "invalid {field}: value must be in list [error, ignore]"
        ))),
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Read {
    #[serde(alias = "tupleKey")]
    tuple_key: Option<Key>,
    #[serde(alias = "pageSize")]
    page_size: Option<i64>,
    #[serde(default, alias = "continuationToken", deserialize_with = "or_default")]
    continuation_token: String,
}

/// The seven shapes of OpenFGA's Read: with a key, the object's type is needed; `type:` alone needs
/// a user.
pub(super) async fn read(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Read>,
) -> Result<Response, FgaError> {
    let size = usize::try_from(body.page_size.unwrap_or(50)).unwrap_or_default();
    if !(1..=100).contains(&size) {
        let text = "invalid ReadRequest.PageSize: value must be inside range [1, 100]";
        return Err(FgaError::input("page_size_invalid", text));
    }
    let key = body.tuple_key.unwrap_or_default().checked()?;
    let has_key = !(key.user.is_empty() && key.relation.is_empty() && key.object.is_empty());
    if has_key {
        let (object_type, id) = key.object.split_once(':').unwrap_or((key.object.as_str(), ""));
        if object_type.is_empty() || !key.object.contains(':') {
            let text = "the 'tuple_key' field was provided but the object type field is required \
                        and both the object id and user cannot be empty";
            return Err(FgaError::validation(text));
        }
        if id.is_empty() && key.user.is_empty() {
            let text = "the 'tuple_key' field was provided but the object type field is required \
                        and both the object id and user cannot be empty";
            return Err(FgaError::validation(text));
        }
    }
    let filter =
        behalf_authz::TupleFilter { user: key.user, relation: key.relation, object: key.object };
    let page = context.authz.read(&store_id, &filter, size, &body.continuation_token).await?;
    let tuples: Vec<Value> = page
        .items
        .iter()
        .map(|tuple| {
            let condition = tuple.condition.as_ref();
            let condition = condition.map(|c| json!({"name": c.name, "context": c.context}));
            json!({"key": {
                "user": tuple.user, "relation": tuple.relation, "object": tuple.object,
                "condition": condition,
            }})
        })
        .collect();
    let body = json!({"tuples": tuples, "continuation_token": page.next.unwrap_or_default()});
    Ok(answer(StatusCode::OK, &body))
}
