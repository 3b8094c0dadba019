//! Time as an argument: nothing below the binary reads the machine's clock.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00Z, as the store keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The time `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as JWT's `NumericDate` wants it (RFC 7519 §2).
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time plus `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// This time minus `duration`, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// RFC 3339 in UTC with microseconds, e.g. `2026-11-24T08:00:00.000000Z`.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => format!("{time:.6}"),
            // Only a corrupt row can lie outside jiff's range of ±9999 years.
            Err(_) => self.0.to_string(),
        }
    }

    /// Reads RFC 3339 with any offset, or a bare date, which means its first moment in UTC.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        // A date has ten characters; a longer text without an offset means no certain time.
        let time = match text.len() {
            10 => text.parse::<jiff::civil::Date>().ok()?.in_tz("UTC").ok()?.timestamp(),
            _ => text.parse::<jiff::Timestamp>().ok()?,
        };
        Some(Self(time.as_microsecond()))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the clock to `time`, also backwards.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc3339_and_keep_microseconds() {
        let time = Timestamp::from_micros(1_795_507_200_000_001);
        assert_eq!(time.to_rfc3339(), "2026-11-24T08:00:00.000001Z");
        assert_eq!(time.as_secs(), 1_795_507_200);
        assert_eq!(Timestamp::from_micros(-1).as_secs(), -1);
    }

    #[test]
    fn times_are_read_with_an_offset_or_as_a_date() {
        let read = |text: &str| Timestamp::from_rfc3339(text).map(Timestamp::to_rfc3339);
        let midnight = Some("2026-11-24T00:00:00.000000Z".to_owned());
        assert_eq!(read("2026-11-24"), midnight);
        assert_eq!(read("2026-11-24T00:00:00Z"), midnight);
        assert_eq!(read("2026-11-24T01:30:00+01:30"), midnight);
        for bad in ["", "yesterday", "2026-13-01", "2026-11-24T00:00:00", "1795507200"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn since_is_zero_when_time_runs_backwards() {
        let early = Timestamp::from_secs(10);
        let late = early.plus(Duration::from_secs(5));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
