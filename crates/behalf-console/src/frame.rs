//! The frame of pages at work: the rail with what the person may see, and who she is.

use behalf_http::HttpContext;
use behalf_identity::{Browser, Resource, Right, Session, User, right};

/// Who sees an entry of the rail.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Everybody who is signed in.
    ByAll,
    /// Whose role may read this.
    By(Resource),
    /// Whose role may not.
    NotBy(Resource),
}

/// The rail, from the top: label, address, icon, who sees it. On a phone the first four stand in
/// the bar, the rest in its menu.
const ENTRIES: &[(&str, &str, &str, Seen)] = &[
    ("Overview", "/console", "home", Seen::By(Resource::Dashboards)),
    ("Overview", "/account/overview", "home", Seen::NotBy(Resource::Dashboards)),
    ("Chat", "/console/chat", "chat", Seen::ByAll),
    ("Approvals", "/account/approvals", "approval", Seen::ByAll),
    ("Traces", "/console/traces", "trace", Seen::ByAll),
    ("Documents", "/console/documents", "document", Seen::ByAll),
    ("Authorization", "/console/authorization", "graph", Seen::By(Resource::Authorization)),
    ("Connections", "/account/connections", "link", Seen::ByAll),
    ("Audit", "/console/audit", "audit", Seen::By(Resource::VerificationRecords)),
    ("Account", "/account", "person", Seen::ByAll),
];

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

/// True if one of her roles may read that.
pub(crate) fn may_read(user: &User, resource: Resource) -> bool {
    user.roles.iter().any(|role| right(*role, resource) >= Right::Read)
}

/// Where her overview is.
pub(crate) fn overview_of(user: &User) -> &'static str {
    if may_read(user, Resource::Dashboards) { "/console" } else { "/account/overview" }
}

impl Frame {
    /// The frame of the page at `path`.
    pub(crate) fn new(
        context: &HttpContext,
        session: &Session,
        browser: &Browser,
        path: &str,
    ) -> Self {
        let may_see = |seen: Seen| match seen {
            Seen::ByAll => true,
            Seen::By(resource) => may_read(&session.user, resource),
            Seen::NotBy(resource) => !may_read(&session.user, resource),
        };
        Self {
            entries: entries(path, may_see),
            user_name: session.user.display_name().to_owned(),
            form_token: context.identity.form_token(browser).unwrap_or_default(),
        }
    }

    /// A frame for samples of the page at `path`, as an administrator sees it.
    pub(crate) fn sample(path: &str) -> Self {
        Self {
            entries: entries(path, |seen| !matches!(seen, Seen::NotBy(_))),
            user_name: "Ann Example".to_owned(),
            form_token: "token".to_owned(),
        }
    }
}

fn entries(path: &str, may_see: impl Fn(Seen) -> bool) -> Vec<Entry> {
    let seen = || ENTRIES.iter().filter(|(.., seen)| may_see(*seen));
    // The page belongs to the entry with the longest address that leads to it.
    let leads = |href: &str| {
        path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let current =
        seen().map(|(_, href, ..)| *href).filter(|href| leads(href)).max_by_key(|href| href.len());
    seen()
        .map(|(label, href, icon, _)| Entry {
            label,
            href,
            icon,
            is_current: current == Some(href),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(path: &str) -> Option<&'static str> {
        let all = entries(path, |seen| !matches!(seen, Seen::NotBy(_)));
        all.into_iter().find(|entry| entry.is_current).map(|entry| entry.href)
    }

    #[test]
    fn a_page_belongs_to_the_entry_that_leads_to_it() {
        assert_eq!(current("/console"), Some("/console"));
        assert_eq!(current("/console/x"), Some("/console"));
        assert_eq!(current("/account/sessions"), Some("/account"));
        assert_eq!(current("/accounting"), None);
    }
}
