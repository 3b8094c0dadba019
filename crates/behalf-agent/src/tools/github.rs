//! What both GitHub tools share: a call with the person's token, and what an answer means.

use behalf_egress::{Answer, Call, EgressError};
use behalf_gate::{Effect, Started};
use http::{HeaderName, Method, StatusCode, header};
use serde_json::Value;

/// The API's version, which GitHub wants named.
const VERSION: (HeaderName, &str) = (HeaderName::from_static("x-github-api-version"), "2022-11-28");

/// A call of `method` to the path below the connection's API, with the person's token.
pub(super) fn call<'a>(
    started: &'a Started,
    method: Method,
    path: &[&str],
) -> Result<Call<'a>, Effect> {
    let Some(token) = &started.token else {
        return Err(Effect::NotDone { reason: "There is no GitHub account to use.".to_owned() });
    };
    let call = Call::new(method, token.api_base_url.below(path))
        .header(header::ACCEPT, "application/vnd.github+json")
        .header(VERSION.0, VERSION.1)
        .bearer(&token.access_token);
    Ok(call)
}

/// The answer's JSON if the status says that it worked; otherwise what certainly did not happen,
/// or what nobody knows.
pub(super) fn read(answer: Result<Answer, EgressError>) -> Result<Value, Effect> {
    let not_done = |reason: &str| Err(Effect::NotDone { reason: reason.to_owned() });
    let unknown = |reason: &str| Err(Effect::Unknown { reason: reason.to_owned() });
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_unsent() => {
            tracing::warn!(%error, "GitHub cannot be reached");
            return not_done("GitHub cannot be reached right now.");
        }
        Err(error) => {
            tracing::warn!(%error, "an answer of GitHub was lost");
            return unknown("GitHub's answer was lost.");
        }
    };
    let is_limited = answer.headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    match answer.status {
        StatusCode::OK | StatusCode::CREATED => match serde_json::from_slice(&answer.body) {
            Ok(value) => Ok(value),
            Err(_) => unknown("GitHub's answer could not be read."),
        },
        StatusCode::UNAUTHORIZED => {
            not_done("GitHub does not accept the connected account any more; connect it again.")
        }
        StatusCode::TOO_MANY_REQUESTS => {
            not_done("GitHub allows no more requests right now; try again later.")
        }
        StatusCode::FORBIDDEN if is_limited => {
            not_done("GitHub allows no more requests right now; try again later.")
        }
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            not_done("GitHub does not allow this with the access that was given.")
        }
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            not_done("GitHub refused the request as not valid.")
        }
        status if status.is_server_error() => unknown("GitHub answered with an error of its own."),
        // Whoever gave up waiting does not know what became of the request.
        status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
            not_done("GitHub gave an answer that is not expected.")
        }
        _ => unknown("GitHub gave an answer that is not expected."),
    }
}

/// A text member of an answer.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
