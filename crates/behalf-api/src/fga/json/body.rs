//! Bodies: any content type, as OpenFGA's gateway does not look at it either.

use std::fmt;

use axum::extract::{FromRequest, Request};
use behalf_http::HttpContext;
use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

use super::object::Object;
use crate::fga::error::FgaError;

/// A JSON body, read as a message by `T::read`.
#[derive(Debug)]
pub(in crate::fga) struct FgaBody<T>(pub(in crate::fga) T);

/// What a body can be read as.
pub(in crate::fga) trait Read: Sized {
    fn read(body: &Object<'_>) -> Result<Self, FgaError>;
}

impl<T: Read> FromRequest<HttpContext> for FgaBody<T> {
    type Rejection = FgaError;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, FgaError> {
        let body = Bytes::from_request(request, context)
            .await
            .map_err(|_| FgaError::validation("the body could not be read or is too large"))?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let Strict(value) = serde_json::from_slice(text).map_err(|error| {
            let text =
                if error.is_data() { error.to_string() } else { "malformed JSON".to_owned() };
            FgaError::validation(text)
        })?;
        let Value::Object(members) = value else {
            return Err(FgaError::validation("the body is no JSON object"));
        };
        T::read(&Object::new(&members)).map(Self)
    }
}

/// Any JSON in which no object names a member twice: of two values readers take different ones.
#[derive(Debug, Default)]
pub(in crate::fga) struct Strict(pub(in crate::fga) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("duplicate member `{name}`")));
            }
            map.insert(name, value);
        }
        Ok(Strict(Value::Object(map)))
    }
}
