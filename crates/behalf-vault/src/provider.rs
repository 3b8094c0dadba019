//! Talking to a provider: codes and refresh tokens for tokens, who she is there, revocation.
//!
//! Every provider errs in a way of its own: GitHub with an error in a 200, Slack with `ok: false`.
//! Here they all become one of three: the grant is dead, we were refused, or it is not available.

mod answer;

use std::time::Duration;

use behalf_core::Secret;
use behalf_egress::{Answer, Body, Call, EgressError, OperatorAddress};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use thiserror::Error;

use crate::Vault;
use crate::account::Revocation;
use crate::connection::{Connection, Strategy};

pub(crate) use answer::{ProviderUser, TokenSet};

/// How long a provider may take: a quarter of a refresh's lease.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take to say who she is, or to revoke.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer: tokens and profiles are small.
const BYTES_MAX: usize = 256 * 1024;

/// A provider gave no tokens.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ProviderError {
    /// The code or refresh token is wrong, used, expired or revoked.
    #[error("the grant is not valid any more")]
    InvalidGrant,
    /// It refuses us: wrong secret, wrong address, unknown scope.
    #[error("refused: {code}")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// It is not there, too busy, or answered what is no answer.
    #[error("not available")]
    Unavailable {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// False only when the request cannot have had an effect.
        may_have_arrived: bool,
    },
}

/// A provider as one connection sees it.
#[derive(Debug)]
pub(crate) struct Provider<'a> {
    vault: &'a Vault,
    connection: &'a Connection,
    secret: Option<&'a Secret<String>>,
}

impl Vault {
    pub(crate) const fn provider<'a>(
        &'a self,
        connection: &'a Connection,
        secret: Option<&'a Secret<String>>,
    ) -> Provider<'a> {
        Provider { vault: self, connection, secret }
    }
}

