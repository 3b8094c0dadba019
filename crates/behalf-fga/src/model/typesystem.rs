//! The rules a model must meet to be written to a store (OpenFGA's type system checks, code 2056).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::entry::{EntryPoints, computed_loops};
use super::json::{AuthorizationModel, TypeDefinition, Userset};
use crate::error::ErrorCode;

/// Operators nested deeper than this are refused.
pub const MAX_REWRITE_DEPTH: usize = 128;

/// Why a model cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum InvalidModel {
    #[error("invalid schema version")]
    SchemaVersion,
    #[error("an authorization model cannot contain duplicate types")]
    DuplicateTypes,
    #[error("the type name of a type definition cannot be an empty string")]
    EmptyTypeName,
    #[error("type '{0}' defines a relation with an empty string for a name")]
    EmptyRelationName(String),
    #[error("the definition of type '{0}' is invalid: self and this are reserved keywords")]
    ReservedType(String),
    #[error(
        "the definition of relation '{relation}' in object type '{object_type}' is invalid: {reason}"
    )]
    Relation { object_type: String, relation: String, reason: &'static str },
    #[error("'{object_type}#{relation}' relation is undefined")]
    RelationUndefined { object_type: String, relation: String },
    #[error(
        "the '{object_type}#{relation}' relation is referenced in at least one tupleset and thus must be a direct relation"
    )]
    TuplesetNotDirect { object_type: String, relation: String },
    #[error(
        "undefined relation: {0} does not appear as a relation in any of the directly related user types"
    )]
    TuplesetTargetUndefined(String),
    #[error(
        "the assignable relation '{relation}' in object type '{object_type}' must contain at least one relation type"
    )]
    Assignable { object_type: String, relation: String },
    #[error(
        "the non-assignable relation '{relation}' in object type '{object_type}' should not contain a relation type"
    )]
    NonAssignable { object_type: String, relation: String },
    #[error(
        "the relation type '{related}' on '{relation}' in object type '{object_type}' is not valid"
    )]
    RelationType { related: String, object_type: String, relation: String },
    #[error("condition {condition} is undefined for relation {relation}")]
    ConditionUndefined { condition: String, relation: String },
    #[error("condition key '{key}' does not match condition name '{name}'")]
    ConditionName { key: String, name: String },
    #[error("failed to compile expression on condition '{condition}' - {reason}")]
    ConditionExpression { condition: String, reason: String },
    #[error("the model has too many {0}")]
    TooMany(&'static str),
}

impl InvalidModel {
    /// The code OpenFGA answers with.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidAuthorizationModel
    }
}

/// Checks everything but the conditions' expressions.
pub(crate) fn check(model: &AuthorizationModel) -> Result<(), InvalidModel> {
    if !matches!(model.schema_version.as_str(), "1.1" | "1.2") {
        return Err(InvalidModel::SchemaVersion);
    }
    let mut types: BTreeMap<&str, &TypeDefinition> = BTreeMap::new();
    for definition in &model.type_definitions {
        if types.insert(&definition.type_name, definition).is_some() {
            return Err(InvalidModel::DuplicateTypes);
        }
        check_names(definition)?;
    }
    for (key, condition) in &model.conditions {
        if *key != condition.name {
            let name = condition.name.clone();
            return Err(InvalidModel::ConditionName { key: key.clone(), name });
        }
    }
    let checker = Checker { model, types };
    for definition in checker.types.values() {
        let mut tuplesets = BTreeSet::new();
        for (relation, rewrite) in &definition.relations {
            checker.check_rewrite(definition, relation, rewrite, 0)?;
            collect_tuplesets(rewrite, &mut tuplesets);
        }
        for (relation, rewrite) in &definition.relations {
            checker.check_restrictions(definition, relation, rewrite, &tuplesets)?;
        }
    }
    checker.check_reachable()
}

/// The relations that some `x from relation` of the type names.
pub(crate) fn collect_tuplesets<'a>(rewrite: &'a Userset, found: &mut BTreeSet<&'a str>) {
    match rewrite {
        Userset::This(_) | Userset::ComputedUserset(_) => {}
        Userset::TupleToUserset(ttu) => {
            found.insert(&ttu.tupleset.relation);
        }
        Userset::Union(children) | Userset::Intersection(children) => {
            children.child.iter().for_each(|child| collect_tuplesets(child, found));
        }
        Userset::Difference(pair) => {
            collect_tuplesets(&pair.base, found);
            collect_tuplesets(&pair.subtract, found);
        }
    }
}

fn check_names(definition: &TypeDefinition) -> Result<(), InvalidModel> {
    match definition.type_name.as_str() {
        "" => return Err(InvalidModel::EmptyTypeName),
        "self" | "this" => return Err(InvalidModel::ReservedType(definition.type_name.clone())),
        _ => {}
    }
    for relation in definition.relations.keys() {
        if relation.is_empty() {
            return Err(InvalidModel::EmptyRelationName(definition.type_name.clone()));
        }
        if relation == "self" || relation == "this" {
            return Err(invalid(definition, relation, "self and this are reserved keywords"));
        }
    }
    Ok(())
}

fn invalid(definition: &TypeDefinition, relation: &str, reason: &'static str) -> InvalidModel {
    let object_type = definition.type_name.clone();
    InvalidModel::Relation { object_type, relation: relation.to_owned(), reason }
}

