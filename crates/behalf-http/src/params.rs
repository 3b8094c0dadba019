//! Parameters of a query, a form or a JSON object: decoded strictly, each name once.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use thiserror::Error;

/// More parameters than any request has.
const MAX_PARAMS: usize = 100;

/// The parameters cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// A name stands twice (RFC 6749 §3.1; CVE-2026-9689).
    #[error("parameter `{0}` is repeated")]
    Repeated(String),
    /// Not percent-encoded UTF-8, or not a JSON object.
    #[error("{0}")]
    Malformed(&'static str),
    /// More than a hundred.
    #[error("more than {MAX_PARAMS} parameters")]
    TooMany,
}

/// Parameters by name. Empty values count as absent (RFC 6749 §3.1).
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl fmt::Debug for Params {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Params {
    /// Reads `application/x-www-form-urlencoded` text: a query, or a form's body. Parameters
    /// without a value count as absent (RFC 6749 §3.1).
    ///
    /// # Errors
    /// See [`ParamsError`].
    pub fn from_urlencoded(text: &[u8]) -> Result<Self, ParamsError> {
        Ok(Self::from_urlencoded_with_empty(text)?.without_empty())
    }

    /// The same for interfaces in which a parameter without a value is one that is empty.
    ///
    /// # Errors
    /// See [`ParamsError`].
    pub fn from_urlencoded_with_empty(text: &[u8]) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            params.insert(name, value)?;
        }
        Ok(params)
    }

    /// Reads a JSON object. Strings stand as they are, other values as their JSON text, `null`
    /// counts as absent.
    ///
    /// # Errors
    /// See [`ParamsError`].
    pub fn from_json(text: &[u8]) -> Result<Self, ParamsError> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let members = deserializer
            .deserialize_map(Members)
            .and_then(|members| deserializer.end().map(|()| members))
            .map_err(|_error| ParamsError::Malformed("the body is not a JSON object"))?;
        let mut params = Self::default();
        for (name, value) in members {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            params.insert(name, text)?;
        }
        Ok(params.without_empty())
    }

    /// Takes the parameter `name`.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// The parameter `name`.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names that were not taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), ParamsError> {
        if self.0.len() >= MAX_PARAMS {
            return Err(ParamsError::TooMany);
        }
        if self.0.iter().any(|(known, _)| *known == name) {
            return Err(ParamsError::Repeated(name));
        }
        self.0.push((name, value));
        Ok(())
    }

    fn without_empty(mut self) -> Self {
        self.0.retain(|(_, value)| !value.is_empty());
        self
    }
}

fn decode(text: &[u8]) -> Result<String, ParamsError> {
    const BAD: ParamsError = ParamsError::Malformed("a parameter is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = char::from(*rest.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = (digit().ok_or(BAD)?, digit().ok_or(BAD)?);
                (high << 4) | low
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_not_utf8| BAD)
}

/// Reads an object's members in order, repeated ones too: `serde_json::Map` would keep the last.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_and_empty_values_are_absent() {
        let mut params =
            Params::from_urlencoded(b"grant_type=a%3Ab&scope=x+y%20z&audience=&flag").unwrap();
        assert_eq!(params.take("grant_type").as_deref(), Some("a:b"));
        assert_eq!(params.take("scope").as_deref(), Some("x y z"));
        assert_eq!(params.take("audience"), None);
        assert_eq!(params.take("flag"), None);
    }

    #[test]
    fn repeated_names_are_refused_in_forms_and_in_json() {
        let repeated = ParamsError::Repeated("a".into());
        assert_eq!(Params::from_urlencoded(b"a=1&b=2&a=1").unwrap_err(), repeated);
        assert_eq!(Params::from_urlencoded(b"a=&a=1").unwrap_err(), repeated);
        assert_eq!(Params::from_urlencoded(b"a=1&%61=2").unwrap_err(), repeated);
        assert_eq!(Params::from_json(br#"{"a":1,"a":"2"}"#).unwrap_err(), repeated);
        assert_eq!(Params::from_json(br#"{"a":null,"\u0061":"2"}"#).unwrap_err(), repeated);
    }

    #[test]
    fn malformed_input_is_refused() {
        for form in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"\xff=1"] {
            assert!(Params::from_urlencoded(form).is_err(), "{form:?}");
        }
        for json in [&b""[..], b"[]", b"{", b"{}x", b"\"a\"", b"{\"a\":1} {}"] {
            assert!(Params::from_json(json).is_err(), "{json:?}");
        }
        let many = (0..101).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(Params::from_urlencoded(many.as_bytes()).unwrap_err(), ParamsError::TooMany);
    }

    #[test]
    fn json_values_stand_as_text() {
        let mut params =
            Params::from_json(br#"{"n":300,"o":[{"type":"gist"}],"s":"x","z":null}"#).unwrap();
        assert_eq!(params.take("n").as_deref(), Some("300"));
        assert_eq!(params.take("o").as_deref(), Some(r#"[{"type":"gist"}]"#));
        assert_eq!(params.take("s").as_deref(), Some("x"));
        assert_eq!(params.take("z"), None);
    }
}
