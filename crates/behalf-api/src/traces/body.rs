//! Traces as JSON.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use behalf_traces::{SpanDetail, SpanSummary, Trace, TraceSummary};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// An answer that no cache keeps.
pub(super) fn answer(body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, body.to_string()).into_response()
}

/// A trace in a list.
pub(super) fn summary(trace: &TraceSummary) -> Value {
    let micros = i64::try_from(trace.duration().as_micros()).unwrap_or(i64::MAX);
    json!({
        "trace_id": trace.trace_id,
        "name": trace.name,
        "user_id": (!trace.owner.is_empty()).then_some(&trace.owner),
        "status": trace.status,
        "started_at": trace.started_at.to_rfc3339(),
        "ended_at": trace.ended_at.to_rfc3339(),
        "duration_us": micros,
        "span_count": trace.spans,
        "tools": trace.tools,
        "models": trace.models,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "cost_micro_usd": trace.cost.known(),
        "unpriced_calls": trace.cost.unpriced,
    })
}

/// A trace with its spans, and what they say as far as its reader may know.
pub(super) fn trace(trace: &Trace, details: &BTreeMap<String, SpanDetail>) -> Value {
    let spans = trace.spans.iter().map(|span| one_span(span, details.get(&span.span_id)));
    let spans: Value = spans.collect();
    let mut body = summary(&trace.summary);
    if let Value::Object(members) = &mut body {
        members.insert("content".to_owned(), trace.content.as_str().into());
        members.insert("spans".to_owned(), spans);
    }
    body
}

fn one_span(span: &SpanSummary, detail: Option<&SpanDetail>) -> Value {
    json!({
        "span_id": span.span_id,
        "parent_span_id": (!span.parent_span_id.is_empty()).then_some(&span.parent_span_id),
        "name": span.name,
        "kind": span.kind.as_str(),
        "status": span.status.as_str(),
        "waits": span.waits,
        "started_at": span.started_at.to_rfc3339(),
        "ended_at": span.ended_at.to_rfc3339(),
        "tool": (!span.tool.is_empty()).then_some(&span.tool),
        "model": (!span.model.is_empty()).then_some(&span.model),
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "cost_micro_usd": span.cost.known(),
        "outcome": (!span.outcome.is_empty()).then_some(&span.outcome),
        "attributes": detail.map(|detail| &detail.attributes),
    })
}
