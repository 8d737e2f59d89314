//! Dates in a scenario.

use std::time::Duration;

use serde::Deserialize;

use crate::clock::{Timestamp, duration};

/// A date, or a duration before the start: `2026-11-20T08:00:00Z`, `-90m`, `-1d12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSpec {
    /// A date.
    On(Timestamp),
    /// A duration before the simulator starts.
    BeforeStart(Duration),
}

impl TimeSpec {
    /// The date, for a simulator that starts at `start`.
    pub fn date(self, start: Timestamp) -> Timestamp {
        match self {
            Self::On(date) => date,
            Self::BeforeStart(span) => start - span,
        }
    }
}

impl<'de> Deserialize<'de> for TimeSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let date =
            || text.parse::<jiff::Timestamp>().ok().map(|date| Timestamp::from_millis(date.as_millisecond()));
        let spec = match text.strip_prefix('-') {
            Some(span) => duration::parse(span).map(Self::BeforeStart),
            None => date().map(Self::On),
        };
        spec.ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is neither an RFC 3339 date nor a duration before the start, such as -90m or -1d12h"
            ))
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
            ("'1970-01-01T00:00:01.5Z'", 1_500),
            ("-90m", 1_000_000_000 - 90 * 60_000),
            ("-1d2h", 1_000_000_000 - 26 * 3_600_000),
        ] {
            let spec: TimeSpec = serde_saphyr::from_str(text).unwrap();
            assert_eq!(spec.date(start), Timestamp::from_millis(wanted), "{text}");
        }
    }
}
