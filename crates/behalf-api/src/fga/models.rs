//! Authorization models.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use behalf_authz::engine::AuthorizationModel;
use behalf_http::{Caller, HttpContext};
use http::StatusCode;
use serde_json::{Value, json};

use super::actor;
use super::body::{FgaBody, Strict, json as answer};
use super::error::FgaError;
use super::stores::page;

pub(super) async fn write(
    State(context): State<HttpContext>,
    caller: Extension<Caller>,
    Path(store_id): Path<String>,
    FgaBody(Strict(body)): FgaBody<Strict>,
) -> Result<Response, FgaError> {
    let model = AuthorizationModel::from_json(&body.to_string())
        .map_err(|error| FgaError::input("invalid_authorization_model", error.to_string()))?;
    let model_id = context.authz.write_model(&store_id, model, &actor(&caller)).await?;
    Ok(answer(StatusCode::CREATED, &json!({"authorization_model_id": model_id})))
}

pub(super) async fn get(
    State(context): State<HttpContext>,
    Path((store_id, model_id)): Path<(String, String)>,
) -> Result<Response, FgaError> {
    let (model_id, model) = context.authz.load_model(&store_id, Some(&model_id)).await?;
    let body = json!({"authorization_model": shown(&model_id, &model)});
    Ok(answer(StatusCode::OK, &body))
}

/// Newest first.
pub(super) async fn list(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, FgaError> {
    let (size, after, _) = page(query.as_deref())?;
    let models = context.authz.list_models(&store_id).await?;
    let start = match models.iter().position(|(model_id, _)| *model_id == after) {
        Some(index) => index.saturating_add(1),
        None if after.is_empty() => 0,
        None => {
            return Err(FgaError::input(
                "invalid_continuation_token",
                "Invalid continuation token",
            ));
        }
    };
    let shown_models: Vec<Value> = models
        .iter()
        .skip(start)
        .take(size)
        .map(|(model_id, model)| shown(model_id, model))
        .collect();
    let is_last = models.len() <= start.saturating_add(size);
    let next = models.get(start.saturating_add(size).saturating_sub(1));
    let next = if is_last { "" } else { next.map_or("", |(model_id, _)| model_id.as_str()) };
    let body = json!({"authorization_models": shown_models, "continuation_token": next});
    Ok(answer(StatusCode::OK, &body))
}

fn shown(model_id: &str, model: &str) -> Value {
    let mut shown: Value = serde_json::from_str(model).unwrap_or_default();
    if let Value::Object(members) = &mut shown {
        members.insert("id".to_owned(), model_id.into());
    }
    shown
}
