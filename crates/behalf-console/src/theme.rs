//! Light, dark, or as the system says: a choice of the browser's, kept in a cookie of its own that
//! says nothing about who signed in.
//!
//! Every page shows it and none decides it, so it goes with the request's task, not with each page.

use axum::response::{IntoResponse, Response};
use behalf_http::{FormError, HttpContext, PageForm};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::pages::sign_in::bad_form;

/// The cookie's name.
const COOKIE: &str = "behalf-theme";
/// How long the choice lasts, in seconds: a year.
const MAX_AGE: u32 = 31_536_000;

tokio::task_local! {
    static CURRENT: Theme;
}

/// How pages look in this browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The choice that a request's headers carry.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs =
            lines.flat_map(|line| line.split(';')).filter_map(|p| p.trim().split_once('='));
        let found = pairs.find(|(name, _)| *name == COOKIE).and_then(|(_, v)| Self::from_text(v));
        found.unwrap_or(Self::System)
    }

    /// The pages that are rendered during `answer` look like this.
    pub fn during<F: Future>(self, answer: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, answer)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == text)
    }
}

/// A choice as the switch shows it: value, label, icon, chosen.
pub(crate) type Choice = (&'static str, &'static str, &'static str, bool);

/// The choices, for the switch.
pub(crate) fn choices() -> [Choice; 3] {
    let current = current();
    [("system", "System", "half"), ("light", "Light", "sun"), ("dark", "Dark", "moon")]
        .map(|(value, label, icon)| (value, label, icon, value == current))
}

/// The theme of the page that is being rendered.
pub(crate) fn current() -> &'static str {
    CURRENT.try_with(|theme| theme.as_str()).unwrap_or("system")
}

/// `POST /account/theme`: keeps the choice and goes back to the page that it was made on.
pub(crate) async fn choose(
    axum::extract::State(context): axum::extract::State<HttpContext>,
    headers: HeaderMap,
    PageForm { mut fields, .. }: PageForm,
) -> Response {
    let theme = fields.take("theme").and_then(|text| Theme::from_text(&text));
    let Some(theme) = theme else { return bad_form(FormError::Malformed) };
    let issuer = context.identity.issuer();
    let secure = if issuer.is_https() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}",
        theme.as_str()
    );
    let cookie = HeaderValue::from_str(&cookie);
    let location = came_from(&headers, issuer.origin());
    match (cookie, HeaderValue::from_str(&location)) {
        (Ok(cookie), Ok(location)) => {
            let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, location)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The path of our own page that a form was sent from.
fn came_from(headers: &HeaderMap, origin: &str) -> String {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let path = referer.and_then(|referer| referer.strip_prefix(origin));
    let is_own =
        |path: &&str| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
    path.filter(is_own).unwrap_or("/account").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_choice_is_one_of_three_words() {
        let theme = |cookie| Theme::of(&headers(header::COOKIE, cookie)).as_str();
        assert_eq!(theme("behalf=x; behalf-theme=dark"), "dark");
        assert_eq!(theme("behalf-theme=\"><script>"), "system");
        assert_eq!(theme("behalf=dark"), "system");
    }

    #[test]
    fn a_choice_leads_back_to_our_own_pages_only() {
        let origin = "https://behalf.test";
        let back = |referer| came_from(&headers(header::REFERER, referer), origin);
        assert_eq!(back("https://behalf.test/console?x=1"), "/console?x=1");
        assert_eq!(back("https://behalf.test.evil.example/"), "/account");
        assert_eq!(back("https://behalf.test//evil.example/"), "/account");
        assert_eq!(came_from(&HeaderMap::new(), origin), "/account");
    }
}
