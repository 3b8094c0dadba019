//! OpenFGA's second Check, which it calls weighted graph (`weighted_graph_check`): v2 here.
//!
//! It answers as the first where the user is an object. A userset has a relation only where stored
//! tuples lead to it: that a relation is the userset itself, computed from it, or asked of a parent
//! is no reason. `type:*` and usersets may meet a `but not` for which it has no answer, some models
//! it does not take at all; OpenFGA then asks v1, and so does this.
//!
//! [`fit`] says once per model what v2 needs to know of it. Questions about objects are the first
//! evaluation's, others are walked here: a model that v2 takes has no `and` or `but not` in a
//! circle, so that every circle is a matter of what can be reached.

mod fit;
mod shapes;
mod walk;

use serde::{Deserialize, Serialize};

pub(super) use fit::Fit;
use walk::{Refusal, Walk};

use super::explain::{Proof, Reason};
use super::overlay::Overlay;
use super::plan::StoreModel;
use super::request::{CheckRequest, Limits, RequestContext, subject_of};
use super::scope::Scope;
use crate::error::{RequestError, TupleError};
use crate::store::Snapshot;
use crate::tuple::{parse_object, parse_user};

/// Whose answers a store gives to checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantics {
    /// OpenFGA's Check as it is without any flag.
    #[default]
    V1,
    /// Its Check under `weighted_graph_check`.
    V2,
}

impl Semantics {
    /// `v1` or `v2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The semantics with that name.
    pub fn find(name: &str) -> Option<Self> {
        [Self::V1, Self::V2].into_iter().find(|known| known.as_str() == name)
    }
}

/// Why v2 does not take a model: it asks v1 for everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Unfit {
    /// `x from y` where a type of `y` has no relation `x`.
    MissingRelation {
        /// The relation that says so, `type#relation`.
        relation: String,
        /// What is missing, `type#relation`.
        missing: String,
    },
    /// An operand of `and` or `but not` leads back to its own relation.
    Circle {
        /// A relation in the circle.
        relation: String,
    },
    /// The operands of an `and` have no type of user in common.
    NothingInCommon {
        /// The relation that has the `and`.
        relation: String,
    },
    /// Both operands of a `but not` are one and the same.
    SameOperands {
        /// The relation that has the `but not`.
        relation: String,
    },
}

/// Why v2 answers a check otherwise than v1, or has no answer of its own.
///
/// The names are OpenFGA's, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The user is the very userset asked about.
    SelfReferentialUserset,
    /// A tuple names a userset that is computed from the user.
    AliasUserset,
    /// The relation is computed from the user's, of the same object.
    ComputedUsersetSelfObject,
    /// The user is the relation of a parent.
    TtuUserset,
    /// A userset meets a `but not`: v2 has no answer where no tuple could exclude it, and grants
    /// where v1 excludes it without a tuple.
    UsersetWithExclusion,
    /// `type:*` meets a `but not`: v2 has no answer.
    WildcardWithExclusion,
    /// v1 goes only so many hops, v2 has no such limit.
    Depth,
    /// They differ in which tuples count: a condition that the model admits for another kind of
    /// user, or a contextual `type:*` beside a stored one.
    Tuples,
}

/// Both answers to a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// As v1 answers.
    pub v1: Result<bool, RequestError>,
    /// As v2 answers, where it asks v1 if it has no answer of its own.
    pub v2: Result<bool, RequestError>,
    /// Why the answers differ, or why v2 asks v1.
    pub change: Option<Change>,
    /// True if v2 asks v1.
    pub is_fallback: bool,
}

impl StoreModel {
    /// Why v2 does not take the model, if it does not.
    pub fn unfit(&self) -> Option<&Unfit> {
        self.fit().unfit.as_ref()
    }

    fn fit(&self) -> &Fit {
        self.fit.get_or_init(|| Fit::new(self))
    }
}

impl Snapshot {
    /// Answers one check as v2 does.
    ///
    /// # Errors
    /// As [`Snapshot::check`].
    pub fn check_v2(
        &self,
        model: &StoreModel,
        check: &CheckRequest<'_>,
    ) -> Result<bool, RequestError> {
        if model.unfit().is_some() {
            return self.check(model, check);
        }
        match self.own_answer(model, check) {
            Ok(is_allowed) => Ok(is_allowed),
            Err(Refusal::Failure(error)) => Err(*error),
            Err(Refusal::NoAnswer(_)) => self.check(model, check),
        }
    }

