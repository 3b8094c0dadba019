//! Members of a JSON object by their protobuf names.

use behalf_core::Timestamp;
use serde_json::{Map, Value};

use super::value::{Json, Members};
use crate::fga::convert::time_of;
use crate::fga::error::FgaError;

/// A JSON object that is read as a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::fga) struct Object<'a>(&'a Members<'a>);

impl<'a> Object<'a> {
    pub(super) const fn new(members: &'a Members<'a>) -> Self {
        Self(members)
    }

    /// Every member, on its own.
    pub(super) fn to_map(self) -> Map<String, Value> {
        self.0.to_map()
    }

    /// A member as it is.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, FgaError> {
        Ok(self.get(name)?.map(Json::to_value))
    }

    /// The member, in snake or camel case, unless it is absent or null.
    fn get(&self, name: &str) -> Result<Option<&'a Json<'a>>, FgaError> {
        let exact = self.0.find(|member| member == name);
        let is_one_word = !name.contains('_');
        let camel =
            if is_one_word { None } else { self.0.find(|member| is_camel_case(member, name)) };
        match (exact, camel) {
            (Some(_), Some(_)) => {
                Err(FgaError::validation(format!("duplicate field \"{}\"", camel_case(name))))
            }
            (value, None) | (None, value) => Ok(value.filter(|value| !matches!(value, Json::Null))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<String, FgaError> {
        match self.get(name)? {
            None => Ok(String::new()),
            Some(Json::Text(text)) => Ok(text.clone().into_owned()),
            Some(other) => Err(wrong("string", name, other)),
        }
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, FgaError> {
        Ok(if self.get(name)?.is_some() { Some(self.text(name)?) } else { None })
    }

    pub(super) fn bool(&self, name: &str) -> Result<bool, FgaError> {
        match self.get(name)? {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(other) => Err(wrong("bool", name, other)),
        }
    }

    /// A whole number, also as text.
    pub(super) fn int(&self, name: &str) -> Result<Option<i32>, FgaError> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let number = match value {
            Json::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Json::Text(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| i32::try_from(number).ok());
        number.map(Some).ok_or_else(|| wrong("int32", name, value))
    }

    /// A whole number that is not negative, also as text.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, FgaError> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let number = match value {
            Json::Number(number) => number.as_u64(),
            Json::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| wrong("uint64", name, value))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, FgaError> {
        match self.get(name)? {
            None => Ok(Vec::new()),
            Some(Json::List(items)) => items
                .iter()
                .map(|item| match item {
                    Json::Text(text) => Ok(text.clone().into_owned()),
                    other => Err(wrong("string", name, other)),
                })
                .collect(),
            Some(other) => Err(wrong("list", name, other)),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, FgaError> {
        match self.get(name)? {
            None => Ok(None),
            Some(Json::Object(members)) => Ok(Some(Self(members))),
            Some(other) => Err(wrong("object", name, other)),
        }
    }

    /// A time in RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Option<prost_types::Timestamp>, FgaError> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let time = match value {
            Json::Text(text) => Timestamp::from_rfc3339(text),
            _ => None,
        };
        time.map(time_of).map(Some).ok_or_else(|| wrong("timestamp", name, value))
    }

    /// A list of objects, each read by `read`.
    pub(super) fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&Self) -> Result<T, FgaError>,
    ) -> Result<Vec<T>, FgaError> {
        match self.get(name)? {
            None => Ok(Vec::new()),
            Some(Json::List(items)) => items
                .iter()
                .map(|item| match item {
                    Json::Object(members) => read(&Self(members)),
                    other => Err(wrong("object", name, other)),
                })
                .collect(),
            Some(other) => Err(wrong("list", name, other)),
        }
    }

    /// The number of an enum's value, by name or number. A name that is none is passed over, as
    /// members are that are none (protobuf's `DiscardUnknown`).
    pub(super) fn variant(
        &self,
        name: &str,
        by_name: impl Fn(&str) -> Option<i32>,
    ) -> Result<i32, FgaError> {
        match self.get(name)? {
            None => Ok(0),
            Some(Json::Text(text)) => Ok(by_name(text).unwrap_or_default()),
            Some(_) => Ok(self.int(name)?.unwrap_or_default()),
        }
    }
}

fn wrong(kind: &str, name: &str, value: &Json<'_>) -> FgaError {
    let value = value.to_value();
    FgaError::validation(format!("invalid value for {kind} field {name}: {value}"))
}

/// `1.0` is a whole number in protobuf's JSON.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn whole(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX);
    is_whole.then_some(number as i64)
}

pub(super) fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut rest = part.chars();
        camel.extend(rest.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(rest.as_str());
    }
    camel
}

/// True if the member is called `name`, in camel case.
fn is_camel_case(member: &str, name: &str) -> bool {
    let mut rest = member.chars();
    for (at, part) in name.split('_').enumerate() {
        for (place, c) in part.chars().enumerate() {
            let wanted = if at > 0 && place == 0 { c.to_ascii_uppercase() } else { c };
            if rest.next() != Some(wanted) {
                return false;
            }
        }
    }
    rest.next().is_none()
}
