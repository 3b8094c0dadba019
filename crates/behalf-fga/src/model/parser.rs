//! Recursive descent over the DSL: `OpenFGAParser.g4` of openfga/language, by hand.
//!
//! The parser stops at the first syntax error. Duplicate definitions do not stop it; they are
//! collected and returned together.

use super::ast::{ConditionDecl, Document, RelationDecl, Restriction, Rewrite, Spanned, TypeDecl};
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
        self.skip(TokenKind::Whitespace);
        self.skip(TokenKind::Newline);
        self.header(&mut document)?;
        let is_module = document.module.is_some();
        let mut extended: Vec<String> = Vec::new();
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
                    document.types.push(self.type_definition(is_module, &mut extended)?);
                }
                "condition" => {
                    self.bump();
                    let decl = self.condition(&document)?;
                    document.conditions.push(decl);
                }
                _ if keyword.kind == TokenKind::End => return Ok(document),
                _ => return Err(no_alternative(&keyword)),
            }
        }
    }

    fn header(&mut self, document: &mut Document) -> Parsed<()> {
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
            _ => return Err(mismatch(&keyword, "{'module', 'model'}")),
        }
        self.skip(TokenKind::Whitespace);
        Ok(())
    }

    fn type_definition(&mut self, is_module: bool, extended: &mut Vec<String>) -> Parsed<TypeDecl> {
        let extends = self.peek().is_word("extend");
        if extends {
            self.bump();
            self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        }
        self.expect_word("type")?;
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.identifier()?;
        if extends && !is_module {
            self.duplicate("extend can only be used in a modular model".to_owned(), name.span);
        } else if extends && extended.contains(&name.text) {
            self.duplicate(format!("'{}' is already extended in file.", name.text), name.span);
        }
        if extends {
            extended.push(name.text.clone());
        }
        let mut decl = TypeDecl { name, relations: Vec::new() };
        if self.peek().kind == TokenKind::Newline && self.peek_after(1).is_word("relations") {
            self.bump();
            self.bump();
            self.relations(&mut decl)?;
        }
        Ok(decl)
    }

    fn relations(&mut self, decl: &mut TypeDecl) -> Parsed<()> {
        loop {
            let separator = self.peek();
            let is_define =
                separator.kind == TokenKind::Newline && self.peek_after(1).is_word("define");
            if !is_define {
                if decl.relations.is_empty() {
                    let after = self.peek_after(usize::from(separator.kind == TokenKind::Newline));
                    return Err(no_alternative(&after));
                }
                return Ok(());
            }
            self.bump();
            self.bump();
            let relation = self.relation()?;
            if decl.relations.iter().any(|known| known.name.text == relation.name.text) {
                let message =
                    format!("'{}' is already defined in '{}'", relation.name.text, decl.name.text);
                self.duplicate(message, relation.name.span);
            }
            decl.relations.push(relation);
        }
    }

    fn relation(&mut self) -> Parsed<RelationDecl> {
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.identifier()?;
        self.skip(TokenKind::Whitespace);
        let colon = self.bump();
        if !colon.is_symbol(':') {
            return Err(error(format!("missing ':' at '{}'", shown(&colon)), colon.span));
        }
        self.skip(TokenKind::Whitespace);
        let mut restrictions = Vec::new();
        let rewrite = self.rewrite(true, &mut restrictions, 0)?;
        Ok(RelationDecl { name, rewrite, restrictions })
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
                None => return Err(no_alternative(&self.peek())),
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
                return Err(error("parentheses are nested too deep".to_owned(), token.span));
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
            return Err(extraneous(&token, "{'(', IDENTIFIER}"));
        }
        let computed = self.identifier()?;
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
            self.skip(TokenKind::Whitespace);
            self.skip(TokenKind::Newline);
            restrictions.push(self.restriction()?);
            self.skip(TokenKind::Newline);
            self.skip(TokenKind::Whitespace);
            let token = self.bump();
            match token.kind {
                TokenKind::Symbol(',') => {}
                TokenKind::Symbol(']') => return Ok(()),
                _ => return Err(mismatch(&token, "{',', ']'}")),
            }
        }
    }

    fn restriction(&mut self) -> Parsed<Restriction> {
        let Ok(name) = self.identifier() else {
            let token = self.peek();
            return Err(extraneous(&token, "{IDENTIFIER}"));
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

    fn condition(&mut self, document: &Document) -> Parsed<ConditionDecl> {
        self.expect_word("condition")?;
        self.expect(TokenKind::Whitespace, "WHITESPACE")?;
        let name = self.plain_identifier()?;
        if document.conditions.iter().any(|known| known.name.text == name.text) {
            let message = format!("condition '{}' is already defined in the model", name.text);
            self.duplicate(message, name.span);
        }
        self.skip(TokenKind::Whitespace);
        self.expect_symbol('(')?;
        let mut parameters: Vec<(String, ConditionParamTypeRef)> = Vec::new();
        loop {
            self.skip_blank();
            let parameter = self.plain_identifier()?;
            self.skip(TokenKind::Whitespace);
            self.expect_symbol(':')?;
            self.skip(TokenKind::Whitespace);
            let parameter_type = self.parameter_type()?;
            if parameters.iter().any(|(known, _)| *known == parameter.text) {
                let message = format!(
                    "parameter '{}' is already defined in the condition '{}'",
                    parameter.text, name.text
                );
                self.duplicate(message, parameter.span);
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
        Ok(ConditionDecl { name, parameters, expression })
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
        let token = self.peek();
        if token.kind != TokenKind::Word || RESERVED.contains(&token.text.as_str()) {
            return Err(mismatch(&token, "{IDENTIFIER, EXTENDED_IDENTIFIER}"));
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

    fn skip(&mut self, kind: TokenKind) {
        if self.peek().kind == kind {
            self.bump();
        }
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek().kind, TokenKind::Whitespace | TokenKind::Newline) {
            self.bump();
        }
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

    fn duplicate(&mut self, message: String, span: Span) {
        self.duplicates.push(DslError { message, span, kind: None });
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

fn error(message: String, span: Span) -> Box<DslError> {
    Box::new(DslError { message, span, kind: None })
}

fn mismatch(token: &Token, expected: &str) -> Box<DslError> {
    error(format!("mismatched input '{}' expecting {expected}", shown(token)), token.span)
}

fn extraneous(token: &Token, expected: &str) -> Box<DslError> {
    error(format!("extraneous input '{}' expecting {expected}", shown(token)), token.span)
}

fn no_alternative(token: &Token) -> Box<DslError> {
    error(format!("no viable alternative at input '{}'", shown(token)), token.span)
}
