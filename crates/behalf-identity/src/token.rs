//! Access tokens (RFC 9068) and ID tokens (OpenID Connect Core §2): signed here, checked here.

use behalf_core::{ClientId, Timestamp, UserId};
use behalf_crypto::jose::{self, Algorithm, ClaimError, TypRule, Validation};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use thiserror::Error;

use crate::Identity;
use crate::audience::{Api, OwnApi};
use crate::client::Client;
use crate::error::GrantError;
use crate::scope::Scopes;
use crate::user::User;

/// How long an ID token lives, in seconds: ten hours, as Auth0's.
const ID_TOKEN_LIFETIME: i64 = 36_000;
/// Clocks of two machines may differ by this much.
const LEEWAY_SECS: u32 = 5;

/// An access token that was presented to one of our own APIs and is good.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// `sub`: a person's, or `{client_id}@clients`.
    pub subject: String,
    /// The client it was issued to.
    pub client_id: ClientId,
    /// What it may do.
    pub scopes: Scopes,
    /// Its id.
    pub jti: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// `act`: who acts for the subject, nested (RFC 8693 §4.1).
    pub act: Option<Value>,
    /// True if a client acts for itself.
    pub is_machine: bool,
}

impl AccessToken {
    /// The person it is about; `None` for a client's own token.
    pub fn user_id(&self) -> Option<UserId> {
        if self.is_machine { None } else { self.subject.parse().ok() }
    }
}

/// An access token is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Malformed, forged, of another kind, or signed by no key of ours.
    #[error("the access token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the access token is expired")]
    Expired,
    /// It is for another API.
    #[error("the access token is for another audience")]
    Audience,
}

/// What an access token says.
pub(crate) struct AccessClaims<'a> {
    pub(crate) api: &'a Api,
    pub(crate) subject: &'a str,
    pub(crate) client: &'a Client,
    pub(crate) scopes: &'a Scopes,
    pub(crate) is_machine: bool,
    pub(crate) auth_time: Option<Timestamp>,
    /// `act`: the client acts for her by her approval (RFC 8693 §4.1).
    pub(crate) act: Option<Value>,
    /// What she approved (RFC 9396 §9.1).
    pub(crate) authorization_details: Option<&'a Value>,
}

/// A signed token and what the record of its issue says.
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) jti: String,
    pub(crate) expires_in: u32,
}

