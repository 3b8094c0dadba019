//! Lists of traces, newest first or by what changed last.

use behalf_core::{ProjectId, TenantId, Timestamp};
use serde_json::Value as Json;

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Sql;
use crate::value::{Row, Value};

/// A trace in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// Whose it is; empty when it is nobody's.
    pub owner: String,
    /// 32 hex.
    pub trace_id: String,
    /// The root span's name, or the first span's.
    pub name: String,
    /// `open`, `ok`, `error`.
    pub status: String,
    /// When its first span began.
    pub started_at: Timestamp,
    /// When its last span ended.
    pub ended_at: Timestamp,
    /// How many spans it has.
    pub spans: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// What the priced model calls cost.
    pub cost_micro_usd: i64,
    /// How many model calls have a price.
    pub priced: i64,
    /// How many do not.
    pub unpriced: i64,
    /// The batch that changed it last.
    pub sequence: i64,
}

/// Which traces of a project; an empty text is no condition.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Only this owner's.
    pub owner: &'a str,
    /// Only in this state.
    pub status: &'a str,
    /// Only those that used this tool.
    pub tool: &'a str,
    /// Only those that called this model.
    pub model: &'a str,
    /// Only those with this text in the name of a span, in lower case.
    pub text: &'a str,
    /// Only those that began at or after this.
    pub from: Timestamp,
    /// Only those that began before this.
    pub to: Timestamp,
}

/// Where a page begins: after this trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When it began.
    pub started_at: Timestamp,
    /// Its id.
    pub trace_id: String,
    /// Its owner.
    pub owner: String,
}

/// Where a tail has come to: each batch may change many traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    sequence: i64,
    trace_id: String,
    owner: String,
}

impl Place {
    /// After everything that the batch changed.
    pub fn after_all_of(sequence: i64) -> Self {
        // The empty text is before every other, in every collation.
        let sequence = sequence.saturating_add(1);
        Self { sequence, trace_id: String::new(), owner: String::new() }
    }

    /// After this trace.
    pub fn of(row: &TraceRow) -> Self {
        Self { sequence: row.sequence, trace_id: row.trace_id.clone(), owner: row.owner.clone() }
    }
}

macro_rules! select_traces {
    ($rest:literal) => {
        concat!(
            "SELECT t.owner, t.trace_id, t.name, t.status, t.started_at, t.ended_at, t.spans,
                 t.input_tokens, t.output_tokens, t.cost_micro_usd, t.priced, t.unpriced,
                 t.sequence
             FROM traces t WHERE t.tenant_id = $1 AND t.project_id = $2 ",
            $rest
        )
    };
}

fn trace(mut row: Row) -> Result<TraceRow, StoreError> {
    Ok(TraceRow {
        owner: row.take(0)?,
        trace_id: row.take(1)?,
        name: row.take(2)?,
        status: row.take(3)?,
        started_at: row.take(4)?,
        ended_at: row.take(5)?,
        spans: row.take(6)?,
        input_tokens: row.take(7)?,
        output_tokens: row.take(8)?,
        cost_micro_usd: row.take(9)?,
        priced: row.take(10)?,
        unpriced: row.take(11)?,
        sequence: row.take(12)?,
    })
}

/// The newest `limit` traces that fit, after `cursor`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    filter: Filter<'_>,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<TraceRow>, StoreError> {
    const LIST: &str = select_traces!(
        "AND t.started_at >= $3 AND t.started_at < $4
         AND (t.started_at, t.trace_id, t.owner) < ($5, $6, $7)
         AND ($8 = '' OR t.owner = $8) AND ($9 = '' OR t.status = $9)
         AND ($10 = '' OR EXISTS (SELECT 1 FROM trace_tags g WHERE g.tenant_id = t.tenant_id
              AND g.project_id = t.project_id AND g.owner = t.owner AND g.trace_id = t.trace_id
              AND g.tag = 'tool' AND g.value = $10))
         AND ($11 = '' OR EXISTS (SELECT 1 FROM trace_tags g WHERE g.tenant_id = t.tenant_id
              AND g.project_id = t.project_id AND g.owner = t.owner AND g.trace_id = t.trace_id
              AND g.tag = 'model' AND g.value = $11))
         AND ($12 = '' OR LOWER(t.name) LIKE $12 ESCAPE '!' OR EXISTS (SELECT 1 FROM spans s
              WHERE s.tenant_id = t.tenant_id AND s.project_id = t.project_id
              AND s.owner = t.owner AND s.trace_id = t.trace_id
              AND LOWER(s.name) LIKE $12 ESCAPE '!'))
         ORDER BY t.started_at DESC, t.trace_id DESC, t.owner DESC LIMIT $13"
    );
    let (at, trace_id, owner) = match cursor {
        Some(cursor) => (cursor.started_at, cursor.trace_id.as_str(), cursor.owner.as_str()),
        None => (Timestamp::from_micros(i64::MAX), "", ""),
    };
    let params: [Value; 13] = [
        tenant.into(),
        project.into(),
        filter.from.into(),
        filter.to.into(),
        at.into(),
        trace_id.into(),
        owner.into(),
        filter.owner.into(),
        filter.status.into(),
        filter.tool.into(),
        filter.model.into(),
        pattern(filter.text).into(),
        limit.into(),
    ];
    storage.query(LIST, params).await?.into_iter().map(trace).collect()
}

