//! Signing out: for applications by `/v2/logout` and `/oidc/logout`, for people by a button.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_http::{BrowserOf, CspSource, HttpContext, PageForm, Params, ParamsError, SetCookie};
use behalf_identity::{LogoutError, LogoutOutcome, LogoutRequest};
use behalf_store::StoreError;
use http::{StatusCode, header};

use super::message::Message;
use crate::{error_page, show};

/// Asks whether to sign out.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/logout.html")]
pub(crate) struct ConfirmLogout {
    form_token: String,
    hidden: Vec<(&'static str, String)>,
}

pub(crate) fn samples() -> Vec<ConfirmLogout> {
    vec![ConfirmLogout {
        form_token: "token".to_owned(),
        hidden: vec![("client_id", "web".to_owned())],
    }]
}

/// `/v2/logout?client_id&returnTo`, as Auth0's libraries call it.
pub(crate) async fn v2(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    let request = match parse(query.as_deref(), "returnTo") {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    answer(&context, context.identity.logout(&request, &browser).await)
}

/// OpenID Connect RP-Initiated Logout.
pub(crate) async fn oidc(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    let request = match parse(query.as_deref(), "post_logout_redirect_uri") {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    match context.identity.rp_initiated_logout(&request, &browser, false).await {
        Ok(LogoutOutcome::Confirm) => {
            let target = CspSource::of(request.return_to.as_deref().unwrap_or_default());
            let form_token = context.identity.form_token(&browser).unwrap_or_default();
            let members = [
                ("client_id", request.client_id),
                ("post_logout_redirect_uri", request.return_to),
                ("state", request.state),
            ];
            let hidden =
                members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            show(StatusCode::OK, &ConfirmLogout { form_token, hidden }, false, &target)
        }
        outcome => answer(&context, outcome),
    }
}

/// The answer to [`ConfirmLogout`].
pub(crate) async fn confirm(
    State(context): State<HttpContext>,
    PageForm { browser, fields }: PageForm,
) -> Response {
    let request = request(fields, "post_logout_redirect_uri");
    answer(&context, context.identity.rp_initiated_logout(&request, &browser, true).await)
}

/// The button in the rail.
pub(crate) async fn sign_out(
    State(context): State<HttpContext>,
    PageForm { browser, .. }: PageForm,
) -> Response {
    answer(&context, context.identity.logout(&LogoutRequest::default(), &browser).await)
}

fn parse(query: Option<&str>, return_to: &str) -> Result<LogoutRequest, ParamsError> {
    Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map(|params| request(params, return_to))
}

fn request(mut params: Params, return_to: &str) -> LogoutRequest {
    LogoutRequest {
        client_id: params.take("client_id"),
        return_to: params.take(return_to),
        id_token_hint: params.take("id_token_hint"),
        logout_hint: params.take("logout_hint"),
        state: params.take("state"),
    }
}

fn malformed(error: &ParamsError) -> Response {
    let text = format!(
        "The application's request to sign out is wrong: {error}. You are still signed in."
    );
    error_page(StatusCode::BAD_REQUEST, "Cannot sign out", &text)
}

fn answer(context: &HttpContext, outcome: Result<LogoutOutcome, LogoutError>) -> Response {
    match outcome {
        Ok(LogoutOutcome::Redirect(location)) => {
            let location = [(header::LOCATION, location)];
            (StatusCode::FOUND, SetCookie::removal(context), location).into_response()
        }
        Ok(LogoutOutcome::SignedOut | LogoutOutcome::Confirm) => {
            let message = Message {
                title: "You are signed out".to_owned(),
                text: "Your session in this browser is over.".to_owned(),
                action: Some(("Sign in again".to_owned(), "/".to_owned())),
            };
            let page = show(StatusCode::OK, &message, false, &CspSource::default());
            (SetCookie::removal(context), page).into_response()
        }
        Err(LogoutError::Store(error)) => {
            tracing::error!(%error, "a sign-out failed");
            let status = match error {
                StoreError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let text = "You may still be signed in. Try again in a moment.";
            error_page(status, "Cannot sign out", text)
        }
        Err(error) => {
            let text = format!(
                "The application's request to sign out is wrong: {error}. You are still signed in."
            );
            error_page(StatusCode::BAD_REQUEST, "Cannot sign out", &text)
        }
    }
}
