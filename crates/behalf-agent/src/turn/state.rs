//! Where a turn stands: `model → calls → model → … → ended`. Every transition gives the events
//! that record it; both are stored together.

use std::collections::BTreeSet;

use behalf_core::Timestamp;
use behalf_crypto::digest::action_digest;
use behalf_gate::Mandate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dialect::request::Written;
use crate::event::{CallEnding, TurnEvent};
use crate::interrupt::{Interrupt, InterruptStatus};
use crate::model::{Completion, Message, SpokenCall, Usage};
use crate::redact::sources_of;
use crate::tools::Tools;

/// How often the model is asked in one turn.
pub(crate) const STEPS_MAX: u32 = 8;

/// A turn, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TurnState {
    pub(crate) mandate: Mandate,
    pub(crate) trace: TraceIds,
    pub(crate) started_at: Timestamp,
    pub(crate) step_began: Timestamp,
    /// The client's name for her message.
    pub(crate) message_id: Option<String>,
    /// What was said in this turn; her own words first.
    pub(crate) messages: Vec<Message>,
    pub(crate) phase: Phase,
    pub(crate) steps: u32,
    pub(crate) usage: Usage,
    /// Documents whose passages earlier turns put before the model, and that she may still read.
    pub(crate) inherited: BTreeSet<String>,
    /// Documents that she may not read any more; their passages were not before the model.
    #[serde(skip)]
    pub(crate) withdrawn: BTreeSet<String>,
}

/// Where the turn's spans belong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: [u8; 16],
    pub(crate) run: [u8; 8],
    pub(crate) step: [u8; 8],
}

/// Where it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The model is to be asked.
    Model,
    /// Its calls are worked through.
    Calls { calls: Vec<OpenCall>, step_usage: Usage },
    /// Over.
    Ended { is_failed: bool },
}

/// A call of the present step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenCall {
    pub(crate) id: String,
    pub(crate) tool: String,
    pub(crate) arguments: Map<String, Value>,
    /// What a person was asked about it, as it was last shown.
    pub(crate) interrupt: Option<Interrupt>,
    /// When that was first asked.
    pub(crate) waits_since: Option<Timestamp>,
    pub(crate) has_ended: bool,
}

/// How a call ended, for the model and for the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) output: Value,
    pub(crate) ending: CallEnding,
}

impl Outcome {
    pub(crate) fn new(ending: CallEnding, output: Value) -> Self {
        Self { output, ending }
    }

    /// The fixed output of a refusal: the model is told nothing that it could argue with.
    pub(crate) fn refused(ending: CallEnding) -> Self {
        let status = if ending == CallEnding::Expired { "expired" } else { "denied" };
        Self::new(ending, json!({"status": status}))
    }

    pub(crate) fn invalid(reason: &str) -> Self {
        Self::new(CallEnding::Invalid, json!({"status": "error", "reason": reason}))
    }
}

