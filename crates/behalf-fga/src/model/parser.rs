//! Recursive descent over the DSL: `OpenFGAParser.g4` of openfga/language, by hand.
//!
//! The parser stops at the first syntax error. Duplicate definitions do not stop it; they are
//! collected and returned together.

use std::collections::HashSet;
use std::sync::Arc;

use super::ast::{
    ConditionDecl, Document, Origin, RelationDecl, Restriction, Rewrite, Spanned, TypeDecl,
};
use super::dsl_error::{DslError, ModelErrors, Span};
use super::json::{ConditionParamTypeRef, Empty, RelationReference, TypeName};
use super::lexer::{Cursor, Lexer, Token, TokenKind};

/// Parses one document.
pub(crate) fn parse(text: &str) -> Result<Document, ModelErrors> {
    let mut parser =
        Parser { lexer: Lexer::new(text), cursor: Cursor::default(), duplicates: Vec::new() };
    let result = parser.document();
    let mut errors = parser.duplicates;
    match result {
        Ok(document) if errors.is_empty() => Ok(document),
        Ok(_) => Err(ModelErrors { errors }),
        Err(error) => {
            errors.push(*error);
            Err(ModelErrors { errors })
        }
    }
}

/// Words that cannot name a type or relation.
const RESERVED: [&str; 11] = [
    "and",
    "or",
    "from",
    "with",
    "in",
    "true",
    "false",
    "null",
    "relations",
    "define",
    "condition",
];

/// What may name a type or relation, as messages list it.
const NAMES: &str =
    "IDENTIFIER, 'module', 'model', 'schema', 'extend', 'type', 'relation', EXTENDED_IDENTIFIER";

/// Parentheses deeper than this are refused rather than risking the stack.
const MAX_NESTING: usize = 64;

type Parsed<T> = Result<T, Box<DslError>>;

struct Parser {
    lexer: Lexer,
    cursor: Cursor,
    duplicates: Vec<DslError>,
}

impl Parser {
    fn document(&mut self) -> Parsed<Document> {
        let mut document = Document::default();
        let has_blank = self.skip(TokenKind::Whitespace) | self.skip(TokenKind::Newline);
        self.header(&mut document, !has_blank)?;
        let module = document.module.as_ref().map(|module| Arc::from(module.text.as_str()));
        let origin = Origin { module, file: None };
        let mut extended: HashSet<String> = HashSet::new();
        let mut conditions: HashSet<String> = HashSet::new();
        loop {
            let separator = self.peek();
            if separator.kind == TokenKind::End {
                return Ok(document);
            }
            if separator.kind != TokenKind::Newline {
                return Err(mismatch(&separator, "{<EOF>, NEWLINE}"));
            }
            let keyword = self.peek_after(1);
            match keyword.text.as_str() {
                "type" | "extend" if document.conditions.is_empty() => {
                    self.bump();
                    document.types.push(self.type_definition(&origin, &mut extended)?);
                }
                "condition" => {
                    self.bump();
                    let decl = self.condition(&origin, &mut conditions)?;
                    document.conditions.push(decl);
                }
                _ if keyword.kind == TokenKind::End => return Ok(document),
                _ => return Err(no_alternative(&separator, &keyword)),
            }
        }
    }

    fn header(&mut self, document: &mut Document, is_first: bool) -> Parsed<()> {
        let keyword = self.bump();
        match keyword.text.as_str() {
            "model" => {
                self.expect(TokenKind::Newline, "NEWLINE")?;
                self.expect_word("schema")?;
                self.expect(TokenKind::Whitespace, "WHITESPACE")?;
                let version = self.expect(TokenKind::SchemaVersion, "SCHEMA_VERSION")?;
                document.schema = Some(spanned(version));
            }
            "module" => {
                self.expect(TokenKind::Whitespace, "WHITESPACE")?;
                document.module = Some(self.identifier()?);
            }
            _ if is_first => {
                return Err(extraneous(&keyword, "{WHITESPACE, '#', 'module', 'model', NEWLINE}"));
            }
            _ => return Err(mismatch(&keyword, "{'#', 'module', 'model'}")),
        }
        self.skip(TokenKind::Whitespace);
        Ok(())
    }

    fn type_definition(
        &mut self,
        origin: &Origin,
        extended: &mut HashSet<String>,
    ) -> Parsed<TypeDecl> {
        let extends = self.peek().is_word("extend");
        if extends {
            self.bump();
            self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        }
        self.expect_word("type")?;
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.identifier()?;
        if extends && origin.module.is_none() {
            self.complain("extend can only be used in a modular model".to_owned(), &name);
        } else if extends && !extended.insert(name.text.clone()) {
            self.complain(format!("'{}' is already extended in file.", name.text), &name);
        }
        let origin = origin.clone();
        let mut decl = TypeDecl { name, extends, origin, relations: Vec::new() };
        if self.peek().kind == TokenKind::Newline && self.peek_after(1).is_word("relations") {
            self.bump();
            self.bump();
            self.relations(&mut decl)?;
        }
        Ok(decl)
    }

