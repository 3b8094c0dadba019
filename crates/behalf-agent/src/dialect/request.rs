//! What a chat client posts: which dialect it reads, what was asked, and what it has seen.
//!
//! A client's history is input, never authority. Of it only what people wrote is read, and which
//! parts of the last answer need not be sent again; outputs, approvals and arguments in it are
//! looked at by nobody.

use behalf_verify::sha256_hex;
use serde_json::Value;
use thiserror::Error;

use super::{Dialect, InterruptStyle, Seen};

/// The most messages of one history.
const MESSAGES_MAX: usize = 1_000;
/// The longest text that a person may send, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The longest name of a thread, in bytes.
const THREAD_BYTES_MAX: usize = 200;

/// What cannot be read as a chat, in one sentence for the person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadChat(pub &'static str);

/// What a person wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The client's name for the message, if it gave one.
    pub id: Option<String>,
    /// Her text.
    pub text: String,
}

/// What stands beside the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChatHeaders<'a> {
    /// `x-behalf-ai-sdk`.
    pub sdk: Option<&'a str>,
    /// `x-behalf-interrupts`.
    pub interrupts: Option<&'a str>,
    /// The query's `protocol`.
    pub protocol: Option<&'a str>,
}

/// A chat that was posted.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The client's name for the thread.
    pub thread_id: String,
    /// Everything the person wrote, oldest first; never empty.
    pub written: Vec<Written>,
    /// What the answer is written in.
    pub dialect: Dialect,
    /// How a waiting call is told.
    pub style: InterruptStyle,
    /// What the client has of the last answer.
    pub seen: Seen,
}

impl ChatRequest {
    /// Reads a posted body.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn read(body: &Value, headers: ChatHeaders<'_>) -> Result<Self, BadChat> {
        let messages = body.get("messages").and_then(Value::as_array);
        let messages = messages.ok_or(BadChat("The chat has no list of messages."))?;
        if messages.len() > MESSAGES_MAX {
            return Err(BadChat("The chat has too many messages; start a new one."));
        }
        let dialect = dialect_of(body, messages, headers);
        let written: Vec<Written> = messages
            .iter()
            .filter(|message| role(message) == "user")
            .map(|message| Written { id: text_of(message, "id"), text: written_text(message) })
            .collect();
        let last = written.last().ok_or(BadChat("The chat has no message from you."))?;
        if last.text.trim().is_empty() {
            return Err(BadChat("Your message has no text."));
        }
        if last.text.len() > TEXT_BYTES_MAX {
            return Err(BadChat("Your message is too long; 64 KB are read at most."));
        }
        let thread_id = match text_of(body, "id") {
            Some(id) if id.len() > THREAD_BYTES_MAX || id.chars().any(char::is_control) => {
                return Err(BadChat("The chat's id is too long."));
            }
            Some(id) => id,
            // 3.4 gives its chats no name: the first words do.
            None => {
                let first = written.first().map(|first| first.text.as_str()).unwrap_or_default();
                format!("h_{}", sha256_hex(first.as_bytes()))
            }
        };
        let seen = messages.last().filter(|message| role(message) == "assistant");
        let seen = seen.map(seen_in).unwrap_or_default();
        Ok(Self { thread_id, written, dialect, style: style_of(body, headers), seen })
    }

    /// The digest of what the person wrote: the same history again has the same.
    pub fn history_key(&self) -> String {
        let written: Vec<_> =
            self.written.iter().map(|written| (&written.id, &written.text)).collect();
        sha256_hex(serde_json::json!(written).to_string().as_bytes())
    }
}

fn dialect_of(body: &Value, messages: &[Value], headers: ChatHeaders<'_>) -> Dialect {
    if headers.protocol == Some("text") {
        return Dialect::Text;
    }
    if body.get("trigger").is_some() {
        let said = body.get("sdk").and_then(|sdk| match sdk {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        let said = said.or_else(|| headers.sdk.and_then(|sdk| sdk.trim().parse().ok()));
        let sdk = said.and_then(|sdk| u8::try_from(sdk).ok()).filter(|sdk| matches!(sdk, 6 | 7));
        return Dialect::Ui { sdk };
    }
    Dialect::Data { is_legacy: !messages.iter().any(|message| message.get("parts").is_some()) }
}

fn style_of(body: &Value, headers: ChatHeaders<'_>) -> InterruptStyle {
    let said = body.get("interrupts").and_then(Value::as_str).or(headers.interrupts);
    if said == Some("auth0") { InterruptStyle::Auth0 } else { InterruptStyle::Native }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn text_of(value: &Value, member: &str) -> Option<String> {
    value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A person's text: her parts of kind text, or the content, itself a text or parts.
fn written_text(message: &Value) -> String {
    let parts = message.get("parts").or_else(|| message.get("content"));
    match parts {
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter(|part| part_type(part) == "text");
            let texts: Vec<_> =
                texts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
            texts.join("\n")
        }
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn part_type(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn seen_in(message: &Value) -> Seen {
    let mut seen = Seen::default();
    let parts = message.get("parts").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        match part_type(part) {
            "text" => seen.texts = seen.texts.saturating_add(1),
            "step-start" => seen.steps = seen.steps.saturating_add(1),
            "tool-invocation" => {
                if let Some(invocation) = part.get("toolInvocation") {
                    see_call(&mut seen, invocation, "result");
                }
            }
            kind if kind.starts_with("tool-") || kind == "dynamic-tool" => {
                see_call(&mut seen, part, "output");
            }
            _ => {}
        }
    }
    if parts.is_none() {
        if text_of(message, "content").is_some() {
            seen.texts = 1;
        }
        let invocations = message.get("toolInvocations").and_then(Value::as_array);
        for invocation in invocations.into_iter().flatten() {
            see_call(&mut seen, invocation, "result");
        }
    }
    seen
}

fn see_call(seen: &mut Seen, call: &Value, output: &str) {
    let Some(id) = text_of(call, "toolCallId") else { return };
    let state = call.get("state").and_then(Value::as_str).unwrap_or_default();
    let has_ended = matches!(state, "result" | "output-available" | "output-denied")
        || matches!(state, "output-error");
    // Auth0's libraries put this where the output will be, to say that the call may go on.
    let continues = call
        .get(output)
        .and_then(|output| output.get("continueInterruption"))
        .and_then(Value::as_bool);
    if has_ended && continues != Some(true) {
        seen.outputs.insert(id.clone());
    }
    seen.inputs.insert(id);
}
