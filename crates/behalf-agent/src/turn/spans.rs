//! The turn's spans: `invoke_agent → step → chat, execute_tool → decision, wait, search`.
//!
//! Prompts, answers, arguments and results stand in `gen_ai.*`; ids, digests and outcomes in
//! `behalf.*`. A token is in neither.

use behalf_core::{Rng, Timestamp, random_bytes};
use behalf_gate::Facts;
use behalf_traces::{Span, SpanKind, SpanStatus};
use serde_json::{Map, Value, json};

use super::state::{OpenCall, TurnState};
use crate::model::{Completion, ModelError};
use crate::tools::Worked;

/// The agent's name in spans and mandates.
pub(crate) const AGENT: &str = "behalf";

/// What belongs to one turn and is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct TurnSpans(Vec<Span>);

impl TurnSpans {
    /// The spans since the last call, with the run's own as it is now: a span that is stored again
    /// replaces itself.
    pub(crate) fn take(
        &mut self,
        state: &TurnState,
        thread_id: &str,
        is_waiting: bool,
        now: Timestamp,
    ) -> Vec<Span> {
        let mut spans = std::mem::take(&mut self.0);
        let mut attributes = Map::new();
        attributes.insert("gen_ai.operation.name".into(), "invoke_agent".into());
        attributes.insert("gen_ai.agent.name".into(), AGENT.into());
        attributes.insert("gen_ai.conversation.id".into(), thread_id.into());
        attributes.insert("behalf.user".into(), state.mandate.subject().as_str().into());
        attributes.insert("behalf.client".into(), state.mandate.client().as_str().into());
        attributes.insert("behalf.agent".into(), state.mandate.agent().as_str().into());
        let status = if is_waiting { "waiting" } else { state.status() };
        attributes.insert("behalf.turn.status".into(), status.into());
        spans.push(Span {
            trace_id: state.trace.trace_id,
            span_id: state.trace.run,
            parent_span_id: None,
            name: format!("invoke_agent {AGENT}"),
            kind: SpanKind::Agent,
            start: state.started_at,
            end: now,
            status: match status {
                "failed" => SpanStatus::Error,
                "done" => SpanStatus::Ok,
                _ => SpanStatus::Unset,
            },
            attributes,
        });
        spans
    }

    /// One call of the model.
    pub(crate) fn chat(
        &mut self,
        state: &TurnState,
        rng: &dyn Rng,
        asked: &Asked<'_>,
        times: (Timestamp, Timestamp),
    ) {
        let mut attributes = Map::new();
        attributes.insert("gen_ai.operation.name".into(), "chat".into());
        attributes.insert("gen_ai.provider.name".into(), "openai".into());
        attributes.insert("gen_ai.request.model".into(), asked.model.into());
        attributes.insert("gen_ai.input.messages".into(), asked.messages.clone());
        let status = match asked.said {
            Ok(said) => {
                let calls: Vec<Value> = said
                    .calls
                    .iter()
                    .map(|call| json!({"name": call.name, "arguments": call.arguments}))
                    .collect();
                let output = json!([{"role": "assistant", "content": said.text,
                                     "tool_calls": calls}]);
                attributes.insert("gen_ai.output.messages".into(), output);
                attributes.insert("gen_ai.response.id".into(), said.id.as_str().into());
                attributes.insert("gen_ai.response.model".into(), said.model.as_str().into());
                attributes
                    .insert("gen_ai.response.finish_reasons".into(), json!([said.finish_reason]));
                let usage = said.usage;
                attributes.insert("gen_ai.usage.input_tokens".into(), usage.input_tokens.into());
                attributes.insert("gen_ai.usage.output_tokens".into(), usage.output_tokens.into());
                SpanStatus::Ok
            }
            Err(error) => {
                attributes.insert("error.type".into(), error.kind().into());
                SpanStatus::Error
            }
        };
        let name = format!("chat {}", asked.model);
        let parent = state.trace.step;
        self.add(state, rng, parent, name, SpanKind::Model, times, status, attributes);
    }

    /// The present step, as far as it has come.
    pub(crate) fn step(&mut self, state: &TurnState, end: Timestamp) {
        self.0.push(Span {
            trace_id: state.trace.trace_id,
            span_id: state.trace.step,
            parent_span_id: Some(state.trace.run),
            name: format!("step {}", state.steps),
            kind: SpanKind::Agent,
            start: state.step_began,
            end,
            status: SpanStatus::Unset,
            attributes: Map::new(),
        });
    }

