//! Splits an expression into tokens (CEL language definition, "Syntax").

use std::sync::Arc;

use super::value::Value;

#[derive(Clone, Debug)]
pub(crate) enum Token {
    Ident(String),
    Literal(Value),
    /// An integer literal without its sign; `-` may still apply to it.
    Integer(u64),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 27] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")",
    "[", "]", "{", "}", ".", ",", "=", "&", "|",
];

const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0 };
    let mut found = Vec::new();
    loop {
        scanner.skip_blank();
        let Some(c) = scanner.peek(0) else { break };
        found.push(scanner.token(c)?);
    }
    found.push(Token::End);
    Ok(found)
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\n' | '\r' | '\u{c}') => self.at += 1,
                Some('/') if self.peek(1) == Some('/') => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn token(&mut self, c: char) -> Result<Token, String> {
        let starts_number = c.is_ascii_digit()
            || (c == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit()));
        if starts_number {
            return self.number();
        }
        if let Some((prefix, is_raw, is_bytes)) = self.string_prefix() {
            self.at += prefix;
            return self.string(is_raw, is_bytes);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(match word.as_str() {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "null" => Token::Literal(Value::Null),
                "in" => Token::Symbol("in"),
                word if RESERVED.contains(&word) => {
                    return Err(format!("reserved identifier: {word}"));
                }
                _ => Token::Ident(word),
            });
        }
        for symbol in SYMBOLS {
            if symbol.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c)) {
                self.at += symbol.len();
                return Ok(Token::Symbol(symbol));
            }
        }
        Err(format!("token recognition error at: '{c}'"))
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|&c| accepts(c)) {
            text.push(c);
            self.at += 1;
        }
        text
    }

    fn number(&mut self) -> Result<Token, String> {
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let number = u64::from_str_radix(&digits, 16).map_err(|_| "invalid int literal")?;
            return Ok(self.suffix(number));
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut is_double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            is_double = true;
            self.at += 1;
            text.push('.');
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                is_double = true;
                for _ in 0..=sign {
                    text.extend(self.peek(0));
                    self.at += 1;
                }
                text.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        if is_double {
            let number: f64 = text.parse().map_err(|_| "invalid double literal")?;
            return Ok(Token::Literal(Value::Double(number)));
        }
        let number: u64 = text.parse().map_err(|_| "invalid int literal")?;
        Ok(self.suffix(number))
    }

    fn suffix(&mut self, number: u64) -> Token {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Token::Literal(Value::Uint(number));
        }
        Token::Integer(number)
    }

    /// Length of the prefix before a quote, and whether it says raw and bytes.
    fn string_prefix(&self) -> Option<(usize, bool, bool)> {
        let (mut length, mut is_raw, mut is_bytes) = (0, false, false);
        loop {
            match self.peek(length)? {
                '"' | '\'' => return Some((length, is_raw, is_bytes)),
                'r' | 'R' if !is_raw => is_raw = true,
                'b' | 'B' if !is_bytes && !is_raw => is_bytes = true,
                _ => return None,
            }
            length += 1;
        }
    }

    fn string(&mut self, is_raw: bool, is_bytes: bool) -> Result<Token, String> {
        let unterminated = || "unterminated string literal".to_owned();
        let quote = self.peek(0).ok_or_else(unterminated)?;
        let is_triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if is_triple { 3 } else { 1 };
        self.at += width;
        let mut text: Vec<u8> = Vec::new();
        loop {
            if (0..width).all(|i| self.peek(i) == Some(quote)) {
                self.at += width;
                break;
            }
            let c = self.peek(0).ok_or_else(unterminated)?;
            self.at += 1;
            match c {
                '\n' | '\r' if !is_triple => return Err(unterminated()),
                '\\' if !is_raw => self.escape(is_bytes, &mut text)?,
                c => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if is_bytes {
            return Ok(Token::Literal(Value::Bytes(text.into())));
        }
        let text = String::from_utf8(text).map_err(|_| "invalid string literal")?;
        Ok(Token::Literal(Value::String(Arc::from(text))))
    }

    fn escape(&mut self, is_bytes: bool, text: &mut Vec<u8>) -> Result<(), String> {
        let invalid = || "invalid escape sequence".to_owned();
        let c = self.peek(0).ok_or_else(invalid)?;
        self.at += 1;
        let plain = match c {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '"' => Some(b'"'),
            '\'' => Some(b'\''),
            '\\' => Some(b'\\'),
            '?' => Some(b'?'),
            '`' => Some(b'`'),
            _ => None,
        };
        if let Some(byte) = plain {
            text.push(byte);
            return Ok(());
        }
        let (digits, radix) = match c {
            'x' | 'X' => (self.take(2), 16),
            'u' if !is_bytes => (self.take(4), 16),
            'U' if !is_bytes => (self.take(8), 16),
            '0'..='3' => (format!("{c}{}", self.take(2)), 8),
            _ => return Err(invalid()),
        };
        let expected = match c {
            'x' | 'X' => 2,
            'u' => 4,
            'U' => 8,
            _ => 3,
        };
        if digits.len() != expected {
            return Err(invalid());
        }
        let code = u32::from_str_radix(&digits, radix).map_err(|_| invalid())?;
        if is_bytes {
            text.push(u8::try_from(code).map_err(|_| invalid())?);
        } else {
            let c = char::from_u32(code).ok_or_else(invalid)?;
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            let Some(c) = self.peek(0).filter(char::is_ascii_hexdigit) else { break };
            text.push(c);
            self.at += 1;
        }
        text
    }
}
