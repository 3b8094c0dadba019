//! The FGA part of a set-up file (DESIGN §6): stores with their model and tuples. A model becomes a
//! new version only if it differs; tuples are added, never removed.

use behalf_core::{Actor, counted};
use behalf_fga::{
    AuthorizationModel, FgaStore, OnConflict, Semantics, StoreModel, TupleCondition, TupleKey,
    WriteRequest,
};
use behalf_store::fga::{self, FgaLogRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

use crate::Authz;
use crate::error::AuthzError;
use crate::replay::catch_up;
use crate::state::{OpenStore, Writer};
use crate::store::{SubjectName, check_name, is_ulid};
use crate::write::log_event;

/// Tuples in one write.
const CHUNK: usize = 100;
/// The model of the store `documents` where a set-up names none.
const DOCUMENTS_MODEL: &str = "model
  schema 1.1

type user

type doc
  relations
    define owner: [user]
    define viewer: [user, user:*]
    define can_view: owner or viewer
";
/// The store that holds who may read which document.
pub const DOCUMENTS: &str = "documents";

/// What the log says of tuples that a set-up file adds.
const SETUP_REASON: &str = "set-up file";

/// The store that says which agent may call which tool.
const BEHALF: &str = "behalf";

/// A store in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct FgaStoreEntry {
    pub id: Option<String>,
    pub name: String,
    #[serde(default)]
    pub subject: Option<SubjectName>,
    /// Whose answers checks get.
    #[serde(default)]
    pub semantics: Option<Semantics>,
    /// The model in OpenFGA's language.
    pub model: Option<String>,
    #[serde(default)]
    pub tuples: Vec<TupleEntry>,
}

/// A tuple in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the tuple's of its name")]
pub struct TupleEntry {
    pub user: String,
    pub relation: String,
    pub object: String,
    #[serde(default)]
    pub condition: Option<ConditionEntry>,
}

/// The condition of a tuple in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the condition's of its name")]
pub struct ConditionEntry {
    pub name: String,
    #[serde(default)]
    pub context: serde_json::Map<String, serde_json::Value>,
}

/// What a set-up does to the stores; those that exist are held until it is committed or dropped.
#[derive(Debug, Default)]
pub struct PlannedSetup {
    /// A line each: what is created or changed.
    pub changes: Vec<String>,
    pub(crate) held: Vec<(Arc<OpenStore>, OwnedMutexGuard<Writer>)>,
    semantics: Vec<(Arc<OpenStore>, Semantics)>,
}

impl Authz {
    /// Adds what the stores of a set-up file need to `unit`; the store `documents` is made if there
    /// is none.
    ///
    /// # Errors
    /// When an entry is wrong: then the unit must be dropped.
    pub async fn plan_setup(
        &self,
        unit: &mut UnitOfWork,
        entries: &[FgaStoreEntry],
        actor: &Actor,
    ) -> Result<PlannedSetup, AuthzError> {
        let mut plan = PlannedSetup::default();
        // In the order of their names, so that two set-ups never wait for each other.
        let mut entries: Vec<&FgaStoreEntry> = entries.iter().collect();
        entries.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let documents = FgaStoreEntry {
            id: None,
            name: DOCUMENTS.to_owned(),
            subject: None,
            semantics: None,
            model: Some(DOCUMENTS_MODEL.to_owned()),
            tuples: Vec::new(),
        };
        let is_named = entries.iter().any(|entry| entry.name == DOCUMENTS);
        if !is_named && self.find_store_by_name(DOCUMENTS).await?.is_none() {
            entries.push(&documents);
        }
        let mut has_documents = false;
        for (entry, next) in entries.iter().zip(entries.iter().skip(1)) {
            if entry.name == next.name && (entry.id.is_none() || entry.id == next.id) {
                let text = format!("FGA store `{}` stands twice in the file", entry.name);
                return Err(AuthzError::Invalid(text));
            }
        }
        for entry in entries {
            if entry.name == DOCUMENTS && std::mem::replace(&mut has_documents, true) {
                let text = "two stores are named `documents`; retrieval could not choose";
                return Err(AuthzError::Invalid(text.to_owned()));
            }
            self.check_built_in(entry).await?;
            self.plan_entry(unit, entry, actor, &mut plan).await?;
        }
        Ok(plan)
    }

