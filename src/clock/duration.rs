//! Durations in Prometheus notation: `30s`, `5m`, `1h30m`.

use std::time::Duration;

/// The units in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses whole numbers with units: each unit at most once, longest first.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut units, mut total) = (text, UNITS.iter(), 0_u64);
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        // The iterator continues, so only shorter units are left.
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        let span = number.parse::<u64>().ok()?.checked_mul(*millis)?;
        total = total.checked_add(span)?;
        rest = after;
    }
    Some(Duration::from_millis(total))
}

/// Formats a duration for [`parse`]. Fractions of a millisecond are dropped.
#[cfg(feature = "daemon")]
pub(crate) fn spell(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units_longest_first() {
        let table = [
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("6h", Some(21_600_000)),
            ("1h30m", Some(5_400_000)),
            ("1d1ms", Some(86_400_001)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1.5h", None),
            ("-1s", None),
            ("1m1m", None),
            ("1s1m", None),
            ("1 m", None),
            ("1M", None),
            ("1w", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("３０s", None),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn a_formatted_duration_can_be_parsed() {
        for text in ["30s", "1h30m", "1d", "2d3h4m5s6ms", "0s"] {
            assert_eq!(parse(text).map(spell).as_deref(), Some(text));
        }
    }
}
