//! What exists from the first start: the client `behalf`, which is the built-in chat's agent, and
//! the store `behalf`, which says what agents may call.

use behalf_authz::{Authz, FgaStoreEntry, TupleEntry};
use behalf_core::Actor;
use behalf_identity::Identity;

use super::ApplyError;
use crate::stages::{BEHALF_MODEL, BEHALF_STORE};
use crate::tool::BUILT_IN_SERVER;

/// The tools that the built-in agent may call from the first start. Every other leave is written
/// by an administrator.
pub const BUILT_IN_TOOLS: [&str; 3] =
    ["searchGitHubRepositories", "createPublicGist", "searchInternalDocuments"];

/// Makes both on the first start. Later starts change nothing: a leave that was taken away stays
/// away.
///
/// # Errors
/// When the store fails.
pub async fn make_built_ins(identity: &Identity, authz: &Authz) -> Result<(), ApplyError> {
    let mut unit = identity.unit();
    if !identity.plan_built_in_agent(&mut unit).await? {
        return Ok(());
    }
    let agent = format!("agent:{}", identity.built_in_agent());
    let entry = FgaStoreEntry {
        id: None,
        name: BEHALF_STORE.to_owned(),
        subject: None,
        semantics: None,
        model: Some(BEHALF_MODEL.to_owned()),
        tuples: BUILT_IN_TOOLS
            .into_iter()
            .map(|name| TupleEntry {
                user: agent.clone(),
                relation: "can_call".to_owned(),
                object: format!("tool:{BUILT_IN_SERVER}/{name}"),
                condition: None,
            })
            .collect(),
    };
    let plan = authz.plan_built_in(&mut unit, &entry, &Actor::System).await?;
    match authz.commit_setup(unit, plan).await {
        // Another node starts at the same moment.
        Err(error) if error.is_conflict("client exists") => Ok(()),
        result => Ok(result?),
    }
}
