//! Models: written, never changed; the latest answers unless another is named.

use behalf_core::{Actor, Event, EventKind, Page, Timestamp};
use behalf_fga::AuthorizationModel;
use behalf_store::fga::{self, FgaModelRow, FgaModelVersionRow};
use behalf_store::{StoreError, UnitOfWork};

use crate::Authz;
use crate::error::AuthzError;
use crate::state::Writer;
use crate::store::is_ulid;
use crate::write::Author;

/// A model in a list of versions.
#[derive(Clone, Debug)]
pub struct ModelVersion {
    /// Counts from 1 in its store.
    pub number: i64,
    /// Its ULID.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// By whom; not kept of models that an older version of the server wrote.
    pub actor: Option<Actor>,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
}

impl Authz {
    /// Writes a model and returns its id.
    ///
    /// # Errors
    /// When the model breaks a rule of the type system.
    pub async fn write_model(
        &self,
        store_id: &str,
        model: AuthorizationModel,
        author: impl Into<Author<'_>>,
    ) -> Result<String, AuthzError> {
        let named = (self.new_id(), model);
        let written = (author.into(), "");
        let (model_id, _) = self.put_model_after(store_id, named, None, written).await?;
        Ok(model_id)
    }

    /// Writes a model under an id of the caller's, as the latest; false if it was there already.
    ///
    /// # Errors
    /// When the model breaks a rule of the type system, or another one has the id.
    pub async fn put_model(
        &self,
        store_id: &str,
        model_id: String,
        model: AuthorizationModel,
        author: impl Into<Author<'_>>,
    ) -> Result<(String, bool), AuthzError> {
        let written = (author.into(), "");
        self.put_model_after(store_id, (model_id, model), None, written).await
    }

    /// Writes a model, and the text that says it, in place of the one that its author looked at,
    /// empty for none; nothing is written when another is the latest by now.
    ///
    /// # Errors
    /// When the model breaks a rule of the type system, or `Conflict("another model is the
    /// latest")`.
    pub async fn replace_model(
        &self,
        store_id: &str,
        (model, source): (AuthorizationModel, &str),
        base: &str,
        author: Author<'_>,
    ) -> Result<String, AuthzError> {
        let named = (self.new_id(), model);
        let written = (author, source);
        let (model_id, _) = self.put_model_after(store_id, named, Some(base), written).await?;
        Ok(model_id)
    }