/// The LIKE pattern that finds `text` anywhere, and nothing else.
fn pattern(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

/// The first `limit` traces that changed after `after`, in the order of their changes.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_changed(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    owner: &str,
    after: &Place,
    limit: u32,
) -> Result<Vec<TraceRow>, StoreError> {
    const LIST: &str = select_traces!(
        "AND (t.sequence, t.trace_id, t.owner) > ($3, $4, $5) AND ($6 = '' OR t.owner = $6)
         ORDER BY t.sequence, t.trace_id, t.owner LIMIT $7"
    );
    let params: [Value; 7] = [
        tenant.into(),
        project.into(),
        after.sequence.into(),
        (&after.trace_id).into(),
        (&after.owner).into(),
        owner.into(),
        limit.into(),
    ];
    storage.query(LIST, params).await?.into_iter().map(trace).collect()
}

/// The traces with that id: one for each owner, at most a hundred.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    trace_id: &str,
) -> Result<Vec<TraceRow>, StoreError> {
    const FIND: &str =
        select_traces!("AND t.trace_id = $3 ORDER BY t.started_at, t.owner LIMIT 100");
    let params: [Value; 3] = [tenant.into(), project.into(), trace_id.into()];
    storage.query(FIND, params).await?.into_iter().map(trace).collect()
}

/// The number of the project's newest batch; 0 when there is none.
///
/// # Errors
/// As [`Storage::query`].
pub async fn newest_sequence(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<i64, StoreError> {
    const FIND: &str = "SELECT sequence FROM trace_heads WHERE tenant_id = $1 AND project_id = $2";
    let row = storage.find(FIND, [tenant.into(), project.into()]).await?;
    row.map_or(Ok(0), |mut row| row.take(0))
}

/// The tools and models of those traces: trace id, owner, tag, value.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_tags(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    trace_ids: &[&str],
) -> Result<Vec<(String, String, String, String)>, StoreError> {
    const LIST: Sql = Sql::each(
        "SELECT trace_id, owner, tag, value FROM trace_tags
         WHERE tenant_id = $1 AND project_id = $2
           AND trace_id IN (SELECT value FROM json_each($3)) ORDER BY tag, value",
        "SELECT trace_id, owner, tag, value FROM trace_tags
         WHERE tenant_id = $1 AND project_id = $2
           AND trace_id IN (SELECT json_array_elements_text($3::json)) ORDER BY tag, value",
    );
    let params: [Value; 3] = [tenant.into(), project.into(), Json::from(trace_ids).into()];
    let tag = |mut row: Row| Ok((row.take(0)?, row.take(1)?, row.take(2)?, row.take(3)?));
    storage.query(LIST, params).await?.into_iter().map(tag).collect()
}

/// The tools or models that traces of the owner (or of anybody) have, by name.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_values(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    owner: &str,
    tag: &str,
) -> Result<Vec<String>, StoreError> {
    const LIST: &str = "SELECT DISTINCT value FROM trace_tags
         WHERE tenant_id = $1 AND project_id = $2 AND tag = $3 AND ($4 = '' OR owner = $4)
         ORDER BY value LIMIT 100";
    let params: [Value; 4] = [tenant.into(), project.into(), tag.into(), owner.into()];
    storage.query(LIST, params).await?.into_iter().map(|mut row| row.take(0)).collect()
}
