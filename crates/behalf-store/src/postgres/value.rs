//! How values cross to PostgreSQL and back.
//!
//! PostgreSQL's text cannot hold the character NUL, which SQLite's can and which clients may send.
//! Rather than fail where the other engine does not, it is written as two other characters, and
//! those so that every text comes back as it was and equal texts stay equal.

use std::borrow::Cow;

use bytes::BytesMut;
use serde_json::Value as Json;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::Value;

type BoxError = Box<dyn std::error::Error + Sync + Send>;

/// The type under which a parameter is declared. What a NULL is, only the statement knows.
pub(super) const fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) | Value::Json(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Real(value) => value.to_sql(ty, out),
            Self::Text(value) => without_nul(value).to_sql(ty, out),
            Self::Blob(value) => value.as_slice().to_sql(ty, out),
            Self::Json(value) => json_without_nul(value).to_string().to_sql(ty, out),
        }
    }

    fn accepts(_ty: &Type) -> bool {
        // Each parameter is declared with the type of its value.
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(ty, raw)?.into()),
            Type::NUMERIC => Self::Int(whole_number(raw).ok_or("a NUMERIC beyond BIGINT")?),
            Type::FLOAT8 => Self::Real(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Self::Real(f32::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Blob(raw.to_vec()),
            _ => Self::Text(with_nul(<&str>::from_sql(&Type::TEXT, raw)?)),
        })
    }

    fn from_sql_null(_ty: &Type) -> Result<Self, BoxError> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        const KNOWN: [Type; 11] = [
            Type::INT8,
            Type::INT4,
            Type::INT2,
            Type::BOOL,
            Type::NUMERIC,
            Type::FLOAT8,
            Type::FLOAT4,
            Type::BYTEA,
            Type::TEXT,
            Type::VARCHAR,
            Type::UNKNOWN,
        ];
        KNOWN.contains(ty)
    }
}

/// A noncharacter of Unicode, meant for a program's own use.
const MARK: char = '\u{FDD0}';

fn without_nul(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    // The mark first: those of NUL must not be marked again.
    Cow::Owned(text.replace(MARK, "\u{FDD0}1").replace('\0', "\u{FDD0}0"))
}

/// JSON whose texts are as in columns. In JSON a NUL is an escape, which no text can be made from.
fn json_without_nul(json: &Json) -> Json {
    match json {
        Json::String(text) => Json::String(without_nul(text).into_owned()),
        Json::Array(items) => items.iter().map(json_without_nul).collect(),
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| {
                (without_nul(name).into_owned(), json_without_nul(value))
            };
            Json::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn with_nul(text: &str) -> String {
    let Some((plain, marked)) = text.split_once(MARK) else { return text.to_owned() };
    let mut out = plain.to_owned();
    for piece in marked.split(MARK) {
        match (piece.strip_prefix('0'), piece.strip_prefix('1')) {
            (Some(rest), _) => {
                out.push('\0');
                out.push_str(rest);
            }
            (_, rest) => {
                out.push(MARK);
                out.push_str(rest.unwrap_or(piece));
            }
        }
    }
    out
}

/// A NUMERIC that is a whole number: what `SUM` makes of BIGINT. Its digits count to 10,000.
fn whole_number(raw: &[u8]) -> Option<i64> {
    let mut words = raw.chunks_exact(2).map(|pair| match pair {
        [high, low] => i16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let (digits, weight) = (words.next()?, words.next()?);
    let (sign, _scale) = (words.next()?, words.next()?);
    let mut value: i64 = 0;
    for place in 0..=weight {
        let digit = if place < digits { words.next()? } else { 0 };
        value = value.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    // What is left stands after the point.
    if words.any(|digit| digit != 0) {
        return None;
    }
    match sign {
        0 => Some(value),
        0x4000 => value.checked_neg(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{whole_number, with_nul, without_nul};

    fn numeric(words: &[i16]) -> Option<i64> {
        whole_number(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn every_text_comes_back_and_different_texts_stay_different() {
        let mark = "\u{FDD0}";
        let pieces = ["", "a", "\0", mark, "0", "1", "é"];
        let mut seen = std::collections::BTreeSet::new();
        for (a, b, c) in pieces
            .iter()
            .flat_map(|a| pieces.iter().map(move |b| (a, b)))
            .flat_map(|(a, b)| pieces.iter().map(move |c| (a, b, c)))
        {
            let text = format!("{a}{b}{c}");
            let stored = without_nul(&text);
            assert!(!stored.contains('\0'));
            assert_eq!(with_nul(&stored), text);
            seen.insert((stored.into_owned(), text));
        }
        let stored: std::collections::BTreeSet<_> = seen.iter().map(|(stored, _)| stored).collect();
        assert_eq!(stored.len(), seen.len());
    }

    #[test]
    fn sums_are_whole_numbers_and_fractions_are_refused() {
        assert_eq!(numeric(&[0, 0, 0, 0]), Some(0));
        assert_eq!(numeric(&[1, 0, 0, 0, 42]), Some(42));
        assert_eq!(numeric(&[1, 1, 0, 0, 3]), Some(30_000));
        assert_eq!(numeric(&[2, 1, 0x4000, 0, 1, 2345]), Some(-12_345));
        assert_eq!(numeric(&[2, 0, 0, 1, 1, 5000]), None, "1.5");
        assert_eq!(numeric(&[1, 9, 0, 0, 1]), None, "10^36");
        assert_eq!(numeric(&[]), None);
    }
}