impl Identity {
    /// The keys that verify this tenant's tokens, as a JWK Set (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        self.keys().verifying.public_jwks()
    }

    pub(crate) async fn sign_access_token(
        &self,
        claims: &AccessClaims<'_>,
    ) -> Result<Issued, GrantError> {
        let now = self.now().as_secs();
        let expires_in = claims.api.token_lifetime();
        let jti = self.new_id();
        let audience = claims.api.audience(self.issuer());
        let is_registered = matches!(claims.api, Api::Registered { .. });
        // As Auth0 does it: a registered API's token with `openid` also opens userinfo.
        let aud = if is_registered && claims.scopes.contains("openid") {
            json!([audience, OwnApi::UserInfo.audience(self.issuer())])
        } else {
            Value::from(audience)
        };
        let mut body = json!({
            "iss": self.issuer().as_str(),
            "sub": claims.subject,
            "aud": aud,
            "iat": now,
            "exp": now.saturating_add(i64::from(expires_in)),
            "jti": jti,
            "client_id": claims.client.client_id.as_str(),
            "azp": claims.client.client_id.as_str(),
            "scope": claims.scopes.to_string(),
        });
        if claims.is_machine {
            set(&mut body, "gty", "client-credentials");
        }
        if let Some(auth_time) = claims.auth_time {
            set(&mut body, "auth_time", auth_time.as_secs());
        }
        if let Some(act) = &claims.act {
            set(&mut body, "act", act.clone());
        }
        if let Some(details) = claims.authorization_details {
            set(&mut body, "authorization_details", details.clone());
        }
        let token = self.sign(claims.api.algorithm(), "at+jwt", body).await?;
        Ok(Issued { token, jti, expires_in })
    }

    pub(crate) async fn sign_id_token(
        &self,
        client: &Client,
        user: &User,
        scopes: &Scopes,
        session: IdTokenSession<'_>,
    ) -> Result<String, GrantError> {
        let now = self.now().as_secs();
        let mut body = Value::Object(user.claims(scopes));
        set(&mut body, "iss", self.issuer().as_str());
        set(&mut body, "aud", client.client_id.as_str());
        set(&mut body, "iat", now);
        set(&mut body, "exp", now.saturating_add(ID_TOKEN_LIFETIME));
        if let Some(sid) = session.sid {
            set(&mut body, "sid", sid);
        }
        if let Some(nonce) = session.nonce {
            set(&mut body, "nonce", nonce);
        }
        if let Some(auth_time) = session.auth_time {
            set(&mut body, "auth_time", auth_time.as_secs());
        }
        self.sign(Algorithm::RS256, "JWT", body).await
    }

    async fn sign(
        &self,
        algorithm: Algorithm,
        typ: &'static str,
        claims: Value,
    ) -> Result<String, GrantError> {
        let internal = |error: &dyn std::fmt::Display| GrantError::Internal(error.to_string());
        let key = self.keys().signing_key(algorithm).ok_or_else(|| internal(&"no signing key"))?;
        if algorithm == Algorithm::ES256 {
            return key.sign(typ, &claims).map_err(|error| internal(&error));
        }
        // RSA takes a millisecond, which is long for an async worker.
        let key = Arc::clone(key);
        tokio::task::spawn_blocking(move || key.sign(typ, &claims))
            .await
            .map_err(|error| internal(&error))?
            .map_err(|error| internal(&error))
    }

    /// Checks an access token presented to the API with `audience`.
    ///
    /// # Errors
    /// See [`TokenError`]; ID tokens, logout tokens and everything else that we sign are `Invalid`.
    pub fn verify_access_token(
        &self,
        token: &str,
        audience: &str,
    ) -> Result<AccessToken, TokenError> {
        let typ = TypRule::Exactly("at+jwt");
        let verified = jose::verify(token, &self.keys().verifying, typ)
            .map_err(|_refused| TokenError::Invalid)?;
        let validation = Validation {
            issuer: Some(self.issuer().as_str()),
            audience: Some(audience),
            now: self.now(),
            leeway_secs: LEEWAY_SECS,
        };
        validation.check(&verified.claims).map_err(|error| match error {
            ClaimError::Expired => TokenError::Expired,
            ClaimError::Audience => TokenError::Audience,
            _ => TokenError::Invalid,
        })?;
        access_token(&verified.claims).ok_or(TokenError::Invalid)
    }

    /// True for an access token that we signed, expired or not, whatever API it is for.
    pub(crate) fn is_own_access_token(&self, token: &str) -> bool {
        jose::verify(token, &self.keys().verifying, TypRule::Exactly("at+jwt")).is_ok()
    }

    /// The client and session that an ID token of ours names, however old it is: a hint for
    /// signing out (OpenID Connect RP-Initiated Logout §2).
    pub(crate) fn read_id_token_hint(&self, token: &str) -> Option<(String, Option<String>)> {
        let verified = jose::verify(token, &self.keys().verifying, TypRule::IdToken).ok()?;
        let text = |name: &str| verified.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.issuer().as_str()) {
            return None;
        }
        Some((text("aud")?.to_owned(), text("sid").map(str::to_owned)))
    }
}

/// What an ID token says of the sign-in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdTokenSession<'a> {
    pub(crate) sid: Option<&'a str>,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) auth_time: Option<Timestamp>,
}

fn set(body: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = body {
        members.insert(name.to_owned(), value.into());
    }
}

fn access_token(claims: &Map<String, Value>) -> Option<AccessToken> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    Some(AccessToken {
        subject: text("sub")?.to_owned(),
        client_id: text("client_id")?.parse().ok()?,
        scopes: Scopes::parse(text("scope").unwrap_or_default())?,
        jti: text("jti")?.to_owned(),
        expires_at: Timestamp::from_secs(claims.get("exp")?.as_i64()?),
        act: claims.get("act").cloned(),
        is_machine: text("gty") == Some("client-credentials"),
    })
}
