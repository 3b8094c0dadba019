//! The token endpoint's grants: each turns something single-use or secret into tokens, and the
//! record of it commits in the same unit of work.

mod approved;
mod client_credentials;
mod code;
mod federated;
mod password;
mod refresh;

use behalf_core::{Actor, Event, EventKind, Secret, Timestamp, UserId};
use behalf_store::identity::grants::{self, FamilyRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

use crate::Identity;
use crate::audience::Api;
use crate::authorize::to_json;
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::scope::Scopes;
use crate::token::{AccessClaims, IdTokenSession, Issued};
use crate::user::User;

pub use approved::ApprovedGrant;
pub use client_credentials::ClientGrantSettings;
pub use code::CodeExchange;
pub use federated::{ExchangeSubject, SubjectToken};
pub use password::PasswordGrant;
pub use refresh::Refresh;

/// What every refresh token starts with.
const REFRESH_PREFIX: &str = "bhf_rt_";
/// How long a family lives at most: Auth0's default.
const FAMILY_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long a refresh token lives unused: Auth0's default.
const IDLE_LIFETIME: Duration = Duration::from_hours(15 * 24);

/// A token endpoint's success (RFC 6749 §5.1).
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: Secret<String>,
    /// How long it lives, in seconds.
    pub expires_in: u32,
    /// What was granted.
    pub scope: Scopes,
    /// With `openid`, for a person.
    pub id_token: Option<Secret<String>>,
    /// With `offline_access`, or a refresh.
    pub refresh_token: Option<Secret<String>>,
    /// What a person approved, for a backchannel request (RFC 9396 §7).
    pub authorization_details: Option<Value>,
}

/// What a refresh family remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FamilyDetails {
    sid: Option<String>,
    scope: Scopes,
    audience: String,
    auth_time: Timestamp,
}

/// A person's delegation to a client, from which tokens are made.
struct Delegation<'a> {
    client: &'a Client,
    user: &'a User,
    api: &'a Api,
    scopes: Scopes,
    session: IdTokenSession<'a>,
    grant: &'static str,
    grant_id: &'a str,
    /// Set when she approved on another device what the client does.
    approved: Option<ApprovedClaims<'a>>,
}

/// What a token says of an approval.
#[derive(Clone, Copy, Debug)]
struct ApprovedClaims<'a> {
    authorization_details: Option<&'a Value>,
}

impl Identity {
    /// The person behind a grant: known and not blocked (CVE-2023-22492).
    async fn load_active_user(&self, user_id: &UserId) -> Result<User, GrantError> {
        self.find_user(user_id)
            .await?
            .filter(|user| !user.blocked)
            .ok_or_else(|| GrantError::InvalidGrant("the account is closed or blocked".into()))
    }

    async fn load_api(&self, audience: &str) -> Result<Api, GrantError> {
        self.find_api(audience)
            .await?
            .ok_or_else(|| GrantError::InvalidTarget(format!("no API has audience `{audience}`")))
    }

    /// Signs the tokens of a delegation and records them in `unit`.
    async fn issue(
        &self,
        unit: &mut UnitOfWork,
        delegation: &Delegation<'_>,
    ) -> Result<TokenAnswer, GrantError> {
        let Delegation { client, user, api, scopes, session, approved, .. } = delegation;
        let issued = self
            .sign_access_token(&AccessClaims {
                api,
                subject: user.user_id.as_str(),
                client,
                scopes,
                is_machine: false,
                auth_time: session.auth_time,
                act: approved.map(|_| json!({"sub": client.client_id.as_str()})),
                authorization_details: approved.and_then(|claims| claims.authorization_details),
            })
            .await?;
        let id_token = if scopes.contains("openid") {
            Some(Secret::new(self.sign_id_token(client, user, scopes, *session).await?))
        } else {
            None
        };
        let actor = Actor::Client {
            client_id: client.client_id.to_string(),
            sub: Some(user.user_id.to_string()),
        };
        let event = self.token_issued(actor, delegation.grant, api, scopes, &issued);
        unit.record(&event.with("grant_id", delegation.grant_id));
        Ok(TokenAnswer {
            access_token: Secret::new(issued.token),
            expires_in: issued.expires_in,
            scope: scopes.clone(),
            id_token,
            refresh_token: None,
            authorization_details: approved
                .and_then(|claims| claims.authorization_details.cloned()),
        })
    }

