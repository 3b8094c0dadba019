//! `/account/connect`: what a provider will be asked to allow, before she goes there.
//!
//! One of our pages sends her here with a connection, or an application with a ticket. Nothing
//! leaves before she posts the form.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::ConnectionName;
use behalf_http::{CspSource, HttpContext, Params, Person, PersonForm};
use behalf_identity::{Browser, Session};
use behalf_vault::{ConnectError, ConnectGoal, ConnectOffer, ConnectRequest, Strategy};
use http::{StatusCode, header};

use crate::{error_page, show};

/// Where she goes when nothing else is said.
const CONNECTIONS: &str = "/account/connections";

/// A scope in words.
#[derive(Clone, Debug)]
pub(crate) struct AllowedScope {
    words: &'static str,
    id: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "account/connect.html")]
pub(crate) struct Connect {
    title: String,
    host: String,
    /// The application that asks; `None`: Behalf itself.
    application: Option<String>,
    scopes: Vec<AllowedScope>,
    /// What she is called at the provider, if she is connected already.
    connected_as: Option<String>,
    hidden: Vec<(&'static str, String)>,
    cancel: String,
    user_name: String,
    form_token: String,
}

pub(crate) fn samples() -> Vec<Connect> {
    let scope = |id: &str| AllowedScope { words: words(Strategy::GitHub, id), id: id.to_owned() };
    let page = Connect {
        title: "GitHub".to_owned(),
        host: "github.com".to_owned(),
        application: None,
        scopes: vec![scope("public_repo"), scope("gist")],
        connected_as: None,
        hidden: vec![("connection", "github".to_owned())],
        cancel: CONNECTIONS.to_owned(),
        user_name: "Ann Example".to_owned(),
        form_token: "token".to_owned(),
    };
    let again = Connect {
        application: Some("Travel planner".to_owned()),
        connected_as: Some("octo-ann".to_owned()),
        ..page.clone()
    };
    vec![page.clone(), again, Connect { scopes: Vec::new(), ..page }]
}

/// What she was sent here for.
#[derive(Debug)]
struct Asked {
    request: ConnectRequest,
    application: Option<String>,
    hidden: Vec<(&'static str, String)>,
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::from_urlencoded(query.unwrap_or_default().as_bytes());
    let Ok(params) = params else { return refused(&ConnectError::Over) };
    match page(&context, &session, &browser, params).await {
        Ok((page, form_target)) => show(StatusCode::OK, &page, false, &form_target),
        Err(error) => refused(&error),
    }
}

/// Sends her to the provider.
pub(crate) async fn post(
    State(context): State<HttpContext>,
    PersonForm { session, browser, fields }: PersonForm,
) -> Response {
    match set_out(&context, &session, &browser, fields).await {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(error) => refused(&error),
    }
}

async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    params: Params,
) -> Result<(Connect, CspSource), ConnectError> {
    let asked = asked(context, session, params).await?;
    let ConnectRequest { connection, scopes, goal } = &asked.request;
    let user = &session.user;
    let offer = context.vault.offer(&user.user_id, connection, scopes).await?;
    let ConnectOffer { connection, scopes, account } = offer;
    let cancel = match goal {
        ConnectGoal::Page { return_to, .. } => return_to.clone(),
        ConnectGoal::Application { .. } => CONNECTIONS.to_owned(),
    };
    let scopes = scopes.into_iter();
    let page = Connect {
        title: connection.title().to_owned(),
        host: connection.authorization_url.host().to_owned(),
        application: asked.application,
        scopes: scopes
            .map(|id| AllowedScope { words: words(connection.strategy, &id), id })
            .collect(),
        connected_as: account
            .map(|account| account.provider_name.unwrap_or_else(|| "an account".to_owned())),
        hidden: asked.hidden,
        cancel,
        user_name: user.display_name().to_owned(),
        form_token: context.identity.form_token(browser).unwrap_or_default(),
    };
    Ok((page, CspSource::of(connection.authorization_url.as_str())))
}

async fn set_out(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    fields: Params,
) -> Result<String, ConnectError> {
    let asked = asked(context, session, fields).await?;
    let browser_hash = browser.hash().ok_or(ConnectError::Over)?;
    context.vault.begin_connect(&session.user.user_id, &browser_hash, asked.request).await
}

/// What the address or the form asks for. A ticket is looked up again on every step, and opens only
/// for the person it was made for.
async fn asked(
    context: &HttpContext,
    session: &Session,
    mut params: Params,
) -> Result<Asked, ConnectError> {
    if let Some(ticket) = params.take("ticket") {
        let found = context.vault.find_ticket(&session.user.user_id, &ticket).await?;
        let client = context.identity.find_client(found.client_id.as_str()).await?;
        let client = client.ok_or(ConnectError::Over)?;
        return Ok(Asked {
            request: ConnectRequest {
                connection: found.request.connection,
                scopes: found.request.scopes,
                goal: ConnectGoal::Application { session_hash: found.session_hash },
            },
            application: Some(client.settings.name),
            hidden: vec![("ticket", ticket)],
        });
    }
    if let Some(interrupt) = params.take("i") {
        return waiting(context, session, interrupt, return_to(&mut params)).await;
    }
    let connection = params.take("connection").ok_or(ConnectError::ConnectionNotFound)?;
    let name: ConnectionName =
        connection.parse().map_err(|_invalid| ConnectError::ConnectionNotFound)?;
    let scopes = params.take("scopes").unwrap_or_default();
    let return_to = return_to(&mut params);
    let mut hidden = vec![("connection", connection)];
    if !scopes.is_empty() {
        hidden.push(("scopes", scopes.clone()));
    }
    if let Some(return_to) = &return_to {
        hidden.push(("return_to", return_to.clone()));
    }
    let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty());
    Ok(Asked {
        request: ConnectRequest {
            connection: name,
            scopes: scopes.map(str::to_owned).collect(),
            goal: ConnectGoal::Page {
                return_to: return_to.unwrap_or_else(|| CONNECTIONS.to_owned()),
                interrupt: None,
            },
        },
        application: None,
        hidden,
    })
}

