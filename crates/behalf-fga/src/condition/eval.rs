//! Evaluates a checked expression, counting cost.
//!
//! The count follows cel-go's shape (one per variable, operator and call, ten per list and thirty
//! per map made, a tenth per character looked at); exact equality with cel-go is not claimed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::ast::Binary;
use super::check::{Macro, Node};
use super::functions;
use super::value::{Key, Value};

/// Evaluates over the parameters' values.
pub(crate) fn evaluate(node: &Node, parameters: &[Value], max_cost: u64) -> Result<Value, String> {
    let mut machine = Machine { parameters, locals: Vec::new(), cost: 0, max_cost };
    machine.run(node).map_err(|failure| match failure {
        Failure::Error(reason) => reason,
        Failure::Cost => "operation cancelled: actual cost limit exceeded".to_owned(),
    })
}

enum Failure {
    /// Another operand of `&&` or `||` may still decide.
    Error(String),
    /// Nothing may decide any more.
    Cost,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Error(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Error(reason.to_owned())
    }
}

type Run<T> = Result<T, Failure>;

struct Machine<'a> {
    parameters: &'a [Value],
    locals: Vec<Value>,
    cost: u64,
    max_cost: u64,
}

impl Machine<'_> {
    fn spend(&mut self, cost: u64) -> Run<()> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.max_cost { Err(Failure::Cost) } else { Ok(()) }
    }

    fn run(&mut self, node: &Node) -> Run<Value> {
        match node {
            Node::Const(value) => return Ok(value.clone()),
            Node::List(_) => self.spend(10)?,
            Node::Map(_) => self.spend(30)?,
            Node::And(..) | Node::Or(..) | Node::Ternary(..) | Node::Macro { .. } => {}
            _ => self.spend(1)?,
        }
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Parameter(at) => {
                self.parameters.get(*at).cloned().ok_or_else(|| "no such attribute".into())
            }
            Node::Local(at) => {
                self.locals.get(*at).cloned().ok_or_else(|| "no such attribute".into())
            }
            Node::And(left, right) => self.logic(left, right, false),
            Node::Or(left, right) => self.logic(left, right, true),
            Node::Not(operand) => self.truth(operand).map(|truth| Value::Bool(!truth)),
            Node::Negate(operand) => match self.run(operand)? {
                Value::Int(n) => {
                    n.checked_neg().map(Value::Int).ok_or_else(|| "integer overflow".into())
                }
                Value::Double(n) => Ok(Value::Double(-n)),
                _ => Err("no such overload".into()),
            },
            Node::Ternary(condition, then, otherwise) => {
                if self.truth(condition)? {
                    self.run(then)
                } else {
                    self.run(otherwise)
                }
            }
            Node::Binary(operator, left, right) => {
                let left = self.run(left)?;
                let right = self.run(right)?;
                self.binary(*operator, &left, &right)
            }
            Node::Select(operand, field) => match self.run(operand)? {
                Value::Map(entries) => entries
                    .get(&Key::String(Arc::from(field.as_str())))
                    .cloned()
                    .ok_or_else(|| Failure::Error(format!("no such key: {field}"))),
                _ => Err("no such overload".into()),
            },
            Node::Has(operand, field) => match self.run(operand)? {
                Value::Map(entries) => {
                    Ok(Value::Bool(entries.contains_key(&Key::String(Arc::from(field.as_str())))))
                }
                _ => Err("no such overload".into()),
            },
            Node::Index(operand, index) => {
                let operand = self.run(operand)?;
                let index = self.run(index)?;
                index_value(&operand, &index)
            }
            Node::Call(function, arguments) => {
                let arguments: Vec<Value> =
                    arguments.iter().map(|argument| self.run(argument)).collect::<Run<_>>()?;
                self.spend(functions::size_cost(*function, &arguments))?;
                Ok(functions::call(*function, &arguments)?)
            }
            Node::Matches(subject, regex) => match self.run(subject)? {
                Value::String(text) => {
                    self.spend((text.len() as u64).div_ceil(10))?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                _ => Err("no such overload".into()),
            },
            Node::List(items) => {
                let items: Vec<Value> =
                    items.iter().map(|item| self.run(item)).collect::<Run<_>>()?;
                Ok(Value::List(items.into()))
            }
            Node::Map(entries) => self.map(entries),
            Node::Macro { kind, range, filter, body } => {
                self.comprehension(*kind, range, filter.as_deref(), body)
            }
        }
    }

    fn truth(&mut self, node: &Node) -> Run<bool> {
        match self.run(node)? {
            Value::Bool(truth) => Ok(truth),
            _ => Err("no such overload".into()),
        }
    }

    /// `&&` (decided by `false`) or `||` (decided by `true`): a deciding operand beats an error.
    fn logic(&mut self, left: &Node, right: &Node, deciding: bool) -> Run<Value> {
        let first = self.truth(left);
        if matches!(first, Ok(truth) if truth == deciding) || matches!(first, Err(Failure::Cost)) {
            return first.map(Value::Bool);
        }
        match (first, self.truth(right)) {
            (_, Ok(truth)) if truth == deciding => Ok(Value::Bool(deciding)),
            (_, Err(Failure::Cost)) => Err(Failure::Cost),
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => Ok(Value::Bool(!deciding)),
        }
    }

    fn binary(&mut self, operator: Binary, left: &Value, right: &Value) -> Run<Value> {
        match operator {
            Binary::Equal | Binary::NotEqual => {
                self.spend(length(left).min(length(right)).div_ceil(10))?;
                Ok(Value::Bool(left.equals(right) == (operator == Binary::Equal)))
            }
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                self.spend(length(left).min(length(right)).div_ceil(10))?;
                let Some(order) = left.compare(right) else {
                    // NaN has no order; other pairs have no comparison.
                    let is_nan = left.is_number() && right.is_number();
                    return if is_nan {
                        Ok(Value::Bool(false))
                    } else {
                        Err("no such overload".into())
                    };
                };
                Ok(Value::Bool(match operator {
                    Binary::Less => order == Ordering::Less,
                    Binary::LessEqual => order != Ordering::Greater,
                    Binary::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }))
            }
            Binary::In => match right {
                Value::List(items) => {
                    self.spend(items.len() as u64)?;
                    Ok(Value::Bool(items.iter().any(|item| item.equals(left))))
                }
                Value::Map(entries) => {
                    Ok(Value::Bool(Key::of(left).is_some_and(|key| entries.contains_key(&key))))
                }
                _ => Err("no such overload".into()),
            },
            _ => {
                let value = arithmetic(operator, left, right)?;
                self.spend(length(&value).div_ceil(10))?;
                Ok(value)
            }
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Run<Value> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.run(key)?;
            let key = Key::of(&key).ok_or("unsupported key type")?;
            let value = self.run(value)?;
            if map.insert(key, value).is_some() {
                return Err("Failed with repeated key".into());
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn comprehension(
        &mut self,
        kind: Macro,
        range: &Node,
        filter: Option<&Node>,
        body: &Node,
    ) -> Run<Value> {
        let items: Vec<Value> = match self.run(range)? {
            Value::List(items) => items.to_vec(),
            Value::Map(entries) => entries.keys().map(Key::to_value).collect(),
            _ => return Err("no such overload".into()),
        };
        let mut found: Vec<Value> = Vec::new();
        let mut count = 0_u64;
        let mut error: Option<Failure> = None;
        for item in items {
            self.spend(1)?;
            self.locals.push(item.clone());
            let step = self.step(kind, filter, body, &item, &mut found, &mut count);
            self.locals.pop();
            match step {
                Ok(Some(decided)) => return Ok(Value::Bool(decided)),
                Ok(None) => {}
                // `all` and `exists` absorb errors as `&&` and `||` do.
                Err(Failure::Error(reason)) if matches!(kind, Macro::All | Macro::Exists) => {
                    error = Some(Failure::Error(reason));
                }
                Err(failure) => return Err(failure),
            }
        }
        match (kind, error) {
            (_, Some(error)) => Err(error),
            (Macro::All, None) => Ok(Value::Bool(true)),
            (Macro::Exists, None) => Ok(Value::Bool(false)),
            (Macro::ExistsOne, None) => Ok(Value::Bool(count == 1)),
            (Macro::Map | Macro::Filter, None) => Ok(Value::List(found.into())),
        }
    }

    /// One round; a value if the result is decided.
    fn step(
        &mut self,
        kind: Macro,
        filter: Option<&Node>,
        body: &Node,
        item: &Value,
        found: &mut Vec<Value>,
        count: &mut u64,
    ) -> Run<Option<bool>> {
        match kind {
            Macro::All => Ok((!self.truth(body)?).then_some(false)),
            Macro::Exists => Ok(self.truth(body)?.then_some(true)),
            Macro::ExistsOne => {
                *count += u64::from(self.truth(body)?);
                Ok(None)
            }
            Macro::Filter => {
                if self.truth(body)? {
                    found.push(item.clone());
                }
                Ok(None)
            }
            Macro::Map => {
                let admits = match filter {
                    Some(filter) => self.truth(filter)?,
                    None => true,
                };
                if admits {
                    found.push(self.run(body)?);
                }
                Ok(None)
            }
        }
    }
}

fn length(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(items) => items.len() as u64,
        _ => 0,
    }
}

fn index_value(operand: &Value, index: &Value) -> Run<Value> {
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

fn arithmetic(operator: Binary, left: &Value, right: &Value) -> Run<Value> {
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
        | (Binary::Add, Duration(nanos), Timestamp(at)) => at
            .checked_add(SignedDuration::from_nanos(*nanos))
            .map(Timestamp)
            .map_err(|_| "timestamp overflow".into()),
        (Binary::Subtract, Timestamp(at), Duration(nanos)) => at
            .checked_sub(SignedDuration::from_nanos(*nanos))
            .map(Timestamp)
            .map_err(|_| "timestamp overflow".into()),
        (Binary::Subtract, Timestamp(a), Timestamp(b)) => {
            let nanos = a.as_nanosecond() - b.as_nanosecond();
            i64::try_from(nanos).map(Duration).map_err(|_| overflow())
        }
        _ => Err("no such overload".into()),
    }
}
