//! Taking spans in: redact, store as one batch, and project what lists need in the same unit.

use std::collections::BTreeSet;

use behalf_core::{ProjectId, UserId};
use behalf_store::traces::{self, Key, SpanRow};
use behalf_store::{StoreError, UnitOfWork};
use serde_json::Value;

use crate::normalise::{Facts, kind_of};
use crate::price::cost_micro_usd;
use crate::redact::redact;
use crate::span::{Span, SpanStatus, to_hex};
use crate::{Traces, batch};

/// More spans than one batch holds.
pub const BATCH_SPANS_MAX: usize = 10_000;
/// The longest name of a span, tool or model that is kept, in characters.
const NAME_MAX: usize = 200;

impl Traces {
    /// Stores spans durably, as one batch. A span that was stored before is replaced.
    ///
    /// `owner` is the person whose run it is, from a verified token or session, never from a span.
    /// A trace belongs to one owner: the same trace id under another owner is another trace.
    ///
    /// # Errors
    /// When the store fails; of such a batch nothing is kept.
    pub async fn append(
        &self,
        project: &ProjectId,
        owner: Option<&UserId>,
        mut spans: Vec<Span>,
    ) -> Result<(), StoreError> {
        if spans.is_empty() {
            return Ok(());
        }
        spans.iter_mut().for_each(redact);
        let _shared = self.0.rebuilding.read().await;
        let owner = owner.map_or("", UserId::as_str);
        let mut unit = self.unit();
        unit.add(traces::next_sequence(self.tenant(), project));
        self.project(&mut unit, project, owner, &spans, None);
        let count = i64::try_from(spans.len()).unwrap_or(i64::MAX);
        let body = batch::encode(spans, &self.0.keyring, self.tenant(), project, &*self.0.rng)?;
        let now = unit.now();
        unit.add(traces::insert_batch(self.tenant(), project, owner, count, body, now));
        self.0.storage.commit(unit).await?;
        self.0.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        Ok(())
    }

    /// Builds every projection of the project again, from its batches alone. Readers see what has
    /// been built so far; writers of this process wait.
    ///
    /// # Errors
    /// When the store fails, or a batch cannot be read.
    pub async fn rebuild(&self, project: &ProjectId) -> Result<u64, StoreError> {
        /// Batches read at once.
        const STEP: u32 = 16;
        let _alone = self.0.rebuilding.write().await;
        let mut unit = self.unit();
        traces::clear_projections(self.tenant(), project).into_iter().for_each(|s| unit.add(s));
        self.0.storage.commit(unit).await?;
        let (mut after, mut count) = (0, 0_u64);
        loop {
            let storage = &self.0.storage;
            let batches =
                traces::list_batches(storage, self.tenant(), project, after, STEP).await?;
            let Some(last) = batches.last() else { break };
            after = last.sequence;
            for row in batches {
                let spans = batch::decode(&row.body, &self.0.keyring, self.tenant(), project)?;
                let mut unit = self.unit();
                self.project(&mut unit, project, &row.owner, &spans, Some(row.sequence));
                storage.commit(unit).await?;
                count = count.saturating_add(1);
            }
        }
        self.0.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        Ok(count)
    }

    /// Adds the projections of a batch's spans to `unit`.
    fn project(
        &self,
        unit: &mut UnitOfWork,
        project: &ProjectId,
        owner: &str,
        spans: &[Span],
        known: Option<i64>,
    ) {
        let mut tags = BTreeSet::new();
        for (ordinal, span) in spans.iter().enumerate() {
            let trace_id = to_hex(&span.trace_id);
            let key = Key { tenant: self.tenant(), project, owner, trace_id: &trace_id };
            let row = row_of(span, ordinal, known);
            unit.add(traces::put_trace(key, &row, trace_status(span), known));
            unit.add(traces::put_span(key, &row, known));
            for (tag, value) in [("tool", row.tool), ("model", row.model)] {
                if !value.is_empty() && tags.insert((trace_id.clone(), tag, value.clone())) {
                    unit.add(traces::put_tag(key, tag, &value));
                }
            }
        }
    }
}

/// What a trace's status is with this span as its root. A run that goes on tells its root again and
/// again and says so; a sender that says nothing sends a root that is over.
fn trace_status(root: &Span) -> &'static str {
    let turn = root.attributes.get("behalf.turn.status").and_then(Value::as_str);
    match (root.status, turn) {
        (SpanStatus::Error, _) => "error",
        (_, Some("running")) => "open",
        (_, Some("waiting")) => "waiting",
        (SpanStatus::Ok | SpanStatus::Unset, _) => "ok",
    }
}

/// What lists and the waterfall need of a span.
fn row_of(span: &Span, ordinal: usize, known: Option<i64>) -> SpanRow {
    let facts = Facts::of(span);
    let input_tokens = facts.input_tokens.unwrap_or(0);
    let output_tokens = facts.output_tokens.unwrap_or(0);
    let model = facts.model.unwrap_or_default();
    let cost = facts.is_charged.then(|| {
        let cached = facts.cache_read_tokens.unwrap_or(0);
        cost_micro_usd(&model, input_tokens, cached, output_tokens)
    });
    let charge = match cost {
        None => 0,
        Some(Some(_)) => 1,
        Some(None) => 2,
    };
    SpanRow {
        span_id: to_hex(&span.span_id),
        parent_span_id: span.parent_span_id.map(|id| to_hex(&id)).unwrap_or_default(),
        name: shortened(&span.name),
        kind: kind_of(&facts.operation, span.kind).as_str().to_owned(),
        status: span.status.as_str().to_owned(),
        waits: facts.waits,
        started_at: span.start,
        ended_at: span.end.max(span.start),
        tool: shortened(&facts.tool.unwrap_or_default()),
        model: shortened(&model),
        input_tokens,
        output_tokens,
        charge,
        cost_micro_usd: cost.flatten().unwrap_or(0),
        outcome: facts.outcome.as_deref().map(shortened).unwrap_or_default(),
        sequence: known.unwrap_or(0),
        ordinal: i64::try_from(ordinal).unwrap_or(i64::MAX),
    }
}

/// One line of at most [`NAME_MAX`] characters.
fn shortened(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(NAME_MAX).collect()
}
