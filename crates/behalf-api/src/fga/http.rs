//! OpenFGA's methods over HTTP.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use behalf_authz::engine::AuthorizationModel;
use behalf_http::HttpContext;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::call::{Call, JSON, STORE_ID};
use super::error::FgaError;
use super::json::{
    FgaBody, QueryString, assertions_json, batch_json, changes_json, check_json, created_json,
    expand_json, objects_json, read_json, store_json, stores_json, users_json,
};
use super::model_wire::{check_operands, model_json};
use super::wire::openfga_v1 as pb;

type Answered = Result<Response, FgaError>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every answer names the request, and the store that its path names.
pub(super) fn name_request(context: &HttpContext, uri: &Uri) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut id) = HeaderValue::from_str(&context.authz.new_id()) {
        // HTTP/2 keeps a table of what headers said before. What never comes again would drive out
        // of it what comes with each answer (RFC 7541 §7.1.3).
        id.set_sensitive(true);
        headers.insert(REQUEST_ID, id);
    }
    let store_id = uri.path().strip_prefix("/stores/").and_then(|rest| rest.split('/').next());
    if let Some(Ok(store_id)) = store_id.map(HeaderValue::from_str) {
        headers.insert(STORE_ID, store_id);
    }
    headers
}

/// A path below `/stores` that is none.
pub(super) fn not_found() -> Response {
    FgaError::new(5000, "Not Found").into_response()
}

pub(super) async fn check(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::CheckRequest>,
) -> Answered {
    let answer = call.check(pb::CheckRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, check_json))
}

pub(super) async fn batch_check(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::BatchCheckRequest>,
) -> Answered {
    let answer = call.batch_check(pb::BatchCheckRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, batch_json))
}

pub(super) async fn list_objects(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::ListObjectsRequest>,
) -> Answered {
    let answer = call.list_objects(pb::ListObjectsRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, objects_json))
}

/// One line per object: `{"result": {"object": …}}`.
pub(super) async fn streamed_list_objects(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::StreamedListObjectsRequest>,
) -> Response {
    let request = pb::StreamedListObjectsRequest { store_id, ..request };
    let answer = match call.streamed_list_objects(request).await {
        Ok(answer) => answer,
        Err(error) => return error.response(&error.stream_body()),
    };
    let lines = answer.value.into_iter().map(|object| {
        let line = format!("{}\n", json!({"result": {"object": object}}));
        Ok::<_, std::convert::Infallible>(Bytes::from(line))
    });
    let body = axum::body::Body::from_stream(futures_util::stream::iter(lines));
    let mut response = (StatusCode::OK, JSON, body).into_response();
    answer.stamp.put(response.headers_mut());
    response
}

pub(super) async fn list_users(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::ListUsersRequest>,
) -> Answered {
    let answer = call.list_users(pb::ListUsersRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, users_json))
}

pub(super) async fn expand(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::ExpandRequest>,
) -> Answered {
    let answer = call.expand(pb::ExpandRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, expand_json))
}

pub(super) async fn write(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::WriteRequest>,
) -> Answered {
    let answer = call.write(pb::WriteRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, |_| json!({})))
}

pub(super) async fn read(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<pb::ReadRequest>,
) -> Answered {
    let answer = call.read(pb::ReadRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, read_json))
}

pub(super) async fn read_changes(
    call: Call,
    Path(store_id): Path<String>,
    mut query: QueryString,
) -> Answered {
    let request = pb::ReadChangesRequest {
        store_id,
        r#type: query.text("type"),
        page_size: query.int("page_size")?,
        continuation_token: query.text("continuation_token"),
        start_time: query.time("start_time")?,
    };
    Ok(call.read_changes(request).await?.http(StatusCode::OK, changes_json))
}

pub(super) async fn write_assertions(
    call: Call,
    Path((store_id, authorization_model_id)): Path<(String, String)>,
    FgaBody(request): FgaBody<pb::WriteAssertionsRequest>,
) -> Answered {
    let request = pb::WriteAssertionsRequest { store_id, authorization_model_id, ..request };
    Ok(call.write_assertions(request).await?.no_content())
}

pub(super) async fn read_assertions(
    call: Call,
    Path((store_id, authorization_model_id)): Path<(String, String)>,
) -> Answered {
    let request = pb::ReadAssertionsRequest { store_id, authorization_model_id };
    Ok(call.read_assertions(request).await?.http(StatusCode::OK, assertions_json))
}

pub(super) async fn write_model(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Value>,
) -> Answered {
    check_operands(&body)?;
    let model = AuthorizationModel::from_json(&body.to_string())
        .map_err(|error| FgaError::validation(error.to_string()))?;
    let answer = call.write_model(store_id, model).await?;
    Ok(answer.http(
        StatusCode::CREATED,
        |answer| json!({"authorization_model_id": answer.authorization_model_id}),
    ))
}

pub(super) async fn read_model(
    call: Call,
    Path((store_id, id)): Path<(String, String)>,
) -> Answered {
    let answer = call.read_model(pb::ReadAuthorizationModelRequest { store_id, id }).await?;
    Ok(answer.http(StatusCode::OK, |answer| {
        json!({"authorization_model": answer.authorization_model.as_ref().map(model_json)})
    }))
}

pub(super) async fn read_models(
    call: Call,
    Path(store_id): Path<String>,
    mut query: QueryString,
) -> Answered {
    let request = pb::ReadAuthorizationModelsRequest {
        store_id,
        page_size: query.int("page_size")?,
        continuation_token: query.text("continuation_token"),
    };
    Ok(call.read_models(request).await?.http(StatusCode::OK, |answer| {
        let models: Vec<Value> = answer.authorization_models.iter().map(model_json).collect();
        json!({"authorization_models": models, "continuation_token": answer.continuation_token})
    }))
}

pub(super) async fn create_store(
    call: Call,
    FgaBody(request): FgaBody<pb::CreateStoreRequest>,
) -> Answered {
    Ok(call.create_store(request).await?.http(StatusCode::CREATED, created_json))
}

pub(super) async fn get_store(call: Call, Path(store_id): Path<String>) -> Answered {
    let answer = call.get_store(pb::GetStoreRequest { store_id }).await?;
    Ok(answer.http(StatusCode::OK, store_json))
}

pub(super) async fn update_store(call: Call, Path(store_id): Path<String>) -> FgaError {
    call.update_store(&store_id).await
}

pub(super) async fn delete_store(call: Call, Path(store_id): Path<String>) -> Answered {
    Ok(call.delete_store(pb::DeleteStoreRequest { store_id }).await?.no_content())
}

pub(super) async fn list_stores(call: Call, mut query: QueryString) -> Answered {
    let request = pb::ListStoresRequest {
        page_size: query.int("page_size")?,
        continuation_token: query.text("continuation_token"),
        name: query.text("name"),
    };
    Ok(call.list_stores(request).await?.http(StatusCode::OK, stores_json))
}
