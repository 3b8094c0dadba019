//! Figures by day, for charts.

use behalf_core::{ProjectId, TenantId, Timestamp};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::value::{Row, Value};

/// The traces that began on one day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRow {
    /// Days since 1970-01-01.
    pub day: i64,
    /// How many traces.
    pub traces: i64,
    /// How many of them failed.
    pub failed: i64,
    /// Tokens read and written.
    pub tokens: i64,
    /// What the priced model calls cost.
    pub cost_micro_usd: i64,
    /// Model calls with a price.
    pub priced: i64,
    /// Model calls without one.
    pub unpriced: i64,
}

/// How often the gate decided one way on one day (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Days since 1970-01-01.
    pub day: i64,
    /// The outcome.
    pub outcome: String,
    /// How often.
    pub count: i64,
}

/// Figures of each day from `from` on that has traces, of one owner or (empty) of all.
///
/// # Errors
/// As [`Storage::query`].
pub async fn days(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    owner: &str,
    from: Timestamp,
) -> Result<Vec<DayRow>, StoreError> {
    // A sum of BIGINT is NUMERIC in PostgreSQL.
    const DAYS: &str = "SELECT started_at / 86400000000 AS day, COUNT(*),
             CAST(SUM(CASE WHEN status = 'error' THEN 1 ELSE 0 END) AS BIGINT),
             CAST(SUM(input_tokens + output_tokens) AS BIGINT),
             CAST(SUM(cost_micro_usd) AS BIGINT), CAST(SUM(priced) AS BIGINT),
             CAST(SUM(unpriced) AS BIGINT)
         FROM traces
         WHERE tenant_id = $1 AND project_id = $2 AND started_at >= $3
           AND ($4 = '' OR owner = $4)
         GROUP BY started_at / 86400000000 ORDER BY day";
    let params: [Value; 4] = [tenant.into(), project.into(), from.into(), owner.into()];
    let day = |mut row: Row| {
        Ok(DayRow {
            day: row.take(0)?,
            traces: row.take(1)?,
            failed: row.take(2)?,
            tokens: row.take(3)?,
            cost_micro_usd: row.take(4)?,
            priced: row.take(5)?,
            unpriced: row.take(6)?,
        })
    };
    storage.query(DAYS, params).await?.into_iter().map(day).collect()
}

/// The gate's outcomes by day from `from` on, of one owner or (empty) of all.
///
/// # Errors
/// As [`Storage::query`].
pub async fn outcomes(
    storage: &Storage,
    tenant: &TenantId,
    project: &ProjectId,
    owner: &str,
    from: Timestamp,
) -> Result<Vec<OutcomeRow>, StoreError> {
    const OUTCOMES: &str = "SELECT started_at / 86400000000 AS day, outcome, COUNT(*)
         FROM spans
         WHERE tenant_id = $1 AND project_id = $2 AND started_at >= $3 AND outcome <> ''
           AND ($4 = '' OR owner = $4)
         GROUP BY started_at / 86400000000, outcome ORDER BY day, outcome";
    let params: [Value; 4] = [tenant.into(), project.into(), from.into(), owner.into()];
    let outcome = |mut row: Row| {
        Ok(OutcomeRow { day: row.take(0)?, outcome: row.take(1)?, count: row.take(2)? })
    };
    storage.query(OUTCOMES, params).await?.into_iter().map(outcome).collect()
}
