//! Splits DSL text into tokens, on demand, so that a condition's body can be taken raw.
//!
//! White space and line ends are tokens, because the grammar asks for them. A comment (`#` at the
//! start of a line or after white space) and trailing white space do not exist for the parser.

use super::dsl_error::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Whitespace,
    /// One or more line ends with the white space around them.
    Newline,
    /// An identifier or keyword, possibly with `.`, `/` and `-` inside.
    Word,
    /// `digits.digits`.
    SchemaVersion,
    /// `but not`, with one space.
    ButNot,
    /// Any other single character.
    Symbol(char),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text == word
    }

    pub(crate) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == TokenKind::Symbol(symbol)
    }
}

/// A position in the text; copying it is how the parser looks ahead.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    line: u32,
    column: u32,
}

#[derive(Debug)]
pub(crate) struct Lexer {
    chars: Vec<char>,
}

impl Lexer {
    pub(crate) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect() }
    }

    /// The token at the cursor; moves the cursor behind it.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Token {
        let start = *cursor;
        let Some(c) = self.peek(cursor, 0) else {
            return self.token(TokenKind::End, start, cursor);
        };
        let is_break = self.skip_blank(cursor);
        if is_break {
            // White space and comments before a line end belong to the line end, and so does
            // the white space after it.
            while self.skip_blank(cursor) {}
            return self.token(TokenKind::Newline, start, cursor);
        }
        if self.peek(cursor, 0).is_none() {
            return self.token(TokenKind::End, start, cursor);
        }
        if cursor.at > start.at {
            return self.token(TokenKind::Whitespace, start, cursor);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            return self.word(start, cursor);
        }
        if c.is_ascii_digit() {
            return self.number(start, cursor);
        }
        self.bump(cursor);
        self.token(TokenKind::Symbol(c), start, cursor)
    }

    /// The expression of a condition: what stands before the `}` that closes it, without comments
    /// and without blanks at the ends of lines. `None` if nothing closes it.
    ///
    /// Strings are taken as they are, so `}` and `#` may stand in them; `//` begins a comment of
    /// CEL, which is kept.
    pub(crate) fn condition_body(&self, cursor: &mut Cursor) -> Option<String> {
        let mut body = String::new();
        let mut open_braces = 0_usize;
        loop {
            let c = self.peek(cursor, 0)?;
            let follows_blank = body.chars().next_back().is_none_or(char::is_whitespace);
            match c {
                '}' if open_braces == 0 => return Some(body.trim().to_owned()),
                '}' => open_braces -= 1,
                '{' => open_braces += 1,
                '"' | '\'' => {
                    self.string(cursor, c, &mut body)?;
                    continue;
                }
                '/' if self.peek(cursor, 1) == Some('/') => {
                    while let Some(c) = self.peek(cursor, 0).filter(|&c| c != '\n') {
                        body.push(c);
                        self.bump(cursor);
                    }
                    continue;
                }
                '#' if follows_blank => {
                    while self.peek(cursor, 0).is_some_and(|c| c != '\n') {
                        self.bump(cursor);
                    }
                    continue;
                }
                '\n' => body.truncate(body.trim_end_matches([' ', '\t', '\r', '\u{c}']).len()),
                _ => {}
            }
            body.push(c);
            self.bump(cursor);
        }
    }

    /// A string of CEL, of one or three quotes, raw if an `r` stands before it. One of one quote
    /// ends with the line at the latest, which is for the expression's own parser to complain of.
    fn string(&self, cursor: &mut Cursor, quote: char, body: &mut String) -> Option<()> {
        let is_raw = body.ends_with(['r', 'R']);
        let width = if (0..3).all(|i| self.peek(cursor, i) == Some(quote)) { 3 } else { 1 };
        let mut take = |cursor: &mut Cursor| {
            body.extend(self.peek(cursor, 0));
            self.bump(cursor);
        };
        (0..width).for_each(|_| take(cursor));
        loop {
            let c = self.peek(cursor, 0)?;
            if c == '\n' && width == 1 {
                return Some(());
            }
            if (0..width).all(|i| self.peek(cursor, i) == Some(quote)) {
                (0..width).for_each(|_| take(cursor));
                return Some(());
            }
            if c == '\\' && !is_raw {
                take(cursor);
            }
            take(cursor);
        }
    }

    /// Skips white space and a comment; true if a line end followed and was skipped as well.
    fn skip_blank(&self, cursor: &mut Cursor) -> bool {
        let line_start = cursor.column == 0;
        let before = cursor.at;
        while matches!(self.peek(cursor, 0), Some(' ' | '\t' | '\u{c}' | '\r')) {
            self.bump(cursor);
        }
        let after_blank = cursor.at > before || line_start;
        if after_blank && self.peek(cursor, 0) == Some('#') {
            while self.peek(cursor, 0).is_some_and(|c| c != '\n') {
                self.bump(cursor);
            }
        }
        if self.peek(cursor, 0) == Some('\n') {
            self.bump(cursor);
            return true;
        }
        false
    }

    fn word(&self, start: Cursor, cursor: &mut Cursor) -> Token {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // IDENTIFIER: `-` anywhere after the first character.
        let mut plain = *cursor;
        while self.peek(&plain, 0).is_some_and(|c| is_word(c) || c == '-') {
            self.bump(&mut plain);
        }
        // EXTENDED_IDENTIFIER: `/`, `.` and `-` one at a time between word characters.
        let mut extended = *cursor;
        loop {
            match self.peek(&extended, 0) {
                Some(c) if is_word(c) => self.bump(&mut extended),
                Some('/' | '.' | '-') if self.peek(&extended, 1).is_some_and(is_word) => {
                    self.bump(&mut extended);
                }
                _ => break,
            }
        }
        *cursor = if extended.at > plain.at { extended } else { plain };
        let token = self.token(TokenKind::Word, start, cursor);
        if token.text == "but" {
            let rest = [' ', 'n', 'o', 't'];
            let follows = (0..4).all(|i| self.peek(cursor, i) == rest.get(i).copied());
            if follows && !self.peek(cursor, 4).is_some_and(|c| is_word(c) || c == '-') {
                (0..4).for_each(|_| self.bump(cursor));
                return self.token(TokenKind::ButNot, start, cursor);
            }
        }
        token
    }

    fn number(&self, start: Cursor, cursor: &mut Cursor) -> Token {
        let digits = |cursor: &mut Cursor| {
            while self.peek(cursor, 0).is_some_and(|c| c.is_ascii_digit()) {
                self.bump(cursor);
            }
        };
        digits(cursor);
        if self.peek(cursor, 0) == Some('.')
            && self.peek(cursor, 1).is_some_and(|c| c.is_ascii_digit())
        {
            self.bump(cursor);
            digits(cursor);
            return self.token(TokenKind::SchemaVersion, start, cursor);
        }
        self.token(TokenKind::Symbol('0'), start, cursor)
    }

    fn peek(&self, cursor: &Cursor, ahead: usize) -> Option<char> {
        self.chars.get(cursor.at + ahead).copied()
    }

    fn bump(&self, cursor: &mut Cursor) {
        match self.chars.get(cursor.at) {
            Some('\n') => {
                cursor.line += 1;
                cursor.column = 0;
            }
            Some(_) => cursor.column += 1,
            None => return,
        }
        cursor.at += 1;
    }

    fn token(&self, kind: TokenKind, start: Cursor, end: &Cursor) -> Token {
        let text: String = match self.chars.get(start.at..end.at) {
            Some(chars) if kind != TokenKind::End => chars.iter().collect(),
            _ => String::new(),
        };
        // Of a line end, comments and trailing white space do not exist for the reader either.
        let text = match text.rsplit_once('\n') {
            Some((lines, indent)) => {
                let breaks = lines.matches('\n').count() + 1;
                format!("{}{indent}", "\n".repeat(breaks))
            }
            None => text,
        };
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let span = Span { line: start.line, start: start.column, end: start.column + length };
        Token { kind, text, span }
    }
}