    fn relations(&mut self, decl: &mut TypeDecl) -> Parsed<()> {
        let mut known: HashSet<String> = HashSet::new();
        loop {
            let separator = self.peek();
            let is_define =
                separator.kind == TokenKind::Newline && self.peek_after(1).is_word("define");
            if !is_define {
                if decl.relations.is_empty() {
                    if separator.kind != TokenKind::Newline {
                        return Err(mismatch(&separator, "NEWLINE"));
                    }
                    return Err(no_alternative(&separator, &self.peek_after(1)));
                }
                return Ok(());
            }
            self.bump();
            self.bump();
            let mut relation = self.relation()?;
            if !known.insert(relation.name.text.clone()) {
                let message =
                    format!("'{}' is already defined in '{}'", relation.name.text, decl.name.text);
                self.complain(message, &relation.name);
            }
            relation.extended_by = decl.extends.then(|| decl.origin.clone());
            decl.relations.push(relation);
        }
    }

    fn relation(&mut self) -> Parsed<RelationDecl> {
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.identifier()?;
        self.skip(TokenKind::Whitespace);
        let colon = self.bump();
        if !colon.is_symbol(':') {
            return Err(error(format!("missing ':' at '{}'", shown(&colon)), &colon));
        }
        self.skip(TokenKind::Whitespace);
        let mut restrictions = Vec::new();
        let rewrite = self.rewrite(true, &mut restrictions, 0)?;
        Ok(RelationDecl { name, extended_by: None, rewrite, restrictions })
    }

    /// An operand, and further operands joined by one and the same operator.
    fn rewrite(
        &mut self,
        admits_direct: bool,
        restrictions: &mut Vec<Restriction>,
        depth: usize,
    ) -> Parsed<Rewrite> {
        let first = self.operand(admits_direct, restrictions, depth)?;
        let operator = self.operator();
        let Some(operator) = operator else { return Ok(first) };
        let mut operands = vec![first];
        while self.operator() == Some(operator) {
            self.bump();
            self.bump();
            self.expect(TokenKind::Whitespace, "WHITESPACE")?;
            operands.push(self.operand(false, restrictions, depth)?);
            if operator == Operator::ButNot {
                break;
            }
        }
        let subtract = |mut operands: Vec<Rewrite>| {
            let subtract = operands.pop()?;
            Some(Rewrite::Difference(Box::new(operands.pop()?), Box::new(subtract)))
        };
        Ok(match operator {
            Operator::Or => Rewrite::Union(operands),
            Operator::And => Rewrite::Intersection(operands),
            Operator::ButNot => match subtract(operands) {
                Some(rewrite) => rewrite,
                None => return Err(mismatch(&self.peek(), NAMES)),
            },
        })
    }

    /// The operator behind the white space at the cursor, without moving.
    fn operator(&self) -> Option<Operator> {
        if self.peek().kind != TokenKind::Whitespace {
            return None;
        }
        let token = self.peek_after(1);
        match token.kind {
            TokenKind::ButNot => Some(Operator::ButNot),
            TokenKind::Word if token.text == "or" => Some(Operator::Or),
            TokenKind::Word if token.text == "and" => Some(Operator::And),
            _ => None,
        }
    }

    fn operand(
        &mut self,
        admits_direct: bool,
        restrictions: &mut Vec<Restriction>,
        depth: usize,
    ) -> Parsed<Rewrite> {
        let token = self.peek();
        if token.is_symbol('[') && admits_direct {
            self.direct_assignment(restrictions)?;
            return Ok(Rewrite::This);
        }
        if token.is_symbol('(') {
            if depth >= MAX_NESTING {
                return Err(error("parentheses are nested too deep".to_owned(), &token));
            }
            self.bump();
            self.skip(TokenKind::Whitespace);
            let inner = self.rewrite(admits_direct, restrictions, depth + 1)?;
            self.skip(TokenKind::Whitespace);
            let close = self.bump();
            if !close.is_symbol(')') {
                return Err(extraneous(&close, "{')', WHITESPACE}"));
            }
            return Ok(inner);
        }
        if token.is_symbol('[') {
            return Err(extraneous(&token, &format!("{{'(', {NAMES}}}")));
        }
        let expected = if admits_direct { "'[', '(', " } else { "'(', " };
        let computed = self.identifier_or(expected)?;
        let is_from =
            self.peek().kind == TokenKind::Whitespace && self.peek_after(1).is_word("from");
        if !is_from {
            return Ok(Rewrite::Computed(computed));
        }
        self.bump();
        self.bump();
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let tupleset = self.identifier()?;
        let span = Span { end: tupleset.span.end, ..computed.span };
        Ok(Rewrite::TupleToUserset { computed, tupleset, span })
    }