    async fn put_model_after(
        &self,
        store_id: &str,
        (model_id, model): (String, AuthorizationModel),
        base: Option<&str>,
        written: (Author<'_>, &str),
    ) -> Result<(String, bool), AuthzError> {
        if !is_ulid(&model_id) {
            return Err(AuthzError::Invalid(format!("`{model_id}` is no model's id")));
        }
        let store = self.open_store(store_id).await?;
        let mut writer = store.hold(self.storage(), self.tenant()).await?;
        if base.is_some_and(|base| base != writer.latest().as_deref().unwrap_or_default()) {
            return Err(StoreError::Conflict { what: "another model is the latest" }.into());
        }
        // Checked and compiled before it is stored, so that a stored model always binds.
        let json = model.to_json().map_err(|error| AuthzError::Invalid(error.to_string()))?;
        match writer.find_json(&model_id) {
            Some(stored) if stored == json => return Ok((model_id, false)),
            Some(_) => {
                let text = format!("another model has the id `{model_id}`; models never change");
                return Err(AuthzError::Invalid(text));
            }
            None => {}
        }
        writer.fga.add_model(model)?;
        let mut unit = self.unit();
        let row = self.plan_model(&mut unit, store_id, &writer, (model_id, json), written);
        let model_id = row.model_id.clone();
        // Not on the caller's future: a caller who goes away must not leave the memory behind.
        let (storage, shared) = (self.storage().clone(), store);
        let task = tokio::spawn(async move {
            match storage.commit(unit).await {
                Ok(_) => {
                    writer.add_model(row);
                    let latest = writer.latest().unwrap_or_default();
                    writer.bind(&latest)?;
                    shared.publish(&writer);
                    Ok(())
                }
                Err(error) => {
                    writer.is_stale = true;
                    Err(AuthzError::from(error))
                }
            }
        });
        task.await.map_err(|_panicked| AuthzError::Contention)??;
        Ok((model_id, true))
    }

    pub(crate) fn plan_model(
        &self,
        unit: &mut UnitOfWork,
        store_id: &str,
        writer: &Writer,
        (model_id, model): (String, String),
        (author, source): (Author<'_>, &str),
    ) -> FgaModelRow {
        let row = FgaModelRow { number: writer.next_number, model_id, model };
        let actor = serde_json::to_string(author.actor).unwrap_or_default();
        let by = (actor.as_str(), author.reason, source);
        unit.add(fga::insert_model(self.tenant(), store_id, &row, by, self.now()));
        unit.record(
            &Event::new(self.tenant(), EventKind::FgaModelWritten, author.actor.clone())
                .with("store_id", store_id)
                .with("model_id", row.model_id.as_str()),
        );
        row
    }

    /// Up to `limit` versions of the store's model before the number `before`, newest first; the
    /// newest of all when it is `None`.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn model_versions(
        &self,
        store_id: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ModelVersion>, AuthzError> {
        self.load_store(store_id).await?;
        let before = before.unwrap_or(i64::MAX);
        let rows = fga::list_model_versions(self.storage(), self.tenant(), store_id, before, limit)
            .await?;
        let version = |row: FgaModelVersionRow| ModelVersion {
            number: row.number,
            id: row.model_id,
            at: row.created_at,
            actor: serde_json::from_str(&row.actor).ok(),
            reason: row.reason,
        };
        Ok(rows.into_iter().map(version).collect())
    }

    /// The model's id and JSON: the named one, or the latest.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`, `NoModel`.
    pub async fn load_model(
        &self,
        store_id: &str,
        model_id: Option<&str>,
    ) -> Result<(String, String), AuthzError> {
        self.load_store(store_id).await?;
        let wanted = model_id.unwrap_or_default();
        let row = fga::find_model(self.storage(), self.tenant(), store_id, wanted).await?;
        row.map(|row| (row.model_id, row.model)).ok_or_else(|| match model_id {
            Some(model_id) => AuthzError::ModelNotFound(model_id.to_owned()),
            None => AuthzError::NoModel(store_id.to_owned()),
        })
    }

    /// The text that the model's author wrote, with comments; empty where only JSON was given.
    ///
    /// # Errors
    /// `ModelNotFound`.
    pub async fn load_model_source(
        &self,
        store_id: &str,
        model_id: &str,
    ) -> Result<String, AuthzError> {
        let (storage, tenant) = (self.storage(), self.tenant());
        let source = fga::find_model_source(storage, tenant, store_id, model_id).await?;
        source.ok_or_else(|| AuthzError::ModelNotFound(model_id.to_owned()))
    }

    /// Models' ids and JSON, newest first; `after` is the `next` of the page before.
    ///
    /// # Errors
    /// `StoreNotFound`, or a token that no page gave.
    pub async fn list_models(
        &self,
        store_id: &str,
        limit: u32,
        after: &str,
    ) -> Result<Page<(String, String)>, AuthzError> {
        self.load_store(store_id).await?;
        let (storage, tenant) = (self.storage(), self.tenant());
        let before = match after {
            "" => i64::MAX,
            after => {
                fga::find_model(storage, tenant, store_id, after)
                    .await?
                    .ok_or(AuthzError::BadContinuationToken)?
                    .number
            }
        };
        let more = limit.saturating_add(1);
        let mut rows = fga::list_models_before(storage, tenant, store_id, before, more).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| has_more).map(|row| row.model_id.clone());
        Ok(Page { items: rows.into_iter().map(|row| (row.model_id, row.model)).collect(), next })
    }
}