fn contains_this(rewrite: &Userset) -> bool {
    match rewrite {
        Userset::This(_) => true,
        Userset::ComputedUserset(_) | Userset::TupleToUserset(_) => false,
        Userset::Union(children) | Userset::Intersection(children) => {
            children.child.iter().any(contains_this)
        }
        Userset::Difference(pair) => contains_this(&pair.base) || contains_this(&pair.subtract),
    }
}

struct Checker<'a> {
    model: &'a AuthorizationModel,
    types: BTreeMap<&'a str, &'a TypeDefinition>,
}

impl Checker<'_> {
    fn has_relation(&self, type_name: &str, relation: &str) -> bool {
        self.types.get(type_name).is_some_and(|t| t.relations.contains_key(relation))
    }

    fn check_rewrite(
        &self,
        definition: &TypeDefinition,
        relation: &str,
        rewrite: &Userset,
        depth: usize,
    ) -> Result<(), InvalidModel> {
        const REWRITE: &str = "invalid userset rewrite definition";
        if depth > MAX_REWRITE_DEPTH {
            return Err(invalid(definition, relation, "operators are nested too deep"));
        }
        let undefined = |relation: &str| InvalidModel::RelationUndefined {
            object_type: definition.type_name.clone(),
            relation: relation.to_owned(),
        };
        match rewrite {
            Userset::This(_) => Ok(()),
            Userset::ComputedUserset(computed) => {
                if computed.relation == relation {
                    return Err(invalid(definition, relation, REWRITE));
                }
                if !definition.relations.contains_key(&computed.relation) {
                    return Err(undefined(&computed.relation));
                }
                Ok(())
            }
            Userset::TupleToUserset(ttu) => {
                let tupleset = &ttu.tupleset.relation;
                let target = &ttu.computed_userset.relation;
                match definition.relations.get(tupleset) {
                    None => return Err(undefined(tupleset)),
                    Some(Userset::This(_)) => {}
                    Some(_) => {
                        return Err(InvalidModel::TuplesetNotDirect {
                            object_type: definition.type_name.clone(),
                            relation: tupleset.clone(),
                        });
                    }
                }
                let parents = definition.directly_related_user_types(tupleset);
                if !parents.iter().any(|parent| self.has_relation(&parent.type_name, target)) {
                    return Err(InvalidModel::TuplesetTargetUndefined(target.clone()));
                }
                Ok(())
            }
            Userset::Union(children) | Userset::Intersection(children) => {
                if children.child.len() < 2 {
                    return Err(invalid(
                        definition,
                        relation,
                        "an operator has less than 2 children",
                    ));
                }
                children.child.iter().try_for_each(|child| {
                    self.check_rewrite(definition, relation, child, depth + 1)
                })
            }
            Userset::Difference(pair) => {
                self.check_rewrite(definition, relation, &pair.base, depth + 1)?;
                self.check_rewrite(definition, relation, &pair.subtract, depth + 1)
            }
        }
    }

    fn check_restrictions(
        &self,
        definition: &TypeDefinition,
        relation: &str,
        rewrite: &Userset,
        tuplesets: &BTreeSet<&str>,
    ) -> Result<(), InvalidModel> {
        let object_type = || definition.type_name.clone();
        let references = definition.directly_related_user_types(relation);
        let relation_name = relation.to_owned();
        match (contains_this(rewrite), references.is_empty()) {
            (true, true) => {
                let error = InvalidModel::Assignable {
                    object_type: object_type(),
                    relation: relation_name,
                };
                return Err(error);
            }
            (false, false) => {
                let error = InvalidModel::NonAssignable {
                    object_type: object_type(),
                    relation: relation_name,
                };
                return Err(error);
            }
            _ => {}
        }
        for reference in references {
            let is_plain = reference.relation.is_empty() && reference.wildcard.is_none();
            let is_defined = self.types.contains_key(reference.type_name.as_str())
                && (reference.relation.is_empty()
                    || self.has_relation(&reference.type_name, &reference.relation));
            // A reference is a userset or a wildcard, never both.
            let is_both = !reference.relation.is_empty() && reference.wildcard.is_some();
            if !is_defined || is_both || (!is_plain && tuplesets.contains(relation)) {
                let related = match reference.relation.as_str() {
                    "" => reference.type_name.clone(),
                    relation => format!("{}#{relation}", reference.type_name),
                };
                let relation = relation.to_owned();
                let object_type = object_type();
                return Err(InvalidModel::RelationType { related, object_type, relation });
            }
            let condition = &reference.condition;
            if !condition.is_empty() && !self.model.conditions.contains_key(condition) {
                let condition = condition.clone();
                let relation = relation.to_owned();
                return Err(InvalidModel::ConditionUndefined { condition, relation });
            }
        }
        Ok(())
    }

    fn check_reachable(&self) -> Result<(), InvalidModel> {
        let entries = EntryPoints::new(self.model);
        for definition in self.types.values() {
            let loops = computed_loops(definition, &|_| true);
            for relation in definition.relations.keys() {
                if !entries.has_entry(&definition.type_name, relation) {
                    let is_loop = entries.is_loop(&definition.type_name, relation);
                    let reason = if is_loop { "potential loop" } else { "no entrypoints defined" };
                    return Err(invalid(definition, relation, reason));
                }
                if loops.contains(relation.as_str()) {
                    let reason = "an authorization model cannot contain a cycle";
                    return Err(invalid(definition, relation, reason));
                }
            }
        }
        Ok(())
    }
}
