//! Bodies and answers of the dialect: unknown members of a request are discarded, `null` is absent,
//! names are understood in either case, and unpopulated members of an answer are there.

use std::fmt;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use behalf_authz::At;
use behalf_authz::engine::{DeleteKey, TupleCondition, TupleKey};
use behalf_http::HttpContext;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

use super::error::FgaError;

/// A JSON body, whatever the content type says: OpenFGA's gateway does not look either.
#[derive(Debug)]
pub(super) struct FgaBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<HttpContext> for FgaBody<T> {
    type Rejection = FgaError;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, FgaError> {
        let body = Bytes::from_request(request, context)
            .await
            .map_err(|_| FgaError::validation("the body could not be read or is too large"))?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let text =
                if error.is_data() { error.to_string() } else { "malformed JSON".to_owned() };
            FgaError::validation(text)
        })
    }
}

/// Reads `null` like an absent member.
pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `{user, relation, object}`, of a check, a filter or a deletion.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Key {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) user: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) relation: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) object: String,
}

impl Key {
    /// The key, whose fields are not longer than OpenFGA admits.
    pub(super) fn checked(self) -> Result<Self, FgaError> {
        let Self { user, relation, object } = &self;
        for (code, field, value, longest) in [
            ("validation_error", "User", user, 512),
            ("relation_too_long", "Relation", relation, 50),
            ("object_too_long", "Object", object, 256),
        ] {
            if value.len() > longest {
                let text = format!(
                    "invalid TupleKey.{field}: value length must be at most {longest} bytes"
                );
                return Err(FgaError::input(code, text));
            }
        }
        Ok(self)
    }
}

/// Keys to delete.
pub(super) fn delete_keys(keys: Vec<Key>) -> Result<Vec<DeleteKey>, FgaError> {
    let checked = keys.into_iter().map(Key::checked);
    checked
        .map(|key| key.map(|Key { user, relation, object }| DeleteKey { user, relation, object }))
        .collect()
}

/// A tuple with its condition.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tuple {
    #[serde(default, deserialize_with = "or_default")]
    user: String,
    #[serde(default, deserialize_with = "or_default")]
    relation: String,
    #[serde(default, deserialize_with = "or_default")]
    object: String,
    #[serde(default)]
    condition: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
struct Condition {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default)]
    context: Context,
}

/// Tuples to write, or that hold for one request.
pub(super) fn tuple_keys(tuples: Vec<Tuple>) -> Result<Vec<TupleKey>, FgaError> {
    let of_wire = |tuple: Tuple| {
        let Tuple { user, relation, object, condition } = tuple;
        let Key { user, relation, object } = Key { user, relation, object }.checked()?;
        let condition = condition.map(|condition| TupleCondition {
            name: condition.name,
            context: condition.context.0.unwrap_or_default(),
        });
        Ok(TupleKey { user, relation, object, condition, ..TupleKey::default() })
    };
    tuples.into_iter().map(of_wire).collect()
}

/// `{"tuple_keys": […]}`, as checks and batch items carry contextual tuples.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ContextualTuples {
    #[serde(default, alias = "tupleKeys", deserialize_with = "or_default")]
    tuple_keys: Vec<Tuple>,
}

/// The contextual tuples of a request.
pub(super) fn contextual(tuples: Option<ContextualTuples>) -> Result<Vec<TupleKey>, FgaError> {
    tuple_keys(tuples.unwrap_or_default().tuple_keys)
}

/// A condition context: an object, or nothing.
#[derive(Debug, Default)]
pub(super) struct Context(pub(super) Option<Map<String, Value>>);

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict::deserialize(deserializer)?.0 {
            Value::Null => Ok(Self(None)),
            Value::Object(members) => Ok(Self(Some(members))),
            _ => Err(de::Error::custom("a context is an object")),
        }
    }
}

/// Any JSON in which no object names a member twice: of two values readers take different ones.
#[derive(Debug, Default)]
pub(super) struct Strict(pub(super) Value);

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

/// A member that must be there.
pub(super) fn required<T>(
    value: Option<T>,
    code: &'static str,
    field: &str,
) -> Result<T, FgaError> {
    value.ok_or_else(|| FgaError::input(code, format!("invalid {field}: value is required")))
}

/// A 200 with the headers that say which store, model and revision answered.
pub(super) fn answered(store_id: &str, at: &At, body: &Value) -> Response {
    let mut response = json(StatusCode::OK, body);
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("openfga-authorization-model-id", &at.model_id);
    put("openfga-store-id", store_id);
    put("behalf-revision", &at.revision().to_string());
    response
}

/// JSON that no cache keeps: the next answer may be another.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
