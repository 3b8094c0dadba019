//! What was said before is said again only while it may be: passages of documents that the person
//! may not read any more, and whatever the model said with them before it, are taken out.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::event::TurnEvent;
use crate::model::{Message, SpokenCall};

/// What stands where something was.
pub const REMOVED: &str = "[removed: access withdrawn]";

/// The documents whose passages an output holds.
pub(crate) fn sources_of(output: &Value) -> impl Iterator<Item = &str> {
    let results = output.get("results").and_then(Value::as_array);
    results.into_iter().flatten().filter_map(|result| result.get("document_id")?.as_str())
}

/// The output without passages of withdrawn documents.
pub(crate) fn output(output: &Value, withdrawn: &BTreeSet<String>) -> Value {
    let mut output = output.clone();
    let results = output.get_mut("results").and_then(Value::as_array_mut);
    for result in results.into_iter().flatten() {
        let document_id = result.get("document_id").and_then(Value::as_str);
        if document_id.is_some_and(|id| withdrawn.contains(id)) {
            *result = REMOVED.into();
        }
    }
    output
}

fn is_tainted(sources: &[String], withdrawn: &BTreeSet<String>) -> bool {
    sources.iter().any(|source| withdrawn.contains(source))
}

fn removed_input() -> Map<String, Value> {
    Map::from_iter([("removed".to_owned(), REMOVED.into())])
}

/// The message as the model may be told it.
pub(crate) fn message(message: &Message, withdrawn: &BTreeSet<String>) -> Message {
    match message {
        Message::Assistant { content, calls, sources } if is_tainted(sources, withdrawn) => {
            let calls = calls.iter().map(|call| SpokenCall {
                arguments: Value::Object(removed_input()).to_string(),
                ..call.clone()
            });
            Message::Assistant {
                content: if content.is_empty() { String::new() } else { REMOVED.to_owned() },
                calls: calls.collect(),
                sources: sources.clone(),
            }
        }
        Message::Tool { call_id, name, output: brought } => Message::Tool {
            call_id: call_id.clone(),
            name: name.clone(),
            output: output(brought, withdrawn),
        },
        other => other.clone(),
    }
}

/// Takes out of a log what the reader may not see any more.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    withdrawn: BTreeSet<String>,
    /// Texts that are left out after their marker was written.
    texts: BTreeSet<String>,
}

impl Redactor {
    pub(crate) const fn new(withdrawn: BTreeSet<String>) -> Self {
        Self { withdrawn, texts: BTreeSet::new() }
    }

    /// The event as it may be shown; `None` when it adds nothing.
    pub(crate) fn event(&mut self, event: &TurnEvent) -> Option<TurnEvent> {
        if self.withdrawn.is_empty() {
            return Some(event.clone());
        }
        match event {
            TurnEvent::TextStart { id, sources } if is_tainted(sources, &self.withdrawn) => {
                self.texts.insert(id.clone());
                Some(event.clone())
            }
            TurnEvent::TextDelta { id, .. } if self.texts.remove(id) => {
                // The first delta becomes the marker; the name stays known for those that follow.
                self.texts.insert(format!("{id}…"));
                Some(TurnEvent::TextDelta { id: id.clone(), delta: REMOVED.to_owned() })
            }
            TurnEvent::TextDelta { id, .. } if self.texts.contains(&format!("{id}…")) => None,
            TurnEvent::ToolInput { call_id, tool, sources, .. }
                if is_tainted(sources, &self.withdrawn) =>
            {
                Some(TurnEvent::ToolInput {
                    call_id: call_id.clone(),
                    tool: tool.clone(),
                    input: removed_input(),
                    sources: sources.clone(),
                })
            }
            TurnEvent::ToolOutput { call_id, output: brought, ending } => {
                Some(TurnEvent::ToolOutput {
                    call_id: call_id.clone(),
                    output: output(brought, &self.withdrawn),
                    ending: *ending,
                })
            }
            other => Some(other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_withdrawn_document_takes_with_it_what_was_said_of_it() {
        let withdrawn = BTreeSet::from(["a".to_owned()]);
        let found = json!({"status": "done", "results": [
            {"document_id": "a", "text": "secret"}, {"document_id": "b", "text": "open"}]});
        let tool = Message::Tool { call_id: "c".into(), name: "x".into(), output: found };
        let Message::Tool { output, .. } = message(&tool, &withdrawn) else { panic!() };
        assert_eq!(output["results"], json!([REMOVED, {"document_id": "b", "text": "open"}]));
        let call = SpokenCall {
            id: "d".into(),
            name: "createPublicGist".into(),
            arguments: "{\"content\":\"secret\"}".into(),
        };
        let said = |sources: &[&str]| Message::Assistant {
            content: "secret".into(),
            calls: vec![call.clone()],
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
        };
        assert!(
            !serde_json::to_string(&message(&said(&["a"]), &withdrawn)).unwrap().contains("secret")
        );
        assert_eq!(message(&said(&["b"]), &withdrawn), said(&["b"]));

        let mut redactor = Redactor::new(withdrawn);
        let text = |delta: &str| TurnEvent::TextDelta { id: "t1".into(), delta: delta.into() };
        let start = TurnEvent::TextStart { id: "t1".into(), sources: vec!["a".into()] };
        redactor.event(&start).unwrap();
        assert_eq!(redactor.event(&text("sec")), Some(text(REMOVED)));
        assert_eq!(redactor.event(&text("ret")), None);
    }
}
