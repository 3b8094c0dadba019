//! Models as messages, and the JSON in which every member is there.

use behalf_authz::engine::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Difference, Empty,
    Metadata, ObjectRelation, RelationMetadata, RelationReference, SourceInfo, TupleToUserset,
    TypeDefinition, TypeName, Userset, Usersets,
};
use serde_json::{Map, Value, json};

use super::error::FgaError;
use super::rules::In;
use super::wire::openfga_v1 as pb;
use pb::condition_param_type_ref::TypeName as PbType;
use pb::relation_reference::RelationOrWildcard;
use pb::userset::Userset as PbUserset;

pub(super) fn model_message(id: String, model: AuthorizationModel) -> pb::AuthorizationModel {
    pb::AuthorizationModel {
        id,
        schema_version: model.schema_version,
        type_definitions: model.type_definitions.into_iter().map(type_message).collect(),
        conditions: model.conditions.into_iter().map(|(n, c)| (n, condition_message(c))).collect(),
    }
}

fn type_message(definition: TypeDefinition) -> pb::TypeDefinition {
    let relations = definition.relations.into_iter();
    pb::TypeDefinition {
        r#type: definition.type_name,
        relations: relations.map(|(name, userset)| (name, userset_message(userset))).collect(),
        metadata: definition.metadata.map(|metadata| pb::Metadata {
            relations: metadata
                .relations
                .unwrap_or_default()
                .into_iter()
                .map(|(name, relation)| (name, relation_message(relation)))
                .collect(),
            module: metadata.module,
            source_info: metadata.source_info.map(source_message),
        }),
    }
}

fn relation_message(relation: RelationMetadata) -> pb::RelationMetadata {
    let types = relation.directly_related_user_types.into_iter();
    pb::RelationMetadata {
        directly_related_user_types: types
            .map(|reference| pb::RelationReference {
                r#type: reference.type_name,
                condition: reference.condition,
                relation_or_wildcard: match reference.wildcard {
                    Some(_) => Some(RelationOrWildcard::Wildcard(pb::Wildcard {})),
                    None if reference.relation.is_empty() => None,
                    None => Some(RelationOrWildcard::Relation(reference.relation)),
                },
            })
            .collect(),
        module: relation.module,
        source_info: relation.source_info.map(source_message),
    }
}

fn source_message(source: SourceInfo) -> pb::SourceInfo {
    pb::SourceInfo { file: source.file }
}

fn relation_of_object(relation: ObjectRelation) -> pb::ObjectRelation {
    pb::ObjectRelation { object: relation.object, relation: relation.relation }
}

fn userset_message(userset: Userset) -> pb::Userset {
    let all = |usersets: Usersets| pb::Usersets {
        child: usersets.child.into_iter().map(userset_message).collect(),
    };
    let userset = match userset {
        Userset::This(Empty {}) => PbUserset::This(pb::DirectUserset {}),
        Userset::ComputedUserset(of) => PbUserset::ComputedUserset(relation_of_object(of)),
        Userset::TupleToUserset(of) => PbUserset::TupleToUserset(pb::TupleToUserset {
            tupleset: Some(relation_of_object(of.tupleset)),
            computed_userset: Some(relation_of_object(of.computed_userset)),
        }),
        Userset::Union(usersets) => PbUserset::Union(all(usersets)),
        Userset::Intersection(usersets) => PbUserset::Intersection(all(usersets)),
        Userset::Difference(of) => PbUserset::Difference(Box::new(pb::Difference {
            base: Some(Box::new(userset_message(of.base))),
            subtract: Some(Box::new(userset_message(of.subtract))),
        })),
    };
    pb::Userset { userset: Some(userset) }
}

fn condition_message(condition: Condition) -> pb::Condition {
    pb::Condition {
        name: condition.name,
        expression: condition.expression,
        parameters: condition.parameters.into_iter().map(|(n, p)| (n, param_message(p))).collect(),
        metadata: condition.metadata.map(|metadata| pb::ConditionMetadata {
            module: metadata.module,
            source_info: metadata.source_info.map(source_message),
        }),
    }
}

fn param_message(param: ConditionParamTypeRef) -> pb::ConditionParamTypeRef {
    let type_name = match param.type_name {
        TypeName::Unspecified => PbType::Unspecified,
        TypeName::Any => PbType::Any,
        TypeName::Bool => PbType::Bool,
        TypeName::String => PbType::String,
        TypeName::Int => PbType::Int,
        TypeName::Uint => PbType::Uint,
        TypeName::Double => PbType::Double,
        TypeName::Duration => PbType::Duration,
        TypeName::Timestamp => PbType::Timestamp,
        TypeName::Map => PbType::Map,
        TypeName::List => PbType::List,
        TypeName::Ipaddress => PbType::Ipaddress,
    };
    pb::ConditionParamTypeRef {
        type_name: type_name.into(),
        generic_types: param.generic_types.into_iter().map(param_message).collect(),
    }
}

