//! The pages, by area.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod authorization;
pub(crate) mod chat;
pub(crate) mod connections;
pub(crate) mod documents;
pub(crate) mod overview;
pub(crate) mod sign_in;
pub(crate) mod traces;

use askama::Template as _;

/// What people call a tool; its own name for one that is not built in.
pub(crate) fn tool_title(tool: &str) -> &str {
    match tool {
        "searchGitHubRepositories" => "Search GitHub repositories",
        "searchInternalDocuments" => "Search internal documents",
        "createPublicGist" => "Create a public Gist",
        other => other,
    }
}

/// Every page rendered with example content, by name: for tests and for looking at them.
pub fn samples() -> Vec<(String, String)> {
    let pages = [
        ("login", sign_in::login::samples().iter().map(|page| page.render()).collect::<Vec<_>>()),
        (
            "change-password",
            sign_in::change_password::samples().iter().map(|p| p.render()).collect(),
        ),
        ("consent", sign_in::consent::samples().iter().map(|page| page.render()).collect()),
        ("message", sign_in::message::samples().iter().map(|page| page.render()).collect()),
        ("logout", sign_in::logout::samples().iter().map(|page| page.render()).collect()),
        ("approvals", account::approvals::samples().iter().map(|page| page.render()).collect()),
        ("approval", account::approval::samples().iter().map(|page| page.render()).collect()),
        ("connect", account::connect::samples().iter().map(|page| page.render()).collect()),
        (
            "account-connections",
            account::connections::samples().iter().map(|page| page.render()).collect(),
        ),
        ("connections", connections::list::samples().iter().map(|page| page.render()).collect()),
        ("account", account::home::samples().iter().map(|page| page.render()).collect()),
        ("chat", chat::chat::samples().iter().map(|page| page.render()).collect()),
        ("traces", traces::list::samples().iter().map(|page| page.render()).collect()),
        ("trace", traces::show::samples().iter().map(|page| page.render()).collect()),
        ("documents", documents::list::samples().iter().map(|page| page.render()).collect()),
        ("document", documents::show::samples().iter().map(|page| page.render()).collect()),
        ("document-upload", documents::upload::samples().iter().map(|p| p.render()).collect()),
        ("stores", authorization::stores::samples().iter().map(|p| p.render()).collect()),
        ("playground", authorization::playground::samples().iter().map(|p| p.render()).collect()),
        ("model", authorization::model::samples().iter().map(|page| page.render()).collect()),
        ("tuples", authorization::tuples::samples().iter().map(|page| page.render()).collect()),
        ("lists", authorization::lists::samples().iter().map(|page| page.render()).collect()),
        ("tests", authorization::tests::samples().iter().map(|page| page.render()).collect()),
        ("changes", authorization::changes::samples().iter().map(|page| page.render()).collect()),
        ("audit", audit::records::samples().iter().map(|page| page.render()).collect()),
        ("record", audit::record::samples().iter().map(|page| page.render()).collect()),
        ("exports", audit::exports::samples().iter().map(|page| page.render()).collect()),
        ("overview", overview::overview::samples().iter().map(|page| page.render()).collect()),
    ];
    let named = pages.into_iter().flat_map(|(name, pages)| {
        pages.into_iter().enumerate().map(move |(index, page)| {
            (format!("{name}-{index}"), page.unwrap_or_else(|error| error.to_string()))
        })
    });
    named.collect()
}
