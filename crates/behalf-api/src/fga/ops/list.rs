//! Which objects, which users.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use behalf_authz::engine::{
    ListObjectsRequest, ListUsersRequest, Listing, MAX_CONTEXTUAL_TUPLES, PageRequest,
    RequestContext, RequestError, Stop, TupleKey, User, UserFilter,
};
use behalf_authz::{At, AuthzError};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{contextual_of, map_of, tuples_of};
use crate::fga::error::FgaError;
use crate::fga::rules::{self, In};
use crate::fga::wire::openfga_v1 as pb;

impl Call {
    pub(in crate::fga) async fn list_objects(
        &self,
        request: pb::ListObjectsRequest,
    ) -> Result<Answer<pb::ListObjectsResponse>, FgaError> {
        let limits = self.context.fga_limits;
        let deadline = limits.list_objects_deadline;
        let bounds = Bounds { max_results: limits.list_objects_max_results, deadline };
        let answer = self.objects(In("ListObjectsRequest"), request, bounds).await?;
        let objects = answer.value;
        Ok(Answer::new(pb::ListObjectsResponse { objects }, answer.stamp))
    }

    /// The same objects, to be sent one by one. As in OpenFGA, any number of them.
    pub(in crate::fga) async fn streamed_list_objects(
        &self,
        request: pb::StreamedListObjectsRequest,
    ) -> Result<Answer<Vec<String>>, FgaError> {
        let request = pb::ListObjectsRequest {
            store_id: request.store_id,
            authorization_model_id: request.authorization_model_id,
            r#type: request.r#type,
            relation: request.relation,
            user: request.user,
            contextual_tuples: request.contextual_tuples,
            context: request.context,
            consistency: request.consistency,
        };
        let deadline = self.context.fga_limits.list_objects_deadline;
        let bounds = Bounds { max_results: 0, deadline };
        self.objects(In("StreamedListObjectsRequest"), request, bounds).await
    }

