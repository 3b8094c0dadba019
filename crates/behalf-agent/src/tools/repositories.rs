//! `searchGitHubRepositories {query}`: GitHub's search with the person's own account.

use behalf_core::ConnectionName;
use behalf_egress::Egress;
use behalf_gate::{BUILT_IN_SERVER, ConnectionNeed, Effect, ResourceRule, Started, ToolSpec};
use http::Method;
use serde_json::{Value, json};

use super::github::{call, member, read};
use super::text;

/// How many repositories an answer names.
const COUNT: &str = "5";
/// The largest answer that is read, in bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of a description is kept, in characters.
const DESCRIPTION_MAX: usize = 300;

pub(super) fn spec(github: &ConnectionName) -> ToolSpec {
    ToolSpec {
        server: BUILT_IN_SERVER.to_owned(),
        name: "searchGitHubRepositories".to_owned(),
        title: "Search GitHub repositories".to_owned(),
        description: "Searches GitHub for repositories, the most starred first. Use few, plain \
                      search words."
            .to_owned(),
        connection: Some(ConnectionNeed {
            connection: github.clone(),
            scopes: vec!["public_repo".to_owned()],
        }),
        approval: None,
        resource: ResourceRule::None,
    }
}

pub(super) fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["query"], "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 256,
                  "description": "What to search for, e.g. `nextjs ai`"}}})
}

pub(super) async fn run(egress: &Egress, started: &Started) -> Effect {
    match search(egress, started).await {
        Ok(result) => Effect::Done { result },
        // A search that failed has changed nothing, whatever became of its answer.
        Err(Effect::Unknown { reason }) => Effect::NotDone { reason },
        Err(effect) => effect,
    }
}

async fn search(egress: &Egress, started: &Started) -> Result<Value, Effect> {
    let call = call(started, Method::GET, &["search", "repositories"])?
        .query("q", text(&started.arguments, "query"))
        .query("sort", "stars")
        .query("order", "desc")
        .query("per_page", COUNT)
        .bytes_max(BYTES_MAX);
    let answer = read(egress.send(&call).await)?;
    // Some providers err with a 200: only a list of items is a result, be it empty.
    let Some(items) = answer.get("items").and_then(Value::as_array) else {
        let reason = "GitHub's answer could not be read.".to_owned();
        return Err(Effect::NotDone { reason });
    };
    let repositories = items.iter().take(5).map(|item| {
        let about: String = member(item, "description").chars().take(DESCRIPTION_MAX).collect();
        json!({
            "name": member(item, "full_name"),
            "description": about,
            "url": member(item, "html_url"),
            "stars": item.get("stargazers_count").and_then(Value::as_u64).unwrap_or_default(),
            "language": item.get("language").and_then(Value::as_str),
        })
    });
    let repositories: Vec<_> = repositories.collect();
    Ok(json!({"repositories": repositories, "total": answer.get("total_count")}))
}
