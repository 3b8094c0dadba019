//! The identity part of a set-up file (DESIGN §6): users, clients, APIs, client grants.
//!
//! Names are the Auth0 Management API's. What the file omits stays as it is; passwords and secrets
//! are written when their object is created, or when a reset is asked for.

use std::collections::BTreeSet;

use behalf_core::{Actor, ClientId, Event, EventKind, RoleId, Secret, UserId};
use behalf_crypto::opaque;
use behalf_store::identity::users::UserParams;
use behalf_store::identity::{access, clients, users};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::audience::{ResourceServerSettings, ScopeSettings};
use crate::authorize::to_json;
use crate::client::{AppType, ClientSettings, GrantType, InvalidClientSettings};
use crate::grant::ClientGrantSettings;
use crate::password::CredentialsError;
use crate::scope::Scopes;
use crate::user::Profile;
use crate::{Api, Identity};

/// The sections that identity owns.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the section of its name")]
pub struct IdentitySection {
    pub users: Vec<UserEntry>,
    pub clients: Vec<ClientEntry>,
    pub resource_servers: Vec<ResourceServerEntry>,
    pub client_grants: Vec<ClientGrantEntry>,
}

/// A user in the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct UserEntry {
    #[serde(skip_serializing)]
    pub user_id: UserId,
    #[serde(skip_serializing)]
    pub password: Option<Secret<String>>,
    #[serde(skip_serializing)]
    pub roles: Option<Vec<RoleId>>,
    #[serde(skip_serializing)]
    pub blocked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// A client in the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ClientEntry {
    #[serde(skip_serializing)]
    pub client_id: ClientId,
    #[serde(skip_serializing)]
    pub client_secret: Option<Secret<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_type: Option<AppType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_first_party: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_logout_urls: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<GrantType>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_server_identifier: Option<String>,
}

/// An API in the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ResourceServerEntry {
    #[serde(skip_serializing)]
    pub identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<ScopeSettings>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fga: Option<bool>,
}

/// A client grant in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ClientGrantEntry {
    pub client_id: ClientId,
    pub audience: String,
    #[serde(default)]
    pub scope: Vec<String>,
    #[serde(default)]
    pub fga_stores: Vec<String>,
}

/// The section cannot be applied; nothing was.
#[derive(Debug, Error)]
pub enum SetupError {
    /// An entry contradicts itself or another.
    #[error("{0}")]
    Invalid(String),
    /// A client contradicts itself.
    #[error(transparent)]
    Client(#[from] InvalidClientSettings),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What applying a section does.
#[derive(Debug, Default)]
pub struct SetupOutcome {
    /// A line each: what is created or changed.
    pub changes: Vec<String>,
    /// Secrets that were generated, by client; shown once.
    pub secrets: Vec<(ClientId, Secret<String>)>,
}

impl Identity {
    /// Adds what the section asks for to `unit`; nothing is stored until the unit is committed.
    ///
    /// # Errors
    /// When an entry is wrong: then the unit must be dropped.
    pub async fn plan_setup(
        &self,
        unit: &mut UnitOfWork,
        section: &IdentitySection,
        actor: &Actor,
        resets_secrets: bool,
    ) -> Result<SetupOutcome, SetupError> {
        let mut plan = Plan {
            identity: self,
            unit,
            actor: actor.clone(),
            resets_secrets,
            outcome: SetupOutcome::default(),
        };
        once("user", section.users.iter().map(|entry| entry.user_id.to_string()))?;
        once("client", section.clients.iter().map(|entry| entry.client_id.to_string()))?;
        once("API", section.resource_servers.iter().map(|entry| entry.identifier.clone()))?;
        let grants = section.client_grants.iter();
        once("client grant", grants.map(|g| format!("{} → {}", g.client_id, g.audience)))?;
        for entry in &section.users {
            plan.sign_in_names(entry, section).await?;
            plan.user(entry).await?;
        }
        for entry in &section.resource_servers {
            plan.resource_server(entry).await?;
        }
        for entry in &section.clients {
            plan.client(entry).await?;
        }
        for entry in &section.client_grants {
            plan.client_grant(entry, section).await?;
        }
        Ok(plan.outcome)
    }

    /// Makes the first administrator, who signs in as `admin` with `password` once. Returns false
    /// when there is an administrator already, or somebody else has that id or that name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_first_administrator(
        &self,
        user_id: &UserId,
        password: &Secret<String>,
    ) -> Result<bool, SetupError> {
        let taken = users::find_by_sign_in_name(self.storage(), self.tenant(), "admin").await?;
        let is_there = self.find_user(user_id).await?.is_some() || taken.is_some();
        if is_there || self.has_administrator().await? {
            return Ok(false);
        }
        let phc = self.hash(password).await?;
        let profile = Profile {
            username: Some("admin".to_owned()),
            name: Some("Administrator".to_owned()),
            ..Profile::default()
        };
        let mut unit = self.unit();
        let params = UserParams {
            user_id,
            email_key: None,
            username_key: Some("admin"),
            profile: &to_json(&profile)?,
            blocked: false,
            roles: RoleId::Administrator.as_str(),
        };
        unit.add(users::insert(self.tenant(), &params, self.now()));
        unit.add(users::set_password(self.tenant(), user_id, &phc, true, self.now()));
        unit.record(
            &Event::new(self.tenant(), EventKind::UserCreated, Actor::System)
                .with("sub", user_id.as_str())
                .with("roles", RoleId::Administrator.as_str()),
        );
        self.storage().commit(unit).await?;
        Ok(true)
    }

    async fn hash(&self, password: &Secret<String>) -> Result<String, SetupError> {
        let hashed = self.0.hashing.hash(password.clone(), self.0.rng.clone()).await;
        hashed.map_err(|error| match CredentialsError::from(error) {
            CredentialsError::Store(error) => error.into(),
            _ => SetupError::Invalid("too many passwords are being hashed; try again".into()),
        })
    }
}

struct Plan<'a> {
    identity: &'a Identity,
    unit: &'a mut UnitOfWork,
    actor: Actor,
    resets_secrets: bool,
    outcome: SetupOutcome,
}

