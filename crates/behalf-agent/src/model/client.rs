//! One model call: chat completions, streamed, put together from deltas.
//!
//! A call either ends whole, with the model's own finish, or it is an error; what a broken stream
//! asked for is never executed.

use std::time::Duration;

use behalf_egress::{Body, Call, Egress, EgressError};
use futures_util::StreamExt as _;
use http::{Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::ModelEndpoint;
use super::sse::{SseError, SseParser};

/// The largest answer, in bytes on the wire.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest text and the longest arguments of one call, in bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// The most calls in one answer.
const CALLS_MAX: usize = 16;
/// How long an answer may take in all; silence is bounded below.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);
/// How much of an error's body is kept for the log.
const ERROR_BYTES_MAX: usize = 2_000;

/// Tokens that a call cost, as the model counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl Usage {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

/// A call as the model said it: nothing of it is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SaidCall {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Completion {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<SaidCall>,
    pub(crate) finish_reason: String,
    pub(crate) usage: Usage,
}

/// The model gave no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ModelError {
    /// It cannot be reached, or the connection broke.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with an error.
    #[error("the model refused with status {status}: {said}")]
    Refused { status: u16, said: String },
    /// Its answer is not a stream of chat completion chunks.
    #[error("the model's answer cannot be read: {0}")]
    Unreadable(String),
    /// The stream ended before the model had finished.
    #[error("the model's answer broke off")]
    BrokeOff,
    /// It took longer than an answer may.
    #[error("the model took longer than {} seconds", ANSWER_TIMEOUT.as_secs())]
    TooSlow,
    /// It said more than an answer may hold.
    #[error("the model's answer is too large: {0}")]
    TooLarge(&'static str),
}

impl ModelError {
    /// What the person is told: what happened and what she can do, without the model's words.
    pub(crate) const fn sentence(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "The model cannot be reached right now. Ask again in a moment.",
            Self::Refused { .. } => "The model refused to answer. Ask again in a moment.",
            Self::Unreadable(_) => "The model's answer could not be read. Ask again.",
            Self::BrokeOff => "The model's answer broke off. Nothing more was done; ask again.",
            Self::TooSlow => "The model took too long. Nothing more was done; ask again.",
            Self::TooLarge(_) => "The model's answer was too large. Ask for less.",
        }
    }

    /// The error's name in spans and records.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "model_unreachable",
            Self::Refused { .. } => "model_refused",
            Self::Unreadable(_) => "model_unreadable",
            Self::BrokeOff => "model_broke_off",
            Self::TooSlow => "model_too_slow",
            Self::TooLarge(_) => "model_too_large",
        }
    }
}

impl From<EgressError> for ModelError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::TooLarge { .. } => Self::TooLarge("the stream"),
            EgressError::NotSent(_) | EgressError::NoAnswer(_) => {
                Self::Unreachable(error.to_string())
            }
        }
    }
}

impl From<SseError> for ModelError {
    fn from(error: SseError) -> Self {
        match error {
            SseError::TooLong => Self::TooLarge("an event"),
            SseError::NotUtf8 => Self::Unreadable(error.to_string()),
        }
    }
}

/// Asks one model.
#[derive(Clone, Debug)]
pub(crate) struct ModelClient {
    egress: Egress,
    endpoint: ModelEndpoint,
}

impl ModelClient {
    pub(crate) const fn new(egress: Egress, endpoint: ModelEndpoint) -> Self {
        Self { egress, endpoint }
    }

    pub(crate) const fn endpoint(&self) -> &ModelEndpoint {
        &self.endpoint
    }

    /// Asks with `messages` and `tools` as the wire has them; `on_text` hears the text as it comes.
    pub(crate) async fn complete(
        &self,
        messages: &[Value],
        tools: &[Value],
        on_text: impl FnMut(&str) + Send,
    ) -> Result<Completion, ModelError> {
        let asked = self.ask(messages, tools, on_text);
        let said = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
        said.unwrap_or(Err(ModelError::TooSlow)).map_err(|error| {
            match (error, &self.endpoint.key) {
                // What a refusal quotes goes to the log, and some quote the key.
                (ModelError::Refused { status, said }, Some(key)) if !key.expose().is_empty() => {
                    ModelError::Refused { status, said: said.replace(key.expose(), "[key]") }
                }
                (error, _) => error,
            }
        })
    }

