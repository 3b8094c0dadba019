//! From an event to the bytes of its leaf: compact RFC 8785 JSON of at most 4 KiB.
//!
//! `{"actor":…,"facts":…,"id":…,"log":…,"project":…,"ts":…,"type":…,"v":1}`. An event always
//! becomes a leaf: numbers that two readers could take for two values become strings, and facts
//! that are too long are replaced by their digest.

use behalf_core::Actor;
use behalf_store::outbox::OutboxRow;
use behalf_verify::canonical_json::{format_double, to_canonical};
use behalf_verify::sha256_hex;
use serde_json::{Map, Value, json};

/// The longest entry.
pub const ENTRY_BYTES_MAX: usize = 4096;

/// The largest integer up to which doubles hold every integer.
const EXACT_MAX: u64 = 1 << 53;

/// What facts may take of an entry: the rest (ids, actor, names) is bounded by the lengths of ids.
const FACTS_BYTES_MAX: usize = 2560;

/// The entry of `event` in the log named `origin`.
pub(crate) fn entry(event: &OutboxRow, origin: &str) -> String {
    let facts = match serde_json::from_str(&event.facts) {
        Ok(Value::Object(facts)) => facts,
        // Not what the outbox wrote, but whatever it is, it is recorded.
        _ => Map::from_iter([("unreadable_sha256".to_owned(), digest(&event.facts))]),
    };
    let actor = match serde_json::from_str::<Value>(&event.actor) {
        Ok(actor) if actor.is_object() => exact(actor),
        _ => json!({"type": "unreadable", "sha256": sha256_hex(event.actor.as_bytes())}),
    };
    let leaf = json!({
        "v": 1,
        "type": event.kind,
        "log": origin,
        "project": event.project_id,
        "id": event.event_id,
        "ts": event.at.to_rfc3339(),
        "actor": actor,
        "facts": fitting(facts),
    });
    // Everything in it is exact and shallow by now, so it has a canonical form.
    to_canonical(&leaf).unwrap_or_else(|_inexact| leaf.to_string())
}

/// The id by which the actor's records are found.
pub(crate) fn actor_id(event: &OutboxRow) -> String {
    serde_json::from_str::<Actor>(&event.actor).map_or_else(|_| String::new(), |actor| actor.id())
}

/// Facts that fit: the longest are replaced by their digest until the rest does.
fn fitting(facts: Map<String, Value>) -> Value {
    let mut facts: Map<String, Value> =
        facts.into_iter().map(|(name, value)| (name, exact(value))).collect();
    for _ in 0..=facts.len() {
        // Nested as deeply as they will stand in the entry.
        let nested = json!([[facts]]);
        if to_canonical(&nested).is_ok_and(|text| text.len() <= FACTS_BYTES_MAX) {
            return Value::Object(facts);
        }
        let len = |value: &Value| text(value).len();
        if let Some((_, longest)) = facts.iter_mut().max_by_key(|(_, value)| len(value)) {
            *longest = omitted(longest);
        }
    }
    // Even the digests do not fit: one for all of them.
    omitted(&Value::Object(facts))
}

fn omitted(value: &Value) -> Value {
    let whole = text(value);
    json!({"omitted_sha256": digest(&whole), "omitted_bytes": whole.len()})
}

/// The value with every number exact: what a double could round is a string.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match (magnitude, number.as_f64()) {
                (Some(magnitude), _) if magnitude <= EXACT_MAX => Value::Number(number),
                (None, Some(double)) if double.is_finite() => Value::String(format_double(double)),
                _ => Value::String(number.to_string()),
            }
        }
        Value::Array(items) => Value::Array(items.into_iter().map(exact).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, exact(value))).collect())
        }
        other => other,
    }
}

fn text(value: &Value) -> String {
    to_canonical(value).unwrap_or_else(|_too_deep| value.to_string())
}

fn digest(text: &str) -> Value {
    Value::String(sha256_hex(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use behalf_core::Timestamp;
    use behalf_verify::canonical_json::is_canonical;

    fn event(facts: &Value) -> OutboxRow {
        OutboxRow {
            tenant_id: "default".to_owned(),
            event_id: "01JDEXAMPLE0000000000000AA00".to_owned(),
            project_id: "default".to_owned(),
            kind: "user.created".to_owned(),
            actor: r#"{"type":"user","sub":"auth0|ann"}"#.to_owned(),
            facts: facts.to_string(),
            at: Timestamp::from_secs(1_795_507_200),
        }
    }

    #[test]
    fn an_entry_is_canonical_and_says_who_did_what_when() {
        let entry = entry(&event(&json!({"user_id": "auth0|bob", "count": 3})), "log.example/a");
        assert_eq!(
            entry,
            r#"{"actor":{"sub":"auth0|ann","type":"user"},"facts":{"count":3,"user_id":"auth0|bob"},"id":"01JDEXAMPLE0000000000000AA00","log":"log.example/a","project":"default","ts":"2026-11-24T08:00:00.000000Z","type":"user.created","v":1}"#
        );
        assert!(is_canonical(&entry));
    }

    #[test]
    fn numbers_that_a_double_rounds_are_strings() {
        let facts = json!({"cost": 0.5, "big": u64::MAX, "low": i64::MIN, "exact": 1_u64 << 53});
        let entry = entry(&event(&facts), "log.example/a");
        assert!(entry.contains(
            r#""big":"18446744073709551615","cost":"0.5","exact":9007199254740992,"low":"-9223372036854775808""#
        ), "{entry}");
        assert!(is_canonical(&entry));
    }

    #[test]
    fn whatever_the_facts_are_the_entry_is_canonical_and_short() {
        let mut deep = json!(1);
        for _ in 0..125 {
            deep = json!([deep]);
        }
        let many: Map<String, Value> =
            (0..500).map(|n| (format!("fact_{n}"), json!("x".repeat(20)))).collect();
        for facts in [
            json!({"changes": vec!["user `a` created"; 1000], "kept": "yes"}),
            json!({"deep": deep, "kept": "yes"}),
            json!({"controls": "\u{1}".repeat(2000), "kept": "yes"}),
            Value::Object(many),
            json!("not an object"),
        ] {
            let entry = entry(&event(&facts), "log.example/a");
            assert!(entry.len() <= ENTRY_BYTES_MAX, "{} bytes", entry.len());
            assert!(is_canonical(&entry), "{entry}");
            assert!(!facts.to_string().contains("kept") || entry.contains(r#""kept":"yes""#));
        }
    }
}
