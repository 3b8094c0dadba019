//! Fine-grained authorization in OpenFGA's dialect: `/stores…`.

mod body;
mod check;
mod error;
mod models;
mod stores;
mod tuples;

use axum::Extension;
use behalf_core::Actor;
use behalf_http::{Caller, HttpContext, Routes, Rule};
use http::Method;

/// The largest body, in bytes: OpenFGA's gRPC default.
const BODY_LIMIT: usize = 616_448;

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    const MODELS: &str = "/stores/{store_id}/authorization-models";
    const MODEL: &str = "/stores/{store_id}/authorization-models/{model_id}";
    let read = Rule::Fga("read:fga");
    let check = Rule::Fga("check:fga");
    let write = Rule::Fga("write:fga");
    let admin = Rule::Fga("admin:fga");
    Routes::new(context.clone(), error::denied)
        .body_limit(BODY_LIMIT)
        .route(Method::POST, "/stores", admin, stores::create)
        .route(Method::GET, "/stores", read, stores::list)
        .route(Method::GET, "/stores/{store_id}", read, stores::get)
        .route(Method::DELETE, "/stores/{store_id}", admin, stores::delete)
        .route(Method::POST, MODELS, admin, models::write)
        .route(Method::GET, MODELS, read, models::list)
        .route(Method::GET, MODEL, read, models::get)
        .route(Method::POST, "/stores/{store_id}/write", write, tuples::write)
        .route(Method::POST, "/stores/{store_id}/read", read, tuples::read)
        .route(Method::POST, "/stores/{store_id}/check", check, check::check)
        .route(Method::POST, "/stores/{store_id}/batch-check", check, check::batch_check)
        .route(Method::POST, "/stores/{store_id}/list-objects", read, check::list_objects)
}

/// Whom the record names.
fn actor(Extension(caller): &Extension<Caller>) -> Actor {
    match caller {
        Caller::Fga(caller) => caller.actor.clone(),
        Caller::Project(machine) => machine.actor.clone(),
        Caller::Token(token, _) => Actor::Client {
            client_id: token.client_id.to_string(),
            sub: token.user_id().map(String::from),
        },
        Caller::Person(session) => Actor::User { sub: session.user.user_id.to_string() },
    }
}
