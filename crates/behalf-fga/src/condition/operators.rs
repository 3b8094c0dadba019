//! The operators, on values.

use std::sync::Arc;

use super::ast::Binary;
use super::eval::{Failure, Run};
use super::value::{Key, Value};

pub(super) fn index_value(operand: &Value, index: &Value) -> Run<Value> {
    match (operand, index) {
        (Value::List(items), _) => {
            let Some(Key::Int(at)) = Key::of(index) else { return Err("no such overload".into()) };
            usize::try_from(at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| Failure::Error(format!("index out of bounds: {at}")))
        }
        (Value::Map(entries), _) => Key::of(index)
            .and_then(|key| entries.get(&key))
            .cloned()
            .ok_or_else(|| "no such key".into()),
        _ => Err("no such overload".into()),
    }
}

pub(super) fn arithmetic(operator: Binary, left: &Value, right: &Value) -> Run<Value> {
    use Value::{Bytes, Double, Duration, Int, List, String, Timestamp, Uint};
    let overflow = || Failure::Error("integer overflow".to_owned());
    let by_zero = || Failure::Error("division by zero".to_owned());
    match (operator, left, right) {
        (Binary::Divide, Int(_), Int(0)) | (Binary::Divide, Uint(_), Uint(0)) => Err(by_zero()),
        (Binary::Modulo, Int(_), Int(0)) | (Binary::Modulo, Uint(_), Uint(0)) => {
            Err("modulus by zero".into())
        }
        (_, Int(a), Int(b)) => match operator {
            Binary::Add => a.checked_add(*b),
            Binary::Subtract => a.checked_sub(*b),
            Binary::Multiply => a.checked_mul(*b),
            Binary::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Int)
        .ok_or_else(overflow),
        (_, Uint(a), Uint(b)) => match operator {
            Binary::Add => a.checked_add(*b),
            Binary::Subtract => a.checked_sub(*b),
            Binary::Multiply => a.checked_mul(*b),
            Binary::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Uint)
        .ok_or_else(overflow),
        (Binary::Add, Double(a), Double(b)) => Ok(Double(a + b)),
        (Binary::Subtract, Double(a), Double(b)) => Ok(Double(a - b)),
        (Binary::Multiply, Double(a), Double(b)) => Ok(Double(a * b)),
        (Binary::Divide, Double(a), Double(b)) => Ok(Double(a / b)),
        (Binary::Add, String(a), String(b)) => Ok(String(Arc::from(format!("{a}{b}")))),
        (Binary::Add, Bytes(a), Bytes(b)) => Ok(Bytes([&**a, &**b].concat().into())),
        (Binary::Add, List(a), List(b)) => Ok(List([&**a, &**b].concat().into())),
        (Binary::Add, Duration(a), Duration(b)) => {
            a.checked_add(*b).map(Duration).ok_or_else(overflow)
        }
        (Binary::Subtract, Duration(a), Duration(b)) => {
            a.checked_sub(*b).map(Duration).ok_or_else(overflow)
        }
        (Binary::Add, Timestamp(at), Duration(nanos))
        | (Binary::Add, Duration(nanos), Timestamp(at)) => {
            Ok(Timestamp(at.plus(i128::from(*nanos))?))
        }
        (Binary::Subtract, Timestamp(at), Duration(nanos)) => {
            Ok(Timestamp(at.plus(-i128::from(*nanos))?))
        }
        (Binary::Subtract, Timestamp(a), Timestamp(b)) => {
            i64::try_from(a.since(*b)).map(Duration).map_err(|_| overflow())
        }
        _ => Err("no such overload".into()),
    }
}
