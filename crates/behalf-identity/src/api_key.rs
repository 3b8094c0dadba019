//! Preshared keys: who shows one is the machine it was given to.

use std::sync::Arc;

use behalf_core::{Actor, Event, EventKind, Secret};
use behalf_crypto::opaque;
use behalf_store::identity::api_keys;
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};

use crate::Identity;
use crate::audience::OwnApi;
use crate::authorize::to_json;
use crate::setup::{SetupError, SetupOutcome, once};
use crate::token::{AccessToken, TokenError};

/// The kind of the keys that open `/stores`.
const FGA: &str = "fga";

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FgaKeySettings {
    /// Store ids, or `*` for all, later ones included.
    #[serde(default)]
    pub stores: Vec<String>,
    /// `read:fga`, `check:fga`, `write:fga`, `admin:fga`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A key in a set-up file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct FgaKeyEntry {
    pub name: String,
    pub key: Secret<String>,
    #[serde(default)]
    pub stores: Vec<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Who a caller of `/stores` is to access control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FgaPrincipal {
    /// The client that a verified token was issued to (`azp`).
    Client(String),
    /// Somebody who holds the data folder, whom nothing is closed to.
    Local,
    /// No client: the holder of a preshared key, or anybody.
    Nobody,
}

/// Who asks `/stores`, and how far she may reach.
#[derive(Clone, Debug)]
pub struct FgaCaller {
    /// For records.
    pub actor: Actor,
    /// For access control.
    pub principal: FgaPrincipal,
    /// Scopes.
    pub scopes: Vec<String>,
    /// The stores she may reach; `None` for all.
    pub stores: Option<Vec<String>>,
}

impl FgaCaller {
    /// True if the store is within reach.
    pub fn may_reach(&self, store_id: &str) -> bool {
        self.stores.as_ref().is_none_or(|stores| stores.iter().any(|store| store == store_id))
    }
}

impl Identity {
    /// The machine that the preshared key was given to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_fga_key(&self, key: &str) -> Result<Option<Arc<FgaCaller>>, StoreError> {
        let read = async |hash: &[u8; 32]| {
            let row = api_keys::find(self.storage(), self.tenant(), FGA, hash).await?;
            let Some(row) = row else { return Ok(None) };
            let settings: FgaKeySettings = serde_json::from_str(&row.settings)
                .map_err(|_| StoreError::Corrupt { what: "api_keys.settings".into() })?;
            let reaches_all = settings.stores.iter().any(|store| store == "*");
            Ok(Some(Arc::new(FgaCaller {
                actor: Actor::ApiKey { name: row.name },
                principal: FgaPrincipal::Nobody,
                scopes: settings.scopes,
                stores: (!reaches_all).then_some(settings.stores),
            })))
        };
        self.0.held.fga_keys.find(self.storage(), opaque::digest(key), read).await
    }

    /// The holder of an access token for `{issuer}fga/`, or for a registered API that is marked
    /// `fga`. A client's own token reaches the stores of its client grant.
    ///
    /// # Errors
    /// The token's defect; a failing store counts as one, so that nobody gets in.
    pub async fn verify_fga_token(
        &self,
        token: &str,
    ) -> Result<Result<(AccessToken, FgaCaller), TokenError>, StoreError> {
        let own = OwnApi::Fga.audience(self.issuer());
        let mut audience = own.clone();
        let mut verified = self.verify_access_token(token, &own);
        if verified.as_ref().is_err_and(|error| *error == TokenError::Audience) {
            for api in self.list_fga_audiences().await? {
                verified = self.verify_access_token(token, &api);
                if verified.is_ok() {
                    audience = api;
                    break;
                }
            }
        }
        let token = match verified {
            Ok(token) => token,
            Err(error) => return Ok(Err(error)),
        };
        // What is gone ends its tokens before they expire: the client, the person, her role, the
        // client's grant.
        let Some(client) = self.find_client(token.client_id.as_str()).await? else {
            return Ok(Err(TokenError::Invalid));
        };
        let mut stores = None;
        let sub = token.user_id().map(String::from);
        let scopes = if let Some(user_id) = token.user_id() {
            let user = self.find_user(&user_id).await?.filter(|user| !user.blocked);
            let Some(user) = user else { return Ok(Err(TokenError::Invalid)) };
            token.scopes.filtered(|scope| OwnApi::Fga.person_still_holds(scope, &user))
        } else {
            let Some(grant) = self.find_client_grant(&client, &audience).await? else {
                return Ok(Err(TokenError::Invalid));
            };
            stores = (!grant.fga_stores.is_empty()).then_some(grant.fga_stores);
            token.scopes.filtered(|scope| grant.scope.iter().any(|granted| granted == scope))
        };
        let actor = Actor::Client { client_id: token.client_id.to_string(), sub };
        let scopes = scopes.iter().map(str::to_owned).collect();
        let principal = FgaPrincipal::Client(token.client_id.to_string());
        Ok(Ok((token, FgaCaller { actor, principal, scopes, stores })))
    }

    /// Adds the keys of a set-up file to `unit`; a key itself is written only when it is new.
    ///
    /// # Errors
    /// When an entry is wrong: then the unit must be dropped.
    pub async fn plan_fga_keys(
        &self,
        unit: &mut UnitOfWork,
        entries: &[FgaKeyEntry],
        actor: &Actor,
        resets_secrets: bool,
    ) -> Result<SetupOutcome, SetupError> {
        const SCOPES: [&str; 4] = ["read:fga", "check:fga", "write:fga", "admin:fga"];
        let mut outcome = SetupOutcome::default();
        once("FGA key", entries.iter().map(|entry| entry.name.clone()))?;
        for (index, entry) in entries.iter().enumerate() {
            let name = entry.name.as_str();
            if entries.iter().take(index).any(|e| e.key.expose() == entry.key.expose()) {
                let text = format!("FGA key `{name}`: another entry has the same key");
                return Err(SetupError::Invalid(text));
            }
            if let Some(scope) = entry.scopes.iter().find(|s| !SCOPES.contains(&s.as_str())) {
                let text = format!("FGA key `{name}`: `{scope}` is none of {}", SCOPES.join(", "));
                return Err(SetupError::Invalid(text));
            }
            if entry.key.expose().len() < 8 {
                let text = format!("FGA key `{name}`: use at least 8 characters");
                return Err(SetupError::Invalid(text));
            }
            let settings =
                FgaKeySettings { stores: entry.stores.clone(), scopes: entry.scopes.clone() };
            let text = to_json(&settings)?;
            let hash = opaque::digest(entry.key.expose());
            let known = api_keys::find_by_name(self.storage(), self.tenant(), FGA, name).await?;
            let verb = match known {
                None => {
                    let now = self.now();
                    unit.add(api_keys::insert(self.tenant(), FGA, name, hash, &text, now));
                    "create"
                }
                Some(known) if known == text && !resets_secrets => continue,
                Some(_) => {
                    let hash = resets_secrets.then_some(hash);
                    unit.add(api_keys::update(self.tenant(), FGA, name, hash, &text));
                    "change"
                }
            };
            let event = Event::new(self.tenant(), EventKind::ApiKeyWritten, actor.clone());
            unit.record(&event.with("kind", FGA).with("name", name));
            outcome.changes.push(format!("{verb} FGA key {name}"));
        }
        Ok(outcome)
    }
}