    /// A decision of the gate about a call.
    pub(crate) fn decision(
        &mut self,
        state: &TurnState,
        rng: &dyn Rng,
        call: &OpenCall,
        outcome: &str,
        facts: Map<String, Value>,
        times: (Timestamp, Timestamp),
    ) {
        let mut attributes = facts;
        attributes.insert("behalf.outcome".into(), outcome.into());
        attributes.insert("gen_ai.tool.name".into(), call.tool.as_str().into());
        attributes.insert("gen_ai.tool.call.id".into(), call.id.as_str().into());
        let (name, parent) = (format!("gate {}", call.tool), state.trace.step);
        let status = SpanStatus::Unset;
        self.add(state, rng, parent, name, SpanKind::Authorization, times, status, attributes);
    }

    /// A wait for a person that is over.
    pub(crate) fn wait(
        &mut self,
        state: &TurnState,
        rng: &dyn Rng,
        call: &OpenCall,
        status: &str,
        now: Timestamp,
    ) {
        let (Some(since), Some(interrupt)) = (call.waits_since, &call.interrupt) else { return };
        let mut attributes = Map::new();
        let (kind, wait) = match &interrupt.approval {
            Some(approval) => {
                attributes.insert("behalf.approval.id".into(), approval.id.as_str().into());
                attributes.insert("behalf.approval.status".into(), status.into());
                (SpanKind::Approval, "approval")
            }
            None => (SpanKind::Vault, "connection"),
        };
        attributes.insert("behalf.wait".into(), wait.into());
        attributes.insert("gen_ai.tool.call.id".into(), call.id.as_str().into());
        let name = format!("wait for {wait}");
        let parent = state.trace.step;
        let end = (since, now);
        self.add(state, rng, parent, name, kind, end, SpanStatus::Unset, attributes);
    }

    /// A tool at work.
    pub(crate) fn tool(
        &mut self,
        state: &TurnState,
        call: &OpenCall,
        done: &ToolSpan<'_>,
        times: (Timestamp, Timestamp),
    ) {
        let mut attributes = done.worked.facts.clone();
        attributes.extend(facts_of(done.facts));
        attributes.insert("gen_ai.operation.name".into(), "execute_tool".into());
        attributes.insert("gen_ai.tool.name".into(), call.tool.as_str().into());
        attributes.insert("gen_ai.tool.type".into(), "function".into());
        attributes.insert("gen_ai.tool.call.id".into(), call.id.as_str().into());
        attributes
            .insert("gen_ai.tool.call.arguments".into(), Value::Object(call.arguments.clone()));
        attributes.insert("gen_ai.tool.call.result".into(), done.output.clone());
        attributes.insert("behalf.effect".into(), done.effect.into());
        if !done.record_id.is_empty() {
            attributes.entry("behalf.record.id").or_insert_with(|| done.record_id.into());
        }
        self.0.push(Span {
            trace_id: state.trace.trace_id,
            span_id: done.span_id,
            parent_span_id: Some(state.trace.step),
            name: format!("execute_tool {}", call.tool),
            kind: SpanKind::Tool,
            start: times.0,
            end: times.1,
            status: if done.effect == "done" { SpanStatus::Ok } else { SpanStatus::Error },
            attributes,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "a span has this many parts")]
    fn add(
        &mut self,
        state: &TurnState,
        rng: &dyn Rng,
        parent: [u8; 8],
        name: String,
        kind: SpanKind,
        (start, end): (Timestamp, Timestamp),
        status: SpanStatus,
        attributes: Map<String, Value>,
    ) {
        self.0.push(Span {
            trace_id: state.trace.trace_id,
            span_id: random_bytes(rng),
            parent_span_id: Some(parent),
            name,
            kind,
            start,
            end,
            status,
            attributes,
        });
    }
}

/// What a model was asked, and what it said.
pub(crate) struct Asked<'a> {
    pub(crate) model: &'a str,
    pub(crate) messages: Value,
    pub(crate) said: Result<&'a Completion, &'a ModelError>,
}

/// What is known of a tool's run.
pub(crate) struct ToolSpan<'a> {
    pub(crate) span_id: [u8; 8],
    pub(crate) worked: &'a Worked,
    pub(crate) facts: &'a Facts,
    pub(crate) record_id: &'a str,
    pub(crate) output: &'a Value,
    pub(crate) effect: &'static str,
}

/// What a decision rests on, as attributes.
pub(crate) fn facts_of(facts: &Facts) -> Map<String, Value> {
    let mut attributes = Map::new();
    attributes.insert("behalf.digest".into(), facts.digest.as_str().into());
    attributes.insert("behalf.fga.revision".into(), facts.fga_revision.into());
    if let Some(connection) = &facts.connection {
        attributes.insert("behalf.connection".into(), connection.as_str().into());
    }
    if let Some(approval_id) = &facts.approval_id {
        attributes.insert("behalf.approval.id".into(), approval_id.as_str().into());
    }
    attributes
}
