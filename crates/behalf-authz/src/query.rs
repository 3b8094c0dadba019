//! Questions: each answered on one version of the store.

use std::sync::Arc;

use behalf_core::Page;
use behalf_fga::{CheckRequest, FilterRequest, ListObjectsRequest, RequestContext, RequestError};
use behalf_fga::{Snapshot, StoreModel, TupleKey};
use metrics::counter;

use crate::Authz;
use crate::error::AuthzError;

/// Which store and model a question is for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The store.
    pub store_id: &'a str,
    /// The model; `None` for the latest.
    pub model_id: Option<&'a str>,
}

/// An answer and what it was answered from.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// The model's id.
    pub model_id: Arc<str>,
    /// The store's revision.
    pub revision: u64,
}

/// One version of a store with a model: several questions asked of it agree with each other.
#[derive(Clone, Debug)]
pub struct At {
    snapshot: Arc<Snapshot>,
    model: Arc<StoreModel>,
    /// The model's id.
    pub model_id: Arc<str>,
}

impl At {
    /// The revision.
    pub fn revision(&self) -> u64 {
        self.snapshot.revision().0
    }

    /// The version itself.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Does the user have the relation to the object?
    ///
    /// # Errors
    /// When the question is invalid under the model, or a bound is reached; never an "allowed".
    pub fn check(&self, check: &CheckRequest<'_>) -> Result<bool, RequestError> {
        let result = self.snapshot.check(&self.model, check);
        count_check(&result);
        result
    }

    /// Answers each check for itself.
    pub fn batch_check(&self, checks: &[CheckRequest<'_>]) -> Vec<Result<bool, RequestError>> {
        let results = self.snapshot.batch_check(&self.model, checks);
        results.iter().for_each(count_check);
        results
    }

    /// Every object of the type to which the user has the relation.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn list_objects(
        &self,
        request: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        self.snapshot.list_objects(&self.model, request)
    }

    /// The id of every object of the type to which the user might have the relation, perhaps some
    /// too many.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn list_candidates(
        &self,
        request: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        self.snapshot.list_candidates(&self.model, request)
    }

    /// For each id, whether the user has the relation to that object.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn filter(&self, request: &FilterRequest<'_>) -> Result<Vec<bool>, RequestError> {
        self.snapshot.filter(&self.model, request)
    }
}

/// Which tuples to read; empty members admit everything, `type:` admits every object of the type.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the tuple's of its name")]
pub struct TupleFilter {
    pub user: String,
    pub relation: String,
    pub object: String,
}

impl TupleFilter {
    fn admits(&self, tuple: &TupleKey) -> bool {
        let is_object = match self.object.as_str() {
            "" => true,
            object if object.ends_with(':') => tuple.object.starts_with(object),
            object => tuple.object == object,
        };
        is_object
            && (self.relation.is_empty() || self.relation == tuple.relation)
            && (self.user.is_empty() || self.user == tuple.user)
    }
}

impl Authz {
    /// The stored tuples that `filter` admits, in the order of their text; `after` is the `next` of
    /// the page before.
    ///
    /// # Errors
    /// `StoreNotFound`, or a token that no page gave.
    pub async fn read(
        &self,
        store_id: &str,
        filter: &TupleFilter,
        limit: usize,
        after: &str,
    ) -> Result<Page<TupleKey>, AuthzError> {
        let after: Option<(String, String, String)> = match after {
            "" => None,
            token => Some(decode_token(token).ok_or(AuthzError::BadContinuationToken)?),
        };
        let view = self.open(store_id).await?.view();
        let key =
            |tuple: &TupleKey| (tuple.object.clone(), tuple.relation.clone(), tuple.user.clone());
        let mut found: Vec<_> = view
            .snapshot
            .tuples()
            .filter(|tuple| filter.admits(tuple))
            .map(|tuple| (key(&tuple), tuple))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
            .collect();
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|(key, _)| encode_token(key));
        Ok(Page { items: found.into_iter().map(|(_, tuple)| tuple).collect(), next })
    }

    /// The newest version of the store with the model that the query names.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`, `NoModel`.
    pub async fn at(&self, query: Query<'_>) -> Result<At, AuthzError> {
        let store = self.open(query.store_id).await?;
        let (view, model, model_id) =
            store.view_with(self.storage(), self.tenant(), query.model_id).await?;
        Ok(At { snapshot: Arc::clone(&view.snapshot), model, model_id })
    }

    /// Asks one check of the newest version.
    ///
    /// # Errors
    /// As [`Authz::at`] and [`At::check`].
    pub async fn check(
        &self,
        query: Query<'_>,
        user: &str,
        relation: &str,
        object: &str,
        request: RequestContext<'_>,
    ) -> Result<Answer<bool>, AuthzError> {
        let at = self.at(query).await?;
        let value = at.check(&CheckRequest { user, relation, object, request })?;
        Ok(Answer { value, revision: at.revision(), model_id: at.model_id })
    }
}

/// Counts an answer, for the operator.
fn count_check(result: &Result<bool, RequestError>) {
    let answer = match result {
        Ok(true) => "allowed",
        Ok(false) => "denied",
        Err(_) => "error",
    };
    counter!("behalf_fga_checks_total", "answer" => answer).increment(1);
}

/// A continuation token: the last tuple's key as hexadecimal JSON, within OpenFGA's pattern.
fn encode_token(key: &(String, String, String)) -> String {
    behalf_verify::hex(serde_json::to_string(key).unwrap_or_default().as_bytes())
}

fn decode_token(token: &str) -> Option<(String, String, String)> {
    let digits: Vec<u8> =
        token.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some((high << 4) | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    serde_json::from_slice(&bytes).ok()
}
