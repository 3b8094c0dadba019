//! Addresses that the operator configured.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

/// The text is no address that can be called.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not an http or https address without user, query and fragment")]
pub struct InvalidAddress {
    text: String,
}

/// An address that the operator configured: scheme, host, port and a path that others are below.
/// It may be private, because the operator says so.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorAddress(Url);

impl OperatorAddress {
    /// The address of `path` below this one. Each segment is encoded, so that no value from
    /// elsewhere leaves the folder, the host or the port.
    #[must_use]
    pub fn below(&self, segments: &[&str]) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            for segment in segments {
                // `.` and `..` would be resolved even when encoded by hand.
                let is_dots = matches!(*segment, "." | "..");
                path.push(if is_dots { "%2E" } else { segment });
            }
        }
        Self(url)
    }

    /// The address of a path, as a request to us names it, below this one: scheme, host and port
    /// stay. `None` where a segment is `.` or `..`, in whatever writing, or a backslash could be
    /// taken for a separator: those lead out.
    pub fn forwarded(&self, path: &str, query: Option<&str>) -> Option<Self> {
        let leads_out = |segment: &str| {
            let plain = segment.replace("%2e", ".").replace("%2E", ".");
            matches!(plain.as_str(), "." | "..")
        };
        if !path.starts_with('/') || path.contains('\\') || path.split('/').any(leads_out) {
            return None;
        }
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url.set_query(query);
        Some(Self(url))
    }

    /// The host, for pages and errors.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address with a query: what a browser is sent to.
    pub fn with_query<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(pairs);
        url.to_string()
    }

    pub(crate) fn into_url(self) -> Url {
        self.0
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for OperatorAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress { text: without_secrets(text) };
        let url = Url::parse(text).map_err(|_error| invalid())?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if is_plain { Ok(Self(url)) } else { Err(invalid()) }
    }
}

impl fmt::Debug for OperatorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Display for OperatorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The text as it may be shown: what stands before an `@`, in a query or in a fragment may be a
/// secret that was put in the wrong place.
fn without_secrets(text: &str) -> String {
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    match shown.rsplit_once('@') {
        None => shown.to_owned(),
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{host}")
        }
    }
}
