//! Headers that every answer carries, and those of pages.

use axum::response::Response;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

/// Where a page's forms may lead, beside ourselves: the origin of a checked redirect address.
/// Browsers apply `form-action` to the redirect that answers a form too.
#[derive(Clone, Debug, Default)]
pub struct CspSource(Option<String>);

impl CspSource {
    /// The origin of `uri`; for schemes without one, such as a native application's, the scheme.
    pub fn of(uri: &str) -> Self {
        let Some((scheme, rest)) = uri.split_once(':') else { return Self(None) };
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.chars().all(is_scheme) {
            return Self(None);
        }
        if !matches!(scheme, "http" | "https") {
            return Self(Some(format!("{scheme}:")));
        }
        let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or("");
        let is_host =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let is_plain = !authority.is_empty() && authority.chars().all(is_host);
        Self(is_plain.then(|| format!("{scheme}://{authority}")))
    }
}

const NO_SCRIPT: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const FIRST_PARTY_SCRIPT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'self'";

/// The headers of a page. Pages in passing (sign-in, consent, connect, approve) carry no script.
pub fn page_headers(carries_script: bool, form_target: &CspSource) -> HeaderMap {
    let mut policy = if carries_script { FIRST_PARTY_SCRIPT } else { NO_SCRIPT }.to_owned();
    if let Some(source) = &form_target.0 {
        policy.push(' ');
        policy.push_str(source);
    }
    let mut headers = HeaderMap::new();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
}

/// Adds to `response` what no answer goes without; what a handler set stays.
pub fn security_headers(mut response: Response) -> Response {
    const ALWAYS: [(HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it browsers send `Origin: null` on our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in ALWAYS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_target_is_an_origin_and_cannot_extend_the_policy() {
        let policy = |uri: &str| {
            let headers = page_headers(false, &CspSource::of(uri));
            headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        assert!(
            policy("https://app.example:3000/cb?x=1").ends_with("'self' https://app.example:3000")
        );
        assert!(policy("com.example.app:/callback").ends_with("'self' com.example.app:"));
        for hostile in ["https://a;script-src *", "https://a b/", "x y:z", "https:///", "nothing"] {
            assert!(policy(hostile).ends_with("form-action 'self'"), "{hostile}");
        }
    }
}
