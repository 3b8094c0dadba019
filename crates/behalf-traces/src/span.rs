//! A span: one step of an agent's run.

use std::fmt::Write as _;

use behalf_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a span is about. The waterfall colours by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// A run, or a step of one.
    Agent,
    /// A call of a model.
    Model,
    /// A tool at work.
    Tool,
    /// A search of documents.
    Retrieval,
    /// A decision of the gate, or a check of a relationship.
    Authorization,
    /// A wait for a person's approval.
    Approval,
    /// A provider's token obtained, or a wait for an account to be connected.
    Vault,
    /// Anything else.
    Other,
}

impl SpanKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Agent,
        Self::Model,
        Self::Tool,
        Self::Retrieval,
        Self::Authorization,
        Self::Approval,
        Self::Vault,
        Self::Other,
    ];

    /// The kind as rows and answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Retrieval => "retrieval",
            Self::Authorization => "authorization",
            Self::Approval => "approval",
            Self::Vault => "vault",
            Self::Other => "other",
        }
    }

    /// The kind that rows carry as `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    /// Nobody said.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// It failed.
    Error,
}

impl SpanStatus {
    /// The status as rows and answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    /// The status that rows carry as `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Unset, Self::Ok, Self::Error].into_iter().find(|status| status.as_str() == text)
    }
}

/// One step of a run. Its attributes have OpenTelemetry's names (`gen_ai.*`, v1.41) and ours
/// (`behalf.*`). Prompts, responses, arguments and results stand in `gen_ai.*` only; `behalf.*`
/// holds ids, digests and outcomes, which everybody who may see the trace may see.
///
/// | attribute | on the span of |
/// |---|---|
/// | `behalf.outcome` | a decision of the gate: `allowed`, `connect_account`, `approval_required`, `denied`, `expired` |
/// | `behalf.wait` | a wait for a person: `approval` or `connection` |
/// | `behalf.approval.id`, `behalf.approval.status` | what an approval is about |
/// | `behalf.digest` | the digest of the call that was decided |
/// | `behalf.record.id` | what has a receipt |
/// | `behalf.fga.store`, `.user`, `.relation`, `.object`, `.allowed`, `.revision` | a check |
/// | `behalf.connection`, `behalf.scopes` | a provider's token |
/// | `behalf.effect` | a tool with effects: `done`, `not_done`, `unknown` |
/// | `behalf.user`, `behalf.client`, `behalf.agent` | a run: for whom, by whom |
/// | `behalf.turn.status` | a run's root: `running` while it goes on, `waiting` for a person |
/// | `behalf.reason` | a decision, as a code: why not |
///
/// Spans of one tool call are siblings with the same `gen_ai.tool.call.id`: decisions, waits, the
/// tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The run.
    pub trace_id: [u8; 16],
    /// The step.
    pub span_id: [u8; 8],
    /// The step that this one is part of; `None` for the run itself.
    pub parent_span_id: Option<[u8; 8]>,
    /// What it is called, e.g. `chat gpt-4o`, `execute_tool createPublicGist`.
    pub name: String,
    /// What it is about.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// How it ended.
    pub status: SpanStatus,
    /// What is known of it.
    pub attributes: Map<String, Value>,
}

/// A span as a batch keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(rename = "t")]
    trace_id: String,
    #[serde(rename = "s")]
    span_id: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "k")]
    kind: SpanKind,
    #[serde(rename = "b")]
    start: Timestamp,
    #[serde(rename = "e")]
    end: Timestamp,
    #[serde(rename = "o", default)]
    status: SpanStatus,
    #[serde(rename = "a")]
    attributes: Map<String, Value>,
}

impl From<Span> for Stored {
    fn from(span: Span) -> Self {
        Self {
            trace_id: to_hex(&span.trace_id),
            span_id: to_hex(&span.span_id),
            parent_span_id: span.parent_span_id.map(|id| to_hex(&id)),
            name: span.name,
            kind: span.kind,
            start: span.start,
            end: span.end,
            status: span.status,
            attributes: span.attributes,
        }
    }
}

impl Stored {
    /// The span; `None` when an id is not one.
    pub(crate) fn into_span(self) -> Option<Span> {
        let parent_span_id = match &self.parent_span_id {
            Some(text) => Some(from_hex(text)?),
            None => None,
        };
        Some(Span {
            trace_id: from_hex(&self.trace_id)?,
            span_id: from_hex(&self.span_id)?,
            parent_span_id,
            name: self.name,
            kind: self.kind,
            start: self.start,
            end: self.end,
            status: self.status,
            attributes: self.attributes,
        })
    }
}

/// Lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        if write!(text, "{byte:02x}").is_err() {
            text.clear();
        }
        text
    })
}

/// The bytes of exactly `N` lower-case hex pairs.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != N * 2 || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exact_lower_case_hex() {
        assert_eq!(from_hex::<2>("0aff"), Some([0x0a, 0xff]));
        assert_eq!(to_hex(&[0x0a, 0xff]), "0aff");
        for bad in ["", "0aF", "0aFF", "0aff00", "0a+f", "ä1a"] {
            assert_eq!(from_hex::<2>(bad), None, "{bad}");
        }
    }

    #[test]
    fn kinds_round_trip_through_their_texts() {
        for kind in SpanKind::ALL {
            assert_eq!(SpanKind::from_text(kind.as_str()), Some(kind));
        }
    }
}