impl Plan<'_> {
    fn record(&mut self, kind: EventKind, name: &str, id: &str) {
        let event = Event::new(self.identity.tenant(), kind, self.actor.clone());
        self.unit.record(&event.with(name, id));
    }

    fn changed(&mut self, is_new: bool, what: &str, id: &str) {
        let verb = if is_new { "create" } else { "change" };
        self.outcome.changes.push(format!("{verb} {what} {id}"));
    }

    /// Refuses an address or a user name that is another person's, in the file or in the store.
    async fn sign_in_names(
        &self,
        entry: &UserEntry,
        section: &IdentitySection,
    ) -> Result<(), SetupError> {
        let taken = |name: &str, by: &UserId| {
            let text = format!("user `{}`: `{name}` is the sign-in name of `{by}`", entry.user_id);
            Err(SetupError::Invalid(text))
        };
        let names = |entry: &UserEntry| {
            let lower = |name: &Option<String>| name.as_deref().map(str::to_lowercase);
            [lower(&entry.email), lower(&entry.username)]
        };
        for (name, key) in [&entry.email, &entry.username].into_iter().zip(names(entry)) {
            let (Some(name), Some(key)) = (name, key) else { continue };
            let before = section.users.iter().take_while(|other| other.user_id != entry.user_id);
            for other in before {
                if names(other).contains(&Some(key.clone())) {
                    return taken(name, &other.user_id);
                }
            }
            let known = self.identity.find_user_by_sign_in_name(&key).await?;
            // Another person of the file may be about to give the name up.
            let other = known.map(|user| user.user_id).filter(|other| *other != entry.user_id);
            if let Some(other) = other
                && section.users.iter().all(|entry| entry.user_id != other)
            {
                return taken(name, &other);
            }
        }
        Ok(())
    }

    async fn user(&mut self, entry: &UserEntry) -> Result<(), SetupError> {
        let identity = self.identity;
        let (tenant, now) = (identity.tenant(), identity.now());
        let known = users::find(identity.storage(), tenant, &entry.user_id).await?;
        let before = known.as_ref().map_or("{}", |row| row.profile.as_str());
        let profile: Profile = overlay(before, entry, entry.user_id.as_str())?;
        let text = to_json(&profile)?;
        let old_roles = known.as_ref().map(|row| row.roles.clone()).unwrap_or_default();
        let roles = match &entry.roles {
            Some(roles) => roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" "),
            None => old_roles.clone(),
        };
        let was_blocked = known.as_ref().is_some_and(|row| row.blocked);
        let (email_key, username_key) = (profile.email_key(), profile.username_key());
        let params = UserParams {
            user_id: &entry.user_id,
            email_key: email_key.as_deref(),
            username_key: username_key.as_deref(),
            profile: &text,
            blocked: entry.blocked.unwrap_or(was_blocked),
            roles: &roles,
        };
        let id = entry.user_id.as_str();
        match &known {
            None => {
                self.unit.add(users::insert(tenant, &params, now));
                self.record(EventKind::UserCreated, "sub", id);
                self.changed(true, "user", id);
            }
            Some(row) => {
                let same_profile =
                    serde_json::from_str::<Profile>(&row.profile).ok() == Some(profile);
                if !same_profile || old_roles != roles || was_blocked != params.blocked {
                    self.unit.add(users::update(tenant, &params, row.version, now));
                    self.record(EventKind::UserUpdated, "sub", id);
                    self.changed(false, "user", id);
                }
            }
        }
        if let Some(password) = &entry.password
            && (known.is_none() || self.resets_secrets)
        {
            let phc = identity.hash(password).await?;
            self.unit.add(users::set_password(tenant, &entry.user_id, &phc, false, now));
            if known.is_some() {
                identity.end_everything(self.unit, &entry.user_id);
                self.record(EventKind::UserPasswordChanged, "sub", id);
                self.changed(false, "password of user", id);
            }
        }
        Ok(())
    }

    async fn client(&mut self, entry: &ClientEntry) -> Result<(), SetupError> {
        let identity = self.identity;
        identity.check_built_in(entry)?;
        let (tenant, now) = (identity.tenant(), identity.now());
        let id = entry.client_id.as_str();
        let known = clients::find(identity.storage(), tenant, &entry.client_id).await?;
        let empty = format!(r#"{{"name":{},"app_type":"regular_web"}}"#, Value::from(id));
        let before = known.as_ref().map_or(empty.as_str(), |row| row.settings.as_str());
        let settings: ClientSettings = overlay(before, entry, id)?;
        settings.validate(&entry.client_id)?;
        let keeps_secret = !matches!(settings.app_type, AppType::Spa | AppType::Native);
        match &known {
            None => {
                let secret = match &entry.client_secret {
                    Some(secret) => Some(secret.clone()),
                    None if keeps_secret => Some(self.generate_secret(&entry.client_id)),
                    None => None,
                };
                let hash = secret.map(|secret| opaque::digest(secret.expose()));
                let text = to_json(&settings)?;
                self.unit.add(clients::insert(tenant, &entry.client_id, hash, &text, now));
                self.record(EventKind::ClientCreated, "client_id", id);
                self.changed(true, "client", id);
            }
            Some(row) => {
                if serde_json::from_str::<ClientSettings>(&row.settings).ok().as_ref()
                    != Some(&settings)
                {
                    let text = to_json(&settings)?;
                    let update = clients::update(tenant, &entry.client_id, &text, row.version, now);
                    self.unit.add(update);
                    self.record(EventKind::ClientUpdated, "client_id", id);
                    self.changed(false, "client", id);
                }
                let is_built_in = entry.client_id == *identity.built_in_agent();
                if self.resets_secrets && keeps_secret && !is_built_in {
                    let secret = match &entry.client_secret {
                        Some(secret) => secret.clone(),
                        None => self.generate_secret(&entry.client_id),
                    };
                    let hash = opaque::digest(secret.expose());
                    self.unit.add(clients::set_secret(tenant, &entry.client_id, hash, now));
                    self.record(EventKind::ClientUpdated, "client_id", id);
                    self.changed(false, "secret of client", id);
                }
            }
        }
        Ok(())
    }

    fn generate_secret(&mut self, client_id: &ClientId) -> Secret<String> {
        let (secret, _) = self.identity.mint("bhf_cs_");
        self.outcome.secrets.push((client_id.clone(), secret.clone()));
        secret
    }

    async fn resource_server(&mut self, entry: &ResourceServerEntry) -> Result<(), SetupError> {
        let identity = self.identity;
        let (tenant, now) = (identity.tenant(), identity.now());
        let id = entry.identifier.as_str();
        if let Some(Api::Own(_)) = identity.find_api(id).await? {
            return Err(SetupError::Invalid(format!("`{id}` is an audience of Behalf's own")));
        }
        let known = access::find_resource_server(identity.storage(), tenant, id).await?;
        let empty = format!(r#"{{"name":{}}}"#, Value::from(id));
        let before = known.as_ref().map_or(empty.as_str(), |row| row.settings.as_str());
        let settings: ResourceServerSettings = overlay(before, entry, id)?;
        check_resource_server(id, &settings)?;
        let text = to_json(&settings)?;
        match &known {
            None => {
                self.unit.add(access::insert_resource_server(tenant, id, &text, now));
                self.record(EventKind::ResourceServerCreated, "audience", id);
                self.changed(true, "API", id);
            }
            Some(row) => {
                let old = serde_json::from_str::<ResourceServerSettings>(&row.settings).ok();
                if old.as_ref() != Some(&settings) {
                    let version = row.version;
                    let update = access::update_resource_server(tenant, id, &text, version, now);
                    self.unit.add(update);
                    self.record(EventKind::ResourceServerUpdated, "audience", id);
                    self.changed(false, "API", id);
                }
            }
        }
        Ok(())
    }

    async fn client_grant(
        &mut self,
        entry: &ClientGrantEntry,
        section: &IdentitySection,
    ) -> Result<(), SetupError> {
        let identity = self.identity;
        let (id, audience) = (entry.client_id.as_str(), entry.audience.as_str());
        let in_file = section.clients.iter().any(|client| client.client_id == entry.client_id);
        if !in_file && identity.find_client(id).await?.is_none() {
            let text = format!("client grant: client `{id}` does not exist");
            return Err(SetupError::Invalid(text));
        }
        let in_file = section.resource_servers.iter().any(|api| api.identifier == audience);
        if !in_file && identity.find_api(audience).await?.is_none() {
            let text = format!(
                "client grant of `{id}`: no API has audience `{audience}` (Behalf's own begin \
                 with `{}`)",
                identity.issuer()
            );
            return Err(SetupError::Invalid(text));
        }
        let settings = ClientGrantSettings {
            scope: entry.scope.clone(),
            fga_stores: entry.fga_stores.clone(),
        };
        if Scopes::parse(&settings.scope.join(" ")).is_none() {
            let text = format!("client grant of `{id}`: a scope has a character not allowed");
            return Err(SetupError::Invalid(text));
        }
        let (tenant, now) = (identity.tenant(), identity.now());
        let text = to_json(&settings)?;
        let known =
            access::find_client_grant(identity.storage(), tenant, &entry.client_id, audience);
        let known = known.await?;
        if known.as_deref() != Some(text.as_str()) {
            let client_id = &entry.client_id;
            self.unit.add(access::put_client_grant(tenant, client_id, audience, &text, now));
            let event = Event::new(tenant, EventKind::ClientGrantWritten, self.actor.clone());
            self.unit.record(&event.with("client_id", id).with("audience", audience));
            self.changed(known.is_none(), "client grant", &format!("{id} → {audience}"));
        }
        Ok(())
    }
}

/// Refuses an entry that stands twice: which of the two was meant cannot be known.
pub(crate) fn once(what: &str, ids: impl Iterator<Item = String>) -> Result<(), SetupError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if let Some(id) = seen.replace(id) {
            return Err(SetupError::Invalid(format!("{what} `{id}` stands twice in the file")));
        }
    }
    Ok(())
}

