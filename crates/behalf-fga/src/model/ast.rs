//! A parsed model with positions: what the parser makes and validation reads.

use std::collections::BTreeMap;

use super::dsl_error::Span;
use super::json::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Difference, Empty,
    Metadata, ObjectRelation, RelationMetadata, RelationReference, TupleToUserset, TypeDefinition,
    Userset, Usersets,
};

/// A text and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spanned {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A whole document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) schema: Option<Spanned>,
    pub(crate) module: Option<Spanned>,
    pub(crate) types: Vec<TypeDecl>,
    pub(crate) conditions: Vec<ConditionDecl>,
}

#[derive(Clone, Debug)]
pub(crate) struct TypeDecl {
    pub(crate) name: Spanned,
    pub(crate) relations: Vec<RelationDecl>,
}

#[derive(Clone, Debug)]
pub(crate) struct RelationDecl {
    pub(crate) name: Spanned,
    pub(crate) rewrite: Rewrite,
    pub(crate) restrictions: Vec<Restriction>,
}

/// One entry of a direct assignment.
#[derive(Clone, Debug)]
pub(crate) struct Restriction {
    pub(crate) reference: RelationReference,
    /// The whole entry.
    pub(crate) span: Span,
    pub(crate) type_span: Span,
    pub(crate) condition_span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    This,
    Computed(Spanned),
    TupleToUserset { computed: Spanned, tupleset: Spanned, span: Span },
    Union(Vec<Self>),
    Intersection(Vec<Self>),
    Difference(Box<Self>, Box<Self>),
}

#[derive(Clone, Debug)]
pub(crate) struct ConditionDecl {
    pub(crate) name: Spanned,
    pub(crate) parameters: Vec<(String, ConditionParamTypeRef)>,
    pub(crate) expression: String,
}

impl Document {
    pub(crate) fn to_model(&self) -> AuthorizationModel {
        let module = self.module.as_ref().map_or("", |module| module.text.as_str());
        let schema = self.schema.as_ref().map_or("", |schema| schema.text.as_str());
        AuthorizationModel {
            id: String::new(),
            schema_version: schema.to_owned(),
            type_definitions: self.types.iter().map(|decl| decl.to_definition(module)).collect(),
            conditions: self
                .conditions
                .iter()
                .map(|decl| (decl.name.text.clone(), decl.to_condition(module)))
                .collect(),
        }
    }
}

impl TypeDecl {
    fn to_definition(&self, module: &str) -> TypeDefinition {
        let relations =
            self.relations.iter().map(|r| (r.name.text.clone(), r.rewrite.to_userset())).collect();
        let metadata: BTreeMap<_, _> = self
            .relations
            .iter()
            .map(|relation| {
                let types = relation.restrictions.iter().map(|r| r.reference.clone()).collect();
                let metadata =
                    RelationMetadata { directly_related_user_types: types, ..Default::default() };
                (relation.name.text.clone(), metadata)
            })
            .collect();
        let has_metadata = !metadata.is_empty() || !module.is_empty();
        TypeDefinition {
            type_name: self.name.text.clone(),
            relations,
            metadata: has_metadata.then(|| Metadata {
                relations: (!metadata.is_empty()).then_some(metadata),
                module: module.to_owned(),
                source_info: None,
            }),
        }
    }
}

impl ConditionDecl {
    fn to_condition(&self, module: &str) -> Condition {
        Condition {
            name: self.name.text.clone(),
            expression: self.expression.clone(),
            parameters: self.parameters.iter().cloned().collect(),
            metadata: (!module.is_empty())
                .then(|| ConditionMetadata { module: module.to_owned(), source_info: None }),
        }
    }
}

impl Rewrite {
    pub(crate) fn to_userset(&self) -> Userset {
        let relation =
            |name: &Spanned| ObjectRelation { object: String::new(), relation: name.text.clone() };
        match self {
            Self::This => Userset::This(Empty {}),
            Self::Computed(name) => Userset::ComputedUserset(relation(name)),
            Self::TupleToUserset { computed, tupleset, .. } => {
                Userset::TupleToUserset(TupleToUserset {
                    tupleset: relation(tupleset),
                    computed_userset: relation(computed),
                })
            }
            Self::Union(children) => {
                Userset::Union(Usersets { child: children.iter().map(Self::to_userset).collect() })
            }
            Self::Intersection(children) => Userset::Intersection(Usersets {
                child: children.iter().map(Self::to_userset).collect(),
            }),
            Self::Difference(base, subtract) => Userset::Difference(Box::new(Difference {
                base: base.to_userset(),
                subtract: subtract.to_userset(),
            })),
        }
    }
}