/// The model that a request's messages say.
///
/// # Errors
/// What a message leaves out.
pub(super) fn model_of(
    request: pb::WriteAuthorizationModelRequest,
) -> Result<AuthorizationModel, FgaError> {
    let types = request.type_definitions.into_iter().map(type_of);
    Ok(AuthorizationModel {
        id: String::new(),
        schema_version: request.schema_version,
        type_definitions: types.collect::<Result<_, _>>()?,
        conditions: request.conditions.into_iter().map(|(n, c)| (n, condition_of(c))).collect(),
    })
}

fn type_of(definition: pb::TypeDefinition) -> Result<TypeDefinition, FgaError> {
    let relations = definition.relations.into_iter();
    let metadata = definition.metadata.map(|metadata| Metadata {
        relations: Some(metadata.relations.into_iter().map(|(n, r)| (n, relation_of(r))).collect()),
        module: metadata.module,
        source_info: metadata.source_info.map(source_of),
    });
    Ok(TypeDefinition {
        type_name: definition.r#type,
        relations: relations
            .map(|(name, userset)| Ok((name, userset_of(userset)?)))
            .collect::<Result<_, FgaError>>()?,
        metadata,
    })
}

fn relation_of(relation: pb::RelationMetadata) -> RelationMetadata {
    let reference = |reference: pb::RelationReference| {
        let (relation, wildcard) = match reference.relation_or_wildcard {
            None => (String::new(), None),
            Some(RelationOrWildcard::Relation(relation)) => (relation, None),
            Some(RelationOrWildcard::Wildcard(_)) => (String::new(), Some(Empty {})),
        };
        RelationReference {
            type_name: reference.r#type,
            relation,
            wildcard,
            condition: reference.condition,
        }
    };
    RelationMetadata {
        directly_related_user_types: relation
            .directly_related_user_types
            .into_iter()
            .map(reference)
            .collect(),
        module: relation.module,
        source_info: relation.source_info.map(source_of),
    }
}

fn source_of(source: pb::SourceInfo) -> SourceInfo {
    SourceInfo { file: source.file }
}

fn object_relation_of(relation: Option<pb::ObjectRelation>) -> ObjectRelation {
    let pb::ObjectRelation { object, relation } = relation.unwrap_or_default();
    ObjectRelation { object, relation }
}

fn userset_of(userset: pb::Userset) -> Result<Userset, FgaError> {
    let all = |usersets: pb::Usersets| {
        let child = usersets.child.into_iter().map(userset_of).collect::<Result<_, _>>()?;
        Ok::<_, FgaError>(Usersets { child })
    };
    let operand = |field, userset: Option<Box<pb::Userset>>| {
        userset_of(*In("Difference").required(field, userset)?)
    };
    let is_empty = || FgaError::new(2056, "a rewrite is empty");
    Ok(match userset.userset.ok_or_else(is_empty)? {
        PbUserset::This(_) => Userset::This(Empty {}),
        PbUserset::ComputedUserset(of) => Userset::ComputedUserset(object_relation_of(Some(of))),
        PbUserset::TupleToUserset(of) => Userset::TupleToUserset(TupleToUserset {
            tupleset: object_relation_of(of.tupleset),
            computed_userset: object_relation_of(of.computed_userset),
        }),
        PbUserset::Union(usersets) => Userset::Union(all(usersets)?),
        PbUserset::Intersection(usersets) => Userset::Intersection(all(usersets)?),
        PbUserset::Difference(of) => {
            let pb::Difference { base, subtract } = *of;
            let base = operand("Base", base)?;
            let difference = Difference { base, subtract: operand("Subtract", subtract)? };
            Userset::Difference(Box::new(difference))
        }
    })
}

fn condition_of(condition: pb::Condition) -> Condition {
    Condition {
        name: condition.name,
        expression: condition.expression,
        parameters: condition.parameters.into_iter().map(|(n, p)| (n, param_of(p))).collect(),
        metadata: condition.metadata.map(|metadata| ConditionMetadata {
            module: metadata.module,
            source_info: metadata.source_info.map(source_of),
        }),
    }
}

fn param_of(param: pb::ConditionParamTypeRef) -> ConditionParamTypeRef {
    let type_name = match param.type_name() {
        PbType::Unspecified => TypeName::Unspecified,
        PbType::Any => TypeName::Any,
        PbType::Bool => TypeName::Bool,
        PbType::String => TypeName::String,
        PbType::Int => TypeName::Int,
        PbType::Uint => TypeName::Uint,
        PbType::Double => TypeName::Double,
        PbType::Duration => TypeName::Duration,
        PbType::Timestamp => TypeName::Timestamp,
        PbType::Map => TypeName::Map,
        PbType::List => TypeName::List,
        PbType::Ipaddress => TypeName::Ipaddress,
    };
    let generic_types = param.generic_types.into_iter().map(param_of).collect();
    ConditionParamTypeRef { type_name, generic_types }
}

