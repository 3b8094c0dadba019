//! The client `behalf`: the agent of the built-in chat. It exists from the first start, holds no
//! grant, and nobody knows a secret of it, so nobody can pass for it.

use behalf_core::{Actor, ClientId, Event, EventKind};
use behalf_crypto::opaque;
use behalf_store::identity::clients;
use behalf_store::{StoreError, UnitOfWork};

use crate::Identity;
use crate::authorize::to_json;
use crate::client::{AppType, ClientSettings};
use crate::setup::{ClientEntry, SetupError};

/// The id of the built-in agent.
const BUILT_IN_AGENT: &str = "behalf";

impl Identity {
    /// The built-in agent.
    pub fn built_in_agent(&self) -> &ClientId {
        &self.0.built_in_agent
    }

    /// Adds the built-in agent to `unit`; false when it exists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_built_in_agent(&self, unit: &mut UnitOfWork) -> Result<bool, StoreError> {
        let client_id = self.built_in_agent();
        if clients::find(self.storage(), self.tenant(), client_id).await?.is_some() {
            return Ok(false);
        }
        let settings = ClientSettings {
            name: "Behalf".to_owned(),
            app_type: AppType::Agent,
            approver: false,
            is_first_party: true,
            callbacks: Vec::new(),
            allowed_logout_urls: Vec::new(),
            web_origins: Vec::new(),
            grant_types: Vec::new(),
            resource_server_identifier: None,
        };
        // Without a secret it would be a public client, which proves itself by its id alone.
        let (secret, _) = self.mint("bhf_cs_");
        let hash = opaque::digest(secret.expose());
        let text = to_json(&settings)?;
        unit.add(clients::insert(self.tenant(), client_id, Some(hash), &text, self.now()));
        unit.record(
            &Event::new(self.tenant(), EventKind::ClientCreated, Actor::System)
                .with("client_id", client_id.as_str()),
        );
        Ok(true)
    }

    /// A set-up file may rename the built-in agent and nothing else.
    pub(crate) fn check_built_in(&self, entry: &ClientEntry) -> Result<(), SetupError> {
        if entry.client_id != *self.built_in_agent() {
            return Ok(());
        }
        let keeps = entry.client_secret.is_none()
            && entry.app_type.is_none_or(|app_type| app_type == AppType::Agent)
            && !entry.approver.unwrap_or(false)
            && entry.is_first_party.unwrap_or(true)
            && entry.callbacks.as_ref().is_none_or(Vec::is_empty)
            && entry.allowed_logout_urls.as_ref().is_none_or(Vec::is_empty)
            && entry.web_origins.as_ref().is_none_or(Vec::is_empty)
            && entry.grant_types.as_ref().is_none_or(Vec::is_empty)
            && entry.resource_server_identifier.is_none();
        if keeps {
            return Ok(());
        }
        let text = "client `behalf` is built in: a set-up file can change its name only";
        Err(SetupError::Invalid(text.to_owned()))
    }
}

/// The id, parsed.
pub(crate) fn built_in_agent() -> Result<ClientId, StoreError> {
    BUILT_IN_AGENT
        .parse()
        .map_err(|_invalid| StoreError::Internal { reason: "a built-in id".to_owned() })
}
