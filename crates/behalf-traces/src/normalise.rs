//! One row model for the many names by which senders call the same thing (first hit wins).
//!
//! The raw attributes stay as they came; this is read beside them.

use serde_json::{Map, Value};

use crate::span::{Span, SpanKind};

/// What a span says, whoever sent it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The operation, in OpenTelemetry's words where it has one.
    pub operation: String,
    /// The model's provider.
    pub provider: Option<String>,
    /// The model that answered, else the one that was asked.
    pub model: Option<String>,
    /// Tokens read, those from the cache among them.
    pub input_tokens: Option<i64>,
    /// Tokens written, those of reasoning among them.
    pub output_tokens: Option<i64>,
    /// Those of the tokens read that came from the cache.
    pub cache_read_tokens: Option<i64>,
    /// Those of the tokens written that were reasoning.
    pub reasoning_tokens: Option<i64>,
    /// Why the model stopped.
    pub finish_reasons: Vec<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The conversation.
    pub conversation: Option<String>,
    /// What went in.
    pub input: Option<Value>,
    /// What the model was told before.
    pub instructions: Option<Value>,
    /// What came out.
    pub output: Option<Value>,
    /// The gate's outcome.
    pub outcome: Option<String>,
    /// True if its time is waiting for a person.
    pub waits: bool,
    /// True if it is a call of a model itself, not a step that carries the sum of its calls.
    pub is_charged: bool,
}

/// Attributes by name.
struct Attributes<'a>(&'a Map<String, Value>);

impl Attributes<'_> {
    fn text(&self, names: &[&str]) -> Option<String> {
        let found = names.iter().filter_map(|name| self.0.get(*name)).find_map(Value::as_str);
        found.filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn count(&self, names: &[&str]) -> Option<i64> {
        let found = names.iter().filter_map(|name| self.0.get(*name));
        found.filter_map(count).next()
    }

    /// A structured value, which may be native or JSON in a text.
    fn content(&self, names: &[&str]) -> Option<Value> {
        let found = names.iter().filter_map(|name| self.0.get(*name)).find(|v| !v.is_null());
        found.map(|value| match value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            Some(parsed @ (Value::Array(_) | Value::Object(_))) => parsed,
            _ => value.clone(),
        })
    }

    /// Attributes that senders flatten, such as `llm.input_messages.0.message.content`, as a list.
    fn flattened(&self, prefix: &str) -> Option<Value> {
        let mut items: Vec<Map<String, Value>> = Vec::new();
        for (name, value) in self.0 {
            let Some((index, rest)) = name.strip_prefix(prefix).and_then(|r| r.split_once('.'))
            else {
                continue;
            };
            let Ok(index) = index.parse::<usize>() else { continue };
            if index >= 1_000 {
                continue;
            }
            while items.len() <= index {
                items.push(Map::new());
            }
            let rest = rest.strip_prefix("message.").unwrap_or(rest);
            if let Some(item) = items.get_mut(index) {
                item.insert(rest.to_owned(), value.clone());
            }
        }
        let items = items.into_iter().map(Value::Object).collect::<Vec<_>>();
        (!items.is_empty()).then_some(Value::Array(items))
    }
}

/// A number of tokens: an integer, a whole double, or (OTLP's JSON) its decimal text.
fn count(value: &Value) -> Option<i64> {
    let count = match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let double = number.as_f64().filter(|double| double.fract() == 0.0)?;
            format!("{double:.0}").parse().ok()
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    count.filter(|count| (0..=1_000_000_000_000).contains(count))
}

impl Facts {
    /// What `span` says.
    pub fn of(span: &Span) -> Self {
        let attributes = Attributes(&span.attributes);
        let usage = attributes.content(&["langfuse.observation.usage_details"]);
        let detail = |name: &str| usage.as_ref().and_then(|usage| usage.get(name)).and_then(count);
        let operation = operation(&attributes, span.kind);
        let kind = kind_of(&operation, span.kind);
        Self {
            provider: provider(&attributes),
            model: attributes.text(&[
                "gen_ai.response.model",
                "ai.response.model",
                "llm.response.model_name",
                "llm.model_name",
                "gen_ai.request.model",
                "ai.model.id",
                "aisdk.model.id",
                "langfuse.observation.model.name",
            ]),
            input_tokens: attributes
                .count(&[
                    "gen_ai.usage.input_tokens",
                    "gen_ai.usage.prompt_tokens",
                    "llm.token_count.prompt",
                    "ai.usage.inputTokens",
                    "ai.usage.promptTokens",
                ])
                .or_else(|| detail("input")),
            output_tokens: attributes
                .count(&[
                    "gen_ai.usage.output_tokens",
                    "gen_ai.usage.completion_tokens",
                    "llm.token_count.completion",
                    "ai.usage.outputTokens",
                    "ai.usage.completionTokens",
                ])
                .or_else(|| detail("output")),
            cache_read_tokens: attributes.count(&[
                "gen_ai.usage.cache_read.input_tokens",
                "gen_ai.usage.cache_read_input_tokens",
                "llm.token_count.prompt_details.cache_read",
                "ai.usage.inputTokenDetails.cacheReadTokens",
                "ai.usage.cachedInputTokens",
                "gen_ai.usage.details.cache_read_tokens",
            ]),
            reasoning_tokens: attributes.count(&[
                "gen_ai.usage.reasoning.output_tokens",
                "gen_ai.usage.reasoning_tokens",
                "llm.token_count.completion_details.reasoning",
                "ai.usage.reasoningTokens",
            ]),
            finish_reasons: finish_reasons(&attributes),
            tool: attributes.text(&[
                "gen_ai.tool.name",
                "ai.toolCall.name",
                "tool.name",
                "traceloop.entity.name",
            ]),
            conversation: attributes.text(&[
                "gen_ai.conversation.id",
                "session.id",
                "langfuse.session.id",
                "ai.telemetry.metadata.sessionId",
                "mcp.session.id",
            ]),
            input: input(&attributes),
            instructions: attributes.content(&["gen_ai.system_instructions"]),
            output: output(&attributes),
            outcome: attributes.text(&["behalf.outcome"]),
            waits: kind == SpanKind::Approval || attributes.0.contains_key("behalf.wait"),
            is_charged: is_charged(&operation),
            operation,
        }
    }
}