    /// Answers many checks as v2 does, each for itself. As in OpenFGA's batches, v1 also answers
    /// where v2 would say an error.
    pub fn batch_check_v2(
        &self,
        model: &StoreModel,
        checks: &[CheckRequest<'_>],
    ) -> Vec<Result<bool, RequestError>> {
        if model.unfit().is_some() {
            return self.batch_check(model, checks);
        }
        let unbounded: Vec<_> = checks.iter().map(without_node_limit).collect();
        // Neighbours that the first evaluation answers are asked together.
        let mut answers = Vec::with_capacity(checks.len());
        let mut rest = unbounded.as_slice();
        while let Some(first) = rest.first() {
            let is_walked = needs_walk(model, first);
            let same = rest.iter().take_while(|check| needs_walk(model, check) == is_walked);
            let (group, after) = rest.split_at_checked(same.count()).unwrap_or((rest, &[]));
            if is_walked {
                answers.extend(group.iter().map(|check| self.walked(model, check)));
            } else {
                let asked = self.batch_check(model, group).into_iter();
                answers.extend(asked.map(|answer| answer.map_err(Refusal::from)));
            }
            rest = after;
        }
        let answer = |(own, check)| match own {
            Ok(is_allowed) => Ok(is_allowed),
            Err(Refusal::Failure(error)) if error.is_end() => Err(*error),
            Err(_) => self.check(model, check),
        };
        answers.into_iter().zip(checks).map(answer).collect()
    }

    /// Answers one check both ways, and says why the answers differ.
    pub fn compare_semantics(&self, model: &StoreModel, check: &CheckRequest<'_>) -> Compared {
        let v1 = self.check(model, check);
        if model.unfit().is_some() {
            return Compared { v2: v1.clone(), v1, change: None, is_fallback: true };
        }
        let v2 = match self.own_answer(model, check) {
            Ok(is_allowed) => Ok(is_allowed),
            Err(Refusal::Failure(error)) => Err(*error),
            Err(Refusal::NoAnswer(change)) => {
                let v2 = v1.clone();
                return Compared { v1, v2, change: Some(change), is_fallback: true };
            }
        };
        let change = match (&v1, &v2) {
            (Ok(first), Ok(second)) if first == second => None,
            (Err(RequestError::TooComplex), _) => Some(Change::Depth),
            (Ok(true), Ok(false)) => Some(self.why_not(model, check)),
            (Ok(false), Ok(true)) if check.user.contains('#') => Some(Change::UsersetWithExclusion),
            (Ok(_), Ok(_)) => Some(Change::Tuples),
            _ => None,
        };
        Compared { v1, v2, change, is_fallback: false }
    }

    /// The answer that v2 has of its own.
    fn own_answer(&self, model: &StoreModel, check: &CheckRequest<'_>) -> Result<bool, Refusal> {
        validate(model, check)?;
        let check = without_node_limit(check);
        if needs_walk(model, &check) {
            return self.walked(model, &check);
        }
        Ok(self.check(model, &check)?)
    }

    fn walked(&self, model: &StoreModel, check: &CheckRequest<'_>) -> Result<bool, Refusal> {
        if let Some(tuple) = model.fit().refused(model, check.request.contextual_tuples) {
            let reason = TupleError::NoObjectRelation;
            let tuple = tuple.to_string();
            return Err(RequestError::InvalidContextualTuple { tuple, reason }.into());
        }
        let resolved = model
            .resolve(check.user, check.relation, check.object)
            .map_err(RequestError::InvalidInput)?;
        let mut overlay = Overlay::new(self, model, &check.request)?;
        let subject = subject_of(self, model, &mut overlay, resolved.user, resolved.user_node);
        let Some(node) = model.node(resolved.node) else { return Ok(false) };
        let object = overlay.object(self, node.object_type, resolved.object.id);
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: check.request };
        Walk::new(scope, model.fit(), subject).node((resolved.node, object))
    }

    /// Why v2 denies what v1 allows: by how v1 came to the userset itself.
    fn why_not(&self, model: &StoreModel, check: &CheckRequest<'_>) -> Change {
        let explained = self.explain(model, check);
        let proof = explained.ok().and_then(|explained| explained.because);
        proof
            .as_ref()
            .and_then(|proof| last_step(proof, Change::SelfReferentialUserset))
            .unwrap_or(Change::Tuples)
    }
}

/// The step by which a proof comes to the userset itself; `last` is the one before it.
fn last_step(proof: &Proof, last: Change) -> Option<Change> {
    match &proof.reason {
        Reason::Itself => Some(last),
        Reason::Tuple { .. } => None,
        Reason::Computed { from } => {
            let last = match last {
                Change::SelfReferentialUserset => Change::ComputedUsersetSelfObject,
                last => last,
            };
            last_step(from, last)
        }
        Reason::Userset { from, .. } => match from.reason {
            // A tuple that names the very userset counts in both.
            Reason::Itself => None,
            _ => last_step(from, Change::AliasUserset),
        },
        Reason::Parent { from, .. } => last_step(from, Change::TtuUserset),
        Reason::All { of } => of.iter().find_map(|proof| last_step(proof, last)),
        Reason::Except { base } => last_step(base, last),
    }
}

/// True if the first evaluation might answer otherwise than v2.
fn needs_walk(model: &StoreModel, check: &CheckRequest<'_>) -> bool {
    let is_wildcard = |user: &str| user.ends_with(":*");
    check.user.contains('#')
        || is_wildcard(check.user)
        || !model.fit().narrower.is_empty()
        || check.request.contextual_tuples.iter().any(|tuple| is_wildcard(&tuple.user))
}

fn without_node_limit<'a>(check: &CheckRequest<'a>) -> CheckRequest<'a> {
    let limits = Limits { resolve_node_limit: 0, ..check.request.limits };
    CheckRequest { request: RequestContext { limits, ..check.request }, ..*check }
}

/// What is malformed, or what the model does not have, in the words of v2.
fn validate(model: &StoreModel, check: &CheckRequest<'_>) -> Result<(), RequestError> {
    if parse_user(check.user).is_err() {
        return Err(RequestError::InvalidInput(TupleError::MalformedUser));
    }
    // An object that is malformed is none that the model has a relation of.
    let plan = match parse_object(check.object) {
        Err(error @ TupleError::WildcardObject) => return Err(RequestError::InvalidInput(error)),
        Err(_) => None,
        Ok(object) => model.type_plan(object.type_name),
    };
    if plan.is_none_or(|plan| !plan.relations.contains_key(check.relation)) {
        return Err(RequestError::InvalidInput(TupleError::NoObjectRelation));
    }
    match model.resolve_user(check.user) {
        Ok(_) => Ok(()),
        Err(_) => Err(RequestError::InvalidInput(TupleError::MalformedUser)),
    }
}
