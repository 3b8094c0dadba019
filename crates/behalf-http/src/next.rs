//! Where the browser goes next, as an address.

use axum::response::{IntoResponse, Response};
use behalf_core::Secret;
use behalf_identity::{Browser, Next};

use crate::HttpContext;
use crate::browser::SetCookie;

/// The address of `next`: the application's, or one of our own pages.
pub fn location_of(next: Next) -> String {
    match next {
        Next::Client(uri) => uri,
        Next::Page(path) => path,
        Next::SignIn(handle) => format!("/u/login?state={handle}"),
        Next::Consent(handle) => format!("/u/consent?state={handle}"),
    }
}

/// Makes sure that the browser has a cookie to which things can be bound: mints one for a browser
/// without, and adds it to what `answer` gives.
///
/// # Errors
/// As `answer`.
pub async fn with_cookie<R, E, F>(
    context: &HttpContext,
    mut browser: Browser,
    answer: impl FnOnce(Browser) -> F,
) -> Result<Response, E>
where
    R: IntoResponse,
    F: Future<Output = Result<R, E>>,
{
    let minted: Option<Secret<String>> = match context.identity.form_token(&browser) {
        Some(_) => None,
        None => Some(context.identity.mint_cookie()),
    };
    if let Some(cookie) = &minted {
        browser.cookie = Some(cookie.clone());
    }
    let answer = answer(browser).await?;
    Ok(match minted.map(|cookie| SetCookie::new(context, cookie)) {
        Some(set_cookie) => (set_cookie, answer).into_response(),
        None => answer.into_response(),
    })
}
