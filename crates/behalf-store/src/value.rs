//! Values in the common subset of both engines: BIGINT, DOUBLE PRECISION, TEXT, BLOB/BYTEA, NULL.

use behalf_core::Timestamp;

use crate::error::StoreError;

/// One value of a statement or a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// BIGINT; also booleans (0/1) and times (microseconds).
    Int(i64),
    /// DOUBLE PRECISION.
    Real(f64),
    /// TEXT; also JSON.
    Text(String),
    /// BLOB or BYTEA.
    Blob(Vec<u8>),
    /// JSON that the statement takes apart: its texts become, or are compared with, TEXT.
    Json(serde_json::Value),
}

macro_rules! value_from {
    ($($type:ty => |$v:ident| $value:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($v: $type) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    i64 => |v| Self::Int(v);
    u32 => |v| Self::Int(i64::from(v));
    f64 => |v| Self::Real(v);
    bool => |v| Self::Int(i64::from(v));
    &str => |v| Self::Text(v.to_owned());
    String => |v| Self::Text(v);
    &String => |v| Self::Text(v.clone());
    &[u8] => |v| Self::Blob(v.to_vec());
    Vec<u8> => |v| Self::Blob(v);
    [u8; 32] => |v| Self::Blob(v.to_vec());
    &[u8; 32] => |v| Self::Blob(v.to_vec());
    serde_json::Value => |v| Self::Json(v);
    Timestamp => |v| Self::Int(v.as_micros());
    &behalf_core::TenantId => |v| Self::Text(v.as_str().to_owned());
    &behalf_core::UserId => |v| Self::Text(v.as_str().to_owned());
    &behalf_core::ClientId => |v| Self::Text(v.as_str().to_owned());
    &behalf_core::SessionId => |v| Self::Text(v.as_str().to_owned());
    &behalf_core::ConnectionName => |v| Self::Text(v.as_str().to_owned());
    &behalf_core::ProjectId => |v| Self::Text(v.as_str().to_owned());
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A Rust type that a column's value turns into.
pub trait FromValue: Sized {
    /// The value as this type; `None` when it is of another kind.
    fn from_value(value: Value) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int(v) = value { Some(v) } else { None }
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Real(v) = value { Some(v) } else { None }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(v) = value { Some(v) } else { None }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Blob(v) = value { Some(v) } else { None }
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int(v) = value { Some(Self::from_micros(v)) } else { None }
    }
}

macro_rules! id_from_value {
    ($($id:ident),*) => {$(
        impl FromValue for behalf_core::$id {
            fn from_value(value: Value) -> Option<Self> {
                if let Value::Text(v) = value { Self::try_from(v).ok() } else { None }
            }
        }
    )*};
}

id_from_value!(TenantId, UserId, ClientId, SessionId, ConnectionName, ProjectId);

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}

/// One row of an answer; columns are taken once, by position.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    /// A row of `values`.
    pub(crate) const fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// Takes the column at `index` as a `T`; the column reads as NULL afterwards.
    ///
    /// # Errors
    /// `Corrupt` when the column is absent or of another kind.
    pub fn take<T: FromValue>(&mut self, index: usize) -> Result<T, StoreError> {
        let value = self.0.get_mut(index).map(|v| std::mem::replace(v, Value::Null));
        value
            .and_then(T::from_value)
            .ok_or_else(|| StoreError::Corrupt { what: format!("column {index} of a row") })
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}
