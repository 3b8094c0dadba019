//! A JSON document that borrows its texts from the body, in which no object names a member twice:
//! of two values readers take different ones.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// From so many members on, a set finds those named twice.
const MANY: usize = 16;

/// JSON.
#[derive(Clone, Debug)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Members<'a>),
}

/// An object's members in their order.
#[derive(Clone, Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl Json<'_> {
    /// The same, on its own.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::List(items) => items.iter().map(Json::to_value).collect(),
            Self::Object(members) => Value::Object(members.to_map()),
        }
    }
}

impl<'a> Members<'a> {
    /// The member of which `is_it` says that it is.
    pub(super) fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<&Json<'a>> {
        self.0.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
    }

    /// The same, on its own.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        let member = |(name, value): &(Cow<'_, str>, Json<'_>)| {
            (name.clone().into_owned(), value.to_value())
        };
        self.0.iter().map(member).collect()
    }

    /// A name that two members have.
    fn find_twice(&self) -> Option<&str> {
        let names = || self.0.iter().map(|(name, _)| &**name);
        if self.0.len() < MANY {
            let is_twice =
                |(at, name): &(usize, &str)| names().take(*at).any(|before| before == *name);
            return names().enumerate().find(is_twice).map(|(_, name)| name);
        }
        let mut known = HashSet::with_capacity(self.0.len());
        names().find(|name| !known.insert(*name))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut members = Members(Vec::new());
        while let Some((Name(name), value)) = entries.next_entry()? {
            members.0.push((name, value));
        }
        match members.find_twice() {
            Some(name) => Err(A::Error::custom(format_args!("duplicate member `{name}`"))),
            None => Ok(Json::Object(members)),
        }
    }
}

/// A member's name; serde's own `Cow` would not borrow.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_stands() {
        let text = r#"{"a": [1, -2, 3.5, "x\n", null, true], "b": {"é": "ü"}}"#;
        let json: Json<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(json.to_value(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn no_member_is_named_twice_however_many_there_are() {
        for count in [2, MANY - 1, MANY, 1_000] {
            let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\": {n}")).collect();
            let text = members.join(", ");
            assert!(serde_json::from_str::<Json<'_>>(&format!("{{{text}}}")).is_ok());
            let twice = format!("{{\"in\": [{{{text}, \"m\\u0031\": 0}}]}}");
            let error = serde_json::from_str::<Json<'_>>(&twice).unwrap_err();
            assert!(error.to_string().starts_with("duplicate member `m1`"), "{error}");
        }
    }
}
