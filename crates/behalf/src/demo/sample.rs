//! The sample tenant: who is in it, and what they have written.

use behalf_core::Actor;
use behalf_retrieval::ContentType;

use super::provider::LocalProvider;
use crate::control::import::{self, ImportItem, ImportRequest};
use crate::setup_file::Source;
use crate::wiring::Server;

/// A person of the sample tenant, as the terminal shows her.
#[derive(Debug)]
pub struct Person {
    /// What she signs in with.
    pub username: &'static str,
    /// Her password, as in the set-up file. It opens nothing but a demo on this machine.
    pub password: &'static str,
    /// What makes her worth trying.
    pub about: &'static str,
}

/// Everybody in the sample tenant.
pub const PEOPLE: [Person; 2] = [
    Person {
        username: "ann",
        password: "ann likes tea",
        about: "administrator and auditor; wrote the launch plan and the hiring plan",
    },
    Person {
        username: "ben",
        password: "ben likes cake",
        about: "a plain user; wrote the incident review and the sales playbook",
    },
];

const SETUP: &str = include_str!("setup.yaml");

/// Each with its owner.
const DOCUMENTS: [(&str, &str, &str, &str); 5] = [
    ("ann", "handbook", "Company handbook", include_str!("documents/handbook.md")),
    ("ann", "launch-plan", "Launch plan for Atlas", include_str!("documents/launch-plan.md")),
    ("ann", "hiring-plan", "Hiring plan", include_str!("documents/hiring-plan.md")),
    (
        "ben",
        "incident-review",
        "Outage on 14 October",
        include_str!("documents/incident-review.md"),
    ),
    ("ben", "sales-playbook", "Sales playbook", include_str!("documents/sales-playbook.md")),
];

/// The set-up file with the provider's addresses.
pub fn setup(provider: &LocalProvider) -> Source {
    let options = provider.connection_options("public_repo, gist");
    let text = format!("{SETUP}  - {{name: github, strategy: github, options: {options}}}\n");
    Source { name: "the demo's set-up".to_owned(), text }
}

/// Stores the sample documents that are not there yet.
///
/// # Errors
/// When the store fails.
pub async fn write_documents(server: &Server, actor: &Actor) -> anyhow::Result<()> {
    for (owner, document_id, title, content) in DOCUMENTS {
        if server.retrieval.find_any(document_id).await?.is_none() {
            let item = ImportItem {
                document_id: document_id.to_owned(),
                title: title.to_owned(),
                content_type: ContentType::Markdown.as_str().to_owned(),
                content: content.to_owned(),
            };
            let request = ImportRequest { owner: Some(owner.to_owned()), documents: vec![item] };
            import::import(server, request, actor).await?;
        }
    }
    Ok(())
}
