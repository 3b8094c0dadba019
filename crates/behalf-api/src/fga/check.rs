//! Questions: check, batch check, list objects.

use axum::extract::{Path, State};
use axum::response::Response;
use behalf_authz::engine::{CheckRequest, ListObjectsRequest, RequestContext, TupleKey};
use behalf_authz::{AuthzError, Query};
use behalf_http::HttpContext;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{
    Context, ContextualTuples, FgaBody, Key, answered, contextual, or_default, required,
};
use super::error::FgaError;

/// Checks in one batch at most.
const MAX_BATCH: usize = 50;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Check {
    #[serde(alias = "tupleKey")]
    tuple_key: Option<Key>,
    #[serde(alias = "contextualTuples")]
    contextual_tuples: Option<ContextualTuples>,
    #[serde(alias = "authorizationModelId")]
    authorization_model_id: Option<String>,
    #[serde(default)]
    context: Context,
}

pub(super) async fn check(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Check>,
) -> Result<Response, FgaError> {
    let key = required(body.tuple_key, "tuple_key_value_not_specified", "CheckRequest.TupleKey")?;
    let key = key.checked()?;
    let contextual = contextual(body.contextual_tuples)?;
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let request = check_request(&key, &contextual, &body.context);
    let is_allowed = at.check(&request).map_err(AuthzError::from)?;
    Ok(answered(&store_id, &at, &json!({"allowed": is_allowed, "resolution": ""})))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct BatchCheck {
    #[serde(default, deserialize_with = "or_default")]
    checks: Vec<BatchItem>,
    #[serde(alias = "authorizationModelId")]
    authorization_model_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct BatchItem {
    #[serde(alias = "tupleKey")]
    tuple_key: Option<Key>,
    #[serde(alias = "contextualTuples")]
    contextual_tuples: Option<ContextualTuples>,
    #[serde(default)]
    context: Context,
    #[serde(default, alias = "correlationId", deserialize_with = "or_default")]
    correlation_id: String,
}

/// A batch item as it is asked.
struct Asked {
    id: String,
    key: Key,
    contextual: Vec<TupleKey>,
    context: Context,
}

pub(super) async fn batch_check(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<BatchCheck>,
) -> Result<Response, FgaError> {
    if body.checks.is_empty() || body.checks.len() > MAX_BATCH {
        return Err(FgaError::validation(format!(
            "batchCheck received {} checks, the maximum allowed is {MAX_BATCH}, the minimum is 1",
            body.checks.len()
        )));
    }
    let mut asked: Vec<Asked> = Vec::with_capacity(body.checks.len());
    for item in body.checks {
        let item = asked_of(item)?;
        if asked.iter().any(|known| known.id == item.id) {
            let text = format!("received duplicate correlation id: {}", item.id);
            return Err(FgaError::validation(text));
        }
        asked.push(item);
    }
    let requests: Vec<_> = asked
        .iter()
        .map(|item| check_request(&item.key, &item.contextual, &item.context))
        .collect();
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let mut result = Map::new();
    for (item, answer) in asked.iter().zip(at.batch_check(&requests)) {
        let answer = match answer {
            Ok(is_allowed) => json!({"allowed": is_allowed}),
            Err(error) => {
                let error = FgaError::from(AuthzError::from(error));
                let member = if error.is_input() { "input_error" } else { "internal_error" };
                json!({"error": {member: error.code(), "message": error.message()}})
            }
        };
        result.insert(item.id.clone(), answer);
    }
    Ok(answered(&store_id, &at, &json!({"result": result})))
}

fn asked_of(item: BatchItem) -> Result<Asked, FgaError> {
    let id = item.correlation_id;
    let is_id = (1..=36).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !is_id {
        let text = "invalid BatchCheckItem.CorrelationId: value does not match regex pattern \
                    \"^[\\\\w\\\\d-]{1,36}$\"";
        return Err(FgaError::validation(text));
    }
    let key = item.tuple_key;
    let key = required(key, "tuple_key_value_not_specified", "BatchCheckItem.TupleKey")?;
    let contextual = contextual(item.contextual_tuples)?;
    Ok(Asked { id, key: key.checked()?, contextual, context: item.context })
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListObjects {
    #[serde(default, deserialize_with = "or_default")]
    user: String,
    #[serde(default, deserialize_with = "or_default")]
    relation: String,
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    object_type: String,
    #[serde(alias = "contextualTuples")]
    contextual_tuples: Option<ContextualTuples>,
    #[serde(alias = "authorizationModelId")]
    authorization_model_id: Option<String>,
    #[serde(default)]
    context: Context,
}

pub(super) async fn list_objects(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<ListObjects>,
) -> Result<Response, FgaError> {
    let contextual = contextual(body.contextual_tuples)?;
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let request = ListObjectsRequest {
        user: &body.user,
        relation: &body.relation,
        object_type: &body.object_type,
        request: request_context(&contextual, &body.context),
    };
    let objects: Vec<Value> =
        at.list_objects(&request).map_err(AuthzError::from)?.into_iter().map(Value::from).collect();
    Ok(answered(&store_id, &at, &json!({"objects": objects})))
}

fn query<'a>(store_id: &'a str, model_id: Option<&'a str>) -> Query<'a> {
    Query { store_id, model_id: model_id.filter(|id| !id.is_empty()) }
}

fn check_request<'a>(
    key: &'a Key,
    contextual: &'a [TupleKey],
    context: &'a Context,
) -> CheckRequest<'a> {
    CheckRequest {
        user: &key.user,
        relation: &key.relation,
        object: &key.object,
        request: request_context(contextual, context),
    }
}

fn request_context<'a>(tuples: &'a [TupleKey], context: &'a Context) -> RequestContext<'a> {
    RequestContext {
        contextual_tuples: tuples,
        context: context.0.as_ref(),
        ..RequestContext::default()
    }
}
