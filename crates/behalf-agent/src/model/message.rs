//! What was said, as the log keeps it and as the model is told.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A call as the assistant spoke it, under the id that we gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokenCall {
    /// Our id; the model's own may repeat.
    pub id: String,
    /// The tool's name, as the model said it.
    pub name: String,
    /// The arguments' text, as the model said it.
    pub arguments: String,
}

/// One message of a thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// What the person wrote.
    User {
        /// Her text.
        content: String,
    },
    /// What the model said.
    Assistant {
        /// Its text, which may be empty.
        content: String,
        /// What it wants called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<SpokenCall>,
        /// The documents whose text it had before it: what it says may come from them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<String>,
    },
    /// What a call brought.
    Tool {
        /// The call.
        call_id: String,
        /// Its tool.
        name: String,
        /// The output.
        output: Value,
    },
}

/// The message as chat completions want it.
pub(crate) fn to_wire(message: &Message) -> Value {
    match message {
        Message::User { content } => json!({"role": "user", "content": content}),
        Message::Assistant { content, calls, .. } => {
            let mut wire = Map::new();
            wire.insert("role".into(), "assistant".into());
            wire.insert("content".into(), content.as_str().into());
            if !calls.is_empty() {
                let calls = calls.iter().map(|call| {
                    json!({"id": call.id, "type": "function",
                           "function": {"name": call.name, "arguments": call.arguments}})
                });
                wire.insert("tool_calls".into(), calls.collect());
            }
            Value::Object(wire)
        }
        Message::Tool { call_id, output, .. } => {
            json!({"role": "tool", "tool_call_id": call_id, "content": output.to_string()})
        }
    }
}
