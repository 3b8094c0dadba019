//! The rules of a model's fields. What a module and a file may be called is left to the language.

use super::{Checked, In, NAME, RELATION, TYPE, is_name};
use crate::fga::wire::openfga_v1 as pb;
use pb::relation_reference::RelationOrWildcard;
use pb::userset::Userset as Rewrite;

/// Conditions of a model, and parameters of a condition.
const MAX_PAIRS: usize = 25;
/// A condition's expression in bytes.
const MAX_EXPRESSION: usize = 512;
/// What a parameter's type may be of.
const MAX_GENERICS: usize = 5;

/// A model to write.
pub(in crate::fga) fn model(model: &pb::AuthorizationModel) -> Checked {
    let is = In("WriteAuthorizationModelRequest");
    is.at_least_one("TypeDefinitions", model.type_definitions.len())?;
    for (index, definition) in model.type_definitions.iter().enumerate() {
        is.nested(&format!("TypeDefinitions[{index}]"), type_definition(definition))?;
    }
    let is_known = matches!(model.schema_version.as_str(), "1.0" | "1.1" | "1.2");
    is.holds("SchemaVersion", is_known, || "value must be in list [1.0 1.1 1.2]")?;
    is.at_most_pairs("Conditions", model.conditions.len())?;
    for (name, one) in &model.conditions {
        let field = format!("Conditions[{name}]");
        is.matches(&field, is_name(name, NAME), RELATION)?;
        is.nested(&field, condition(one))?;
    }
    Ok(())
}

fn type_definition(definition: &pb::TypeDefinition) -> Checked {
    let is = In("TypeDefinition");
    is.type_name(&definition.r#type)?;
    for (name, rewrite) in &definition.relations {
        let field = format!("Relations[{name}]");
        is.matches(&field, is_name(name, NAME), RELATION)?;
        is.nested(&field, userset(rewrite))?;
    }
    let Some(metadata) = &definition.metadata else { return Ok(()) };
    let of_metadata = In("Metadata");
    let checked = metadata.relations.iter().try_for_each(|(name, relation)| {
        of_metadata.nested(&format!("Relations[{name}]"), relation_metadata(relation))
    });
    is.nested("Metadata", checked)
}

fn relation_metadata(relation: &pb::RelationMetadata) -> Checked {
    let is = In("RelationMetadata");
    relation.directly_related_user_types.iter().enumerate().try_for_each(|(index, reference)| {
        is.nested(&format!("DirectlyRelatedUserTypes[{index}]"), relation_reference(reference))
    })
}

fn relation_reference(reference: &pb::RelationReference) -> Checked {
    let is = In("RelationReference");
    is.matches("Type", is_name(&reference.r#type, 254), TYPE)?;
    if let Some(RelationOrWildcard::Relation(relation)) = &reference.relation_or_wildcard {
        is.optional_relation(relation)?;
    }
    let condition = &reference.condition;
    is.matches("Condition", condition.is_empty() || is_name(condition, NAME), RELATION)
}

fn userset(rewrite: &pb::Userset) -> Checked {
    let is = In("Userset");
    let children = |operands: &pb::Usersets| {
        operands.child.iter().enumerate().try_for_each(|(index, operand)| {
            In("Usersets").nested(&format!("Child[{index}]"), userset(operand))
        })
    };
    match &rewrite.userset {
        None | Some(Rewrite::This(_)) => Ok(()),
        Some(Rewrite::ComputedUserset(of)) => is.nested("ComputedUserset", object_relation(of)),
        Some(Rewrite::TupleToUserset(of)) => {
            let within = In("TupleToUserset");
            let both = [("Tupleset", &of.tupleset), ("ComputedUserset", &of.computed_userset)];
            let checked = both.into_iter().try_for_each(|(field, of)| {
                within.nested(field, of.as_ref().map_or(Ok(()), object_relation))
            });
            is.nested("TupleToUserset", checked)
        }
        Some(Rewrite::Union(of)) => is.nested("Union", children(of)),
        Some(Rewrite::Intersection(of)) => is.nested("Intersection", children(of)),
        Some(Rewrite::Difference(of)) => {
            let within = In("Difference");
            let both = [("Base", &of.base), ("Subtract", &of.subtract)];
            let checked = both.into_iter().try_for_each(|(field, of)| {
                within.nested(field, of.as_deref().map_or(Ok(()), userset))
            });
            is.nested("Difference", checked)
        }
    }
}

fn object_relation(of: &pb::ObjectRelation) -> Checked {
    let is = In("ObjectRelation");
    is.at_most_bytes("Object", &of.object, 256)?;
    is.at_most_bytes("Relation", &of.relation, NAME)
}

fn condition(condition: &pb::Condition) -> Checked {
    let is = In("Condition");
    is.matches("Name", is_name(&condition.name, NAME), RELATION)?;
    is.at_most_bytes("Expression", &condition.expression, MAX_EXPRESSION)?;
    is.at_most_pairs("Parameters", condition.parameters.len())?;
    for (name, parameter) in &condition.parameters {
        let field = format!("Parameters[{name}]");
        is.matches(&field, is_name(name, NAME), RELATION)?;
        is.nested(&field, parameter_type(parameter))?;
    }
    Ok(())
}

fn parameter_type(parameter: &pb::ConditionParamTypeRef) -> Checked {
    let is = In("ConditionParamTypeRef");
    is.at_most_items("GenericTypes", parameter.generic_types.len(), MAX_GENERICS)?;
    parameter.generic_types.iter().enumerate().try_for_each(|(index, of)| {
        is.nested(&format!("GenericTypes[{index}]"), parameter_type(of))
    })
}

impl In {
    fn at_most_pairs(self, field: &str, pairs: usize) -> Checked {
        let reason = || format!("value must contain no more than {MAX_PAIRS} pair(s)");
        self.holds(field, pairs <= MAX_PAIRS, reason)
    }
}