    async fn ask(
        &self,
        messages: &[Value],
        tools: &[Value],
        mut on_text: impl FnMut(&str) + Send,
    ) -> Result<Completion, ModelError> {
        let body = json!({
            "model": self.endpoint.name,
            "messages": messages,
            "tools": tools,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let address = self.endpoint.url.below(&["chat", "completions"]);
        let mut call = Call::new(Method::POST, address)
            .header(header::ACCEPT, "text/event-stream")
            .body(Body::Json(&body))
            .bytes_max(ANSWER_BYTES_MAX);
        if let Some(key) = &self.endpoint.key {
            call = call.bearer(key);
        }
        let answer = self.egress.stream(&call).await?;
        let status = answer.status;
        let media = answer.headers.get(header::CONTENT_TYPE);
        let media = media.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut chunks = answer.into_chunks();
        if !status.is_success() {
            let mut said = Vec::new();
            while let Some(Ok(chunk)) = chunks.next().await {
                said.extend_from_slice(&chunk);
                if said.len() >= ERROR_BYTES_MAX {
                    break;
                }
            }
            said.truncate(ERROR_BYTES_MAX);
            let said = String::from_utf8_lossy(&said).into_owned();
            return Err(ModelError::Refused { status: status.as_u16(), said });
        }
        if !media.trim_start().to_ascii_lowercase().starts_with("text/event-stream") {
            return Err(ModelError::Unreadable(format!("it is `{media}`, not an event stream")));
        }
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let mut assembly = Assembly::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| match error {
                EgressError::TooLarge { .. } => ModelError::TooLarge("the stream"),
                EgressError::NotSent(_) | EgressError::NoAnswer(_) => ModelError::BrokeOff,
            })?;
            parser.push(&chunk, &mut events)?;
            for event in events.drain(..) {
                if event.trim() == "[DONE]" {
                    return assembly.finish();
                }
                assembly.add(&event, &mut on_text)?;
            }
        }
        // Some servers close without `[DONE]`; a finish that was said counts.
        assembly.finish()
    }
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
struct Assembly {
    completion: Completion,
    /// Each call with the index under which its deltas come.
    calls: Vec<(u64, SaidCall)>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<ChunkUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    function: FunctionDelta,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Assembly {
    fn add(&mut self, event: &str, on_text: &mut impl FnMut(&str)) -> Result<(), ModelError> {
        let chunk: Chunk = serde_json::from_str(event)
            .map_err(|error| ModelError::Unreadable(format!("a chunk is malformed: {error}")))?;
        if let Some(error) = chunk.error {
            let said = error.to_string().chars().take(ERROR_BYTES_MAX).collect();
            return Err(ModelError::Refused { status: 200, said });
        }
        let answer = &mut self.completion;
        if let Some(id) = chunk.id {
            answer.id = short(id);
        }
        if let Some(model) = chunk.model {
            answer.model = short(model);
        }
        if let Some(usage) = chunk.usage {
            answer.usage =
                Usage { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens };
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            if let Some(text) = choice.delta.content.filter(|text| !text.is_empty()) {
                append(&mut self.completion.text, &text, "its text")?;
                on_text(&text);
            }
            for delta in choice.delta.tool_calls.unwrap_or_default() {
                self.add_call(delta)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.completion.finish_reason = short(reason);
            }
        }
        Ok(())
    }

    fn add_call(&mut self, delta: CallDelta) -> Result<(), ModelError> {
        let place = match self.calls.iter().position(|(index, _)| *index == delta.index) {
            Some(place) => place,
            None if self.calls.len() >= CALLS_MAX => {
                return Err(ModelError::TooLarge("the number of its calls"));
            }
            None => {
                self.calls.push((delta.index, SaidCall::default()));
                self.calls.len().saturating_sub(1)
            }
        };
        let Some((_, call)) = self.calls.get_mut(place) else { return Ok(()) };
        if let Some(name) = delta.function.name {
            append(&mut call.name, &name, "a tool's name")?;
        }
        if let Some(arguments) = delta.function.arguments {
            append(&mut call.arguments, &arguments, "a call's arguments")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Completion, ModelError> {
        let mut completion = self.completion;
        if completion.finish_reason.is_empty() {
            return Err(ModelError::BrokeOff);
        }
        completion.calls = self.calls.into_iter().map(|(_, call)| call).collect();
        // Cut by a limit or by a filter, a call's arguments are half: nothing of it is executed.
        let is_cut = matches!(completion.finish_reason.as_str(), "length" | "content_filter");
        if is_cut && !completion.calls.is_empty() {
            return Err(ModelError::BrokeOff);
        }
        Ok(completion)
    }
}

fn append(text: &mut String, more: &str, what: &'static str) -> Result<(), ModelError> {
    if text.len().saturating_add(more.len()) > TEXT_BYTES_MAX {
        return Err(ModelError::TooLarge(what));
    }
    text.push_str(more);
    Ok(())
}

fn short(text: String) -> String {
    if text.len() <= 200 { text } else { text.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(events: &[&str]) -> Result<(Completion, String), ModelError> {
        let (mut assembly, mut heard) = (Assembly::default(), String::new());
        for event in events {
            assembly.add(event, &mut |text: &str| heard.push_str(text))?;
        }
        Ok((assembly.finish()?, heard))
    }

    #[test]
    fn an_answer_is_put_together_from_deltas_in_any_order() {
        let (answer, heard) = assemble(&[
            r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"a","arguments":""}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"x","function":{"name":"b","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"hi","tool_calls":[{"index":0,"function":{"arguments":"{\"q\":1}"}}]}},{"index":1,"delta":{"content":"other"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
        ])
        .unwrap();
        assert_eq!((heard.as_str(), answer.text.as_str()), ("hi", "hi"));
        let call = |name: &str, arguments: &str| SaidCall {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(answer.calls, [call("a", "{\"q\":1}"), call("b", "{}")]);
        assert_eq!(answer.usage, Usage { input_tokens: 7, output_tokens: 3 });
        assert_eq!(answer.finish_reason, "tool_calls");
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        let half = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"a","arguments":"{}"}}]}}]}"#;
        assert_eq!(assemble(&[half]).unwrap_err(), ModelError::BrokeOff);
        let cut = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;
        assert_eq!(assemble(&[half, cut]).unwrap_err(), ModelError::BrokeOff);
        assert!(matches!(assemble(&["{"]).unwrap_err(), ModelError::Unreadable(_)));
        let error = assemble(&[r#"{"error":{"message":"overloaded"}}"#]).unwrap_err();
        assert!(matches!(error, ModelError::Refused { .. }));
        let calls = (0..17)
            .map(|n| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{n}}}]}}}}]}}"#));
        let calls: Vec<String> = calls.collect();
        let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
        assert!(matches!(assemble(&calls).unwrap_err(), ModelError::TooLarge(_)));
    }
}
