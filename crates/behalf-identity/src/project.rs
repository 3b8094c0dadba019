//! Projects: workspaces of traces, and the keys by which machines reach one of them.

use behalf_core::{Actor, Event, EventKind, ProjectId, Secret};
use behalf_crypto::opaque;
use behalf_store::identity::{api_keys, projects};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};

use crate::Identity;
use crate::authorize::to_json;
use crate::setup::{SetupError, SetupOutcome, once};

/// The kind of the keys that open a project.
const PROJECT: &str = "project";
/// What a key may be allowed.
const SCOPES: [&str; 2] = ["traces:write", "traces:read"];

/// A project in a set-up file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ProjectEntry {
    pub id: ProjectId,
    pub name: Option<String>,
    #[serde(default)]
    pub api_keys: Vec<ProjectKeyEntry>,
}

/// A project's key in a set-up file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ProjectKeyEntry {
    pub name: String,
    pub key: Secret<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A machine that shows a project's key.
#[derive(Clone, Debug)]
pub struct ProjectCaller {
    /// For records: `project/key`.
    pub actor: Actor,
    /// The only project that it reaches.
    pub project: ProjectId,
    /// What it may do there.
    pub scopes: Vec<String>,
    key_hash: [u8; 32],
}

/// What a key may do, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct ProjectKeySettings {
    project: ProjectId,
    scopes: Vec<String>,
}

impl Identity {
    /// The machine that the project's key was given to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_project_key(&self, key: &str) -> Result<Option<ProjectCaller>, StoreError> {
        self.find_by_hash(opaque::digest(key)).await
    }

    /// The machine as it is now; `None` when its key was replaced.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_project_caller(
        &self,
        before: &ProjectCaller,
    ) -> Result<Option<ProjectCaller>, StoreError> {
        self.find_by_hash(before.key_hash).await
    }

    async fn find_by_hash(&self, key_hash: [u8; 32]) -> Result<Option<ProjectCaller>, StoreError> {
        let row = api_keys::find(self.storage(), self.tenant(), PROJECT, &key_hash).await?;
        let Some(row) = row else { return Ok(None) };
        let ProjectKeySettings { project, scopes } = serde_json::from_str(&row.settings)
            .map_err(|_| StoreError::Corrupt { what: "api_keys.settings".into() })?;
        let actor = Actor::ApiKey { name: row.name };
        Ok(Some(ProjectCaller { actor, project, scopes, key_hash }))
    }

    /// Adds the projects of a set-up file, and their keys, to `unit`; a key itself is written only
    /// when it is new.
    ///
    /// # Errors
    /// When an entry is wrong: then the unit must be dropped.
    pub async fn plan_projects(
        &self,
        unit: &mut UnitOfWork,
        entries: &[ProjectEntry],
        actor: &Actor,
        resets_secrets: bool,
    ) -> Result<SetupOutcome, SetupError> {
        let mut outcome = SetupOutcome::default();
        once("project", entries.iter().map(|entry| entry.id.to_string()))?;
        let keys =
            || entries.iter().flat_map(|entry| entry.api_keys.iter().map(move |k| (entry, k)));
        once("project key", keys().map(|(entry, key)| format!("{}/{}", entry.id, key.name)))?;
        for (index, (entry, key)) in keys().enumerate() {
            if keys().take(index).any(|(_, other)| other.key.expose() == key.key.expose()) {
                let name = format!("{}/{}", entry.id, key.name);
                let text = format!("project key `{name}`: another entry has the same key");
                return Err(SetupError::Invalid(text));
            }
        }
        for entry in entries {
            outcome.changes.extend(self.plan_project(unit, entry, actor).await?);
            for key in &entry.api_keys {
                let change = self.plan_project_key(unit, &entry.id, key, actor, resets_secrets);
                outcome.changes.extend(change.await?);
            }
        }
        Ok(outcome)
    }

    async fn plan_project(
        &self,
        unit: &mut UnitOfWork,
        entry: &ProjectEntry,
        actor: &Actor,
    ) -> Result<Option<String>, SetupError> {
        let id = &entry.id;
        let known = projects::find_name(self.storage(), self.tenant(), id).await?;
        let name = match (&entry.name, &known) {
            (Some(name), known) if known.as_ref() != Some(name) => name.as_str(),
            (None, None) => id.as_str(),
            _ => return Ok(None),
        };
        unit.add(projects::put(self.tenant(), id, name, self.now()));
        let event = Event::new(self.tenant(), EventKind::ProjectWritten, actor.clone());
        unit.record(&event.with("project_id", id.as_str()).with("name", name));
        let verb = if known.is_none() { "create" } else { "change" };
        Ok(Some(format!("{verb} project {id}")))
    }

    async fn plan_project_key(
        &self,
        unit: &mut UnitOfWork,
        project: &ProjectId,
        entry: &ProjectKeyEntry,
        actor: &Actor,
        resets_secrets: bool,
    ) -> Result<Option<String>, SetupError> {
        let name = format!("{project}/{}", entry.name);
        let wrong =
            |text: String| Err(SetupError::Invalid(format!("project key `{name}`: {text}")));
        if let Some(scope) = entry.scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
            return wrong(format!("`{scope}` is none of {}", SCOPES.join(", ")));
        }
        if entry.key.expose().len() < 8 {
            return wrong("use at least 8 characters".to_owned());
        }
        let settings =
            ProjectKeySettings { project: project.clone(), scopes: entry.scopes.clone() };
        let text = to_json(&settings)?;
        let hash = opaque::digest(entry.key.expose());
        let tenant = self.tenant();
        let known = api_keys::find_by_name(self.storage(), tenant, PROJECT, &name).await?;
        let verb = match known {
            None => {
                unit.add(api_keys::insert(tenant, PROJECT, &name, hash, &text, self.now()));
                "create"
            }
            Some(known) if known == text && !resets_secrets => return Ok(None),
            Some(_) => {
                let hash = resets_secrets.then_some(hash);
                unit.add(api_keys::update(tenant, PROJECT, &name, hash, &text));
                "change"
            }
        };
        let event = Event::new(tenant, EventKind::ApiKeyWritten, actor.clone());
        unit.record(&event.with("kind", PROJECT).with("name", name.as_str()));
        Ok(Some(format!("{verb} project key {name}")))
    }
}
