//! Reading traces: lists, one trace, one span with what was said in it, figures by day.

use std::collections::BTreeMap;
use std::time::Duration;

use behalf_core::{Page, PageSize, ProjectId, Timestamp};
use behalf_store::StoreError;
use behalf_store::traces::{self, Cursor, Key, SpanRow, TraceRow};
use serde_json::{Map, Value};

use crate::normalise::Facts;
use crate::reader::{ContentRight, Reader, visible};
use crate::span::{SpanKind, SpanStatus, from_hex, to_hex};
use crate::{Traces, batch};

/// Which traces; what is empty or absent is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Whose, by `sub`.
    pub owner: String,
    /// With this tool.
    pub tool: String,
    /// With this model.
    pub model: String,
    /// In this state: `open`, `ok`, `error`.
    pub status: String,
    /// With this text in the name of a span.
    pub text: String,
    /// Begun at or after.
    pub from: Option<Timestamp>,
    /// Begun before.
    pub to: Option<Timestamp>,
}

impl TraceFilter {
    /// True if there is no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of the cost of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The cost of the model calls whose model has a price.
    pub micro_usd: i64,
    /// How many those are.
    pub priced: i64,
    /// How many have none.
    pub unpriced: i64,
}

impl Cost {
    /// The cost, when there is one: a call without a price is unknown, not free.
    pub const fn known(&self) -> Option<i64> {
        if self.priced > 0 { Some(self.micro_usd) } else { None }
    }
}

/// A trace in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id, 32 hex.
    pub trace_id: String,
    /// Whose it is, by `sub`; empty when nobody's.
    pub owner: String,
    /// What it is called.
    pub name: String,
    /// `open` until its root arrives, then `ok` or `error`.
    pub status: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When its last span ended.
    pub ended_at: Timestamp,
    /// How many spans it has.
    pub spans: i64,
    /// Tokens read by its model calls.
    pub input_tokens: i64,
    /// Tokens written by them.
    pub output_tokens: i64,
    /// What they cost.
    pub cost: Cost,
    /// Its tools, by name.
    pub tools: Vec<String>,
    /// Its models, by name.
    pub models: Vec<String>,
    /// Grows with every change; where a live tail goes on.
    pub sequence: i64,
}

impl TraceSummary {
    /// How long it took so far.
    pub fn duration(&self) -> Duration {
        self.ended_at.since(self.started_at)
    }
}

/// A span of a trace, as the waterfall needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanSummary {
    /// Its id, 16 hex.
    pub span_id: String,
    /// Its parent's, or empty.
    pub parent_span_id: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// True if its time is waiting for a person.
    pub waits: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its tool, or empty.
    pub tool: String,
    /// Its model, or empty.
    pub model: String,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// What it cost itself.
    pub cost: Cost,
    /// The gate's outcome, or empty.
    pub outcome: String,
    /// Where its attributes are: the batch, and the place in it.
    pub place: (i64, i64),
}

impl SpanSummary {
    /// A span of which nothing but its place in the tree is known: for samples and tests.
    pub fn named(span_id: &str, parent_span_id: &str) -> Self {
        Self {
            span_id: span_id.to_owned(),
            parent_span_id: parent_span_id.to_owned(),
            name: span_id.to_owned(),
            kind: SpanKind::Other,
            status: SpanStatus::Unset,
            waits: false,
            started_at: Timestamp::from_micros(0),
            ended_at: Timestamp::from_micros(0),
            tool: String::new(),
            model: String::new(),
            input_tokens: 0,
            output_tokens: 0,
            cost: Cost::default(),
            outcome: String::new(),
            place: (0, 0),
        }
    }
}

/// A trace with its spans, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What lists show of it.
    pub summary: TraceSummary,
    /// Its spans, oldest first.
    pub spans: Vec<SpanSummary>,
    /// What the reader sees of what was said.
    pub content: ContentRight,
}

/// What a span says, as far as its reader may know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanDetail {
    /// The attributes as they came, without secrets.
    pub attributes: Map<String, Value>,
    /// The same in one row model.
    pub facts: Facts,
}

/// Figures of a day (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Runs that began.
    pub traces: i64,
    /// How many of them failed.
    pub failed: i64,
    /// Tokens read and written.
    pub tokens: i64,
    /// What they cost.
    pub cost: Cost,
    /// The gate's decisions by outcome.
    pub outcomes: BTreeMap<String, i64>,
}

/// The page token is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`page_token` is none that this list gave")]
pub struct BadPageToken;

