//! The macros: `all`, `exists`, `exists_one`, `map` and `filter`.
//!
//! Each stands for a loop with an accumulator; what is spent here is what that loop costs.

use super::check::{Macro, Node};
use super::eval::{Failure, Machine, Run};
use super::value::Value;

impl Machine<'_> {
    pub(super) fn comprehension(
        &mut self,
        kind: Macro,
        range: &Node,
        filter: Option<&Node>,
        body: &Node,
    ) -> Run<Value> {
        let items: Vec<Value> = match self.run(range)? {
            Value::List(items) => items.to_vec(),
            Value::Map(entries) => entries.keys().map(super::value::Key::to_value).collect(),
            _ => return Err("no such overload".into()),
        };
        match kind {
            Macro::All => self.quantify(&items, body, false),
            Macro::Exists => self.quantify(&items, body, true),
            Macro::ExistsOne => {
                let mut count = 0_u64;
                for item in items {
                    if self.with(item, |machine| machine.truth(body))? {
                        // `accumulator + 1`
                        self.spend(2)?;
                        count += 1;
                    }
                }
                // `accumulator == 1`
                self.spend(2)?;
                Ok(Value::Bool(count == 1))
            }
            Macro::Map | Macro::Filter => self.gather(kind, items, filter, body),
        }
    }

    /// `all` (decided by `false`) and `exists` (by `true`); like `&&` and `||` they absorb errors.
    fn quantify(&mut self, items: &[Value], body: &Node, deciding: bool) -> Run<Value> {
        let mut error = None;
        let mut is_decided = false;
        for item in items {
            // Whether to go on: `@not_strictly_false(accumulator)`, of `exists` with `!` inside.
            self.spend(if deciding { 3 } else { 2 })?;
            if is_decided {
                break;
            }
            self.spend(1)?;
            match self.with(item.clone(), |machine| machine.truth(body)) {
                Ok(truth) => is_decided = truth == deciding,
                Err(Failure::Cost) => return Err(Failure::Cost),
                Err(failure) => error = Some(failure),
            }
        }
        self.spend(1)?;
        match error {
            _ if is_decided => Ok(Value::Bool(deciding)),
            Some(error) => Err(error),
            None => Ok(Value::Bool(!deciding)),
        }
    }

    fn gather(
        &mut self,
        kind: Macro,
        items: Vec<Value>,
        filter: Option<&Node>,
        body: &Node,
    ) -> Run<Value> {
        let mut found = Vec::new();
        for item in items {
            let (condition, element) = match kind {
                Macro::Filter => (Some(body), None),
                _ => (filter, Some(body)),
            };
            let element = self.with(item, |machine| {
                if let Some(condition) = condition
                    && !machine.truth(condition)?
                {
                    return Ok(None);
                }
                let element = match element {
                    Some(element) => machine.run(element)?,
                    None => {
                        machine.spend(1)?;
                        machine.locals.last().cloned().unwrap_or(Value::Null)
                    }
                };
                Ok(Some(element))
            })?;
            if let Some(element) = element {
                // `accumulator + [element]`
                let is_constant = kind == Macro::Map && matches!(body, Node::Const(_));
                self.spend(if is_constant { 2 } else { 12 })?;
                found.push(element);
            }
        }
        self.spend(1)?;
        Ok(Value::List(found.into()))
    }

    /// Runs with a macro's variable in scope.
    fn with<T>(&mut self, item: Value, run: impl FnOnce(&mut Self) -> Run<T>) -> Run<T> {
        self.locals.push(item);
        let result = run(self);
        self.locals.pop();
        result
    }
}
