//! Stores.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_authz::FgaStoreInfo;
use behalf_http::{Caller, HttpContext, Params};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::actor;
use super::body::{FgaBody, json as answer, or_default};
use super::error::FgaError;

#[derive(Debug, Deserialize)]
pub(super) struct CreateStore {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
}

pub(super) async fn create(
    State(context): State<HttpContext>,
    caller: Extension<Caller>,
    FgaBody(body): FgaBody<CreateStore>,
) -> Result<Response, FgaError> {
    let store = context.authz.create_store(&body.name, &actor(&caller)).await?;
    Ok(answer(StatusCode::CREATED, &shown(&store)))
}

pub(super) async fn get(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
) -> Result<Response, FgaError> {
    let store = context.authz.load_store(&store_id).await?;
    Ok(answer(StatusCode::OK, &shown(&store)))
}

pub(super) async fn delete(
    State(context): State<HttpContext>,
    caller: Extension<Caller>,
    Path(store_id): Path<String>,
) -> Result<Response, FgaError> {
    context.authz.delete_store(&store_id, &actor(&caller)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Only the stores within the caller's reach are listed.
pub(super) async fn list(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, FgaError> {
    let (size, after, mut params) = page(query.as_deref())?;
    let name = params.take("name");
    let mut shown_stores = Vec::new();
    let mut after = after;
    let next = loop {
        let stores = context.authz.list_stores(&after, 100).await?;
        let is_last = stores.len() < 100;
        let mut rest = stores.into_iter();
        for store in rest.by_ref() {
            after.clone_from(&store.id);
            let reaches = matches!(&caller, Caller::Fga(caller) if caller.may_reach(&store.id));
            if reaches && name.as_ref().is_none_or(|name| *name == store.name) {
                shown_stores.push(shown(&store));
            }
            if shown_stores.len() == size {
                break;
            }
        }
        let is_full = shown_stores.len() == size;
        if is_last && rest.as_slice().is_empty() {
            break String::new();
        }
        if is_full {
            break after;
        }
    };
    let body = json!({"stores": shown_stores, "continuation_token": next});
    Ok(answer(StatusCode::OK, &body))
}

/// `page_size` (1 to 100, default 50) and `continuation_token` of a query.
pub(super) fn page(query: Option<&str>) -> Result<(usize, String, Params), FgaError> {
    let mut params = Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map_err(|error| FgaError::validation(error.to_string()))?;
    let size = match params.take("page_size") {
        None => 50,
        Some(text) => {
            text.parse::<usize>().ok().filter(|size| (1..=100).contains(size)).ok_or_else(|| {
                let text = "invalid PageSize: value must be inside range [1, 100]";
                FgaError::input("page_size_invalid", text)
            })?
        }
    };
    let after = params.take("continuation_token").unwrap_or_default();
    Ok((size, after, params))
}

fn shown(store: &FgaStoreInfo) -> Value {
    json!({
        "id": store.id,
        "name": store.name,
        "created_at": store.created_at.to_rfc3339(),
        "updated_at": store.updated_at.to_rfc3339(),
        "deleted_at": null,
    })
}