/// The page of ours that she came from, if it says so.
fn return_to(params: &mut Params) -> Option<String> {
    params.take("return_to").filter(|path| is_own_path(path))
}

/// What an agent's call waits for: only the person it acts for may connect it.
async fn waiting(
    context: &HttpContext,
    session: &Session,
    interrupt: String,
    return_to: Option<String>,
) -> Result<Asked, ConnectError> {
    let wait = context.gate.find_connect_wait(&interrupt).await?;
    let wait = wait
        .filter(|wait| wait.user == session.user.user_id && wait.is_open)
        .ok_or(ConnectError::Over)?;
    let mut hidden = vec![("i", interrupt.clone())];
    if let Some(return_to) = &return_to {
        hidden.push(("return_to", return_to.clone()));
    }
    Ok(Asked {
        request: ConnectRequest {
            connection: wait.connection,
            scopes: wait.scopes,
            goal: ConnectGoal::Page {
                return_to: return_to.unwrap_or_else(|| CONNECTIONS.to_owned()),
                interrupt: Some(interrupt),
            },
        },
        application: None,
        hidden,
    })
}

/// True for the path of a page of ours: nothing that a browser would take for another host.
fn is_own_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '\\';
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 500
        && path.chars().all(is_plain)
}

pub(crate) fn refused(error: &ConnectError) -> Response {
    let (status, title, text) = match error {
        ConnectError::ConnectionNotFound => (
            StatusCode::NOT_FOUND,
            "No such connection",
            "Nobody has set up a connection of that name here. An administrator can do so.",
        ),
        ConnectError::NotSetUp => (
            StatusCode::CONFLICT,
            "Not set up yet",
            "This connection has no client id. An administrator can set it.",
        ),
        ConnectError::Invalid(_) => (
            StatusCode::BAD_REQUEST,
            "This link is not right",
            "What it asks for cannot be asked of the provider. Nothing was done.",
        ),
        ConnectError::Over | ConnectError::Changed | ConnectError::Refused { .. } => (
            StatusCode::BAD_REQUEST,
            "This link is over",
            "It took too long, was used already, or was made for somebody else. Nothing was done; \
             go back to where it came from and start again.",
        ),
        ConnectError::Unavailable | ConnectError::Store(_) | ConnectError::Internal(_) => {
            tracing::error!(%error, "a connect failed");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available",
                "Accounts cannot be connected right now. Try again in a moment.",
            )
        }
    };
    error_page(status, title, text)
}

/// What a scope allows, where it is known; else its own name has to do.
pub(crate) fn words(strategy: Strategy, scope: &str) -> &'static str {
    match (strategy, scope) {
        (Strategy::GitHub, "public_repo") => "Read and change your public repositories",
        (Strategy::GitHub, "repo") => "Read and change all of your repositories, private ones too",
        (Strategy::GitHub, "gist") => "Create and change Gists in your name",
        (Strategy::GitHub, "read:user") => "Read your profile",
        (Strategy::GitHub, "user:email" | "user") => "Read your email addresses",
        (Strategy::GitHub, "read:org") => "Read which organizations you belong to",
        (_, "openid") => "Know who you are",
        (_, "email") => "See your email address",
        (_, "profile") => "See your name and picture",
        (_, "offline_access") => "Keep this access while you are away",
        (Strategy::Slack, "chat:write") => "Write messages in your name",
        (Strategy::Slack, "search:read") => "Search what you can read",
        (Strategy::Google, scope) if scope.ends_with("/auth/calendar.readonly") => {
            "Read your calendars"
        }
        (Strategy::Google, scope) if scope.ends_with("/auth/calendar") => {
            "Read and change your calendars"
        }
        (Strategy::Google, scope) if scope.ends_with("/auth/gmail.readonly") => "Read your mail",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_returned_to() {
        for own in ["/", "/account", "/chat?id=1", "/console/x/../y"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a b", "x"]
        {
            assert!(!is_own_path(foreign), "{foreign}");
        }
    }
}
