//! Fine-grained authorization in OpenFGA's dialect: `/stores…` over HTTP, the same methods over gRPC,
//! AuthZEN's beside them, and what Behalf answers beyond both.
//!
//! A request of either kind becomes a message (`wire`), the same code (`ops`) answers it with a
//! message, and `http` with `json`, or `grpc`, says it.

mod access;
mod authzen;
mod call;
mod convert;
mod error;
mod extensions;
mod grpc;
mod http;
mod json;
mod model_wire;
mod ops;
mod rules;
pub mod wire;

use ::http::{HeaderMap, Method};
use axum::response::Response;
use behalf_authz::ApiRight as Right;
use behalf_http::{HttpContext, Routes, Rule};

/// The largest body, in bytes: OpenFGA's gRPC default.
const BODY_LIMIT: usize = 616_448;

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    const STORE: &str = "/stores/{store_id}";
    const MODELS: &str = "/stores/{store_id}/authorization-models";
    const MODEL: &str = "/stores/{store_id}/authorization-models/{model_id}";
    const ASSERTIONS: &str = "/stores/{store_id}/assertions/{model_id}";
    const STREAM: &str = "/stores/{store_id}/streamed-list-objects";
    let read = |right| Rule::Fga("read:fga", right);
    let check = Rule::Fga("check:fga", Right::Check);
    let write = |right| Rule::Fga("write:fga", right);
    let admin = |right| Rule::Fga("admin:fga", right);
    let routes = Routes::new(context.clone(), error::denied)
        .body_limit(BODY_LIMIT)
        .headers(http::name_request);
    extensions::routes(authzen::routes(routes))
        .route(Method::POST, "/stores", admin(Right::CreateStores), http::create_store)
        .route(Method::GET, "/stores", read(Right::ListStores), http::list_stores)
        .route(Method::GET, STORE, read(Right::GetStore), http::get_store)
        .route(Method::PATCH, STORE, admin(Right::DeleteStore), http::update_store)
        .route(Method::DELETE, STORE, admin(Right::DeleteStore), http::delete_store)
        .route(Method::POST, MODELS, admin(Right::WriteModels), http::write_model)
        .route(Method::GET, MODELS, read(Right::ReadModels), http::read_models)
        .route(Method::GET, MODEL, read(Right::ReadModels), http::read_model)
        .route(Method::PUT, ASSERTIONS, write(Right::WriteAssertions), http::write_assertions)
        .route(Method::GET, ASSERTIONS, read(Right::ReadAssertions), http::read_assertions)
        .route(Method::POST, "/stores/{store_id}/write", write(Right::Write), http::write)
        .route(Method::POST, "/stores/{store_id}/read", read(Right::Read), http::read)
        .route(
            Method::GET,
            "/stores/{store_id}/changes",
            read(Right::ReadChanges),
            http::read_changes,
        )
        .route(Method::POST, "/stores/{store_id}/check", check, http::check)
        .route(Method::POST, "/stores/{store_id}/batch-check", check, http::batch_check)
        .route(
            Method::POST,
            "/stores/{store_id}/list-objects",
            read(Right::ListObjects),
            http::list_objects,
        )
        .route(
            Method::POST,
            "/stores/{store_id}/list-users",
            read(Right::ListUsers),
            http::list_users,
        )
        .route(Method::POST, "/stores/{store_id}/expand", read(Right::Expand), http::expand)
        .route(Method::POST, STREAM, read(Right::ListObjects), http::streamed_list_objects)
        .merge(grpc::routes(context))
}

/// The answer to a path below `/stores` or a gRPC method that is no route; `None` for others.
pub fn not_found(path: &str, headers: &HeaderMap) -> Option<Response> {
    let is_ours = path == "/stores" || path.starts_with("/stores/");
    grpc::not_found(path, headers).or_else(|| is_ours.then(http::not_found))
}