    /// Adds a store that is there from the first start to `unit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_built_in(
        &self,
        unit: &mut UnitOfWork,
        entry: &FgaStoreEntry,
        actor: &Actor,
    ) -> Result<PlannedSetup, AuthzError> {
        let mut plan = PlannedSetup::default();
        self.plan_entry(unit, entry, actor, &mut plan).await?;
        Ok(plan)
    }

    /// The store `behalf` is the gate's: a set-up file adds tuples to it and leaves the rest.
    async fn check_built_in(&self, entry: &FgaStoreEntry) -> Result<(), AuthzError> {
        let built_in = self.find_store_by_name(BEHALF).await?;
        let is_it = entry.name == BEHALF
            || built_in.as_ref().is_some_and(|store| entry.id.as_ref() == Some(&store.id));
        if !is_it {
            return Ok(());
        }
        let is_same_id = built_in.is_some_and(|store| {
            entry.name == BEHALF && entry.id.as_ref().is_none_or(|id| *id == store.id)
        });
        let is_plain = entry.model.is_none()
            && entry.semantics.is_none()
            && entry.subject.is_none_or(|s| s == SubjectName::Sub);
        if is_same_id && is_plain {
            return Ok(());
        }
        let text = "FGA store `behalf` is built in: a set-up file can only add tuples to it";
        Err(AuthzError::Invalid(text.to_owned()))
    }

    async fn plan_entry(
        &self,
        unit: &mut UnitOfWork,
        entry: &FgaStoreEntry,
        actor: &Actor,
        plan: &mut PlannedSetup,
    ) -> Result<(), AuthzError> {
        check_name(&entry.name)?;
        let known = self.find_entry(entry).await?;
        let is_new = known.is_none();
        let store_id = match &known {
            Some(store_id) => store_id.clone(),
            None => {
                let store_id = entry.id.clone().unwrap_or_else(|| self.new_id());
                let subject = entry.subject.unwrap_or_default();
                self.plan_store(unit, store_id.clone(), &entry.name, subject, actor);
                if let Some(semantics) = entry.semantics.filter(|of| *of != Semantics::default()) {
                    self.plan_semantics(unit, &store_id, semantics, actor);
                }
                plan.changes.push(format!("create FGA store {} ({store_id})", entry.name));
                store_id
            }
        };
        let mut scratch = Writer::new();
        if !is_new {
            let store = self.open_store(&store_id).await?;
            let writer = store.hold(self.storage(), self.tenant()).await?;
            scratch = writer.fork();
            if let Some(semantics) = entry.semantics.filter(|of| *of != store.semantics()) {
                self.plan_semantics(unit, &store_id, semantics, actor);
                plan.changes.push(format!(
                    "answer checks of FGA store {} as {}",
                    entry.name,
                    semantics.as_str()
                ));
                plan.semantics.push((Arc::clone(&store), semantics));
            }
            plan.held.push((store, writer));
            self.plan_names(unit, entry, &store_id, plan).await?;
        }
        let model = self.plan_entry_model(unit, entry, &store_id, &mut scratch, actor, plan)?;
        let tuples = entry.tuples.iter().map(|tuple| TupleKey {
            user: tuple.user.clone(),
            relation: tuple.relation.clone(),
            object: tuple.object.clone(),
            condition: tuple
                .condition
                .clone()
                .map(|ConditionEntry { name, context }| TupleCondition { name, context }),
            ..TupleKey::default()
        });
        let tuples: Vec<TupleKey> = tuples.collect();
        if tuples.is_empty() {
            return Ok(());
        }
        let Some(model) = model else { return Err(AuthzError::NoModel(entry.name.clone())) };
        let added = self.plan_tuples(unit, &store_id, &mut scratch.fga, &model, &tuples, actor)?;
        if added > 0 {
            let added = counted(added, "tuple", "tuples");
            plan.changes.push(format!("add {added} to FGA store {}", entry.name));
        }
        Ok(())
    }

    /// The id of the store that the entry is about: by its id, else by its name.
    async fn find_entry(&self, entry: &FgaStoreEntry) -> Result<Option<String>, AuthzError> {
        if let Some(id) = &entry.id {
            if !is_ulid(id) {
                let text = format!("FGA store `{}`: `{id}` is not a ULID", entry.name);
                return Err(AuthzError::Invalid(text));
            }
            let row = fga::find_store(self.storage(), self.tenant(), id).await?;
            return Ok(row.map(|row| row.store_id));
        }
        let named = fga::list_stores_by_name(self.storage(), self.tenant(), &entry.name).await?;
        if named.len() > 1 {
            let text =
                format!("{} FGA stores are named `{}`; give its id", named.len(), entry.name);
            return Err(AuthzError::Invalid(text));
        }
        Ok(named.into_iter().next().map(|row| row.store_id))
    }

    async fn plan_names(
        &self,
        unit: &mut UnitOfWork,
        entry: &FgaStoreEntry,
        store_id: &str,
        plan: &mut PlannedSetup,
    ) -> Result<(), AuthzError> {
        let known = self.load_store(store_id).await?;
        let subject = entry.subject.unwrap_or(known.subject);
        if known.name != entry.name || known.subject != subject {
            let now = self.now();
            let subject = subject.as_str();
            unit.add(fga::update_store(self.tenant(), store_id, &entry.name, subject, now));
            plan.changes.push(format!("change FGA store {}", entry.name));
        }
        Ok(())
    }

    /// The model that the entry's tuples are checked against.
    fn plan_entry_model(
        &self,
        unit: &mut UnitOfWork,
        entry: &FgaStoreEntry,
        store_id: &str,
        scratch: &mut Writer,
        actor: &Actor,
        plan: &mut PlannedSetup,
    ) -> Result<Option<Arc<StoreModel>>, AuthzError> {
        let Some(text) = &entry.model else {
            return match scratch.latest() {
                Some(latest) => scratch.bind(&latest).map(Some),
                None => Ok(None),
            };
        };
        let invalid = |error: &dyn std::fmt::Display| {
            AuthzError::Invalid(format!("FGA store `{}`: {error}", entry.name))
        };
        let model = AuthorizationModel::validate_dsl(text).map_err(|error| invalid(&error))?;
        let json = model.to_json().map_err(|error| invalid(&error))?;
        let bound = scratch.fga.add_model(model)?;
        if scratch.latest_json() != Some(json.as_str()) {
            let model = (self.new_id(), json);
            let row = {
                let written = (actor.into(), text.as_str());
                self.plan_model(unit, store_id, scratch, model, written)
            };
            plan.changes
                .push(format!("write model of FGA store {} ({})", entry.name, row.model_id));
            scratch.add_model(row);
        }
        Ok(Some(bound))
    }

    fn plan_tuples(
        &self,
        unit: &mut UnitOfWork,
        store_id: &str,
        scratch: &mut FgaStore,
        model: &StoreModel,
        tuples: &[TupleKey],
        actor: &Actor,
    ) -> Result<usize, AuthzError> {
        let mut added: usize = 0;
        for chunk in tuples.chunks(CHUNK) {
            let request = WriteRequest {
                writes: chunk.to_vec(),
                on_duplicate: OnConflict::Ignore,
                ..WriteRequest::default()
            };
            let changes = scratch.plan_write(model, &request)?;
            if changes.is_empty() {
                continue;
            }
            added = added.saturating_add(changes.len());
            let text = serde_json::to_string(&changes).map_err(|error| StoreError::Internal {
                reason: format!("changes as JSON: {error}"),
            })?;
            let revision = scratch.apply(&changes)?;
            let revision = i64::try_from(revision.0).unwrap_or(i64::MAX);
            let row = FgaLogRow {
                revision,
                changes: text,
                actor: serde_json::to_string(actor).unwrap_or_default(),
                reason: SETUP_REASON.to_owned(),
                txn: unit.id().to_owned(),
                at: self.now(),
            };
            for statement in fga::append_log(self.tenant(), store_id, &row) {
                unit.add(statement);
            }
            unit.record(&log_event(self.tenant(), store_id, &row, &changes, actor));
        }
        Ok(added)
    }

    /// Commits a set-up and shows what it changed to readers, to the end even if the caller goes.
    ///
    /// # Errors
    /// When the database refuses; then nothing was stored.
    pub async fn commit_setup(
        &self,
        unit: UnitOfWork,
        plan: PlannedSetup,
    ) -> Result<(), StoreError> {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let result = this.storage().commit(unit).await;
            if result.is_ok() {
                for (store, semantics) in plan.semantics {
                    store.set_semantics(semantics);
                }
            }
            for (store, mut writer) in plan.held {
                writer.is_stale = true;
                match catch_up(this.storage(), this.tenant(), &store.store_id, &mut writer).await {
                    Ok(()) => store.publish(&writer),
                    // It stays stale: the next one who holds it tries again.
                    Err(error) => tracing::error!(%error, "a store could not be read again"),
                }
            }
            result.map(|_committed| ())
        });
        task.await.unwrap_or_else(|_panicked| {
            Err(StoreError::Internal { reason: "a commit ended early".to_owned() })
        })
    }
}
