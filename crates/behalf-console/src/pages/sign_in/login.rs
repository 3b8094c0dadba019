//! The sign-in page: `#username`, `#password`, "Continue".

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::Secret;
use behalf_http::{BrowserOf, CspSource, HttpContext, PageForm};
use behalf_identity::{Browser, SignInError, SignInPage};
use http::{HeaderValue, StatusCode, header};

use super::{advance, handle, host_of, minutes, refused};
use crate::show;

/// What went wrong, above the form.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    title: &'static str,
    text: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/login.html")]
pub(crate) struct Login {
    application: Option<String>,
    return_host: Option<String>,
    cancel: Option<String>,
    state: String,
    form_token: String,
    username: String,
    error: Option<Problem>,
}

pub(crate) fn samples() -> Vec<Login> {
    let login = Login {
        application: Some("Travel planner".to_owned()),
        return_host: Some("travel.example.com".to_owned()),
        cancel: Some("https://travel.example.com/callback?error=access_denied".to_owned()),
        state: "bhf_si_x".to_owned(),
        form_token: "token".to_owned(),
        username: String::new(),
        error: None,
    };
    let error = Problem {
        title: "That did not match",
        text: "Check the name and the password, then try again.".to_owned(),
    };
    let wrong =
        Login { username: "ann@example.com".to_owned(), error: Some(error), ..login.clone() };
    let own = Login { application: None, return_host: None, cancel: None, ..login.clone() };
    vec![login, wrong, own]
}

impl Login {
    fn new(
        context: &HttpContext,
        browser: &Browser,
        page: &SignInPage,
        state: String,
        username: String,
        error: Option<Problem>,
    ) -> Self {
        Self {
            application: page.client.as_ref().map(|client| client.settings.name.clone()),
            return_host: page.redirect_uri.as_deref().map(host_of),
            cancel: page.cancel.clone(),
            state,
            form_token: context.identity.form_token(browser).unwrap_or_default(),
            username,
            error,
        }
    }
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    let state = handle(query.as_deref());
    let page = match context.identity.sign_in_page(&state, &browser).await {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    if page.must_change_password {
        let location = format!("/u/change-password?state={state}");
        return (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    }
    let username = page.login_hint.clone().unwrap_or_default();
    let target = CspSource::of(page.redirect_uri.as_deref().unwrap_or_default());
    let login = Login::new(&context, &browser, &page, state, username, None);
    show(StatusCode::OK, &login, false, &target)
}

pub(crate) async fn post(
    State(context): State<HttpContext>,
    PageForm { browser, mut fields }: PageForm,
) -> Response {
    let mut take = |name: &str| fields.take(name).unwrap_or_default();
    let (state, username, password) = (take("state"), take("username"), take("password"));
    let password = Secret::new(password);
    let step = context.identity.sign_in(&state, &browser, &username, &password).await;
    let (status, retry_after, problem) = match step {
        Ok(step) => return advance(&context, step, &state),
        Err(SignInError::WrongCredentials) => {
            let text = "Check the name and the password, then try again.".to_owned();
            (StatusCode::BAD_REQUEST, None, Problem { title: "That did not match", text })
        }
        Err(SignInError::TooMany { retry_after }) => {
            let text = format!("Wait {} and try again.", minutes(retry_after));
            let problem = Problem { title: "Too many failed attempts", text };
            (StatusCode::TOO_MANY_REQUESTS, Some(retry_after.as_secs().max(1)), problem)
        }
        Err(SignInError::Blocked) => {
            let text = "Ask an administrator to unblock it.".to_owned();
            (StatusCode::FORBIDDEN, None, Problem { title: "This account is blocked", text })
        }
        Err(error) => return refused(&error),
    };
    let page = match context.identity.sign_in_page(&state, &browser).await {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    let target = CspSource::of(page.redirect_uri.as_deref().unwrap_or_default());
    let login = Login::new(&context, &browser, &page, state, username, Some(problem));
    let mut response = show(status, &login, false, &target);
    if let Some(secs) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}
