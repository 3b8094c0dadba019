//! Requests as callers state them, and their validation.

use serde_json::{Map, Value as Json};

use super::evaluate::{self, Evaluator, Pair, SubjectId, SubjectKindId};
use super::overlay::Overlay;
use super::plan::{NodeId, StoreModel};
use super::reach::{self, Reach};
use super::scope::Scope;
use super::tuples::Resolver;
use crate::condition::MAX_CONDITION_COST;
use crate::error::{RequestError, TupleError};
use crate::store::Snapshot;
use crate::tuple::{TupleKey, UserRef};

/// A request may not carry more contextual tuples.
pub const MAX_CONTEXTUAL_TUPLES: usize = 100;

/// So many checks of a batch are worked on together.
const TOGETHER: usize = 32;

/// Bounds on the work of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hops through usersets and tuplesets outside recursive relations; 0 for no limit.
    pub resolve_node_limit: u32,
    /// Nodes and edges looked at.
    pub max_steps: u64,
    /// The cost of one condition evaluation.
    pub max_condition_cost: u64,
    /// How many contextual tuples a request may carry.
    pub max_contextual_tuples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resolve_node_limit: 25,
            max_steps: 20_000_000,
            max_condition_cost: MAX_CONDITION_COST,
            max_contextual_tuples: MAX_CONTEXTUAL_TUPLES,
        }
    }
}

/// What every question may carry.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestContext<'a> {
    /// Tuples that hold for this request only.
    pub contextual_tuples: &'a [TupleKey],
    /// Values for conditions.
    pub context: Option<&'a Map<String, Json>>,
    /// Bounds on the work.
    pub limits: Limits,
    /// The time of the request, in microseconds since the Unix epoch; what tuples that hold for a
    /// time are compared with.
    pub now_micros: Option<i64>,
    /// Ends the request early.
    pub stop: Option<Stop<'a>>,
}

/// A check of the caller's, asked now and then while a request is worked on: true ends the request.
///
/// The engine has no clock, so a deadline is such a check.
#[derive(Clone, Copy)]
pub struct Stop<'a>(pub &'a (dyn Fn() -> bool + Sync));

impl std::fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

/// Does the user have the relation to the object?
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckRequest<'a> {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: &'a str,
    /// A relation of the object's type.
    pub relation: &'a str,
    /// `type:id`.
    pub object: &'a str,
    /// Tuples, values and bounds.
    pub request: RequestContext<'a>,
}

/// To which objects of a type does the user have the relation?
#[derive(Clone, Copy, Debug, Default)]
pub struct ListObjectsRequest<'a> {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: &'a str,
    /// A relation of the type.
    pub relation: &'a str,
    /// The type of the objects.
    pub object_type: &'a str,
    /// Tuples, values and bounds.
    pub request: RequestContext<'a>,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageRequest<'a> {
    /// The `next` of the page before; nothing for the first.
    pub after: Option<&'a str>,
    /// At most this many; nothing for all.
    pub max_results: Option<usize>,
}

/// A list, or a page of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was found.
    pub items: Vec<T>,
    /// True if nothing comes after this page.
    pub is_complete: bool,
    /// Where the next page begins. An incomplete list without it cannot be continued.
    pub next: Option<String>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), is_complete: false, next: None }
    }
}

/// To which of these objects does the user have the relation?
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterRequest<'a> {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: &'a str,
    /// A relation of the type.
    pub relation: &'a str,
    /// The type of the objects.
    pub object_type: &'a str,
    /// The objects' ids, without the type.
    pub ids: &'a [&'a str],
    /// Tuples, values and bounds.
    pub request: RequestContext<'a>,
}