    fn token_issued(
        &self,
        actor: Actor,
        grant: &str,
        api: &Api,
        scopes: &Scopes,
        issued: &Issued,
    ) -> Event {
        Event::new(self.tenant(), EventKind::TokenIssued, actor)
            .with("grant", grant)
            .with("jti", issued.jti.as_str())
            .with("audience", api.audience(self.issuer()))
            .with("scope", scopes.to_string())
            .with("expires_in", issued.expires_in)
    }

    /// Begins a refresh family and returns its first token.
    fn begin_family(
        &self,
        unit: &mut UnitOfWork,
        family_id: &str,
        client: &Client,
        user_id: &UserId,
        details: &FamilyDetails,
    ) -> Result<Secret<String>, StoreError> {
        let now = self.now();
        let expires_at = now.plus(FAMILY_LIFETIME);
        unit.add(grants::insert_family(
            self.tenant(),
            &FamilyRow {
                family_id: family_id.to_owned(),
                client_id: client.client_id.clone(),
                user_id: user_id.clone(),
                details: to_json(details)?,
                created_at: now,
                expires_at,
                revoked_at: None,
            },
        ));
        let (token, hash) = self.mint(REFRESH_PREFIX);
        unit.add(grants::insert_refresh_token(
            self.tenant(),
            &hash,
            family_id,
            now.plus(IDLE_LIFETIME).min(expires_at),
            now,
        ));
        Ok(token)
    }

    /// Revokes a family because something of it was used twice, and refuses.
    async fn revoke_reused(
        &self,
        client: &Client,
        family_id: &str,
        what: &str,
    ) -> Result<GrantError, StoreError> {
        let mut unit = self.unit();
        unit.add(grants::revoke_family(self.tenant(), family_id, self.now()));
        let actor = Actor::Client { client_id: client.client_id.to_string(), sub: None };
        unit.record(
            &Event::new(self.tenant(), EventKind::TokenReuseDetected, actor)
                .with("grant_id", family_id)
                .with("what", what),
        );
        self.storage().commit(unit).await?;
        Ok(GrantError::InvalidGrant(format!(
            "the {what} was used before; everything issued from it is revoked"
        )))
    }

    /// Records that a known client's request was refused, and gives the refusal back.
    pub async fn record_refusal(&self, client: &Client, grant: &str, refusal: &GrantError) {
        if matches!(refusal, GrantError::Store(_) | GrantError::Busy { .. }) {
            return;
        }
        let actor = Actor::Client { client_id: client.client_id.to_string(), sub: None };
        let mut unit = self.unit();
        unit.record(
            &Event::new(self.tenant(), EventKind::TokenRefused, actor)
                .with("grant", grant)
                .with("error", refusal.code()),
        );
        if let Err(error) = self.storage().commit(unit).await {
            tracing::error!(%error, "a refused token request could not be recorded");
        }
    }

    /// Revokes the family of a refresh token (RFC 7009). Unknown tokens, and those of another
    /// client, are no error and change nothing.
    ///
    /// # Errors
    /// When the store fails: then nothing is revoked and the caller must be told
    /// (CVE-2020-15223).
    ///
    /// An access token of ours is `UnsupportedTokenType`: it lives on until it expires, and to say
    /// otherwise would be a lie.
    pub async fn revoke(&self, client: &Client, token: &str) -> Result<(), GrantError> {
        if self.is_own_access_token(token) {
            return Err(GrantError::UnsupportedTokenType(
                "access tokens are not revoked one by one; they expire, and end with the account \
                 or the application"
                    .into(),
            ));
        }
        let Some((_, _, family)) = self.find_refresh_token(token).await? else { return Ok(()) };
        if family.client_id != client.client_id || family.revoked_at.is_some() {
            return Ok(());
        }
        let mut unit = self.unit();
        unit.add(grants::revoke_family(self.tenant(), &family.family_id, self.now()));
        let actor = Actor::Client {
            client_id: client.client_id.to_string(),
            sub: Some(family.user_id.to_string()),
        };
        unit.record(
            &Event::new(self.tenant(), EventKind::TokenRevoked, actor)
                .with("grant_id", family.family_id.as_str()),
        );
        self.storage().commit(unit).await?;
        Ok(())
    }
}

/// True if this delegation gets a refresh token.
fn wants_refresh(client: &Client, scopes: &Scopes) -> bool {
    scopes.contains("offline_access") && client.may_use(GrantType::RefreshToken)
}
