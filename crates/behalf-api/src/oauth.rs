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

use behalf_http::{HttpContext, Routes, Rule, cors};
use http::Method;

/// What everybody may read, whatever page asks.
const METADATA: [&str; 3] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];

/// What single-page applications call from their own pages.
const CROSS_ORIGIN: [&str; 3] = ["/oauth/token", "/oauth/revoke", "/userinfo"];

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    const OPENID: &str = "openid";
    let [configuration, metadata, jwks] = METADATA;
    let [token, revoke, userinfo] = CROSS_ORIGIN;
    let has_openid = Rule::Bearer(behalf_identity::OwnApi::UserInfo, OPENID);
    let (get, post) = (Method::GET, Method::POST);
    let routes = Routes::new(context.clone(), error::denied)
        .route(get.clone(), "/authorize", Rule::Public, authorize::get)
        .route(post.clone(), "/authorize", Rule::Public, authorize::post)
        .route(post.clone(), "/bc-authorize", Rule::Public, backchannel::post)
        .route(get.clone(), configuration, Rule::Public, discovery::configuration)
        .route(get.clone(), metadata, Rule::Public, discovery::configuration)
        .route(get.clone(), jwks, Rule::Public, discovery::jwks);
    let routes = METADATA
        .into_iter()
        .fold(routes, |routes, path| {
            routes.route(Method::OPTIONS, path, Rule::Public, cors::preflight_public)
        })
        .cross_origin()
        .route(post.clone(), token, Rule::Public, token::post)
        .route(post.clone(), revoke, Rule::Public, revoke::post)
        .route(get, userinfo, has_openid, userinfo::get)
        .route(post, userinfo, has_openid, userinfo::get);
    CROSS_ORIGIN.into_iter().fold(routes, |routes, path| {
        routes.route(Method::OPTIONS, path, Rule::Public, cors::preflight)
    })
}
