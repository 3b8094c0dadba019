//! OpenID Connect and OAuth 2, as Auth0's client libraries speak them.

mod authorize;
mod backchannel;
mod discovery;
mod error;
mod exchange;
mod request;
mod revoke;
mod token;
mod userinfo;

use behalf_http::{HttpContext, Routes, Rule};
use http::Method;

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    const OPENID: &str = "openid";
    let userinfo = Rule::Bearer(behalf_identity::OwnApi::UserInfo, OPENID);
    Routes::new(context.clone(), error::denied)
        .route(
            Method::GET,
            "/.well-known/openid-configuration",
            Rule::Public,
            discovery::configuration,
        )
        .route(
            Method::GET,
            "/.well-known/oauth-authorization-server",
            Rule::Public,
            discovery::configuration,
        )
        .route(Method::GET, "/.well-known/jwks.json", Rule::Public, discovery::jwks)
        .route(Method::GET, "/authorize", Rule::Public, authorize::get)
        .route(Method::POST, "/authorize", Rule::Public, authorize::post)
        .route(Method::POST, "/bc-authorize", Rule::Public, backchannel::post)
        .route(Method::POST, "/oauth/token", Rule::Public, token::post)
        .route(Method::POST, "/oauth/revoke", Rule::Public, revoke::post)
        .route(Method::GET, "/userinfo", userinfo, userinfo::get)
        .route(Method::POST, "/userinfo", userinfo, userinfo::get)
}
