//! Types and values of the condition language.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::instant::Instant;

/// A static type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    IpAddress,
    /// The type of a type.
    Meta,
    /// Known only at run time.
    Dyn,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::IpAddress => "IPAddress",
            Self::Meta => "type",
            Self::Dyn => "dyn",
            Self::List(element) => return write!(f, "list({element})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
        })
    }
}

impl Type {
    /// The type both can be seen as, if any: equal types, or anything with `dyn` in it.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::List(a), Self::List(b)) => Some(Self::List(Box::new(a.join(b)?))),
            (Self::Map(ka, va), Self::Map(kb, vb)) => {
                Some(Self::Map(Box::new(ka.join(kb)?), Box::new(va.join(vb)?)))
            }
            (Self::Null, other) | (other, Self::Null) if other.is_nullable() => Some(other.clone()),
            _ => (self == other).then(|| self.clone()),
        }
    }

    fn is_nullable(&self) -> bool {
        matches!(self, Self::Null | Self::Duration | Self::Timestamp | Self::IpAddress)
    }
}

/// An address, with the zone an IPv6 literal may carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) zone: Option<Arc<str>>,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds.
    Duration(i64),
    Timestamp(Instant),
    IpAddress(Address),
    Type(String),
    List(Arc<[Self]>),
    Map(Arc<BTreeMap<Key, Self>>),
}

/// A map's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

impl Key {
    /// The key a value is; integral numbers are one key whatever their type.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(n) => Self::Int(*n),
            Value::Uint(n) => i64::try_from(*n).map_or(Self::Uint(*n), Self::Int),
            Value::String(text) => Self::String(Arc::clone(text)),
            Value::Double(n) if n.fract() == 0.0 && n.abs() < 9.0e15 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "integral and in range")]
                Self::Int(*n as i64)
            }
            _ => return None,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::Int(*n),
            Self::Uint(n) => Value::Uint(*n),
            Self::String(text) => Value::String(Arc::clone(text)),
        }
    }
}

impl Value {
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Null => "null_type".to_owned(),
            Self::Bool(_) => Type::Bool.to_string(),
            Self::Int(_) => Type::Int.to_string(),
            Self::Uint(_) => Type::Uint.to_string(),
            Self::Double(_) => Type::Double.to_string(),
            Self::String(_) => Type::String.to_string(),
            Self::Bytes(_) => Type::Bytes.to_string(),
            Self::Duration(_) => Type::Duration.to_string(),
            Self::Timestamp(_) => Type::Timestamp.to_string(),
            Self::IpAddress(_) => Type::IpAddress.to_string(),
            Self::Type(_) => "type".to_owned(),
            Self::List(_) => "list".to_owned(),
            Self::Map(_) => "map".to_owned(),
        }
    }

    /// Equality over all types; numbers are equal if they are the same number.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::IpAddress(a), Self::IpAddress(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.equals(b)))
            }
            _ => self.compare_numbers(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two values; `None` if they have none.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            _ => self.compare_numbers(other),
        }
    }

    /// The size that costs are reckoned by: characters, bytes, elements, or one.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::String(text) => text.chars().count() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(items) => items.len() as u64,
            Self::Map(entries) => entries.len() as u64,
            _ => 1,
        }
    }

    /// True for what a set of constants may hold.
    pub(crate) fn is_primitive(&self) -> bool {
        self.is_number() || matches!(self, Self::Bool(_) | Self::String(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        let wide = |value: &Self| match value {
            Self::Int(n) => Some(i128::from(*n)),
            Self::Uint(n) => Some(i128::from(*n)),
            _ => None,
        };
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), b) => wide(b).and_then(|b| compare_double(*a, b)),
            (a, Self::Double(b)) => {
                wide(a).and_then(|a| compare_double(*b, a)).map(Ordering::reverse)
            }
            (a, b) => Some(wide(a)?.cmp(&wide(b)?)),
        }
    }
}

/// Compares a double with an integer without losing digits of either.
fn compare_double(double: f64, integer: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= 1.0e30 {
        return Some(Ordering::Greater);
    }
    if double <= -1.0e30 {
        return Some(Ordering::Less);
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range; the fraction is compared below")]
    let whole = double.trunc() as i128;
    Some(
        whole
            .cmp(&integer)
            .then_with(|| double.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)),
    )
}
