//! Writes a model as DSL: types in order, relations, conditions and parameters by name.

use thiserror::Error;

use super::json::{AuthorizationModel, Condition, ConditionParamTypeRef, TypeDefinition, Userset};

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

pub(crate) fn print(model: &AuthorizationModel) -> Result<String, UnsupportedByDsl> {
    let mut out = format!("model\n  schema {}\n", model.schema_version);
    for definition in &model.type_definitions {
        print_type(&mut out, definition)?;
    }
    for condition in model.conditions.values() {
        print_condition(&mut out, condition);
    }
    Ok(out)
}

fn print_type(out: &mut String, definition: &TypeDefinition) -> Result<(), UnsupportedByDsl> {
    out.push_str("\ntype ");
    out.push_str(&definition.type_name);
    out.push('\n');
    if !definition.relations.is_empty() {
        out.push_str("  relations\n");
    }
    for (relation, rewrite) in &definition.relations {
        let references = definition.directly_related_user_types(relation);
        let types: Vec<String> = references.iter().map(super::RelationReference::to_dsl).collect();
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
        out.push_str("    define ");
        out.push_str(relation);
        out.push_str(": ");
        out.push_str(&text);
        out.push('\n');
    }
    Ok(())
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

fn print_condition(out: &mut String, condition: &Condition) {
    let parameter = |(name, of): (&String, &ConditionParamTypeRef)| match of.generic_types.first() {
        Some(inner) => format!("{name}: {}<{}>", of.type_name.dsl(), inner.type_name.dsl()),
        None => format!("{name}: {}", of.type_name.dsl()),
    };
    let parameters: Vec<String> = condition.parameters.iter().map(parameter).collect();
    let (name, parameters) = (&condition.name, parameters.join(", "));
    out.push_str(&format!("\ncondition {name}({parameters}) {{\n  {}\n}}", condition.expression));
}
