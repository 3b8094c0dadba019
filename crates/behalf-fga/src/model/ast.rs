//! A parsed model with positions: what the parser makes, modules merge and validation reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dsl_error::Span;
use super::json::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Difference, Empty,
    Metadata, ObjectRelation, RelationMetadata, RelationReference, SourceInfo, TupleToUserset,
    TypeDefinition, Userset, Usersets,
};

/// A text and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spanned {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// The module and the file that something comes from; empty in a model of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) module: Option<Arc<str>>,
    pub(crate) file: Option<Arc<str>>,
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
    /// `extend type`: its relations belong to a type of another file.
    pub(crate) extends: bool,
    pub(crate) origin: Origin,
    pub(crate) relations: Vec<RelationDecl>,
}

#[derive(Clone, Debug)]
pub(crate) struct RelationDecl {
    pub(crate) name: Spanned,
    /// Where an extended type got the relation from.
    pub(crate) extended_by: Option<Origin>,
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
    /// The key under which JSON holds the condition, where it differs from the name.
    pub(crate) key: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) parameters: Vec<(String, ConditionParamTypeRef)>,
    pub(crate) expression: String,
}

impl Document {
    pub(crate) fn to_model(&self) -> AuthorizationModel {
        let schema = self.schema.as_ref().map_or("", |schema| schema.text.as_str());
        AuthorizationModel {
            id: String::new(),
            schema_version: schema.to_owned(),
            type_definitions: self.types.iter().map(TypeDecl::to_definition).collect(),
            conditions: self
                .conditions
                .iter()
                .map(|decl| (decl.name.text.clone(), decl.to_condition()))
                .collect(),
        }
    }

    /// The document that a model would be parsed from, without positions.
    pub(crate) fn of_model(model: &AuthorizationModel) -> Self {
        let is_given = !model.schema_version.is_empty();
        Self {
            schema: is_given.then(|| unplaced(&model.schema_version)),
            module: None,
            types: model.type_definitions.iter().map(TypeDecl::of_definition).collect(),
            conditions: model
                .conditions
                .iter()
                .map(|(key, condition)| ConditionDecl::of_condition(key, condition))
                .collect(),
        }
    }
}

impl Origin {
    fn new(module: &str, source_info: Option<&SourceInfo>) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        Self { module: some(module), file: source_info.and_then(|info| some(&info.file)) }
    }

    fn module_text(&self) -> String {
        self.module.as_deref().unwrap_or_default().to_owned()
    }

    fn source_info(&self) -> Option<SourceInfo> {
        self.file.as_ref().map(|file| SourceInfo { file: file.to_string() })
    }
}

impl TypeDecl {
    fn to_definition(&self) -> TypeDefinition {
        let relations =
            self.relations.iter().map(|r| (r.name.text.clone(), r.rewrite.to_userset())).collect();
        let metadata: BTreeMap<_, _> = self
            .relations
            .iter()
            .map(|relation| (relation.name.text.clone(), relation.to_metadata()))
            .collect();
        let has_metadata = !metadata.is_empty() || self.origin != Origin::default();
        TypeDefinition {
            type_name: self.name.text.clone(),
            relations,
            metadata: has_metadata.then(|| Metadata {
                relations: (!metadata.is_empty()).then_some(metadata),
                module: self.origin.module_text(),
                source_info: self.origin.source_info(),
            }),
        }
    }

    fn of_definition(definition: &TypeDefinition) -> Self {
        let metadata = definition.metadata.as_ref();
        let origin = metadata.map_or_else(Origin::default, |metadata| {
            Origin::new(&metadata.module, metadata.source_info.as_ref())
        });
        let metadata = metadata.and_then(|metadata| metadata.relations.as_ref());
        let relations = definition.relations.iter().map(|(name, rewrite)| {
            let metadata = metadata.and_then(|metadata| metadata.get(name));
            RelationDecl::of_userset(name, rewrite, metadata)
        });
        Self {
            name: unplaced(&definition.type_name),
            extends: false,
            origin,
            relations: relations.collect(),
        }
    }
}

impl RelationDecl {
    fn to_metadata(&self) -> RelationMetadata {
        let origin = self.extended_by.as_ref();
        RelationMetadata {
            directly_related_user_types: self
                .restrictions
                .iter()
                .map(|restriction| restriction.reference.clone())
                .collect(),
            module: origin.map_or_else(String::new, Origin::module_text),
            source_info: origin.and_then(Origin::source_info),
        }
    }

    fn of_userset(name: &str, rewrite: &Userset, metadata: Option<&RelationMetadata>) -> Self {
        let references = metadata.map_or(&[][..], |m| m.directly_related_user_types.as_slice());
        let origin =
            metadata.map(|metadata| Origin::new(&metadata.module, metadata.source_info.as_ref()));
        Self {
            name: unplaced(name),
            extended_by: origin.filter(|origin| *origin != Origin::default()),
            rewrite: Rewrite::of_userset(rewrite),
            restrictions: references
                .iter()
                .map(|reference| Restriction {
                    reference: reference.clone(),
                    span: Span::default(),
                    type_span: Span::default(),
                    condition_span: Span::default(),
                })
                .collect(),
        }
    }
}

impl ConditionDecl {
    fn to_condition(&self) -> Condition {
        let is_placed = self.origin != Origin::default();
        Condition {
            name: self.name.text.clone(),
            expression: self.expression.clone(),
            parameters: self.parameters.iter().cloned().collect(),
            metadata: is_placed.then(|| ConditionMetadata {
                module: self.origin.module_text(),
                source_info: self.origin.source_info(),
            }),
        }
    }

    fn of_condition(key: &str, condition: &Condition) -> Self {
        let metadata = condition.metadata.as_ref();
        Self {
            name: unplaced(&condition.name),
            key: (key != condition.name).then(|| key.to_owned()),
            origin: metadata.map_or_else(Origin::default, |metadata| {
                Origin::new(&metadata.module, metadata.source_info.as_ref())
            }),
            parameters: condition.parameters.clone().into_iter().collect(),
            expression: condition.expression.clone(),
        }
    }

    /// The name by which relations use the condition.
    pub(crate) fn used_as(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.name.text)
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

    fn of_userset(userset: &Userset) -> Self {
        let children = |of: &Usersets| of.child.iter().map(Self::of_userset).collect();
        match userset {
            Userset::This(_) => Self::This,
            Userset::ComputedUserset(computed) => Self::Computed(unplaced(&computed.relation)),
            Userset::TupleToUserset(ttu) => Self::TupleToUserset {
                computed: unplaced(&ttu.computed_userset.relation),
                tupleset: unplaced(&ttu.tupleset.relation),
                span: Span::default(),
            },
            Userset::Union(of) => Self::Union(children(of)),
            Userset::Intersection(of) => Self::Intersection(children(of)),
            Userset::Difference(pair) => Self::Difference(
                Box::new(Self::of_userset(&pair.base)),
                Box::new(Self::of_userset(&pair.subtract)),
            ),
        }
    }
}

fn unplaced(text: &str) -> Spanned {
    Spanned { text: text.to_owned(), span: Span::default() }
}
