//! The stages that ask other domains: mandate, relationship, connection.
//!
//! A stage passes, says what is missing, or denies. What it rests on is given back, so that the unit
//! that begins a call can require that it still holds.

use behalf_authz::engine::RequestContext;
use behalf_authz::{FgaStoreInfo, Query};
use behalf_core::{ConnectionName, TenantId, Timestamp};
use behalf_identity::User;
use behalf_store::UnitOfWork;
use behalf_store::gate::calls;
use behalf_vault::{ProviderToken, VaultError};
use serde_json::Value;

use crate::call::{Record, ToolCall};
use crate::error::GateError;
use crate::gate::Gate;
use crate::mandate::Mandate;
use crate::outcome::DenialReason;
use crate::tool::ResourceRule;

/// The built-in authorization store: which agent may call which tool.
pub const BEHALF_STORE: &str = "behalf";

/// Its model.
pub const BEHALF_MODEL: &str = "model
  schema 1.1

type agent

type tool
  relations
    define can_call: [agent]
";

/// What mandate and relationship rest on.
#[derive(Debug, Default)]
pub(crate) struct Grounds {
    /// Authorization stores that were asked, with the revision of the answer.
    stores: Vec<(String, i64)>,
    /// The revision of the store `behalf`.
    pub(crate) fga_revision: u64,
}

impl Grounds {
    /// Makes the unit fail unless all of it still holds when it commits.
    pub(crate) fn require(&self, unit: &mut UnitOfWork, tenant: &TenantId, mandate: &Mandate) {
        unit.add(calls::require_active_user(tenant, mandate.subject()));
        unit.add(calls::require_client(tenant, mandate.agent()));
        if mandate.client() != mandate.agent() {
            unit.add(calls::require_client(tenant, mandate.client()));
        }
        for (store_id, revision) in &self.stores {
            unit.add(calls::require_revision(tenant, store_id, *revision));
        }
    }
}

/// What the connection stage found.
#[derive(Debug)]
pub(crate) enum Connected {
    /// The account may do what the tool needs, or the tool needs none.
    Yes(Option<ProviderToken>),
    /// She has to connect first.
    No(ConnectionName, Vec<String>),
}

impl Gate {
    /// Mandate and relationship: may this agent call this tool for this person, now?
    pub(crate) async fn standing_leave(
        &self,
        call: &ToolCall,
        now: Timestamp,
    ) -> Result<Result<Grounds, DenialReason>, GateError> {
        let mandate = &call.mandate;
        if mandate.until() <= now {
            return Ok(Err(DenialReason::MandateOver));
        }
        let user = self.identity().find_user(mandate.subject()).await?;
        let Some(user) = user.filter(|user| !user.blocked) else {
            return Ok(Err(DenialReason::UserInactive));
        };
        for client_id in [mandate.agent(), mandate.client()] {
            if self.identity().find_client(client_id.as_str()).await?.is_none() {
                return Ok(Err(DenialReason::ClientUnknown));
            }
        }
        let mut grounds = Grounds::default();
        if !self.may_call(call, &mut grounds).await? {
            return Ok(Err(DenialReason::ToolNotAllowed));
        }
        if !self.may_reach(call, &user, &mut grounds).await? {
            return Ok(Err(DenialReason::ResourceNotAllowed));
        }
        Ok(Ok(grounds))
    }

    /// DESIGN §3 (a): `agent:<client_id>` `can_call` `tool:<server>/<name>`.
    async fn may_call(&self, call: &ToolCall, grounds: &mut Grounds) -> Result<bool, GateError> {
        let agent = call.mandate.agent().as_str();
        // A name with a meaning of its own to the engine is nobody's.
        if agent.contains(['#', ':', '*', ' ']) {
            return Ok(false);
        }
        let Some(object) = call.spec.object() else { return Ok(false) };
        let Some(store) = self.authz().find_store_by_name(BEHALF_STORE).await? else {
            return Ok(false);
        };
        let agent = format!("agent:{agent}");
        let (is_allowed, revision) = self.check(&store, &agent, "can_call", &object).await?;
        grounds.fga_revision = revision;
        grounds.stores.push((store.id, i64::try_from(revision).unwrap_or(i64::MAX)));
        Ok(is_allowed)
    }

    /// DESIGN §3 (b): the check that the tool declares for the person herself.
    async fn may_reach(
        &self,
        call: &ToolCall,
        user: &User,
        grounds: &mut Grounds,
    ) -> Result<bool, GateError> {
        let (store, relation, object_type, argument) = match &call.spec.resource {
            ResourceRule::None | ResourceRule::Filtered => return Ok(true),
            ResourceRule::Object { store, relation, object_type, argument } => {
                (store, relation, object_type, argument)
            }
        };
        let Some(id) = call.arguments.get(argument).and_then(Value::as_str) else {
            return Ok(false);
        };
        if id.is_empty() || id.contains([':', '#', '*']) || id.contains(char::is_whitespace) {
            return Ok(false);
        }
        let Some(store) = self.authz().find_store_by_name(store).await? else { return Ok(false) };
        let profile = &user.profile;
        let email = profile.email.as_deref().filter(|_| profile.email_verified);
        let Some(name) = store.subject.user(&user.user_id, email) else { return Ok(false) };
        let object = format!("{object_type}:{id}");
        let (is_allowed, revision) = self.check(&store, &name, relation, &object).await?;
        grounds.stores.push((store.id, i64::try_from(revision).unwrap_or(i64::MAX)));
        Ok(is_allowed)
    }

    async fn check(
        &self,
        store: &FgaStoreInfo,
        user: &str,
        relation: &str,
        object: &str,
    ) -> Result<(bool, u64), GateError> {
        let query = Query { store_id: &store.id, model_id: None };
        let request = RequestContext::default();
        let answer = self.authz().check(query, user, relation, object, request).await?;
        Ok((answer.value, answer.revision))
    }

    /// Has she connected an account that may do what the tool needs?
    pub(crate) async fn connected(
        &self,
        record: &Record,
    ) -> Result<Result<Connected, DenialReason>, GateError> {
        let Some(need) = &record.call.spec.connection else { return Ok(Ok(Connected::Yes(None))) };
        let scopes: Vec<&str> = need.scopes.iter().map(String::as_str).collect();
        let subject = record.call.mandate.subject();
        match self.vault().token(subject, &need.connection, &scopes).await {
            Ok(token) => Ok(Ok(Connected::Yes(Some(token)))),
            Err(
                VaultError::NotConnected
                | VaultError::InsufficientScope { .. }
                | VaultError::ReauthorizationRequired,
            ) => Ok(Ok(Connected::No(need.connection.clone(), need.scopes.clone()))),
            Err(VaultError::ConnectionNotFound) => Ok(Err(DenialReason::ConnectionUnknown)),
            Err(VaultError::ProviderUnavailable { retry_after_secs }) => {
                Err(GateError::ProviderUnavailable { retry_after_secs })
            }
            Err(VaultError::Store(error)) => Err(error.into()),
            Err(error @ (VaultError::Sealed | VaultError::Internal(_))) => {
                Err(GateError::Vault(error))
            }
        }
    }
}
