//! Writes a model as DSL: types in order, relations, conditions and parameters by name; a model of
//! modules by module and file first.

use thiserror::Error;

use super::json::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Metadata,
    RelationMetadata, RelationReference, SourceInfo, TypeDefinition, Userset,
};

/// A relation has a shape the DSL cannot say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the '{relation}' relation definition under the '{object_type}' type is not supported by the OpenFGA DSL syntax yet"
)]
pub struct UnsupportedByDsl {
    /// The type.
    pub object_type: String,
    /// The relation.
    pub relation: String,
}

/// Writes the DSL; with sources, a comment says which module and file each part comes from.
pub(crate) fn print(
    model: &AuthorizationModel,
    with_sources: bool,
) -> Result<String, UnsupportedByDsl> {
    let is_modular = |of: &TypeDefinition| {
        of.metadata.as_ref().is_some_and(|metadata| !metadata.module.is_empty())
    };
    let mut printer = Printer {
        out: format!("model\n  schema {}\n", model.schema_version),
        is_modular: model.type_definitions.iter().any(is_modular),
        with_sources,
    };
    let mut types: Vec<&TypeDefinition> = model.type_definitions.iter().collect();
    if printer.is_modular {
        types.sort_by_cached_key(|of| {
            let metadata = of.metadata.as_ref();
            let source = metadata.map_or_else(Source::default, Metadata::source);
            (source.key(), of.type_name.clone())
        });
    }
    for definition in types {
        printer.print_type(definition)?;
    }
    let mut conditions: Vec<&Condition> = model.conditions.values().collect();
    if printer.is_modular {
        conditions.sort_by_cached_key(|of| {
            let source = of.metadata.as_ref().map_or_else(Source::default, |m| m.source());
            (source.key(), of.name.clone())
        });
    }
    for condition in conditions {
        printer.print_condition(condition);
    }
    Ok(printer.out)
}

/// Where a part of a model of modules comes from.
#[derive(Clone, Copy, Debug, Default)]
struct Source<'a> {
    module: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn new<'a>(module: &'a str, info: Option<&'a SourceInfo>) -> Source<'a> {
        Source { module, file: info.map_or("", |info| &info.file) }
    }

    fn key(self) -> (String, String) {
        (self.module.to_owned(), self.file.to_owned())
    }
}

impl Metadata {
    fn source(&self) -> Source<'_> {
        Source::new(&self.module, self.source_info.as_ref())
    }
}

impl RelationMetadata {
    fn source(&self) -> Source<'_> {
        Source::new(&self.module, self.source_info.as_ref())
    }
}

impl ConditionMetadata {
    fn source(&self) -> Source<'_> {
        Source::new(&self.module, self.source_info.as_ref())
    }
}

struct Printer {
    out: String,
    is_modular: bool,
    with_sources: bool,
}

impl Printer {
    fn print_type(&mut self, definition: &TypeDefinition) -> Result<(), UnsupportedByDsl> {
        let metadata = definition.metadata.as_ref();
        self.out.push_str("\ntype ");
        self.out.push_str(&definition.type_name);
        self.print_source(metadata.map(Metadata::source), "");
        self.out.push('\n');
        if !definition.relations.is_empty() {
            self.out.push_str("  relations\n");
        }
        let source = |relation: &str| {
            let relations = metadata.and_then(|metadata| metadata.relations.as_ref());
            relations.and_then(|relations| relations.get(relation)).map(RelationMetadata::source)
        };
        let mut relations: Vec<(&String, &Userset)> = definition.relations.iter().collect();
        if self.is_modular {
            // The type's own relations have no module and come first.
            relations
                .sort_by_cached_key(|(name, _)| (source(name).unwrap_or_default().key(), *name));
        }
        for (relation, rewrite) in relations {
            let references = definition.directly_related_user_types(relation);
            let types: Vec<String> = references.iter().map(RelationReference::to_dsl).collect();
            let direct = format!("[{}]", types.join(", "));
            let text = match operands(rewrite) {
                None => operand_text(rewrite, &direct, true),
                Some((separator, children)) => join(separator, children, &direct, true, true),
            };
            let Some(text) = text else {
                return Err(UnsupportedByDsl {
                    object_type: definition.type_name.clone(),
                    relation: relation.clone(),
                });
            };
            self.out.push_str("    define ");
            self.out.push_str(relation);
            self.out.push_str(": ");
            self.out.push_str(&text);
            self.print_source(source(relation), " extended by:");
            self.out.push('\n');
        }
        Ok(())
    }

    fn print_condition(&mut self, condition: &Condition) {
        let parameter =
            |(name, of): (&String, &ConditionParamTypeRef)| match of.generic_types.first() {
                Some(inner) => format!("{name}: {}<{}>", of.type_name.dsl(), inner.type_name.dsl()),
                None => format!("{name}: {}", of.type_name.dsl()),
            };
        let parameters: Vec<String> = condition.parameters.iter().map(parameter).collect();
        let (name, parameters) = (&condition.name, parameters.join(", "));
        let expression = &condition.expression;
        self.out.push_str(&format!("\ncondition {name}({parameters}) {{\n  {expression}\n}}"));
        self.print_source(condition.metadata.as_ref().map(ConditionMetadata::source), "");
        self.out.push('\n');
    }

    fn print_source(&mut self, source: Option<Source<'_>>, prefix: &str) {
        if let Some(Source { module, file }) = source
            && self.with_sources
            && !module.is_empty()
        {
            self.out.push_str(&format!(" #{prefix} module: {module}, file: {file}"));
        }
    }
}

fn operands(rewrite: &Userset) -> Option<(&'static str, Vec<&Userset>)> {
    match rewrite {
        Userset::Union(children) => Some((" or ", children.child.iter().collect())),
        Userset::Intersection(children) => Some((" and ", children.child.iter().collect())),
        Userset::Difference(pair) => Some((" but not ", vec![&pair.base, &pair.subtract])),
        _ => None,
    }
}

/// The operands as text; `None` if a direct assignment would not come first in the relation.
fn join(
    separator: &str,
    mut children: Vec<&Userset>,
    direct: &str,
    is_first: bool,
    is_outermost: bool,
) -> Option<String> {
    let position = children.iter().position(|child| matches!(child, Userset::This(_)));
    if let Some(position) = position
        && is_outermost
        && separator != " but not "
    {
        let this = children.remove(position);
        children.insert(0, this);
    }
    let mut parts = Vec::with_capacity(children.len());
    for (index, child) in children.into_iter().enumerate() {
        parts.push(operand_text(child, direct, is_first && index == 0)?);
    }
    Some(parts.join(separator))
}

fn operand_text(rewrite: &Userset, direct: &str, is_first: bool) -> Option<String> {
    match rewrite {
        Userset::This(_) => is_first.then(|| direct.to_owned()),
        Userset::ComputedUserset(computed) => Some(computed.relation.clone()),
        Userset::TupleToUserset(ttu) => {
            Some(format!("{} from {}", ttu.computed_userset.relation, ttu.tupleset.relation))
        }
        _ => {
            let (separator, children) = operands(rewrite)?;
            Some(format!("({})", join(separator, children, direct, is_first, false)?))
        }
    }
}
