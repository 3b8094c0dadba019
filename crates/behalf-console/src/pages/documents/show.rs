//! `/console/documents/{id}`: one document, why she can see it, and who else may.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use behalf_core::Timestamp;
use behalf_gate::flows::documents::{self, DocumentError, Reason};
use behalf_http::{CspSource, HttpContext, Person};
use behalf_identity::{Browser, Session};
use behalf_retrieval::{Document, as_text};
use http::StatusCode;

use super::{address, failed, kind, not_found, parts, who};
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

/// Characters of its text that a page shows.
const SHOWN_CHARS: usize = 40_000;

/// A tuple of the document.
#[derive(Clone, Debug)]
pub(crate) struct ShareRow {
    who: String,
    user: String,
    relation: String,
    /// True if it can be taken back here.
    can_remove: bool,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "documents/show.html")]
pub(crate) struct DocumentPage {
    frame: Frame,
    href: String,
    document_id: String,
    title: String,
    kind: String,
    /// Who owns it, as the tuples say; only its owners see that.
    owners: Option<String>,
    /// Who uploaded it; nobody, when it was imported.
    uploader: Option<String>,
    created: Shown,
    changed: Shown,
    revision: i64,
    reasons: Vec<String>,
    text: String,
    is_cut: bool,
    /// With whom it is shared; only its owners see that.
    shares: Option<Vec<ShareRow>>,
    is_public: bool,
    problem: Option<String>,
}

pub(crate) fn samples() -> Vec<DocumentPage> {
    let now = Timestamp::from_secs(1_795_507_200);
    let share = |who: &str, user: &str, relation: &str| ShareRow {
        who: who.to_owned(),
        user: user.to_owned(),
        relation: relation.to_owned(),
        can_remove: true,
    };
    let page = DocumentPage {
        frame: Frame::sample("/console/documents/1"),
        href: "/console/documents/1".to_owned(),
        document_id: "1".to_owned(),
        title: "Travel <policy>".to_owned(),
        kind: "Markdown".to_owned(),
        owners: Some("you".to_owned()),
        uploader: Some("you".to_owned()),
        created: Shown::new(Timestamp::from_secs(1_795_000_000), now),
        changed: Shown::new(Timestamp::from_secs(1_795_500_000), now),
        revision: 2,
        reasons: vec!["You are its owner.".to_owned()],
        text: "Trains\n\nTake the night train to Vienna.".to_owned(),
        is_cut: true,
        shares: Some(vec![
            share("you", "user:auth0|ann", "owner"),
            share("everybody", "user:*", "viewer"),
        ]),
        is_public: true,
        problem: Some("a document keeps at least one owner".to_owned()),
    };
    let read = DocumentPage {
        owners: None,
        uploader: None,
        shares: None,
        is_public: false,
        problem: None,
        ..page.clone()
    };
    vec![page, read]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(id): Path<String>,
) -> Response {
    page(&context, &session, &browser, &id, None).await
}

/// The page, perhaps with what went wrong on it.
pub(super) async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    id: &str,
    problem: Option<String>,
) -> Response {
    match load(context, session, browser, id, problem).await {
        Ok(page) => {
            let is_refused = page.problem.is_some();
            let status = if is_refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            show(status, &page, true, &CspSource::default())
        }
        Err(DocumentError::NotFound) => not_found(),
        Err(error) => failed(&error),
    }
}

async fn load(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    id: &str,
    problem: Option<String>,
) -> Result<DocumentPage, DocumentError> {
    let user = &session.user;
    let found = context.retrieval.find_with_content(&user.user_id, id).await?;
    let (document, content) = found.ok_or(DocumentError::NotFound)?;
    let reasons = documents::why(parts(context), user, id).await?;
    let own = documents::own_name(parts(context), user).await?;
    let shares = match documents::list_shares(parts(context), user, id).await {
        Ok(tuples) => Some(tuples),
        Err(DocumentError::NotOwner) => None,
        Err(error) => return Err(error),
    };
    let is_public = shares.iter().flatten().any(|tuple| tuple.user == "user:*");
    let shares: Option<Vec<ShareRow>> = shares.map(|tuples| {
        let row = |tuple: behalf_authz::engine::TupleKey| ShareRow {
            who: who(&tuple.user, own.as_deref()),
            can_remove: matches!(tuple.relation.as_str(), "viewer" | "owner"),
            user: tuple.user,
            relation: tuple.relation,
        };
        tuples.into_iter().map(row).collect()
    });
    let text = as_text(&document.content_type, &content);
    let is_cut = text.chars().nth(SHOWN_CHARS).is_some();
    let now = context.identity.now();
    let Document {
        document_id, owner, title, content_type, revision, created_at, updated_at, ..
    } = document;
    Ok(DocumentPage {
        frame: Frame::new(context, session, browser, "/console/documents"),
        href: address(&document_id),
        document_id,
        title,
        kind: kind(&content_type).to_owned(),
        owners: shares.as_deref().map(owners),
        uploader: owner.map(|uploader| who(&uploader, own.as_deref())),
        created: Shown::new(created_at, now),
        changed: Shown::new(updated_at, now),
        revision,
        reasons: reasons.iter().map(sentence).collect(),
        text: text.chars().take(SHOWN_CHARS).collect(),
        is_cut,
        shares,
        is_public,
        problem,
    })
}

fn owners(shares: &[ShareRow]) -> String {
    let owners = shares.iter().filter(|share| share.relation == "owner");
    owners.map(|share| share.who.as_str()).collect::<Vec<_>>().join(", ")
}

fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Direct { relation } if relation == "owner" => "You are its owner.".to_owned(),
        Reason::Direct { relation } if relation == "viewer" => "It is shared with you.".to_owned(),
        Reason::Direct { relation } => format!("You are its {relation}."),
        Reason::Everybody { .. } => "It is shared with everybody.".to_owned(),
        Reason::Member { of, .. } => {
            format!("It is shared with {of}, and you are one of them.")
        }
        Reason::Model => {
            "The authorization model lets you see it, through more than one step.".to_owned()
        }
    }
}
