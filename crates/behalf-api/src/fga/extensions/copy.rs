//! Copies of what another server holds: stores and models under the ids that they have there, and
//! changes of tuples as they come.

use axum::extract::Path;
use behalf_authz::engine::AuthorizationModel;
use behalf_authz::{Merge, Refused};
use http::StatusCode;
use serde_json::{Value, json};

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::json::{FgaBody, MergeBody, StoreName};
use crate::fga::rules::{self, In};

/// Refusals that an answer tells.
const MAX_REFUSALS: usize = 100;

/// Makes a store under its id; 201 if it is new, 200 if it was there.
pub(super) async fn put_store(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(StoreName(name)): FgaBody<StoreName>,
) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    call.authorize(&store_id).await?;
    let authz = &call.context.authz;
    let (store, is_new) = authz.ensure_store(&store_id, &name, &call.caller.actor).await?;
    let json = json!({"id": store.id, "name": store.name});
    Ok(Answer::new(json, Stamp::store(store_id)).http(created(is_new), Value::clone))
}

/// Writes a model under its id; 201 if it is new, 200 if it was there.
pub(super) async fn put_model(
    call: Call,
    Path((store_id, model_id)): Path<(String, String)>,
    FgaBody(body): FgaBody<Value>,
) -> Answered {
    let is = In("BehalfRequest");
    is.store_id(&store_id)?;
    is.id("Id", &model_id)?;
    let model = AuthorizationModel::from_json(&body.to_string())
        .map_err(|error| FgaError::new(2056, error.to_string()))?;
    call.check_model(&store_id, &model)?;
    call.enter(&store_id).await?;
    let authz = &call.context.authz;
    let (model_id, is_new) = authz.put_model(&store_id, model_id, model, call.author()).await?;
    let json = json!({"authorization_model_id": model_id});
    let stamp = Stamp { model_id, ..Stamp::store(store_id) };
    Ok(Answer::new(json, stamp).http(created(is_new), Value::clone))
}

const fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

/// Takes changes in, in one commit.
pub(super) async fn merge(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<MergeBody>,
) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    call.enter(&store_id).await?;
    // What breaks a field's rule is refused like what breaks the model's, by its place.
    let mut refused = Vec::new();
    let (mut changes, mut places) = (Vec::new(), Vec::new());
    for (index, (tuple, change)) in body.changes.into_iter().enumerate() {
        match rules::tuple_key(&tuple) {
            Ok(()) => {
                changes.push(change);
                places.push(index);
            }
            Err(error) => refused.push(Refused { index, reason: error.message().to_owned() }),
        }
    }
    let merge = Merge {
        changes: &changes,
        is_copy: body.is_copy,
        is_dry_run: body.is_dry_run || (!refused.is_empty() && !body.is_copy),
    };
    let merged = call.context.authz.merge(&store_id, merge, call.author()).await?;
    refused.extend(merged.refused.into_iter().map(|refused| Refused {
        index: places.get(refused.index).copied().unwrap_or_default(),
        ..refused
    }));
    refused.sort_by_key(|refused| refused.index);
    let count = refused.len();
    let shown = refused.into_iter().take(MAX_REFUSALS);
    let shown: Vec<Value> =
        shown.map(|Refused { index, reason }| json!({"index": index, "reason": reason})).collect();
    let json = json!({
        "written": merged.written,
        "deleted": merged.deleted,
        "unchanged": merged.unchanged,
        "refused_count": count,
        "refused": shown,
    });
    let answer = Answer::new(json, Stamp::at(store_id, merged.revision));
    Ok(answer.http(StatusCode::OK, Value::clone))
}
