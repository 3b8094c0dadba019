//! What a model's author expects of it: kept with the model, run by clients.

use behalf_core::{Actor, Event, EventKind};
use behalf_fga::{CheckRequest, RequestContext, StoreModel, TupleError, TupleKey};
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

impl Assertion {
    /// The check.
    pub fn check(&self) -> CheckRequest<'_> {
        CheckRequest {
            user: &self.user,
            relation: &self.relation,
            object: &self.object,
            request: RequestContext {
                contextual_tuples: &self.contextual_tuples,
                context: self.context.as_ref(),
                ..RequestContext::default()
            },
        }
    }

    /// True if it asks the same, whatever it expects.
    pub fn is_same_question(&self, other: &Self) -> bool {
        *self == Self { expectation: self.expectation, ..other.clone() }
    }

    fn fits(&self, model: &StoreModel) -> Result<(), AuthzError> {
        let Self { user, relation, object, .. } = self;
        let invalid = |error: TupleError| AuthzError::Invalid(error.to_string());
        model.validate_question(user, relation, object).map_err(invalid)?;
        for tuple in &self.contextual_tuples {
            model.validate_tuple(tuple).map_err(|reason| {
                AuthzError::Invalid(format!("Invalid tuple '{tuple}'. Reason: {reason}"))
            })?;
        }
        Ok(())
    }
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
        assertions.iter().try_for_each(|assertion| assertion.fits(at.model()))?;
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

    /// Gives a model the assertions of another, those that fit; says how many there are now.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`.
    pub async fn carry_assertions(
        &self,
        store_id: &str,
        from: &str,
        to: &str,
        actor: &Actor,
    ) -> Result<usize, AuthzError> {
        let query = Query { store_id, model_id: Some(to) };
        let at = self.at(query).await?;
        let mut assertions = self.read_assertions(store_id, from).await?;
        assertions.retain(|assertion| assertion.fits(at.model()).is_ok());
        if !assertions.is_empty() {
            self.write_assertions(query, &assertions, actor).await?;
        }
        Ok(assertions.len())
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
