//! What is never stored: tokens, keys and passwords that got into a span. This is the one place
//! through which every span passes before anything is kept.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::span::Span;

/// What stands in a secret's place.
const REPLACEMENT: &str = "[redacted]";

/// Texts that are secrets wherever they stand.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let patterns = [
        // Behalf's own, AITracer's, GitHub's, Slack's, OpenAI's and its likes', Google's, AWS's.
        r"\bbhf_[A-Za-z0-9_\-]{8,}",
        r"\bakt_[A-Za-z0-9_\-]{8,}",
        r"\bgh[pousr]_[A-Za-z0-9]{8,}",
        r"\bgithub_pat_[A-Za-z0-9_]{8,}",
        r"\bxox[abeprs]-[A-Za-z0-9\-]{8,}",
        r"\bsk-[A-Za-z0-9_\-]{8,}",
        r"\bya29\.[A-Za-z0-9_\-]{8,}",
        r"\bAIza[A-Za-z0-9_\-]{20,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        // JSON web tokens, with or without a signature.
        r"\beyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{6,}(?:\.[A-Za-z0-9_\-]*)*",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    ];
    Regex::new(&patterns.join("|")).ok()
});

/// Schemes of an `Authorization` header, which stay, and what follows them, which does not.
static SCHEMES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(bearer|basic|dpop)(\s+)[A-Za-z0-9._~+/\-]{8,}=*").ok());

/// Members of JSON that stands in a text, escaped or not.
static MEMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)((?:access_token|refresh_token|id_token|client_secret|api_key|apikey|password|passwd|authorization|set-cookie|cookie)\\*"\s*:\s*\\*")([^"\\]+)"#,
    )
    .ok()
});

/// Removes secrets from a span.
pub(crate) fn redact(span: &mut Span) {
    if let Some(name) = redacted(&span.name) {
        span.name = name;
    }
    redact_members(&mut span.attributes);
}

fn redact_members(members: &mut Map<String, Value>) {
    for (name, value) in members.iter_mut() {
        if is_secret_name(name) && value.is_string() {
            *value = Value::from(REPLACEMENT);
        } else {
            redact_value(value);
        }
    }
}

fn redact_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(clean) = redacted(text) {
                *text = clean;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact_value),
        Value::Object(members) => redact_members(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// True if the value of an attribute or member with that name is a secret.
fn is_secret_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase().replace('-', "_");
    matches!(
        last.as_str(),
        "authorization"
            | "proxy_authorization"
            | "cookie"
            | "set_cookie"
            | "password"
            | "passwd"
            | "secret"
            | "client_secret"
            | "access_token"
            | "refresh_token"
            | "id_token"
            | "api_key"
            | "apikey"
            | "x_api_key"
            | "private_key"
    )
}

/// The text without its secrets; `None` when it has none.
fn redacted(text: &str) -> Option<String> {
    // A pattern that does not compile would let everything through: nothing is kept instead.
    let (Some(secrets), Some(schemes), Some(members)) = (&*SECRETS, &*SCHEMES, &*MEMBERS) else {
        return Some(REPLACEMENT.to_owned());
    };
    let first = secrets.replace_all(text, REPLACEMENT);
    let second = schemes.replace_all(&first, "${1}${2}[redacted]");
    let third = members.replace_all(&second, "${1}[redacted]");
    (third != text).then(|| third.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text).as_deref().unwrap_or(text), expected);
    }

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        check("token bhf_at_0123456789abcdef, then", "token [redacted], then");
        check("ghp_0123456789abcdefghij gho_0123456789", "[redacted] [redacted]");
        check("key=sk-proj-0123456789", "key=[redacted]");
        check("Authorization: Bearer abc.def-ghi123", "Authorization: Bearer [redacted]");
        check("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted]");
        check("x eyJhbGciOiJub25l.eyJzdWIiOiJhIn0. y", "x [redacted] y");
        check(r#"{"access_token":"opaque","n":1}"#, r#"{"access_token":"[redacted]","n":1}"#);
        check(r#"{\"password\": \"hunter2\"}"#, r#"{\"password\": \"[redacted]\"}"#);
        check("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----", "[redacted]");
    }

    #[test]
    fn ordinary_words_stay() {
        for text in [
            "the bearer of bad news",
            "sk-8",
            "ask-questions-first",
            "basic usage",
            "eyJust.a.word",
            r#"{"description":"password reset"}"#,
        ] {
            assert_eq!(redacted(text), None, "{text}");
        }
    }

    #[test]
    fn members_with_a_secrets_name_are_emptied_at_any_depth() {
        let attributes = serde_json::json!({
            "http.request.header.authorization": "anything",
            "gen_ai.usage.input_tokens": 7,
            "nested": [{"client_secret": "x", "kept": "y"}],
        });
        let Value::Object(mut members) = attributes else { unreachable!("an object") };
        redact_members(&mut members);
        assert_eq!(
            Value::Object(members),
            serde_json::json!({
                "http.request.header.authorization": "[redacted]",
                "gen_ai.usage.input_tokens": 7,
                "nested": [{"client_secret": "[redacted]", "kept": "y"}],
            })
        );
    }
}
