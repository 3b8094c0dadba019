//! Which tokens are acceptable: one form, one key, one algorithm, one type (RFC 8725 §3).

use behalf_verify::canonical_json;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Algorithm, KeySet};
use crate::base64url;

/// The longest token that is read or signed.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Which `typ` a token must have, so that one kind never passes for another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypRule {
    /// This media type, with or without `application/`, in any case.
    Exactly(&'static str),
    /// `JWT` or none, as OpenID Connect's ID tokens have it.
    IdToken,
}

/// A token whose signature, form and type are right. Its claims are not checked yet: see
/// [`Validation`](super::Validation).
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// What the protected header says.
    pub header: Header,
    /// The payload.
    pub claims: Map<String, Value>,
}

/// The protected header of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The algorithm, which is the key's.
    pub algorithm: Algorithm,
    /// The key's name.
    pub kid: String,
    /// The token's type as written.
    pub typ: Option<String>,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not three parts of unpadded base64url.
    #[error("the token is not three parts of unpadded base64url")]
    Malformed,
    /// The header is no JSON object, repeats a member or lacks one.
    #[error("the token's header is malformed")]
    Header,
    /// The header asks for extensions, or for something that changes what is signed.
    #[error("the token needs a critical extension")]
    CriticalExtension,
    /// The header names no key.
    #[error("the token names no key")]
    NoKid,
    /// No key of the set has that name.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The header's algorithm is not the one of the key.
    #[error("the token's algorithm is not the one of its key")]
    Algorithm,
    /// The token is of another type.
    #[error("the token is of another type")]
    Typ,
    /// The signature is not the key's over these bytes.
    #[error("the token's signature is wrong")]
    Signature,
    /// The payload is no JSON object or repeats a member.
    #[error("the token's claims are malformed")]
    Claims,
}

/// Checks form, key, algorithm, type and signature of a compact JWS.
///
/// # Errors
/// If anything about the token is not exactly as it must be.
pub fn verify(token: &str, keys: &KeySet, typ: TypRule) -> Result<Verified, VerifyError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(VerifyError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(VerifyError::Malformed)?;
    // A fourth part leaves a dot in the payload, which base64url refuses.
    let header = base64url::decode(header).ok_or(VerifyError::Malformed)?;
    let payload = base64url::decode(payload).ok_or(VerifyError::Malformed)?;
    let signature = base64url::decode(signature).ok_or(VerifyError::Malformed)?;

    let header = object(&header).ok_or(VerifyError::Header)?;
    // RFC 7515 §4.1.11: none is understood here; RFC 7797's `b64` must be critical.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(VerifyError::CriticalExtension);
    }
    let kid = text(&header, "kid")?.ok_or(VerifyError::NoKid)?;
    let key = keys.find(kid).ok_or(VerifyError::UnknownKey)?;
    if text(&header, "alg")? != Some(key.algorithm().as_str()) {
        return Err(VerifyError::Algorithm);
    }
    let found_typ = text(&header, "typ")?;
    if !typ.accepts(found_typ) {
        return Err(VerifyError::Typ);
    }
    if !key.is_signature(signed.as_bytes(), &signature) {
        return Err(VerifyError::Signature);
    }
    let claims = object(&payload).ok_or(VerifyError::Claims)?;
    let header = Header {
        algorithm: key.algorithm(),
        kid: kid.to_owned(),
        typ: found_typ.map(str::to_owned),
    };
    Ok(Verified { header, claims })
}

impl TypRule {
    fn accepts(self, typ: Option<&str>) -> bool {
        let expected = match self {
            Self::Exactly(expected) => expected,
            Self::IdToken if typ.is_none() => return true,
            Self::IdToken => "JWT",
        };
        typ.is_some_and(|typ| bare(typ).eq_ignore_ascii_case(bare(expected)))
    }
}

/// RFC 7515 §4.1.9: `application/` may be left out when no other slash follows.
fn bare(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest))
            if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') =>
        {
            rest
        }
        _ => typ,
    }
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match canonical_json::parse(std::str::from_utf8(bytes).ok()?).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn text<'a>(
    header: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, VerifyError> {
    match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(VerifyError::Header),
    }
}
