//! `/console/authorization`: the stores, and making one.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use behalf_authz::engine::Semantics;
use behalf_authz::{FgaStoreInfo, SubjectName};
use behalf_core::Timestamp;
use behalf_http::{CspSource, HttpContext, Person, PersonForm};
use behalf_identity::{Browser, Session};
use http::{StatusCode, header};

use super::{actor, failed, is_refusal, may_write};
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

/// Stores that are listed.
const LIMIT: u32 = 200;

/// A store in the list.
#[derive(Clone, Debug)]
pub(crate) struct StoreRow {
    id: String,
    name: String,
    people: &'static str,
    revision: i64,
    created: Shown,
}

impl StoreRow {
    fn new(store: FgaStoreInfo, now: Timestamp) -> Self {
        let people = match store.subject {
            SubjectName::Sub => "by id",
            SubjectName::Email => "by verified address",
        };
        Self {
            people,
            revision: store.revision,
            created: Shown::new(store.created_at, now),
            id: store.id,
            name: store.name,
        }
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/stores.html")]
pub(crate) struct Stores {
    frame: Frame,
    stores: Vec<StoreRow>,
    may_write: bool,
    /// The name that was typed, and why it was not taken.
    name: String,
    problem: Option<String>,
}

pub(crate) fn samples() -> Vec<Stores> {
    let now = Timestamp::from_secs(1_795_507_200);
    let store = FgaStoreInfo {
        id: super::SAMPLE_ID.to_owned(),
        name: "documents".to_owned(),
        subject: SubjectName::Sub,
        semantics: Semantics::V1,
        revision: 3,
        created_at: Timestamp::from_secs(1_795_000_000),
        updated_at: Timestamp::from_secs(1_795_000_000),
    };
    let page = Stores {
        frame: Frame::sample("/console/authorization"),
        stores: vec![StoreRow::new(store, now)],
        may_write: true,
        name: "x".to_owned(),
        problem: Some("the name is too short".to_owned()),
    };
    let empty = Stores { stores: Vec::new(), may_write: false, problem: None, ..page.clone() };
    vec![page, empty]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    page(&context, (&session, &browser), String::new(), None).await
}

/// Makes a store, and leads to its model.
pub(crate) async fn create(
    State(context): State<HttpContext>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let name = fields.take("name").unwrap_or_default().trim().to_owned();
    match context.authz.create_store(&name, &actor(&session)).await {
        Ok(store) => {
            let place = format!("/console/authorization/{}/model", store.id);
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Err(error) if is_refusal(&error) => {
            let problem = "a name has 3 to 64 letters, digits, blanks or `-./^_&@`".to_owned();
            page(&context, (&session, &browser), name, Some(problem)).await
        }
        Err(error) => failed(&error),
    }
}

async fn page(
    context: &HttpContext,
    (session, browser): (&Session, &Browser),
    name: String,
    problem: Option<String>,
) -> Response {
    let now = context.identity.now();
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    match context.authz.list_stores("", LIMIT).await {
        Ok(stores) => {
            let page = Stores {
                frame: Frame::new(context, session, browser, "/console/authorization"),
                stores: stores.into_iter().map(|store| StoreRow::new(store, now)).collect(),
                may_write: may_write(&session.user),
                name,
                problem,
            };
            show(status, &page, true, &CspSource::default())
        }
        Err(error) => failed(&error),
    }
}
