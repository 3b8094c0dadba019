//! The model as OpenFGA's JSON says it (`authzmodel.proto` through proto3 JSON).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A model: types, their relations, and conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationModel {
    /// The id a store gave to the model; empty before it is written.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub id: String,
    /// `1.1` or `1.2`.
    #[serde(default, alias = "schemaVersion", deserialize_with = "or_default")]
    pub schema_version: String,
    /// The types, in the order they were defined.
    #[serde(default, alias = "typeDefinitions", deserialize_with = "or_default")]
    pub type_definitions: Vec<TypeDefinition>,
    /// The conditions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub conditions: BTreeMap<String, Condition>,
}

/// A type and its relations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeDefinition {
    /// The type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How each relation is computed.
    #[serde(default, deserialize_with = "or_default")]
    pub relations: BTreeMap<String, Userset>,
    /// Who may be related directly, and where the type comes from.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

/// How a relation is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Userset {
    /// By tuples of the relation itself.
    This(Empty),
    /// By another relation of the same object.
    #[serde(alias = "computed_userset")]
    ComputedUserset(ObjectRelation),
    /// By a relation of the objects related through a tupleset.
    #[serde(alias = "tuple_to_userset")]
    TupleToUserset(TupleToUserset),
    /// By any operand.
    Union(Usersets),
    /// By all operands.
    Intersection(Usersets),
    /// By the base and not by the subtract.
    Difference(Box<Difference>),
}

/// An empty JSON object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The name of a relation where proto has an object and a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRelation {
    /// Unused by the language; kept so that JSON round-trips.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The relation.
    #[serde(default)]
    pub relation: String,
}

/// `computed_userset from tupleset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TupleToUserset {
    /// The relation whose tuples name the other objects.
    pub tupleset: ObjectRelation,
    /// The relation asked of those objects.
    #[serde(rename = "computedUserset", alias = "computed_userset")]
    pub computed_userset: ObjectRelation,
}

/// The operands of a union or an intersection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usersets {
    /// The operands in order.
    #[serde(default)]
    pub child: Vec<Userset>,
}

/// The operands of `but not`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Who is in.
    pub base: Userset,
    /// Who is taken out.
    pub subtract: Userset,
}

/// What a type definition says besides its rewrites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Per relation, the admitted users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relations: Option<BTreeMap<String, RelationMetadata>>,
    /// The module that defines the type (schema 1.2).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The file that defines the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_info: Option<SourceInfo>,
}

/// What a relation says besides its rewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationMetadata {
    /// The users that tuples of the relation may name.
    #[serde(default, alias = "directlyRelatedUserTypes", deserialize_with = "or_default")]
    pub directly_related_user_types: Vec<RelationReference>,
    /// The module that defines the relation, when not the type's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The file that defines the relation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_info: Option<SourceInfo>,
}

/// One kind of user a relation admits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationReference {
    /// The user's type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The relation, when usersets are admitted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub relation: String,
    /// Present when the typed wildcard is admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wildcard: Option<Empty>,
    /// The condition a tuple must name; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
}

/// The file something was defined in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// The file's name.
    #[serde(default)]
    pub file: String,
}

/// A named condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The name, equal to its key in the model.
    #[serde(default)]
    pub name: String,
    /// The expression, in CEL.
    #[serde(default)]
    pub expression: String,
    /// The parameters by name.
    #[serde(default, deserialize_with = "or_default")]
    pub parameters: BTreeMap<String, ConditionParamTypeRef>,
    /// Where the condition comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ConditionMetadata>,
}

/// Where a condition comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionMetadata {
    /// The module.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_info: Option<SourceInfo>,
}

/// The type of a condition's parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionParamTypeRef {
    /// The type.
    #[serde(alias = "typeName")]
    pub type_name: TypeName,
    /// The element type of a map or a list.
    #[serde(
        default,
        alias = "genericTypes",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub generic_types: Vec<Self>,
}

/// The types a condition's parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the type it names")]
pub enum TypeName {
    #[serde(rename = "TYPE_NAME_UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "TYPE_NAME_ANY")]
    Any,
    #[serde(rename = "TYPE_NAME_BOOL")]
    Bool,
    #[serde(rename = "TYPE_NAME_STRING")]
    String,
    #[serde(rename = "TYPE_NAME_INT")]
    Int,
    #[serde(rename = "TYPE_NAME_UINT")]
    Uint,
    #[serde(rename = "TYPE_NAME_DOUBLE")]
    Double,
    #[serde(rename = "TYPE_NAME_DURATION")]
    Duration,
    #[serde(rename = "TYPE_NAME_TIMESTAMP")]
    Timestamp,
    #[serde(rename = "TYPE_NAME_MAP")]
    Map,
    #[serde(rename = "TYPE_NAME_LIST")]
    List,
    #[serde(rename = "TYPE_NAME_IPADDRESS")]
    Ipaddress,
}

impl TypeName {
    /// The type's name in the DSL.
    pub fn dsl(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Any => "any",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::Map => "map",
            Self::List => "list",
            Self::Ipaddress => "ipaddress",
        }
    }

    /// The type with this name in the DSL.
    pub fn from_dsl(name: &str) -> Option<Self> {
        Some(match name {
            "any" => Self::Any,
            "bool" => Self::Bool,
            "string" => Self::String,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "duration" => Self::Duration,
            "timestamp" => Self::Timestamp,
            "map" => Self::Map,
            "list" => Self::List,
            "ipaddress" => Self::Ipaddress,
            _ => return None,
        })
    }
}

impl RelationReference {
    /// The reference as the DSL writes it, with its condition.
    pub fn to_dsl(&self) -> String {
        let mut text = self.type_name.clone();
        if self.wildcard.is_some() {
            text.push_str(":*");
        } else if !self.relation.is_empty() {
            text.push('#');
            text.push_str(&self.relation);
        }
        if !self.condition.is_empty() {
            text.push_str(" with ");
            text.push_str(&self.condition);
        }
        text
    }
}

impl TypeDefinition {
    /// The users that tuples of `relation` may name.
    pub fn directly_related_user_types(&self, relation: &str) -> &[RelationReference] {
        self.metadata
            .as_ref()
            .and_then(|metadata| metadata.relations.as_ref())
            .and_then(|relations| relations.get(relation))
            .map_or(&[], |relation| relation.directly_related_user_types.as_slice())
    }
}

/// Reads JSON `null` as the default, as proto3 JSON does.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
