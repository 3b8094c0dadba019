//! The set-up file (DESIGN §6): read whole, planned into one unit of work, stored all or nothing.

use anyhow::{Context, anyhow};
use behalf_core::{Actor, Event, EventKind};
use behalf_identity::{
    ClientEntry, ClientGrantEntry, Identity, IdentitySection, ResourceServerEntry, SetupOutcome,
    UserEntry,
};
use behalf_store::Storage;
use serde::Deserialize;

/// A set-up file's sections. Unknown ones are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SetupFile {
    users: Vec<UserEntry>,
    clients: Vec<ClientEntry>,
    resource_servers: Vec<ResourceServerEntry>,
    client_grants: Vec<ClientGrantEntry>,
}

/// A set-up file as it was read.
#[derive(Debug)]
pub struct Source {
    /// Where it comes from, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
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

impl SetupFile {
    fn parse(source: &Source) -> anyhow::Result<Self> {
        if source.text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&source.text).map_err(|error| anyhow!("{}: {error}", source.name))
    }
}

/// Applies the files in order, all or nothing.
///
/// # Errors
/// When a file is wrong or the store fails; then nothing was stored.
pub async fn apply(
    identity: &Identity,
    storage: &Storage,
    sources: &[Source],
    options: &ApplyOptions,
) -> anyhow::Result<SetupOutcome> {
    // Later files see what earlier ones store, and all files are read before the first is applied.
    let files = sources.iter().map(SetupFile::parse).collect::<anyhow::Result<Vec<_>>>()?;
    let mut merged = IdentitySection::default();
    for file in files {
        merged.users.extend(file.users);
        merged.clients.extend(file.clients);
        merged.resource_servers.extend(file.resource_servers);
        merged.client_grants.extend(file.client_grants);
    }
    let mut unit = identity.unit();
    let outcome = identity
        .plan_setup(&mut unit, &merged, &options.actor, options.resets_secrets)
        .await
        .context("nothing was applied")?;
    if options.is_dry_run || outcome.changes.is_empty() {
        return Ok(outcome);
    }
    unit.record(
        &Event::new(identity.tenant(), EventKind::SetupApplied, options.actor.clone())
            .with("changes", outcome.changes.clone()),
    );
    storage.commit(unit).await.context("nothing was applied")?;
    Ok(outcome)
}
