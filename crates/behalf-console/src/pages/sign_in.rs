//! Pages in passing: sign-in, password, consent, sign-out. They carry no script.

pub(crate) mod change_password;
pub(crate) mod consent;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod message;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use behalf_http::{FormError, HttpContext, Params, SetCookie, location_of};
use behalf_identity::{SignInError, SignInStep};
use behalf_store::StoreError;
use http::{StatusCode, header};

use crate::error_page;

/// The handle in a page's query.
fn handle(query: Option<&str>) -> String {
    Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .ok()
        .and_then(|mut params| params.take("state"))
        .unwrap_or_default()
}

/// The host of an address, as people compare it; the scheme where there is none.
fn host_of(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    match rest.strip_prefix("//") {
        Some(rest) => rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned(),
        None => format!("{scheme}: (an application on this device)"),
    }
}

/// Goes on after a step of the sign-in.
fn advance(context: &HttpContext, step: SignInStep, state: &str) -> Response {
    match step {
        SignInStep::Done { cookie, next } => {
            let location = [(header::LOCATION, location_of(next))];
            (StatusCode::SEE_OTHER, SetCookie::new(context, cookie), location).into_response()
        }
        SignInStep::ChangePassword => {
            let location = format!("/u/change-password?state={state}");
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
        }
    }
}

/// A refusal that ends or interrupts the sign-in, as a page.
fn refused(error: &SignInError) -> Response {
    let (status, title, text) = match error {
        SignInError::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too busy right now",
            "Many people are signing in. Nothing was done; go back and try again in a moment.",
        ),
        SignInError::Store(error) => {
            tracing::error!(%error, "a sign-in failed");
            let status = match error {
                StoreError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let text = "Signing in does not work right now. Try again later.";
            (status, "Cannot sign in", text)
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "This sign-in is over",
            "It took too long, was finished already, or was started in another browser. Go back to \
             the application and start again.",
        ),
    };
    error_page(status, title, text)
}

/// A form that is refused before it is read.
pub(crate) fn bad_form(error: FormError) -> Response {
    error.page(error_page)
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs().div_ceil(60) {
        0 | 1 => "1 minute".to_owned(),
        count => format!("{count} minutes"),
    }
}
