//! Scopes: sets of tokens, in the order in which they were asked for (RFC 6749 §3.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Scope tokens without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Scopes(Vec<String>);

/// The scopes that OpenID Connect defines; they belong to no API.
const OPENID: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// More scopes than any API has; the sets are searched one by one.
const MAX_TOKENS: usize = 1_000;

impl Scopes {
    /// The tokens of `text`, which spaces separate; `None` if one has a character that RFC 6749
    /// does not allow, or if there are more than any request needs.
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let mut scopes = Self::default();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !token.bytes().all(is_allowed) {
                return None;
            }
            scopes.insert(token);
            if scopes.0.len() > MAX_TOKENS {
                return None;
            }
        }
        Some(scopes)
    }

    /// Adds `token` if it is not there.
    pub fn insert(&mut self, token: &str) {
        if !self.contains(token) {
            self.0.push(token.to_owned());
        }
    }

    /// True if `token` is among them.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|scope| scope == token)
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Those for which `keep` is true.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| keep(scope)).cloned().collect())
    }

    /// True if each of these is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|scope| other.contains(scope))
    }

    /// These and those of `other`.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        other.iter().for_each(|scope| self.insert(scope));
        self
    }

    /// True if `token` is one of OpenID Connect's own (OpenID Connect Core §5.4, §11).
    pub fn is_openid(token: &str) -> bool {
        OPENID.contains(&token)
    }
}

impl<T: AsRef<str>> FromIterator<T> for Scopes {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        let mut scopes = Self::default();
        tokens.into_iter().for_each(|token| scopes.insert(token.as_ref()));
        scopes
    }
}

impl From<String> for Scopes {
    /// Reads what [`Scopes`] wrote; tokens that no scope may hold are left out.
    fn from(text: String) -> Self {
        Self::parse(&text).unwrap_or_default()
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.to_string()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_order_and_drop_repetitions() {
        let scopes = Scopes::parse("openid  create:gist openid").unwrap();
        assert_eq!(scopes.to_string(), "openid create:gist");
        assert!(Scopes::parse("quo\"te").is_none());
        assert!(Scopes::parse("line\nbreak").is_none());
        assert!(Scopes::parse("").unwrap().is_empty());
        let many = |count: usize| (0..count).map(|n| format!("s{n} ")).collect::<String>();
        assert!(Scopes::parse(&many(1_000)).is_some());
        assert!(Scopes::parse(&many(1_001)).is_none());
    }
}
