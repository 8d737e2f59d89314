//! How long ago a date was, in a few characters.

use std::time::Duration;

use crate::clock::Timestamp;

/// The units in seconds, and up to how many of each are said. Below two days people count hours.
const UNITS: [(u64, &str, u64); 4] = [(1, "s", 120), (60, "m", 120), (3_600, "h", 48), (86_400, "d", 730)];

/// A mean year.
const YEAR_SECONDS: u64 = 31_556_952;

/// How long before `now` the date was, such as `3d ago`; `in 5m` for a later date; at most 8 characters for a date of this
/// century. `unknown` if Cloudflare does not say the date.
pub(crate) fn ago(date: Timestamp, now: Timestamp) -> String {
    match date {
        Timestamp::UNKNOWN => "unknown".to_owned(),
        date if date > now => format!("in {}", rough(date.since(now))),
        date => format!("{} ago", rough(now.since(date))),
    }
}

/// The same with the date itself, such as `3d ago (2026-11-25T06:21:15Z)`.
pub(crate) fn ago_with_date(date: Timestamp, now: Timestamp) -> String {
    match date {
        Timestamp::UNKNOWN => "unknown".to_owned(),
        date => format!("{} ({date})", ago(date, now)),
    }
}

/// A duration in one unit, rounded down.
fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    let unit = UNITS.iter().find(|(length, _, most)| seconds / length < *most);
    match unit {
        Some((length, name, _)) => format!("{}{name}", seconds / length),
        None => format!("{}y", seconds / YEAR_SECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_one_unit_and_rounded_down() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for (seconds, wanted) in [
            (0, "0s ago"),
            (119, "119s ago"),
            (120, "2m ago"),
            (7_199, "119m ago"),
            (7_200, "2h ago"),
            (172_799, "47h ago"),
            (172_800, "2d ago"),
            (730 * 86_400 - 1, "729d ago"),
            (730 * 86_400, "1y ago"),
            (2_000_000_000, "63y ago"),
            (-1, "in 1s"),
            (-90_000, "in 25h"),
        ] {
            assert_eq!(ago(Timestamp::from_seconds(2_000_000_000 - seconds), now), wanted, "{seconds}");
        }
        assert_eq!(ago(Timestamp::UNKNOWN, now), "unknown");
        assert_eq!(ago_with_date(Timestamp::UNKNOWN, now), "unknown");
        let date = Timestamp::from_seconds(1_999_999_940);
        assert_eq!(ago_with_date(date, now), "60s ago (2033-05-18T03:32:20Z)");
    }
}
