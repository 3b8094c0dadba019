//! What happens in a turn, in order: the log that every stream and page is made from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::interrupt::Interrupt;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnding {
    /// The tool did it.
    Done,
    /// Nothing was done.
    NotDone,
    /// Nobody knows whether it was done.
    Unknown,
    /// A person, a permission or a policy said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The model asked for something that cannot be asked: no such tool, or bad arguments.
    Invalid,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnEvent {
    /// The model is asked.
    StepStart,
    /// It begins to say something.
    TextStart {
        /// The text's name within the turn.
        id: String,
        /// The documents whose text it had before it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<String>,
    },
    /// It says more.
    TextDelta {
        /// The text's name.
        id: String,
        /// What is added.
        delta: String,
    },
    /// It has said it.
    TextEnd {
        /// The text's name.
        id: String,
    },
    /// It wants a tool called.
    ToolInput {
        /// The call's id.
        call_id: String,
        /// The tool's name, as the model said it.
        tool: String,
        /// The arguments; empty when they cannot be read.
        input: Map<String, Value>,
        /// The documents whose text the model had before it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<String>,
    },
    /// A person is needed, or was: the newest of the same id counts.
    Interrupt(Box<Interrupt>),
    /// The call ended.
    ToolOutput {
        /// The call's id.
        call_id: String,
        /// The output, as the model is told it.
        output: Value,
        /// How it ended.
        ending: CallEnding,
    },
    /// The step is over: every call of it has ended.
    StepFinish {
        /// Why the model stopped: `stop` or `tool-calls`.
        reason: String,
        /// Tokens that the step cost.
        input_tokens: u64,
        /// Tokens that the step brought.
        output_tokens: u64,
    },
    /// The turn failed; the sentence is for the person.
    Error {
        /// What happened.
        text: String,
    },
    /// The turn is over.
    Finish {
        /// Why: `stop`, `length` or `error`.
        reason: String,
        /// Tokens that the turn cost.
        input_tokens: u64,
        /// Tokens that it brought.
        output_tokens: u64,
    },
}
