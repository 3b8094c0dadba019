//! The issuer: one address, with its trailing slash, byte-equal wherever it appears.

use std::fmt;

use thiserror::Error;
use url::Url;

/// The text is no issuer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no issuer: {problem}")]
pub struct InvalidIssuer {
    text: String,
    problem: &'static str,
}

/// A tenant's issuer, e.g. `https://login.example.com/`.
#[derive(Clone, PartialEq, Eq)]
pub struct Issuer {
    url: Url,
    origin: String,
}

impl Issuer {
    /// Reads an issuer; a missing trailing slash is added.
    ///
    /// # Errors
    /// When it is no http(s) address, or has a path, a query, a fragment or user information.
    pub fn parse(text: &str) -> Result<Self, InvalidIssuer> {
        let fail = |problem| Err(InvalidIssuer { text: text.to_owned(), problem });
        let Ok(url) = Url::parse(text) else { return fail("it is not an absolute address") };
        if !matches!(url.scheme(), "http" | "https") {
            return fail("its scheme is neither http nor https");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return fail(
                "it has a path, a query or a fragment; only a host and a port are allowed",
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return fail("it has user information");
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url, origin })
    }

    /// The issuer as it stands in tokens and metadata: with the trailing slash.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The origin, e.g. `https://login.example.com`: without the slash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host and port, e.g. `localhost:8443`.
    pub fn authority(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// True if browsers reach it by TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address of `path` (without a leading slash) below the issuer.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_ends_with_one_slash() {
        for (text, issuer) in [
            ("https://localhost:8443", "https://localhost:8443/"),
            ("https://localhost:8443/", "https://localhost:8443/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
            ("https://id.example.com:443", "https://id.example.com/"),
        ] {
            assert_eq!(Issuer::parse(text).unwrap().as_str(), issuer);
        }
        assert_eq!(Issuer::parse("https://localhost:8443").unwrap().authority(), "localhost:8443");
    }

    #[test]
    fn what_is_no_issuer_is_refused() {
        for text in
            ["localhost:8443", "ftp://x/", "https://x/path", "https://x/?q", "https://u@x/", ""]
        {
            assert!(Issuer::parse(text).is_err(), "{text}");
        }
    }
}
