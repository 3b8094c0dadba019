//! Whether a tuple is valid under a bound model: the checks of Write and of contextual tuples.

use super::plan::{DirectClass, Node, NodeId, StoreModel, Subject};
use crate::error::TupleError;
use crate::tuple::{
    ObjectRef, TupleCondition, TupleKey, UserRef, is_relation, parse_object, parse_user,
};

/// A key whose type and relation the model has.
pub(super) struct Resolved<'a> {
    pub(super) node: NodeId,
    pub(super) object: ObjectRef<'a>,
    pub(super) user: UserRef<'a>,
    /// The node of a userset user.
    pub(super) user_node: Option<NodeId>,
}

/// Resolves what many questions ask about.
pub(super) struct Resolver<'a> {
    pub(super) model: &'a StoreModel,
    /// The last type and relation, and their node.
    last: Option<(&'a str, &'a str, NodeId)>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(model: &'a StoreModel) -> Self {
        Self { model, last: None }
    }

    /// The node and the object's id; errors are those of [`StoreModel::resolve`].
    pub(super) fn target(
        &mut self,
        relation: &'a str,
        object: &'a str,
    ) -> Result<(NodeId, &'a str), TupleError> {
        let object = parse_object(object)?;
        if let Some((type_name, last, node)) = self.last
            && (type_name, last) == (object.type_name, relation)
        {
            return Ok((node, object.id));
        }
        let node = self.model.resolve_relation(object.type_name, relation)?;
        self.last = Some((object.type_name, relation, node));
        Ok((node, object.id))
    }
}

impl StoreModel {
    /// Checks a tuple as Write does.
    ///
    /// # Errors
    /// The first rule the tuple breaks.
    pub fn validate_tuple(&self, tuple: &TupleKey) -> Result<(), TupleError> {
        let resolved = self.resolve(&tuple.user, &tuple.relation, &tuple.object)?;
        self.direct_class_of(&resolved, tuple).map(|_| ())
    }

    /// Checks that a check of these three could be asked under the model.
    ///
    /// # Errors
    /// What is malformed, or what the model does not have.
    pub fn validate_question(
        &self,
        user: &str,
        relation: &str,
        object: &str,
    ) -> Result<(), TupleError> {
        self.resolve(user, relation, object).map(|_| ())
    }

    /// Checks the parts of a key, not whether a tuple with it may exist.
    pub(super) fn resolve<'a>(
        &self,
        user: &'a str,
        relation: &str,
        object: &'a str,
    ) -> Result<Resolved<'a>, TupleError> {
        let (user, user_node) = self.resolve_user(user)?;
        let object = parse_object(object)?;
        let node = self.resolve_relation(object.type_name, relation)?;
        Ok(Resolved { node, object, user, user_node })
    }

    fn resolve_relation(&self, type_name: &str, relation: &str) -> Result<NodeId, TupleError> {
        let plan = self.type_plan(type_name);
        let plan = plan.ok_or_else(|| TupleError::TypeNotFound(type_name.to_owned()))?;
        if !is_relation(relation) {
            return Err(TupleError::MalformedRelation);
        }
        let node = plan.relations.get(relation).copied();
        node.ok_or_else(|| TupleError::RelationNotFound {
            object_type: type_name.to_owned(),
            relation: relation.to_owned(),
        })
    }

    /// Checks a user, whatever it may be related to.
    pub(super) fn resolve_user<'a>(
        &self,
        user: &'a str,
    ) -> Result<(UserRef<'a>, Option<NodeId>), TupleError> {
        let user = parse_user(user)?;
        let plan = self
            .type_plan(user.type_name())
            .ok_or_else(|| TupleError::TypeNotFound(user.type_name().to_owned()))?;
        let UserRef::Userset { object, relation } = user else { return Ok((user, None)) };
        let node = plan.relations.get(relation).copied();
        let node = node.ok_or_else(|| TupleError::RelationNotFound {
            object_type: object.type_name.to_owned(),
            relation: relation.to_owned(),
        })?;
        Ok((user, Some(node)))
    }

    /// The class a tuple belongs to, if the model admits the tuple.
    pub(super) fn direct_class_of(
        &self,
        resolved: &Resolved<'_>,
        tuple: &TupleKey,
    ) -> Result<&DirectClass, TupleError> {
        let target = || format!("{}#{}", resolved.object.type_name, tuple.relation);
        let Some(node) = self.node(resolved.node) else {
            return Err(TupleError::MalformedRelation);
        };
        if node.is_tupleset {
            match resolved.user {
                UserRef::Object(_) => {}
                UserRef::Wildcard { .. } => {
                    let what = "wildcard relationship".to_owned();
                    return Err(TupleError::Tupleset(what, target()));
                }
                UserRef::Userset { .. } => {
                    let what = format!("user '{}'", tuple.user);
                    return Err(TupleError::Tupleset(what, target()));
                }
            }
        }
        let Some(class) = self.find_class(node, resolved) else {
            let target = target();
            return Err(TupleError::TypeRestriction(match resolved.user {
                UserRef::Object(user) => {
                    format!(
                        "type '{}' is not an allowed type restriction for '{target}'",
                        user.type_name
                    )
                }
                UserRef::Wildcard { .. } => format!(
                    "the typed wildcard '{}' is not an allowed type restriction for '{target}'",
                    tuple.user
                ),
                UserRef::Userset { object, relation } => format!(
                    "'{}#{relation}' is not an allowed type restriction for '{target}'",
                    object.type_name
                ),
            }));
        };
        self.admits(class, tuple.condition.as_ref()).map_err(TupleError::Condition)?;
        Ok(class)
    }

    fn find_class<'m>(
        &'m self,
        node: &'m Node,
        resolved: &Resolved<'_>,
    ) -> Option<&'m DirectClass> {
        let number = self.type_plan(resolved.user.type_name())?.number;
        let subject = match resolved.user {
            UserRef::Object(_) => Subject::Object,
            UserRef::Wildcard { .. } => Subject::Wildcard,
            UserRef::Userset { .. } => Subject::Userset(resolved.user_node?),
        };
        node.direct.iter().find(|c| c.subject_type == number && c.subject == subject)
    }

    /// Whether a class admits a tuple with this condition; a stored tuple that it does not admit
    /// is as if it were not there.
    pub(super) fn admits(
        &self,
        class: &DirectClass,
        condition: Option<&TupleCondition>,
    ) -> Result<(), String> {
        let Some(condition) = condition else {
            return if class.admits_plain {
                Ok(())
            } else {
                Err("condition is missing".to_owned())
            };
        };
        let Some(compiled) = self.conditions.get(condition.name.as_str()) else {
            return Err("undefined condition".to_owned());
        };
        if !class.conditions.iter().any(|name| **name == *condition.name) {
            return Err("invalid condition for type restriction".to_owned());
        }
        compiled.check_context(&condition.context)
    }
}
