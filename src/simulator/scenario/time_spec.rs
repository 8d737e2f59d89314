//! Dates in a scenario.

use std::time::Duration;

use serde::Deserialize;

use crate::clock::moment::Moment;
use crate::clock::{Timestamp, duration};

/// A date, as commands take it, or a duration before the start: `2026-11-20T08:00:00Z`, `yesterday`, `-90m`, `1d12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSpec {
    /// A date.
    On(Timestamp),
    /// A duration before the simulator starts.
    BeforeStart(Duration),
    /// The start, in UTC, of the day so many days before the simulator starts.
    DaysBeforeStart(i64),
}

impl TimeSpec {
    /// The date, for a simulator that starts at `start`.
    pub fn date(self, start: Timestamp) -> Timestamp {
        let moment = match self {
            Self::On(date) => Moment::At(date),
            Self::BeforeStart(span) => Moment::Ago(span),
            Self::DaysBeforeStart(days) => Moment::DaysAgo(days),
        };
        moment.date(start)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(span) = text.strip_prefix('-') {
            return duration::parse(span).map(Self::BeforeStart);
        }
        Moment::parse(text).map(|moment| match moment {
            Moment::At(date) => Self::On(date),
            Moment::Ago(span) => Self::BeforeStart(span),
            Moment::DaysAgo(days) => Self::DaysBeforeStart(days),
        })
    }
}

impl<'de> Deserialize<'de> for TimeSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "must be a duration before the start such as -90m or -1d12h, today, yesterday, a date such as \
                 2026-11-20 or 2026-11-20T08:00:00Z, or seconds since 1970",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_absolute_or_before_the_start() {
        let start = Timestamp::from_seconds(1_000_000);
        for (text, wanted) in [
            ("'1970-01-01T00:00:01.5Z'", Some(1_500)),
            ("-90m", Some(1_000_000_000 - 90 * 60_000)),
            ("90m", Some(1_000_000_000 - 90 * 60_000)),
            ("-1d2h", Some(1_000_000_000 - 26 * 3_600_000)),
            // 1970-01-12T13:46:40Z.
            ("today", Some(11 * 86_400_000)),
            ("yesterday", Some(10 * 86_400_000)),
            ("1970-01-12", Some(11 * 86_400_000)),
            ("86400", Some(86_400_000)),
            ("-1.5d", None),
            ("-today", None),
            ("--1d", None),
        ] {
            let spec: Option<TimeSpec> = serde_saphyr::from_str(text).ok();
            assert_eq!(spec.map(|spec| spec.date(start).millis()), wanted, "{text}");
        }
    }
}
