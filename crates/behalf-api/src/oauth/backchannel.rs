//! Backchannel authentication requests (OpenID Connect CIBA Core §7.1): form or JSON.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_gate::{BackchannelAnswer, BackchannelRequest};
use behalf_http::HttpContext;
use behalf_identity::GrantError;
use http::StatusCode;
use serde_json::json;

use super::error::{OAuthError, answer};
use super::request::ClientRequest;

/// What refusals are recorded under.
const GRANT: &str = "urn:openid:params:grant-type:ciba";

pub(super) async fn post(
    State(context): State<HttpContext>,
    mut request: ClientRequest,
) -> Response {
    let used_basic = request.used_basic();
    match ask(&context, &mut request).await {
        Ok(asked) => {
            let body = json!({
                "auth_req_id": asked.auth_req_id.expose(),
                "expires_in": asked.expires_in,
                "interval": asked.interval,
            });
            answer(StatusCode::OK, &body)
        }
        Err(refusal) => OAuthError::of(&refusal, used_basic).into_response(),
    }
}

async fn ask(
    context: &HttpContext,
    request: &mut ClientRequest,
) -> Result<BackchannelAnswer, GrantError> {
    let credentials = request.take_credentials()?;
    let client = context.identity.authenticate_client(&credentials).await?;
    let mut take = |name: &str| request.params.take(name);
    let requested = BackchannelRequest {
        scope: take("scope"),
        audience: take("audience"),
        login_hint: take("login_hint"),
        login_hint_token: take("login_hint_token"),
        id_token_hint: take("id_token_hint"),
        binding_message: take("binding_message"),
        // Older callers know the parameter by its draft's name.
        requested_expiry: take("requested_expiry").or_else(|| take("request_expiry")),
        authorization_details: take("authorization_details"),
    };
    let result = match take("request") {
        Some(_) => Err(GrantError::InvalidRequest("signed requests are not supported".into())),
        None => context.gate.request_backchannel(&client, requested).await,
    };
    if let Err(refusal) = &result {
        context.identity.record_refusal(&client, GRANT, refusal).await;
    }
    result
}
