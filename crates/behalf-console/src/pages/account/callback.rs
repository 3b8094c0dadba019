//! `/login/callback`: where every provider sends people back to.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_gate::flows::{self, ConnectEnd, ConnectFailure, ProviderAnswer};
use behalf_http::{BrowserOf, CspSource, HttpContext, Params, Services};
use behalf_vault::ConnectError;
use http::{StatusCode, header};

use super::connect::refused;
use crate::address::with_query;
use crate::pages::sign_in::message::Message;
use crate::show;

/// The trip is bound to this browser's session, so the rule table does not ask her to sign in: a
/// new session would not be the one that set out.
pub(crate) async fn get(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::from_urlencoded(query.unwrap_or_default().as_bytes());
    let Ok(mut params) = params else { return refused(&ConnectError::Over) };
    let answer = ProviderAnswer {
        state: params.take("state").unwrap_or_default(),
        code: params.take("code"),
        error: params.take("error"),
    };
    let session = match context.identity.find_session(&browser).await {
        Ok(Some(session)) => session,
        Ok(None) => return refused(&ConnectError::Over),
        Err(error) => return refused(&error.into()),
    };
    let Services { identity, vault, gate, .. } = &*context;
    match flows::finish_connect(identity, vault, gate, &session, &browser, answer).await {
        Ok(ConnectEnd::Application { location }) => see(location),
        Ok(ConnectEnd::Page { account, return_to }) => {
            let is_list = return_to == "/account/connections";
            let connected = [("connected", account.connection.as_str())];
            see(if is_list { with_query(&return_to, connected) } else { return_to })
        }
        Err(ConnectFailure::Over) => refused(&ConnectError::Over),
        Err(ConnectFailure::Internal(error)) => refused(&error),
        Err(ConnectFailure::Failed {
            connection,
            title,
            return_to,
            interrupt,
            is_denied,
            error,
        }) => {
            // An interrupt knows its connection.
            let what = match &interrupt {
                Some(interrupt) => ("i", interrupt.as_str()),
                None => ("connection", connection.as_str()),
            };
            let again = with_query("/account/connect", [what, ("return_to", &return_to)]);
            failed(&title, is_denied, &error, again)
        }
    }
}

fn failed(title: &str, is_denied: bool, error: &ConnectError, again: String) -> Response {
    let (status, heading, text) = match error {
        _ if is_denied => (
            StatusCode::OK,
            format!("{title} is not connected"),
            format!("You did not allow it at {title}. Nothing was stored."),
        ),
        ConnectError::Unavailable => (
            StatusCode::BAD_GATEWAY,
            format!("{title} does not answer"),
            format!("{title} gave no complete answer, so nothing was connected. Try again."),
        ),
        ConnectError::Refused { code } => (
            StatusCode::BAD_GATEWAY,
            format!("{title} refused"),
            format!(
                "Nothing was connected. If it happens again, tell an administrator what {title} \
                 answered: {code}"
            ),
        ),
        _ => (
            StatusCode::CONFLICT,
            format!("{title} is not connected"),
            "The account was changed at the same moment, so nothing was stored. Try again.".into(),
        ),
    };
    let action = Some(("Try again".to_owned(), again));
    show(status, &Message { title: heading, text, action }, false, &CspSource::default())
}

fn see(location: String) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