fn provider(attributes: &Attributes<'_>) -> Option<String> {
    let named = attributes.text(&[
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.provider",
        "llm.system",
        "ai.model.provider",
    ])?;
    // `aws.bedrock` and its likes are names; `openai.chat` is a name and what it was used for.
    let known = ["aws.", "azure.", "gcp.", "ibm."];
    if known.iter().any(|prefix| named.starts_with(prefix)) {
        return Some(named);
    }
    let first = named.split('.').next().unwrap_or(&named);
    Some(if first == "xai" { "x_ai" } else { first }.to_owned())
}

fn operation(attributes: &Attributes<'_>, kind: SpanKind) -> String {
    let named = attributes.text(&[
        "gen_ai.operation.name",
        "openinference.span.kind",
        "ai.operationId",
        "traceloop.span.kind",
        "langfuse.observation.type",
    ]);
    if let Some(named) = named {
        return match named.as_str() {
            "LLM" | "generation" => "chat".to_owned(),
            "EMBEDDING" | "embedding" => "embeddings".to_owned(),
            "TOOL" | "ai.toolCall" | "tool" => "execute_tool".to_owned(),
            "RETRIEVER" | "retriever" => "retrieval".to_owned(),
            "AGENT" | "agent" => "invoke_agent".to_owned(),
            "GUARDRAIL" | "guardrail" => "guardrail".to_owned(),
            _ => named,
        };
    }
    if attributes.0.contains_key("gen_ai.tool.name") {
        return "execute_tool".to_owned();
    }
    let names_model = ["gen_ai.request.model", "gen_ai.response.model", "llm.model_name"];
    if kind == SpanKind::Model || names_model.iter().any(|name| attributes.0.contains_key(*name)) {
        return "chat".to_owned();
    }
    "generic".to_owned()
}

/// The kind that an operation makes of a span whose sender did not say.
pub(crate) fn kind_of(operation: &str, said: SpanKind) -> SpanKind {
    if said != SpanKind::Other {
        return said;
    }
    match operation {
        "chat" | "text_completion" | "generate_content" | "embeddings" => SpanKind::Model,
        "execute_tool" => SpanKind::Tool,
        "retrieval" | "RERANKER" | "rerank" => SpanKind::Retrieval,
        "invoke_agent" | "create_agent" | "invoke_workflow" | "agent_step" | "CHAIN"
        | "workflow" | "task" => SpanKind::Agent,
        "guardrail" => SpanKind::Authorization,
        "ai.generateText" | "ai.streamText" | "ai.generateObject" | "ai.streamObject" => {
            SpanKind::Agent
        }
        other if is_charged(other) => SpanKind::Model,
        _ => SpanKind::Other,
    }
}

/// A parent may carry the sum of its children's tokens again (the AI SDK's does), so only calls of
/// a model themselves are charged.
fn is_charged(operation: &str) -> bool {
    let is_call =
        matches!(operation, "chat" | "text_completion" | "generate_content" | "embeddings");
    let inner = [".doGenerate", ".doStream", ".doEmbed"];
    is_call || inner.iter().any(|end| operation.ends_with(end))
}

fn finish_reasons(attributes: &Attributes<'_>) -> Vec<String> {
    let names = ["gen_ai.response.finish_reasons", "llm.finish_reason", "ai.response.finishReason"];
    let reasons = match attributes.content(&names) {
        Some(Value::Array(reasons)) => reasons,
        Some(reason) => vec![reason],
        None => Vec::new(),
    };
    let reasons = reasons.iter().filter_map(Value::as_str);
    reasons
        .map(|reason| match reason {
            "tool_call" | "tool-calls" => "tool_calls".to_owned(),
            other => other.to_owned(),
        })
        .collect()
}

fn input(attributes: &Attributes<'_>) -> Option<Value> {
    attributes
        .content(&[
            "gen_ai.input.messages",
            "gen_ai.tool.call.arguments",
            "gen_ai.retrieval.query.text",
        ])
        .or_else(|| attributes.flattened("llm.input_messages."))
        .or_else(|| {
            attributes.content(&[
                "ai.prompt.messages",
                "ai.prompt",
                "ai.toolCall.args",
                "traceloop.entity.input",
                "input.value",
                "langfuse.observation.input",
                "gen_ai.prompt",
            ])
        })
        .or_else(|| attributes.flattened("gen_ai.prompt."))
}

fn output(attributes: &Attributes<'_>) -> Option<Value> {
    attributes
        .content(&[
            "gen_ai.output.messages",
            "gen_ai.tool.call.result",
            "gen_ai.retrieval.documents",
        ])
        .or_else(|| attributes.flattened("llm.output_messages."))
        .or_else(|| {
            attributes.content(&[
                "ai.response.text",
                "ai.response.object",
                "ai.response.toolCalls",
                "ai.toolCall.result",
                "traceloop.entity.output",
                "output.value",
                "langfuse.observation.output",
                "gen_ai.completion",
            ])
        })
        .or_else(|| attributes.flattened("gen_ai.completion."))
}
