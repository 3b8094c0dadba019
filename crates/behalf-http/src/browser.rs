//! The browser behind a request: its cookie, its address, what it says it is.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use behalf_core::Secret;
use behalf_identity::Browser;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::HttpContext;

/// The peer's socket address, put into each request by the accept loop.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// The one cookie's name: `__Host-` binds it to this host, to TLS and to no subdomain.
pub fn cookie_name(context: &HttpContext) -> &'static str {
    if context.identity.issuer().is_https() { "__Host-behalf" } else { "behalf" }
}

/// Extracts the [`Browser`] of a request.
#[derive(Clone, Debug)]
pub struct BrowserOf(pub Browser);

impl FromRequestParts<HttpContext> for BrowserOf {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &HttpContext,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(browser_of(parts, context)))
    }
}

impl OptionalFromRequestParts<HttpContext> for BrowserOf {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &HttpContext,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(Some(Self(browser_of(parts, context))))
    }
}

pub(crate) fn browser_of(parts: &Parts, context: &HttpContext) -> Browser {
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Browser {
        cookie: cookie(&parts.headers, cookie_name(context)),
        user_agent: user_agent.unwrap_or_default().to_owned(),
        address: peer(parts, context.trusts_proxy),
    }
}

/// The cookie's value; `None` when it is absent or, against RFC 6265, there twice.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret<String>> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    found.next().is_none().then(|| Secret::from(value))
}

/// The peer's IP address: the socket's, or what the nearest proxy says when it is trusted.
fn peer(parts: &Parts, trusts_proxy: bool) -> String {
    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let forwarded = || {
        let lines = parts.headers.get_all(FORWARDED_FOR);
        let last = lines.iter().next_back()?.to_str().ok()?.rsplit(',').next()?;
        last.trim().parse::<IpAddr>().ok()
    };
    let socket = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
    let address = if trusts_proxy { forwarded().or(socket) } else { socket };
    address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_canonical().to_string())
}

/// A `Set-Cookie` header for the one cookie.
#[derive(Clone, Debug)]
pub struct SetCookie {
    name: &'static str,
    value: Option<Secret<String>>,
    is_secure: bool,
}

impl SetCookie {
    /// Gives the browser `cookie`.
    pub fn new(context: &HttpContext, cookie: Secret<String>) -> Self {
        let is_secure = context.identity.issuer().is_https();
        Self { name: cookie_name(context), value: Some(cookie), is_secure }
    }

    /// Takes the cookie away.
    pub fn removal(context: &HttpContext) -> Self {
        let is_secure = context.identity.issuer().is_https();
        Self { name: cookie_name(context), value: None, is_secure }
    }

    /// The header's value.
    pub fn header_value(&self) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let (value, age) = match &self.value {
            Some(value) => (value.expose().as_str(), ""),
            None => ("", "; Max-Age=0"),
        };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", self.name);
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl axum::response::IntoResponseParts for SetCookie {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        if let Some(value) = self.header_value() {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        Ok(response)
    }
}
