//! The grant that exchanges a token of ours for a provider's (Auth0's federated connection).

use behalf_core::Secret;
use behalf_gate::flows::{self, ExchangeError, FederatedExchange, PROVIDER_TOKEN_TYPE};
use behalf_http::HttpContext;
use behalf_identity::{Client, GrantError, SubjectToken};
use behalf_vault::VaultError;
use http::StatusCode;
use serde_json::{Value, json};

use super::error::OAuthError;
use super::request::ClientRequest;
use super::token::required;

pub(super) const GRANT: &str =
    "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";

pub(super) async fn grant(
    context: &HttpContext,
    client: &Client,
    request: &mut ClientRequest,
    used_basic: bool,
) -> Result<Value, OAuthError> {
    let of = |refusal: GrantError| OAuthError::of(&refusal, used_basic);
    for name in ["audience", "resource"] {
        if request.params.take(name).is_some() {
            let text = format!("`{name}` has no place here; name a `connection`");
            return Err(of(GrantError::InvalidTarget(text)));
        }
    }
    let exchange = FederatedExchange {
        subject: SubjectToken {
            token: Secret::new(required(request, "subject_token").map_err(of)?),
            token_type: required(request, "subject_token_type").map_err(of)?,
        },
        requested_token_type: request.params.take("requested_token_type"),
        connection: required(request, "connection").map_err(of)?,
        login_hint: request.params.take("login_hint"),
    };
    match flows::exchange(&context.identity, &context.vault, client, &exchange).await {
        Ok(answer) => Ok(json!({
            "access_token": answer.access_token.expose(),
            "expires_in": answer.expires_in,
            "scope": answer.scopes.join(" "),
            "issued_token_type": PROVIDER_TOKEN_TYPE,
            "token_type": "Bearer",
        })),
        Err(ExchangeError::Grant(refusal)) => Err(of(refusal)),
        Err(ExchangeError::Vault { connection, title, error }) => {
            let connect_url = context.identity.issuer().join("account/connect");
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("connection", connection.as_str());
            let connect_url = format!("{connect_url}?{}", query.finish());
            Err(without_token(&title, &error)
                .with("vault_error", error.code())
                .with("connection", connection.as_str())
                .with("connect_url", connect_url))
        }
    }
}

/// There is no token to give. Python's client shows the description to people.
fn without_token(title: &str, error: &VaultError) -> OAuthError {
    const NOT_FOUND: &str = "federated_connection_refresh_token_not_found";
    let not_found = |text: String| OAuthError::new(StatusCode::UNAUTHORIZED, NOT_FOUND, text);
    match error {
        VaultError::ConnectionNotFound | VaultError::NotConnected => {
            not_found(format!("No {title} account is connected. Connect one, then try again."))
        }
        VaultError::ReauthorizationRequired => not_found(format!(
            "{title} no longer accepts the connection. Connect the {title} account again."
        )),
        VaultError::InsufficientScope { missing } => not_found(format!(
            "The {title} account may not do this yet. Connect it again to allow more."
        ))
        .with("missing", missing.clone()),
        // Clients lose what a 5xx says.
        VaultError::ProviderUnavailable { retry_after_secs } => OAuthError::new(
            StatusCode::BAD_REQUEST,
            "temporarily_unavailable",
            format!("{title} does not answer right now. Try again in {retry_after_secs} s."),
        )
        .retry_after(*retry_after_secs)
        .with("retry_after", *retry_after_secs),
        VaultError::Sealed | VaultError::Store(_) | VaultError::Internal(_) => {
            tracing::error!(%error, "a provider's token could not be handed out");
            OAuthError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "the server cannot answer now; nothing was issued",
            )
        }
    }
}
