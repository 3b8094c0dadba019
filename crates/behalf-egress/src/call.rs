//! A call as a value.

use std::time::Duration;

use behalf_core::Secret;
use bytes::Bytes;
use http::{HeaderName, Method, header};
use serde_json::Value;

use crate::EgressError;
use crate::address::OperatorAddress;

/// How long a call may take from its beginning to the last byte of its answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer.
const BYTES_MAX: usize = 1024 * 1024;

/// What a call carries. `Debug` shows which kind it is: secrets travel in bodies.
#[derive(Clone)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(&'a str, &'a str)>),
    /// `application/json`.
    Json(&'a Value),
    /// These bytes as they are, of this content type.
    Raw(&'a str, Bytes),
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Form(_) => "Form",
            Self::Json(_) => "Json",
            Self::Raw(..) => "Raw",
        })
    }
}

/// A call to make. `Debug` shows names, never values.
#[derive(Clone)]
pub struct Call<'a> {
    method: Method,
    address: OperatorAddress,
    query: Vec<(&'a str, &'a str)>,
    headers: Vec<(HeaderName, &'a str)>,
    bearer: Option<&'a Secret<String>>,
    basic: Option<(&'a str, &'a Secret<String>)>,
    body: Body<'a>,
    pub(crate) timeout: Duration,
    pub(crate) bytes_max: usize,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl<'a> Call<'a> {
    /// A call of `method` to `address`, which asks for JSON.
    pub fn new(method: Method, address: OperatorAddress) -> Self {
        Self {
            method,
            address,
            query: Vec::new(),
            headers: vec![(header::ACCEPT, "application/json")],
            bearer: None,
            basic: None,
            body: Body::Empty,
            timeout: TIMEOUT,
            bytes_max: BYTES_MAX,
        }
    }

    /// With one more query parameter.
    #[must_use]
    pub fn query(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// With this header instead of one of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &'a str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// With a bearer token (RFC 6750 §2.1).
    #[must_use]
    pub const fn bearer(mut self, token: &'a Secret<String>) -> Self {
        self.bearer = Some(token);
        self
    }

    /// With a client's id and secret as Basic credentials (RFC 6749 §2.3.1).
    #[must_use]
    pub const fn basic(mut self, user: &'a str, password: &'a Secret<String>) -> Self {
        self.basic = Some((user, password));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// With another time limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With another size limit for the answer, in bytes.
    #[must_use]
    pub const fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    pub(crate) fn to_request(
        &self,
        client: &reqwest::Client,
    ) -> Result<reqwest::RequestBuilder, EgressError> {
        let mut url = self.address.url().clone();
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = client.request(self.method.clone(), url);
        for (name, value) in &self.headers {
            request = request.header(name, *value);
        }
        if let Some(token) = self.bearer {
            let value = format!("Bearer {}", token.expose());
            let mut value = http::HeaderValue::from_str(&value)
                .map_err(|_bad| EgressError::NotSent("the token is not a header value".into()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some((user, password)) = self.basic {
            request = request.basic_auth(user, Some(password.expose()));
        }
        Ok(match &self.body {
            Body::Empty => request,
            Body::Form(pairs) => request.form(pairs),
            Body::Json(value) => request.json(value),
            Body::Raw(content_type, bytes) => {
                request.header(header::CONTENT_TYPE, *content_type).body(bytes.clone())
            }
        })
    }
}
