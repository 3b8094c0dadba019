//! Replaces a one-time password before the first sign-in goes on.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use behalf_core::Secret;
use behalf_http::{BrowserOf, CspSource, HttpContext, PageForm};
use behalf_identity::{Browser, SignInError};
use http::StatusCode;

use super::{advance, handle, refused};
use crate::show;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/change_password.html")]
pub(crate) struct ChangePassword {
    state: String,
    form_token: String,
    error: Option<String>,
}

pub(crate) fn samples() -> Vec<ChangePassword> {
    let page = ChangePassword { state: "bhf_si_x".into(), form_token: "token".into(), error: None };
    let error = Some("Use at least 10 characters.".to_owned());
    vec![page.clone(), ChangePassword { error, ..page }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    page(&context, &browser, handle(query.as_deref()), None).await
}

async fn page(
    context: &HttpContext,
    browser: &Browser,
    state: String,
    error: Option<String>,
) -> Response {
    let page = match context.identity.sign_in_page(&state, browser).await {
        Ok(page) if page.must_change_password => page,
        Ok(_) => return refused(&SignInError::Over),
        Err(error) => return refused(&error),
    };
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let target = CspSource::of(page.redirect_uri.as_deref().unwrap_or_default());
    let form_token = context.identity.form_token(browser).unwrap_or_default();
    show(status, &ChangePassword { state, form_token, error }, false, &target)
}

pub(crate) async fn post(
    State(context): State<HttpContext>,
    PageForm { browser, mut fields }: PageForm,
) -> Response {
    let mut take = |name: &str| fields.take(name).unwrap_or_default();
    let (state, password, repeated) = (take("state"), take("password"), take("repeated"));
    let (password, repeated) = (Secret::new(password), Secret::new(repeated));
    match context.identity.change_password(&state, &browser, &password, &repeated).await {
        Ok(step) => advance(&context, step, &state),
        Err(SignInError::Password(problem)) => {
            let mut text = problem.to_string();
            text.push('.');
            page(&context, &browser, state, Some(capitalised(&text))).await
        }
        Err(error) => refused(&error),
    }
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}
