//! The functions of CEL's standard library, and OpenFGA's `ipaddress` and `in_cidr`.

use std::sync::Arc;

use super::eval::tenth_or_quarter;
use super::instant::{Instant, Zone};
use super::regex;
use super::time;
use super::value::{Address, Type, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    ToInt,
    ToUint,
    ToDouble,
    ToString,
    ToBytes,
    ToBool,
    ToDuration,
    ToTimestamp,
    ToIpAddress,
    ToDyn,
    TypeOf,
    InCidr,
    Get(Part),
}

impl Function {
    /// True for the conversions of the standard library; one of a constant must succeed.
    pub(crate) fn is_conversion(self) -> bool {
        matches!(
            self,
            Self::ToInt
                | Self::ToUint
                | Self::ToDouble
                | Self::ToString
                | Self::ToBytes
                | Self::ToBool
                | Self::ToDuration
                | Self::ToTimestamp
                | Self::ToDyn
                | Self::TypeOf
        )
    }
}

/// A part of a timestamp or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    FullYear,
    Month,
    DayOfYear,
    DayOfMonth,
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// Finds the function and its result type; the receiver is the first of `types`.
pub(crate) fn resolve(is_member: bool, name: &str, types: &[Type]) -> Option<(Function, Type)> {
    let is = |at: usize, wanted: &[Type]| {
        types.get(at).is_some_and(|found| *found == Type::Dyn || wanted.contains(found))
    };
    let text = &[Type::String];
    let function = match (is_member, name, types.len()) {
        (_, "size", 1) => {
            let sized = matches!(
                types.first(),
                Some(Type::String | Type::Bytes | Type::List(_) | Type::Map(..) | Type::Dyn)
            );
            return sized.then_some((Function::Size, Type::Int));
        }
        (true, "contains", 2) => Function::Contains,
        (true, "startsWith", 2) => Function::StartsWith,
        (true, "endsWith", 2) => Function::EndsWith,
        (_, "matches", 2) => Function::Matches,
        (true, "in_cidr", 2) => {
            let fits = is(0, &[Type::IpAddress]) && is(1, text);
            return fits.then_some((Function::InCidr, Type::Bool));
        }
        (true, _, 1 | 2) => return resolve_part(name, types),
        (false, _, 1) => return resolve_conversion(name, types.first()?),
        _ => return None,
    };
    (is(0, text) && is(1, text)).then_some((function, Type::Bool))
}

fn resolve_part(name: &str, types: &[Type]) -> Option<(Function, Type)> {
    let part = match name {
        "getFullYear" => Part::FullYear,
        "getMonth" => Part::Month,
        "getDayOfYear" => Part::DayOfYear,
        "getDayOfMonth" => Part::DayOfMonth,
        "getDate" => Part::Date,
        "getDayOfWeek" => Part::DayOfWeek,
        "getHours" => Part::Hours,
        "getMinutes" => Part::Minutes,
        "getSeconds" => Part::Seconds,
        "getMilliseconds" => Part::Milliseconds,
        _ => return None,
    };
    let of_duration =
        matches!(part, Part::Hours | Part::Minutes | Part::Seconds | Part::Milliseconds);
    let fits = match types {
        [Type::Timestamp | Type::Dyn] | [Type::Timestamp | Type::Dyn, Type::String | Type::Dyn] => {
            true
        }
        [Type::Duration] => of_duration,
        _ => false,
    };
    fits.then_some((Function::Get(part), Type::Int))
}

