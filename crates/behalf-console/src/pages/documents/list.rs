//! `/console/documents`: the documents that she may read, and the search over them.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use behalf_core::Timestamp;
use behalf_gate::flows::documents;
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_retrieval::{Document, ListDocuments, Reader, RetrievalError};
use http::StatusCode;

use super::{address, failed, flowed, kind, parts, who};
use crate::address::with_query;
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

/// Documents on a page.
const SIZE: usize = 50;
/// Passages that a search shows.
const PASSAGES: usize = 10;

/// A document in the list.
#[derive(Clone, Debug)]
pub(crate) struct DocumentRow {
    href: String,
    title: String,
    kind: String,
    uploader: Option<String>,
    changed: Shown,
}

/// A passage that was found.
#[derive(Clone, Debug)]
pub(crate) struct PassageCard {
    href: String,
    title: String,
    text: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "documents/list.html")]
pub(crate) struct Documents {
    frame: Frame,
    count: usize,
    title: String,
    documents: Vec<DocumentRow>,
    next: Option<String>,
    is_first: bool,
    query: String,
    passages: Option<Vec<PassageCard>>,
    problem: Option<String>,
}

impl Documents {
    /// The address of the list from its beginning.
    fn first_page(&self) -> String {
        with_query("/console/documents", [("title", self.title.as_str())])
    }
}

pub(crate) fn samples() -> Vec<Documents> {
    let now = Timestamp::from_secs(1_795_507_200);
    let row = |title: &str, kind: &str, uploader: Option<&str>| DocumentRow {
        href: "/console/documents/1".to_owned(),
        title: title.to_owned(),
        kind: kind.to_owned(),
        uploader: uploader.map(str::to_owned),
        changed: Shown::new(Timestamp::from_secs(1_795_500_000), now),
    };
    let page = Documents {
        frame: Frame::sample("/console/documents"),
        count: 132,
        title: String::new(),
        documents: vec![
            row("Travel policy", "Markdown", Some("you")),
            row("open(2): open, openat - open a file", "Manual page", None),
            row("<b>Roadmap</b>", "HTML", Some("auth0|bob")),
        ],
        next: Some("/console/documents?page=1".to_owned()),
        is_first: true,
        query: String::new(),
        passages: None,
        problem: None,
    };
    let found = Documents {
        query: "night train".to_owned(),
        passages: Some(vec![PassageCard {
            href: "/console/documents/1".to_owned(),
            title: "Travel policy".to_owned(),
            text: "Trains\n\nTake the night train to Vienna.".to_owned(),
        }]),
        ..page.clone()
    };
    let nothing = Documents { passages: Some(Vec::new()), ..found.clone() };
    let empty = Documents { count: 0, documents: Vec::new(), next: None, ..page.clone() };
    let filtered = Documents { title: "zebra".to_owned(), ..empty.clone() };
    vec![page, found, nothing, empty, filtered]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    RawQuery(query): RawQuery,
) -> Response {
    // An address that cannot be read is the list from its beginning.
    let mut params =
        Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let mut take = |name| params.take(name).unwrap_or_default();
    let (title, page_token, query) = (take("title"), take("page"), take("q"));
    let user = &session.user;
    let frame = Frame::new(&context, &session, &browser, "/console/documents");
    let mut page = Documents {
        frame,
        count: 0,
        is_first: page_token.is_empty(),
        title,
        documents: Vec::new(),
        next: None,
        query,
        passages: None,
        problem: None,
    };
    if !page.query.is_empty() {
        let reader = Reader::person(&user.user_id);
        match context.retrieval.search(&reader, &page.query, PASSAGES).await {
            Ok(found) => {
                let cards = found.results.into_iter().map(|passage| PassageCard {
                    href: address(&passage.document_id),
                    title: passage.title,
                    text: flowed(&passage.text),
                });
                page.passages = Some(cards.collect());
            }
            Err(error @ (RetrievalError::MayRead(_) | RetrievalError::Store(_))) => {
                return failed(&error);
            }
            Err(error) => page.problem = Some(error.to_string()),
        }
        return show(StatusCode::OK, &page, true, &CspSource::default());
    }
    let wanted = ListDocuments { title: page.title.clone(), page_token, size: SIZE };
    let retrieval = &context.retrieval;
    let listed = match retrieval.list(&user.user_id, &wanted).await {
        Err(RetrievalError::PageToken) => {
            let first = ListDocuments { page_token: String::new(), ..wanted };
            page.is_first = true;
            retrieval.list(&user.user_id, &first).await
        }
        listed => listed,
    };
    let own = documents::own_name(parts(&context), user).await;
    match (listed, retrieval.count(&user.user_id, &page.title).await, own) {
        (Ok(listed), Ok(count), Ok(own)) => {
            let now = context.identity.now();
            page.count = count;
            page.next = listed.next.map(|token| {
                with_query("/console/documents", [("title", page.title.as_str()), ("page", &token)])
            });
            let row = |document: Document| DocumentRow {
                href: address(&document.document_id),
                kind: kind(&document.content_type).to_owned(),
                uploader: document.owner.map(|owner| who(&owner, own.as_deref())),
                changed: Shown::new(document.updated_at, now),
                title: document.title,
            };
            page.documents = listed.documents.into_iter().map(row).collect();
            show(StatusCode::OK, &page, true, &CspSource::default())
        }
        (Err(error), ..) | (_, Err(error), _) => failed(&error),
        (.., Err(error)) => failed(&error),
    }
}
