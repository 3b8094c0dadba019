//! Public keys: read from JWKs (RFC 7517), named by thumbprint (RFC 7638), parsed once.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use behalf_verify::sha256;
use serde_json::{Map, Value, json};

use super::{Algorithm, KeyError};
use crate::base64url;

/// A public key that verifies with one algorithm only.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    kid: String,
    /// The required members of RFC 7638 §3.2: `kty` and the key's numbers.
    members: Map<String, Value>,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// The key that a JWK describes. Without `alg` an RSA key is one for RS256; without `kid` its
    /// name is its thumbprint.
    ///
    /// # Errors
    /// If the JWK is malformed, private, symmetric, for encryption or for another algorithm.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::Jwk("kty"))?;
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return Err(KeyError::Private);
        }
        if text(members, "use")?.is_some_and(|purpose| purpose != "sig") || !may_verify(members)? {
            return Err(KeyError::Unsupported);
        }
        let mut key = match text(members, "kty")?.ok_or(KeyError::Jwk("kty"))? {
            "RSA" => {
                let algorithm = match text(members, "alg")? {
                    None | Some("RS256") => Algorithm::RS256,
                    Some("PS256") => Algorithm::PS256,
                    Some(_) => return Err(KeyError::Unsupported),
                };
                Self::from_rsa(algorithm, &bytes(members, "n")?, &bytes(members, "e")?)?
            }
            "EC" => {
                require(members, "crv", "P-256")?;
                let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(KeyError::Jwk("x"));
                }
                Self::from_p256(&[&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat())?
            }
            "OKP" => {
                require(members, "crv", "Ed25519")?;
                Self::from_ed25519(&bytes(members, "x")?)?
            }
            _ => return Err(KeyError::Unsupported),
        };
        if text(members, "alg")?.is_some_and(|alg| alg != key.algorithm.as_str()) {
            return Err(KeyError::Unsupported);
        }
        if let Some(kid) = text(members, "kid")? {
            if kid.is_empty() || kid.len() > KID_BYTES_MAX {
                return Err(KeyError::Jwk("kid"));
            }
            kid.clone_into(&mut key.kid);
        }
        Ok(key)
    }

    pub(super) fn from_rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        // RFC 7518 §6.3.1.1: no leading zeros, so that a key has one thumbprint.
        let modulus_bits = match n.first() {
            None | Some(0) => return Err(KeyError::Jwk("n")),
            Some(first) => n.len().saturating_mul(8).saturating_sub(zero_bits(*first)),
        };
        if !(2048..=4096).contains(&modulus_bits) {
            return Err(KeyError::Size);
        }
        // A longer exponent only makes each verification slow.
        if e.len() > 4 || matches!(e.first(), None | Some(0)) {
            return Err(KeyError::Jwk("e"));
        }
        let parameters = match algorithm {
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        };
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map_err(|_| KeyError::Jwk("n"))?;
        let members = json!({"kty": "RSA", "n": base64url::encode(n), "e": base64url::encode(e)});
        Self::named(algorithm, &members, key)
    }

    /// `point` is uncompressed: 0x04, x, y.
    pub(super) fn from_p256(point: &[u8]) -> Result<Self, KeyError> {
        let Some((&UNCOMPRESSED, coordinates)) = point.split_first() else {
            return Err(KeyError::Jwk("x"));
        };
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Jwk("x"))?;
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| KeyError::Jwk("x"))?;
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        let members = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        Self::named(Algorithm::ES256, &members, key)
    }

    pub(super) fn from_ed25519(public: &[u8]) -> Result<Self, KeyError> {
        if public.len() != 32 {
            return Err(KeyError::Jwk("x"));
        }
        let key = ParsedPublicKey::new(&ED25519, public).map_err(|_| KeyError::Jwk("x"))?;
        let members = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(public)});
        Self::named(Algorithm::EdDSA, &members, key)
    }

    fn named(
        algorithm: Algorithm,
        members: &Value,
        key: ParsedPublicKey,
    ) -> Result<Self, KeyError> {
        let canonical = behalf_verify::canonical_json::to_canonical(members)
            .map_err(|_| KeyError::Jwk("kty"))?;
        let kid = base64url::encode(&sha256(canonical.as_bytes()));
        let members = members.as_object().cloned().unwrap_or_default();
        Ok(Self { algorithm, kid, members, key })
    }

    /// The only algorithm that tokens of this key may have.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as a JWK with `kty`, `alg`, `use`, `kid` and the key's numbers.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.members.clone();
        jwk.insert("alg".to_owned(), self.algorithm.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("kid".to_owned(), self.kid.as_str().into());
        Value::Object(jwk)
    }

    /// Whether `signature` is this key's over exactly `message`.
    pub fn is_signature(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

fn may_verify(members: &Map<String, Value>) -> Result<bool, KeyError> {
    let Some(operations) = members.get("key_ops") else { return Ok(true) };
    let operations = operations.as_array().ok_or(KeyError::Jwk("key_ops"))?;
    Ok(operations.iter().any(|operation| operation == "verify"))
}

fn require(members: &Map<String, Value>, name: &'static str, value: &str) -> Result<(), KeyError> {
    match text(members, name)? {
        Some(found) if found == value => Ok(()),
        Some(_) => Err(KeyError::Unsupported),
        None => Err(KeyError::Jwk(name)),
    }
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, KeyError> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(KeyError::Jwk(name)),
    }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let text = text(members, name)?.ok_or(KeyError::Jwk(name))?;
    if text.len() > NUMBER_CHARS_MAX {
        return Err(KeyError::Jwk(name));
    }
    base64url::decode(text).ok_or(KeyError::Jwk(name))
}

fn zero_bits(byte: u8) -> usize {
    usize::try_from(byte.leading_zeros()).unwrap_or(0)
}

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// RFC 7518 §6.2.2, §6.3.2, §6.4.1: members that only private and shared keys have.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const KID_BYTES_MAX: usize = 255;
const NUMBER_CHARS_MAX: usize = 1024;
