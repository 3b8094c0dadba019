//! Somebody at a page of a store, as every page of a store needs her: who she is, which store, and
//! what she asks or posts.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use behalf_authz::{Authz, AuthzError, Query};
use behalf_core::Actor;
use behalf_http::{CspSource, HttpContext, Params, Person, PersonForm};
use behalf_identity::{Browser, Session};
use http::request::Parts;
use http::{StatusCode, header};

use super::{Head, failed};
use crate::frame::Frame;
use crate::show;

/// A request for a page of a store; the parameters are the address's.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) context: HttpContext,
    pub(crate) session: Session,
    pub(crate) browser: Browser,
    pub(crate) store_id: String,
    pub(crate) params: Params,
}

/// The same, of a form that was posted on such a page; the parameters are the form's.
#[derive(Clone, Debug)]
pub(crate) struct Form(pub(crate) Visit);

impl Visit {
    /// The service.
    pub(crate) fn authz(&self) -> &Authz {
        &self.context.authz
    }

    /// The head of the store's page `tab`, and the frame around it.
    ///
    /// # Errors
    /// `StoreNotFound`, or when the database fails.
    pub(crate) async fn head(&self, tab: &'static str) -> Result<(Head, Frame), AuthzError> {
        Head::load(&self.context, (&self.session, &self.browser), &self.store_id, tab).await
    }

    /// Who does it.
    pub(crate) fn actor(&self) -> Actor {
        super::actor(&self.session)
    }

    /// Takes a parameter, without blanks around it; empty if there is none.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.params.take(name).unwrap_or_default().trim().to_owned()
    }

    /// The store and its latest model, or the one that is named.
    pub(crate) fn query<'a>(&'a self, model_id: Option<&'a str>) -> Query<'a> {
        Query { store_id: &self.store_id, model_id }
    }

    /// Leads on to the store's page `tab`.
    pub(crate) fn see(&self, tab: &str) -> Response {
        let place = format!("/console/authorization/{}{tab}", self.store_id);
        (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
    }
}

/// A page of a store, or why there is none. With `is_refused` it says what is wrong with what was
/// asked or posted.
pub(crate) fn shown<P: askama::Template>(
    page: Result<P, AuthzError>,
    is_refused: impl FnOnce(&P) -> bool,
) -> Response {
    match page {
        Ok(page) => {
            let status = if is_refused(&page) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            show(status, &page, true, &CspSource::default())
        }
        Err(error) => failed(&error),
    }
}

impl FromRequestParts<HttpContext> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &HttpContext,
    ) -> Result<Self, Response> {
        let person = Person::from_request_parts(parts, context).await;
        let Person { session, browser } = person.map_err(IntoResponse::into_response)?;
        let store_id = store_id(parts, context).await?;
        let query = parts.uri.query().unwrap_or_default();
        let params = Params::from_urlencoded(query.as_bytes()).unwrap_or_default();
        Ok(Self { context: context.clone(), session, browser, store_id, params })
    }
}

impl FromRequest<HttpContext> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let store_id = store_id(&mut parts, context).await?;
        let request = Request::from_parts(parts, body);
        let PersonForm { session, browser, fields: params } =
            PersonForm::from_request(request, context).await?;
        Ok(Self(Visit { context: context.clone(), session, browser, store_id, params }))
    }
}

async fn store_id(parts: &mut Parts, context: &HttpContext) -> Result<String, Response> {
    let path = Path::<String>::from_request_parts(parts, context).await;
    path.map(|Path(store_id)| store_id).map_err(IntoResponse::into_response)
}
