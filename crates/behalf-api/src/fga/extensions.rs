//! What Behalf answers beyond OpenFGA: `/stores/{store_id}/behalf/…`.

mod all_objects;
mod bitmap;
mod bulk;
mod copy;
mod diff;
mod questions;
mod semantics;
mod watch;

use axum::response::Response;
use behalf_authz::ApiRight as Right;
use behalf_http::{Routes, Rule};
use http::Method;

use super::error::FgaError;

type Answered = Result<Response, FgaError>;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = |right| Rule::Fga("read:fga", right);
    let check = Rule::Fga("check:fga", Right::Check);
    let write = Rule::Fga("write:fga", Right::Write);
    let admin = |right| Rule::Fga("admin:fga", right);
    const MODEL: &str = "/stores/{store_id}/behalf/authorization-models/{model_id}";
    const OBJECTS: &str = "/stores/{store_id}/behalf/list-objects";
    const USERS: &str = "/stores/{store_id}/behalf/list-users";
    const ALL: &str = "/stores/{store_id}/behalf/list-all-objects";
    const SEMANTICS: &str = "/stores/{store_id}/behalf/semantics";
    routes
        .route(
            Method::POST,
            "/stores/{store_id}/behalf/explain",
            read(Right::Read),
            questions::explain,
        )
        .route(Method::POST, "/stores/{store_id}/behalf/filter", check, questions::filter)
        .route(Method::POST, OBJECTS, read(Right::ListObjects), questions::list_objects)
        .route(Method::POST, USERS, read(Right::ListUsers), questions::list_users)
        .route(Method::POST, ALL, read(Right::ListObjects), all_objects::list_all_objects)
        .route(Method::POST, "/stores/{store_id}/behalf/diff", read(Right::Read), diff::diff)
        .route(Method::GET, SEMANTICS, read(Right::ReadModels), semantics::get)
        .route(Method::PUT, SEMANTICS, admin(Right::WriteModels), semantics::put)
        .route(Method::POST, SEMANTICS, read(Right::Read), semantics::compare)
        .route(Method::POST, "/stores/{store_id}/behalf/delete", write, bulk::delete)
        .route(Method::POST, "/stores/{store_id}/behalf/import", write, bulk::import)
        .route(Method::GET, "/stores/{store_id}/behalf/export", read(Right::Read), bulk::export)
        .route(
            Method::PUT,
            "/stores/{store_id}/behalf/store",
            admin(Right::CreateStores),
            copy::put_store,
        )
        .route(Method::PUT, MODEL, admin(Right::WriteModels), copy::put_model)
        .route(Method::POST, "/stores/{store_id}/behalf/merge", write, copy::merge)
        .route(
            Method::GET,
            "/stores/{store_id}/behalf/watch",
            read(Right::ReadChanges),
            watch::watch,
        )
}