/// Reads what a page token says.
///
/// # Errors
/// When it is none.
fn cursor(token: &str) -> Result<Cursor, BadPageToken> {
    let mut parts = token.splitn(3, '.');
    let mut next = || parts.next().ok_or(BadPageToken);
    let (at, trace_id, owner) = (next()?, next()?, next()?);
    let at = at.parse().map_err(|_| BadPageToken)?;
    let trace: [u8; 16] = from_hex(trace_id).ok_or(BadPageToken)?;
    let owner = (0..owner.len())
        .step_by(2)
        .map(|i| owner.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<Vec<u8>>>()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(BadPageToken)?;
    Ok(Cursor { started_at: Timestamp::from_micros(at), trace_id: to_hex(&trace), owner })
}

fn token(row: &TraceRow) -> String {
    let owner = to_hex(row.owner.as_bytes());
    format!("{}.{}.{owner}", row.started_at.as_micros(), row.trace_id)
}

/// Why a list could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The page token is none of ours.
    #[error(transparent)]
    PageToken(#[from] BadPageToken),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Traces {
    /// The reader's traces that fit, newest first.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn list(
        &self,
        project: &ProjectId,
        reader: &Reader,
        filter: &TraceFilter,
        size: PageSize,
        page_token: Option<&str>,
    ) -> Result<Page<TraceSummary>, ListError> {
        let none = Page { items: Vec::new(), next: None };
        let Some(only) = reader.only_owner() else { return Ok(none) };
        let cursor = page_token.map(cursor).transpose()?;
        // Whoever asks for somebody else's traces without seeing them gets none.
        let owner = match (only, filter.owner.as_str()) {
            (only, "") => only,
            ("", asked) => asked,
            (only, asked) if only == asked => only,
            _ => return Ok(none),
        };
        let text = filter.text.to_lowercase();
        let filter = traces::Filter {
            owner,
            status: &filter.status,
            tool: &filter.tool,
            model: &filter.model,
            text: &text,
            from: filter.from.unwrap_or(Timestamp::from_micros(i64::MIN)),
            to: filter.to.unwrap_or(Timestamp::from_micros(i64::MAX)),
        };
        let limit = u32::from(size.value());
        let (storage, tenant) = (&self.0.storage, self.tenant());
        // One more than the page tells whether there is another.
        let mut rows =
            traces::list(storage, tenant, project, filter, cursor.as_ref(), limit + 1).await?;
        let has_more = rows.len() > usize::from(size.value());
        rows.truncate(usize::from(size.value()));
        let next = rows.last().filter(|_| has_more).map(token);
        Ok(Page { items: self.summaries(project, rows).await?, next })
    }

    /// Rows with their tools and models.
    pub(crate) async fn summaries(
        &self,
        project: &ProjectId,
        rows: Vec<TraceRow>,
    ) -> Result<Vec<TraceSummary>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids = rows.iter().map(|row| row.trace_id.as_str()).collect::<Vec<_>>();
        let tags = traces::list_tags(&self.0.storage, self.tenant(), project, &ids).await?;
        let mut summaries = rows.into_iter().map(summary).collect::<Vec<_>>();
        for (trace_id, owner, tag, value) in tags {
            let of = |s: &&mut TraceSummary| s.trace_id == trace_id && s.owner == owner;
            let Some(summary) = summaries.iter_mut().find(of) else { continue };
            match tag.as_str() {
                "tool" => summary.tools.push(value),
                _ => summary.models.push(value),
            }
        }
        Ok(summaries)
    }

    /// The trace with that id that the reader may see: her own before another's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        project: &ProjectId,
        reader: &Reader,
        trace_id: &str,
    ) -> Result<Option<Trace>, StoreError> {
        let Some(only) = reader.only_owner() else { return Ok(None) };
        if from_hex::<16>(trace_id).is_none() {
            return Ok(None);
        }
        let rows = traces::find(&self.0.storage, self.tenant(), project, trace_id).await?;
        let own = reader.user_id.as_ref().map_or("", |user_id| user_id.as_str());
        let mut seen =
            rows.into_iter().filter(|row| only.is_empty() || row.owner == only).collect::<Vec<_>>();
        seen.sort_by_key(|row| row.owner != own);
        let Some(row) = seen.into_iter().next() else { return Ok(None) };
        let content = reader.content_of(&row.owner);
        let key =
            Key { tenant: self.tenant(), project, owner: &row.owner, trace_id: &row.trace_id };
        let spans = traces::list_spans(&self.0.storage, key).await?;
        let spans = spans.into_iter().map(span).collect::<Result<_, _>>()?;
        let summary = self.summaries(project, vec![row]).await?.pop();
        let summary = summary
            .ok_or_else(|| StoreError::Corrupt { what: "a trace without a summary".into() })?;
        Ok(Some(Trace { summary, spans, content }))
    }

    /// What each of `spans` of the trace says, as far as its reader may know.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn details(
        &self,
        project: &ProjectId,
        trace: &Trace,
        spans: &[&SpanSummary],
    ) -> Result<BTreeMap<String, SpanDetail>, StoreError> {
        let mut wanted: BTreeMap<i64, Vec<(i64, &str)>> = BTreeMap::new();
        for span in spans {
            wanted.entry(span.place.0).or_default().push((span.place.1, &span.span_id));
        }
        let mut details = BTreeMap::new();
        for (sequence, places) in wanted {
            let row = traces::find_batch(&self.0.storage, self.tenant(), project, sequence).await?;
            // Its batch may have been deleted by retention: the span's row remains.
            let Some(row) = row else { continue };
            let batch = batch::decode(&row.body, &self.0.keyring, self.tenant(), project)?;
            let mut batch = batch.into_iter().map(Some).collect::<Vec<_>>();
            for (ordinal, span_id) in places {
                let place = usize::try_from(ordinal).ok().and_then(|i| batch.get_mut(i));
                let Some(mut span) = place.and_then(Option::take) else { continue };
                span.attributes = visible(span.attributes, trace.content);
                let facts = Facts::of(&span);
                let detail = SpanDetail { facts, attributes: span.attributes };
                details.insert(span_id.to_owned(), detail);
            }
        }
        Ok(details)
    }

    /// The tools and models that the reader's traces have, for choosing among them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn choices(
        &self,
        project: &ProjectId,
        reader: &Reader,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let Some(owner) = reader.only_owner() else { return Ok((Vec::new(), Vec::new())) };
        let (storage, tenant) = (&self.0.storage, self.tenant());
        let tools = traces::list_values(storage, tenant, project, owner, "tool").await?;
        let models = traces::list_values(storage, tenant, project, owner, "model").await?;
        Ok((tools, models))
    }

    /// Figures of each of the last `days` days, today last; days without any are there too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn figures(
        &self,
        project: &ProjectId,
        reader: &Reader,
        days: u16,
    ) -> Result<Vec<DayFigures>, StoreError> {
        const DAY: i64 = 86_400;
        let today = self.0.clock.now().as_secs().div_euclid(DAY);
        let first = today - i64::from(days) + 1;
        let mut figures = (first..=today)
            .map(|day| DayFigures { day, ..DayFigures::default() })
            .collect::<Vec<_>>();
        let Some(owner) = reader.only_owner() else { return Ok(figures) };
        let from = Timestamp::from_secs(first.saturating_mul(DAY));
        let (storage, tenant) = (&self.0.storage, self.tenant());
        let of = |day: i64| usize::try_from(day - first).ok();
        for row in traces::days(storage, tenant, project, owner, from).await? {
            if let Some(figures) = of(row.day).and_then(|index| figures.get_mut(index)) {
                figures.traces = row.traces;
                figures.failed = row.failed;
                figures.tokens = row.tokens;
                figures.cost = Cost {
                    micro_usd: row.cost_micro_usd,
                    priced: row.priced,
                    unpriced: row.unpriced,
                };
            }
        }
        for row in traces::outcomes(storage, tenant, project, owner, from).await? {
            if let Some(figures) = of(row.day).and_then(|index| figures.get_mut(index)) {
                figures.outcomes.insert(row.outcome, row.count);
            }
        }
        Ok(figures)
    }
}

