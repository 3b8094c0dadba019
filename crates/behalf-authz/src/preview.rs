//! Dry runs of a model: what it would give and take, asked of the engine for everybody whom the
//! store's tuples name, in a bounded time. Nothing is changed.

mod spread;
mod tuples;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use behalf_fga::{
    AccessDiff, AuthorizationModel, ListObjectsRequest, RelationReference, RequestContext,
    RequestError, Side, Snapshot, Stop, StoreModel, TupleKey, TypeDefinition, Userset,
};
use serde_json::{Map, Value};

use crate::Authz;
use crate::assertions::Assertion;
use crate::error::AuthzError;
use crate::query::{At, Query};

pub use tuples::TuplePreview;

/// Tuples that are looked at, for users and for whether they still fit.
const MAX_TUPLES: usize = 200_000;
/// Users who are compared at most.
const MAX_USERS: usize = 20_000;
/// Examples that are kept of each kind of change, and of tuples that do not fit.
const MAX_EXAMPLES: usize = 20;

/// What a model would change.
#[derive(Clone, Debug, Default)]
pub struct ModelPreview {
    /// The store's revision that was looked at.
    pub revision: u64,
    /// Relations of which the access differs, by type and name.
    pub changes: Vec<RelationChange>,
    /// Stored tuples that the model does not admit: they stay, and count for nothing.
    pub unfit: usize,
    /// Some of them, with what is wrong.
    pub unfit_examples: Vec<(TupleKey, String)>,
    /// Users who were compared, of how many.
    pub compared_users: usize,
    /// How many users the tuples name.
    pub users: usize,
    /// Lists that could not be compared, such as for a condition without its values.
    pub unclear: usize,
    /// What was wrong with the first of them.
    pub first_unclear: Option<String>,
    /// False if there was more than a bound admits: more may change.
    pub is_complete: bool,
    /// The assertions of the present model, asked of the new one: what is expected, and the answer
    /// or why there is none.
    pub tests: Vec<(Assertion, Result<bool, String>)>,
}

/// What changes for one relation.
#[derive(Clone, Debug, Default)]
pub struct RelationChange {
    /// The type.
    pub object_type: String,
    /// The relation.
    pub relation: String,
    /// True if only the new model has it.
    pub is_new: bool,
    /// True if only the present model has it.
    pub is_removed: bool,
    /// How many pairs of user and object gain it.
    pub gained: usize,
    /// How many pairs lose it.
    pub lost: usize,
    /// Some who gain: user and object.
    pub gained_examples: Vec<(String, String)>,
    /// Some who lose.
    pub lost_examples: Vec<(String, String)>,
}

impl Authz {
    /// Says what `model` would change if it became the latest, without writing it. `context` is
    /// for conditions, `patience` bounds the work.
    ///
    /// # Errors
    /// `StoreNotFound`, or when the model breaks a rule of the type system.
    pub async fn preview_model(
        &self,
        store_id: &str,
        model: AuthorizationModel,
        context: Option<Map<String, Value>>,
        patience: Duration,
    ) -> Result<ModelPreview, AuthzError> {
        let at = match self.at(Query { store_id, model_id: None }).await {
            Ok(at) => at,
            Err(AuthzError::NoModel(_)) => {
                // Nothing holds yet, so nothing changes; the model must bind all the same.
                let snapshot = self.snapshot(store_id).await?;
                snapshot.with_model(model)?;
                return Ok(ModelPreview { is_complete: true, ..ModelPreview::default() });
            }
            Err(error) => return Err(error),
        };
        let tests = self.read_assertions(store_id, &at.model_id).await?;
        let until = Instant::now() + patience;
        let compared = tokio::task::spawn_blocking(move || {
            let (after, model) = at.snapshot().with_model(model)?;
            let comparison = Comparison { at: &at, after: &after, model: &model, context, until };
            let mut preview = comparison.run();
            let side = Side { snapshot: &after, model: &model };
            preview.tests = tests.into_iter().map(|test| test.asked_of(&at, side)).collect();
            Ok(preview)
        });
        compared.await.map_err(|_panicked| AuthzError::Contention)?
    }
}

