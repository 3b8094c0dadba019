//! What a person does with her own account, by token (DESIGN §7, My Account): approvals.

mod approvals;

use behalf_http::{HttpContext, Routes, Rule};
use behalf_identity::OwnApi;
use http::Method;

use crate::problem;

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    const READ: Rule = Rule::Bearer(OwnApi::MyAccount, "read:me:approvals");
    // Only a client that a person is in front of holds this scope; a session cookie decides on our
    // own pages alone.
    const UPDATE: Rule = Rule::Bearer(OwnApi::MyAccount, "update:me:approvals");
    Routes::new(context.clone(), problem::denied)
        .route(Method::GET, "/me/v1/approvals", READ, approvals::list)
        .route(Method::GET, "/me/v1/approvals/{id}", READ, approvals::get)
        .route(Method::POST, "/me/v1/approvals/{id}/approve", UPDATE, approvals::approve)
        .route(Method::POST, "/me/v1/approvals/{id}/deny", UPDATE, approvals::deny)
}
