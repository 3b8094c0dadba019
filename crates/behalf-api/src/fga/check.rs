//! Questions: check, batch check, list objects.

use axum::extract::{Path, State};
use axum::response::Response;
use behalf_authz::engine::{CheckRequest, ListObjectsRequest, RequestContext, TupleKey};
use behalf_authz::{AuthzError, Query};
use behalf_http::HttpContext;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{Context, ContextualTuples, FgaBody, answered, required};
use super::error::FgaError;

/// Checks in one batch at most.
const MAX_BATCH: usize = 50;

#[derive(Debug, Default, Deserialize)]
struct CheckKey {
    #[serde(default)]
    user: String,
    #[serde(default)]
    relation: String,
    #[serde(default)]
    object: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Check {
    tuple_key: Option<CheckKey>,
    contextual_tuples: Option<ContextualTuples>,
    authorization_model_id: Option<String>,
    context: Context,
}

pub(super) async fn check(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Check>,
) -> Result<Response, FgaError> {
    let key = required(body.tuple_key, "tuple_key_value_not_specified", "CheckRequest.TupleKey")?;
    let contextual = body.contextual_tuples.unwrap_or_default();
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let request = check_request(&key, &contextual, &body.context);
    let is_allowed = at.check(&request).map_err(AuthzError::from)?;
    Ok(answered(&store_id, &at, &json!({"allowed": is_allowed, "resolution": ""})))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct BatchCheck {
    #[serde(default)]
    checks: Vec<BatchItem>,
    authorization_model_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct BatchItem {
    tuple_key: Option<CheckKey>,
    contextual_tuples: Option<ContextualTuples>,
    context: Context,
    #[serde(default)]
    correlation_id: String,
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
    let none = ContextualTuples::default();
    let mut requests = Vec::with_capacity(body.checks.len());
    let mut ids = Vec::with_capacity(body.checks.len());
    for item in &body.checks {
        let id = item.correlation_id.as_str();
        let is_id = (1..=36).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !is_id {
            let text = "invalid BatchCheckItem.CorrelationId: value does not match regex pattern \
                        \"^[\\\\w\\\\d-]{1,36}$\"";
            return Err(FgaError::validation(text));
        }
        if ids.contains(&id) {
            let text = format!("received duplicate correlation id: {id}");
            return Err(FgaError::validation(text));
        }
        let key = item.tuple_key.as_ref();
        let key = required(key, "tuple_key_value_not_specified", "BatchCheckItem.TupleKey")?;
        let contextual = item.contextual_tuples.as_ref().unwrap_or(&none);
        requests.push(check_request(key, contextual, &item.context));
        ids.push(id);
    }
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let mut result = Map::new();
    for (id, answer) in ids.into_iter().zip(at.batch_check(&requests)) {
        let answer = match answer {
            Ok(is_allowed) => json!({"allowed": is_allowed}),
            Err(error) => {
                let error = FgaError::from(AuthzError::from(error));
                let member = if error.is_input() { "input_error" } else { "internal_error" };
                json!({"error": {member: error.code(), "message": error.message()}})
            }
        };
        result.insert(id.to_owned(), answer);
    }
    Ok(answered(&store_id, &at, &json!({"result": result})))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListObjects {
    #[serde(default)]
    user: String,
    #[serde(default)]
    relation: String,
    #[serde(default, rename = "type")]
    object_type: String,
    contextual_tuples: Option<ContextualTuples>,
    authorization_model_id: Option<String>,
    context: Context,
}

pub(super) async fn list_objects(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<ListObjects>,
) -> Result<Response, FgaError> {
    let contextual = body.contextual_tuples.unwrap_or_default();
    let at = context.authz.at(query(&store_id, body.authorization_model_id.as_deref())).await?;
    let request = ListObjectsRequest {
        user: &body.user,
        relation: &body.relation,
        object_type: &body.object_type,
        request: request_context(&contextual.tuple_keys, &body.context),
    };
    let objects: Vec<Value> =
        at.list_objects(&request).map_err(AuthzError::from)?.into_iter().map(Value::from).collect();
    Ok(answered(&store_id, &at, &json!({"objects": objects})))
}

fn query<'a>(store_id: &'a str, model_id: Option<&'a str>) -> Query<'a> {
    Query { store_id, model_id: model_id.filter(|id| !id.is_empty()) }
}

fn check_request<'a>(
    key: &'a CheckKey,
    contextual: &'a ContextualTuples,
    context: &'a Context,
) -> CheckRequest<'a> {
    CheckRequest {
        user: &key.user,
        relation: &key.relation,
        object: &key.object,
        request: request_context(&contextual.tuple_keys, context),
    }
}

fn request_context<'a>(tuples: &'a [TupleKey], context: &'a Context) -> RequestContext<'a> {
    RequestContext {
        contextual_tuples: tuples,
        context: context.as_ref(),
        ..RequestContext::default()
    }
}
