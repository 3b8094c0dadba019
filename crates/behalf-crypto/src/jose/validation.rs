//! The registered claims that every reader checks: `iss`, `aud`, `exp`, `nbf` (RFC 7519 §4.1).

use behalf_core::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

/// What a verified token's claims must say.
#[derive(Clone, Copy, Debug)]
pub struct Validation<'a> {
    /// The only acceptable `iss`, compared byte for byte; `None` leaves it to the caller.
    pub issuer: Option<&'a str>,
    /// What `aud` must be or contain; `None` leaves it to the caller.
    pub audience: Option<&'a str>,
    /// The present time.
    pub now: Timestamp,
    /// How far the issuer's clock may be off, for `exp` and `nbf` alike.
    pub leeway_secs: u32,
}

/// Why claims are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// A claim that must be there is not.
    #[error("claim `{0}` is missing")]
    Missing(&'static str),
    /// A claim has another JSON type than RFC 7519 gives it.
    #[error("claim `{0}` is malformed")]
    Malformed(&'static str),
    /// Another issuer's token.
    #[error("the token is from another issuer")]
    Issuer,
    /// A token for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl Validation<'_> {
    /// Checks `iss`, `aud`, `exp` (which must be there) and `nbf`.
    ///
    /// # Errors
    /// If a claim is missing, malformed or says something else.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<(), ClaimError> {
        if let Some(issuer) = self.issuer {
            let found = claims.get("iss").ok_or(ClaimError::Missing("iss"))?;
            if found.as_str().ok_or(ClaimError::Malformed("iss"))? != issuer {
                return Err(ClaimError::Issuer);
            }
        }
        if let Some(audience) = self.audience {
            let found = claims.get("aud").ok_or(ClaimError::Missing("aud"))?;
            if !audiences(found)?.contains(&audience) {
                return Err(ClaimError::Audience);
            }
        }
        let (now, leeway) = (self.now.as_secs(), i64::from(self.leeway_secs));
        let expires = numeric_date(claims, "exp")?.ok_or(ClaimError::Missing("exp"))?;
        // RFC 7519 §4.1.4: "on or after" the time it is over.
        if now >= expires.saturating_add(leeway) {
            return Err(ClaimError::Expired);
        }
        if numeric_date(claims, "nbf")?.is_some_and(|start| now.saturating_add(leeway) < start) {
            return Err(ClaimError::NotYetValid);
        }
        Ok(())
    }
}

/// RFC 7519 §4.1.3: one string, or an array of them.
fn audiences(aud: &Value) -> Result<Vec<&str>, ClaimError> {
    match aud {
        Value::String(one) => Ok(vec![one]),
        Value::Array(many) => {
            many.iter().map(|one| one.as_str().ok_or(ClaimError::Malformed("aud"))).collect()
        }
        _ => Err(ClaimError::Malformed("aud")),
    }
}

/// RFC 7519 §2: seconds, possibly with a fraction, which is cut off.
fn numeric_date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<i64>, ClaimError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(secs) = value.as_i64() {
        return Ok(Some(secs));
    }
    let secs = value.as_f64().filter(|secs| secs.abs() < SECS_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "bounded by SECS_MAX")]
    secs.map(|secs| Some(secs.floor() as i64)).ok_or(ClaimError::Malformed(name))
}

/// 2^53, far beyond any date.
const SECS_MAX: f64 = 9_007_199_254_740_992.0;
