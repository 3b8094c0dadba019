//! Revocation (RFC 7009): form or JSON; 200 with nothing whatever the token was.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::HttpContext;
use behalf_identity::{GrantError, Identity};
use http::StatusCode;

use super::error::OAuthError;
use super::request::ClientRequest;

pub(super) async fn post(
    State(context): State<HttpContext>,
    mut request: ClientRequest,
) -> Response {
    let used_basic = request.used_basic();
    match revoke(&context.identity, &mut request).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => OAuthError::of(&refusal, used_basic).into_response(),
    }
}

async fn revoke(identity: &Identity, request: &mut ClientRequest) -> Result<(), GrantError> {
    let credentials = request.take_credentials()?;
    let client = identity.authenticate_client(&credentials).await?;
    let token = request
        .params
        .take("token")
        .ok_or_else(|| GrantError::InvalidRequest("`token` is missing".into()))?;
    identity.revoke(&client, &token).await
}
