//! Questions: each answered on one version of the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use behalf_core::{Page, Timestamp};
use behalf_fga::{
    CheckRequest, Compared, DeleteKey, Explanation, FilterRequest, Limits, ListObjectsRequest,
    ListUsersRequest, Listing, PageRequest, RequestContext, RequestError, Semantics, Side,
    Snapshot, StoreModel, TupleFilter, TupleKey, User, UsersetTree,
};
use metrics::counter;

use crate::Authz;
use crate::error::AuthzError;

/// How long a reader waits for a revision that the store has not come to.
const REACH_WAIT: Duration = Duration::from_secs(1);
/// How long until it is looked at again, when nothing is written here.
const REACH_STEP: Duration = Duration::from_millis(50);

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
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) model: Arc<StoreModel>,
    /// The model's id.
    pub model_id: Arc<str>,
    /// What time it is, for tuples that hold for a time.
    pub(crate) now: Timestamp,
    /// What a question may cost.
    pub(crate) limits: Limits,
    /// Whose answers checks get.
    pub(crate) semantics: Semantics,
}

impl At {
    /// The revision.
    pub fn revision(&self) -> u64 {
        self.snapshot.revision().0
    }

    /// The model, bound to the store.
    pub fn model(&self) -> &StoreModel {
        &self.model
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
        let check = CheckRequest { request: self.timed(check.request), ..*check };
        let side = Side { snapshot: &self.snapshot, model: &self.model };
        let result = self.check_of(side, &check);
        count_checks(std::slice::from_ref(&result));
        result
    }

    /// Answers a check by what may be another snapshot and model, with the store's semantics.
    pub(crate) fn check_of(
        &self,
        side: Side<'_>,
        check: &CheckRequest<'_>,
    ) -> Result<bool, RequestError> {
        match self.semantics {
            Semantics::V1 => side.snapshot.check(side.model, check),
            Semantics::V2 => side.snapshot.check_v2(side.model, check),
        }
    }

    /// Answers each check for itself.
    pub fn batch_check(&self, checks: &[CheckRequest<'_>]) -> Vec<Result<bool, RequestError>> {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| CheckRequest { request: self.timed(check.request), ..*check })
            .collect();
        let results = match self.semantics {
            Semantics::V1 => self.snapshot.batch_check(&self.model, &checks),
            Semantics::V2 => self.snapshot.batch_check_v2(&self.model, &checks),
        };
        count_checks(&results);
        results
    }

    /// Answers a check and says why. Where v2 answers otherwise than v1, only v1 could say why, so
    /// nothing is said.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn explain(&self, check: &CheckRequest<'_>) -> Result<Explanation, RequestError> {
        let check = CheckRequest { request: self.timed(check.request), ..*check };
        if self.semantics == Semantics::V1 {
            return self.snapshot.explain(&self.model, &check);
        }
        let allowed = self.snapshot.check_v2(&self.model, &check)?;
        let explained = self.snapshot.explain(&self.model, &check);
        Ok(explained.ok().filter(|explained| explained.allowed == allowed).unwrap_or_else(|| {
            Explanation {
                allowed,
                revision: self.revision(),
                because: None,
                path: Vec::new(),
                missing: Vec::new(),
                is_truncated: false,
            }
        }))
    }

    /// Answers a check both as v1 and as v2 do, whatever the store is set to.
    pub fn compare_semantics(&self, check: &CheckRequest<'_>) -> Compared {
        let check = CheckRequest { request: self.timed(check.request), ..*check };
        self.snapshot.compare_semantics(&self.model, &check)
    }

    /// Every object of the type to which the user has the relation.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn list_objects(
        &self,
        request: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, RequestError> {
        let list = ListObjectsRequest { request: self.timed(request.request), ..*request };
        self.snapshot.list_objects(&self.model, &list)
    }

    /// One page of those objects, in an order that does not change with the version.
    ///
    /// # Errors
    /// As [`At::check`], and when no page gave the token.
    pub fn list_objects_page(
        &self,
        request: &ListObjectsRequest<'_>,
        page: &PageRequest<'_>,
    ) -> Result<Listing<String>, RequestError> {
        let list = ListObjectsRequest { request: self.timed(request.request), ..*request };
        self.snapshot.list_objects_page(&self.model, &list, page)
    }

    /// The users who have the relation to the object, or one page of them.
    ///
    /// # Errors
    /// As [`At::check`], and when no page gave the token.
    pub fn list_users(
        &self,
        request: &ListUsersRequest<'_>,
        page: &PageRequest<'_>,
    ) -> Result<Listing<User>, RequestError> {
        let list = ListUsersRequest { request: self.timed(request.request), ..*request };
        self.snapshot.list_users(&self.model, &list, page)
    }

    /// What a relation of an object is made of, one level deep.
    ///
    /// # Errors
    /// When the request is invalid under the model.
    pub fn expand(
        &self,
        object: &str,
        relation: &str,
        request: RequestContext<'_>,
    ) -> Result<UsersetTree, RequestError> {
        self.snapshot.expand(&self.model, object, relation, &self.timed(request))
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
        let list = ListObjectsRequest { request: self.timed(request.request), ..*request };
        self.snapshot.list_candidates(&self.model, &list)
    }

