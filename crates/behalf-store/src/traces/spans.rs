//! Projections as they are written: a trace's totals, its tags, its spans.
//!
//! A span may come twice (a sender that repeats itself, or a wait that is told before it ends): the
//! later one stands, and the totals change by the difference alone.

use behalf_core::{ProjectId, TenantId, Timestamp};

use super::batches::bind_sequence;
use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::{Row, Value};

/// Which trace.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The project.
    pub project: &'a ProjectId,
    /// The owner; empty when it is nobody's.
    pub owner: &'a str,
    /// 32 hex.
    pub trace_id: &'a str,
}

/// A span, without its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanRow {
    /// 16 hex.
    pub span_id: String,
    /// 16 hex, or empty for a root.
    pub parent_span_id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its status.
    pub status: String,
    /// True if its time is waiting for a person.
    pub waits: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The tool it is about, or empty.
    pub tool: String,
    /// The model that answered, or empty.
    pub model: String,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// 0 nothing to charge, 1 priced, 2 a model without a price.
    pub charge: i64,
    /// What it cost.
    pub cost_micro_usd: i64,
    /// The gate's outcome, or empty.
    pub outcome: String,
    /// The batch with its attributes.
    pub sequence: i64,
    /// Its place in the batch.
    pub ordinal: i64,
}

/// Adds what a span changes to its trace's row. Stands before [`put_span`] in the unit, because it
/// takes away what an earlier form of the same span added.
///
/// `status` is what the trace's becomes when the span is its root: `open`, `waiting`, `ok` or
/// `error`.
pub fn put_trace(key: Key<'_>, span: &SpanRow, status: &str, known: Option<i64>) -> Statement {
    let is_root = span.parent_span_id.is_empty();
    let (root, status) = if is_root { (span.span_id.as_str(), status) } else { ("", "open") };
    let statement = Statement::new(
        "INSERT INTO traces (tenant_id, project_id, owner, trace_id, name, root_span_id, status,
             started_at, ended_at, spans, input_tokens, output_tokens, cost_micro_usd, priced,
             unpriced, sequence)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (tenant_id, project_id, owner, trace_id) DO UPDATE SET
             name = CASE WHEN excluded.root_span_id <> '' THEN excluded.name ELSE traces.name END,
             status = CASE WHEN excluded.root_span_id <> '' THEN excluded.status
                           ELSE traces.status END,
             root_span_id = CASE WHEN excluded.root_span_id <> '' THEN excluded.root_span_id
                                 ELSE traces.root_span_id END,
             started_at = CASE WHEN excluded.started_at < traces.started_at
                               THEN excluded.started_at ELSE traces.started_at END,
             ended_at = CASE WHEN excluded.ended_at > traces.ended_at
                             THEN excluded.ended_at ELSE traces.ended_at END,
             spans = traces.spans + 1 - (SELECT COUNT(*) FROM spans s WHERE s.tenant_id = $1
                 AND s.project_id = $2 AND s.owner = $3 AND s.trace_id = $4 AND s.span_id = $16),
             input_tokens = traces.input_tokens + excluded.input_tokens - COALESCE(
                 (SELECT s.input_tokens FROM spans s WHERE s.tenant_id = $1 AND s.project_id = $2
                  AND s.owner = $3 AND s.trace_id = $4 AND s.span_id = $16 AND s.charge > 0), 0),
             output_tokens = traces.output_tokens + excluded.output_tokens - COALESCE(
                 (SELECT s.output_tokens FROM spans s WHERE s.tenant_id = $1 AND s.project_id = $2
                  AND s.owner = $3 AND s.trace_id = $4 AND s.span_id = $16 AND s.charge > 0), 0),
             cost_micro_usd = traces.cost_micro_usd + excluded.cost_micro_usd - COALESCE(
                 (SELECT s.cost_micro_usd FROM spans s WHERE s.tenant_id = $1 AND s.project_id = $2
                  AND s.owner = $3 AND s.trace_id = $4 AND s.span_id = $16), 0),
             priced = traces.priced + excluded.priced - (SELECT COUNT(*) FROM spans s
                 WHERE s.tenant_id = $1 AND s.project_id = $2 AND s.owner = $3 AND s.trace_id = $4
                   AND s.span_id = $16 AND s.charge = 1),
             unpriced = traces.unpriced + excluded.unpriced - (SELECT COUNT(*) FROM spans s
                 WHERE s.tenant_id = $1 AND s.project_id = $2 AND s.owner = $3 AND s.trace_id = $4
                   AND s.span_id = $16 AND s.charge = 2),
             sequence = excluded.sequence",
    );
    // Only what is charged counts: a parent may carry the sum of its children again.
    let counted = |tokens: i64| if span.charge > 0 { tokens } else { 0 };
    let statement = statement
        .bind(key.tenant)
        .bind(key.project)
        .bind(key.owner)
        .bind(key.trace_id)
        .bind(&span.name)
        .bind(root)
        .bind(status)
        .bind(span.started_at)
        .bind(span.ended_at)
        .bind(counted(span.input_tokens))
        .bind(counted(span.output_tokens))
        .bind(span.cost_micro_usd)
        .bind(i64::from(span.charge == 1))
        .bind(i64::from(span.charge == 2));
    bind_sequence(statement, known).bind(&span.span_id)
}

