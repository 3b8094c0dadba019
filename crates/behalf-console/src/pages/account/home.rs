//! `/account`: who you are, and where you are signed in.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_core::{SessionId, Timestamp};
use behalf_http::{CspSource, FormError, HttpContext, Person, PersonForm};
use http::{StatusCode, header};

use crate::frame::Frame;
use crate::pages::sign_in::bad_form;
use crate::time::Shown;
use crate::{error_page, show};

/// A session in the list.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    sid: String,
    browser: String,
    is_this: bool,
    signed_in: Shown,
    ends: Shown,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "account/home.html")]
pub(crate) struct Account {
    frame: Frame,
    name: String,
    email: Option<String>,
    is_email_verified: bool,
    user_id: String,
    roles: Vec<&'static str>,
    sessions: Vec<SessionRow>,
}

pub(crate) fn samples() -> Vec<Account> {
    let now = Timestamp::from_secs(1_795_507_200);
    let session = |sid: &str, browser: &str, is_this, secs: i64| SessionRow {
        sid: sid.to_owned(),
        browser: browser.to_owned(),
        is_this,
        signed_in: Shown::new(Timestamp::from_secs(1_795_507_200 - secs), now),
        ends: Shown::new(Timestamp::from_secs(1_795_507_200 + 600_000 - secs), now),
    };
    let account = Account {
        frame: Frame::sample("/account"),
        name: "Ann Example".to_owned(),
        email: Some("ann@example.com".to_owned()),
        is_email_verified: true,
        user_id: "auth0|ann".to_owned(),
        roles: vec!["administrator", "auditor"],
        sessions: vec![
            session("1", "Firefox on Linux", true, 20),
            session("2", "Safari on iPhone", false, 90_000),
        ],
    };
    let mut plain = account.clone();
    plain.frame.entries.remove(0);
    vec![account, Account { roles: Vec::new(), ..plain }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    let sessions = match context.identity.list_sessions(&session.user).await {
        Ok(sessions) => sessions,
        Err(error) => {
            tracing::error!(%error, "sessions could not be listed");
            let text = "Your sessions cannot be shown right now. Try again in a moment.";
            return error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text);
        }
    };
    let now = context.identity.now();
    let user = &session.user;
    let account = Account {
        frame: Frame::new(&context, &session, &browser, "/account"),
        name: user.display_name().to_owned(),
        email: user.profile.email.clone(),
        is_email_verified: user.profile.email_verified,
        user_id: user.user_id.to_string(),
        roles: user.roles.iter().map(|role| role.as_str()).collect(),
        sessions: sessions
            .iter()
            .map(|row| SessionRow {
                sid: row.sid.to_string(),
                browser: browser_name(&row.user_agent),
                is_this: row.sid == session.sid,
                signed_in: Shown::new(row.auth_time, now),
                ends: Shown::new(row.expires_at, now),
            })
            .collect(),
    };
    show(StatusCode::OK, &account, true, &CspSource::default())
}

/// Ends one of her sessions; this one too, which signs her out.
pub(crate) async fn end_session(
    State(context): State<HttpContext>,
    PersonForm { session, mut fields, .. }: PersonForm,
) -> Response {
    let sid = fields.take("sid").and_then(|sid| sid.parse::<SessionId>().ok());
    let Some(sid) = sid else { return bad_form(FormError::Malformed) };
    match context.identity.end_session(&sid, &session.user.user_id).await {
        Ok(_) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/account")]).into_response(),
        Err(error) => {
            tracing::error!(%error, "a session could not be ended");
            let text = "The session is still open. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

/// What people call the browser that says this of itself; its own words where they are not known.
pub(crate) fn browser_name(user_agent: &str) -> String {
    let find = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
    };
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if user_agent.is_empty() => "Unknown browser".to_owned(),
        _ => user_agent.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_have_names() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser_name(firefox), "Firefox on Linux");
        let safari =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1";
        assert_eq!(browser_name(safari), "Safari on iPhone");
        assert_eq!(browser_name(""), "Unknown browser");
    }
}
