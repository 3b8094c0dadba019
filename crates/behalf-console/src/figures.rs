//! Figures in words: how long, how many, how much, which day.

use std::time::Duration;

use behalf_core::grouped;
use behalf_traces::Cost;

/// A duration in the unit that suits it: `320 ms`, `1.24 s`, `4 min 12 s`, `2 h 5 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..=999 => format!("{micros} µs"),
        1_000..=9_999 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..=999_999 => format!("{} ms", micros / 1_000),
        1_000_000..=59_999_999 => {
            format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000)
        }
        60_000_000..=3_599_999_999 => {
            format!("{} min {} s", micros / 60_000_000, micros % 60_000_000 / 1_000_000)
        }
        _ => format!("{} h {} min", micros / 3_600_000_000, micros % 3_600_000_000 / 60_000_000),
    }
}

/// A count with its thousands apart.
pub(crate) fn count(count: i64) -> String {
    let text = grouped(count.unsigned_abs());
    if count < 0 { format!("−{text}") } else { text }
}

/// Money, with as many places as small sums need.
pub(crate) fn usd(micro_usd: i64) -> String {
    let sign = if micro_usd < 0 { "−" } else { "" };
    let micros = micro_usd.unsigned_abs();
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if micros >= 1_000_000 || rest.is_multiple_of(10_000) {
        format!("{sign}${whole}.{:02}", rest / 10_000)
    } else {
        let places = format!("{rest:06}");
        format!("{sign}${whole}.{}", places.trim_end_matches('0'))
    }
}

/// A cost as a list shows it: unknown is told, never shown as nothing.
pub(crate) fn cost(cost: Cost) -> String {
    match (cost.known(), cost.unpriced) {
        (None, 0) => "–".to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(known), 0) => usd(known),
        (Some(known), _) => format!("{} + unknown", usd(known)),
    }
}

/// A day, counted from 1970-01-01, as `24 Nov`.
pub(crate) fn day(days: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // Years that begin in March end with the leap day (H. Hinnant, "chrono-compatible low-level
    // date algorithms").
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = usize::try_from((from_march + 2) % 12).unwrap_or(0);
    format!("{day} {}", MONTHS.get(month).copied().unwrap_or_default())
}

/// The beginning and the end of an id.
pub(crate) fn short_id(id: &str) -> String {
    let count = id.chars().count();
    if count <= 14 {
        return id.to_owned();
    }
    let start = id.chars().take(6).collect::<String>();
    let end = id.chars().skip(count - 6).collect::<String>();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_unit_that_suits_them() {
        let words = |micros| duration(Duration::from_micros(micros));
        assert_eq!(words(0), "0 µs");
        assert_eq!(words(1_540), "1.5 ms");
        assert_eq!(words(320_900), "320 ms");
        assert_eq!(words(1_249_000), "1.24 s");
        assert_eq!(words(252_000_000), "4 min 12 s");
        assert_eq!(words(7_500_000_000), "2 h 5 min");
    }

    #[test]
    fn money_and_counts_are_exact() {
        assert_eq!(usd(0), "$0.00");
        assert_eq!(usd(420_000), "$0.42");
        assert_eq!(usd(4_200), "$0.0042");
        assert_eq!(usd(21), "$0.000021");
        assert_eq!(usd(12_345_678), "$12.34");
        assert_eq!(count(-12), "−12");
    }

    #[test]
    fn an_unknown_cost_is_never_nothing() {
        assert_eq!(cost(Cost::default()), "–");
        assert_eq!(cost(Cost { micro_usd: 0, priced: 0, unpriced: 2 }), "unknown");
        assert_eq!(cost(Cost { micro_usd: 4_200, priced: 1, unpriced: 1 }), "$0.0042 + unknown");
    }

    #[test]
    fn days_have_names() {
        assert_eq!(day(0), "1 Jan");
        assert_eq!(day(59), "1 Mar");
        assert_eq!(day(11_016), "29 Feb");
        assert_eq!(day(20_781), "24 Nov");
    }

    #[test]
    fn ids_are_shortened_in_the_middle() {
        assert_eq!(short_id("auth0|ann"), "auth0|ann");
        assert_eq!(short_id("0123456789abcdef0123"), "012345…ef0123");
    }
}
