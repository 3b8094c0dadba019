//! The body of a form on our own pages: same origin, and with the browser's form token.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use behalf_identity::Browser;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::browser::browser_of;
use crate::params::Params;
use crate::{ErrorPage, HttpContext};

/// The hidden field that carries the form token.
pub const TOKEN_FIELD: &str = "csrf_token";

/// A posted form, checked.
#[derive(Clone, Debug)]
pub struct PageForm {
    /// The browser that posted it.
    pub browser: Browser,
    /// Its fields, without the token.
    pub fields: Params,
}

/// A form is refused; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// It comes from another site.
    ForeignOrigin,
    /// It has no form token, or another browser's.
    Token,
    /// It is too large, not a form, or repeats a field.
    Malformed,
}

impl FormError {
    const fn status(self) -> StatusCode {
        match self {
            Self::ForeignOrigin | Self::Token => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    /// The refusal as a page.
    pub fn page(self, error_page: ErrorPage) -> Response {
        let what = match self {
            Self::ForeignOrigin => "This form was sent from another site.",
            Self::Token => "This form is too old, or was opened in another browser.",
            Self::Malformed => "This form could not be read.",
        };
        let text = format!("{what} Nothing was done. Go back, reload the page and try again.");
        error_page(self.status(), "The form was not accepted", &text)
    }
}

impl FromRequest<HttpContext> for PageForm {
    type Rejection = Response;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, Response> {
        Self::read(request, context).await.map_err(|error| error.page(context.error_page))
    }
}

impl PageForm {
    async fn read(request: Request, context: &HttpContext) -> Result<Self, FormError> {
        let (parts, body) = request.into_parts();
        if is_foreign(&parts.headers, context.identity.issuer().origin()) {
            return Err(FormError::ForeignOrigin);
        }
        let browser = browser_of(&parts, context);
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| {
                media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(FormError::Malformed);
        }
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, context).await.map_err(|_| FormError::Malformed)?;
        let mut fields = Params::from_urlencoded(&body).map_err(|_| FormError::Malformed)?;
        let token = fields.take(TOKEN_FIELD).ok_or(FormError::Token)?;
        if !context.identity.is_form_token(&browser, &token) {
            return Err(FormError::Token);
        }
        Ok(Self { browser, fields })
    }
}

/// True if the request says that another site made it. An absent header says nothing.
pub fn is_foreign(headers: &HeaderMap, origin: &str) -> bool {
    let is_cross_site =
        headers.get("sec-fetch-site").is_some_and(|value| value.as_bytes() == b"cross-site");
    let is_other_origin =
        headers.get(header::ORIGIN).is_some_and(|value| value.as_bytes() != origin.as_bytes());
    is_cross_site || is_other_origin
}
