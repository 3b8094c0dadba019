//! Conditions: the part of CEL that OpenFGA offers, with its own parser, checker and evaluator.
//!
//! A condition is compiled once per model: parsed, type-checked against its parameters (the result
//! must be `bool`), literals folded. Evaluation converts the merged context to typed values and
//! counts cost as cel-go counts it. There are no extension libraries, as OpenFGA has none. Time zones
//! come from a database that is built in, so that an answer does not depend on the machine.

mod ast;
mod check;
mod convert;
mod eval;
mod functions;
mod instant;
mod lexer;
mod macros;
mod operators;
mod parser;
mod regex;
mod time;
mod value;

use serde_json::{Map, Value as Json};

use crate::model::{Condition, ConditionParamTypeRef, TypeName};
use check::Node;
use value::{Type, Value};

/// The cost one evaluation may have, OpenFGA's default.
pub const MAX_CONDITION_COST: u64 = 100;

/// A condition ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledCondition {
    name: String,
    parameters: Vec<Parameter>,
    program: Node,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    declared: Type,
}

/// Compiles a condition.
///
/// The error is the reason, for the message of an invalid model.
pub(crate) fn compile(condition: &Condition) -> Result<CompiledCondition, String> {
    let mut parameters = Vec::with_capacity(condition.parameters.len());
    for (name, declared) in &condition.parameters {
        let declared = parameter_type(declared, true)
            .map_err(|reason| format!("failed to decode parameter type for '{name}': {reason}"))?;
        parameters.push(Parameter { name: name.clone(), declared });
    }
    let tree = parser::parse(&condition.expression)?;
    let names = parameters.iter().map(|p| (p.name.as_str(), p.declared.clone())).collect();
    let (program, result) = check::check(&tree, names)?;
    if result != Type::Bool {
        return Err(format!("expected a bool condition expression output, but got '{result}'"));
    }
    Ok(CompiledCondition { name: condition.name.clone(), parameters, program })
}

impl CompiledCondition {
    /// Evaluates over the request's context, in which the tuple's context wins.
    ///
    /// The error is the reason, for the message of a failed evaluation.
    pub(crate) fn evaluate(
        &self,
        request: &Map<String, Json>,
        tuple: Option<&Map<String, Json>>,
        max_cost: u64,
    ) -> Result<bool, String> {
        let has_context = !request.is_empty() || tuple.is_some_and(|tuple| !tuple.is_empty());
        if self.parameters.is_empty() && has_context {
            return Err(self.type_error("no parameters defined for the condition"));
        }
        let mut values = Vec::with_capacity(self.parameters.len());
        let mut missing = Vec::new();
        for parameter in &self.parameters {
            let given = tuple.and_then(|tuple| tuple.get(&parameter.name));
            match given.or_else(|| request.get(&parameter.name)) {
                None => missing.push(parameter.name.as_str()),
                Some(json) => values.push(self.convert(parameter, json)?),
            }
        }
        if !missing.is_empty() {
            return Err(format!("tuple is missing context parameters '[{}]'", missing.join(" ")));
        }
        match eval::evaluate(&self.program, &values, max_cost) {
            Ok(Value::Bool(met)) => Ok(met),
            Ok(other) => Err(format!("expected a bool, but got '{}'", other.type_name())),
            Err(reason) => Err(format!("failed to evaluate condition expression: {reason}")),
        }
    }

    /// Checks that a tuple's context holds only declared parameters of the declared types.
    pub(crate) fn check_context(&self, context: &Map<String, Json>) -> Result<(), String> {
        if context.is_empty() {
            return Ok(());
        }
        if self.parameters.is_empty() {
            return Err(self.type_error("no parameters defined for the condition"));
        }
        for parameter in &self.parameters {
            if let Some(json) = context.get(&parameter.name) {
                self.convert(parameter, json)?;
            }
        }
        for key in context.keys() {
            if !self.parameters.iter().any(|parameter| parameter.name == *key) {
                return Err(format!("found invalid context parameter: {key}"));
            }
        }
        Ok(())
    }

    fn convert(&self, parameter: &Parameter, json: &Json) -> Result<Value, String> {
        convert::convert(&parameter.declared, json, 0).map_err(|reason| {
            let name = &parameter.name;
            self.type_error(&format!("failed to convert context parameter '{name}': {reason}"))
        })
    }

    fn type_error(&self, reason: &str) -> String {
        format!("parameter type error on condition '{}' - {reason}", self.name)
    }
}

fn parameter_type(declared: &ConditionParamTypeRef, admits_generic: bool) -> Result<Type, String> {
    let generic = || -> Result<Type, String> {
        match (declared.generic_types.as_slice(), admits_generic) {
            ([inner], true) => parameter_type(inner, true),
            _ => Err("expected exactly one generic type".to_owned()),
        }
    };
    let has_generic = matches!(declared.type_name, TypeName::Map | TypeName::List);
    if !has_generic && !declared.generic_types.is_empty() {
        return Err("expected no generic type".to_owned());
    }
    Ok(match declared.type_name {
        TypeName::Unspecified => return Err("unknown parameter type".to_owned()),
        TypeName::Any => Type::Dyn,
        TypeName::Bool => Type::Bool,
        TypeName::String => Type::String,
        TypeName::Int => Type::Int,
        TypeName::Uint => Type::Uint,
        TypeName::Double => Type::Double,
        TypeName::Duration => Type::Duration,
        TypeName::Timestamp => Type::Timestamp,
        TypeName::Ipaddress => Type::IpAddress,
        TypeName::Map => Type::Map(Box::new(Type::String), Box::new(generic()?)),
        TypeName::List => Type::List(Box::new(generic()?)),
    })
}

#[cfg(test)]
mod tests;
