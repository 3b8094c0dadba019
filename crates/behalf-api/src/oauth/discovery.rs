//! What the issuer can do (OpenID Connect Discovery §3, RFC 8414) and its keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::HttpContext;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::exchange;

/// The metadata document. It lists what is there, never what is planned.
pub(super) async fn configuration(State(context): State<HttpContext>) -> Response {
    let issuer = context.identity.issuer();
    cacheable(&json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.join("authorize"),
        "token_endpoint": issuer.join("oauth/token"),
        "userinfo_endpoint": issuer.join("userinfo"),
        "jwks_uri": issuer.join(".well-known/jwks.json"),
        "revocation_endpoint": issuer.join("oauth/revoke"),
        "end_session_endpoint": issuer.join("oidc/logout"),
        "backchannel_authentication_endpoint": issuer.join("bc-authorize"),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": false,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code", "refresh_token", "client_credentials", "password",
            "urn:openid:params:grant-type:ciba", exchange::GRANT
        ],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "name", "nickname",
            "given_name", "family_name", "preferred_username", "picture", "updated_at", "email",
            "email_verified"
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "none"
        ],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

/// The keys that verify the issuer's tokens.
pub(super) async fn jwks(State(context): State<HttpContext>) -> Response {
    cacheable(&context.identity.jwks())
}

fn cacheable(body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (StatusCode::OK, headers, body.to_string()).into_response()
}
