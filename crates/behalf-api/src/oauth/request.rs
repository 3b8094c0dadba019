//! Requests of clients: form or JSON, credentials in the body or by Basic.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use behalf_core::Secret;
use behalf_http::{BrowserOf, HttpContext, Params};
use behalf_identity::{Browser, ClientCredentials, GrantError};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::error::OAuthError;

/// A client's request, before it is known who the client is.
#[derive(Debug)]
pub(super) struct ClientRequest {
    pub(super) params: Params,
    pub(super) peer: Browser,
    basic: Option<ClientCredentials>,
    wait: Option<Duration>,
}

impl FromRequest<HttpContext> for ClientRequest {
    type Rejection = OAuthError;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, OAuthError> {
        use axum::extract::FromRequestParts;
        let (mut parts, body) = request.into_parts();
        let Ok(BrowserOf(peer)) = BrowserOf::from_request_parts(&mut parts, context).await;
        let basic = basic(&parts)?;
        let wait = wait(&parts.headers);
        let media = media_type(&parts.headers);
        let body = Bytes::from_request(Request::from_parts(parts, body), context).await.map_err(
            |rejection| match rejection.into_response_status() {
                StatusCode::PAYLOAD_TOO_LARGE => OAuthError::too_large(),
                _ => OAuthError::invalid_request("the body could not be read"),
            },
        )?;
        let params = match media.as_str() {
            "application/x-www-form-urlencoded" => Params::from_urlencoded(&body)?,
            "application/json" => Params::from_json(&body)?,
            _ => return Err(OAuthError::unsupported_media_type()),
        };
        Ok(Self { params, peer, basic, wait })
    }
}

trait RejectionStatus {
    fn into_response_status(self) -> StatusCode;
}

impl<R: axum::response::IntoResponse> RejectionStatus for R {
    fn into_response_status(self) -> StatusCode {
        self.into_response().status()
    }
}

impl ClientRequest {
    /// True if the client tried the `Authorization` header.
    pub(super) const fn used_basic(&self) -> bool {
        self.basic.is_some()
    }

    /// How long the client would like an answer to be held (RFC 7240 §4.3).
    pub(super) const fn preferred_wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The client's credentials; those of header and body must not contradict each other.
    pub(super) fn take_credentials(&mut self) -> Result<ClientCredentials, GrantError> {
        let client_id = self.params.take("client_id");
        let client_secret = self.params.take("client_secret").map(Secret::new);
        match (self.basic.take(), client_id, client_secret) {
            (Some(_), _, Some(_)) => Err(GrantError::InvalidRequest(
                "the client authenticates twice: by header and in the body".into(),
            )),
            (Some(basic), Some(client_id), None) if basic.client_id != client_id => {
                Err(GrantError::InvalidRequest("`client_id` is not the header's client".into()))
            }
            (Some(basic), _, None) => Ok(basic),
            (None, Some(client_id), client_secret) => {
                Ok(ClientCredentials { client_id, client_secret })
            }
            (None, None, _) => Err(GrantError::InvalidClient("`client_id` is missing".into())),
        }
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// `Prefer: wait=N`, in whole seconds from one.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    let mut preferences = lines.flat_map(|line| line.split(','));
    let secs = preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    (secs > 0).then(|| Duration::from_secs(secs.into()))
}

/// `Authorization: Basic`, whose halves are form-encoded (RFC 6749 §2.3.1).
fn basic(parts: &Parts) -> Result<Option<ClientCredentials>, OAuthError> {
    let mut lines = parts.headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let malformed = || OAuthError::invalid_request("the `Authorization` header is malformed");
    if lines.next().is_some() {
        return Err(OAuthError::invalid_request("the `Authorization` header is repeated"));
    }
    let line = line.to_str().map_err(|_| malformed())?;
    let (scheme, encoded) = line.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(OAuthError::invalid_request("only Basic is supported for clients"));
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (client_id, secret) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok(Some(ClientCredentials {
        client_id: form_decoded(client_id),
        client_secret: (!secret.is_empty()).then(|| Secret::new(form_decoded(secret))),
    }))
}

/// The half, decoded; as it stands where it is no form encoding, since some clients do not encode.
fn form_decoded(half: &str) -> String {
    let pair = format!("v={half}");
    let decoded = Params::from_urlencoded(pair.as_bytes()).ok().and_then(|mut p| p.take("v"));
    match decoded {
        Some(decoded) if !half.contains('&') => decoded,
        _ => half.to_owned(),
    }
}
