//! Dates as Cloudflare writes them: RFC 3339 with 0 to 9 fractional digits, and Go's default format.

use crate::clock::Timestamp;

/// `0001-01-01T00:00:00Z`: what Go programs write for "never".
const GO_ZERO: Timestamp = Timestamp::from_seconds(-62_135_596_800);

/// Parses a date and truncates it to milliseconds.
pub(in crate::cloudflare) fn parse(text: &[u8]) -> Option<Timestamp> {
    utc(text).or_else(|| {
        let text = std::str::from_utf8(text).ok()?;
        // Offsets, leap seconds and other valid but rare forms.
        let date: jiff::Timestamp = text.parse().ok().or_else(|| go_format(text)?.parse().ok())?;
        let millis = date.as_nanosecond().div_euclid(1_000_000);
        Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
    })
}

/// Whether a date is Go's zero time, which means "never".
pub(in crate::cloudflare) fn is_never(date: Timestamp) -> bool {
    date == GO_ZERO
}

/// Turns `2019-06-19 11:19:00.5 +0000 UTC`, the default format of Go's `time.Time`, into RFC 3339. Only the name of a
/// time zone may follow the offset, and Go's monotonic clock reading `m=+0.5`.
fn go_format(text: &str) -> Option<String> {
    let mut parts = text.split(' ');
    let (date, time, offset) = (parts.next()?, parts.next()?, parts.next()?);
    let (hours, minutes) = offset.split_at_checked(3)?;
    let zone = parts.next().unwrap_or("UTC");
    let monotonic = parts.next().unwrap_or("m=");
    let is_known = zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte))
        && monotonic.starts_with("m=")
        && parts.next().is_none();
    is_known.then(|| format!("{date}T{time}{hours}:{minutes}"))
}

/// Parses `YYYY-MM-DDTHH:MM:SS[.f]Z`, the usual form. A summary may have a million of them.
pub(in crate::cloudflare) fn utc(text: &[u8]) -> Option<Timestamp> {
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1], fraction) =
        text.split_first_chunk::<19>()?
    else {
        return None;
    };
    let year = pair(y0, y1)? * 100 + pair(y2, y3)?;
    let (month, day) = (pair(m0, m1)?, pair(d0, d1)?);
    let (hour, minute, second) = (pair(h0, h1)?, pair(n0, n1)?, pair(s0, s1)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis = match fraction {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let mut millis = 0;
            for place in 0..digits.len().max(3) {
                let digit = digits.get(place).map_or(Some(0), |byte| digit(*byte))?;
                if place < 3 {
                    millis = millis * 10 + digit;
                }
            }
            millis
        }
        _ => return None,
    };
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Timestamp::from_millis(seconds * 1_000 + millis))
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is the last day
/// of a year.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_zero_to_nine_fractional_digits_and_any_offset() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2019-12-27T18:11:19.117Z", Some(1_577_470_279_117)),
            ("2019-12-27T18:11:19.1Z", Some(1_577_470_279_100)),
            ("2019-12-27T18:11:19.117999999Z", Some(1_577_470_279_117)),
            ("2019-12-27T19:11:19.117+01:00", Some(1_577_470_279_117)),
            ("2019-12-27t18:11:19.117z", Some(1_577_470_279_117)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("1969-12-31T23:59:59.9985+00:00", Some(-2)),
            ("2999-01-01T00:00:00Z", Some(32_472_144_000_000)),
            ("2019-06-19 11:19:00 +0000 UTC", Some(1_560_943_140_000)),
            ("2019-06-19 13:19:00.123456789 +0200 CEST", Some(1_560_943_140_123)),
            ("2019-06-19 11:19:00 +0000 +0000 m=+0.000012", Some(1_560_943_140_000)),
            ("2019-06-19 11:19:00Z", Some(1_560_943_140_000)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("0001-01-01 00:00:00 +0000 UTC", Some(-62_135_596_800_000)),
            ("2019-06-19 11:19:00 +0000 UTC today", None),
            ("2019-06-19 11:19:00 UTC", None),
            ("2019-06-19 25:19:00 +0000 UTC", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2019-12-27T18:11:19.Z", None),
            ("2019-12-27T18:11:19.1234567890Z", None),
            ("2019-12-27T18:11:19", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()).map(Timestamp::millis), millis, "{text}");
        }
    }

    #[test]
    fn the_fast_parser_agrees_with_the_library_on_every_day_from_1600_to_2400() {
        let mut day = jiff::civil::date(1600, 1, 1);
        while day.year() < 2400 {
            let text = format!("{day}T12:34:56.789Z");
            let slow: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(utc(text.as_bytes()).map(Timestamp::millis), Some(slow.as_millisecond()), "{text}");
            day = day.tomorrow().unwrap();
        }
    }
}
