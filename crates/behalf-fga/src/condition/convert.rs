//! Converts a context's JSON to typed parameters, with OpenFGA's rules.
//!
//! A JSON number is a double, as in a protobuf `Struct`; ints and uints must be integral.

use std::sync::Arc;

use serde_json::Value as Json;

use super::instant::Instant;
use super::time;
use super::value::{Key, Type, Value};

/// Contexts nested deeper than this are refused.
const MAX_NESTING: usize = 32;

pub(crate) fn convert(declared: &Type, json: &Json, depth: usize) -> Result<Value, String> {
    if depth > MAX_NESTING {
        return Err("the value is nested too deep".to_owned());
    }
    match (declared, json) {
        (Type::Dyn, _) => dynamic(json, depth),
        (Type::Bool, Json::Bool(b)) => Ok(Value::Bool(*b)),
        (Type::String, Json::String(text)) => Ok(Value::String(Arc::from(text.as_str()))),
        (Type::Int, _) => integer(json).map(Value::Int),
        (Type::Uint, _) => {
            let number = integer(json)?;
            let unsigned = u64::try_from(number);
            unsigned
                .map(Value::Uint)
                .map_err(|_| format!("expected a uint value, but found int64 value '{number}'"))
        }
        (Type::Double, _) => double(json).map(Value::Double),
        (Type::Duration, Json::String(text)) => time::parse_duration(text)
            .map(Value::Duration)
            .map_err(|_| format!("expected a valid duration string, but found: '{text}'")),
        (Type::Timestamp, Json::String(text)) => Instant::parse(text).map(Value::Timestamp),
        (Type::IpAddress, Json::String(text)) => time::parse_address(text)
            .map(Value::IpAddress)
            .map_err(|_| format!("expected a well-formed IP address, but found: '{text}'")),
        (Type::List(element), Json::Array(items)) => {
            let items: Result<Vec<Value>, String> =
                items.iter().map(|item| convert(element, item, depth + 1)).collect();
            Ok(Value::List(items?.into()))
        }
        (Type::Map(_, element), Json::Object(entries)) => {
            let entries: Result<_, String> = entries
                .iter()
                .map(|(key, value)| Ok((key_of(key), convert(element, value, depth + 1)?)))
                .collect();
            Ok(Value::Map(Arc::new(entries?)))
        }
        _ => Err(format!("expected type value '{declared}', but found '{json}'")),
    }
}

fn key_of(key: &str) -> Key {
    Key::String(Arc::from(key))
}

fn dynamic(json: &Json, depth: usize) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(_) => Value::Double(double(json)?),
        Json::String(text) => Value::String(Arc::from(text.as_str())),
        Json::Array(_) => return convert(&Type::List(Box::new(Type::Dyn)), json, depth),
        Json::Object(_) => {
            let of = Type::Map(Box::new(Type::String), Box::new(Type::Dyn));
            return convert(&of, json, depth);
        }
    })
}

fn double(json: &Json) -> Result<f64, String> {
    let number = match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => {
            let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
            text.parse().ok().filter(|_| is_plain)
        }
        _ => return Err(format!("expected a double value, but found '{json}'")),
    };
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("number cannot be represented as a float64: {json}"))
}

fn integer(json: &Json) -> Result<i64, String> {
    if let Json::String(text) = json
        && let Ok(number) = text.parse()
    {
        return Ok(number);
    }
    let number = double(json)?;
    if number.fract() != 0.0 {
        return Err(format!("expected an int value, but found numeric value '{number}'"));
    }
    // Out of range saturates, as in OpenFGA.
    #[expect(clippy::cast_possible_truncation, reason = "saturation is the wanted behaviour")]
    Ok(number as i64)
}
