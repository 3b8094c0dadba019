//! Reading what providers answer.

use std::time::Duration;

use behalf_core::Secret;
use behalf_egress::Answer;
use http::{StatusCode, header};
use serde_json::{Map, Value};

use super::ProviderError;
use crate::connection::Strategy;

/// The longest token that is kept.
const TOKEN_LEN_MAX: usize = 16 * 1024;
/// The longest name or id of a person that is kept, in characters.
const NAME_LEN_MAX: usize = 200;
/// The longest life of an access token that is believed: ten years.
const EXPIRES_IN_MAX: u64 = 10 * 366 * 86_400;

/// What a provider gave.
#[derive(Clone, Debug)]
pub(crate) struct TokenSet {
    pub(crate) access_token: Secret<String>,
    pub(crate) refresh_token: Option<Secret<String>>,
    /// `None`: it does not expire.
    pub(crate) expires_in: Option<Duration>,
    /// `None`: as asked for (RFC 6749 §5.1).
    pub(crate) scopes: Option<Vec<String>>,
    /// What the answer itself says of her.
    pub(crate) user: ProviderUser,
}

/// A person as a provider knows her.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderUser {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

impl TokenSet {
    /// Reads a token endpoint's answer.
    pub(super) fn read(answer: &Answer, strategy: Strategy) -> Result<Self, ProviderError> {
        let unavailable =
            |retry_after| Err(ProviderError::Unavailable { retry_after, may_have_arrived: true });
        if answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() {
            return unavailable(retry_after(answer));
        }
        let body: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
        let Some(body) = body else {
            return if answer.status.is_success() {
                unavailable(None)
            } else {
                Err(ProviderError::Refused { code: format!("status {}", answer.status.as_u16()) })
            };
        };
        // GitHub errs with a 200, Slack with `ok: false`: the body decides, not the status.
        let is_refused = body.get("ok") == Some(&Value::Bool(false));
        if let Some(code) = body.get("error").and_then(Value::as_str) {
            return Err(classify(code, retry_after(answer)));
        }
        if is_refused || !answer.status.is_success() {
            let code = format!("status {}", answer.status.as_u16());
            return Err(ProviderError::Refused { code });
        }
        // Slack has the bot's token outside, and the person's own inside.
        let own = body.get("authed_user").and_then(Value::as_object);
        let own = own.filter(|_| strategy == Strategy::Slack);
        let granted = own.filter(|own| own.contains_key("access_token")).unwrap_or(&body);
        let Some(access_token) = token(granted, "access_token") else { return unavailable(None) };
        Ok(Self {
            access_token,
            refresh_token: token(granted, "refresh_token"),
            expires_in: seconds(granted.get("expires_in")),
            scopes: granted.get("scope").and_then(Value::as_str).map(scopes),
            user: own.map(|own| user(own, &["id"], &[])).unwrap_or_default(),
        })
    }
}

impl ProviderUser {
    /// Reads a profile: OpenID Connect's, GitHub's, Slack's.
    pub(super) fn read(answer: &Answer) -> Self {
        let body: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
        body.map(|body| {
            let names = ["login", "preferred_username", "email", "user", "name"];
            user(&body, &["sub", "id", "user_id"], &names)
        })
        .unwrap_or_default()
    }

    /// What is known here, else what is known there.
    pub(super) fn or(self, other: &Self) -> Self {
        Self {
            id: self.id.or_else(|| other.id.clone()),
            name: self.name.or_else(|| other.name.clone()),
        }
    }
}

fn user(body: &Map<String, Value>, ids: &[&str], names: &[&str]) -> ProviderUser {
    let find = |keys: &[&str]| {
        keys.iter().find_map(|key| match body.get(*key)? {
            Value::String(text) if !text.is_empty() => {
                let shown = text.chars().filter(|c| !c.is_control()).take(NAME_LEN_MAX);
                Some(shown.collect::<String>())
            }
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    ProviderUser { id: find(ids), name: find(names) }
}

/// A token that fits into a header.
fn token(body: &Map<String, Value>, name: &str) -> Option<Secret<String>> {
    let text = body.get(name)?.as_str()?;
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
    (is_plain && !text.is_empty() && text.len() <= TOKEN_LEN_MAX).then(|| Secret::from(text))
}

/// A number of seconds, also as text. Zero and nonsense count as absent.
fn seconds(value: Option<&Value>) -> Option<Duration> {
    let secs = match value? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (1..=EXPIRES_IN_MAX).contains(&secs).then(|| Duration::from_secs(secs))
}

/// Scopes, which GitHub and Slack separate by commas and everybody else by spaces.
fn scopes(text: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split([' ', ',']).filter(|scope| !scope.is_empty()) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn classify(code: &str, retry_after: Option<Duration>) -> ProviderError {
    match code {
        // RFC 6749 §5.2; GitHub's; Slack's.
        "invalid_grant"
        | "bad_refresh_token"
        | "bad_verification_code"
        | "invalid_refresh_token"
        | "invalid_code"
        | "code_already_used"
        | "token_revoked"
        | "token_expired"
        | "account_inactive" => ProviderError::InvalidGrant,
        "temporarily_unavailable"
        | "server_error"
        | "slow_down"
        | "ratelimited"
        | "internal_error"
        | "service_unavailable"
        | "fatal_error" => ProviderError::Unavailable { retry_after, may_have_arrived: true },
        // What is shown to an administrator has the shape of a code.
        code => ProviderError::Refused {
            code: code.chars().filter(char::is_ascii_graphic).take(60).collect(),
        },
    }
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
