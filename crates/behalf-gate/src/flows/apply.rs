//! Applies set-up files: every section planned into one unit of work, stored all or nothing.

use behalf_authz::{Authz, AuthzError, FgaStoreEntry};
use behalf_core::{Actor, ClientId, Event, EventKind, Secret, UserId};
use behalf_identity::{
    ClientEntry, ClientGrantEntry, FgaKeyEntry, Identity, IdentitySection, ProjectEntry,
    ResourceServerEntry, SetupError, UserEntry,
};
use behalf_store::StoreError;
use behalf_vault::{ConnectedAccountEntry, ConnectionEntry, Vault, VaultSection, VaultSetupError};
use serde::Deserialize;
use thiserror::Error;

/// A set-up file's sections (DESIGN §6). Unknown ones are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the section of its name")]
pub struct SetupFile {
    pub users: Vec<UserEntry>,
    pub clients: Vec<ClientEntry>,
    pub resource_servers: Vec<ResourceServerEntry>,
    pub client_grants: Vec<ClientGrantEntry>,
    pub connections: Vec<ConnectionEntry>,
    pub connected_accounts: Vec<ConnectedAccountEntry>,
    pub fga: FgaSection,
    pub projects: Vec<ProjectEntry>,
}

/// The section `fga`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the section of its name")]
pub struct FgaSection {
    pub api_keys: Vec<FgaKeyEntry>,
    pub stores: Vec<FgaStoreEntry>,
}

/// How to apply.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Who applies.
    pub actor: Actor,
    /// True to plan only.
    pub is_dry_run: bool,
    /// True to write passwords and secrets of objects that exist already.
    pub resets_secrets: bool,
}

/// What a set-up did, or would do.
#[derive(Debug, Default)]
pub struct SetupOutcome {
    /// A line each: what is created or changed.
    pub changes: Vec<String>,
    /// Secrets that were generated, by client; shown once.
    pub secrets: Vec<(ClientId, Secret<String>)>,
}

/// The set-up was not applied, and nothing of it was stored.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each variant is the domain that refused")]
pub enum ApplyError {
    #[error(transparent)]
    Identity(#[from] SetupError),
    #[error(transparent)]
    Authz(#[from] AuthzError),
    #[error(transparent)]
    Vault(#[from] VaultSetupError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SetupFile {
    /// Adds the sections of `other` behind these.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.users.extend(other.users);
        self.clients.extend(other.clients);
        self.resource_servers.extend(other.resource_servers);
        self.client_grants.extend(other.client_grants);
        self.connections.extend(other.connections);
        self.connected_accounts.extend(other.connected_accounts);
        self.fga.api_keys.extend(other.fga.api_keys);
        self.fga.stores.extend(other.fga.stores);
        self.projects.extend(other.projects);
        self
    }
}

/// Applies `file`.
///
/// # Errors
/// What is wrong with it; then nothing was stored.
pub async fn apply(
    identity: &Identity,
    authz: &Authz,
    vault: &Vault,
    file: SetupFile,
    options: &ApplyOptions,
) -> Result<SetupOutcome, ApplyError> {
    let section = IdentitySection {
        users: file.users,
        clients: file.clients,
        resource_servers: file.resource_servers,
        client_grants: file.client_grants,
    };
    let vaulted =
        VaultSection { connections: file.connections, connected_accounts: file.connected_accounts };
    for account in &vaulted.connected_accounts {
        require_user(identity, &section, &account.user_id).await?;
    }
    let (actor, resets) = (&options.actor, options.resets_secrets);
    let mut unit = identity.unit();
    let identities = identity.plan_setup(&mut unit, &section, actor, resets).await?;
    let keys = identity.plan_fga_keys(&mut unit, &file.fga.api_keys, actor, resets).await?;
    let projects = identity.plan_projects(&mut unit, &file.projects, actor, resets).await?;
    let stores = authz.plan_setup(&mut unit, &file.fga.stores, actor).await?;
    let connections = vault.plan_setup(&mut unit, &vaulted, actor, resets).await?;
    let mut outcome = SetupOutcome { changes: identities.changes, secrets: identities.secrets };
    outcome.changes.extend(keys.changes);
    outcome.changes.extend(stores.changes.iter().cloned());
    outcome.changes.extend(connections);
    outcome.changes.extend(projects.changes);
    if options.is_dry_run || outcome.changes.is_empty() {
        return Ok(outcome);
    }
    unit.record(
        &Event::new(identity.tenant(), EventKind::SetupApplied, actor.clone())
            .with("changes", outcome.changes.clone()),
    );
    authz.commit_setup(unit, stores).await?;
    Ok(outcome)
}

/// An account belongs to a person who exists or is made by the same file.
async fn require_user(
    identity: &Identity,
    section: &IdentitySection,
    user_id: &UserId,
) -> Result<(), ApplyError> {
    let is_in_file = section.users.iter().any(|user| user.user_id == *user_id);
    if is_in_file || identity.find_user(user_id).await?.is_some() {
        return Ok(());
    }
    let text = format!("connected account: there is no user `{user_id}`");
    Err(VaultSetupError::Invalid(text).into())
}
