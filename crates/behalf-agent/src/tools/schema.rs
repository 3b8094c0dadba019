//! The part of JSON Schema that tools describe their arguments with. What a model says is checked
//! against it before anybody sees it; a keyword that is not known here refuses everything.

use serde_json::{Map, Value};

/// Checks `arguments` against an object's schema.
///
/// # Errors
/// One sentence that says what is wrong, for the model.
pub(crate) fn check(schema: &Value, arguments: &Map<String, Value>) -> Result<(), String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| "the tool has no schema".to_owned())?;
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            return Err(format!("argument `{name}` is missing"));
        }
    }
    for (name, value) in arguments {
        let Some(property) = properties.get(name) else {
            let shown: String = name.chars().take(50).collect();
            return Err(format!("there is no argument `{shown}`"));
        };
        check_value(name, property, value)?;
    }
    Ok(())
}

/// Puts the schema's defaults where `arguments` say nothing.
pub(crate) fn fill(schema: &Value, arguments: &mut Map<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(default) = property.get("default")
            && !arguments.contains_key(name)
        {
            arguments.insert(name.clone(), default.clone());
        }
    }
}

fn check_value(name: &str, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, bound) in schema.as_object().into_iter().flatten() {
        let holds = match (keyword.as_str(), bound, value) {
            ("description" | "default", _, _) => true,
            ("type", Value::String(kind), _) => match kind.as_str() {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                _ => false,
            },
            ("minLength", bound, Value::String(text)) => {
                bound.as_u64().is_some_and(|bound| length(text) >= bound)
            }
            ("maxLength", bound, Value::String(text)) => {
                bound.as_u64().is_some_and(|bound| length(text) <= bound)
            }
            ("minLength" | "maxLength", _, _) => false,
            ("pattern", Value::String(pattern), Value::String(text)) if pattern == FILE_NAME => {
                is_file_name(text)
            }
            _ => false,
        };
        if !holds {
            return Err(format!("argument `{name}` does not fit its {keyword} {bound}"));
        }
    }
    Ok(())
}

fn length(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// The one pattern that tools use: a plain file name, no path.
pub(crate) const FILE_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._ -]*$";

fn is_file_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._ -".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_fit_their_schema_or_are_refused_in_a_sentence() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string", "minLength": 1, "maxLength": 3, "description": "x"},
            "b": {"type": "integer"},
            "c": {"type": "string", "pattern": FILE_NAME},
            "d": {"type": "string", "format": "date"}}});
        let result = |arguments: Value| check(&schema, arguments.as_object().unwrap());
        assert_eq!(result(json!({"a": "äöü", "b": 1, "c": "a b.md"})), Ok(()));
        for bad in [
            json!({}),
            json!({"a": ""}),
            json!({"a": "four"}),
            json!({"a": 1}),
            json!({"a": null}),
            json!({"a": "x", "b": 1.5}),
            json!({"a": "x", "c": "../x"}),
            json!({"a": "x", "d": "2026-01-01"}),
            json!({"a": "x", "evil": "x"}),
        ] {
            assert!(result(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_default_stands_where_nothing_was_said() {
        let schema = json!({"properties": {"a": {"type": "string", "default": "x"}, "b": {}}});
        let filled = |arguments: Value| {
            let mut arguments = arguments.as_object().unwrap().clone();
            fill(&schema, &mut arguments);
            Value::Object(arguments)
        };
        assert_eq!(filled(json!({})), json!({"a": "x"}));
        assert_eq!(filled(json!({"a": "y", "b": 1})), json!({"a": "y", "b": 1}));
    }
}
