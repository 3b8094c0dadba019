//! `authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.6).

use behalf_crypto::{opaque, pkce};
use behalf_store::StoreError;
use behalf_store::identity::grants;

use super::{Delegation, FamilyDetails, TokenAnswer, wants_refresh};
use crate::Identity;
use crate::audience::Issuance;
use crate::authorize::CodeDetails;
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::token::IdTokenSession;

/// The parameters of the grant.
#[derive(Clone, Debug)]
pub struct CodeExchange {
    /// The code.
    pub code: String,
    /// Must equal the one of the authorization request.
    pub redirect_uri: Option<String>,
    /// Answers the code challenge.
    pub code_verifier: Option<String>,
}

impl Identity {
    /// Redeems an authorization code, once.
    ///
    /// # Errors
    /// `InvalidGrant` for a wrong, used or expired code, a wrong verifier, or another client's
    /// code; a code used twice revokes what it gave.
    pub async fn exchange_code(
        &self,
        client: &Client,
        exchange: CodeExchange,
    ) -> Result<TokenAnswer, GrantError> {
        client.require_grant(GrantType::AuthorizationCode)?;
        let invalid = || GrantError::InvalidGrant("Invalid authorization code".into());
        if !opaque::looks_minted(&exchange.code, "bhf_ac_") {
            return Err(invalid());
        }
        let hash = opaque::digest(&exchange.code);
        let row = grants::find_code(self.storage(), self.tenant(), &hash).await?;
        let row = row.filter(|row| row.client_id == client.client_id).ok_or_else(invalid)?;
        if row.used_at.is_some() {
            return Err(self.revoke_reused(client, &row.family_id, "authorization code").await?);
        }
        if row.expires_at <= self.now() {
            return Err(invalid());
        }
        let details: CodeDetails = serde_json::from_str(&row.details)
            .map_err(|_| StoreError::Corrupt { what: "authorization_codes.details".into() })?;
        check_exchange(&exchange, &details)?;
        let user = self.load_active_user(&details.user_id).await?;
        let api = self.load_api(&details.audience).await?;
        // What she, her roles and the client may have now, not when the code was issued.
        let scopes = api.permitted(&details.scope, client, &user, Issuance::Interactive);

        let mut unit = self.unit();
        unit.add(grants::use_code(self.tenant(), &hash, self.now()));
        let delegation = Delegation {
            client,
            user: &user,
            api: &api,
            scopes: scopes.clone(),
            session: IdTokenSession {
                sid: Some(&details.sid),
                nonce: details.nonce.as_deref(),
                auth_time: Some(details.auth_time),
            },
            grant: "authorization_code",
            grant_id: &row.family_id,
            approved: None,
        };
        let mut answer = self.issue(&mut unit, &delegation).await?;
        if wants_refresh(client, &scopes) {
            let family = FamilyDetails {
                sid: Some(details.sid.clone()),
                scope: scopes,
                audience: details.audience.clone(),
                auth_time: details.auth_time,
            };
            answer.refresh_token = Some(self.begin_family(
                &mut unit,
                &row.family_id,
                client,
                &user.user_id,
                &family,
            )?);
        }
        match self.storage().commit(unit).await {
            Ok(_) => Ok(answer),
            Err(error) if error.is_conflict("code was used") => {
                Err(self.revoke_reused(client, &row.family_id, "authorization code").await?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The redirect address and the verifier must be those of the request. A verifier without a
/// challenge is refused like a challenge without a verifier (CVE-2023-48228, CVE-2024-23647).
fn check_exchange(exchange: &CodeExchange, details: &CodeDetails) -> Result<(), GrantError> {
    // OAuth 2.1 drops the parameter where PKCE does its work; when it is sent, it must be right.
    let is_needed = details.code_challenge.is_none();
    let is_right = exchange.redirect_uri.as_ref().map(|uri| *uri == details.redirect_uri);
    if !is_right.unwrap_or(!is_needed) {
        let text = "`redirect_uri` differs from the authorization request's";
        return Err(GrantError::InvalidGrant(text.into()));
    }
    let is_proven = match (&details.code_challenge, &exchange.code_verifier) {
        (Some(challenge), Some(verifier)) => pkce::verify(verifier, challenge),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_proven {
        Ok(())
    } else {
        Err(GrantError::InvalidGrant("Failed to verify code verifier".into()))
    }
}