impl Provider<'_> {
    /// Where to send a person (RFC 6749 §4.1.1, RFC 7636 §4.3).
    pub(crate) fn authorization_address(
        &self,
        scopes: &[String],
        state: &str,
        challenge: &str,
    ) -> String {
        let connection = self.connection;
        let mut scopes = scopes.to_vec();
        let separator = if connection.strategy == Strategy::Slack { "," } else { " " };
        // Without it Microsoft gives no refresh token.
        if connection.strategy == Strategy::Microsoft
            && !scopes.iter().any(|scope| scope == "offline_access")
        {
            scopes.push("offline_access".to_owned());
        }
        let scope = scopes.join(separator);
        // Slack's `scope` is the bot's; a person's own is asked for beside it.
        let scope_name =
            if connection.strategy == Strategy::Slack { "user_scope" } else { "scope" };
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", connection.client_id.as_str()),
            ("redirect_uri", self.vault.redirect_uri()),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        if !scope.is_empty() {
            query.push((scope_name, scope.as_str()));
        }
        if connection.strategy == Strategy::Google {
            // Only so Google gives a refresh token, also to whoever was here before.
            query.extend([("access_type", "offline"), ("prompt", "consent")]);
        }
        connection.authorization_url.with_query(query)
    }

    /// Exchanges an authorization code.
    pub(crate) async fn exchange_code(
        &self,
        code: &str,
        verifier: &Secret<String>,
    ) -> Result<TokenSet, ProviderError> {
        let form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.vault.redirect_uri()),
            ("code_verifier", verifier.expose()),
        ];
        self.ask_for_tokens(form).await
    }

    /// Exchanges a refresh token.
    pub(crate) async fn refresh(&self, token: &Secret<String>) -> Result<TokenSet, ProviderError> {
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())];
        self.ask_for_tokens(form).await
    }

    async fn ask_for_tokens(&self, mut form: Vec<(&str, &str)>) -> Result<TokenSet, ProviderError> {
        form.push(("client_id", &self.connection.client_id));
        if let Some(secret) = self.secret {
            form.push(("client_secret", secret.expose()));
        }
        let call = Call::new(Method::POST, self.connection.token_url.clone())
            .body(Body::Form(form))
            .timeout(TIMEOUT)
            .bytes_max(BYTES_MAX);
        let answer = self.vault.0.egress.send(&call).await.map_err(|error| no_answer(&error))?;
        TokenSet::read(&answer, self.connection.strategy)
    }

    /// Who she is at the provider. A provider that does not say leaves the account nameless.
    pub(crate) async fn user(&self, set: &TokenSet) -> ProviderUser {
        let Some(address) = &self.connection.userinfo_url else { return set.user.clone() };
        let call = Call::new(Method::GET, address.clone())
            .bearer(&set.access_token)
            .timeout(SHORT_TIMEOUT)
            .bytes_max(BYTES_MAX);
        let user = match self.vault.0.egress.send(&call).await {
            Ok(answer) if answer.status == StatusCode::OK => ProviderUser::read(&answer),
            Ok(answer) => {
                tracing::warn!(status = %answer.status, connection = %self.connection.name, "the provider does not say who she is");
                ProviderUser::default()
            }
            Err(error) => {
                tracing::warn!(%error, connection = %self.connection.name, "the provider does not say who she is");
                ProviderUser::default()
            }
        };
        user.or(&set.user)
    }

    /// Asks the provider to revoke what it gave us for her.
    pub(crate) async fn revoke(
        &self,
        access: &Secret<String>,
        refresh: Option<&Secret<String>>,
    ) -> Revocation {
        let connection = self.connection;
        let api = |segments: &[&str]| connection.api_base_url.below(segments);
        match (connection.strategy, &connection.revocation_url, self.secret) {
            (_, Some(address), _) => self.revoke_by_rfc_7009(address, access, refresh).await,
            (Strategy::GitHub, None, Some(secret)) => {
                let address = api(&["applications", &connection.client_id, "grant"]);
                let body = json!({"access_token": access.expose()});
                let call = Call::new(Method::DELETE, address)
                    .basic(&connection.client_id, secret)
                    .body(Body::Json(&body));
                // 404 and 422: GitHub does not know the token any more, which is what we want.
                self.outcome(call, |answer| matches!(answer.status.as_u16(), 204 | 404 | 422)).await
            }
            (Strategy::Slack, None, _) => {
                let call = Call::new(Method::POST, api(&["auth.revoke"])).bearer(access);
                self.outcome(call, |answer| {
                    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
                    body.is_some_and(|body| body.get("ok") == Some(&Value::Bool(true)))
                })
                .await
            }
            _ => Revocation::Unsupported,
        }
    }

    async fn revoke_by_rfc_7009(
        &self,
        address: &OperatorAddress,
        access: &Secret<String>,
        refresh: Option<&Secret<String>>,
    ) -> Revocation {
        // The refresh token stands for the whole grant.
        let token = refresh.unwrap_or(access);
        let mut form = vec![("token", token.expose().as_str())];
        if self.connection.strategy != Strategy::Google {
            form.push(("client_id", &self.connection.client_id));
            if let Some(secret) = self.secret {
                form.push(("client_secret", secret.expose()));
            }
        }
        let call = Call::new(Method::POST, address.clone()).body(Body::Form(form));
        self.outcome(call, |answer| answer.status == StatusCode::OK).await
    }

    async fn outcome(&self, call: Call<'_>, is_revoked: impl Fn(&Answer) -> bool) -> Revocation {
        match self.vault.0.egress.send(&call.timeout(SHORT_TIMEOUT).bytes_max(BYTES_MAX)).await {
            Ok(answer) if is_revoked(&answer) => Revocation::Revoked,
            Ok(answer) => {
                tracing::warn!(status = %answer.status, connection = %self.connection.name, "the provider did not revoke");
                Revocation::Failed
            }
            Err(error) => {
                tracing::warn!(%error, connection = %self.connection.name, "the provider did not revoke");
                Revocation::Failed
            }
        }
    }
}

fn no_answer(error: &EgressError) -> ProviderError {
    tracing::warn!(%error, "a provider did not answer");
    ProviderError::Unavailable { retry_after: None, may_have_arrived: !error.is_unsent() }
}