impl Snapshot {
    /// Answers one check.
    ///
    /// # Errors
    /// When the request is invalid under the model, a condition that decides cannot be evaluated,
    /// or a bound is reached. An error is never an "allowed".
    pub fn check(
        &self,
        model: &StoreModel,
        check: &CheckRequest<'_>,
    ) -> Result<bool, RequestError> {
        let resolved = model
            .resolve(check.user, check.relation, check.object)
            .map_err(RequestError::InvalidInput)?;
        let mut overlay = Overlay::new(self, model, &check.request)?;
        let Some(node) = model.node(resolved.node) else { return Ok(false) };
        let (mut subject, user_id) = subject_without_id(model, resolved.user, resolved.user_node);
        let target = (node.object_type, resolved.object.id);
        let object = match user_id {
            None => overlay.object(self, target.0, target.1),
            Some(id) => {
                let (user, object) = self.two_object_numbers((subject.type_number, id), target);
                subject.id = overlay.numbered(user, subject.type_number, id);
                overlay.numbered(object, target.0, target.1)
            }
        };
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: check.request };
        evaluate::check(scope, subject, (resolved.node, object))
    }

    /// Answers many checks on this one version, each for itself.
    ///
    /// Neighbours with the same user, context and contextual tuples share what they work out; for
    /// others, what they look at is read together.
    pub fn batch_check(
        &self,
        model: &StoreModel,
        checks: &[CheckRequest<'_>],
    ) -> Vec<Result<bool, RequestError>> {
        let mut answers = Vec::with_capacity(checks.len());
        let mut resolver = Resolver::new(model);
        let mut rest = checks;
        while !rest.is_empty() {
            let mut groups = Vec::new();
            let mut count = 0;
            while count < TOGETHER
                && let Some(first) = rest.first()
            {
                let same = rest.iter().take_while(|next| shares_work(first, next)).count();
                let (group, after) = rest.split_at_checked(same).unwrap_or((rest, &[]));
                groups.push(Group::new(self, &mut resolver, group, first));
                count += same;
                rest = after;
            }
            self.check_groups(model, &mut groups, &mut answers);
        }
        answers
    }

    fn check_groups(
        &self,
        model: &StoreModel,
        groups: &mut [Group<'_>],
        answers: &mut Vec<Result<bool, RequestError>>,
    ) {
        let ids: Vec<(u32, &str)> = groups.iter().flat_map(|group| group.ids(model)).collect();
        let mut numbers = self.object_numbers(&ids).into_iter();
        for group in &mut *groups {
            group.number(model, &mut numbers);
        }
        let mut reaches: Vec<Option<Reach<'_>>> =
            groups.iter().map(|group| group.reach(self, model)).collect();
        reach::explore(&mut reaches.iter_mut().flatten().collect::<Vec<_>>());
        for (reach, group) in reaches.iter_mut().zip(&*groups) {
            group.answer(self, model, reach, answers);
        }
    }

    /// Says for each id whether the user has the relation to that object.
    ///
    /// # Errors
    /// When the request is invalid under the model, or one of the answers is an error.
    pub fn filter(
        &self,
        model: &StoreModel,
        filter: &FilterRequest<'_>,
    ) -> Result<Vec<bool>, RequestError> {
        let node = target(model, filter.object_type, filter.relation)?;
        let object_type = object_type(model, node);
        let mut overlay = Overlay::new(self, model, &filter.request)?;
        let subject = user(self, model, &mut overlay, filter.user)?;
        let ids: Vec<(u32, &str)> = filter.ids.iter().map(|id| (object_type, *id)).collect();
        let numbers = self.object_numbers(&ids).into_iter().zip(filter.ids);
        let pairs: Vec<Pair> =
            numbers.map(|(stored, id)| (node, overlay.numbered(stored, object_type, id))).collect();
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: filter.request };
        Evaluator::new(scope, subject).check_all(&pairs).into_iter().collect()
    }
}

/// Neighbours in a batch that share their user and all else that they look at.
struct Group<'a> {
    request: &'a RequestContext<'a>,
    overlay: Result<Overlay<'a>, RequestError>,
    subject: SubjectId,
    user_id: Option<&'a str>,
    targets: Vec<Result<(NodeId, &'a str), TupleError>>,
    /// The targets that are no errors.
    pairs: Vec<Pair>,
}

impl<'a> Group<'a> {
    fn new(
        snapshot: &Snapshot,
        resolver: &mut Resolver<'a>,
        checks: &'a [CheckRequest<'a>],
        first: &'a CheckRequest<'a>,
    ) -> Self {
        let model = resolver.model;
        let user = model.resolve_user(first.user);
        let targets = checks.iter().map(|check| {
            user.as_ref().map_err(Clone::clone)?;
            resolver.target(check.relation, check.object)
        });
        let targets: Vec<_> = targets.collect();
        let (user, user_node) = match user {
            Ok((user, node)) => (user, node),
            // Every target is this error.
            Err(_) => (UserRef::Wildcard { type_name: "" }, None),
        };
        let (subject, user_id) = subject_without_id(model, user, user_node);
        let pairs = Vec::with_capacity(targets.len());
        let overlay = Overlay::new(snapshot, model, &first.request);
        Self { request: &first.request, overlay, subject, user_id, targets, pairs }
    }

    /// The types and ids of the user and of the objects.
    fn ids(&self, model: &'a StoreModel) -> impl Iterator<Item = (u32, &'a str)> {
        let user = self.user_id.map(|id| (self.subject.type_number, id));
        let objects = self.targets.iter().flatten();
        user.into_iter().chain(objects.map(|(node, id)| (object_type(model, *node), *id)))
    }

    /// Takes the numbers that the store has for [`Self::ids`].
    fn number(&mut self, model: &StoreModel, stored: &mut impl Iterator<Item = Option<u32>>) {
        let overlay = &mut self.overlay;
        let mut next = |object_type: u32, id: &str| {
            let stored = stored.next().flatten();
            overlay.as_mut().map_or(0, |overlay| overlay.numbered(stored, object_type, id))
        };
        if let Some(id) = self.user_id {
            self.subject.id = next(self.subject.type_number, id);
        }
        for (node, id) in self.targets.iter().flatten() {
            self.pairs.push((*node, next(object_type(model, *node), id)));
        }
    }

    fn scope<'e>(&'e self, snapshot: &'e Snapshot, model: &'e StoreModel) -> Option<Scope<'e>> {
        let overlay = self.overlay.as_ref().ok()?;
        Some(Scope { snapshot, model, overlay, request: *self.request })
    }

    /// The question about the first pairs; nothing if the user's questions are not for [`Reach`].
    fn reach<'e>(&'e self, snapshot: &'e Snapshot, model: &'e StoreModel) -> Option<Reach<'e>> {
        let scope = self.scope(snapshot, model)?;
        if self.pairs.is_empty() || !Reach::is_for(&scope, &self.subject) {
            return None;
        }
        let mut reach = Reach::new(scope, self.subject);
        reach.ask_first(&self.pairs);
        Some(reach)
    }

    /// Adds the answers, of which most are known by now; the others need an evaluator.
    fn answer<'e>(
        &'e self,
        snapshot: &'e Snapshot,
        model: &'e StoreModel,
        reach: &mut Option<Reach<'e>>,
        answers: &mut Vec<Result<bool, RequestError>>,
    ) {
        let known = |pair: &Pair| reach.as_ref().and_then(|reach| reach.known(*pair));
        match self.scope(snapshot, model) {
            Some(scope) if !self.pairs.iter().all(|pair| known(pair).is_some()) => {
                let mut evaluator = Evaluator::with(scope, self.subject, reach.take());
                self.add(evaluator.check_all(&self.pairs).into_iter(), answers);
            }
            _ => self.add(self.pairs.iter().map(|pair| Ok(known(pair) == Some(true))), answers),
        }
    }

    /// Adds an answer for each target, given those for the pairs.
    fn add(
        &self,
        mut checked: impl Iterator<Item = Result<bool, RequestError>>,
        answers: &mut Vec<Result<bool, RequestError>>,
    ) {
        answers.extend(self.targets.iter().map(|target| match (target, &self.overlay) {
            // The checks' own errors come before those of their contextual tuples.
            (Err(error), _) => Err(RequestError::InvalidInput(error.clone())),
            (Ok(_), Err(error)) => Err(error.clone()),
            (Ok(_), Ok(_)) => checked.next().unwrap_or(Ok(false)),
        }));
    }
}

