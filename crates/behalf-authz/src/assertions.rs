//! What a model's author expects of it: kept with the model, run by clients.

use behalf_core::{Actor, Event, EventKind};
use behalf_fga::{TupleError, TupleKey};
use behalf_store::StoreError;
use behalf_store::fga;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Authz;
use crate::error::AuthzError;
use crate::query::Query;

/// All assertions of a model together may not be larger than this, as JSON.
const MAX_BYTES: usize = 64_000;

/// A check and its expected answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    /// The user.
    pub user: String,
    /// The relation.
    pub relation: String,
    /// The object.
    pub object: String,
    /// The expected answer.
    pub expectation: bool,
    /// Tuples that hold for this check only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contextual_tuples: Vec<TupleKey>,
    /// Values for conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Map<String, Value>>,
}

impl Authz {
    /// Writes the assertions of a model in place of those before.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`, or an assertion that does not fit the model.
    pub async fn write_assertions(
        &self,
        query: Query<'_>,
        assertions: &[Assertion],
        actor: &Actor,
    ) -> Result<(), AuthzError> {
        let at = self.at(query).await?;
        let text = serde_json::to_string(assertions).map_err(|error| StoreError::Internal {
            reason: format!("assertions as JSON: {error}"),
        })?;
        if text.len() > MAX_BYTES {
            return Err(AuthzError::TooMany { what: "bytes", limit: MAX_BYTES });
        }
        for assertion in assertions {
            let Assertion { user, relation, object, .. } = assertion;
            let invalid = |error: TupleError| AuthzError::Invalid(error.to_string());
            at.model().validate_question(user, relation, object).map_err(invalid)?;
            for tuple in &assertion.contextual_tuples {
                at.model().validate_tuple(tuple).map_err(|reason| {
                    AuthzError::Invalid(format!("Invalid tuple '{tuple}'. Reason: {reason}"))
                })?;
            }
        }
        let mut unit = self.unit();
        let (tenant, store_id) = (self.tenant(), query.store_id);
        unit.add(fga::put_assertions(tenant, store_id, &at.model_id, &text, self.now()));
        unit.record(
            &Event::new(tenant, EventKind::FgaAssertionsWritten, actor.clone())
                .with("store_id", store_id)
                .with("model_id", &*at.model_id)
                .with("assertions", assertions.len()),
        );
        self.storage().commit(unit).await?;
        Ok(())
    }

    /// The assertions of a model; none when none were written.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`.
    pub async fn read_assertions(
        &self,
        store_id: &str,
        model_id: &str,
    ) -> Result<Vec<Assertion>, AuthzError> {
        self.load_model(store_id, Some(model_id)).await?;
        let text = fga::find_assertions(self.storage(), self.tenant(), store_id, model_id).await?;
        let corrupt = |_| StoreError::Corrupt { what: "fga_assertions.assertions".to_owned() };
        Ok(match text {
            Some(text) => serde_json::from_str(&text).map_err(corrupt)?,
            None => Vec::new(),
        })
    }
}
