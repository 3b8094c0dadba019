//! Times in words, with the absolute time beside them.

use behalf_core::{Timestamp, counted};

/// A time as a page shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// RFC 3339.
    pub(crate) iso: String,
    /// Relative to now.
    pub(crate) words: String,
}

impl Shown {
    pub(crate) fn new(time: Timestamp, now: Timestamp) -> Self {
        let words = if time > now {
            format!("in {}", span(time.since(now).as_secs()))
        } else {
            match now.since(time).as_secs() {
                0..=44 => "just now".to_owned(),
                secs => format!("{} ago", span(secs)),
            }
        };
        Self { iso: time.to_rfc3339(), words }
    }
}

fn span(secs: u64) -> String {
    let (count, unit) = match secs {
        0..=89 => (1, "minute"),
        90..=5_399 => ((secs + 30) / 60, "minute"),
        5_400..=129_599 => ((secs + 1_800) / 3_600, "hour"),
        _ => ((secs + 43_200) / 86_400, "day"),
    };
    counted(count, unit, &format!("{unit}s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let now = Timestamp::from_secs(1_000_000);
        let words = |secs: i64| Shown::new(Timestamp::from_secs(1_000_000 + secs), now).words;
        assert_eq!(words(-10), "just now");
        assert_eq!(words(-60), "1 minute ago");
        assert_eq!(words(-150), "3 minutes ago");
        assert_eq!(words(-7_200), "2 hours ago");
        assert_eq!(words(7 * 86_400), "in 7 days");
    }
}
