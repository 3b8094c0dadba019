//! `/console/authorization`: the stores.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use behalf_authz::{FgaStoreInfo, SubjectName};
use behalf_core::Timestamp;
use behalf_http::{CspSource, HttpContext, Person};
use http::StatusCode;

use super::failed;
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
    created: Shown,
}

impl StoreRow {
    fn new(store: FgaStoreInfo, now: Timestamp) -> Self {
        let people = match store.subject {
            SubjectName::Sub => "by id",
            SubjectName::Email => "by verified address",
        };
        Self { people, created: Shown::new(store.created_at, now), id: store.id, name: store.name }
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/stores.html")]
pub(crate) struct Stores {
    frame: Frame,
    stores: Vec<StoreRow>,
}

pub(crate) fn samples() -> Vec<Stores> {
    let now = Timestamp::from_secs(1_795_507_200);
    let store = FgaStoreInfo {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        name: "documents".to_owned(),
        subject: SubjectName::Sub,
        revision: 3,
        created_at: Timestamp::from_secs(1_795_000_000),
        updated_at: Timestamp::from_secs(1_795_000_000),
    };
    let frame = Frame::sample("/console/authorization");
    vec![
        Stores { frame: frame.clone(), stores: vec![StoreRow::new(store, now)] },
        Stores { frame, stores: Vec::new() },
    ]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    let now = context.identity.now();
    match context.authz.list_stores("", LIMIT).await {
        Ok(stores) => {
            let stores = stores.into_iter().map(|store| StoreRow::new(store, now)).collect();
            let frame = Frame::new(&context, &session, &browser, "/console/authorization");
            show(StatusCode::OK, &Stores { frame, stores }, true, &CspSource::default())
        }
        Err(error) => failed(&error),
    }
}
