//! Explain: why a check is allowed, as the shortest proof, or what was missing, nearest first.
//!
//! The answer itself always comes from the evaluator; an explanation never changes it.

mod denial;
mod proof;

use serde::Serialize;

use super::evaluate::Evaluator;
use super::overlay::Overlay;
use super::plan::{Node, StoreModel, Subject};
use super::request::{CheckRequest, subject_of};
use super::scope::Scope;
use crate::error::RequestError;
use crate::store::{Snapshot, SubjectKind, TableKey};
use crate::tuple::{Guard, TupleKey};

/// An answer with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The answer of a check.
    pub allowed: bool,
    /// The version it was asked of.
    pub revision: u64,
    /// Why it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Proof>,
    /// The tuples of the proof, from the object to the user.
    pub path: Vec<TupleKey>,
    /// What was missing if it is not allowed, nearest first.
    pub missing: Vec<Missing>,
    /// True if there was more to say than an explanation holds.
    pub is_truncated: bool,
}

/// Why a relation of an object holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// `type:id`
    pub object: String,
    /// The relation that holds.
    pub relation: String,
    /// What makes it hold.
    #[serde(flatten)]
    pub reason: Reason,
}

/// What makes a relation hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are tuples and proofs")]
pub enum Reason {
    /// The user is the very userset `object#relation`.
    Itself,
    /// A tuple names the user, or all users of the type.
    Tuple { tuple: TupleKey },
    /// Another relation of the object holds.
    Computed { from: Box<Proof> },
    /// A tuple names a userset in which the user is.
    Userset { tuple: TupleKey, from: Box<Proof> },
    /// A tuple names a parent, to which the user has a relation.
    Parent { tuple: TupleKey, from: Box<Proof> },
    /// All operands of an `and` hold.
    All { of: Vec<Proof> },
    /// The base of a `but not` holds, and what is subtracted does not.
    Except { base: Box<Proof> },
}

/// Something that would have granted the relation, or that took it away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missing {
    /// `type:id`
    pub object: String,
    /// The relation that does not hold.
    pub relation: String,
    /// The tuples that lead here from the object asked about.
    pub via: Vec<TupleKey>,
    /// What is missing here.
    #[serde(flatten)]
    pub what: Lack,
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are tuples, texts and proofs")]
pub enum Lack {
    /// No tuple gives the relation to the user, though one could.
    Tuple { user: String },
    /// No tuple of this relation names a parent.
    Parent { tupleset: String },
    /// The condition of a tuple is not met, or could not be evaluated.
    Condition { tuple: TupleKey, error: Option<String> },
    /// A tuple does not hold yet.
    NotYet { tuple: TupleKey },
    /// A tuple does not hold any more.
    Expired { tuple: TupleKey },
    /// The user has what is subtracted.
    Excluded { by: Box<Proof> },
    /// What is subtracted leads back to itself, which counts as having it.
    Cycle,
}

impl Snapshot {
    /// Answers a check and says why.
    ///
    /// # Errors
    /// Those of [`Snapshot::check`].
    pub fn explain(
        &self,
        model: &StoreModel,
        check: &CheckRequest<'_>,
    ) -> Result<Explanation, RequestError> {
        let resolved = model
            .resolve(check.user, check.relation, check.object)
            .map_err(RequestError::InvalidInput)?;
        let mut overlay = Overlay::new(self, model, &check.request)?;
        let subject = subject_of(self, model, &mut overlay, resolved.user, resolved.user_node);
        let object_type = model.node(resolved.node).map_or(u32::MAX, |node| node.object_type);
        let object = overlay.object(self, object_type, resolved.object.id);
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: check.request };
        let mut evaluator = Evaluator::new(scope, subject);
        let root = (resolved.node, object);
        let allowed = evaluator.check(root.0, root.1)?;
        let mut explanation = Explanation {
            allowed,
            revision: self.revision().0,
            because: None,
            path: Vec::new(),
            missing: Vec::new(),
            is_truncated: false,
        };
        let mut prover = proof::Prover::new(evaluator);
        if allowed {
            explanation.because = prover.prove(root);
            explanation.is_truncated = explanation.because.is_none();
            if let Some(proof) = &explanation.because {
                proof.tuples(&mut explanation.path);
            }
        } else {
            let (missing, is_truncated) = denial::Denial::new(prover, check.user).missing(root);
            (explanation.missing, explanation.is_truncated) = (missing, is_truncated);
        }
        Ok(explanation)
    }
}

impl Proof {
    /// The tuples of the proof, in order.
    fn tuples(&self, into: &mut Vec<TupleKey>) {
        match &self.reason {
            Reason::Itself => {}
            Reason::Tuple { tuple } => into.push(tuple.clone()),
            Reason::Computed { from } | Reason::Except { base: from } => from.tuples(into),
            Reason::Userset { tuple, from } | Reason::Parent { tuple, from } => {
                into.push(tuple.clone());
                from.tuples(into);
            }
            Reason::All { of } => of.iter().for_each(|proof| proof.tuples(into)),
        }
    }
}

/// `type:id` of a node's object.
fn object_text(scope: Scope<'_>, node: &Node, object: u32) -> String {
    let id = scope.overlay.id(scope.snapshot, node.object_type, object).unwrap_or_default();
    format!("{}:{id}", scope.snapshot.type_name(node.object_type))
}

/// A tuple of a node's class as text.
fn tuple_text(
    scope: Scope<'_>,
    node: &Node,
    class: &super::plan::DirectClass,
    object: u32,
    subject: u32,
    guard: Option<Guard<'_>>,
) -> TupleKey {
    let id = scope.overlay.id(scope.snapshot, class.subject_type, subject).unwrap_or_default();
    let kind = match class.subject {
        Subject::Object => SubjectKind::Object,
        Subject::Wildcard => SubjectKind::Wildcard,
        Subject::Userset(target) => {
            SubjectKind::Userset(scope.model.node(target).map_or(u32::MAX, |node| node.relation))
        }
    };
    let key = TableKey {
        object_type: node.object_type,
        relation: node.relation,
        subject_type: class.subject_type,
        subject: kind,
    };
    TupleKey {
        user: scope.snapshot.subject_text(&key, id),
        relation: node.relation_name.to_string(),
        object: object_text(scope, node, object),
        condition: guard.and_then(|guard| guard.condition).cloned(),
        validity: guard.map(|guard| guard.validity).unwrap_or_default(),
    }
}
