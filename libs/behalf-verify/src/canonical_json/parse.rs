//! A JSON reader for evidence and tokens: refuses what two readers could take for two values.
//!
//! Beyond RFC 8259 it refuses members that appear twice, lone surrogates and numbers that
//! overflow, and reads doubles with correct rounding.

use serde_json::{Map, Number, Value};
use thiserror::Error;

use super::DEPTH_MAX;

/// Why the text is refused, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The text ends inside a value.
    #[error("the text ends inside a value")]
    UnexpectedEnd,
    /// A character that cannot stand here.
    #[error("unexpected character at byte {at}")]
    UnexpectedCharacter {
        /// Its offset.
        at: usize,
    },
    /// Something after the value.
    #[error("something follows the value at byte {at}")]
    TrailingCharacters {
        /// Its offset.
        at: usize,
    },
    /// A member that the object has already.
    #[error("member `{name}` appears twice")]
    DuplicateMember {
        /// The member's name.
        name: String,
    },
    /// A control character inside a string, or an unknown escape.
    #[error("invalid character or escape in a string at byte {at}")]
    InvalidString {
        /// Its offset.
        at: usize,
    },
    /// Half of a surrogate pair.
    #[error("lone surrogate in a string at byte {at}")]
    LoneSurrogate {
        /// Its offset.
        at: usize,
    },
    /// A number that JSON does not allow or that no double can approach.
    #[error("invalid number at byte {at}")]
    InvalidNumber {
        /// Its offset.
        at: usize,
    },
    /// More than [`DEPTH_MAX`] arrays and objects inside each other.
    #[error("arrays and objects are nested more than {DEPTH_MAX} deep")]
    TooDeep,
}

/// The JSON value that `text` spells, unless it could be read in two ways.
///
/// # Errors
/// If `text` is no JSON, repeats a member, holds half a surrogate pair or is nested too deeply.
pub fn parse(text: &str) -> Result<Value, ParseError> {
    Parser { text, at: 0, only_doubles: false }.document()
}

/// As [`parse`], with every number as a double, as a reader in JavaScript has it.
pub(super) fn parse_doubles(text: &str) -> Result<Value, ParseError> {
    Parser { text, at: 0, only_doubles: true }.document()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    only_doubles: bool,
}

impl Parser<'_> {
    fn document(mut self) -> Result<Value, ParseError> {
        let value = self.value(0)?;
        self.skip_space();
        match self.peek() {
            Some(_) => Err(ParseError::TrailingCharacters { at: self.at }),
            None => Ok(value),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        if depth > DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        self.skip_space();
        match self.peek().ok_or(ParseError::UnexpectedEnd)? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => self.string().map(Value::String),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        self.skip_space();
        if self.skip_if(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            self.skip_space();
            if self.skip_if(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.expect(b'{')?;
        let mut members = Map::new();
        self.skip_space();
        if self.skip_if(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            if members.contains_key(&name) {
                return Err(ParseError::DuplicateMember { name });
            }
            let value = self.value(depth.saturating_add(1))?;
            members.insert(name, value);
            self.skip_space();
            if self.skip_if(b'}') {
                return Ok(Value::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or("");
            let plain = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < b' ')
                .ok_or(ParseError::UnexpectedEnd)?;
            out.push_str(rest.get(..plain).unwrap_or(""));
            self.at = self.at.saturating_add(plain);
            if self.skip_if(b'"') {
                return Ok(out);
            }
            if !self.skip_if(b'\\') {
                return Err(ParseError::InvalidString { at: self.at });
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let at = self.at;
        let letter = self.peek().ok_or(ParseError::UnexpectedEnd)?;
        self.at = self.at.saturating_add(1);
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(at),
            _ => return Err(ParseError::InvalidString { at }),
        })
    }

    fn unicode_escape(&mut self, at: usize) -> Result<char, ParseError> {
        let high = self.four_hex()?;
        if !(0xD800..=0xDBFF).contains(&high) {
            return char::from_u32(high).ok_or(ParseError::LoneSurrogate { at });
        }
        if !(self.skip_if(b'\\') && self.skip_if(b'u')) {
            return Err(ParseError::LoneSurrogate { at });
        }
        let low = self.four_hex()?;
        if !(0xDC00..=0xDFFF).contains(&low) {
            return Err(ParseError::LoneSurrogate { at });
        }
        let code = (((high & 0x3FF) << 10) | (low & 0x3FF)).saturating_add(0x1_0000);
        char::from_u32(code).ok_or(ParseError::LoneSurrogate { at })
    }

    fn four_hex(&mut self) -> Result<u32, ParseError> {
        let end = self.at.saturating_add(4);
        let digits = self.text.get(self.at..end).ok_or(ParseError::UnexpectedEnd)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseError::InvalidString { at: self.at });
        }
        self.at = end;
        u32::from_str_radix(digits, 16).map_err(|_| ParseError::InvalidString { at: end })
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        let invalid = ParseError::InvalidNumber { at: start };
        self.skip_if(b'-');
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.byte(self.at.saturating_sub(whole)) == Some(b'0')) {
            return Err(invalid);
        }
        let mut is_integer = true;
        if self.skip_if(b'.') {
            is_integer = false;
            if self.digits() == 0 {
                return Err(invalid);
            }
        }
        if self.skip_if(b'e') || self.skip_if(b'E') {
            is_integer = false;
            if !self.skip_if(b'+') {
                self.skip_if(b'-');
            }
            if self.digits() == 0 {
                return Err(invalid);
            }
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        if is_integer && !self.only_doubles {
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Value::from(number));
            }
            if let Ok(number) = text.parse::<i64>() {
                // `-0` is a double: as an integer it would lose its sign.
                return Ok(if number == 0 { Value::from(-0.0) } else { Value::from(number) });
            }
        }
        let double = text.parse::<f64>().ok();
        double.and_then(Number::from_f64).map(Value::Number).ok_or(invalid)
    }

    fn digits(&mut self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at = self.at.saturating_add(count);
        count
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ParseError> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at = self.at.saturating_add(word.len());
            return Ok(value);
        }
        Err(self.unexpected())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at = self.at.saturating_add(1);
        }
    }

    fn skip_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), ParseError> {
        if self.skip_if(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> ParseError {
        match self.peek() {
            Some(_) => ParseError::UnexpectedCharacter { at: self.at },
            None => ParseError::UnexpectedEnd,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}
