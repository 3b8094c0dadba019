//! `/api/v1/documents…`: what a person uploads, reads, shares and finds (DESIGN §7).

mod error;
mod search;
mod share;
mod upload;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{Actor, PageSize};
use behalf_gate::flows::documents::{self, DocumentParts};
use behalf_http::{Caller, HttpContext, Params, Routes, Rule, Services};
use behalf_identity::User;
use behalf_retrieval::{Document, ListDocuments, MAX_CONTENT_BYTES};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::json_body::answer;
use crate::problem::Problem;

/// Bodies other than documents, in bytes.
const SMALL_BODY: usize = 64 * 1024;
/// A document in JSON: escaping may double it.
const DOCUMENT_BODY: usize = 2 * MAX_CONTENT_BYTES + SMALL_BODY;

/// Adds the routes of documents.
pub(super) fn routes(routes: Routes) -> Routes {
    const ALL: &str = "/api/v1/documents";
    const ONE: &str = "/api/v1/documents/{id}";
    const SHARE: &str = "/api/v1/documents/{id}/share";
    const SEARCH: &str = "/api/v1/documents/search";
    let read = Rule::Api("read:documents");
    let write = Rule::Api("write:documents");
    let import = Rule::Api("import:documents");
    routes
        .body_limit(DOCUMENT_BODY)
        .route(Method::POST, ALL, write, upload::upload)
        .route(Method::PUT, ONE, import, upload::put)
        .body_limit(SMALL_BODY)
        .route(Method::GET, ALL, read, list)
        .route(Method::GET, ONE, read, get)
        .route(Method::DELETE, ONE, write, delete)
        .route(Method::POST, SHARE, write, share::share)
        .route(Method::DELETE, SHARE, write, share::unshare)
        .route(Method::POST, SEARCH, read, search::search)
}

fn parts(context: &HttpContext) -> DocumentParts<'_> {
    let Services { identity, authz, retrieval, .. } = &**context;
    DocumentParts { identity, authz, retrieval }
}

/// Whom the record names.
fn actor_of(caller: &Caller) -> Actor {
    match caller {
        Caller::Person(session) => Actor::User { sub: session.user.user_id.to_string() },
        Caller::Token(token, _) => Actor::Client {
            client_id: token.client_id.to_string(),
            sub: token.user_id().map(String::from),
        },
        Caller::Fga(caller, _) => caller.actor.clone(),
        Caller::Project(machine) => machine.actor.clone(),
    }
}

/// The person whose permissions count, and whom the record names.
fn person(caller: Caller) -> Result<(User, Actor), Problem> {
    let actor = actor_of(&caller);
    let user = match caller {
        Caller::Person(session) => Some(session.user),
        Caller::Token(_, user) => user,
        Caller::Fga(..) | Caller::Project(_) => None,
    };
    user.map(|user| (user, actor)).ok_or_else(|| {
        let text = "the access token is about no person, and only people read documents";
        Problem::new(StatusCode::FORBIDDEN, "no_subject", text)
    })
}

/// A document as the API shows it.
fn shown(document: &Document) -> Value {
    json!({
        "id": document.document_id,
        "title": document.title,
        "content_type": document.content_type,
        "owner": document.owner,
        "created_at": document.created_at.to_rfc3339(),
        "updated_at": document.updated_at.to_rfc3339(),
        "revision": document.revision,
    })
}

async fn list(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (user, _) = person(caller)?;
    let mut params = Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let size = match params.take("page_size") {
        None => PageSize::DEFAULT,
        Some(text) => text.parse().ok().and_then(PageSize::new).ok_or_else(|| {
            Problem::invalid(format!("`page_size` is not between 1 and {}", PageSize::MAX))
        })?,
    };
    let wanted = ListDocuments {
        title: params.take("title").unwrap_or_default(),
        page_token: params.take("page_token").unwrap_or_default(),
        size: usize::from(size.value()),
    };
    let page = context.retrieval.list(&user.user_id, &wanted).await?;
    let documents: Vec<Value> = page.documents.iter().map(shown).collect();
    let body = json!({"documents": documents, "next_page_token": page.next});
    Ok(answer(StatusCode::OK, &body))
}

async fn get(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (user, _) = person(caller)?;
    let found = context.retrieval.find_with_content(&user.user_id, &id).await?;
    let (document, content) = found.ok_or_else(Problem::not_found)?;
    let mut body = shown(&document);
    if let Some(members) = body.as_object_mut() {
        members.insert("content".to_owned(), content.into());
    }
    Ok(answer(StatusCode::OK, &body))
}

async fn delete(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (user, actor) = person(caller)?;
    documents::delete(parts(&context), &user, &id, &actor).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