    /// For each id, whether the user has the relation to that object.
    ///
    /// # Errors
    /// As [`At::check`].
    pub fn filter(&self, request: &FilterRequest<'_>) -> Result<Vec<bool>, RequestError> {
        if self.semantics == Semantics::V1 {
            let filter = FilterRequest { request: self.timed(request.request), ..*request };
            return self.snapshot.filter(&self.model, &filter);
        }
        // What is invalid without any id is an error without any.
        let nothing = FilterRequest { ids: &[], request: self.timed(request.request), ..*request };
        self.snapshot.filter(&self.model, &nothing)?;
        let FilterRequest { user, relation, object_type, ids, request } = *request;
        let objects: Vec<_> = ids.iter().map(|id| format!("{object_type}:{id}")).collect();
        let checks: Vec<_> =
            objects.iter().map(|object| CheckRequest { user, relation, object, request }).collect();
        self.batch_check(&checks).into_iter().collect()
    }

    /// The request at this time, unless it says another, within the operator's limits.
    pub fn timed<'r>(&self, request: RequestContext<'r>) -> RequestContext<'r> {
        let now_micros = request.now_micros.or(Some(self.now.as_micros()));
        RequestContext { now_micros, limits: self.limits, ..request }
    }
}

impl Authz {
    /// The stored tuples that `filter` admits; `after` is the `next` of the page before. Tuples that
    /// do not change meanwhile come once in the pages together.
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
        let view = self.open_store(store_id).await?.view();
        read_page(&view.snapshot, filter, limit, after)
    }

    /// As [`Authz::read`], with the time of each tuple's writing, and the revision.
    ///
    /// # Errors
    /// As [`Authz::read`].
    pub async fn read_with_times(
        &self,
        store_id: &str,
        filter: &TupleFilter,
        limit: usize,
        after: &str,
    ) -> Result<(Page<(TupleKey, Timestamp)>, u64), AuthzError> {
        let store = self.open_store(store_id).await?;
        let snapshot = Arc::clone(&store.view().snapshot);
        let page = read_page(&snapshot, filter, limit, after)?;
        let revision = snapshot.revision().0;
        let written = self.written(&store, &page.items, revision).await?;
        // A tuple deleted meanwhile has lost its time; it was there a moment ago.
        let now = self.now();
        let times = written.into_iter().map(|row| row.map_or(now, |row| row.at));
        let items = page.items.into_iter().zip(times).collect();
        let timed = Page { items, next: page.next };
        Ok((timed, revision))
    }

    /// Waits, a bounded time, until the store has come to `revision`.
    ///
    /// # Errors
    /// `StoreNotFound`, or `NotReached` when it has not come so far in time.
    pub async fn reach(&self, store_id: &str, revision: u64) -> Result<(), AuthzError> {
        let deadline = Instant::now() + REACH_WAIT;
        loop {
            let store = self.open_store(store_id).await?;
            let published = store.published.notified();
            let at = store.view().snapshot.revision().0;
            if at >= revision {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(AuthzError::NotReached { wanted: revision, at });
            }
            // Another node's write tells nobody here: look again now and then.
            drop(tokio::time::timeout(left.min(REACH_STEP), published).await);
        }
    }

    /// The newest version of the store with the model that the query names.
    ///
    /// # Errors
    /// `StoreNotFound`, `ModelNotFound`, `NoModel`.
    pub async fn at(&self, query: Query<'_>) -> Result<At, AuthzError> {
        let store = self.open_store(query.store_id).await?;
        let (view, model, model_id) =
            store.view_with(self.storage(), self.tenant(), query.model_id).await?;
        let (now, limits, semantics) = (self.now(), self.limits(), store.semantics());
        let snapshot = Arc::clone(&view.snapshot);
        Ok(At { snapshot, model, model_id, now, limits, semantics })
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

/// Counts answers, for the operator.
fn count_checks(results: &[Result<bool, RequestError>]) {
    let count = |is_it: fn(&Result<bool, RequestError>) -> bool| {
        u64::try_from(results.iter().filter(|result| is_it(result)).count()).unwrap_or(u64::MAX)
    };
    let answers = [
        ("allowed", count(|result| matches!(result, Ok(true)))),
        ("denied", count(|result| matches!(result, Ok(false)))),
        ("error", count(Result::is_err)),
    ];
    for (answer, count) in answers.into_iter().filter(|(_, count)| *count > 0) {
        counter!("behalf_fga_checks_total", "answer" => answer).increment(count);
    }
}

fn read_page(
    snapshot: &Snapshot,
    filter: &TupleFilter,
    limit: usize,
    after: &str,
) -> Result<Page<TupleKey>, AuthzError> {
    let after = match after {
        "" => None,
        token => Some(decode_token(token).ok_or(AuthzError::BadContinuationToken)?),
    };
    let found = snapshot.matching(filter, after.as_ref());
    let found = found.ok_or(AuthzError::BadContinuationToken)?;
    let mut items: Vec<TupleKey> = found.take(limit.saturating_add(1)).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(encode_token);
    Ok(Page { items, next })
}

/// A continuation token: the last tuple's key as hexadecimal JSON, within OpenFGA's pattern.
pub(crate) fn encode_token(tuple: &TupleKey) -> String {
    let key = (&tuple.object, &tuple.relation, &tuple.user);
    behalf_verify::hex(serde_json::to_string(&key).unwrap_or_default().as_bytes())
}

pub(crate) fn decode_token(token: &str) -> Option<DeleteKey> {
    let (object, relation, user) = serde_json::from_slice(&from_hex(token)?).ok()?;
    Some(DeleteKey { user, relation, object })
}

/// The bytes that hexadecimal digits say.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some((high << 4) | low),
            _ => None,
        })
        .collect()
}