/// Stores a span, in place of an earlier form of it.
pub fn put_span(key: Key<'_>, span: &SpanRow, known: Option<i64>) -> Statement {
    let statement = Statement::new(
        "INSERT INTO spans (tenant_id, project_id, owner, trace_id, span_id, parent_span_id, name,
             kind, status, waits, started_at, ended_at, tool, model, input_tokens, output_tokens,
             charge, cost_micro_usd, outcome, ordinal, sequence)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
             $19, $20, $21)
         ON CONFLICT (tenant_id, project_id, owner, trace_id, span_id) DO UPDATE SET
             parent_span_id = excluded.parent_span_id, name = excluded.name, kind = excluded.kind,
             status = excluded.status, waits = excluded.waits, started_at = excluded.started_at,
             ended_at = excluded.ended_at, tool = excluded.tool, model = excluded.model,
             input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
             charge = excluded.charge, cost_micro_usd = excluded.cost_micro_usd,
             outcome = excluded.outcome, ordinal = excluded.ordinal, sequence = excluded.sequence",
    )
    .bind(key.tenant)
    .bind(key.project)
    .bind(key.owner)
    .bind(key.trace_id)
    .bind(&span.span_id)
    .bind(&span.parent_span_id)
    .bind(&span.name)
    .bind(&span.kind)
    .bind(&span.status)
    .bind(span.waits)
    .bind(span.started_at)
    .bind(span.ended_at)
    .bind(&span.tool)
    .bind(&span.model)
    .bind(span.input_tokens)
    .bind(span.output_tokens)
    .bind(span.charge)
    .bind(span.cost_micro_usd)
    .bind(&span.outcome)
    .bind(span.ordinal);
    bind_sequence(statement, known)
}

/// Says that the trace has that tool or model.
pub fn put_tag(key: Key<'_>, tag: &str, value: &str) -> Statement {
    Statement::new(
        "INSERT INTO trace_tags (tenant_id, project_id, owner, trace_id, tag, value)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant)
    .bind(key.project)
    .bind(key.owner)
    .bind(key.trace_id)
    .bind(tag)
    .bind(value)
}

/// Takes the project's projections away, before they are built again.
pub fn clear_projections(tenant: &TenantId, project: &ProjectId) -> [Statement; 3] {
    [
        "DELETE FROM traces WHERE tenant_id = $1 AND project_id = $2",
        "DELETE FROM trace_tags WHERE tenant_id = $1 AND project_id = $2",
        "DELETE FROM spans WHERE tenant_id = $1 AND project_id = $2",
    ]
    .map(|sql| Statement::new(sql).bind(tenant).bind(project))
}

/// The trace's spans, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_spans(storage: &Storage, key: Key<'_>) -> Result<Vec<SpanRow>, StoreError> {
    const LIST: &str = "SELECT span_id, parent_span_id, name, kind, status, waits, started_at,
             ended_at, tool, model, input_tokens, output_tokens, charge, cost_micro_usd, outcome,
             sequence, ordinal
         FROM spans
         WHERE tenant_id = $1 AND project_id = $2 AND owner = $3 AND trace_id = $4
         ORDER BY started_at, ended_at DESC, sequence, ordinal";
    let params: [Value; 4] =
        [key.tenant.into(), key.project.into(), key.owner.into(), key.trace_id.into()];
    storage.query(LIST, params).await?.into_iter().map(span).collect()
}

fn span(mut row: Row) -> Result<SpanRow, StoreError> {
    Ok(SpanRow {
        span_id: row.take(0)?,
        parent_span_id: row.take(1)?,
        name: row.take(2)?,
        kind: row.take(3)?,
        status: row.take(4)?,
        waits: row.take(5)?,
        started_at: row.take(6)?,
        ended_at: row.take(7)?,
        tool: row.take(8)?,
        model: row.take(9)?,
        input_tokens: row.take(10)?,
        output_tokens: row.take(11)?,
        charge: row.take(12)?,
        cost_micro_usd: row.take(13)?,
        outcome: row.take(14)?,
        sequence: row.take(15)?,
        ordinal: row.take(16)?,
    })
}
