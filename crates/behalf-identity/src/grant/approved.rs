//! Tokens for what a person approved on another device: a backchannel request (OpenID Connect CIBA
//! Core §10.1.1). Whoever redeems it uses the approval in the same unit of work.

use behalf_core::UserId;
use behalf_store::UnitOfWork;
use serde_json::Value;

use super::{ApprovedClaims, Delegation, TokenAnswer};
use crate::Identity;
use crate::audience::{Issuance, OwnApi};
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::scope::Scopes;
use crate::token::IdTokenSession;

/// What was approved.
#[derive(Clone, Debug)]
pub struct ApprovedGrant {
    /// The application that asked.
    pub client: Client,
    /// Who approved.
    pub user_id: UserId,
    /// The scopes that she was shown.
    pub scope: Scopes,
    /// Of which API.
    pub audience: Option<String>,
    /// The details that she was shown.
    pub authorization_details: Option<Value>,
    /// The approval.
    pub grant_id: String,
}

impl Identity {
    /// Adds the issue of the tokens to `unit`. There is no refresh token: an approval is used once.
    ///
    /// # Errors
    /// As the token endpoint; then the unit must be dropped.
    pub async fn plan_approved(
        &self,
        unit: &mut UnitOfWork,
        grant: &ApprovedGrant,
    ) -> Result<TokenAnswer, GrantError> {
        grant.client.require_grant(GrantType::Ciba)?;
        let user = self.load_active_user(&grant.user_id).await?;
        let audience = match &grant.audience {
            Some(audience) => audience.clone(),
            None => OwnApi::UserInfo.audience(self.issuer()),
        };
        let api = self.load_api(&audience).await?;
        let scopes = api.permitted(&grant.scope, &grant.client, &user, Issuance::Backchannel);
        let delegation = Delegation {
            client: &grant.client,
            user: &user,
            api: &api,
            scopes: scopes.filtered(|scope| scope != "offline_access"),
            session: IdTokenSession::default(),
            grant: "urn:openid:params:grant-type:ciba",
            grant_id: &grant.grant_id,
            approved: Some(ApprovedClaims {
                authorization_details: grant.authorization_details.as_ref(),
            }),
        };
        self.issue(unit, &delegation).await
    }
}
