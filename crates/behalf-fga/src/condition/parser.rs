//! A Pratt parser for expressions.

use std::collections::VecDeque;

use super::ast::{Binary, Expr, Unary};
use super::lexer::{Token, tokens};
use super::value::Value;

/// Expressions nested deeper than this are refused.
const MAX_NESTING: usize = 40;

/// Expressions longer than this are refused, as OpenFGA refuses them.
const MAX_EXPRESSION_BYTES: usize = 512;

pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("the expression is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let mut parser = Parser { tokens: tokens(text)?.into(), depth: 0 };
    let expr = parser.expression()?;
    match parser.next() {
        Token::End => Ok(expr),
        token => Err(unexpected(&token)),
    }
}

struct Parser {
    tokens: VecDeque<Token>,
    depth: usize,
}

impl Parser {
    fn expression(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err("the expression is nested too deep".to_owned());
        }
        let condition = self.binary(0)?;
        let expr = if self.accept("?") {
            let then = self.binary(0)?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            Expr::Ternary(Box::new(condition), Box::new(then), Box::new(otherwise))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn binary(&mut self, min_power: u8) -> Result<Expr, String> {
        let mut left = self.unary()?;
        while let Some(operator) = self.operator().filter(|o| o.power() > min_power) {
            self.next();
            let right = self.binary(operator.power())?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&self) -> Option<Binary> {
        let Some(Token::Symbol(symbol)) = self.tokens.front() else { return None };
        Some(match *symbol {
            "||" => Binary::Or,
            "&&" => Binary::And,
            "==" => Binary::Equal,
            "!=" => Binary::NotEqual,
            "<" => Binary::Less,
            "<=" => Binary::LessEqual,
            ">" => Binary::Greater,
            ">=" => Binary::GreaterEqual,
            "in" => Binary::In,
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "%" => Binary::Modulo,
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Expr, String> {
        let mut operators = Vec::new();
        loop {
            if self.accept("!") {
                operators.push(Unary::Not);
            } else if self.accept("-") {
                operators.push(Unary::Negate);
            } else {
                break;
            }
            if operators.len() > MAX_NESTING {
                return Err("the expression is nested too deep".to_owned());
            }
        }
        // The sign belongs to the literal, so that the least int can be written.
        let mut expr = match (operators.last(), self.tokens.front()) {
            (Some(Unary::Negate), Some(&Token::Integer(number))) => {
                self.next();
                operators.pop();
                let value = 0_i64.checked_sub_unsigned(number).ok_or("invalid int literal")?;
                self.postfix(Expr::Literal(Value::Int(value)))?
            }
            (Some(Unary::Negate), Some(&Token::Literal(Value::Double(number)))) => {
                self.next();
                operators.pop();
                self.postfix(Expr::Literal(Value::Double(-number)))?
            }
            _ => self.primary()?,
        };
        while let Some(operator) = operators.pop() {
            expr = Expr::Unary(operator, Box::new(expr));
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let expr = match self.next() {
            Token::Literal(value) => Expr::Literal(value),
            Token::Integer(number) => {
                let number = i64::try_from(number).map_err(|_| "invalid int literal")?;
                Expr::Literal(Value::Int(number))
            }
            Token::Ident(name) if self.accept("(") => Expr::Call(None, name, self.list(")")?),
            Token::Ident(name) => Expr::Ident(name),
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                inner
            }
            Token::Symbol("[") => Expr::List(self.list("]")?),
            Token::Symbol("{") => Expr::Map(self.entries()?),
            token => return Err(unexpected(&token)),
        };
        self.postfix(expr)
    }

    fn postfix(&mut self, mut expr: Expr) -> Result<Expr, String> {
        // Each step nests the tree by one, and later walks are recursive.
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > MAX_NESTING {
                return Err("the expression is nested too deep".to_owned());
            }
            if self.accept(".") {
                let Token::Ident(name) = self.next() else {
                    return Err("expected a name after '.'".to_owned());
                };
                expr = if self.accept("(") {
                    Expr::Call(Some(Box::new(expr)), name, self.list(")")?)
                } else {
                    Expr::Select(Box::new(expr), name)
                };
            } else if self.accept("[") {
                let index = self.expression()?;
                self.expect("]")?;
                expr = Expr::Index(Box::new(expr), Box::new(index));
            } else {
                return Ok(expr);
            }
        }
    }

    fn list(&mut self, close: &'static str) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        while !self.accept(close) {
            items.push(self.expression()?);
            if !self.accept(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Expr, Expr)>, String> {
        let mut entries = Vec::new();
        while !self.accept("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    fn next(&mut self) -> Token {
        self.tokens.pop_front().unwrap_or(Token::End)
    }

    fn accept(&mut self, symbol: &'static str) -> bool {
        let found = matches!(self.tokens.front(), Some(Token::Symbol(next)) if *next == symbol);
        if found {
            self.tokens.pop_front();
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), String> {
        if self.accept(symbol) { Ok(()) } else { Err(unexpected(&self.next())) }
    }
}

fn unexpected(token: &Token) -> String {
    let shown = match token {
        Token::End => "<EOF>".to_owned(),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        Token::Ident(name) => name.clone(),
        Token::Integer(number) => number.to_string(),
        Token::Literal(value) => format!("{} literal", value.type_name()),
    };
    format!("Syntax error: mismatched input '{shown}'")
}
