//! Tools as the gate knows them: their name, and what a call of them needs.

use behalf_core::ConnectionName;
use serde::{Deserialize, Serialize};

/// The server of the built-in tools.
pub const BUILT_IN_SERVER: &str = "behalf";

/// A tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The server that offers it; `behalf` for the built-in ones.
    pub server: String,
    /// Its name there.
    pub name: String,
    /// What people call it, e.g. "Create a gist".
    pub title: String,
    /// What it does, for the model.
    pub description: String,
    /// The account that it acts with.
    pub connection: Option<ConnectionNeed>,
    /// What a person has to approve first.
    pub approval: Option<ApprovalNeed>,
    /// What the person herself must be allowed.
    pub resource: ResourceRule,
}

/// A tool acts with the person's account at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionNeed {
    /// Which connection.
    pub connection: ConnectionName,
    /// The provider's scopes that it needs.
    pub scopes: Vec<String>,
}

/// A tool needs an approval for each call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalNeed {
    /// The scope that she approves, e.g. `create:gist`.
    pub scope: String,
    /// Of which API.
    pub audience: String,
}

/// What the person herself must be allowed, beside the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceRule {
    /// The tool reaches no thing of ours.
    None,
    /// The tool finds things and hands over only those that she may see; it checks each itself.
    Filtered,
    /// She must have `relation` to `object_type:<the text of `argument`>` in the store `store`.
    Object {
        /// The authorization store's name.
        store: String,
        /// The relation.
        relation: String,
        /// The object's type.
        object_type: String,
        /// The argument that holds the object's id.
        argument: String,
    },
}

/// What a tool adds to a text that it sends, so that the effect of this call can be told from that
/// of every other when its answer is lost. Approvals show it: it is sent too.
pub fn effect_mark(call_id: &str) -> String {
    let digest = behalf_verify::sha256_hex(call_id.as_bytes());
    format!("[behalf:{}]", digest.get(..12).unwrap_or_default())
}

impl ToolSpec {
    /// The tool in approvals and digests: a built-in one by its name alone, others by
    /// `server/name`. A name holds no slash, so the two never meet.
    pub fn label(&self) -> String {
        if self.server == BUILT_IN_SERVER {
            self.name.clone()
        } else {
            format!("{}/{}", self.server, self.name)
        }
    }

    /// The tool as an object of the authorization store `behalf`; `None` when its names could be
    /// read as something else.
    pub(crate) fn object(&self) -> Option<String> {
        let is_plain = |text: &str| {
            let is_bad = |c: char| c.is_whitespace() || c.is_control() || "/:#*@".contains(c);
            !text.is_empty() && text.len() <= 100 && !text.contains(is_bad)
        };
        (is_plain(&self.server) && is_plain(&self.name))
            .then(|| format!("tool:{}/{}", self.server, self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(server: &str, name: &str) -> ToolSpec {
        ToolSpec {
            server: server.to_owned(),
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            connection: None,
            approval: None,
            resource: ResourceRule::None,
        }
    }

    #[test]
    fn a_tool_of_another_server_never_passes_for_a_built_in_one() {
        assert_eq!(tool("behalf", "createPublicGist").label(), "createPublicGist");
        assert_eq!(tool("mcp", "createPublicGist").label(), "mcp/createPublicGist");
        assert_eq!(
            tool("behalf", "createPublicGist").object().as_deref(),
            Some("tool:behalf/createPublicGist")
        );
        for (server, name) in
            [("x/behalf", "a"), ("behalf", "a/b"), ("", "a"), ("a", ""), ("a", "*"), ("a", "b#c")]
        {
            assert_eq!(tool(server, name).object(), None, "{server} {name}");
        }
    }
}
