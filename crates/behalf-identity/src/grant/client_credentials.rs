//! `client_credentials` (RFC 6749 §4.4): a client for itself, as far as it was granted.

use behalf_core::{Actor, ClientId, Secret};
use behalf_store::StoreError;
use behalf_store::identity::access;
use serde::{Deserialize, Serialize};

use super::TokenAnswer;
use crate::Identity;
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::scope::Scopes;
use crate::token::AccessClaims;

/// What a client was granted of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGrantSettings {
    /// The scopes.
    #[serde(default)]
    pub scope: Vec<String>,
    /// For FGA: the stores it may reach; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fga_stores: Vec<String>,
}

impl Identity {
    /// What the client was granted of the API with that audience.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_client_grant(
        &self,
        client: &Client,
        audience: &str,
    ) -> Result<Option<ClientGrantSettings>, StoreError> {
        let read = async |(client_id, audience): &(ClientId, String)| {
            let (storage, tenant) = (self.storage(), self.tenant());
            let settings = access::find_client_grant(storage, tenant, client_id, audience).await?;
            settings
                .map(|text| {
                    serde_json::from_str(&text)
                        .map_err(|_| StoreError::Corrupt { what: "client_grants.settings".into() })
                })
                .transpose()
        };
        let key = (client.client_id.clone(), audience.to_owned());
        self.0.held.client_grants.find(self.storage(), key, read).await
    }

    /// Issues a token for the client itself.
    ///
    /// # Errors
    /// `AccessDenied` without a client grant for the audience, `InvalidScope` when more is asked
    /// for than was granted.
    pub async fn client_credentials(
        &self,
        client: &Client,
        audience: Option<&str>,
        scope: Option<&str>,
    ) -> Result<TokenAnswer, GrantError> {
        client.require_grant(GrantType::ClientCredentials)?;
        if !client.is_confidential() {
            let text = "a client without a secret cannot act for itself";
            return Err(GrantError::UnauthorizedClient(text.into()));
        }
        let audience =
            audience.ok_or_else(|| GrantError::InvalidRequest("`audience` is missing".into()))?;
        let api = self.load_api(audience).await?;
        let granted = self.find_client_grant(client, audience).await?.ok_or_else(|| {
            GrantError::AccessDenied(format!(
                "Client is not authorized to access \"{audience}\". Add a client grant for it."
            ))
        })?;
        let granted: Scopes = granted.scope.iter().collect();
        let scopes = match scope {
            None => granted,
            Some(text) => {
                let asked = Scopes::parse(text).filter(|asked| asked.is_subset_of(&granted));
                asked.ok_or_else(|| {
                    GrantError::InvalidScope(format!("the client was granted only `{granted}`"))
                })?
            }
        };
        // DESIGN §3: only a person decides approvals, through a client she is in front of.
        let scopes = scopes.filtered(|scope| scope != "update:me:approvals");
        let issued = self
            .sign_access_token(&AccessClaims {
                api: &api,
                subject: &format!("{}@clients", client.client_id),
                client,
                scopes: &scopes,
                is_machine: true,
                auth_time: None,
                act: None,
                authorization_details: None,
            })
            .await?;
        let actor = Actor::Client { client_id: client.client_id.to_string(), sub: None };
        let mut unit = self.unit();
        unit.record(&self.token_issued(actor, "client_credentials", &api, &scopes, &issued));
        self.storage().commit(unit).await?;
        Ok(TokenAnswer {
            access_token: Secret::new(issued.token),
            expires_in: issued.expires_in,
            scope: scopes,
            id_token: None,
            refresh_token: None,
            authorization_details: None,
        })
    }
}
