//! Changes for a server that has only OpenFGA's own `Write`: the way back.

use std::collections::BTreeMap;

use anyhow::bail;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::text;
use crate::server_client::{ServerAnswer, ServerCall, ServerClient};

/// Tuples of one write; OpenFGA takes no more unless it is told to.
const WRITE: usize = 100;

/// Takes changes in; of several with one key the last counts. The answer is as `merge` gives it.
///
/// # Errors
/// When the server fails.
pub(super) async fn write(
    target: &ServerClient,
    store: &str,
    changes: &[Value],
) -> anyhow::Result<Value> {
    let mut last: BTreeMap<[&str; 3], (usize, &Value)> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let key = change.get("tuple_key").unwrap_or(&Value::Null);
        last.insert(["user", "relation", "object"].map(|name| text(key, name)), (index, change));
    }
    let (mut done, mut refused) = (0_usize, Vec::new());
    // Without its times a tuple would hold for ever: better that it is not there.
    let is_timed = |change: &Value| {
        let key = change.get("tuple_key").unwrap_or(&Value::Null);
        !is_delete(change)
            && ["not_before", "expires_at"].iter().any(|time| key.get(time).is_some())
    };
    let gone: BTreeMap<usize, Value> = last
        .values()
        .filter(|(_, change)| is_timed(change))
        .map(|(index, change)| (*index, delete_of(change)))
        .collect();
    for index in gone.keys() {
        let reason = "it holds only for a time, which the target cannot say";
        refused.push(json!({"index": index, "reason": reason}));
    }
    let last = last.into_values();
    let last: Vec<(usize, &Value)> =
        last.map(|(index, change)| (index, gone.get(&index).unwrap_or(change))).collect();
    for chunk in last.chunks(WRITE) {
        let all: Vec<&Value> = chunk.iter().map(|(_, change)| *change).collect();
        let answer = send(target, store, &all).await?;
        if answer.status.is_success() {
            done = done.saturating_add(chunk.len());
            continue;
        }
        fails(&answer)?;
        // One has another condition there, or does not fit: each by itself.
        for (index, change) in chunk {
            match one(target, store, change).await? {
                None => done = done.saturating_add(1),
                Some(reason) => refused.push(json!({"index": index, "reason": reason})),
            }
        }
    }
    Ok(json!({"written": done, "refused_count": refused.len(), "refused": refused}))
}

/// Takes one change in; why it does not fit, if it does not.
async fn one(target: &ServerClient, store: &str, change: &Value) -> anyhow::Result<Option<String>> {
    let answer = send(target, store, &[change]).await?;
    if answer.status.is_success() {
        return Ok(None);
    }
    fails(&answer)?;
    let deleted = send(target, store, &[&delete_of(change)]).await?;
    if is_delete(change) {
        // A server that does not know `on_missing` says so when there is nothing to delete.
        let is_missing = deleted.code() == "write_failed_due_to_invalid_input";
        return Ok((!deleted.status.is_success() && !is_missing).then(|| deleted.problem()));
    }
    let answer = send(target, store, &[change]).await?;
    if answer.status.is_success() {
        return Ok(None);
    }
    fails(&answer)?;
    Ok(Some(answer.problem()))
}

fn delete_of(change: &Value) -> Value {
    json!({"operation": "TUPLE_OPERATION_DELETE", "tuple_key": change.get("tuple_key")})
}

fn is_delete(change: &Value) -> bool {
    text(change, "operation") == "TUPLE_OPERATION_DELETE"
}

/// An error unless the server only has something against what was written.
fn fails(answer: &ServerAnswer) -> anyhow::Result<()> {
    match answer.status {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(()),
        _ => bail!("{}", answer.problem()),
    }
}

async fn send(
    target: &ServerClient,
    store: &str,
    changes: &[&Value],
) -> anyhow::Result<ServerAnswer> {
    let keys = |deletes: bool| -> Vec<Value> {
        let these = changes.iter().filter(|change| is_delete(change) == deletes);
        these.filter_map(|change| change.get("tuple_key").cloned()).collect()
    };
    let mut body = Map::new();
    let (writes, mut deletes) = (keys(false), keys(true));
    for key in deletes.iter_mut().filter_map(Value::as_object_mut) {
        key.retain(|name, _| matches!(name.as_str(), "user" | "relation" | "object"));
    }
    if !writes.is_empty() {
        let writes = json!({"tuple_keys": writes, "on_duplicate": "ignore"});
        body.insert("writes".to_owned(), writes);
    }
    if !deletes.is_empty() {
        let deletes = json!({"tuple_keys": deletes, "on_missing": "ignore"});
        body.insert("deletes".to_owned(), deletes);
    }
    target.call(&ServerCall::post(&["stores", store, "write"], &Value::Object(body))).await
}