/// A `but not` in a model's JSON has both of its operands.
///
/// # Errors
/// The operand that is missing first.
pub(super) fn check_operands(model: &Value) -> Result<(), FgaError> {
    // JSON is read to no great depth, so its nesting bounds this one.
    match model {
        Value::Array(items) => items.iter().try_for_each(check_operands),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            if let ("difference", Value::Object(of)) = (name.as_str(), value) {
                for (operand, field) in [("base", "Base"), ("subtract", "Subtract")] {
                    let operand = of.get(operand).filter(|operand| !operand.is_null());
                    In("Difference").required(field, operand)?;
                }
            }
            check_operands(value)
        }),
        _ => Ok(()),
    }
}

/// A model's JSON in which members without a value are there too.
pub(super) fn model_json(model: &pb::AuthorizationModel) -> Value {
    json!({
        "id": model.id,
        "schema_version": model.schema_version,
        "type_definitions": model.type_definitions.iter().map(type_json).collect::<Vec<_>>(),
        "conditions": object(&model.conditions, condition_json),
    })
}

fn object<T>(
    map: &std::collections::BTreeMap<String, T>,
    json: impl Fn(&T) -> Value,
) -> Map<String, Value> {
    map.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

fn type_json(definition: &pb::TypeDefinition) -> Value {
    let metadata = definition.metadata.as_ref().map(|metadata| {
        json!({
            "relations": object(&metadata.relations, relation_json),
            "module": metadata.module,
            "source_info": source_json(metadata.source_info.as_ref()),
        })
    });
    json!({
        "type": definition.r#type,
        "relations": object(&definition.relations, userset_json),
        "metadata": metadata,
    })
}

fn source_json(source: Option<&pb::SourceInfo>) -> Value {
    source.map_or(Value::Null, |source| json!({"file": source.file}))
}

fn relation_json(relation: &pb::RelationMetadata) -> Value {
    let reference = |reference: &pb::RelationReference| {
        let mut json = json!({"type": reference.r#type, "condition": reference.condition});
        match (&reference.relation_or_wildcard, json.as_object_mut()) {
            (Some(RelationOrWildcard::Relation(relation)), Some(json)) => {
                json.insert("relation".to_owned(), relation.as_str().into());
            }
            (Some(RelationOrWildcard::Wildcard(_)), Some(json)) => {
                json.insert("wildcard".to_owned(), Map::new().into());
            }
            _ => {}
        }
        json
    };
    let types: Vec<Value> = relation.directly_related_user_types.iter().map(reference).collect();
    json!({
        "directly_related_user_types": types,
        "module": relation.module,
        "source_info": source_json(relation.source_info.as_ref()),
    })
}

fn userset_json(userset: &pb::Userset) -> Value {
    let relation = |of: Option<&pb::ObjectRelation>| {
        of.map_or(Value::Null, |of| json!({"object": of.object, "relation": of.relation}))
    };
    let all = |usersets: &pb::Usersets| json!({"child": usersets.child.iter().map(userset_json).collect::<Vec<_>>()});
    let one =
        |userset: &Option<Box<pb::Userset>>| userset.as_deref().map_or(Value::Null, userset_json);
    match &userset.userset {
        None => json!({}),
        Some(PbUserset::This(_)) => json!({"this": {}}),
        Some(PbUserset::ComputedUserset(of)) => json!({"computedUserset": relation(Some(of))}),
        Some(PbUserset::TupleToUserset(of)) => json!({"tupleToUserset": {
            "tupleset": relation(of.tupleset.as_ref()),
            "computedUserset": relation(of.computed_userset.as_ref()),
        }}),
        Some(PbUserset::Union(of)) => json!({"union": all(of)}),
        Some(PbUserset::Intersection(of)) => json!({"intersection": all(of)}),
        Some(PbUserset::Difference(of)) => {
            json!({"difference": {"base": one(&of.base), "subtract": one(&of.subtract)}})
        }
    }
}

fn condition_json(condition: &pb::Condition) -> Value {
    let metadata = condition.metadata.as_ref().map(|metadata| {
        let source = source_json(metadata.source_info.as_ref());
        json!({"module": metadata.module, "source_info": source})
    });
    json!({
        "name": condition.name,
        "expression": condition.expression,
        "parameters": object(&condition.parameters, param_json),
        "metadata": metadata,
    })
}

fn param_json(param: &pb::ConditionParamTypeRef) -> Value {
    json!({
        "type_name": param.type_name().as_str_name(),
        "generic_types": param.generic_types.iter().map(param_json).collect::<Vec<_>>(),
    })
}
