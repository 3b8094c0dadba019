//! Asks whether another party's application may have what it asks for.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_http::{BrowserOf, CspSource, FormError, HttpContext, PageForm, location_of};
use behalf_identity::{Api, Scopes, SignInError};
use http::{StatusCode, header};

use super::{bad_form, handle, host_of, refused};
use crate::show;

/// A scope as the page words it.
#[derive(Clone, Debug)]
pub(crate) struct AskedScope {
    words: String,
    id: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/consent.html")]
pub(crate) struct Consent {
    application: String,
    return_host: String,
    scopes: Vec<AskedScope>,
    user_name: String,
    state: String,
    form_token: String,
}

pub(crate) fn samples() -> Vec<Consent> {
    let scopes = [("openid", "Know who you are"), ("create:gist", "Publish gists in your name")];
    vec![Consent {
        application: "Travel planner".to_owned(),
        return_host: "travel.example.com".to_owned(),
        scopes: scopes.map(|(id, words)| AskedScope { words: words.into(), id: id.into() }).into(),
        user_name: "Ann Example".to_owned(),
        state: "bhf_si_x".to_owned(),
        form_token: "token".to_owned(),
    }]
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
    let session = match context.identity.find_session(&browser).await {
        Ok(Some(session)) => session,
        Ok(None) => return refused(&SignInError::Over),
        Err(error) => return refused(&error.into()),
    };
    let (Some(client), Some(redirect_uri), Some((api, scopes))) =
        (page.client, page.redirect_uri, page.asked)
    else {
        return refused(&SignInError::Over);
    };
    let consent = Consent {
        application: client.settings.name,
        return_host: host_of(&redirect_uri),
        scopes: in_words(api.as_ref(), &scopes),
        user_name: session.user.display_name().to_owned(),
        state,
        form_token: context.identity.form_token(&browser).unwrap_or_default(),
    };
    show(StatusCode::OK, &consent, false, &CspSource::of(&redirect_uri))
}

/// What each scope allows: OpenID Connect's in our words, an API's in its own.
fn in_words(api: Option<&Api>, scopes: &Scopes) -> Vec<AskedScope> {
    let words = |scope: &str| match scope {
        "openid" => "Know that you are you".to_owned(),
        "profile" => "See your name and picture".to_owned(),
        "email" => "See your email address".to_owned(),
        "offline_access" => "Keep this access while you are away".to_owned(),
        scope => api
            .and_then(|api| api.describe_scope(scope))
            .map_or_else(|| "Use the permission".to_owned(), str::to_owned),
    };
    scopes
        .iter()
        .map(|scope| {
            let id = if Scopes::is_openid(scope) { String::new() } else { scope.to_owned() };
            AskedScope { words: words(scope), id }
        })
        .collect()
}

pub(crate) async fn post(
    State(context): State<HttpContext>,
    PageForm { browser, mut fields }: PageForm,
) -> Response {
    let state = fields.take("state").unwrap_or_default();
    let is_allowed = match fields.take("decision").as_deref() {
        Some("allow") => true,
        Some("deny") => false,
        _ => return bad_form(FormError::Malformed),
    };
    match context.identity.decide_consent(&state, &browser, is_allowed).await {
        Ok(next) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, location_of(next))]).into_response()
        }
        Err(error) => refused(&error),
    }
}
