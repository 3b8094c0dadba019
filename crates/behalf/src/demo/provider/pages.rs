//! The scripted provider's pages. Each says what it is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::Value;

use super::Shared;
use super::oauth::Asked;

const STYLE: &str = "body{margin:0;display:grid;place-items:center;min-height:100vh;padding:24px 16px;\
box-sizing:border-box;background:#f4f1ea;color:#22201c;font:16px/24px system-ui,sans-serif}\
main{width:100%;max-width:440px;display:grid;gap:16px;padding:24px;box-sizing:border-box;\
background:#fff;border:1px solid #d9d2c3;border-radius:10px}\
.label{margin:0;padding:8px 12px;border:1px dashed #8a6d1f;border-radius:6px;background:#fff8e0;\
color:#5c4708;font-size:14px;line-height:20px}h1{margin:0;font-size:20px;line-height:28px}\
p,ul,fieldset{margin:0}ul{padding-left:20px}form{display:grid;gap:16px}\
fieldset{border:1px solid #d9d2c3;border-radius:6px;padding:8px 12px;display:grid;gap:4px}\
label{display:flex;gap:8px;align-items:center;min-height:32px}\
.choice{display:grid;grid-template-columns:1fr 1fr;gap:12px}\
button{min-height:44px;border:1px solid #6b6557;border-radius:6px;background:#fff;color:inherit;\
font:inherit;font-weight:600;cursor:pointer}button.primary{background:#1f6f43;border-color:#1f6f43;\
color:#fff}pre{margin:0;padding:12px;overflow-x:auto;background:#f4f1ea;border-radius:6px;\
font-size:14px;white-space:pre-wrap;overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#191713;color:#ece7db}main{background:#23201a;\
border-color:#474034}.label{background:#2e2610;color:#f0d489}fieldset{border-color:#474034}\
button{background:#23201a}pre{background:#191713}}";

const LABEL: &str = "<p class=\"label\" role=\"note\">Scripted provider. This stands in for GitHub on \
this machine; no account and no data here is real.</p>";

fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} · scripted provider</title>\
         <style>{STYLE}</style></head><body><main>{LABEL}{content}</main></body></html>"
    );
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, Html(html)).into_response()
}

/// The first page.
pub(super) async fn home() -> Response {
    let content = "<h1>Nothing to do here</h1><p>People come here from Behalf, when they connect \
                   an account.</p>";
    page(StatusCode::OK, "Home", content)
}

/// What is wrong with a request.
pub(super) fn problem(status: StatusCode, text: &str) -> Response {
    page(status, "Problem", &format!("<h1>This cannot go on</h1><p>{}</p>", escaped(text)))
}

/// Who are you, and may this application?
pub(super) fn authorize(shared: &Shared, asked: &Asked) -> Response {
    let people: String = shared
        .options
        .people
        .iter()
        .enumerate()
        .map(|(index, login)| {
            let (login, checked) = (escaped(login), if index == 0 { " checked" } else { "" });
            format!(
                "<label><input type=\"radio\" name=\"login\" value=\"{login}\"{checked}>{login}\
                 </label>"
            )
        })
        .collect();
    let scopes: String = asked
        .scope
        .split([' ', ','])
        .filter(|scope| !scope.is_empty())
        .map(|scope| format!("<li><code>{}</code></li>", escaped(scope)))
        .collect();
    let scopes = match scopes.as_str() {
        "" => "<p>It asks to read what is public.</p>".to_owned(),
        scopes => format!("<p>It asks for:</p><ul>{scopes}</ul>"),
    };
    let hidden: String = [
        ("client_id", asked.client_id.as_str()),
        ("redirect_uri", &asked.redirect_uri),
        ("state", &asked.state),
        ("scope", &asked.scope),
        ("code_challenge", &asked.code_challenge),
        ("code_challenge_method", "S256"),
    ]
    .iter()
    .map(|(name, value)| {
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))
    })
    .collect();
    let content = format!(
        "<h1>Authorize {client}</h1>{scopes}<form method=\"post\" action=\"/login/oauth/authorize\">\
         {hidden}<fieldset><legend>Sign in as</legend>{people}</fieldset><div class=\"choice\">\
         <button type=\"submit\" name=\"decision\" value=\"cancel\">Cancel</button>\
         <button class=\"primary\" type=\"submit\" name=\"decision\" value=\"authorize\">Authorize\
         </button></div></form>",
        client = escaped(&asked.client_id),
    );
    page(StatusCode::OK, "Authorize", &content)
}

/// A Gist, for whoever follows its link.
pub(super) async fn gist(
    State(shared): State<Arc<Shared>>,
    Path((login, id)): Path<(String, String)>,
) -> Response {
    let state = shared.state();
    let found = state.gists.iter().find(|gist| gist.id == id && gist.login == login);
    let Some(gist) = found else {
        return problem(StatusCode::NOT_FOUND, "There is no such Gist.");
    };
    let text = |value: Option<&Value>| escaped(value.and_then(Value::as_str).unwrap_or_default());
    let files: String = gist
        .body
        .get("files")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, file)| {
            let content = text(file.get("content"));
            format!("<p><code>{}</code></p><pre>{content}</pre>", escaped(name))
        })
        .collect();
    let is_public = gist.body.get("public") == Some(&Value::Bool(true));
    let content = format!(
        "<h1>{}</h1><p>By {}, {}.</p>{files}",
        text(gist.body.get("description")),
        escaped(&login),
        if is_public { "public" } else { "secret" },
    );
    page(StatusCode::OK, "Gist", &content)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
