//! `createPublicGist {description, content, filename?}`: publishes with the person's own account,
//! once for each approval.
//!
//! GitHub has no idempotency keys, so the description ends with a mark that no other call has. When
//! an answer is lost, the mark says whether the Gist is there; it is never sent a second time.

use std::time::Duration;

use behalf_core::ConnectionName;
use behalf_egress::{Body, Egress};
use behalf_gate::{
    ApprovalNeed, BUILT_IN_SERVER, ConnectionNeed, Effect, ResourceRule, Started, ToolSpec,
    effect_mark,
};
use http::Method;
use serde_json::{Value, json};

use super::github::{call, member, read};
use super::schema::FILE_NAME;
use super::text;

/// How often a lost Gist is looked for, and how long after each look the next one comes: GitHub's
/// lists lag behind.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(700), Duration::from_secs(2)];
/// The newest Gists that are looked through.
const PAGE: &str = "100";
/// The largest list that is read, in bytes.
const BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) fn spec(github: &ConnectionName, audience: &str) -> ToolSpec {
    ToolSpec {
        server: BUILT_IN_SERVER.to_owned(),
        name: "createPublicGist".to_owned(),
        title: "Create a public Gist".to_owned(),
        description: "Publishes a public Gist on GitHub. The person is asked to approve exactly \
                      what will be sent; a short mark is added to the description."
            .to_owned(),
        connection: Some(ConnectionNeed {
            connection: github.clone(),
            scopes: vec!["gist".to_owned()],
        }),
        approval: Some(ApprovalNeed {
            scope: "create:gist".to_owned(),
            audience: audience.to_owned(),
        }),
        resource: ResourceRule::None,
    }
}

pub(super) fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false,
        "required": ["description", "content"], "properties": {
        "description": {"type": "string", "maxLength": 256, "description": "The Gist's title"},
        "content": {"type": "string", "minLength": 1, "maxLength": 100_000,
                    "description": "The text of its one file"},
        "filename": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": FILE_NAME,
                     "default": "note.md", "description": "The file's name"}}})
}

pub(super) async fn run(egress: &Egress, started: &Started) -> Effect {
    match publish(egress, started).await {
        Ok(result) => Effect::Done { result },
        Err(effect) => effect,
    }
}

async fn publish(egress: &Egress, started: &Started) -> Result<Value, Effect> {
    let arguments = &started.arguments;
    let mark = effect_mark(&started.call_id);
    let description = format!("{} {mark}", text(arguments, "description"));
    let body = json!({
        "description": description.trim_start(),
        "public": true,
        "files": {text(arguments, "filename"): {"content": text(arguments, "content")}},
    });
    let call = call(started, Method::POST, &["gists"])?.body(Body::Json(&body));
    let answer = read(egress.send(&call).await)?;
    Ok(found(&answer))
}

fn found(gist: &Value) -> Value {
    json!({"id": member(gist, "id"), "url": member(gist, "html_url"), "public": true})
}

/// Looks for the mark among the person's newest Gists.
pub(super) async fn read_back(egress: &Egress, started: &Started) -> Effect {
    let mut last = None;
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        match look(egress, started).await {
            Ok(Some(result)) => return Effect::Done { result },
            Ok(None) => last = Some(()),
            Err(reason) => return Effect::Unknown { reason },
        }
    }
    match last {
        Some(()) => Effect::NotDone { reason: "GitHub has no such Gist.".to_owned() },
        None => Effect::Unknown { reason: "Nobody has looked yet.".to_owned() },
    }
}

async fn look(egress: &Egress, started: &Started) -> Result<Option<Value>, String> {
    let reason = |effect| match effect {
        Effect::NotDone { reason } | Effect::Unknown { reason } => reason,
        Effect::Done { .. } => String::new(),
    };
    let call = call(started, Method::GET, &["gists"]).map_err(reason)?;
    let call = call.query("per_page", PAGE).bytes_max(BYTES_MAX);
    let list = read(egress.send(&call).await).map_err(reason)?;
    let list = list.as_array().ok_or("GitHub's list of Gists could not be read.")?;
    let mark = effect_mark(&started.call_id);
    let gist = list.iter().find(|gist| member(gist, "description").ends_with(&mark));
    Ok(gist.map(found))
}
