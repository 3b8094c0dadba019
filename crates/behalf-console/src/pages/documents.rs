//! Documents: what a person may read, what she uploads, and with whom she shares it.

pub(crate) mod change;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod upload;

use axum::response::Response;
use behalf_core::Actor;
use behalf_gate::flows::documents::{DocumentError, DocumentParts};
use behalf_http::{HttpContext, Services};
use behalf_identity::User;
use http::StatusCode;

use crate::address::segment;
use crate::error_page;

fn parts(context: &HttpContext) -> DocumentParts<'_> {
    let Services { identity, authz, retrieval, .. } = &**context;
    DocumentParts { identity, authz, retrieval }
}

fn actor(user: &User) -> Actor {
    Actor::User { sub: user.user_id.to_string() }
}

/// What a media type is called.
fn kind(content_type: &str) -> &str {
    match content_type {
        "text/plain" => "Text",
        "text/markdown" => "Markdown",
        "text/html" => "HTML",
        "text/troff" => "Manual page",
        other => other,
    }
}

/// An FGA user in words: `you`, a name without `user:`, or as it stands.
fn who(fga_user: &str, own: Option<&str>) -> String {
    if Some(fga_user) == own {
        return "you".to_owned();
    }
    match fga_user {
        "user:*" => "everybody".to_owned(),
        other => other.strip_prefix("user:").unwrap_or(other).to_owned(),
    }
}

/// A page for a document that is not there, or not for her.
fn not_found() -> Response {
    let text = "No document with this address can be seen by you. It may have been deleted, or is \
                shared with you no longer.";
    error_page(StatusCode::NOT_FOUND, "Document not found", text)
}

/// A page for what failed.
fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a page of documents failed");
    let text = "Documents cannot be reached right now. Try again in a moment; if you changed \
                something, look first whether it is there.";
    error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
}

/// What she did wrong, in words; `Err` with a page for everything else.
fn words(error: &DocumentError) -> Result<String, Box<Response>> {
    match error {
        DocumentError::Invalid(_)
        | DocumentError::InvalidShare(_)
        | DocumentError::LastOwner
        | DocumentError::NotOwner
        | DocumentError::NoName => Ok(error.to_string()),
        DocumentError::NotFound => Err(Box::new(not_found())),
        error => Err(Box::new(failed(error))),
    }
}

/// A passage for reading: lines that only a narrow page had broken are joined again. What is
/// indented or begins like an entry of a list stays on its own line.
fn flowed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    for line in text.lines() {
        let is_own = line.starts_with([' ', '\t', '-', '*', '•', '#', '|', '>'])
            || line.starts_with(|first: char| first.is_ascii_digit());
        let joins = !before.is_empty() && !line.is_empty() && !is_own;
        if !out.is_empty() {
            out.push(if joins { ' ' } else { '\n' });
        }
        out.push_str(line);
        before = line;
    }
    out
}

/// A document's address; ids may have characters that addresses must not.
pub(crate) fn address(document_id: &str) -> String {
    format!("/console/documents/{}", segment(document_id))
}
