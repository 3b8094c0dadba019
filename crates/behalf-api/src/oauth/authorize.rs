//! The authorization endpoint: by GET or form POST, answered by a redirect or a page.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_http::{BrowserOf, HttpContext, Params, is_foreign, location_of, with_cookie};
use behalf_identity::{AuthorizeError, AuthorizeParams, Browser};
use behalf_store::StoreError;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use url::form_urlencoded;

/// The longest request, in bytes, that is moved from a form into an address: what browsers and
/// proxies take.
const MAX_QUERY: usize = 8 * 1024;

pub(super) async fn get(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    RawQuery(query): RawQuery,
) -> Response {
    authorize(context, browser, query.unwrap_or_default().as_bytes()).await
}

/// OpenID Connect Core §3.1.2.1 asks for both methods. A form from the application's own page is
/// cross-site by nature, and nothing is decided here without our own pages.
pub(super) async fn post(
    State(context): State<HttpContext>,
    BrowserOf(browser): BrowserOf,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A browser keeps its cookie to itself when another site posts. A fresh one would take that
    // one's place and sign her out; by GET the cookie comes along.
    if browser.cookie.is_none() && is_foreign(&headers, context.identity.issuer().origin()) {
        return by_query(&context, &body);
    }
    authorize(context, browser, &body).await
}

/// Sends the browser to the same request by GET.
fn by_query(context: &HttpContext, form: &[u8]) -> Response {
    if let Err(error) = Params::from_urlencoded(form) {
        return refused(context, &AuthorizeError::Invalid(error.to_string()));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(form_urlencoded::parse(form)).finish();
    if query.len() > MAX_QUERY {
        return refused(context, &AuthorizeError::Invalid("it is too long".to_owned()));
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/authorize?{query}"))]).into_response()
}

async fn authorize(context: HttpContext, browser: Browser, text: &[u8]) -> Response {
    let params = match Params::from_urlencoded(text) {
        Ok(params) => authorize_params(params),
        // Never at the redirect address: a repeated parameter may be the redirect address itself.
        Err(error) => return refused(&context, &AuthorizeError::Invalid(error.to_string())),
    };
    let answer = with_cookie(&context, browser, async |browser| {
        let next = context.identity.authorize(params, &browser).await?;
        let headers =
            [(header::LOCATION, location_of(next)), (header::CACHE_CONTROL, "no-store".to_owned())];
        Ok((StatusCode::FOUND, headers))
    });
    answer.await.unwrap_or_else(|error| refused(&context, &error))
}

fn refused(context: &HttpContext, error: &AuthorizeError) -> Response {
    let status = match error {
        AuthorizeError::Store(StoreError::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        AuthorizeError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let text = match error {
        AuthorizeError::Store(error) => {
            tracing::error!(%error, "an authorization request failed");
            "Signing in does not work right now. Try again in a moment.".to_owned()
        }
        refusal => format!("The application's request to sign in is wrong: {refusal}."),
    };
    (context.error_page)(status, "Cannot sign in", &text)
}

fn authorize_params(mut params: Params) -> AuthorizeParams {
    AuthorizeParams {
        client_id: params.take("client_id"),
        redirect_uri: params.take("redirect_uri"),
        response_type: params.take("response_type"),
        response_mode: params.take("response_mode"),
        scope: params.take("scope"),
        audience: params.take("audience"),
        state: params.take("state"),
        nonce: params.take("nonce"),
        code_challenge: params.take("code_challenge"),
        code_challenge_method: params.take("code_challenge_method"),
        prompt: params.take("prompt"),
        max_age: params.take("max_age"),
        login_hint: params.take("login_hint"),
        request: params.take("request"),
        request_uri: params.take("request_uri"),
    }
}