    fn direct_assignment(&mut self, restrictions: &mut Vec<Restriction>) -> Parsed<()> {
        self.bump();
        loop {
            let has_blank = self.skip(TokenKind::Whitespace);
            self.skip(TokenKind::Newline);
            restrictions.push(self.restriction(has_blank)?);
            let has_blank = self.skip(TokenKind::Newline) | self.skip(TokenKind::Whitespace);
            let token = self.bump();
            match token.kind {
                TokenKind::Symbol(',') => {}
                TokenKind::Symbol(']') => return Ok(()),
                _ if has_blank => return Err(mismatch(&token, "{',', ']'}")),
                _ => return Err(mismatch(&token, "{',', WHITESPACE, ']'}")),
            }
        }
    }

    fn restriction(&mut self, follows_blank: bool) -> Parsed<Restriction> {
        let Ok(name) = self.identifier() else {
            let blank = if follows_blank { "" } else { "WHITESPACE, " };
            return Err(extraneous(&self.peek(), &format!("{{{blank}{NAMES}, NEWLINE}}")));
        };
        let mut restriction = Restriction {
            reference: RelationReference { type_name: name.text, ..Default::default() },
            span: name.span,
            type_span: name.span,
            condition_span: Span::default(),
        };
        let separator = self.peek();
        if separator.is_symbol(':') {
            self.bump();
            let star = self.bump();
            if !star.is_symbol('*') {
                return Err(mismatch(&star, "'*'"));
            }
            restriction.reference.wildcard = Some(Empty {});
            restriction.span.end = star.span.end;
        } else if separator.is_symbol('#') {
            self.bump();
            let relation = self.identifier()?;
            restriction.reference.relation = relation.text;
            restriction.span.end = relation.span.end;
        }
        if self.peek().kind == TokenKind::Whitespace && self.peek_after(1).is_word("with") {
            self.bump();
            self.bump();
            self.expect(TokenKind::Whitespace, "WHITESPACE")?;
            let condition = self.identifier()?;
            restriction.reference.condition = condition.text;
            restriction.condition_span = condition.span;
            restriction.span.end = condition.span.end;
        }
        Ok(restriction)
    }

    fn condition(&mut self, origin: &Origin, known: &mut HashSet<String>) -> Parsed<ConditionDecl> {
        self.expect_word("condition")?;
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.plain_identifier()?;
        if !known.insert(name.text.clone()) {
            let message = format!("condition '{}' is already defined in the model", name.text);
            self.complain(message, &name);
        }
        self.skip(TokenKind::Whitespace);
        self.expect_symbol('(')?;
        let mut parameters: Vec<(String, ConditionParamTypeRef)> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        loop {
            let has_blank = self.skip_blank();
            let parameter = match self.plain_identifier() {
                Err(_) if !has_blank => {
                    return Err(mismatch(&self.peek(), "{WHITESPACE, IDENTIFIER, NEWLINE}"));
                }
                parameter => parameter?,
            };
            self.skip(TokenKind::Whitespace);
            self.expect_symbol(':')?;
            self.skip(TokenKind::Whitespace);
            let parameter_type = self.parameter_type()?;
            if !known.insert(parameter.text.clone()) {
                let message = format!(
                    "parameter '{}' is already defined in the condition '{}'",
                    parameter.text, name.text
                );
                self.complain(message, &parameter);
            }
            parameters.push((parameter.text, parameter_type));
            self.skip_blank();
            let token = self.bump();
            match token.kind {
                TokenKind::Symbol(',') => {}
                TokenKind::Symbol(')') => break,
                _ => return Err(mismatch(&token, "{',', ')'}")),
            }
        }
        self.skip(TokenKind::Whitespace);
        self.expect_symbol('{')?;
        let Some(expression) = self.lexer.condition_body(&mut self.cursor) else {
            return Err(mismatch(&self.peek(), "'}'"));
        };
        self.expect_symbol('}')?;
        self.skip(TokenKind::Whitespace);
        Ok(ConditionDecl { name, key: None, origin: origin.clone(), parameters, expression })
    }

