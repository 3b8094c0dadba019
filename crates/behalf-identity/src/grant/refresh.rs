//! `refresh_token` with rotation (RFC 6749 §6, RFC 9700 §4.14), for every audience.
//!
//! A token is exchanged for one successor. Within a short window the same token gives the same
//! successor again, so that a lost answer or two racing processes do not end a session; after it,
//! reuse is taken for theft and revokes the family.

use std::time::Duration;

use behalf_core::Secret;
use behalf_crypto::opaque;
use behalf_store::StoreError;
use behalf_store::identity::access;
use behalf_store::identity::grants::{self, FamilyRow, RefreshTokenRow};

use super::{Delegation, FamilyDetails, IDLE_LIFETIME, REFRESH_PREFIX, TokenAnswer};
use crate::Identity;
use crate::audience::{Api, Issuance};
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::scope::Scopes;
use crate::token::IdTokenSession;
use crate::user::User;

/// How long a used token gives its successor again.
pub(super) const REPLAY_WINDOW: Duration = Duration::from_secs(30);
/// What the seal of a successor is bound to.
const SUCCESSOR: &str = "behalf.refresh_successor.v1";

/// The parameters of the grant.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The refresh token.
    pub refresh_token: Secret<String>,
    /// What is asked for; absent: as before.
    pub scope: Option<String>,
    /// For which API; absent: as before.
    pub audience: Option<String>,
}

impl Identity {
    /// Exchanges a refresh token for new tokens and its successor.
    ///
    /// # Errors
    /// `InvalidGrant` for a wrong, used, expired or revoked token, or another client's.
    pub async fn refresh(
        &self,
        client: &Client,
        refresh: Refresh,
    ) -> Result<TokenAnswer, GrantError> {
        client.require_grant(GrantType::RefreshToken)?;
        let invalid = || GrantError::InvalidGrant("Unknown or invalid refresh token.".into());
        let token = refresh.refresh_token.expose();
        let (hash, row, family) = self.find_refresh_token(token).await?.ok_or_else(invalid)?;
        let now = self.now();
        let is_live = family.revoked_at.is_none() && family.expires_at > now;
        if family.client_id != client.client_id || !is_live {
            return Err(invalid());
        }
        if row.used_at.is_none() && row.expires_at <= now {
            return Err(invalid());
        }
        let details: FamilyDetails = serde_json::from_str(&family.details)
            .map_err(|_| StoreError::Corrupt { what: "refresh_families.details".into() })?;
        let user = self.load_active_user(&family.user_id).await?;
        let audience = refresh.audience.as_deref().unwrap_or(&details.audience);
        let api = self.load_api(audience).await?;
        let asked = match &refresh.scope {
            Some(text) => Some(Scopes::parse(text).ok_or_else(|| {
                GrantError::InvalidScope(
                    "`scope` has too many tokens, or a character that is not allowed".into(),
                )
            })?),
            None => None,
        };
        let scopes = narrowed(asked, &details, &api, audience, client)?;
        let scopes = match audience == details.audience || client.settings.is_first_party {
            true => scopes,
            false => self.agreed(scopes, client, &user, audience).await?,
        };
        let scopes = api.permitted(&scopes, client, &user, Issuance::Refresh);

        let mut unit = self.unit();
        let delegation = Delegation {
            client,
            user: &user,
            api: &api,
            scopes,
            session: IdTokenSession {
                sid: details.sid.as_deref(),
                nonce: None,
                auth_time: Some(details.auth_time),
            },
            grant: "refresh_token",
            grant_id: &family.family_id,
            approved: None,
        };
        let mut answer = self.issue(&mut unit, &delegation).await?;
        unit.add(grants::require_live_family(self.tenant(), &family.family_id, now));

        if row.used_at.is_some() {
            let successor = self.replayed(client, &hash, &row).await?;
            self.storage().commit(unit).await.map_err(revoked)?;
            answer.refresh_token = Some(successor);
            return Ok(answer);
        }
        let (successor, successor_hash) = self.mint(REFRESH_PREFIX);
        let hash_text = behalf_verify::hex(&hash);
        let context = [SUCCESSOR, self.tenant().as_str(), &hash_text];
        let sealed = self
            .keys()
            .keyring
            .seal(&context, successor.expose().as_bytes(), self.rng())
            .map_err(|error| GrantError::Internal(error.to_string()))?;
        // The precondition that decides the race stands last but one, before the only insert.
        unit.add(grants::use_refresh_token(self.tenant(), &hash, sealed, now));
        unit.add(grants::insert_refresh_token(
            self.tenant(),
            &successor_hash,
            &family.family_id,
            now.plus(IDLE_LIFETIME).min(family.expires_at),
            now,
        ));
        match self.storage().commit(unit).await {
            Ok(_) => answer.refresh_token = Some(successor),
            Err(error) if error.is_conflict("refresh token was used") => {
                // Another request was faster: give what it was given, with a record of our own.
                let (_, row, _) = self.find_refresh_token(token).await?.ok_or_else(invalid)?;
                answer.refresh_token = Some(self.replayed(client, &hash, &row).await?);
                let mut unit = self.unit();
                unit.add(grants::require_live_family(self.tenant(), &family.family_id, now));
                answer = TokenAnswer {
                    refresh_token: answer.refresh_token,
                    ..self.issue(&mut unit, &delegation).await?
                };
                self.storage().commit(unit).await.map_err(revoked)?;
            }
            Err(error) => return Err(revoked(error)),
        }
        Ok(answer)
    }

