//! GitHub's OAuth endpoints: authorize with PKCE, tokens that rotate, revocation.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use behalf_crypto::{opaque, pkce};
use behalf_http::Params;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{IssuedTokens, Shared, pages};

/// An authorization request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) scope: String,
    pub(super) code_challenge: String,
}

impl Asked {
    /// Reads and checks it. A wrong client or redirect address is told to the person and nobody
    /// is sent anywhere.
    fn read(shared: &Shared, params: &mut Params) -> Result<Self, &'static str> {
        let mut take = |name: &str| params.take(name).unwrap_or_default();
        let asked = Self {
            client_id: take("client_id"),
            redirect_uri: take("redirect_uri"),
            state: take("state"),
            scope: take("scope"),
            code_challenge: take("code_challenge"),
        };
        let method = take("code_challenge_method");
        let problem = if asked.client_id != shared.options.client_id {
            "No application has this client id."
        } else if !shared.options.redirect_uris.contains(&asked.redirect_uri) {
            "The redirect address is not one that this application registered."
        } else if asked.state.is_empty() {
            "The request has no state."
        } else if method != "S256" || !pkce::is_challenge(&asked.code_challenge) {
            "The request has no S256 code challenge."
        } else {
            return Ok(asked);
        };
        Err(problem)
    }

    fn back(&self, pairs: &[(&str, &str)]) -> Response {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs).append_pair("state", &self.state);
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        let location = format!("{}{separator}{}", self.redirect_uri, query.finish());
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    }
}

/// `GET /login/oauth/authorize`: who are you, and may this application?
pub(super) async fn authorize(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let Ok(mut params) = Params::from_urlencoded(query.as_bytes()) else {
        return pages::problem(StatusCode::BAD_REQUEST, "The request cannot be read.");
    };
    match Asked::read(&shared, &mut params) {
        Ok(asked) => pages::authorize(&shared, &asked),
        Err(problem) => pages::problem(StatusCode::BAD_REQUEST, problem),
    }
}

/// `POST /login/oauth/authorize`: the page's two buttons.
pub(super) async fn decide(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Ok(mut params) = Params::from_urlencoded(&body) else {
        return pages::problem(StatusCode::BAD_REQUEST, "The form cannot be read.");
    };
    let asked = match Asked::read(&shared, &mut params) {
        Ok(asked) => asked,
        Err(problem) => return pages::problem(StatusCode::BAD_REQUEST, problem),
    };
    if params.take("decision").as_deref() != Some("authorize") {
        return asked.back(&[
            ("error", "access_denied"),
            ("error_description", "The user has denied your application access."),
        ]);
    }
    let login = params.take("login").unwrap_or_default();
    if !shared.options.people.contains(&login) {
        return pages::problem(StatusCode::BAD_REQUEST, "Nobody here has that name.");
    }
    let scopes = scopes(&asked.scope);
    let code = shared.state().authorize(
        &shared.options,
        &login,
        scopes,
        &asked.redirect_uri,
        &asked.code_challenge,
    );
    asked.back(&[("code", &code)])
}

/// `POST /login/oauth/access_token`: always 200, errors too, in the form that `Accept` asks for.
pub(super) async fn access_token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = match Params::from_urlencoded(&body) {
        Ok(mut params) => exchange(&shared, &mut params),
        Err(_unreadable) => refusal("unsupported_grant_type", "The request cannot be read."),
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        let headers = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        return (headers, answer.to_string()).into_response();
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
    }
    ([(header::CONTENT_TYPE, "application/x-www-form-urlencoded")], form.finish()).into_response()
}

fn exchange(shared: &Shared, params: &mut Params) -> Value {
    let mut take = |name: &str| params.take(name).unwrap_or_default();
    let options = &shared.options;
    let is_client = take("client_id") == options.client_id
        && opaque::secrets_equal(
            take("client_secret").as_bytes(),
            options.client_secret.as_bytes(),
        );
    if !is_client {
        let text = "The client_id and/or client_secret passed are incorrect.";
        return refusal("incorrect_client_credentials", text);
    }
    if take("grant_type") == "refresh_token" {
        return match shared.state().rotate(options, &take("refresh_token")) {
            Some((tokens, scopes)) => answer(shared, &tokens, &scopes),
            None => {
                let text = "The refresh token passed is incorrect or expired.";
                refusal("bad_refresh_token", text)
            }
        };
    }
    let (code, redirect_uri, verifier) =
        (take("code"), take("redirect_uri"), take("code_verifier"));
    let Some(code) = shared.state().take_code(&code, shared.now()) else {
        return refusal("bad_verification_code", "The code passed is incorrect or expired.");
    };
    if redirect_uri != code.redirect_uri {
        let text = "The redirect_uri MUST match the registered callback URL for this application.";
        return refusal("redirect_uri_mismatch", text);
    }
    if !pkce::verify(&verifier, &code.challenge) {
        return refusal("bad_verification_code", "The code verifier does not match.");
    }
    let tokens = shared.state().issue(options, &code.login, code.scopes.clone(), None);
    answer(shared, &tokens, &code.scopes)
}

fn answer(shared: &Shared, tokens: &IssuedTokens, scopes: &[String]) -> Value {
    let mut answer = json!({
        "access_token": tokens.access_token.expose(),
        "scope": scopes.join(","),
        "token_type": "bearer",
    });
    if let (Some(refresh_token), Some(lifetime), Value::Object(members)) =
        (&tokens.refresh_token, shared.options.token_lifetime, &mut answer)
    {
        members.insert("expires_in".into(), lifetime.into());
        members.insert("refresh_token".into(), refresh_token.expose().as_str().into());
        members.insert("refresh_token_expires_in".into(), 15_897_600.into());
    }
    answer
}

fn refusal(code: &str, text: &str) -> Value {
    json!({"error": code, "error_description": text})
}

/// `DELETE /applications/{client_id}/grant`: the grant of a token, with all of its tokens.
pub(super) async fn delete_grant(
    State(shared): State<Arc<Shared>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    revoke(&shared, &client_id, &headers, &body, true)
}

/// `DELETE /applications/{client_id}/token`: one token.
pub(super) async fn delete_token(
    State(shared): State<Arc<Shared>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    revoke(&shared, &client_id, &headers, &body, false)
}

fn revoke(
    shared: &Shared,
    client_id: &str,
    headers: &HeaderMap,
    body: &Bytes,
    takes_grant: bool,
) -> Response {
    let options = &shared.options;
    let expected = STANDARD.encode(format!("{}:{}", options.client_id, options.client_secret));
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Basic ")).unwrap_or_default();
    if client_id != options.client_id
        || !opaque::secrets_equal(given.as_bytes(), expected.as_bytes())
    {
        return StatusCode::NOT_FOUND.into_response();
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = body.get("access_token").and_then(Value::as_str).unwrap_or_default();
    if shared.state().revoke_access(token, takes_grant) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        StatusCode::UNPROCESSABLE_ENTITY.into_response()
    }
}

fn scopes(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}
