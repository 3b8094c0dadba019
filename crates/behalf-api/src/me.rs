//! The My Account API (DESIGN §7): what a person does with her own account by token, connected
//! accounts on Auth0's wire and approvals on ours. Errors are RFC 9457 problems.

mod approvals;
mod connected_accounts;

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
    let routes = Routes::new(context.clone(), problem::denied)
        .route(Method::GET, "/me/v1/approvals", READ, approvals::list)
        .route(Method::GET, "/me/v1/approvals/{id}", READ, approvals::get)
        .route(Method::POST, "/me/v1/approvals/{id}/approve", UPDATE, approvals::approve)
        .route(Method::POST, "/me/v1/approvals/{id}/deny", UPDATE, approvals::deny);
    connected_accounts(routes)
}

fn connected_accounts(routes: Routes) -> Routes {
    const CREATE: Rule = Rule::Bearer(OwnApi::MyAccount, "create:me:connected_accounts");
    const READ: Rule = Rule::Bearer(OwnApi::MyAccount, "read:me:connected_accounts");
    const DELETE: Rule = Rule::Bearer(OwnApi::MyAccount, "delete:me:connected_accounts");
    const ACCOUNTS: &str = "/me/v1/connected-accounts/accounts";
    const ACCOUNT: &str = "/me/v1/connected-accounts/accounts/{id}";
    const CONNECTIONS: &str = "/me/v1/connected-accounts/connections";
    const CONNECT: &str = "/me/v1/connected-accounts/connect";
    const COMPLETE: &str = "/me/v1/connected-accounts/complete";
    routes
        .route(Method::POST, CONNECT, CREATE, connected_accounts::connect)
        .route(Method::POST, COMPLETE, CREATE, connected_accounts::complete)
        .route(Method::GET, ACCOUNTS, READ, connected_accounts::list)
        .route(Method::DELETE, ACCOUNT, DELETE, connected_accounts::delete)
        .route(Method::GET, CONNECTIONS, READ, connected_accounts::connections)
}
