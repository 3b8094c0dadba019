//! `createPublicGist {description, content, filename?}`: publishes with the person's own account,
//! once for each approval.
//!
//! GitHub has no idempotency keys, so the description ends with a mark that no other call has. When
//! an answer is lost, the mark says whether the Gist is there; it is never sent a second time.

use std::time::Duration;

use behalf_core::{ConnectionName, Timestamp};
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

/// When a lost Gist is looked for: after each of these pauses, then again and again. GitHub's lists
/// lag behind, so it is looked for at least as long as these take together.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(700), Duration::from_secs(2)];
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// GitHub ends a request after ten seconds. Until then one whose answer was lost may still have its
/// effect, so a Gist that is not there yet says nothing.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
/// How many Gists a page of the list holds, and the pages that are looked through.
const PAGE: (usize, &str) = (100, "100");
const PAGES: [&str; 5] = ["1", "2", "3", "4", "5"];
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
    // Some providers err with a 200: only a Gist with a name and an address is one.
    let unread = || Effect::Unknown { reason: "GitHub's answer could not be read.".to_owned() };
    found(&answer).ok_or_else(unread)
}

fn found(gist: &Value) -> Option<Value> {
    let (id, url) = (member(gist, "id"), member(gist, "html_url"));
    let is_gist = !id.is_empty() && !url.is_empty();
    is_gist.then(|| json!({"id": id, "url": url, "public": true}))
}

/// Looks for the mark among the person's newest Gists.
pub(super) async fn read_back(egress: &Egress, started: &Started, now: Timestamp) -> Effect {
    let still = ARRIVES_WITHIN.saturating_sub(now.since(started.started_at));
    let patience = still.max(LOOKS.iter().sum());
    let (mut waited, mut looks) = (Duration::ZERO, LOOKS.into_iter());
    loop {
        let pause = looks.next().unwrap_or(LOOK_AGAIN);
        tokio::time::sleep(pause).await;
        waited = waited.saturating_add(pause);
        match look(egress, started).await {
            Ok(Some(result)) => return Effect::Done { result },
            Ok(None) if waited >= patience => {
                return Effect::NotDone { reason: "GitHub has no such Gist.".to_owned() };
            }
            Ok(None) => {}
            Err(reason) => return Effect::Unknown { reason },
        }
    }
}

async fn look(egress: &Egress, started: &Started) -> Result<Option<Value>, String> {
    let reason = |effect| match effect {
        Effect::NotDone { reason } | Effect::Unknown { reason } => reason,
        Effect::Done { .. } => String::new(),
    };
    let mark = effect_mark(&started.call_id);
    let (page_len, per_page) = PAGE;
    for page in PAGES {
        let call = call(started, Method::GET, &["gists"]).map_err(reason)?;
        let call = call.query("per_page", per_page).query("page", page).bytes_max(BYTES_MAX);
        let list = read(egress.send(&call).await).map_err(reason)?;
        let list = list.as_array().ok_or("GitHub's list of Gists could not be read.")?;
        if let Some(gist) = list.iter().find(|gist| member(gist, "description").ends_with(&mark)) {
            let unread = || "GitHub's list of Gists could not be read.".to_owned();
            return found(gist).map(Some).ok_or_else(unread);
        }
        if list.len() < page_len {
            return Ok(None);
        }
    }
    Err("The account has more new Gists than can be looked through.".to_owned())
}