fn summary(row: TraceRow) -> TraceSummary {
    TraceSummary {
        trace_id: row.trace_id,
        owner: row.owner,
        name: row.name,
        status: row.status,
        started_at: row.started_at,
        ended_at: row.ended_at,
        spans: row.spans,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cost: Cost { micro_usd: row.cost_micro_usd, priced: row.priced, unpriced: row.unpriced },
        tools: Vec::new(),
        models: Vec::new(),
        sequence: row.sequence,
    }
}

fn span(row: SpanRow) -> Result<SpanSummary, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("a span's {what}") };
    Ok(SpanSummary {
        kind: SpanKind::from_text(&row.kind).ok_or_else(|| corrupt("kind"))?,
        status: SpanStatus::from_text(&row.status).ok_or_else(|| corrupt("status"))?,
        span_id: row.span_id,
        parent_span_id: row.parent_span_id,
        name: row.name,
        waits: row.waits,
        started_at: row.started_at,
        ended_at: row.ended_at,
        tool: row.tool,
        model: row.model,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cost: Cost {
            micro_usd: row.cost_micro_usd,
            priced: i64::from(row.charge == 1),
            unpriced: i64::from(row.charge == 2),
        },
        outcome: row.outcome,
        place: (row.sequence, row.ordinal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_are_read_strictly() {
        let id = "0".repeat(32);
        for bad in ["", "1", "1.2.3", &format!("1.{id}"), &format!("x.{id}."), &format!("1.{id}.0")]
        {
            assert_eq!(cursor(bad), Err(BadPageToken), "{bad}");
        }
        let good = cursor(&format!("1.{id}.617c62")).unwrap();
        assert_eq!((good.started_at.as_micros(), good.owner.as_str()), (1, "a|b"));
    }
}
