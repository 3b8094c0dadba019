//! The token endpoint (RFC 6749 §3.2).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_core::Secret;
use behalf_gate::flows;
use behalf_http::HttpContext;
use behalf_identity::{Client, CodeExchange, GrantError, PasswordGrant, Refresh, TokenAnswer};
use http::StatusCode;
use serde_json::{Map, Value};

use super::error::{OAuthError, answer};
use super::exchange;
use super::request::ClientRequest;

pub(super) async fn post(
    State(context): State<HttpContext>,
    mut request: ClientRequest,
) -> Response {
    match grant(&context, &mut request).await {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(refusal) => refusal.into_response(),
    }
}

async fn grant(context: &HttpContext, request: &mut ClientRequest) -> Result<Value, OAuthError> {
    let used_basic = request.used_basic();
    let of = |refusal: GrantError| OAuthError::of(&refusal, used_basic);
    let identity = &context.identity;
    let credentials = request.take_credentials().map_err(of)?;
    let client = identity.authenticate_client(&credentials).await.map_err(of)?;
    let grant_type = required(request, "grant_type").map_err(of)?;
    if grant_type == exchange::GRANT {
        return exchange::grant(context, &client, request, used_basic).await;
    }
    let result = dispatch(context, &client, &grant_type, request).await;
    if let Err(refusal) = &result
        && !is_waiting(refusal)
    {
        identity.record_refusal(&client, &grant_type, refusal).await;
    }
    result.map(|tokens| body(&tokens)).map_err(of)
}

/// True if the client has only to ask again: nothing was refused.
const fn is_waiting(refusal: &GrantError) -> bool {
    matches!(refusal, GrantError::AuthorizationPending(_) | GrantError::SlowDown { .. })
}

async fn dispatch(
    context: &HttpContext,
    client: &Client,
    grant_type: &str,
    request: &mut ClientRequest,
) -> Result<TokenAnswer, GrantError> {
    let identity = &context.identity;
    match grant_type {
        "authorization_code" => {
            let exchange = CodeExchange {
                code: required(request, "code")?,
                redirect_uri: request.params.take("redirect_uri"),
                code_verifier: request.params.take("code_verifier"),
            };
            identity.exchange_code(client, exchange).await
        }
        "refresh_token" => {
            let refresh = Refresh {
                refresh_token: Secret::new(required(request, "refresh_token")?),
                scope: request.params.take("scope"),
                audience: request.params.take("audience"),
            };
            identity.refresh(client, refresh).await
        }
        "client_credentials" => {
            let audience = request.params.take("audience");
            let scope = request.params.take("scope");
            identity.client_credentials(client, audience.as_deref(), scope.as_deref()).await
        }
        "password" => {
            let grant = PasswordGrant {
                username: required(request, "username")?,
                password: Secret::new(required(request, "password")?),
                scope: request.params.take("scope"),
                audience: request.params.take("audience"),
                address: request.peer.address.clone(),
            };
            identity.password_grant(client, grant).await
        }
        "urn:openid:params:grant-type:ciba" => {
            let auth_req_id = required(request, "auth_req_id")?;
            flows::redeem(&context.gate, client, &auth_req_id, request.preferred_wait()).await
        }
        other => Err(GrantError::UnsupportedGrantType(format!(
            "grant type `{}` is not supported",
            other.chars().take(100).collect::<String>()
        ))),
    }
}

pub(super) fn required(request: &mut ClientRequest, name: &str) -> Result<String, GrantError> {
    let missing = || GrantError::InvalidRequest(format!("`{name}` is missing"));
    request.params.take(name).ok_or_else(missing)
}

/// The one place where issued tokens leave (RFC 6749 §5.1).
fn body(tokens: &TokenAnswer) -> Value {
    let mut body = Map::new();
    body.insert("access_token".into(), tokens.access_token.expose().as_str().into());
    body.insert("token_type".into(), "Bearer".into());
    body.insert("expires_in".into(), tokens.expires_in.into());
    body.insert("scope".into(), tokens.scope.to_string().into());
    if let Some(token) = &tokens.id_token {
        body.insert("id_token".into(), token.expose().as_str().into());
    }
    if let Some(token) = &tokens.refresh_token {
        body.insert("refresh_token".into(), token.expose().as_str().into());
    }
    if let Some(details) = &tokens.authorization_details {
        body.insert("authorization_details".into(), details.clone());
    }
    Value::Object(body)
}