/// True if two checks have the same user and may look at the same tuples in the same way.
fn shares_work(one: &CheckRequest<'_>, other: &CheckRequest<'_>) -> bool {
    let (first, next) = (&one.request, &other.request);
    let is_same_context = match (first.context, next.context) {
        (Some(first), Some(next)) => std::ptr::eq(first, next) || first == next,
        (first, next) => first.is_none() && next.is_none(),
    };
    let is_same_slice = std::ptr::eq(first.contextual_tuples, next.contextual_tuples);
    one.user == other.user
        && first.limits == next.limits
        && first.now_micros == next.now_micros
        && is_same_context
        && (is_same_slice || first.contextual_tuples == next.contextual_tuples)
}

/// The node of a type and relation named by themselves.
pub(super) fn target(
    model: &StoreModel,
    object_type: &str,
    relation: &str,
) -> Result<NodeId, RequestError> {
    let plan = model
        .type_plan(object_type)
        .ok_or_else(|| RequestError::TypeNotFound(object_type.to_owned()))?;
    plan.relations.get(relation).copied().ok_or_else(|| RequestError::RelationNotFound {
        object_type: object_type.to_owned(),
        relation: relation.to_owned(),
    })
}

/// The number of the type of a node's objects.
fn object_type(model: &StoreModel, node: NodeId) -> u32 {
    model.node(node).map_or(u32::MAX, |node| node.object_type)
}

/// The subject a user's text names.
pub(super) fn user(
    snapshot: &Snapshot,
    model: &StoreModel,
    overlay: &mut Overlay<'_>,
    text: &str,
) -> Result<SubjectId, RequestError> {
    let (user, node) = model.resolve_user(text).map_err(RequestError::InvalidInput)?;
    Ok(subject_of(snapshot, model, overlay, user, node))
}

pub(super) fn subject_of(
    snapshot: &Snapshot,
    model: &StoreModel,
    overlay: &mut Overlay<'_>,
    user: UserRef<'_>,
    user_node: Option<NodeId>,
) -> SubjectId {
    let (subject, id) = subject_without_id(model, user, user_node);
    let id = id.map_or(0, |id| overlay.object(snapshot, subject.type_number, id));
    SubjectId { id, ..subject }
}

/// The subject with zero for its id, and the id as text; a wildcard's is zero.
fn subject_without_id<'n>(
    model: &StoreModel,
    user: UserRef<'n>,
    user_node: Option<NodeId>,
) -> (SubjectId, Option<&'n str>) {
    let plan = model.type_plan(user.type_name());
    let (type_number, type_class) = plan.map_or((u32::MAX, u32::MAX), |p| (p.number, p.class));
    let (kind, id, class) = match (user, user_node) {
        (UserRef::Userset { object, .. }, Some(node)) => {
            (SubjectKindId::Userset(node), Some(object.id), model.userset_class(node))
        }
        (UserRef::Wildcard { .. }, _) => (SubjectKindId::Wildcard, None, type_class),
        (UserRef::Object(object) | UserRef::Userset { object, .. }, _) => {
            (SubjectKindId::Object, Some(object.id), type_class)
        }
    };
    (SubjectId { kind, type_number, id: 0, class }, id)
}
