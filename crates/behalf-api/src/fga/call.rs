//! One call, by HTTP or gRPC: who asks, and what its headers or metadata say.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use behalf_authz::{ApiRight, At, Author, Query};
use behalf_http::{Caller, HttpContext};
use behalf_identity::FgaCaller;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use serde::Serialize;

use super::error::FgaError;
use super::rules::In;

/// Which model an AuthZEN request is answered with, and which model answered.
pub(super) const MODEL_ID: HeaderName = HeaderName::from_static("openfga-authorization-model-id");
/// Which store answered.
pub(super) const STORE_ID: HeaderName = HeaderName::from_static("openfga-store-id");
/// Says `false` when a limit of the operator's cut the answer short.
const COMPLETE: HeaderName = HeaderName::from_static("behalf-complete");
/// The revision that answered.
pub(super) const REVISION: HeaderName = HeaderName::from_static("behalf-revision");
/// The least revision that may answer.
const MIN_REVISION: HeaderName = HeaderName::from_static("behalf-min-revision");
/// Why a write is made, for the log.
const REASON: HeaderName = HeaderName::from_static("behalf-reason");
/// The headers of JSON.
pub(super) const JSON: [(HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
/// About how many headers an answer has in the end: room is made once.
const HEADERS: usize = 12;
/// The longest reason in bytes.
const MAX_REASON: usize = 500;

/// A call that the rule table admitted.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) context: HttpContext,
    pub(super) caller: Arc<FgaCaller>,
    /// What access control must give her.
    pub(super) right: ApiRight,
    /// The model that the headers name, or nothing.
    pub(super) model_header: String,
    min_revision: Option<u64>,
    reason: String,
}

impl FromRequestParts<HttpContext> for Call {
    type Rejection = FgaError;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &HttpContext,
    ) -> Result<Self, FgaError> {
        Self::new(parts, context)
    }
}

impl Call {
    pub(super) fn new(parts: &Parts, context: &HttpContext) -> Result<Self, FgaError> {
        let Some(Caller::Fga(caller, right)) = parts.extensions.get::<Caller>() else {
            return Err(FgaError::forbidden("nobody knows who asks"));
        };
        let text = |name| parts.headers.get(name).map(HeaderValue::to_str).transpose();
        let unreadable = |_| FgaError::validation("a header is not plain text");
        let min_revision = text(MIN_REVISION).map_err(unreadable)?.map(|text| {
            text.parse().map_err(|_| {
                FgaError::validation(format!("Behalf-Min-Revision: `{text}` is no revision"))
            })
        });
        let reason = text(REASON).map_err(unreadable)?.unwrap_or_default().trim();
        if reason.len() > MAX_REASON {
            let text = format!("Behalf-Reason: longer than {MAX_REASON} bytes");
            return Err(FgaError::validation(text));
        }
        // OpenFGA passes over a header that names no model's id.
        let model_header = text(MODEL_ID).ok().flatten().unwrap_or_default().trim();
        let is_id = In("").id("Id", model_header).is_ok();
        Ok(Self {
            context: context.clone(),
            caller: Arc::clone(caller),
            right: *right,
            model_header: if is_id { model_header.to_owned() } else { String::new() },
            min_revision: min_revision.transpose()?,
            reason: reason.to_owned(),
        })
    }

    /// Who writes, and why.
    pub(super) fn author(&self) -> Author<'_> {
        Author { actor: &self.caller.actor, reason: &self.reason }
    }

    /// The caller reaches the store, may ask this of it, and it has come to the revision asked for.
    pub(super) async fn enter(&self, store_id: &str) -> Result<(), FgaError> {
        self.reach(store_id)?;
        self.authorize(store_id).await?;
        self.wait(store_id).await
    }

    /// The caller's credentials reach the store.
    pub(super) fn reach(&self, store_id: &str) -> Result<(), FgaError> {
        if self.caller.may_reach(store_id) {
            return Ok(());
        }
        Err(FgaError::forbidden("these credentials do not reach this store"))
    }

    /// The store has come to the revision asked for.
    pub(super) async fn wait(&self, store_id: &str) -> Result<(), FgaError> {
        if let Some(revision) = self.min_revision {
            self.context.authz.reach(store_id, revision).await?;
        }
        Ok(())
    }

    /// The store at a revision, or its newest version, with the model of that id or the latest.
    pub(super) async fn at_revision(
        &self,
        store_id: &str,
        model_id: &str,
        revision: Option<u64>,
    ) -> Result<At, FgaError> {
        let Some(revision) = revision else { return self.at(store_id, model_id).await };
        self.enter(store_id).await?;
        let model_id = Some(model_id).filter(|id| !id.is_empty());
        Ok(self.context.authz.at_revision(Query { store_id, model_id }, revision).await?)
    }

    /// The newest version of the store, with the model of that id or the latest.
    pub(super) async fn at(&self, store_id: &str, model_id: &str) -> Result<At, FgaError> {
        self.enter(store_id).await?;
        let model_id = Some(model_id).filter(|id| !id.is_empty());
        Ok(self.context.authz.at(Query { store_id, model_id }).await?)
    }
}

/// What answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamp {
    pub(super) store_id: String,
    pub(super) model_id: String,
    pub(super) revision: Option<u64>,
    /// There is more than the answer says.
    pub(super) is_cut: bool,
}

impl Stamp {
    /// The version of a store that answered.
    pub(super) fn of(store_id: String, at: &At) -> Self {
        let revision = Some(at.revision());
        Self { model_id: at.model_id.to_string(), revision, ..Self::store(store_id) }
    }

    /// A store that answered, whatever its model.
    pub(super) fn at(store_id: String, revision: u64) -> Self {
        Self { revision: Some(revision), ..Self::store(store_id) }
    }

    /// A store about which was asked.
    pub(super) fn store(store_id: String) -> Self {
        Self { store_id, ..Self::default() }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        let revision = self.revision.map(|revision| revision.to_string()).unwrap_or_default();
        for (name, text) in
            [(MODEL_ID, &self.model_id), (STORE_ID, &self.store_id), (REVISION, &revision)]
        {
            if !text.is_empty()
                && let Ok(value) = HeaderValue::from_str(text)
            {
                headers.insert(name, value);
            }
        }
        if self.is_cut {
            headers.insert(COMPLETE, HeaderValue::from_static("false"));
        }
    }
}

/// An answer and what it was answered from.
#[derive(Clone, Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) stamp: Stamp,
}

impl<T> Answer<T> {
    pub(super) const fn new(value: T, stamp: Stamp) -> Self {
        Self { value, stamp }
    }

    /// The answer over HTTP.
    pub(super) fn http<'a, B: Serialize>(
        &'a self,
        status: StatusCode,
        body: impl FnOnce(&'a T) -> B,
    ) -> Response {
        let mut response = json(status, &body(&self.value));
        self.stamp.put(response.headers_mut());
        response
    }

    /// The answer over HTTP, where it has nothing to say.
    pub(super) fn no_content(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        self.stamp.put(response.headers_mut());
        response
    }
}

/// JSON that no cache keeps: the next answer may be another.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_vec(body) else {
        tracing::error!("an answer could not be written as JSON");
        return FgaError::internal("the answer could not be written").into_response();
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.extend(JSON.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
