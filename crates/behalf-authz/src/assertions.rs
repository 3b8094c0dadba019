//! What a model's author expects of it: kept with the model, run by clients.

use behalf_core::{Actor, Event, EventKind};
use behalf_fga::{CheckRequest, RequestContext, Side, StoreModel, TupleError, TupleKey};
use behalf_store::{Statement, StoreError, fga};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Authz;
use crate::error::AuthzError;
use crate::query::{At, Query};

/// All assertions of a model together may not be larger than this, as JSON.
const MAX_BYTES: usize = 64_000;
/// How often a change is made again because somebody else was faster.
const ATTEMPTS: u32 = 20;

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

    /// Asks it of one side of a comparison: the answer, or why there is none.
    pub(crate) fn asked_of(self, at: &At, side: Side<'_>) -> (Self, Result<bool, String>) {
        let check = self.check();
        let check = CheckRequest { request: at.timed(check.request), ..check };
        let answer = at.check_of(side, &check).map_err(|error| error.to_string());
        (self, answer)
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
        let text = checked_text(&at, assertions)?;
        let (tenant, store_id) = (self.tenant(), query.store_id);
        let put = fga::put_assertions(tenant, store_id, &at.model_id, &text, self.now());
        self.commit_assertions((store_id, &at.model_id), vec![put], assertions.len(), actor)
            .await?;
        Ok(())
    }

    /// Changes the assertions of the latest model as `change` says, once on what is stored: what
    /// others write meanwhile is kept, and where the model is replaced meanwhile, those of the new one
    /// are changed.
    ///
    /// # Errors
    /// `StoreNotFound`, `NoModel`, or an assertion that does not fit the model.
    pub async fn change_assertions(
        &self,
        store_id: &str,
        change: impl Fn(&mut Vec<Assertion>) + Send + Sync,
        actor: &Actor,
    ) -> Result<(), AuthzError> {
        for _attempt in 0..ATTEMPTS {
            let at = self.at(Query { store_id, model_id: None }).await?;
            let latest = fga::require_latest_model(self.tenant(), store_id, &at.model_id);
            if self.swap_assertions(store_id, &at, &change, vec![latest], actor).await?.is_some() {
                return Ok(());
            }
        }
        Err(AuthzError::Contention)
    }

    /// Tries to change the assertions of a model, if the statements find what they require; how many
    /// there are then, or nothing if somebody else was faster.
    async fn swap_assertions(
        &self,
        store_id: &str,
        at: &At,
        change: impl Fn(&mut Vec<Assertion>) + Send + Sync,
        mut statements: Vec<Statement>,
        actor: &Actor,
    ) -> Result<Option<usize>, AuthzError> {
        let (tenant, model_id) = (self.tenant(), &*at.model_id);
        let before = fga::find_assertions(self.storage(), tenant, store_id, model_id).await?;
        let stored = parsed(before.as_deref())?;
        let mut assertions = stored.clone();
        change(&mut assertions);
        if assertions == stored {
            return Ok(Some(assertions.len()));
        }
        let text = checked_text(at, &assertions)?;
        let place = (store_id, model_id);
        let before = before.as_deref();
        statements.push(fga::swap_assertions(tenant, place, before, &text, self.now()));
        match self.commit_assertions(place, statements, assertions.len(), actor).await {
            Err(error)
                if error.is_conflict("assertions changed")
                    || error.is_conflict("model replaced") =>
            {
                Ok(None)
            }
            committed => Ok(committed.map(|()| Some(assertions.len()))?),
        }
    }

    async fn commit_assertions(
        &self,
        (store_id, model_id): (&str, &str),
        statements: Vec<Statement>,
        count: usize,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut unit = self.unit();
        for statement in statements {
            unit.add(statement);
        }
        unit.record(
            &Event::new(self.tenant(), EventKind::FgaAssertionsWritten, actor.clone())
                .with("store_id", store_id)
                .with("model_id", model_id)
                .with("assertions", count),
        );
        self.storage().commit(unit).await?;
        Ok(())
    }

    /// Gives a model the assertions of another, those that fit, beside those that it has already, which
    /// win; says how many there are now.
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
        let at = self.at(Query { store_id, model_id: Some(to) }).await?;
        let mut carried = self.read_assertions(store_id, from).await?;
        carried.retain(|assertion| assertion.fits(at.model()).is_ok());
        let add = |assertions: &mut Vec<Assertion>| {
            // In their order, before those that were added meanwhile.
            let is_new = |one: &&Assertion| !assertions.iter().any(|own| own.is_same_question(one));
            let new: Vec<Assertion> = carried.iter().filter(is_new).cloned().collect();
            assertions.splice(0..0, new).for_each(drop);
        };
        for _attempt in 0..ATTEMPTS {
            let swapped = self.swap_assertions(store_id, &at, add, Vec::new(), actor).await?;
            if let Some(count) = swapped {
                return Ok(count);
            }
        }
        Err(AuthzError::Contention)
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
        parsed(text.as_deref())
    }
}

fn parsed(text: Option<&str>) -> Result<Vec<Assertion>, AuthzError> {
    let corrupt = |_| StoreError::Corrupt { what: "fga_assertions.assertions".to_owned() };
    Ok(text.map(serde_json::from_str).transpose().map_err(corrupt)?.unwrap_or_default())
}

/// Assertions as they are stored, if they fit the model.
fn checked_text(at: &At, assertions: &[Assertion]) -> Result<String, AuthzError> {
    let text = serde_json::to_string(assertions)
        .map_err(|error| StoreError::Internal { reason: format!("assertions as JSON: {error}") })?;
    if text.len() > MAX_BYTES {
        return Err(AuthzError::TooMany { what: "bytes", limit: MAX_BYTES });
    }
    assertions.iter().try_for_each(|assertion| assertion.fits(at.model()))?;
    Ok(text)
}
