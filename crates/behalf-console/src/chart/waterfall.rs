//! A trace as a waterfall: spans below their parents, bars true to time, waits hatched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use behalf_core::Timestamp;
use behalf_traces::{SpanKind, SpanStatus, SpanSummary};

use crate::figures;

/// How deep names are indented; what lies deeper stands at this depth.
const DEPTH_MAX: usize = 8;
/// About how many times stand on the ruler.
const TICKS: u128 = 5;

/// The picture.
#[derive(Clone, Debug)]
pub(crate) struct Waterfall {
    pub(crate) ruler: Vec<Mark>,
    pub(crate) bars: Vec<Bar>,
}

/// A time on the ruler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) x: String,
    pub(crate) label: String,
}

/// A span's line.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) span: SpanSummary,
    pub(crate) depth: usize,
    /// Where it begins, and how wide it is, in percent.
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) duration: String,
    /// When it begins, after the trace began.
    pub(crate) offset: String,
}

impl Bar {
    /// The icon of its kind.
    pub(crate) const fn icon(&self) -> &'static str {
        icon(self.span.kind)
    }

    /// Its kind in words.
    pub(crate) const fn kind_words(&self) -> &'static str {
        kind_words(&self.span)
    }

    /// What stands beside its name: how the gate decided, or that it failed; its state, icon, words.
    pub(crate) fn mark(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let (state, words) = match (self.span.outcome.as_str(), self.span.status) {
            (_, SpanStatus::Error) => ("danger", "failed"),
            ("", _) => return None,
            (outcome, _) => outcome_words(outcome),
        };
        let icon = match state {
            "ok" => "check",
            "wait" => "wait",
            "danger" => "close",
            _ => "other",
        };
        Some((state, icon, words))
    }
}

/// The icon of a kind.
pub(crate) const fn icon(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Approval => "wait",
        _ => kind.as_str(),
    }
}

/// What a span is, in words.
pub(crate) const fn kind_words(span: &SpanSummary) -> &'static str {
    match span.kind {
        SpanKind::Agent => "Agent",
        SpanKind::Model => "Model",
        SpanKind::Tool => "Tool",
        SpanKind::Retrieval => "Document search",
        SpanKind::Authorization => "Decision",
        SpanKind::Approval => "Wait for approval",
        SpanKind::Vault if span.waits => "Wait for a connection",
        SpanKind::Vault => "Provider token",
        SpanKind::Other => "Step",
    }
}

/// The gate's outcome: its state's colour, and words.
pub(crate) fn outcome_words(outcome: &str) -> (&'static str, &'static str) {
    match outcome {
        "allowed" => ("ok", "allowed"),
        "connect_account" => ("wait", "needs a connection"),
        "approval_required" => ("wait", "needs approval"),
        "denied" => ("danger", "denied"),
        "expired" => ("danger", "expired"),
        _ => ("info", "decided"),
    }
}

impl Waterfall {
    /// The waterfall of spans that are sorted by their beginnings.
    pub(crate) fn new(spans: &[SpanSummary]) -> Self {
        let start = spans.iter().map(|span| span.started_at).min();
        let end = spans.iter().map(|span| span.ended_at).max();
        let (Some(start), Some(end)) = (start, end) else {
            return Self { ruler: Vec::new(), bars: Vec::new() };
        };
        let total = end.since(start);
        let bars = in_order(spans).into_iter().map(|(depth, span)| {
            let (x, width) = place(start, total, span);
            Bar {
                depth: depth.min(DEPTH_MAX),
                x,
                width,
                duration: figures::duration(span.ended_at.since(span.started_at)),
                offset: figures::duration(span.started_at.since(start)),
                span: span.clone(),
            }
        });
        Self { ruler: ruler(total), bars: bars.collect() }
    }
}

/// Each span below its parent, with its depth. A span whose parent is not there, or is below it,
/// stands where a root does: nothing is left out.
fn in_order(spans: &[SpanSummary]) -> Vec<(usize, &SpanSummary)> {
    let ids = spans.iter().map(|span| span.span_id.as_str()).collect::<BTreeSet<_>>();
    let mut children: BTreeMap<&str, Vec<&SpanSummary>> = BTreeMap::new();
    let mut roots = Vec::new();
    for span in spans {
        let parent = span.parent_span_id.as_str();
        if ids.contains(parent) && parent != span.span_id {
            children.entry(parent).or_default().push(span);
        } else {
            roots.push(span);
        }
    }
    let mut ordered = Vec::with_capacity(spans.len());
    let mut seen = BTreeSet::new();
    // What no root leads to hangs in a ring.
    for root in roots.into_iter().chain(spans) {
        let mut stack = vec![(0, root)];
        while let Some((depth, span)) = stack.pop() {
            if seen.insert(span.span_id.as_str()) {
                ordered.push((depth, span));
                let below = children.get(span.span_id.as_str()).into_iter().flatten().rev();
                stack.extend(below.map(|child| (depth + 1, *child)));
            }
        }
    }
    ordered
}

