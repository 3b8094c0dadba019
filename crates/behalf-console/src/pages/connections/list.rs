//! `/console/connections`: which providers there are, and how one is added.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use behalf_core::{ConnectionName, Timestamp};
use behalf_http::{CspSource, HttpContext, Person};
use behalf_identity::{Browser, Session};
use behalf_store::StoreError;
use http::StatusCode;

use crate::frame::Frame;
use crate::time::Shown;
use crate::{error_page, show};

/// A connection in the list.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionRow {
    name: String,
    strategy: &'static str,
    client_id: String,
    has_secret: bool,
    token_host: String,
    scopes: Vec<String>,
    accounts: i64,
    since: Shown,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "connections/list.html")]
pub(crate) struct List {
    frame: Frame,
    connections: Vec<ConnectionRow>,
    redirect_uri: String,
}

pub(crate) fn samples() -> Vec<List> {
    let now = Timestamp::from_secs(1_795_507_200);
    let row = ConnectionRow {
        name: "github".to_owned(),
        strategy: "github",
        client_id: "Iv1.8a61f9b3a7aba766".to_owned(),
        has_secret: true,
        token_host: "github.com".to_owned(),
        scopes: vec!["public_repo".to_owned(), "gist".to_owned()],
        accounts: 12,
        since: Shown::new(Timestamp::from_secs(1_795_000_000), now),
    };
    let bare = ConnectionRow {
        name: "wiki".to_owned(),
        strategy: "oauth2",
        has_secret: false,
        scopes: Vec::new(),
        accounts: 0,
        ..row.clone()
    };
    let list = List {
        frame: Frame::sample("/account/connections"),
        connections: vec![row, bare],
        redirect_uri: "https://id.example.com/login/callback".to_owned(),
    };
    vec![list.clone(), List { connections: Vec::new(), ..list }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    match page(&context, &session, &browser).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(error) => {
            tracing::error!(%error, "connections could not be listed");
            let text = "The connections cannot be shown right now. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
) -> Result<List, StoreError> {
    let counts = context.vault.count_accounts().await?;
    let now = context.identity.now();
    let count_of = |name: &ConnectionName| {
        counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count).unwrap_or_default()
    };
    let connections = context.vault.list_connections().await?;
    Ok(List {
        // One entry of the rail leads to both pages.
        frame: Frame::new(context, session, browser, "/account/connections"),
        connections: connections
            .into_iter()
            .map(|connection| ConnectionRow {
                accounts: count_of(&connection.name),
                name: connection.name.to_string(),
                strategy: connection.strategy.as_str(),
                has_secret: connection.has_secret(),
                token_host: connection.token_url.host().to_owned(),
                since: Shown::new(connection.created_at, now),
                client_id: connection.client_id,
                scopes: connection.scope,
            })
            .collect(),
        redirect_uri: context.vault.redirect_uri().to_owned(),
    })
}
