//! The subject of an exchange for a provider's token (Auth0's federated connection): a refresh
//! token of the client's own, or an access token for the API that the client is.
//!
//! The subject is only looked at. It is neither used up nor rotated, because the answer has no
//! place for a successor, and a rotated one is refused without a word to reuse detection.

use behalf_core::Secret;
use behalf_store::UnitOfWork;
use behalf_store::identity::grants;

use super::refresh::REPLAY_WINDOW;
use crate::Identity;
use crate::client::{AppType, Client, GrantType};
use crate::error::GrantError;
use crate::user::User;

/// The longest subject token, in characters. A longer one is refused; it never becomes another
/// request (CVE-2026-9704).
const SUBJECT_LEN_MAX: usize = 4_000;
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Whom an exchange is for, as a client says it.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    /// `subject_token`.
    pub token: Secret<String>,
    /// `subject_token_type`.
    pub token_type: String,
}

/// Whom an exchange is for, verified.
#[derive(Clone, Debug)]
pub struct ExchangeSubject {
    /// The person.
    pub user: User,
    /// The refresh family that vouches for her; `None` for an access token.
    family_id: Option<String>,
}

impl Identity {
    /// The person that the subject token stands for, if this client may exchange it.
    ///
    /// # Errors
    /// `UnauthorizedClient` for a client without the grant or a secret, `InvalidRequest` for a
    /// malformed subject, `InvalidGrant` for one that is not valid or not this client's.
    pub async fn verify_exchange_subject(
        &self,
        client: &Client,
        subject: &SubjectToken,
    ) -> Result<ExchangeSubject, GrantError> {
        client.require_grant(GrantType::FederatedConnection)?;
        if !client.is_confidential() || !client.settings.is_first_party {
            return Err(GrantError::UnauthorizedClient(
                "only a first-party client that keeps a secret may have a provider's token".into(),
            ));
        }
        if subject.token.expose().len() > SUBJECT_LEN_MAX {
            let text = format!("`subject_token` has more than {SUBJECT_LEN_MAX} characters");
            return Err(GrantError::InvalidRequest(text));
        }
        match subject.token_type.as_str() {
            REFRESH_TOKEN => self.subject_of_refresh_token(client, subject.token.expose()).await,
            ACCESS_TOKEN => self.subject_of_access_token(client, subject.token.expose()).await,
            _ => Err(GrantError::InvalidRequest(format!(
                "`subject_token_type` is `{REFRESH_TOKEN}` or `{ACCESS_TOKEN}`"
            ))),
        }
    }

    /// Makes `unit` fail with `Conflict("family is revoked")` when what vouched for the person is
    /// revoked before it is stored.
    pub fn require_exchange_subject(&self, unit: &mut UnitOfWork, subject: &ExchangeSubject) {
        if let Some(family_id) = &subject.family_id {
            unit.add(grants::require_live_family(self.tenant(), family_id, self.now()));
        }
    }

    async fn subject_of_refresh_token(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<ExchangeSubject, GrantError> {
        let invalid = || GrantError::InvalidGrant("Unknown or invalid refresh token.".into());
        let (_, row, family) = self.find_refresh_token(token).await?.ok_or_else(invalid)?;
        let now = self.now();
        let is_live = family.revoked_at.is_none() && family.expires_at > now;
        let is_current = match row.used_at {
            None => row.expires_at > now,
            // Two processes of one client race: the other has just rotated it.
            Some(used_at) => now <= used_at.plus(REPLAY_WINDOW),
        };
        if family.client_id != client.client_id || !is_live || !is_current {
            return Err(invalid());
        }
        let user = self.load_active_user(&family.user_id).await?;
        Ok(ExchangeSubject { user, family_id: Some(family.family_id) })
    }

    /// An API exchanges the tokens that it receives: bound by audience, not by client.
    async fn subject_of_access_token(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<ExchangeSubject, GrantError> {
        let is_api = client.settings.app_type == AppType::ResourceServer;
        let audience = client.settings.resource_server_identifier.as_deref();
        let audience = audience.filter(|_| is_api).ok_or_else(|| {
            GrantError::UnauthorizedClient(
                "only the client of an API may exchange the access tokens of that API".into(),
            )
        })?;
        let token = self
            .verify_access_token(token, audience)
            .map_err(|error| GrantError::InvalidGrant(error.to_string()))?;
        let about_nobody =
            || GrantError::InvalidGrant("the access token is about no person".into());
        let user_id = token.user_id().ok_or_else(about_nobody)?;
        if self.find_client(token.client_id.as_str()).await?.is_none() {
            return Err(GrantError::InvalidGrant("the access token's client is gone".into()));
        }
        let user = self.load_active_user(&user_id).await?;
        Ok(ExchangeSubject { user, family_id: None })
    }
}
