//! The overview's charts: what each finds, in a sentence, and its bars.

use std::collections::BTreeMap;

use behalf_core::counted;
use behalf_traces::DayFigures;

use crate::chart::{About, BarChart, Series};
use crate::figures::{self, count};

/// Outcomes of the gate in the order in which they stand on each other.
const OUTCOMES: [(&str, Series); 5] = [
    ("allowed", Series { label: "allowed", class: "ok" }),
    ("connect_account", Series { label: "needed a connection", class: "info" }),
    ("approval_required", Series { label: "needed approval", class: "wait" }),
    ("denied", Series { label: "denied", class: "danger" }),
    ("expired", Series { label: "expired", class: "muted" }),
];

/// Every chart of the overview.
pub(super) fn all(days: &[DayFigures]) -> Vec<BarChart> {
    vec![activity(days), decisions(days), cost(days)]
}

fn span(days: &[DayFigures]) -> String {
    format!("in {}", counted(days.len(), "day", "days"))
}

fn activity(days: &[DayFigures]) -> BarChart {
    let total: i64 = days.iter().map(|day| day.traces).sum();
    let failed: i64 = days.iter().map(|day| day.failed).sum();
    let busiest = days.iter().rev().max_by_key(|day| day.traces).filter(|day| day.traces > 0);
    let title = match busiest {
        None => format!("No run {}", span(days)),
        Some(busiest) => {
            let failed = if failed == 0 {
                "none failed".to_owned()
            } else {
                format!("{} failed", count(failed))
            };
            let runs = counted(total, "run", "runs");
            let most = if busiest.traces == total { "all" } else { "most" };
            format!("{runs} {}, {most} on {}; {failed}", span(days), figures::day(busiest.day))
        }
    };
    let series = [
        Series { label: "not failed", class: "accent" },
        Series { label: "failed", class: "danger" },
    ];
    let about = About { id: "activity", title, unit: "runs a day", write: count };
    BarChart::new(about, &series, &by_day(days, |day| vec![day.traces - day.failed, day.failed]))
}

fn decisions(days: &[DayFigures]) -> BarChart {
    let of = |day: &DayFigures| {
        let counts = OUTCOMES.map(|(outcome, _)| day.outcomes.get(outcome).copied().unwrap_or(0));
        counts.to_vec()
    };
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (outcome, number) in days.iter().flat_map(|day| &day.outcomes) {
        *sums.entry(outcome).or_default() += number;
    }
    let told = OUTCOMES.iter().filter_map(|(outcome, series)| {
        let sum = sums.get(outcome).filter(|sum| **sum > 0)?;
        Some(format!("{} {}", count(*sum), series.label))
    });
    let told = told.collect::<Vec<_>>();
    let title = if told.is_empty() {
        format!("No decision {}", span(days))
    } else {
        let all: i64 = OUTCOMES.iter().filter_map(|(outcome, _)| sums.get(outcome)).sum();
        let all = counted(all, "decision", "decisions");
        format!("{all}: {}", told.join(", "))
    };
    let series = OUTCOMES.map(|(_, series)| series);
    let about = About { id: "decisions", title, unit: "decisions a day", write: count };
    BarChart::new(about, &series, &by_day(days, of))
}

fn cost(days: &[DayFigures]) -> BarChart {
    let sum = |of: fn(&DayFigures) -> i64| days.iter().map(of).sum::<i64>();
    let (priced, unpriced) = (sum(|day| day.cost.priced), sum(|day| day.cost.unpriced));
    if priced == 0 {
        // Without a price there still is something to see.
        let tokens = sum(|day| day.tokens);
        let title = match (tokens, unpriced) {
            (0, _) => format!("No model was called {}", span(days)),
            _ => {
                let tokens = counted(tokens, "token", "tokens");
                format!("{tokens} {}; the models have no known price", span(days))
            }
        };
        let about = About { id: "cost", title, unit: "tokens a day", write: count };
        let series = [Series { label: "tokens", class: "model" }];
        return BarChart::new(about, &series, &by_day(days, |day| vec![day.tokens]));
    }
    let known = figures::usd(sum(|day| day.cost.micro_usd));
    let calls = counted(priced, "model call", "model calls");
    let rest = match unpriced {
        0 => String::new(),
        n => format!("; {} without a known price", count(n)),
    };
    let title = format!("{known} {} for {calls}{rest}", span(days));
    let about = About { id: "cost", title, unit: "US dollars a day", write: figures::usd };
    let series = [Series { label: "cost", class: "model" }];
    BarChart::new(about, &series, &by_day(days, |day| vec![day.cost.micro_usd]))
}

fn by_day(days: &[DayFigures], of: impl Fn(&DayFigures) -> Vec<i64>) -> Vec<(String, Vec<i64>)> {
    days.iter().map(|day| (figures::day(day.day), of(day))).collect()
}

#[cfg(test)]
mod tests {
    use behalf_traces::Cost;

    use super::*;

    #[test]
    fn titles_state_what_is_found() {
        let quiet = DayFigures { day: 20_780, ..DayFigures::default() };
        let busy = DayFigures {
            day: 20_781,
            traces: 5,
            failed: 1,
            tokens: 1_200,
            cost: Cost { micro_usd: 4_200, priced: 3, unpriced: 1 },
            outcomes: BTreeMap::from([("allowed".to_owned(), 4), ("denied".to_owned(), 1)]),
        };
        let titles =
            |days: &[DayFigures]| all(days).into_iter().map(|c| c.title).collect::<Vec<_>>();
        assert_eq!(
            titles(&[quiet.clone(), busy]),
            [
                "5 runs in 2 days, all on 24 Nov; 1 failed",
                "5 decisions: 4 allowed, 1 denied",
                "$0.0042 in 2 days for 3 model calls; 1 without a known price",
            ]
        );
        assert_eq!(
            titles(&[quiet]),
            ["No run in 1 day", "No decision in 1 day", "No model was called in 1 day"]
        );
    }
}
