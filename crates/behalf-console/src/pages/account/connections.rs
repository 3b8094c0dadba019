//! `/account/connections`: the accounts that she connected, and how to forget one.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{Actor, Timestamp};
use behalf_http::{CspSource, FormError, HttpContext, Params, Person, PersonForm};
use behalf_identity::{Browser, Resource, Session};
use behalf_store::StoreError;
use behalf_vault::{AccountStatus, Revocation};
use http::{StatusCode, header};

use crate::address::with_query;
use crate::frame::{Frame, may_read};
use crate::pages::sign_in::bad_form;
use crate::time::Shown;
use crate::{error_page, show};

const PATH: &str = "/account/connections";

/// A connected account in the list.
#[derive(Clone, Debug)]
pub(crate) struct AccountRow {
    account_id: String,
    /// Where to connect it.
    connect: String,
    title: String,
    name: Option<String>,
    scopes: Vec<String>,
    needs_reconnect: bool,
    since: Shown,
    last_used: Option<Shown>,
}

/// A connection that she has not connected yet.
#[derive(Clone, Debug)]
pub(crate) struct OpenRow {
    /// Where to connect it.
    connect: String,
    title: String,
    host: String,
}

/// What just happened.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    is_ok: bool,
    title: String,
    text: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "account/connections.html")]
pub(crate) struct Connections {
    frame: Frame,
    notice: Option<Notice>,
    accounts: Vec<AccountRow>,
    open: Vec<OpenRow>,
    /// True if she may see how the connections are set up.
    may_administer: bool,
}

pub(crate) fn samples() -> Vec<Connections> {
    let now = Timestamp::from_secs(1_795_507_200);
    let ago = |secs: i64| Shown::new(Timestamp::from_secs(1_795_507_200 - secs), now);
    let github = AccountRow {
        account_id: "cac_1".to_owned(),
        connect: connect("github"),
        title: "GitHub".to_owned(),
        name: Some("octo-ann".to_owned()),
        scopes: vec!["public_repo".to_owned(), "gist".to_owned()],
        needs_reconnect: false,
        since: ago(90_000),
        last_used: Some(ago(300)),
    };
    let slack = AccountRow {
        account_id: "cac_2".to_owned(),
        connect: connect("slack"),
        title: "Slack".to_owned(),
        name: None,
        scopes: Vec::new(),
        needs_reconnect: true,
        since: ago(9_000_000),
        last_used: None,
    };
    let open = OpenRow {
        connect: connect("google"),
        title: "Google".to_owned(),
        host: "accounts.google.com".to_owned(),
    };
    let page = Connections {
        frame: Frame::sample(PATH),
        notice: Some(notice_of_disconnect("GitHub", "failed")),
        accounts: vec![github, slack],
        open: vec![open],
        may_administer: true,
    };
    let empty = Connections {
        notice: None,
        accounts: Vec::new(),
        open: Vec::new(),
        may_administer: false,
        ..page.clone()
    };
    vec![page, empty]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::from_urlencoded(query.unwrap_or_default().as_bytes());
    match page(&context, &session, &browser, params.unwrap_or_default()).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(error) => {
            tracing::error!(%error, "connected accounts could not be listed");
            let text = "Your connected accounts cannot be shown right now. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    mut params: Params,
) -> Result<Connections, StoreError> {
    let connections = context.vault.list_connections().await?;
    let accounts = context.vault.list_accounts(&session.user.user_id).await?;
    let now = context.identity.now();
    // Only names of connections that exist are said back.
    let title_of = |name: &str| {
        let known = connections.iter().find(|known| known.name.as_str() == name);
        known.map(|connection| connection.title().to_owned())
    };
    let connected = params.take("connected").and_then(|name| title_of(&name));
    let disconnected = params.take("disconnected").and_then(|name| title_of(&name));
    let outcome = params.take("revocation").unwrap_or_default();
    let notice = match (connected, disconnected) {
        (Some(title), _) => Some(Notice {
            is_ok: true,
            title: format!("{title} is connected"),
            text:
                "Agents may use it for you, within what you allow here and there. One that waited \
                   for it goes on by itself."
                    .to_owned(),
        }),
        (None, Some(title)) => Some(notice_of_disconnect(&title, &outcome)),
        (None, None) => None,
    };
    let open = connections
        .iter()
        .filter(|known| accounts.iter().all(|account| account.connection != known.name))
        .map(|connection| OpenRow {
            connect: connect(connection.name.as_str()),
            title: connection.title().to_owned(),
            host: connection.authorization_url.host().to_owned(),
        })
        .collect();
    Ok(Connections {
        frame: Frame::new(context, session, browser, PATH),
        notice,
        open,
        may_administer: may_read(&session.user, Resource::IssuerSettings),
        accounts: accounts
            .into_iter()
            .map(|account| AccountRow {
                title: title_of(account.connection.as_str())
                    .unwrap_or_else(|| account.connection.to_string()),
                account_id: account.account_id,
                connect: connect(account.connection.as_str()),
                name: account.provider_name,
                scopes: account.scopes,
                needs_reconnect: account.status == AccountStatus::ReauthorizationRequired,
                since: Shown::new(account.created_at, now),
                last_used: account.last_used_at.map(|at| Shown::new(at, now)),
            })
            .collect(),
    })
}

/// Forgets one of her accounts, and says honestly what the provider did.
pub(crate) async fn disconnect(
    State(context): State<HttpContext>,
    PersonForm { session, mut fields, .. }: PersonForm,
) -> Response {
    let Some(account_id) = fields.take("account_id") else {
        return bad_form(FormError::Malformed);
    };
    let user_id = &session.user.user_id;
    let actor = Actor::User { sub: user_id.to_string() };
    match context.vault.disconnect(user_id, &account_id, &actor).await {
        Ok(Some(done)) => {
            let pairs = [
                ("disconnected", done.account.connection.as_str()),
                ("revocation", done.revocation.as_str()),
            ];
            let location = [(header::LOCATION, with_query(PATH, pairs))];
            (StatusCode::SEE_OTHER, location).into_response()
        }
        Ok(None) => (StatusCode::SEE_OTHER, [(header::LOCATION, PATH)]).into_response(),
        Err(error) => {
            tracing::error!(%error, "an account could not be disconnected");
            let text = "The account is still connected. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

/// Where to connect an account through that connection.
fn connect(connection: &str) -> String {
    with_query("/account/connect", [("connection", connection)])
}

fn notice_of_disconnect(title: &str, outcome: &str) -> Notice {
    if outcome == Revocation::Revoked.as_str() {
        return Notice {
            is_ok: true,
            title: format!("{title} is disconnected"),
            text: format!("The tokens are forgotten here, and {title} has revoked them."),
        };
    }
    let text = if outcome == Revocation::Unsupported.as_str() {
        format!(
            "The tokens are forgotten here. {title} offers no revocation that Behalf can ask for: \
             to be sure, remove Behalf in your settings at {title} too."
        )
    } else {
        format!(
            "The tokens are forgotten here, but {title} did not confirm that it revoked them. \
             Remove Behalf in your settings at {title} too."
        )
    };
    Notice { is_ok: false, title: format!("{title} is disconnected here"), text }
}