/// Where a span begins and how wide it is, in thousandths of a percent of the whole.
fn place(start: Timestamp, total: Duration, span: &SpanSummary) -> (String, String) {
    /// Less than this cannot be seen, or touched.
    const WIDTH_MIN: u128 = 400;
    let whole = total.as_micros().max(1);
    let x = span.started_at.since(start).as_micros() * 100_000 / whole;
    let width = span.ended_at.since(span.started_at).as_micros() * 100_000 / whole;
    let width = width.clamp(WIDTH_MIN, 100_000);
    let x = x.min(100_000 - width);
    (percent(x), percent(width))
}

fn percent(thousandths: u128) -> String {
    format!("{}.{:03}%", thousandths / 1_000, thousandths % 1_000)
}

/// Round times along the whole.
fn ruler(total: Duration) -> Vec<Mark> {
    let whole = total.as_micros().max(1);
    let step = round_step(whole / TICKS);
    let marks = (0..).map(|n| n * step).take_while(|at| *at < whole);
    marks
        .filter(|at| *at == 0 || whole - at > whole / 12)
        .map(|at| Mark {
            x: percent(at * 100_000 / whole),
            label: round_time(u64::try_from(at).unwrap_or(u64::MAX)),
        })
        .collect()
}

/// The next of 1, 2, 5, 10, 20, 50, … microseconds, seconds of 15, 30 and minutes above.
fn round_step(least: u128) -> u128 {
    const SECOND: u128 = 1_000_000;
    const LONG: [u128; 9] = [15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200];
    if least > 10 * SECOND {
        let long = LONG.into_iter().map(|secs| secs * SECOND).find(|step| *step >= least);
        return long.unwrap_or_else(|| least.div_ceil(3_600 * SECOND) * 3_600 * SECOND);
    }
    let mut power = 1;
    loop {
        for step in [1, 2, 5] {
            if power * step >= least {
                return power * step;
            }
        }
        power *= 10;
    }
}

/// A time on the ruler, without places that say nothing.
fn round_time(micros: u64) -> String {
    match micros {
        0 => "0".to_owned(),
        1..=999 => format!("{micros} µs"),
        1_000..=999_999 if micros.is_multiple_of(1_000) => format!("{} ms", micros / 1_000),
        1_000_000..=59_999_999 if micros.is_multiple_of(1_000_000) => {
            format!("{} s", micros / 1_000_000)
        }
        60_000_000.. if micros.is_multiple_of(60_000_000) => {
            format!("{} min", micros / 60_000_000)
        }
        _ => figures::duration(Duration::from_micros(micros)),
    }
}

#[cfg(test)]
mod tests {
    use behalf_traces::SpanSummary;

    use super::*;

    fn span(id: &str, parent: &str, start: i64, end: i64) -> SpanSummary {
        SpanSummary {
            started_at: Timestamp::from_micros(start),
            ended_at: Timestamp::from_micros(end),
            ..SpanSummary::named(id, parent)
        }
    }

    fn order(spans: &[SpanSummary]) -> Vec<(usize, &str)> {
        let ordered = in_order(spans).into_iter();
        ordered.map(|(depth, span)| (depth, span.span_id.as_str())).collect()
    }

    #[test]
    fn spans_stand_below_their_parents() {
        let spans =
            [span("a", "", 0, 9), span("b", "a", 1, 5), span("d", "a", 6, 8), span("c", "b", 2, 3)];
        assert_eq!(order(&spans), [(0, "a"), (1, "b"), (2, "c"), (1, "d")]);
    }

    #[test]
    fn orphans_and_rings_are_shown_once() {
        let orphan = [span("a", "gone", 0, 1), span("b", "b", 0, 1)];
        assert_eq!(order(&orphan), [(0, "a"), (0, "b")]);
        let ring = [span("a", "b", 0, 1), span("b", "a", 0, 1)];
        assert_eq!(order(&ring), [(0, "a"), (1, "b")]);
    }

    #[test]
    fn bars_are_true_to_time_and_stay_inside() {
        let spans =
            [span("a", "", 0, 1_000), span("b", "a", 500, 750), span("c", "a", 1_000, 1_000)];
        let waterfall = Waterfall::new(&spans);
        let places = waterfall.bars.iter().map(|bar| (bar.x.as_str(), bar.width.as_str()));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [("0.000%", "100.000%"), ("50.000%", "25.000%"), ("99.600%", "0.400%")]
        );
        assert!(Waterfall::new(&[]).bars.is_empty());
    }

    #[test]
    fn the_ruler_has_round_times() {
        let labels = |micros| {
            ruler(Duration::from_micros(micros)).into_iter().map(|m| m.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(1_000), ["0", "200 µs", "400 µs", "600 µs", "800 µs"]);
        assert_eq!(labels(4_200_000), ["0", "1 s", "2 s", "3 s"]);
        assert_eq!(labels(600_000_000), ["0", "2 min", "4 min", "6 min", "8 min"]);
        assert!(labels(u64::MAX).len() <= 7);
    }
}
