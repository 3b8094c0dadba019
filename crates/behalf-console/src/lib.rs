//! Behalf's pages, rendered on the server. One page is one file: what it shows, and its handler.
//!
//! Every page works without script; pages in passing (sign-in, consent, sign-out) carry none.

mod address;
mod assets;
mod chart;
mod figures;
mod frame;
mod live;
mod pages;
mod theme;
mod time;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_http::{CspSource, Denial, FormError, HttpContext, Person, Routes, Rule, page_headers};
use behalf_identity::{Resource, Right};
use http::{Method, StatusCode, header};

use pages::sign_in::bad_form;
use pages::sign_in::message::Message;

pub use pages::samples;
pub use theme::Theme;

/// The largest form with a document, in bytes.
const UPLOAD_BODY: usize = 3 * behalf_retrieval::MAX_CONTENT_BYTES + 64 * 1024;
/// Who sees the log, and who takes records out.
const RECORDS: Rule = Rule::Role(Resource::VerificationRecords, Right::Read);
const EXPORTS: Rule = Rule::Role(Resource::AuditExports, Right::Export);

/// Every page's route.
pub fn routes(context: &HttpContext) -> Routes {
    use pages::{account, audit, chat, overview, sign_in, traces};
    let (get, post) = (Method::GET, Method::POST);
    let routes = Routes::new(context.clone(), denied);
    with_documents(with_authorization(routes))
        .route(get.clone(), "/", Rule::Person, home)
        .route(get.clone(), "/assets/{file}", Rule::Public, assets::get)
        .route(get.clone(), "/u/login", Rule::Public, sign_in::login::get)
        .route(post.clone(), "/u/login", Rule::Public, sign_in::login::post)
        .route(get.clone(), "/u/change-password", Rule::Public, sign_in::change_password::get)
        .route(post.clone(), "/u/change-password", Rule::Public, sign_in::change_password::post)
        .route(get.clone(), "/u/consent", Rule::Public, sign_in::consent::get)
        .route(post.clone(), "/u/consent", Rule::Public, sign_in::consent::post)
        .route(get.clone(), "/v2/logout", Rule::Public, sign_in::logout::v2)
        .route(get.clone(), "/oidc/logout", Rule::Public, sign_in::logout::oidc)
        .route(post.clone(), "/oidc/logout", Rule::Public, sign_in::logout::confirm)
        .route(get.clone(), "/account", Rule::Person, account::home::get)
        .route(post.clone(), "/account/sessions/end", Rule::Person, account::home::end_session)
        .route(get.clone(), "/console/chat", Rule::Person, chat::chat::get)
        .route(post.clone(), "/console/chat", Rule::Person, chat::chat::post)
        .route(post.clone(), "/console/chat/cancel", Rule::Person, chat::chat::cancel)
        .route(get.clone(), "/account/overview", Rule::Person, overview::overview::get)
        .route(get.clone(), "/console/traces", Rule::Person, traces::list::get)
        .route(get.clone(), "/console/traces/{trace_id}", Rule::Person, traces::show::get)
        .route(get.clone(), "/account/approvals", Rule::Person, account::approvals::get)
        .route(get.clone(), "/account/approvals/events", Rule::Person, account::approvals::events)
        .route(get.clone(), "/account/approvals/{id}", Rule::Person, account::approval::get)
        .route(post.clone(), "/account/approvals/{id}", Rule::Person, account::approval::post)
        .merge(connection_routes(context))
        .route(post.clone(), "/account/theme", Rule::Person, theme::choose)
        .route(get.clone(), "/console/audit", RECORDS, audit::records::get)
        .route(get.clone(), "/console/audit/records/{id}", RECORDS, audit::record::get)
        .route(get.clone(), "/console/audit/exports", EXPORTS, audit::exports::get)
        .route(post.clone(), "/console/audit/exports", EXPORTS, audit::exports::post)
        .route(post, "/account/sign-out", Rule::Public, sign_in::logout::sign_out)
        .route(
            get,
            "/console",
            Rule::Role(Resource::Dashboards, Right::Read),
            overview::overview::get,
        )
        // A form may say each byte of a document in three.
        .body_limit(UPLOAD_BODY)
        .route(Method::POST, "/console/documents/new", Rule::Person, pages::documents::upload::post)
}

/// Pages of documents.
fn with_documents(routes: Routes) -> Routes {
    use pages::documents::{change, list, show, upload};
    const ONE: &str = "/console/documents/{id}";
    let (get, post) = (Method::GET, Method::POST);
    routes
        .route(get.clone(), "/console/documents", Rule::Person, list::get)
        .route(get.clone(), "/console/documents/new", Rule::Person, upload::get)
        .route(get, ONE, Rule::Person, show::get)
        .route(post.clone(), "/console/documents/{id}/share", Rule::Person, change::share)
        .route(post.clone(), "/console/documents/{id}/unshare", Rule::Person, change::unshare)
        .route(post, "/console/documents/{id}/delete", Rule::Person, change::delete)
}

