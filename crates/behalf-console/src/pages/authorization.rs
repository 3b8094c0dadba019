//! Authorization: the stores, their models as text and drawing, their tuples, and a check.

pub(crate) mod graph;
pub(crate) mod store;
pub(crate) mod stores;
pub(crate) mod tuples;

use axum::response::Response;
use behalf_authz::AuthzError;
use behalf_identity::{Resource, Right, User, right};
use behalf_store::StoreError;
use http::StatusCode;

use crate::error_page;

/// True if one of her roles may write and delete tuples.
fn may_write(user: &User) -> bool {
    user.roles.iter().any(|role| right(*role, Resource::Authorization) == Right::Write)
}

/// A page for what failed, or for a store that is not there.
fn failed(error: &AuthzError) -> Response {
    if matches!(error, AuthzError::StoreNotFound) {
        let text = "There is no authorization store at this address. It may have been deleted.";
        return error_page(StatusCode::NOT_FOUND, "Store not found", text);
    }
    tracing::error!(%error, "a page of authorization failed");
    let text = "Authorization cannot be reached right now. Try again in a moment; if you changed \
                something, look first whether it is there.";
    error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
}

/// True if the caller is to blame, so that the words are for her.
const fn is_refusal(error: &AuthzError) -> bool {
    match error {
        AuthzError::Store(StoreError::Conflict { .. })
        | AuthzError::Write(_)
        | AuthzError::Request(_)
        | AuthzError::Model(_)
        | AuthzError::Invalid(_)
        | AuthzError::NoModel(_)
        | AuthzError::ModelNotFound(_)
        | AuthzError::BadContinuationToken
        | AuthzError::TokenOfAnotherType
        | AuthzError::TooMany { .. } => true,
        AuthzError::StoreNotFound
        | AuthzError::NotReached { .. }
        | AuthzError::Contention
        | AuthzError::Store(_) => false,
    }
}
