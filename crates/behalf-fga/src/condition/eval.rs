//! Evaluates a checked expression, counting cost as cel-go counts it.
//!
//! A variable, a selection and an index cost one each; an operator or a call one, or more for what
//! it looks at of a text or a list; making a list costs ten and a map thirty, unless it is
//! constant; `&&`, `||`, `?:` and constants cost nothing. Macros cost what the loops they stand for
//! do ([`super::macros`]).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::Binary;
use super::check::Node;
use super::functions;
use super::operators::{arithmetic, index_value};
use super::value::{Key, Value};

/// Evaluates over the parameters' values.
pub(crate) fn evaluate(node: &Node, parameters: &[Value], max_cost: u64) -> Result<Value, String> {
    let mut machine = Machine { parameters, locals: Vec::new(), cost: 0, max_cost };
    machine.run(node).map_err(|failure| match failure {
        Failure::Error(reason) => reason,
        Failure::Cost => "operation cancelled: actual cost limit exceeded".to_owned(),
    })
}

pub(super) enum Failure {
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

pub(super) type Run<T> = Result<T, Failure>;

pub(super) struct Machine<'a> {
    parameters: &'a [Value],
    pub(super) locals: Vec<Value>,
    cost: u64,
    max_cost: u64,
}

impl Machine<'_> {
    pub(super) fn spend(&mut self, cost: u64) -> Run<()> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.max_cost { Err(Failure::Cost) } else { Ok(()) }
    }

    pub(super) fn run(&mut self, node: &Node) -> Run<Value> {
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Precomputed(value, cost) => {
                self.spend(*cost)?;
                Ok(value.clone())
            }
            Node::Parameter(_)
            | Node::Local(_)
            | Node::Select(..)
            | Node::Index(..)
            | Node::Ternary(..) => self.attribute(node, true),
            Node::And(left, right) => self.logic(left, right, false),
            Node::Or(left, right) => self.logic(left, right, true),
            Node::Not(operand) => {
                let truth = self.truth(operand)?;
                self.spend(1)?;
                Ok(Value::Bool(!truth))
            }
            Node::Negate(operand) => {
                let operand = self.run(operand)?;
                self.spend(1)?;
                match operand {
                    Value::Int(n) => {
                        n.checked_neg().map(Value::Int).ok_or_else(|| "integer overflow".into())
                    }
                    Value::Double(n) => Ok(Value::Double(-n)),
                    _ => Err("no such overload".into()),
                }
            }
            Node::Binary { operator, is_sized, left, right } => {
                let left = self.run(left)?;
                let right = self.run(right)?;
                self.spend(binary_cost(*operator, *is_sized, &left, &right))?;
                binary(*operator, &left, &right)
            }
            Node::InSet(operand, set) => {
                let operand = self.run(operand)?;
                Ok(Value::Bool(set.iter().any(|item| item.equals(&operand))))
            }
            Node::Has(operand, field) => match self.operand(operand, true)? {
                Value::Map(entries) => {
                    self.spend(1)?;
                    Ok(Value::Bool(entries.contains_key(&Key::String(Arc::from(field.as_str())))))
                }
                _ => Err("no such overload".into()),
            },
            Node::Call { function, is_sized, arguments } => {
                let arguments: Vec<Value> =
                    arguments.iter().map(|argument| self.run(argument)).collect::<Run<_>>()?;
                self.spend(functions::cost(*function, *is_sized, &arguments))?;
                Ok(functions::call(*function, &arguments)?)
            }
            Node::Zoned(part, operand, zone) => match self.run(operand)? {
                Value::Timestamp(at) => {
                    self.spend(1)?;
                    Ok(Value::Int(at.part(zone, *part)?))
                }
                _ => Err("no such overload".into()),
            },
            Node::Matches { subject, regex, is_sized } => match self.run(subject)? {
                Value::String(text) => {
                    let pattern = tenth_or_quarter(regex.pattern_size, 0.25);
                    let cost = tenth_or_quarter(text.chars().count() as u64 + 1, 0.1) * pattern;
                    self.spend(if *is_sized { cost } else { 1 })?;
                    Ok(Value::Bool(regex.regex.is_match(&text)))
                }
                _ => Err("no such overload".into()),
            },
            Node::List(items) => {
                let items: Vec<Value> =
                    items.iter().map(|item| self.run(item)).collect::<Run<_>>()?;
                self.spend(10)?;
                Ok(Value::List(items.into()))
            }
            Node::Map(entries) => self.map(entries),
            Node::Macro { kind, range, filter, body } => {
                self.comprehension(*kind, range, filter.as_deref(), body)
            }
        }
    }

    /// A variable with selections and indices behind it. The variable costs one, if it is
    /// `charged`, and so does each step; where it is a branch of `?:` or an index, it is not.
    fn attribute(&mut self, node: &Node, charged: bool) -> Run<Value> {
        match node {
            Node::Parameter(at) => {
                self.spend(u64::from(charged))?;
                self.parameters.get(*at).cloned().ok_or_else(|| "no such attribute".into())
            }
            Node::Local(at) => {
                self.spend(u64::from(charged))?;
                self.locals.get(*at).cloned().ok_or_else(|| "no such attribute".into())
            }
            Node::Select(operand, field) => {
                let operand = self.operand(operand, charged)?;
                self.spend(1)?;
                match operand {
                    Value::Map(entries) => entries
                        .get(&Key::String(Arc::from(field.as_str())))
                        .cloned()
                        .ok_or_else(|| Failure::Error(format!("no such key: {field}"))),
                    _ => Err("no such overload".into()),
                }
            }
            Node::Index(operand, index) => {
                let operand = self.operand(operand, charged)?;
                let index = self.attribute(index, false)?;
                self.spend(1)?;
                index_value(&operand, &index)
            }
            Node::Ternary(condition, then, otherwise) => {
                let branch = if self.truth(condition)? { then } else { otherwise };
                self.attribute(branch, false)
            }
            other => self.run(other),
        }
    }

    /// What a selection or an index is made of; a value that is no variable costs one as its root.
    fn operand(&mut self, node: &Node, charged: bool) -> Run<Value> {
        if !node.is_attribute() {
            let value = self.run(node)?;
            self.spend(u64::from(charged))?;
            return Ok(value);
        }
        self.attribute(node, charged)
    }

    pub(super) fn truth(&mut self, node: &Node) -> Run<bool> {
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
        self.spend(30)?;
        Ok(Value::Map(Arc::new(map)))
    }
}

/// A part of a size, rounded up; the arithmetic is cel-go's own, with its rounding.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are small and not negative"
)]
pub(super) fn tenth_or_quarter(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

fn binary_cost(operator: Binary, is_sized: bool, left: &Value, right: &Value) -> u64 {
    match operator {
        Binary::In if is_sized => right.size(),
        Binary::Add if is_sized => tenth_or_quarter(left.size() + right.size(), 0.1),
        _ if is_sized => tenth_or_quarter(left.size().min(right.size()), 0.1),
        _ => 1,
    }
}

fn binary(operator: Binary, left: &Value, right: &Value) -> Run<Value> {
    match operator {
        Binary::Equal | Binary::NotEqual => {
            Ok(Value::Bool(left.equals(right) == (operator == Binary::Equal)))
        }
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
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
            Value::List(items) => Ok(Value::Bool(items.iter().any(|item| item.equals(left)))),
            Value::Map(entries) => {
                Ok(Value::Bool(Key::of(left).is_some_and(|key| entries.contains_key(&key))))
            }
            _ => Err("no such overload".into()),
        },
        _ => arithmetic(operator, left, right),
    }
}