    /// Those of `scopes` that she agreed to give another party's application for the audience;
    /// OpenID Connect's own came with the family.
    async fn agreed(
        &self,
        scopes: Scopes,
        client: &Client,
        user: &User,
        audience: &str,
    ) -> Result<Scopes, StoreError> {
        let agreed = access::find_consent(
            self.storage(),
            self.tenant(),
            &user.user_id,
            &client.client_id,
            audience,
        )
        .await?;
        let agreed = agreed.and_then(|text| Scopes::parse(&text)).unwrap_or_default();
        Ok(scopes.filtered(|scope| Scopes::is_openid(scope) || agreed.contains(scope)))
    }

    /// The successor of a used token, within the window; after it, the family is revoked.
    async fn replayed(
        &self,
        client: &Client,
        hash: &[u8; 32],
        row: &RefreshTokenRow,
    ) -> Result<Secret<String>, GrantError> {
        let (Some(used_at), Some(sealed)) = (row.used_at, &row.successor) else {
            return Err(GrantError::InvalidGrant("Unknown or invalid refresh token.".into()));
        };
        if self.now() > used_at.plus(REPLAY_WINDOW) {
            return Err(self.revoke_reused(client, &row.family_id, "refresh token").await?);
        }
        let hash_text = behalf_verify::hex(hash);
        let context = [SUCCESSOR, self.tenant().as_str(), &hash_text];
        let opened = self
            .keys()
            .keyring
            .open(&context, sealed)
            .map_err(|error| GrantError::Internal(error.to_string()))?;
        let text = String::from_utf8(opened.expose().clone())
            .map_err(|_| StoreError::Corrupt { what: "refresh_tokens.successor".into() })?;
        Ok(Secret::new(text))
    }

    /// The refresh token and its family, used and revoked ones too.
    pub(super) async fn find_refresh_token(
        &self,
        token: &str,
    ) -> Result<Option<([u8; 32], RefreshTokenRow, FamilyRow)>, StoreError> {
        if !opaque::looks_minted(token, REFRESH_PREFIX) {
            return Ok(None);
        }
        let hash = opaque::digest(token);
        let (storage, tenant) = (self.storage(), self.tenant());
        let Some(row) = grants::find_refresh_token(storage, tenant, &hash).await? else {
            return Ok(None);
        };
        let family = grants::find_family(storage, tenant, &row.family_id).await?;
        Ok(family.map(|family| (hash, row, family)))
    }
}

/// What a refresh may give: never more than was granted for the family's own audience, OpenID
/// Connect's scopes as they were granted, and for another audience what is asked for.
fn narrowed(
    asked: Option<Scopes>,
    details: &FamilyDetails,
    api: &Api,
    audience: &str,
    client: &Client,
) -> Result<Scopes, GrantError> {
    let is_same = audience == details.audience;
    if !is_same && matches!(api, Api::Registered { .. }) && !client.settings.is_first_party {
        return Err(GrantError::InvalidTarget(
            "she has not agreed to give this application tokens for that API".into(),
        ));
    }
    let Some(asked) = asked else {
        return Ok(details.scope.filtered(|scope| is_same || Scopes::is_openid(scope)));
    };
    Ok(asked
        .filtered(|scope| details.scope.contains(scope) || (!is_same && !Scopes::is_openid(scope))))
}

fn revoked(error: StoreError) -> GrantError {
    if error.is_conflict("family is revoked") {
        GrantError::InvalidGrant("the refresh token is revoked".into())
    } else {
        error.into()
    }
}