struct Comparison<'a> {
    at: &'a At,
    after: &'a Snapshot,
    model: &'a StoreModel,
    context: Option<Map<String, Value>>,
    until: Instant,
}

/// A relation of a type.
type Name<'a> = (&'a str, &'a str);

impl Comparison<'_> {
    fn run(&self) -> ModelPreview {
        let mut preview = ModelPreview { revision: self.at.revision(), ..ModelPreview::default() };
        let (old, new) = (self.at.model().model(), self.model.model());
        let before = relations(old);
        let now = relations(new);
        let affected = affected(old, new);
        let names: BTreeSet<Name<'_>> = before.keys().chain(now.keys()).copied().collect();
        let mut changes: Vec<RelationChange> = names
            .into_iter()
            .filter(|(_, relation)| affected.contains(relation))
            .map(|name| RelationChange {
                object_type: name.0.to_owned(),
                relation: name.1.to_owned(),
                is_new: !before.contains_key(&name),
                is_removed: !now.contains_key(&name),
                ..RelationChange::default()
            })
            .collect();
        let users = self.users(&mut preview);
        preview.users = users.len();
        for user in users.iter().take(MAX_USERS) {
            if Instant::now() >= self.until || !self.compare(user, &mut changes, &mut preview) {
                preview.is_complete = false;
                break;
            }
            preview.compared_users += 1;
        }
        preview.is_complete &= users.len() <= MAX_USERS;
        let is_told = |c: &RelationChange| c.is_new || c.is_removed || c.gained + c.lost > 0;
        preview.changes = changes.into_iter().filter(is_told).collect();
        preview
    }

    /// The users whom tuples name; on the way, the tuples that the new model does not admit.
    fn users(&self, preview: &mut ModelPreview) -> BTreeSet<String> {
        let mut users = BTreeSet::new();
        let mut seen = 0;
        for tuple in self.at.snapshot().tuples().take(MAX_TUPLES) {
            seen += 1;
            if let Err(reason) = self.model.validate_tuple(&tuple)
                && self.at.model().validate_tuple(&tuple).is_ok()
            {
                preview.unfit += 1;
                if preview.unfit_examples.len() < MAX_EXAMPLES {
                    preview.unfit_examples.push((tuple.clone(), reason.to_string()));
                }
            }
            if !tuple.user.contains('#') {
                users.insert(tuple.user);
            }
        }
        preview.is_complete = seen == self.at.snapshot().tuple_count();
        users
    }

    /// Compares what one user has; false when the time is over.
    fn compare(
        &self,
        user: &str,
        changes: &mut [RelationChange],
        preview: &mut ModelPreview,
    ) -> bool {
        for change in changes {
            match self.difference(user, change) {
                Ok(diff) => {
                    change.gained += diff.gained.len();
                    change.lost += diff.lost.len();
                    keep(&mut change.gained_examples, user, diff.gained);
                    keep(&mut change.lost_examples, user, diff.lost);
                }
                Err(RequestError::Stopped) => return false,
                // A type that one of the models does not have: there is nobody of it.
                Err(RequestError::InvalidInput(_)) => {}
                Err(error) => {
                    preview.unclear += 1;
                    preview.first_unclear.get_or_insert_with(|| error.to_string());
                }
            }
        }
        true
    }

    fn difference(&self, user: &str, change: &RelationChange) -> Result<AccessDiff, RequestError> {
        let is_over = || Instant::now() >= self.until;
        let request = RequestContext {
            context: self.context.as_ref(),
            stop: Some(Stop(&is_over)),
            ..RequestContext::default()
        };
        let list = ListObjectsRequest {
            user,
            relation: &change.relation,
            object_type: &change.object_type,
            request: self.at.timed(request),
        };
        let before = Side { snapshot: self.at.snapshot(), model: self.at.model() };
        let after = Side { snapshot: self.after, model: self.model };
        let all = |side: Side<'_>| match side.snapshot.list_objects(side.model, &list) {
            Err(RequestError::InvalidInput(_)) => Ok(Vec::new()),
            listed => listed,
        };
        let is_user_of = |side: Side<'_>| {
            let (user_type, _) = user.split_once(':').unwrap_or_default();
            side.model.model().type_definitions.iter().any(|of| of.type_name == user_type)
        };
        match (change.is_new || !is_user_of(before), change.is_removed || !is_user_of(after)) {
            (true, true) => Ok(AccessDiff::default()),
            (true, false) => Ok(AccessDiff { gained: all(after)?, lost: Vec::new() }),
            (false, true) => Ok(AccessDiff { gained: Vec::new(), lost: all(before)? }),
            (false, false) => AccessDiff::of_objects(before, after, &list),
        }
    }
}

