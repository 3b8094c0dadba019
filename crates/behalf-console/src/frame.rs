//! The frame of pages at work: the rail with what the person may see, and who she is.

use behalf_http::HttpContext;
use behalf_identity::{Browser, Resource, Right, Session, User, right};

/// What the frame shows.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Entries of the rail.
    pub(crate) entries: Vec<Entry>,
    /// Who is signed in.
    pub(crate) user_name: String,
    /// For the forms of the page.
    pub(crate) form_token: String,
}

/// An entry of the rail.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) label: &'static str,
    pub(crate) href: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) is_current: bool,
}

/// True if one of her roles may see the overview.
pub(crate) fn may_see_overview(user: &User) -> bool {
    user.roles.iter().any(|role| right(*role, Resource::Dashboards) >= Right::Read)
}

impl Frame {
    /// The frame of the page at `href`.
    pub(crate) fn new(
        context: &HttpContext,
        session: &Session,
        browser: &Browser,
        href: &str,
    ) -> Self {
        let overview = may_see_overview(&session.user).then_some(("Overview", "/console", "home"));
        let entries = overview
            .into_iter()
            .chain([("Account", "/account", "person")])
            .map(|(label, path, icon)| Entry { label, href: path, icon, is_current: path == href })
            .collect();
        Self {
            entries,
            user_name: session.user.display_name().to_owned(),
            form_token: context.identity.form_token(browser).unwrap_or_default(),
        }
    }
}