impl TurnState {
    pub(crate) fn new(
        mandate: Mandate,
        trace: TraceIds,
        now: Timestamp,
        written: &Written,
    ) -> Self {
        Self {
            mandate,
            trace,
            started_at: now,
            step_began: now,
            message_id: written.id.clone(),
            messages: vec![Message::User { content: written.text.clone() }],
            phase: Phase::Model,
            steps: 0,
            usage: Usage::default(),
            inherited: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// What she wrote.
    pub(crate) fn text(&self) -> &str {
        match self.messages.first() {
            Some(Message::User { content }) => content,
            _ => "",
        }
    }

    /// The documents whose passages the model has before it, those of earlier turns included.
    pub(crate) fn sources(&self) -> Vec<String> {
        let mut sources = self.inherited.clone();
        for message in &self.messages {
            if let Message::Tool { output, .. } = message {
                sources.extend(sources_of(output).map(str::to_owned));
            }
        }
        sources.into_iter().filter(|source| !self.withdrawn.contains(source)).collect()
    }

    /// The model has answered. Its calls are given ids of ours, because its own may repeat.
    pub(crate) fn model_said(
        &mut self,
        turn_id: &str,
        said: &Completion,
        tools: &Tools,
    ) -> Vec<TurnEvent> {
        let sources = self.sources();
        self.steps = self.steps.saturating_add(1);
        self.usage = self.usage.plus(said.usage);
        let mut events = Vec::new();
        let (mut spoken, mut open, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (place, call) in said.calls.iter().enumerate() {
            let id = format!("call_{turn_id}_{}_{place}", self.steps);
            spoken.push(SpokenCall {
                id: id.clone(),
                name: call.name.chars().take(80).collect(),
                arguments: call.arguments.clone(),
            });
            let (arguments, problem) = match tools.read_arguments(&call.name, &call.arguments) {
                Ok(arguments) => (arguments, None),
                Err(problem) => (Map::new(), Some(problem)),
            };
            events.push(TurnEvent::ToolInput {
                call_id: id.clone(),
                tool: call.name.chars().take(80).collect(),
                input: arguments.clone(),
                sources: sources.clone(),
            });
            if let Some(problem) = problem {
                refused.push((id.clone(), Outcome::invalid(&problem)));
            }
            open.push(OpenCall {
                id,
                tool: call.name.chars().take(80).collect(),
                arguments,
                interrupt: None,
                waits_since: None,
                has_ended: false,
            });
        }
        // What was said before in this turn and is said again is not asked again.
        for call in &open {
            if refused.iter().any(|(id, _)| *id == call.id) {
                continue;
            }
            if let Some(outcome) = self.earlier(call) {
                refused.push((call.id.clone(), outcome));
            }
        }
        self.messages.push(Message::Assistant {
            content: said.text.clone(),
            calls: spoken,
            sources,
        });
        if open.is_empty() {
            let reason = if said.finish_reason == "length" { "length" } else { "stop" };
            events.push(self.step_finished("stop", said.usage));
            events.push(self.finish(reason, false));
            return events;
        }
        self.phase = Phase::Calls { calls: open, step_usage: said.usage };
        for (id, outcome) in refused {
            events.extend(self.call_ended(&id, outcome, None));
        }
        events
    }

    /// How the same tool with the same arguments ended earlier in this turn. A refusal stands, and
    /// an effect is not had twice, however often the model asks.
    fn earlier(&self, call: &OpenCall) -> Option<Outcome> {
        let key = |tool: &str, arguments: &Value| {
            action_digest(&json!({"tool": tool, "arguments": arguments})).ok()
        };
        let wanted = key(&call.tool, &Value::Object(call.arguments.clone()))?;
        let spoken = self.messages.iter().filter_map(|message| match message {
            Message::Assistant { calls, .. } => Some(calls),
            _ => None,
        });
        let same: BTreeSet<&str> = spoken
            .flatten()
            .filter(|spoken| {
                let arguments = serde_json::from_str::<Value>(&spoken.arguments);
                arguments.is_ok_and(|said| key(&spoken.name, &said).as_ref() == Some(&wanted))
            })
            .map(|spoken| spoken.id.as_str())
            .collect();
        self.messages.iter().rev().find_map(|message| match message {
            Message::Tool { call_id, output, .. } if same.contains(call_id.as_str()) => {
                let ending = match output.get("status").and_then(Value::as_str) {
                    Some("done") => CallEnding::Done,
                    Some("denied") => CallEnding::Denied,
                    Some("expired") => CallEnding::Expired,
                    Some("unknown") => CallEnding::Unknown,
                    // What certainly did not happen may be tried again.
                    _ => return None,
                };
                Some(Outcome::new(ending, output.clone()))
            }
            _ => None,
        })
    }

    /// The calls that have not ended.
    pub(crate) fn open_calls(&self) -> Vec<OpenCall> {
        match &self.phase {
            Phase::Calls { calls, .. } => {
                calls.iter().filter(|call| !call.has_ended).cloned().collect()
            }
            Phase::Model | Phase::Ended { .. } => Vec::new(),
        }
    }

    /// A call waits for a person. Nothing happens if that is known already.
    pub(crate) fn call_waits(
        &mut self,
        id: &str,
        mut interrupt: Interrupt,
        now: Timestamp,
    ) -> Vec<TurnEvent> {
        let Some(call) = self.call_mut(id) else { return Vec::new() };
        // One part for each call, whatever it waits for.
        if let Some(known) = &call.interrupt {
            interrupt.id.clone_from(&known.id);
            if *known == interrupt {
                return Vec::new();
            }
        }
        call.waits_since.get_or_insert(now);
        call.interrupt = Some(interrupt.clone());
        vec![TurnEvent::Interrupt(Box::new(interrupt))]
    }

    /// A call ended; `interrupt` is what is shown where a person was asked.
    pub(crate) fn call_ended(
        &mut self,
        id: &str,
        outcome: Outcome,
        interrupt: Option<Interrupt>,
    ) -> Vec<TurnEvent> {
        let Some(call) = self.call_mut(id) else { return Vec::new() };
        call.has_ended = true;
        let tool = call.tool.clone();
        let mut events = Vec::new();
        if let Some(mut interrupt) = interrupt {
            if let Some(known) = &call.interrupt {
                interrupt.id.clone_from(&known.id);
            }
            call.interrupt = Some(interrupt.clone());
            events.push(TurnEvent::Interrupt(Box::new(interrupt)));
        }
        let Outcome { output, ending } = outcome;
        events.push(TurnEvent::ToolOutput {
            call_id: id.to_owned(),
            output: output.clone(),
            ending,
        });
        self.messages.push(Message::Tool { call_id: id.to_owned(), name: tool, output });
        events
    }

    /// What a call's interrupt becomes when it is settled.
    pub(crate) fn settled_interrupt(
        call: &OpenCall,
        status: InterruptStatus,
        at: Timestamp,
    ) -> Option<Interrupt> {
        let mut interrupt = call.interrupt.clone()?;
        interrupt.status = status;
        if interrupt.decided_at.is_none() {
            interrupt.decided_at = Some(at.to_rfc3339());
        }
        Some(interrupt)
    }

    /// Every call of the step has ended: the model is asked again, unless it was too often.
    pub(crate) fn step_over(&mut self) -> Vec<TurnEvent> {
        let Phase::Calls { calls, step_usage } = &self.phase else { return Vec::new() };
        if calls.iter().any(|call| !call.has_ended) {
            return Vec::new();
        }
        let mut events = vec![self.step_finished("tool-calls", *step_usage)];
        if self.steps >= STEPS_MAX {
            events
                .extend(self.fail("The agent took too many steps and was stopped. Ask for less."));
        } else {
            self.phase = Phase::Model;
        }
        events
    }

    /// The turn fails; what was done stays done.
    pub(crate) fn fail(&mut self, sentence: &str) -> Vec<TurnEvent> {
        vec![TurnEvent::Error { text: sentence.to_owned() }, self.finish("error", true)]
    }

    fn step_finished(&self, reason: &str, usage: Usage) -> TurnEvent {
        TurnEvent::StepFinish {
            reason: reason.to_owned(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        }
    }

    fn finish(&mut self, reason: &str, is_failed: bool) -> TurnEvent {
        self.phase = Phase::Ended { is_failed };
        TurnEvent::Finish {
            reason: reason.to_owned(),
            input_tokens: self.usage.input_tokens,
            output_tokens: self.usage.output_tokens,
        }
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut OpenCall> {
        let Phase::Calls { calls, .. } = &mut self.phase else { return None };
        calls.iter_mut().find(|call| call.id == id && !call.has_ended)
    }

    /// The turn's messages as a later model call is told them: a call that still waits has an
    /// output that says so, because chat completions want one for each.
    pub(crate) fn told(&self) -> Vec<Message> {
        let mut told = self.messages.clone();
        for call in self.open_calls() {
            told.push(Message::Tool {
                call_id: call.id,
                name: call.tool,
                output: json!({"status": "pending", "reason": "It waits for the person."}),
            });
        }
        told
    }

    /// The status that the store lists it by.
    pub(crate) const fn status(&self) -> &'static str {
        match &self.phase {
            Phase::Ended { is_failed: true } => "failed",
            Phase::Ended { is_failed: false } => "done",
            Phase::Model | Phase::Calls { .. } => "running",
        }
    }
}