fn keep(examples: &mut Vec<(String, String)>, user: &str, objects: Vec<String>) {
    let room = MAX_EXAMPLES.saturating_sub(examples.len());
    examples.extend(objects.into_iter().take(room).map(|object| (user.to_owned(), object)));
}

/// What a relation is made of.
type Rule<'a> = (&'a Userset, &'a [RelationReference]);

fn relations(model: &AuthorizationModel) -> BTreeMap<Name<'_>, Rule<'_>> {
    model.type_definitions.iter().flat_map(rules_of).collect()
}

fn rules_of(definition: &TypeDefinition) -> impl Iterator<Item = (Name<'_>, Rule<'_>)> {
    definition.relations.iter().map(|(relation, rewrite)| {
        let admitted = definition.directly_related_user_types(relation);
        ((definition.type_name.as_str(), relation.as_str()), (rewrite, admitted))
    })
}

/// The names of relations whose answers may differ: those with another rule or condition, and all
/// that refer to such a name, on whichever type. Perhaps some too many, never one too few.
fn affected<'m>(old: &'m AuthorizationModel, new: &'m AuthorizationModel) -> BTreeSet<&'m str> {
    let (before, now) = (relations(old), relations(new));
    let is_other_condition = |name: &str| old.conditions.get(name) != new.conditions.get(name);
    let mut affected: BTreeSet<&str> = BTreeSet::new();
    for (name, rule) in before.iter().chain(&now) {
        let is_same = before.get(name) == Some(rule) && now.get(name) == Some(rule);
        let has_other = rule.1.iter().any(|admitted| is_other_condition(&admitted.condition));
        if !is_same || has_other {
            affected.insert(name.1);
        }
    }
    loop {
        let known = affected.len();
        for ((_, relation), (rewrite, admitted)) in before.iter().chain(&now) {
            let refers = admitted.iter().any(|of| affected.contains(of.relation.as_str()))
                || mentions(rewrite, &affected);
            if refers {
                affected.insert(relation);
            }
        }
        if affected.len() == known {
            return affected;
        }
    }
}

/// True if the rule names one of these relations. Models nest to a bounded depth.
fn mentions(rewrite: &Userset, names: &BTreeSet<&str>) -> bool {
    let is_named = |name: &String| names.contains(name.as_str());
    match rewrite {
        Userset::This(_) => false,
        Userset::ComputedUserset(of) => is_named(&of.relation),
        Userset::TupleToUserset(of) => {
            is_named(&of.tupleset.relation) || is_named(&of.computed_userset.relation)
        }
        Userset::Union(of) | Userset::Intersection(of) => {
            of.child.iter().any(|child| mentions(child, names))
        }
        Userset::Difference(of) => mentions(&of.base, names) || mentions(&of.subtract, names),
    }
}
