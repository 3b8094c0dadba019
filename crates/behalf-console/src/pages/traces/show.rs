//! `/console/traces/{trace_id}`: one run as a waterfall, and beside it what a span says.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use behalf_core::{ProjectId, Timestamp, counted};
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_store::StoreError;
use behalf_traces::{
    ContentRight, PRICE_DATE, SpanDetail, SpanKind, SpanStatus, SpanSummary, Trace,
};
use http::StatusCode;
use serde_json::Value;

use super::path::{Step, path};
use super::said::{Said, said};
use super::{TraceRow, people};
use crate::chart::{Waterfall, icon, kind_words, outcome_words};
use crate::frame::Frame;
use crate::{error_page, figures, show};

/// How many lines of a waterfall a page shows, unless all are asked for.
const LINES_MAX: usize = 500;
/// How many spans of one call the gate's path is read from.
const CALL_SPANS_MAX: usize = 50;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "traces/show.html")]
pub(crate) struct TracePage {
    frame: Frame,
    trace: TraceRow,
    short_id: String,
    spans: String,
    is_open: bool,
    waterfall: Waterfall,
    /// How many lines are not shown.
    hidden: usize,
    selected: String,
    span: Option<SpanFacts>,
}

/// What is shown of the selected span.
#[derive(Clone, Debug)]
pub(crate) struct SpanFacts {
    name: String,
    kind: &'static str,
    kind_words: &'static str,
    icon: &'static str,
    mark: Option<(&'static str, &'static str)>,
    took: String,
    offset: String,
    path: Vec<Step>,
    instructions: Vec<Said>,
    input: Vec<Said>,
    output: Vec<Said>,
    input_words: &'static str,
    output_words: &'static str,
    content: &'static str,
    facts: Vec<(&'static str, String)>,
    attributes: Vec<(String, String)>,
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    person: Person,
    Path(trace_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let frame = Frame::new(&context, &person.session, &person.browser, "/console/traces");
    match page(&context, &person, frame, &trace_id, &params).await {
        Ok(Some(page)) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Ok(None) => {
            let text = "There is no run with this id that you can see.";
            error_page(StatusCode::NOT_FOUND, "No such run", text)
        }
        Err(error) => {
            tracing::error!(%error, "a trace could not be read");
            let text = "The run cannot be shown right now. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

async fn page(
    context: &HttpContext,
    person: &Person,
    frame: Frame,
    trace_id: &str,
    params: &Params,
) -> Result<Option<TracePage>, StoreError> {
    let project = ProjectId::default_project();
    let found = context.traces.find(&project, &person.trace_reader(), trace_id).await?;
    let Some(trace) = found else { return Ok(None) };
    let asked = params.find("span").unwrap_or_default();
    let selected = trace.spans.iter().find(|span| span.span_id == asked);
    let selected = selected.or_else(|| trace.spans.first());
    let span = match selected {
        Some(selected) => {
            let wanted = related(&trace, selected);
            let details = context.traces.details(&project, &trace, &wanted).await?;
            Some(SpanFacts::new(&trace, selected, &details))
        }
        None => None,
    };
    let people = people(context, std::slice::from_ref(&trace.summary)).await?;
    let row = TraceRow::new(&trace.summary, &people, context.identity.now());
    let mut waterfall = Waterfall::new(&trace.spans);
    let is_all = params.find("lines") == Some("all");
    let hidden = if is_all { 0 } else { waterfall.bars.len().saturating_sub(LINES_MAX) };
    waterfall.bars.truncate(waterfall.bars.len() - hidden);
    Ok(Some(TracePage {
        frame,
        short_id: figures::short_id(&trace.summary.trace_id),
        spans: counted(trace.summary.spans, "span", "spans"),
        is_open: matches!(trace.summary.status.as_str(), "open" | "waiting"),
        trace: row,
        waterfall,
        hidden,
        selected: selected.map(|span| span.span_id.clone()).unwrap_or_default(),
        span,
    }))
}

/// The selected span, the run's own, and those of the same step that may belong to the same call.
fn related<'a>(trace: &'a Trace, selected: &'a SpanSummary) -> Vec<&'a SpanSummary> {
    let mut wanted = vec![selected];
    if is_of_call(selected.kind) {
        let beside = trace.spans.iter().filter(|span| {
            span.parent_span_id == selected.parent_span_id
                && span.span_id != selected.span_id
                && is_of_call(span.kind)
        });
        wanted.extend(beside.take(CALL_SPANS_MAX));
        wanted.extend(run_of(trace).filter(|run| run.span_id != selected.span_id));
    }
    wanted
}

/// The run's own span.
fn run_of(trace: &Trace) -> Option<&SpanSummary> {
    trace.spans.iter().find(|span| span.parent_span_id.is_empty())
}

const fn is_of_call(kind: SpanKind) -> bool {
    matches!(kind, SpanKind::Tool | SpanKind::Authorization | SpanKind::Approval | SpanKind::Vault)
}

/// The gate's path of the call that the selected span is about.
fn path_of(
    trace: &Trace,
    selected: &SpanSummary,
    details: &BTreeMap<String, SpanDetail>,
) -> Vec<Step> {
    if !is_of_call(selected.kind) {
        return Vec::new();
    }
    let text = |span: &SpanSummary, name: &str| {
        let value = details.get(&span.span_id)?.attributes.get(name)?;
        value.as_str().map(str::to_owned)
    };
    let call = |span: &SpanSummary| text(span, "gen_ai.tool.call.id");
    let approval = |span: &SpanSummary| text(span, "behalf.approval.id");
    let candidates = || trace.spans.iter().filter(|span| details.contains_key(&span.span_id));
    // A wait may not name its call; then it is found by its approval.
    let own = call(selected).or_else(|| {
        let waited_for = approval(selected)?;
        candidates().filter(|span| approval(span) == Some(waited_for.clone())).find_map(call)
    });
    let of_call = candidates().filter(|span| is_of_call(span.kind)).filter(|span| {
        let is_same_wait = || {
            approval(span).is_some_and(|id| {
                candidates().any(|other| approval(other) == Some(id.clone()) && call(other) == own)
            })
        };
        span.span_id == selected.span_id
            || own.is_some() && (call(span) == own || call(span).is_none() && is_same_wait())
    });
    let of_call = of_call.filter_map(|span| Some((span, details.get(&span.span_id)?)));
    let run = run_of(trace).and_then(|run| Some((run, details.get(&run.span_id)?)));
    path(run, &of_call.collect::<Vec<_>>())
}

impl SpanFacts {
    fn new(trace: &Trace, span: &SpanSummary, details: &BTreeMap<String, SpanDetail>) -> Self {
        let detail = details.get(&span.span_id).cloned().unwrap_or_default();
        let (input_words, output_words) = match span.kind {
            SpanKind::Tool => ("Arguments", "Result"),
            SpanKind::Retrieval => ("Question", "Found"),
            _ => ("Input", "Output"),
        };
        let of = |what, value: &Option<Value>| value.iter().flat_map(|v| said(what, v)).collect();
        let mark = match (span.status, span.outcome.as_str()) {
            (SpanStatus::Error, _) => Some(("danger", "failed")),
            (_, "") => None,
            (_, outcome) => Some(outcome_words(outcome)),
        };
        Self {
            name: span.name.clone(),
            kind: span.kind.as_str(),
            kind_words: kind_words(span),
            icon: icon(span.kind),
            mark,
            took: figures::duration(span.ended_at.since(span.started_at)),
            offset: offset_words(span.started_at.since(trace.summary.started_at)),
            path: path_of(trace, span, details),
            instructions: of("system", &detail.facts.instructions),
            input: of(input_words, &detail.facts.input),
            output: of(output_words, &detail.facts.output),
            input_words,
            output_words,
            content: trace.content.as_str(),
            facts: facts(span, &detail),
            attributes: detail.attributes.iter().map(attribute).collect(),
        }
    }
}

/// When a span began, in words.
fn offset_words(offset: Duration) -> String {
    match offset {
        Duration::ZERO => "from the start".to_owned(),
        offset => format!("{} after the start", figures::duration(offset)),
    }
}

fn attribute((name, value): (&String, &Value)) -> (String, String) {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (name.clone(), text.chars().take(2_000).collect())
}

/// Facts that have names of their own.
fn facts(span: &SpanSummary, detail: &SpanDetail) -> Vec<(&'static str, String)> {
    let facts = &detail.facts;
    let text = |name: &str| match detail.attributes.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(value) => Some(value.to_string()),
    };
    let tokens = |count: Option<i64>| count.map(figures::count);
    let is_called = span.cost.priced + span.cost.unpriced > 0;
    let cost = is_called.then(|| match span.cost.known() {
        Some(known) => format!("{} (list prices of {PRICE_DATE})", figures::usd(known)),
        None => "unknown: this model has no known price".to_owned(),
    });
    let reasons = (!facts.finish_reasons.is_empty()).then(|| facts.finish_reasons.join(", "));
    let named = [
        ("Model", facts.model.clone()),
        ("Provider", facts.provider.clone()),
        ("Tokens read", tokens(facts.input_tokens)),
        ("of them cached", tokens(facts.cache_read_tokens)),
        ("Tokens written", tokens(facts.output_tokens)),
        ("of them reasoning", tokens(facts.reasoning_tokens)),
        ("Cost", cost),
        ("Stopped because", reasons),
        ("Tool", (!span.tool.is_empty()).then(|| span.tool.clone())),
        ("For", text("behalf.user")),
        ("Agent", text("behalf.agent")),
        ("Asked through", text("behalf.client")),
        ("Store", text("behalf.fga.store")),
        ("Checked", checked(&text)),
        ("Revision", text("behalf.fga.revision")),
        ("Connection", text("behalf.connection")),
        ("Provider scopes", text("behalf.scopes")),
        ("Approval", text("behalf.approval.id")),
        ("Digest", text("behalf.digest")),
        ("Reason", text("behalf.reason")),
        ("Passages found", text("behalf.retrieval.count")),
        ("Conversation", facts.conversation.clone()),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A check in words.
fn checked(text: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let (user, relation) = (text("behalf.fga.user")?, text("behalf.fga.relation")?);
    let object = text("behalf.fga.object")?;
    let answer = match text("behalf.fga.allowed").as_deref() {
        Some("true") => ": yes",
        Some("false") => ": no",
        _ => "",
    };
    Some(format!("{user} {relation} {object}{answer}"))
}

pub(crate) fn samples() -> Vec<TracePage> {
    let now = Timestamp::from_secs(1_795_507_200);
    let summary = behalf_traces::TraceSummary {
        trace_id: "0123456789abcdef".repeat(2),
        owner: "auth0|ann".to_owned(),
        name: "invoke_agent behalf".to_owned(),
        status: "open".to_owned(),
        started_at: now,
        ended_at: now.plus(Duration::from_secs(9)),
        spans: 4,
        input_tokens: 900,
        output_tokens: 40,
        cost: behalf_traces::Cost { micro_usd: 4_200, priced: 1, unpriced: 0 },
        tools: vec!["createPublicGist".to_owned()],
        models: vec!["gpt-4o".to_owned()],
        sequence: 1,
    };
    let span = |id: &str, parent: &str, kind, from, to| SpanSummary {
        kind,
        name: format!("{id} <b>"),
        waits: kind == SpanKind::Approval,
        started_at: now.plus(Duration::from_secs(from)),
        ended_at: now.plus(Duration::from_secs(to)),
        ..SpanSummary::named(id, parent)
    };
    let trace = Trace {
        summary,
        spans: vec![
            span("a", "", SpanKind::Agent, 0, 9),
            span("b", "a", SpanKind::Model, 0, 2),
            SpanSummary {
                outcome: "approval_required".into(),
                ..span("c", "a", SpanKind::Authorization, 2, 2)
            },
            span("d", "a", SpanKind::Approval, 2, 8),
        ],
        content: ContentRight::Full,
    };
    let detail = SpanDetail {
        attributes: serde_json::Map::from_iter([
            ("behalf.approval.id".to_owned(), "apr_1".into()),
            ("gen_ai.tool.call.id".to_owned(), "call_1".into()),
        ]),
        ..SpanDetail::default()
    };
    let details = ["a", "b", "c", "d"].map(|id| (id.to_owned(), detail.clone()));
    let details = BTreeMap::from(details);
    let pages = trace.spans.iter().map(|selected| {
        let mut facts = SpanFacts::new(&trace, selected, &details);
        facts.input = said("Input", &serde_json::json!([{"role": "user", "content": "<i>hi</i>"}]));
        TracePage {
            frame: Frame::sample("/console/traces"),
            trace: TraceRow::new(&trace.summary, &BTreeMap::new(), now),
            short_id: figures::short_id(&trace.summary.trace_id),
            spans: "4 spans".to_owned(),
            is_open: true,
            waterfall: Waterfall::new(&trace.spans),
            hidden: 3,
            selected: selected.span_id.clone(),
            span: Some(facts),
        }
    });
    pages.collect()
}
