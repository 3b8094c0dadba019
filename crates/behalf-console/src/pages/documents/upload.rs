//! `/console/documents/new`: a new document.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_gate::flows::documents;
use behalf_http::{CspSource, FormError, HttpContext, Person, PersonForm};
use behalf_retrieval::{ContentType, NewDocument};
use http::{StatusCode, header};

use super::{actor, address, kind, parts, words};
use crate::frame::Frame;
use crate::pages::sign_in::bad_form;
use crate::show;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "documents/upload.html")]
pub(crate) struct Upload {
    frame: Frame,
    title: String,
    content: String,
    /// Media type, what it is called, whether it is chosen.
    kinds: Vec<(&'static str, String, bool)>,
    problem: Option<String>,
}

impl Upload {
    fn new(frame: Frame, chosen: ContentType) -> Self {
        let kinds = ContentType::ALL
            .into_iter()
            .map(|known| (known.as_str(), kind(known.as_str()).to_owned(), known == chosen));
        let kinds = kinds.collect();
        Self { frame, title: String::new(), content: String::new(), kinds, problem: None }
    }
}

pub(crate) fn samples() -> Vec<Upload> {
    let page = Upload::new(Frame::sample("/console/documents/new"), ContentType::Plain);
    let refused = Upload { problem: Some("`content` is empty".to_owned()), ..page.clone() };
    vec![page, refused]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    let frame = Frame::new(&context, &session, &browser, "/console/documents/new");
    show(StatusCode::OK, &Upload::new(frame, ContentType::Plain), true, &CspSource::default())
}

pub(crate) async fn post(
    State(context): State<HttpContext>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let mut take = |name| fields.take(name).unwrap_or_default();
    let (title, content, chosen) = (take("title"), take("content"), take("content_type"));
    let Some(content_type) = ContentType::parse(&chosen) else {
        return bad_form(FormError::Malformed);
    };
    let new = NewDocument { title: title.clone(), content_type, content: content.clone() };
    let user = &session.user;
    match documents::upload(parts(&context), user, new, &actor(user)).await {
        Ok(document) => {
            let place = address(&document.document_id);
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Err(error) => match words(&error) {
            Err(page) => *page,
            Ok(problem) => {
                let frame = Frame::new(&context, &session, &browser, "/console/documents/new");
                let page = Upload::new(frame, content_type);
                let page = Upload { title, content, problem: Some(problem), ..page };
                show(StatusCode::BAD_REQUEST, &page, true, &CspSource::default())
            }
        },
    }
}
