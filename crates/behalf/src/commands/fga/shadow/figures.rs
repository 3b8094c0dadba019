//! Counts and latencies of both servers, by question.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::compare::Operation;
use crate::cli::fga::AnswerFrom;

/// Buckets for each doubling of the time.
const STEPS: u32 = 8;
/// Doublings of a microsecond: up to more than an hour.
const DOUBLINGS: u32 = 32;

/// A counter that many tasks raise.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }
}

/// How often which latency was seen; each is known to an eighth.
#[derive(Debug)]
pub(super) struct Latencies(Vec<Counter>);

impl Default for Latencies {
    fn default() -> Self {
        Self((0..DOUBLINGS.saturating_mul(STEPS)).map(|_| Counter::default()).collect())
    }
}

impl Latencies {
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let doubling = micros.ilog2().min(DOUBLINGS.saturating_sub(1));
        // What is above the power of two, in eighths of it.
        let above = micros.saturating_sub(1 << doubling).saturating_mul(u64::from(STEPS));
        let step = (above >> doubling).min(u64::from(STEPS.saturating_sub(1)));
        let bucket = u64::from(doubling.saturating_mul(STEPS)).saturating_add(step);
        if let Some(counter) = usize::try_from(bucket).ok().and_then(|bucket| self.0.get(bucket)) {
            counter.add();
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(Counter::get).fold(0, u64::saturating_add)
    }

    /// The latency that this many of a hundred stay below, in milliseconds; nothing before the first.
    pub(super) fn percentile(&self, percent: u64) -> Option<f64> {
        let wanted = self.count().saturating_mul(percent).div_ceil(100);
        let mut seen = 0_u64;
        for (bucket, counter) in (0_u32..).zip(&self.0) {
            seen = seen.saturating_add(counter.get());
            if seen >= wanted.max(1) {
                let doubling = f64::from(1_u32 << (bucket / STEPS).min(31));
                let upper = f64::from(bucket % STEPS + 1) / f64::from(STEPS);
                return Some(doubling * (1.0 + upper) / 1_000.0);
            }
        }
        None
    }

    fn json(&self) -> Value {
        json!({
            "count": self.count(),
            "p50_ms": self.percentile(50).map(rounded),
            "p99_ms": self.percentile(99).map(rounded),
        })
    }
}

fn rounded(millis: f64) -> f64 {
    (millis * 1_000.0).round() / 1_000.0
}

/// The figures of one kind of question, or of all.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) same: Counter,
    pub(super) different: Counter,
    /// Different at first, the same once the copy had caught up.
    pub(super) settled: Counter,
    pub(super) truncated: Counter,
    pub(super) incomparable: Counter,
    pub(super) upstream: Latencies,
    pub(super) behalf: Latencies,
}

impl Figures {
    pub(super) fn compared(&self) -> u64 {
        [&self.same, &self.different, &self.settled, &self.truncated]
            .into_iter()
            .fold(0, |sum, counter| sum.saturating_add(counter.get()))
    }

    fn json(&self) -> Value {
        json!({
            "compared": self.compared(),
            "same": self.same.get(),
            "different": self.different.get(),
            "settled": self.settled.get(),
            "truncated_by_upstream": self.truncated.get(),
            "incomparable": self.incomparable.get(),
            "upstream": self.upstream.json(),
            "behalf": self.behalf.json(),
        })
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) all: Figures,
    by_operation: [Figures; Operation::ALL.len()],
    pub(super) requests: Counter,
    pub(super) upstream_failures: Counter,
    /// Questions that were not compared, because too many waited.
    pub(super) shed: Counter,
    /// Questions about stores that are not copied, or not yet.
    pub(super) not_copied: Counter,
    /// Questions that our server did not answer.
    pub(super) behalf_failures: Counter,
    /// Rounds of the copy that broke off; each is tried again.
    pub(super) copy_failures: Counter,
    /// Tuples that the copy could not take.
    pub(super) copy_refused: Counter,
    /// Differences that the report has no room for, or has already.
    pub(super) unreported: Counter,
}

impl Summary {
    /// True if questions came, or the copy broke off, and nothing was compared: then there is no
    /// difference, and nothing is known.
    pub(super) fn says_nothing(&self) -> bool {
        let failed = [
            &self.shed,
            &self.not_copied,
            &self.behalf_failures,
            &self.upstream_failures,
            &self.copy_failures,
        ];
        self.all.compared() == 0 && failed.iter().any(|counter| counter.get() > 0)
    }

    /// Adds to the figures of the operation and to those of all.
    pub(super) fn add(&self, operation: Operation, add: impl Fn(&Figures)) {
        add(&self.all);
        let place = Operation::ALL.iter().position(|known| *known == operation);
        if let Some(figures) = place.and_then(|place| self.by_operation.get(place)) {
            add(figures);
        }
    }

    /// Adds how long a server took to answer.
    pub(super) fn took(&self, operation: Operation, server: AnswerFrom, took: Duration) {
        self.add(operation, |figures| match server {
            AnswerFrom::Upstream => figures.upstream.add(took),
            AnswerFrom::Behalf => figures.behalf.add(took),
        });
    }

    /// Counts and latencies only: no question, no answer, no name.
    pub(super) fn json(&self) -> Value {
        let mut json = self.all.json();
        let by_operation: Map<String, Value> = Operation::ALL
            .iter()
            .zip(&self.by_operation)
            .filter(|(_, figures)| figures.upstream.count() > 0 || figures.behalf.count() > 0)
            .map(|(operation, figures)| (operation.name().to_owned(), figures.json()))
            .collect();
        let more = json!({
            "requests": self.requests.get(),
            "upstream_failures": self.upstream_failures.get(),
            "shed": self.shed.get(),
            "not_copied": self.not_copied.get(),
            "behalf_failures": self.behalf_failures.get(),
            "copy_failures": self.copy_failures.get(),
            "copy_refused": self.copy_refused.get(),
            "unreported": self.unreported.get(),
            "by_operation": by_operation,
        });
        if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
            json.extend(more);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_known_to_an_eighth() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), None);
        for millis in 1..=100 {
            latencies.add(Duration::from_millis(millis));
        }
        for percent in [1, 50, 99, 100] {
            let found = latencies.percentile(percent).unwrap();
            let exact = f64::from(u32::try_from(percent).unwrap());
            assert!(found >= exact && found <= exact * 1.126, "p{percent}: {found}");
        }
        latencies.add(Duration::ZERO);
        latencies.add(Duration::from_secs(1 << 40));
        assert_eq!(latencies.count(), 102);
    }
}