/// Pages of authorization.
fn with_authorization(routes: Routes) -> Routes {
    use pages::authorization::{changes, lists, model, playground, stores, tests, tuples};
    const PREVIEW: &str = "/console/authorization/{store_id}/tuples/preview";
    const MATCHING: &str = "/console/authorization/{store_id}/tuples/delete-matching";
    let read = Rule::Role(Resource::Authorization, Right::Read);
    let write = Rule::Role(Resource::Authorization, Right::Write);
    let (get, post) = (Method::GET, Method::POST);
    routes
        .route(get.clone(), "/console/authorization", read, stores::get)
        .route(post.clone(), "/console/authorization", write, stores::create)
        .route(get.clone(), "/console/authorization/{store_id}", read, playground::get)
        .route(get.clone(), "/console/authorization/{store_id}/model", read, model::get)
        .route(post.clone(), "/console/authorization/{store_id}/model", write, model::save)
        .route(
            post.clone(),
            "/console/authorization/{store_id}/model/preview",
            read,
            model::preview,
        )
        .route(get.clone(), "/console/authorization/{store_id}/tuples", read, tuples::get)
        .route(post.clone(), "/console/authorization/{store_id}/tuples", write, tuples::write)
        .route(post.clone(), PREVIEW, read, tuples::preview)
        .route(post.clone(), MATCHING, write, tuples::delete_matching)
        .route(get.clone(), "/console/authorization/{store_id}/lists", read, lists::get)
        .route(get.clone(), "/console/authorization/{store_id}/tests", read, tests::get)
        .route(post.clone(), "/console/authorization/{store_id}/tests", write, tests::add)
        .route(post, "/console/authorization/{store_id}/tests/delete", write, tests::delete)
        .route(get.clone(), "/console/authorization/{store_id}/changes", read, changes::get)
        .route(get, "/console/authorization/{store_id}/changes/events", read, changes::events)
}

/// Connecting accounts at providers.
fn connection_routes(context: &HttpContext) -> Routes {
    use pages::{account, connections};
    const LIST: &str = "/account/connections";
    const DISCONNECT: &str = "/account/connections/disconnect";
    let administers = Rule::Role(Resource::IssuerSettings, Right::Read);
    let (get, post) = (Method::GET, Method::POST);
    Routes::new(context.clone(), denied)
        .route(get.clone(), "/account/connect", Rule::Person, account::connect::get)
        .route(post.clone(), "/account/connect", Rule::Person, account::connect::post)
        .route(get.clone(), "/login/callback", Rule::Public, account::callback::get)
        .route(get.clone(), LIST, Rule::Person, account::connections::get)
        .route(post, DISCONNECT, Rule::Person, account::connections::disconnect)
        .route(get, "/console/connections", administers, connections::list::get)
}

/// The first page: her overview.
async fn home(Person { session, .. }: Person) -> Response {
    let path = frame::overview_of(&session.user);
    (StatusCode::FOUND, [(header::LOCATION, path)]).into_response()
}

/// An error for a person, in passing.
pub fn error_page(status: StatusCode, title: &str, text: &str) -> Response {
    let action = Some(("Go to the first page".to_owned(), "/".to_owned()));
    let message = Message { title: title.to_owned(), text: text.to_owned(), action };
    show(status, &message, false, &CspSource::default())
}

/// No page and no API has this address: a page for browsers, a problem (RFC 9457) for programs.
pub async fn not_found(State(_): State<HttpContext>, headers: http::HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        let text = "There is no page at this address. Check it, or start from the first page.";
        return error_page(StatusCode::NOT_FOUND, "Page not found", text);
    }
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no resource has this address"}"#;
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/problem+json")], body)
        .into_response()
}

fn denied(denial: &Denial) -> Response {
    let (title, text) = match denial {
        Denial::ForeignOrigin => return bad_form(FormError::ForeignOrigin),
        Denial::Store(_) => (
            "Not available",
            "Behalf cannot look up who you are right now. Nothing was done; try again in a moment.",
        ),
        _ => (
            "Not allowed",
            "None of your roles lets you see this page. An administrator can give you one.",
        ),
    };
    let action = Some(("Go to your account".to_owned(), "/account".to_owned()));
    let message = Message { title: title.to_owned(), text: text.to_owned(), action };
    show(denial.status(), &message, false, &CspSource::default())
}

/// Renders a page with its headers.
fn show(
    status: StatusCode,
    page: &impl askama::Template,
    carries_script: bool,
    form_target: &CspSource,
) -> Response {
    match page.render() {
        Ok(html) => {
            let mut response =
                (status, page_headers(carries_script, form_target), html).into_response();
            let html = header::HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                let secs = header::HeaderValue::from_static("5");
                response.headers_mut().insert(header::RETRY_AFTER, secs);
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
