//! The keys whose tokens are accepted, by `kid`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::KeyError;
use super::verifying::VerifyingKey;

/// The most keys in one set.
pub const KEYS_MAX: usize = 64;

/// Public keys by `kid`.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: BTreeMap<String, VerifyingKey>,
}

impl KeySet {
    /// A set without keys, which accepts no token.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of `keys`.
    ///
    /// # Errors
    /// If two keys have the same `kid`, or there are more than [`KEYS_MAX`].
    pub fn from_keys(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        let mut set = Self::new();
        for key in keys {
            set.insert(key)?;
        }
        Ok(set)
    }

    /// The usable signing keys of a JWK set. Keys of other types, uses and algorithms are left out
    /// (RFC 7517 §5); malformed and private ones are errors.
    ///
    /// # Errors
    /// If `jwks` has no `keys`, more than [`KEYS_MAX`], two of one `kid`, or a malformed one.
    pub fn from_jwks(jwks: &Value) -> Result<Self, KeyError> {
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or(KeyError::Jwk("keys"))?;
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut set = Self::new();
        for jwk in keys {
            match VerifyingKey::from_jwk(jwk) {
                Ok(key) => set.insert(key)?,
                Err(KeyError::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(set)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// If the set has a key of that `kid` already, or is full.
    pub fn insert(&mut self, key: VerifyingKey) -> Result<(), KeyError> {
        if self.keys.contains_key(key.kid()) {
            return Err(KeyError::DuplicateKid(key.kid().to_owned()));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.keys.insert(key.kid().to_owned(), key);
        Ok(())
    }

    /// The key of that name.
    pub fn find(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }

    /// The keys in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.values()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What a JWKS endpoint answers: `{"keys": […]}`.
    pub fn public_jwks(&self) -> Value {
        json!({"keys": self.iter().map(VerifyingKey::public_jwk).collect::<Vec<_>>()})
    }
}