    pub(in crate::fga) async fn list_users(
        &self,
        request: pb::ListUsersRequest,
    ) -> Result<Answer<pb::ListUsersResponse>, FgaError> {
        let is = In("ListUsersRequest");
        is.store_id(&request.store_id)?;
        is.model_id(&request.authorization_model_id)?;
        let object = is.required("Object", request.object)?;
        is.nested("Object", rules::object(&object))?;
        is.relation(&request.relation)?;
        let [filter] = request.user_filters.as_slice() else {
            let reason = "value must contain exactly 1 item(s)";
            return Err(FgaError::field(is.0, "UserFilters", reason));
        };
        let of_filter = In("UserTypeFilter");
        is.nested("UserFilters[0]", of_filter.type_name(&filter.r#type))?;
        is.nested("UserFilters[0]", of_filter.optional_relation(&filter.relation))?;
        is.flat_contextual(&request.contextual_tuples, MAX_CONTEXTUAL_TUPLES)?;
        is.consistency(request.consistency)?;
        let asked = UsersOf {
            object: format!("{}:{}", object.r#type, object.id),
            relation: request.relation,
            type_name: filter.r#type.clone(),
            of_relation: Some(filter.relation.clone()).filter(|relation| !relation.is_empty()),
            contextual: tuples_of(request.contextual_tuples),
            context: request.context.map(map_of),
        };
        let at = self.at(&request.store_id, &request.authorization_model_id).await?;
        let stamp = Stamp::of(request.store_id, &at);
        let limits = self.context.fga_limits;
        let bounds = Bounds {
            max_results: limits.list_users_max_results,
            deadline: limits.list_users_deadline,
        };
        let Listing { items, is_complete, .. } = asked.ask(at, bounds).await?;
        let users = items.into_iter().map(|user| pb::User { user: Some(user_of(user)) });
        let stamp = Stamp { is_cut: !is_complete, ..stamp };
        Ok(Answer::new(pb::ListUsersResponse { users: users.collect() }, stamp))
    }

    async fn objects(
        &self,
        is: In,
        request: pb::ListObjectsRequest,
        bounds: Bounds,
    ) -> Result<Answer<Vec<String>>, FgaError> {
        is.store_id(&request.store_id)?;
        is.model_id(&request.authorization_model_id)?;
        is.type_name(&request.r#type)?;
        is.relation(&request.relation)?;
        is.list_user(&request.user)?;
        is.contextual(request.contextual_tuples.as_ref())?;
        is.consistency(request.consistency)?;
        let at = self.at(&request.store_id, &request.authorization_model_id).await?;
        let stamp = Stamp::of(request.store_id.clone(), &at);
        let started = Instant::now();
        let listing = in_the_background(move || {
            let contextual = contextual_of(request.contextual_tuples);
            let context = request.context.map(map_of);
            let is_late = || bounds.is_late(started);
            let list = ListObjectsRequest {
                user: &request.user,
                relation: &request.relation,
                object_type: &request.r#type,
                request: RequestContext {
                    contextual_tuples: &contextual,
                    context: context.as_ref(),
                    stop: bounds.stop(&is_late),
                    ..RequestContext::default()
                },
            };
            match bounds.page() {
                // Whoever wants everything need not have it in order.
                None if bounds.deadline.is_zero() => Ok((at.list_objects(&list)?, true)),
                max_results => {
                    let page = PageRequest { max_results, ..PageRequest::default() };
                    let listing = at.list_objects_page(&list, &page)?;
                    Ok((listing.items, listing.is_complete))
                }
            }
        });
        let (objects, is_complete) = listing.await?;
        Ok(Answer::new(objects, Stamp { is_cut: !is_complete, ..stamp }))
    }
}

/// What a list is cut off at; zero for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::fga) struct Bounds {
    max_results: usize,
    deadline: Duration,
}

impl Bounds {
    fn page(self) -> Option<usize> {
        Some(self.max_results).filter(|most| *most > 0)
    }

    fn is_late(self, started: Instant) -> bool {
        started.elapsed() >= self.deadline
    }

    fn stop<'a>(self, is_late: &'a (dyn Fn() -> bool + Sync)) -> Option<Stop<'a>> {
        (!self.deadline.is_zero()).then_some(Stop(is_late))
    }
}

/// Which users are asked for.
pub(in crate::fga) struct UsersOf {
    pub(in crate::fga) object: String,
    pub(in crate::fga) relation: String,
    pub(in crate::fga) type_name: String,
    /// The relation of usersets, or plain users.
    pub(in crate::fga) of_relation: Option<String>,
    pub(in crate::fga) contextual: Vec<TupleKey>,
    pub(in crate::fga) context: Option<Map<String, Value>>,
}

impl UsersOf {
    /// As many of them as the bounds admit.
    pub(in crate::fga) async fn ask(
        self,
        at: At,
        bounds: Bounds,
    ) -> Result<Listing<User>, FgaError> {
        let started = Instant::now();
        in_the_background(move || {
            let is_late = || bounds.is_late(started);
            let list = ListUsersRequest {
                object: &self.object,
                relation: &self.relation,
                filter: UserFilter {
                    type_name: &self.type_name,
                    relation: self.of_relation.as_deref(),
                },
                request: RequestContext {
                    contextual_tuples: &self.contextual,
                    context: self.context.as_ref(),
                    stop: bounds.stop(&is_late),
                    ..RequestContext::default()
                },
            };
            at.list_users(&list, &PageRequest { after: None, max_results: bounds.page() })
        })
        .await
    }
}

fn user_of(user: User) -> pb::user::User {
    match user {
        User::Wildcard { type_name } => {
            pb::user::User::Wildcard(pb::TypedWildcard { r#type: type_name })
        }
        User::Object { type_name, id } => {
            pb::user::User::Object(pb::Object { r#type: type_name, id })
        }
        User::Userset { type_name, id, relation } => {
            pb::user::User::Userset(pb::UsersetUser { r#type: type_name, id, relation })
        }
    }
}

/// Questions that may look at a whole store and run at once: as many as there are cores, so that
/// they wait for each other instead of sharing a core and its memory.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Runs a question that may look at the whole store where it holds nobody up.
pub(in crate::fga) async fn in_the_background<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, FgaError> {
    let Ok(place) = PLACES.acquire().await else { return Err(ended_early()) };
    // Whoever asked may go away; the place is taken until the work is done.
    let work = move || {
        let answer = ask();
        drop(place);
        answer
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => Ok(answer.map_err(AuthzError::from)?),
        Err(error) => {
            tracing::error!(%error, "a question ended early");
            Err(ended_early())
        }
    }
}

fn ended_early() -> FgaError {
    FgaError::new(4000, "Internal Server Error")
}
