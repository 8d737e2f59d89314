//! Points in time as people write them, on the command line and in scenario files.

use std::time::Duration;

use super::{Timestamp, duration};

/// A day in milliseconds.
const DAY_MILLIS: i64 = 86_400_000;

/// How long before now, a day, a date, or seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A duration before now.
    Ago(Duration),
    /// The start, in UTC, of the day so many days before today.
    DaysAgo(i64),
    /// A date.
    At(Timestamp),
}

impl Moment {
    /// Reads `90m`, `today`, `yesterday`, `2026-11-20`, `2026-11-20T08:00:00Z` or `1793491200`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let ago = || duration::parse(text).map(Self::Ago);
        let day = || match text {
            "today" => Some(Self::DaysAgo(0)),
            "yesterday" => Some(Self::DaysAgo(1)),
            _ => None,
        };
        let midnight = || {
            let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == "2026-11-20".len())?;
            let date = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(date.timestamp().as_millisecond())
        };
        let date = || text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        // As the value of a metric. The bound is the year 5138.
        let seconds = || text.parse::<f64>().ok().filter(|date| (0.0..1e11).contains(date));
        let seconds = || seconds().map(|seconds| (seconds * 1_000.0).round() as i64);
        let millis = || date().or_else(midnight).or_else(seconds);
        let at = || millis().map(|millis| Self::At(Timestamp::from_millis(millis)));
        ago().or_else(day).or_else(at)
    }

    /// The date that it means at the time `now`.
    pub(crate) fn date(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now - span,
            Self::DaysAgo(days) => {
                Timestamp::from_millis((now.millis().div_euclid(DAY_MILLIS) - days) * DAY_MILLIS)
            }
            Self::At(date) => date,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_duration_before_now_a_day_a_date_or_seconds() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for (text, wanted) in [
            ("0s", Some(2_000_000_000_000)),
            ("90m", Some(1_999_994_600_000)),
            ("1d", Some(1_999_913_600_000)),
            ("1h30m", Some(1_999_994_600_000)),
            ("2026-11-01T00:00:00Z", Some(1_793_491_200_000)),
            ("2026-11-01T01:00:00+01:00", Some(1_793_491_200_000)),
            ("1793491200", Some(1_793_491_200_000)),
            ("1793491200.25", Some(1_793_491_200_250)),
            ("1.7934912e9", Some(1_793_491_200_000)),
            ("2026-11-01", Some(1_793_491_200_000)),
            // 2033-05-18T03:33:20Z.
            ("today", Some(1_999_987_200_000)),
            ("yesterday", Some(1_999_900_800_000)),
            ("2026-11-31", None),
            ("2026-1-1", None),
            ("20261101", Some(20_261_101_000)),
            ("2026-11-01T00:00:00", None),
            ("30m1h", None),
            ("5min", None),
            ("tomorrow", None),
            ("-1", None),
            ("-1d", None),
            ("", None),
        ] {
            let date = Moment::parse(text).map(|moment| moment.date(now).millis());
            assert_eq!(date, wanted, "{text}");
        }
    }
}
