//! The person behind a page: who is signed in, in which browser, and the form that she posted.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use behalf_identity::{Browser, Session};
use http::StatusCode;
use http::request::Parts;

use crate::HttpContext;
use crate::access::Caller;
use crate::browser::browser_of;
use crate::form::PageForm;
use crate::params::Params;

/// Whoever is signed in in this browser; on routes whose rule asks for a person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Her session.
    pub session: Session,
    /// Her browser.
    pub browser: Browser,
}

/// A form that she posted on one of our pages, checked.
#[derive(Clone, Debug)]
pub struct PersonForm {
    /// Her session.
    pub session: Session,
    /// Her browser.
    pub browser: Browser,
    /// The form's fields, without its token.
    pub fields: Params,
}

impl FromRequestParts<HttpContext> for Person {
    type Rejection = StatusCode;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &HttpContext,
    ) -> Result<Self, StatusCode> {
        // The rule has put her there; a route whose rule asks for no person has none.
        match parts.extensions.get::<Caller>() {
            Some(Caller::Person(session)) => {
                Ok(Self { session: session.clone(), browser: browser_of(parts, context) })
            }
            _ => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

impl FromRequest<HttpContext> for PersonForm {
    type Rejection = Response;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, context).await;
        let Person { session, .. } = person.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, body);
        let PageForm { browser, fields } = PageForm::from_request(request, context).await?;
        Ok(Self { session, browser, fields })
    }
}
