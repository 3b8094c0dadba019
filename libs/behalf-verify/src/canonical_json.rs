//! Canonical JSON (RFC 8785): one spelling for each value, so that a digest means the value.
//!
//! Stricter than the RFC in one place: an integer that a double cannot hold exactly is refused
//! instead of rounded, because a reader in another language would see another number. Write such
//! numbers as strings.

mod number;
mod parse;

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};
use thiserror::Error;

pub use number::format_double;
pub use parse::{ParseError, parse};

/// The deepest nesting of arrays and objects that is read or written.
pub const DEPTH_MAX: usize = 128;

/// The largest integer up to which doubles hold every integer.
const EXACT_MAX: u64 = 1 << 53;

/// The value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CanonicalError {
    /// An integer of a magnitude above 2^53.
    #[error(
        "integer `{0}` lies beyond 2^53, where a double rounds; write it as a string or a float"
    )]
    InexactInteger(String),
    /// A number that is neither an integer nor a finite double.
    #[error("number `{0}` is no finite double")]
    NotADouble(String),
    /// More than [`DEPTH_MAX`] arrays and objects inside each other.
    #[error("arrays and objects are nested more than {DEPTH_MAX} deep")]
    TooDeep,
}

/// The RFC 8785 form of `value`.
///
/// # Errors
/// If `value` holds an integer beyond 2^53 or is nested too deeply.
pub fn to_canonical(value: &Value) -> Result<String, CanonicalError> {
    let mut out = String::new();
    write_value(&mut out, value, 0)?;
    Ok(out)
}

/// Whether `text` is JSON in its RFC 8785 form, byte for byte.
pub fn is_canonical(text: &str) -> bool {
    parse::parse_doubles(text)
        .ok()
        .and_then(|value| to_canonical(&value).ok())
        .is_some_and(|canonical| canonical == text)
}

fn write_value(out: &mut String, value: &Value, depth: usize) -> Result<(), CanonicalError> {
    if depth > DEPTH_MAX {
        return Err(CanonicalError::TooDeep);
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item, depth.saturating_add(1))?;
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members, depth)?,
    }
    Ok(())
}

fn write_object(
    out: &mut String,
    members: &Map<String, Value>,
    depth: usize,
) -> Result<(), CanonicalError> {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| by_utf16(a, b));
    out.push('{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_value(out, value, depth.saturating_add(1))?;
    }
    out.push('}');
    Ok(())
}

/// RFC 8785 §3.2.3: names are ordered by their UTF-16 code units, which differs from the order of
/// Rust's strings above U+FFFF.
fn by_utf16(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn write_number(out: &mut String, number: &Number) -> Result<(), CanonicalError> {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match (magnitude, number.as_f64()) {
        (Some(magnitude), _) if magnitude > EXACT_MAX => {
            return Err(CanonicalError::InexactInteger(number.to_string()));
        }
        (Some(_), _) => out.push_str(&number.to_string()),
        (None, Some(double)) if double.is_finite() => out.push_str(&format_double(double)),
        (None, _) => return Err(CanonicalError::NotADouble(number.to_string())),
    }
    Ok(())
}

/// RFC 8785 §3.2.2.2: the short escapes where JSON has them, `\u00xx` for the other controls,
/// everything else as it is.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
