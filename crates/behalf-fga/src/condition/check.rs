//! Static types: turns a parsed expression into a program, or says why it has no type.

use super::ast::{Binary, Expr, Unary};
use super::eval;
use super::functions::{self, Function, Part};
use super::instant::Zone;
use super::regex::{self, Pattern};
use super::value::{Type, Value};

/// A checked expression.
#[derive(Debug)]
pub(crate) enum Node {
    Const(Value),
    /// A call on constants that is evaluated once, and what it costs each time.
    Precomputed(Value, u64),
    /// A parameter, by position.
    Parameter(usize),
    /// A variable of an enclosing macro, counted from the outermost.
    Local(usize),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Negate(Box<Self>),
    Ternary(Box<Self>, Box<Self>, Box<Self>),
    Binary {
        operator: Binary,
        /// True if the cost depends on the operands' size; see [`super::eval`].
        is_sized: bool,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// `in` a list of constants, which costs nothing.
    InSet(Box<Self>, std::sync::Arc<[Value]>),
    Select(Box<Self>, String),
    Has(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    Call {
        function: Function,
        /// True if the cost depends on the arguments' size.
        is_sized: bool,
        arguments: Vec<Self>,
    },
    /// A part of a time in a zone that is a constant.
    Zoned(Part, Box<Self>, Zone),
    /// `matches` with a constant pattern.
    Matches {
        subject: Box<Self>,
        regex: Box<Pattern>,
        /// False for the global function, which costs one.
        is_sized: bool,
    },
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Macro {
        kind: Macro,
        range: Box<Self>,
        filter: Option<Box<Self>>,
        body: Box<Self>,
    },
}

impl Node {
    /// True for a variable with whatever is selected from it, also behind `?:`.
    pub(crate) fn is_attribute(&self) -> bool {
        matches!(
            self,
            Self::Parameter(_)
                | Self::Local(_)
                | Self::Select(..)
                | Self::Index(..)
                | Self::Ternary(..)
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

type Checked = Result<(Node, Type), String>;

/// Checks an expression over the named parameters.
pub(crate) fn check(expr: &Expr, parameters: Vec<(&str, Type)>) -> Checked {
    Checker { parameters, locals: Vec::new() }.expr(expr)
}

struct Checker<'a> {
    parameters: Vec<(&'a str, Type)>,
    locals: Vec<(String, Type)>,
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr) -> Checked {
        match expr {
            Expr::Literal(value) => Ok((Node::Const(value.clone()), literal_type(value))),
            Expr::Ident(name) => self.ident(name),
            Expr::Unary(operator, operand) => self.unary(*operator, operand),
            Expr::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expr::Ternary(condition, then, otherwise) => {
                let condition = self.boolean(condition, "_?_:_")?;
                let (then, then_type) = self.expr(then)?;
                let (otherwise, otherwise_type) = self.expr(otherwise)?;
                let joined = then_type
                    .join(&otherwise_type)
                    .ok_or_else(|| no_overload("_?_:_", &[&then_type, &otherwise_type]))?;
                Ok((
                    Node::Ternary(Box::new(condition), Box::new(then), Box::new(otherwise)),
                    joined,
                ))
            }
            Expr::Select(operand, field) => {
                let (operand, found) = self.selectable(operand)?;
                Ok((Node::Select(Box::new(operand), field.clone()), found))
            }
            Expr::Index(operand, index) => self.index(operand, index),
            Expr::Call(receiver, name, arguments) => {
                self.call(receiver.as_deref(), name, arguments)
            }
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
        }
    }

    fn ident(&self, name: &str) -> Checked {
        // The innermost macro variable hides the others and the parameters.
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name)
            && let Some((_, found)) = self.locals.get(at)
        {
            return Ok((Node::Local(at), found.clone()));
        }
        if let Some(at) = self.parameters.iter().position(|(known, _)| *known == name)
            && let Some((_, found)) = self.parameters.get(at)
        {
            return Ok((Node::Parameter(at), found.clone()));
        }
        const TYPES: [&str; 11] = [
            "bool",
            "int",
            "uint",
            "double",
            "string",
            "bytes",
            "list",
            "map",
            "null_type",
            "type",
            "IPAddress",
        ];
        if TYPES.contains(&name) {
            return Ok((Node::Const(Value::Type(name.to_owned())), Type::Meta));
        }
        Err(format!("undeclared reference to '{name}'"))
    }

    fn unary(&mut self, operator: Unary, operand: &Expr) -> Checked {
        match operator {
            Unary::Not => {
                let operand = self.boolean(operand, "!_")?;
                Ok((Node::Not(Box::new(operand)), Type::Bool))
            }
            Unary::Negate => {
                let (node, found) = self.expr(operand)?;
                if !matches!(found, Type::Int | Type::Double | Type::Dyn) {
                    return Err(no_overload("-_", &[&found]));
                }
                Ok((Node::Negate(Box::new(node)), found))
            }
        }
    }

    fn boolean(&mut self, expr: &Expr, operator: &str) -> Result<Node, String> {
        let (node, found) = self.expr(expr)?;
        if !matches!(found, Type::Bool | Type::Dyn) {
            return Err(no_overload(operator, &[&found]));
        }
        Ok(node)
    }

    fn binary(&mut self, operator: Binary, left: &Expr, right: &Expr) -> Checked {
        let (left, left_type) = self.expr(left)?;
        let (right, right_type) = self.expr(right)?;
        let result = binary_type(operator, &left_type, &right_type).ok_or_else(|| {
            no_overload(&format!("_{}_", operator.symbol()), &[&left_type, &right_type])
        })?;
        let is_sized = match operator {
            Binary::Equal | Binary::NotEqual => true,
            Binary::In => matches!(right_type, Type::List(_)),
            Binary::Less
            | Binary::LessEqual
            | Binary::Greater
            | Binary::GreaterEqual
            | Binary::Add => {
                left_type == right_type && matches!(left_type, Type::String | Type::Bytes)
            }
            _ => false,
        };
        let (left, right) = (Box::new(left), Box::new(right));
        let node = match (operator, &*right) {
            (Binary::And, _) => Node::And(left, right),
            (Binary::Or, _) => Node::Or(left, right),
            (Binary::In, Node::Const(Value::List(items))) if is_sized && items.is_empty() => {
                Node::Const(Value::Bool(false))
            }
            (Binary::In, Node::Const(Value::List(items)))
                if is_sized && items.iter().all(Value::is_primitive) =>
            {
                Node::InSet(left, std::sync::Arc::clone(items))
            }
            _ => Node::Binary { operator, is_sized, left, right },
        };
        Ok((node, result))
    }

    fn selectable(&mut self, operand: &Expr) -> Checked {
        let (node, found) = self.expr(operand)?;
        match found {
            Type::Dyn => Ok((node, Type::Dyn)),
            Type::Map(key, value) if matches!(*key, Type::String | Type::Dyn) => Ok((node, *value)),
            other => Err(format!("type '{other}' does not support field selection")),
        }
    }

    fn index(&mut self, operand: &Expr, index: &Expr) -> Checked {
        let (operand, operand_type) = self.expr(operand)?;
        let (index, index_type) = self.expr(index)?;
        let result = match &operand_type {
            Type::List(element) if matches!(index_type, Type::Int | Type::Dyn) => {
                Some((**element).clone())
            }
            Type::Map(key, value) if key.join(&index_type).is_some() => Some((**value).clone()),
            Type::Dyn => Some(Type::Dyn),
            _ => None,
        };
        let result = result.ok_or_else(|| no_overload("_[_]", &[&operand_type, &index_type]))?;
        Ok((Node::Index(Box::new(operand), Box::new(index)), result))
    }

    fn list(&mut self, items: &[Expr]) -> Checked {
        let mut nodes = Vec::with_capacity(items.len());
        let mut element: Option<Type> = None;
        for item in items {
            let (node, found) = self.expr(item)?;
            // Mixed elements make a list of `dyn`.
            element = Some(
                element.map_or_else(|| found.clone(), |e| e.join(&found).unwrap_or(Type::Dyn)),
            );
            nodes.push(node);
        }
        let values: Option<Vec<Value>> = nodes.iter().map(Node::constant).collect();
        let node =
            values.map_or(Node::List(nodes), |values| Node::Const(Value::List(values.into())));
        Ok((node, Type::List(Box::new(element.unwrap_or(Type::Dyn)))))
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) -> Checked {
        let mut nodes = Vec::with_capacity(entries.len());
        let (mut key_type, mut value_type): (Option<Type>, Option<Type>) = (None, None);
        for (key, value) in entries {
            let (key, k) = self.expr(key)?;
            let (value, v) = self.expr(value)?;
            if !matches!(k, Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn) {
                return Err(format!("unsupported map key type '{k}'"));
            }
            key_type =
                Some(key_type.map_or_else(|| k.clone(), |t| t.join(&k).unwrap_or(Type::Dyn)));
            value_type =
                Some(value_type.map_or_else(|| v.clone(), |t| t.join(&v).unwrap_or(Type::Dyn)));
            nodes.push((key, value));
        }
        let key = Box::new(key_type.unwrap_or(Type::Dyn));
        let is_constant = |node: &Node| matches!(node, Node::Const(_));
        let all_constant = nodes.iter().all(|(key, value)| is_constant(key) && is_constant(value));
        let mut node = Node::Map(nodes);
        if all_constant {
            node = Node::Const(eval::evaluate(&node, &[], u64::MAX)?);
        }
        Ok((node, Type::Map(key, Box::new(value_type.unwrap_or(Type::Dyn)))))
    }

    fn call(&mut self, receiver: Option<&Expr>, name: &str, arguments: &[Expr]) -> Checked {
        match (receiver, name, arguments) {
            (None, "has", [Expr::Select(operand, field)]) => {
                let (operand, _) = self.selectable(operand)?;
                return Ok((Node::Has(Box::new(operand), field.clone()), Type::Bool));
            }
            (None, "has", _) => return Err("invalid argument to has() macro".to_owned()),
            (Some(range), _, [Expr::Ident(variable), rest @ ..]) => {
                if let Some(kind) = macro_kind(name, rest.len()) {
                    return self.comprehension(kind, range, variable, rest);
                }
            }
            _ => {}
        }
        let mut nodes = Vec::with_capacity(arguments.len() + 1);
        let mut types = Vec::with_capacity(arguments.len() + 1);
        for argument in receiver.into_iter().chain(arguments) {
            let (node, found) = self.expr(argument)?;
            nodes.push(node);
            types.push(found);
        }
        let (function, result) = functions::resolve(receiver.is_some(), name, &types)
            .ok_or_else(|| no_overload(name, &types.iter().collect::<Vec<_>>()))?;
        let is_sized = match function {
            // The conversion costs what it reads if it is known to read.
            Function::ToString => types.first() == Some(&Type::Bytes),
            Function::ToBytes => types.first() == Some(&Type::String),
            Function::Matches => receiver.is_some(),
            _ => true,
        };
        fold(function, is_sized, nodes).map(|node| (node, result))
    }

    fn comprehension(
        &mut self,
        kind: Macro,
        range: &Expr,
        variable: &str,
        rest: &[Expr],
    ) -> Checked {
        let (range, range_type) = self.expr(range)?;
        let element = match &range_type {
            Type::List(element) => (**element).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Dyn => Type::Dyn,
            other => {
                return Err(format!(
                    "expression of type '{other}' cannot be range of a comprehension"
                ));
            }
        };
        self.locals.push((variable.to_owned(), element.clone()));
        let checked = self.comprehension_body(kind, rest);
        self.locals.pop();
        let (filter, body, body_type) = checked?;
        let result = match kind {
            Macro::Map => Type::List(Box::new(body_type)),
            Macro::Filter => Type::List(Box::new(element)),
            _ => Type::Bool,
        };
        let range = Box::new(range);
        Ok((Node::Macro { kind, range, filter, body: Box::new(body) }, result))
    }

    fn comprehension_body(
        &mut self,
        kind: Macro,
        rest: &[Expr],
    ) -> Result<(Option<Box<Node>>, Node, Type), String> {
        match (kind, rest) {
            (Macro::Map, [filter, body]) => {
                let filter = self.boolean(filter, "map")?;
                let (body, found) = self.expr(body)?;
                Ok((Some(Box::new(filter)), body, found))
            }
            (Macro::Map, [body]) => self.expr(body).map(|(body, found)| (None, body, found)),
            (_, [body]) => Ok((None, self.boolean(body, "macro")?, Type::Bool)),
            _ => Err("invalid macro arguments".to_owned()),
        }
    }
}

fn macro_kind(name: &str, arguments_after_variable: usize) -> Option<Macro> {
    Some(match (name, arguments_after_variable) {
        ("all", 1) => Macro::All,
        ("exists", 1) => Macro::Exists,
        ("exists_one", 1) => Macro::ExistsOne,
        ("map", 1 | 2) => Macro::Map,
        ("filter", 1) => Macro::Filter,
        _ => return None,
    })
}

/// Compiles constant patterns and zones, and computes conversions of constants once.
fn fold(function: Function, is_sized: bool, mut arguments: Vec<Node>) -> Result<Node, String> {
    match (function, arguments.as_slice()) {
        (Function::Matches, [_, Node::Const(Value::String(pattern))]) => {
            let regex = Box::new(regex::compile(pattern)?);
            let subject = Box::new(arguments.swap_remove(0));
            return Ok(Node::Matches { subject, regex, is_sized });
        }
        (Function::Get(part), [_, Node::Const(Value::String(name))]) => {
            // A zone that does not exist is an error of evaluation.
            if let Ok(zone) = Zone::find(name) {
                return Ok(Node::Zoned(part, Box::new(arguments.swap_remove(0)), zone));
            }
        }
        _ => {}
    }
    let is_constant = matches!(arguments.as_slice(), [Node::Const(_)]);
    let call = Node::Call { function, is_sized, arguments };
    if is_constant && function.is_conversion() {
        return Ok(Node::Const(eval::evaluate(&call, &[], u64::MAX)?));
    }
    if is_constant
        && function == Function::ToIpAddress
        && let Ok(value) = eval::evaluate(&call, &[], u64::MAX)
    {
        return Ok(Node::Precomputed(value, 1));
    }
    Ok(call)
}

impl Node {
    fn constant(&self) -> Option<Value> {
        match self {
            Self::Const(value) => Some(value.clone()),
            _ => None,
        }
    }
}

fn literal_type(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        _ => Type::Dyn,
    }
}

fn binary_type(operator: Binary, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Bool, Bytes, Double, Duration, Dyn, Int, List, Map, Timestamp, Uint};
    let is_dyn = *left == Dyn || *right == Dyn;
    match operator {
        Binary::And | Binary::Or => {
            let is_bool = |t: &Type| matches!(t, Bool | Dyn);
            (is_bool(left) && is_bool(right)).then_some(Bool)
        }
        Binary::Equal | Binary::NotEqual => left.join(right).map(|_| Bool),
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            let is_ordered = |t: &Type| {
                matches!(
                    t,
                    Bool | Int | Uint | Double | Type::String | Bytes | Duration | Timestamp
                )
            };
            let fits = if is_dyn {
                (is_ordered(left) || *left == Dyn) && (is_ordered(right) || *right == Dyn)
            } else {
                left == right && is_ordered(left)
            };
            fits.then_some(Bool)
        }
        Binary::In => match right {
            List(element) => element.join(left).map(|_| Bool),
            Map(key, _) => key.join(left).map(|_| Bool),
            Dyn => Some(Bool),
            _ => None,
        },
        _ if is_dyn => Some(Dyn),
        Binary::Add => match (left, right) {
            (Timestamp, Duration) | (Duration, Timestamp) => Some(Timestamp),
            (List(_), List(_)) => left.join(right).or_else(|| Some(List(Box::new(Dyn)))),
            (Int | Uint | Double | Type::String | Bytes | Duration, _) if left == right => {
                Some(left.clone())
            }
            _ => None,
        },
        Binary::Subtract => match (left, right) {
            (Timestamp, Timestamp) => Some(Duration),
            (Timestamp, Duration) => Some(Timestamp),
            (Int | Uint | Double | Duration, _) if left == right => Some(left.clone()),
            _ => None,
        },
        Binary::Multiply | Binary::Divide => {
            (left == right && matches!(left, Int | Uint | Double)).then(|| left.clone())
        }
        Binary::Modulo => (left == right && matches!(left, Int | Uint)).then(|| left.clone()),
    }
}

fn no_overload(name: &str, types: &[&Type]) -> String {
    let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
    format!("found no matching overload for '{name}' applied to '({})'", shown.join(", "))
}
