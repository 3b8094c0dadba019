//! Parameters of a query string.

use axum::extract::FromRequestParts;
use behalf_core::Timestamp;
use behalf_http::{HttpContext, Params};
use http::request::Parts;

use super::object::camel_case;
use crate::fga::convert::time_of;
use crate::fga::error::FgaError;

/// The parameters; names are understood in either case, unknown ones are passed over.
#[derive(Debug)]
pub(in crate::fga) struct QueryString(Params);

impl FromRequestParts<HttpContext> for QueryString {
    type Rejection = FgaError;

    async fn from_request_parts(
        parts: &mut Parts,
        _context: &HttpContext,
    ) -> Result<Self, FgaError> {
        let query = parts.uri.query().unwrap_or_default();
        Params::from_urlencoded_with_empty(query.as_bytes())
            .map(Self)
            .map_err(|error| FgaError::validation(error.to_string()))
    }
}

impl QueryString {
    fn take(&mut self, name: &str) -> Option<String> {
        let exact = self.0.take(name);
        exact.or_else(|| self.0.take(&camel_case(name)))
    }

    pub(in crate::fga) fn text(&mut self, name: &str) -> String {
        self.take(name).unwrap_or_default()
    }

    /// A number; an empty text is no number.
    pub(in crate::fga) fn int(&mut self, name: &str) -> Result<Option<i32>, FgaError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| mismatch(name, &text))
    }

    pub(in crate::fga) fn time(
        &mut self,
        name: &str,
    ) -> Result<Option<prost_types::Timestamp>, FgaError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        // A date alone is no time in protobuf's JSON.
        let time = Timestamp::from_rfc3339(&text).filter(|_| text.contains(['T', 't']));
        time.map(time_of).map(Some).ok_or_else(|| mismatch(name, &text))
    }
}

fn mismatch(name: &str, text: &str) -> FgaError {
    FgaError::validation(format!("type mismatch, parameter: {name}, error: invalid value `{text}`"))
}