fn check_resource_server(id: &str, settings: &ResourceServerSettings) -> Result<(), SetupError> {
    if !matches!(settings.signing_alg.as_str(), "RS256" | "ES256") {
        let text = format!("API `{id}`: `signing_alg` is RS256 or ES256");
        return Err(SetupError::Invalid(text));
    }
    if !(1..=2_592_000).contains(&settings.token_lifetime) {
        let text = format!("API `{id}`: `token_lifetime` is 1 to 2592000 seconds");
        return Err(SetupError::Invalid(text));
    }
    for scope in &settings.scopes {
        let is_one = Scopes::parse(&scope.value).is_some_and(|s| s.iter().count() == 1);
        if !is_one {
            let text = format!("API `{id}`: `{}` is not a scope", scope.value);
            return Err(SetupError::Invalid(text));
        }
    }
    Ok(())
}

/// The object `before` with the keys that `entry` gives, read as a `T`.
fn overlay<T: serde::de::DeserializeOwned>(
    before: &str,
    entry: &impl Serialize,
    id: &str,
) -> Result<T, SetupError> {
    let invalid = |error: serde_json::Error| SetupError::Invalid(format!("`{id}`: {error}"));
    let mut members: Map<String, Value> = serde_json::from_str(before).map_err(invalid)?;
    if let Value::Object(given) = serde_json::to_value(entry).map_err(invalid)? {
        members.extend(given);
    }
    serde_json::from_value(Value::Object(members)).map_err(invalid)
}