fn resolve_conversion(name: &str, from: &Type) -> Option<(Function, Type)> {
    use Type::{Bool, Bytes, Double, Duration, Dyn, Int, IpAddress, String, Timestamp, Uint};
    let (function, result, admitted): (_, _, &[Type]) = match name {
        "dyn" => return Some((Function::ToDyn, Dyn)),
        "type" => return Some((Function::TypeOf, Type::Meta)),
        "int" => (Function::ToInt, Int, &[Int, Uint, Double, String, Timestamp, Duration]),
        "uint" => (Function::ToUint, Uint, &[Int, Uint, Double, String]),
        "double" => (Function::ToDouble, Double, &[Int, Uint, Double, String]),
        "string" => (
            Function::ToString,
            String,
            &[String, Int, Uint, Double, Bool, Bytes, Timestamp, Duration],
        ),
        "bytes" => (Function::ToBytes, Bytes, &[Bytes, String]),
        "bool" => (Function::ToBool, Bool, &[Bool, String]),
        "duration" => (Function::ToDuration, Duration, &[Duration, String, Int]),
        "timestamp" => (Function::ToTimestamp, Timestamp, &[Timestamp, String, Int]),
        "ipaddress" => (Function::ToIpAddress, IpAddress, &[String]),
        _ => return None,
    };
    (*from == Dyn || admitted.contains(from)).then_some((function, result))
}

/// Calls a function.
pub(crate) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let no_overload = || "no such overload".to_owned();
    let value = arguments.first().ok_or_else(no_overload)?;
    match function {
        Function::Size => size(value),
        Function::Contains | Function::StartsWith | Function::EndsWith | Function::Matches => {
            let (Value::String(text), Some(Value::String(other))) = (value, arguments.get(1))
            else {
                return Err(no_overload());
            };
            Ok(Value::Bool(match function {
                Function::Contains => text.contains(&**other),
                Function::StartsWith => text.starts_with(&**other),
                Function::EndsWith => text.ends_with(&**other),
                _ => regex::compile(other)?.regex.is_match(text),
            }))
        }
        Function::InCidr => match (value, arguments.get(1)) {
            (Value::IpAddress(address), Some(Value::String(cidr))) => {
                time::in_cidr(address, cidr).map(Value::Bool)
            }
            _ => Err(no_overload()),
        },
        Function::Get(part) => match (value, arguments.get(1)) {
            (Value::Timestamp(at), None) => at.part(&Zone::UTC, part).map(Value::Int),
            (Value::Timestamp(at), Some(Value::String(name))) => {
                at.part(&Zone::find(name)?, part).map(Value::Int)
            }
            (Value::Duration(nanos), None) => duration_part(*nanos, part),
            _ => Err(no_overload()),
        },
        Function::ToDyn => Ok(value.clone()),
        Function::TypeOf => Ok(Value::Type(value.type_name())),
        _ => convert(function, value),
    }
}

fn size(value: &Value) -> Result<Value, String> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        _ => return Err("no such overload".to_owned()),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| "size out of range".to_owned())
}