    fn parameter_type(&mut self) -> Parsed<ConditionParamTypeRef> {
        let token = self.peek();
        let known = (token.kind == TokenKind::Word).then(|| TypeName::from_dsl(&token.text));
        let Some(Some(type_name)) = known else {
            return Err(mismatch(&token, "{CONDITION_PARAM_CONTAINER, CONDITION_PARAM_TYPE}"));
        };
        self.bump();
        if !matches!(type_name, TypeName::Map | TypeName::List) {
            return Ok(ConditionParamTypeRef { type_name, generic_types: Vec::new() });
        }
        self.expect_symbol('<')?;
        let token = self.peek();
        let inner = TypeName::from_dsl(&token.text)
            .filter(|inner| !matches!(inner, TypeName::Map | TypeName::List));
        let Some(inner) = inner else { return Err(mismatch(&token, "CONDITION_PARAM_TYPE")) };
        self.bump();
        self.expect_symbol('>')?;
        let generic = ConditionParamTypeRef { type_name: inner, generic_types: Vec::new() };
        Ok(ConditionParamTypeRef { type_name, generic_types: vec![generic] })
    }

    /// A type's or relation's name.
    fn identifier(&mut self) -> Parsed<Spanned> {
        self.identifier_or("")
    }

    /// A name, where also something else may stand that was looked for before.
    fn identifier_or(&mut self, others: &str) -> Parsed<Spanned> {
        let token = self.peek();
        if token.kind != TokenKind::Word || RESERVED.contains(&token.text.as_str()) {
            return Err(mismatch(&token, &format!("{{{others}{NAMES}}}")));
        }
        Ok(spanned(self.bump()))
    }

    /// A condition's or parameter's name: no `.` or `/`, and not the name of a type.
    fn plain_identifier(&mut self) -> Parsed<Spanned> {
        let token = self.peek();
        let is_plain = token.kind == TokenKind::Word
            && !token.text.contains(['.', '/'])
            && TypeName::from_dsl(&token.text).is_none_or(|name| name == TypeName::Any);
        if !is_plain {
            return Err(mismatch(&token, "{IDENTIFIER}"));
        }
        Ok(spanned(self.bump()))
    }

    fn peek(&self) -> Token {
        let mut cursor = self.cursor;
        self.lexer.next(&mut cursor)
    }

    fn peek_after(&self, skip: usize) -> Token {
        let mut cursor = self.cursor;
        for _ in 0..skip {
            self.lexer.next(&mut cursor);
        }
        self.lexer.next(&mut cursor)
    }

    fn bump(&mut self) -> Token {
        self.lexer.next(&mut self.cursor)
    }

    /// Skips a token of that kind; true if there was one.
    fn skip(&mut self, kind: TokenKind) -> bool {
        let is_there = self.peek().kind == kind;
        if is_there {
            self.bump();
        }
        is_there
    }

    /// Skips white space and line ends; true if there were any.
    fn skip_blank(&mut self) -> bool {
        let mut has_blank = false;
        while matches!(self.peek().kind, TokenKind::Whitespace | TokenKind::Newline) {
            self.bump();
            has_blank = true;
        }
        has_blank
    }

    fn expect(&mut self, kind: TokenKind, expected: &str) -> Parsed<Token> {
        let token = self.peek();
        if token.kind != kind {
            return Err(mismatch(&token, expected));
        }
        Ok(self.bump())
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        let token = self.peek();
        if !token.is_word(word) {
            return Err(mismatch(&token, &format!("'{word}'")));
        }
        self.bump();
        Ok(())
    }

    fn expect_symbol(&mut self, symbol: char) -> Parsed<()> {
        let token = self.peek();
        if !token.is_symbol(symbol) {
            return Err(mismatch(&token, &format!("'{symbol}'")));
        }
        self.bump();
        Ok(())
    }

    /// Notes an error that does not stop the parser.
    fn complain(&mut self, message: String, about: &Spanned) {
        let symbol = about.text.clone();
        self.duplicates.push(DslError { message, span: about.span, symbol, ..DslError::default() });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    ButNot,
}

fn spanned(token: Token) -> Spanned {
    Spanned { text: token.text, span: token.span }
}

fn shown(token: &Token) -> String {
    match token.kind {
        TokenKind::End => "<EOF>".to_owned(),
        _ => token.text.replace('\n', "\\n"),
    }
}

fn error(message: String, token: &Token) -> Box<DslError> {
    let symbol = match token.kind {
        TokenKind::End => "<EOF>".to_owned(),
        _ => token.text.clone(),
    };
    Box::new(DslError { message, span: token.span, symbol, ..DslError::default() })
}

fn mismatch(token: &Token, expected: &str) -> Box<DslError> {
    error(format!("mismatched input '{}' expecting {expected}", shown(token)), token)
}

fn extraneous(token: &Token, expected: &str) -> Box<DslError> {
    error(format!("extraneous input '{}' expecting {expected}", shown(token)), token)
}

fn no_alternative(before: &Token, token: &Token) -> Box<DslError> {
    error(format!("no viable alternative at input '{}{}'", shown(before), shown(token)), token)
}