fn convert(function: Function, value: &Value) -> Result<Value, String> {
    let range = || "range error".to_owned();
    let parse = || "type conversion error".to_owned();
    Ok(match (function, value) {
        (Function::ToInt, Value::Int(_))
        | (Function::ToUint, Value::Uint(_))
        | (Function::ToDouble, Value::Double(_))
        | (Function::ToString, Value::String(_))
        | (Function::ToBytes, Value::Bytes(_))
        | (Function::ToBool, Value::Bool(_))
        | (Function::ToDuration, Value::Duration(_))
        | (Function::ToTimestamp, Value::Timestamp(_)) => value.clone(),
        (Function::ToInt, Value::Uint(n)) => Value::Int(i64::try_from(*n).map_err(|_| range())?),
        (Function::ToInt, Value::Double(n)) => {
            // A NaN has no absolute value below the bound.
            let is_in_range = n.abs() < 9_223_372_036_854_775_808.0;
            if !is_in_range {
                return Err(range());
            }
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            Value::Int(*n as i64)
        }
        (Function::ToInt, Value::String(text)) => Value::Int(text.parse().map_err(|_| parse())?),
        (Function::ToInt, Value::Timestamp(at)) => Value::Int(at.as_second()),
        (Function::ToInt, Value::Duration(nanos)) => Value::Int(*nanos),
        (Function::ToUint, Value::Int(n)) => Value::Uint(u64::try_from(*n).map_err(|_| range())?),
        (Function::ToUint, Value::Double(n)) => {
            if !(*n >= 0.0 && *n < 18_446_744_073_709_551_616.0) {
                return Err(range());
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range was checked"
            )]
            Value::Uint(*n as u64)
        }
        (Function::ToUint, Value::String(text)) if !text.starts_with('+') => {
            Value::Uint(text.parse().map_err(|_| parse())?)
        }
        #[expect(clippy::cast_precision_loss, reason = "the conversion rounds, as CEL's does")]
        (Function::ToDouble, Value::Int(n)) => Value::Double(*n as f64),
        #[expect(clippy::cast_precision_loss, reason = "the conversion rounds, as CEL's does")]
        (Function::ToDouble, Value::Uint(n)) => Value::Double(*n as f64),
        (Function::ToDouble, Value::String(text)) => {
            let number: f64 = text.parse().map_err(|_| parse())?;
            // Digits that make an infinity are out of range.
            if number.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
                return Err(parse());
            }
            Value::Double(number)
        }
        (Function::ToString, _) => Value::String(Arc::from(text_of(value)?)),
        (Function::ToBytes, Value::String(text)) => Value::Bytes(Arc::from(text.as_bytes())),
        (Function::ToBool, Value::String(text)) => match &**text {
            "true" | "TRUE" | "True" | "t" | "T" | "1" => Value::Bool(true),
            "false" | "FALSE" | "False" | "f" | "F" | "0" => Value::Bool(false),
            _ => return Err(parse()),
        },
        (Function::ToDuration, Value::String(text)) => Value::Duration(time::parse_duration(text)?),
        (Function::ToDuration, Value::Int(nanos)) => Value::Duration(*nanos),
        (Function::ToTimestamp, Value::String(text)) => Value::Timestamp(Instant::parse(text)?),
        (Function::ToTimestamp, Value::Int(seconds)) => {
            Value::Timestamp(Instant::from_second(*seconds)?)
        }
        (Function::ToIpAddress, Value::String(text)) => {
            Value::IpAddress(time::parse_address(text)?)
        }
        _ => return Err("no such overload".to_owned()),
    })
}

fn text_of(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) => time::double_text(*n),
        Value::Bool(b) => b.to_string(),
        Value::Timestamp(at) => at.to_string(),
        Value::Duration(nanos) => time::seconds_text(*nanos),
        Value::IpAddress(address) => match &address.zone {
            Some(zone) => format!("{}%{zone}", address.ip),
            None => address.ip.to_string(),
        },
        Value::Bytes(bytes) => {
            String::from_utf8(bytes.to_vec()).map_err(|_| "invalid UTF-8 in bytes".to_owned())?
        }
        _ => return Err("no such overload".to_owned()),
    })
}

fn duration_part(nanos: i64, part: Part) -> Result<Value, String> {
    Ok(Value::Int(match part {
        Part::Hours => nanos / 3_600_000_000_000,
        Part::Minutes => nanos / 60_000_000_000,
        Part::Seconds => nanos / 1_000_000_000,
        Part::Milliseconds => nanos / 1_000_000,
        _ => return Err("no such overload".to_owned()),
    }))
}

/// The cost of a call: one, or for what it looks at. `is_sized` says that the types were known
/// when the expression was checked; if not, cel-go charges one.
pub(crate) fn cost(function: Function, is_sized: bool, arguments: &[Value]) -> u64 {
    let size = |at: usize| arguments.get(at).map_or(0, Value::size);
    match function {
        _ if !is_sized => 1,
        Function::Contains => tenth_or_quarter(size(0), 0.1) * tenth_or_quarter(size(1), 0.1),
        Function::Matches => tenth_or_quarter(size(0) + 1, 0.1) * tenth_or_quarter(size(1), 0.25),
        Function::StartsWith | Function::EndsWith | Function::ToBytes | Function::ToString => {
            tenth_or_quarter(size(0), 0.1)
        }
        _ => 1,
    }
}

/// Reads an address; IPv4 inside IPv6 becomes IPv4.
pub(crate) fn unmapped(address: Address) -> Address {
    Address { ip: address.ip.to_canonical(), ..address }
}
