//! Reads the headers of a response: its date, how long to wait, and what is left of the rate limit.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LINK, RETRY_AFTER};

use crate::clock::Timestamp;
use crate::cloudflare::limit::{ServerLimit, WINDOW};

/// A longer wait must be an error of the server (milliseconds, or a date as a number) and is ignored.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// A longer wait is cut to this. After an hour, one request finds out whether the server still refuses.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(3_600);

/// A wait of zero is raised to this, so that no loop sends requests without a pause.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// No window is 30 years long: from here on, a number of seconds is a date after 2001.
const SECONDS_ARE_DATES: u64 = 1_000_000_000;

/// From here on, a number is a date in milliseconds: in seconds it would be 30,000 years away.
const MILLIS_ARE_DATES: u64 = 1_000_000_000_000;

/// The `Content-Encoding` of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Other,
}

/// The `Date` header: the time by Cloudflare's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

pub(super) fn coding(headers: &HeaderMap) -> Coding {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => Coding::Plain,
        Some(name) => match name.as_slice() {
            b"" | b"identity" => Coding::Plain,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            _ => Coding::Other,
        },
    }
}

/// The media type, if the response says that it is not JSON.
pub(super) fn non_json_type(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(CONTENT_TYPE)?.as_bytes()).to_ascii_lowercase();
    let media = value.split(';').next().unwrap_or_default().trim();
    let json = media == "application/json" || media.ends_with("+json");
    (!json).then(|| super::envelope::sanitize(media, 60))
}

/// The CF-Ray id, if it looks like one.
pub(super) fn ray(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("cf-ray")?.to_str().ok()?;
    let fits =
        (1..=40).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| value.to_owned())
}

/// The `Retry-After` header, in whole seconds or as a date. A date is compared with the response's own `Date`, or with
/// `now` if it has none. The longest of several values, but at most an hour; `None` if no value is valid.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let now = date(headers).unwrap_or(now);
    let wait = |text: &str| {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Duration::from_secs);
        }
        let until = http_date(text)?;
        (until >= now).then(|| until.since(now))
    };
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait(value.to_str().ok()?.trim()))
        .filter(|wait| *wait <= LONGEST_WAIT)
        .max()
        .map(|wait| wait.clamp(SHORTEST_WAIT, LONGEST_SILENCE))
}

/// The URL of the next page: `Link: <https://example.com/?page=2>; rel="next"`.
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        let mut words = value.trim().trim_matches('"').split_ascii_whitespace();
        (name.trim().eq_ignore_ascii_case("rel") && words.any(|word| word.eq_ignore_ascii_case("next")))
            .then_some(())
    };
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        // A URL may contain commas, so links are separated where the next one opens.
        .flat_map(|value| value.split('<').skip(1))
        .find_map(|link| {
            let (url, parameters) = link.split_once('>')?;
            let parameters = parameters.trim_end_matches([',', ' ']);
            parameters.split(';').find_map(is_next)?;
            Some(url.to_owned())
        })
}

/// The tightest rate limit that the headers mention, in any of the spellings that occur.
pub(super) fn server_limit(headers: &HeaderMap, now: Timestamp) -> Option<ServerLimit> {
    let now = date(headers).unwrap_or(now);
    let windows = windows(headers);
    let listed = ["ratelimit", "x-ratelimit"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| members(list, &windows, now));
    let apart = ["ratelimit", "x-ratelimit"].into_iter().filter_map(|name| separate(headers, name, now));
    listed.chain(apart).min_by_key(|limit| (limit.remaining, std::cmp::Reverse(limit.resets_in)))
}

/// The length of each policy's window: `"burst";q=100;w=60, "default";q=1200;w=300`.
fn windows(headers: &HeaderMap) -> Vec<(String, Duration)> {
    headers
        .get_all("ratelimit-policy")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|member| {
            let name = member.split(';').next()?.trim();
            Some((name.to_owned(), Duration::from_secs(parameter(member, ';', "w")?)))
        })
        .collect()
}

/// `"default";r=50;t=30, "burst";r=9;t=1`, or the older `limit=100, remaining=50, reset=30`.
fn members(list: &str, windows: &[(String, Duration)], now: Timestamp) -> Vec<ServerLimit> {
    if let Some(remaining) = parameter(list, ',', "remaining").or_else(|| parameter(list, ';', "remaining")) {
        let reset = parameter(list, ',', "reset").or_else(|| parameter(list, ';', "reset"));
        return vec![ServerLimit {
            remaining,
            resets_in: reset.map_or(WINDOW, |reset| until_reset(reset, now)),
        }];
    }
    let limit = |member: &str| {
        let name = member.split(';').next()?.trim();
        let window = windows.iter().find(|(known, _)| known == name);
        Some(ServerLimit {
            remaining: parameter(member, ';', "r")?,
            // Without `t`, assume the longest possible time: the policy's window, or else Cloudflare's.
            resets_in: match (parameter(member, ';', "t"), window) {
                (Some(reset), _) => until_reset(reset, now),
                (None, Some((_, length))) => WINDOW.min(*length),
                (None, None) => WINDOW,
            },
        })
    };
    list.split(',').filter_map(limit).collect()
}

/// `X-RateLimit-Remaining: 50` with `X-RateLimit-Reset: 30`.
fn separate(headers: &HeaderMap, name: &str, now: Timestamp) -> Option<ServerLimit> {
    let number = |part: &str| {
        let value = headers.get(format!("{name}-{part}"))?;
        value.to_str().ok()?.trim().parse::<u64>().ok()
    };
    let remaining = number("remaining")?;
    let resets_in = number("reset").map_or(WINDOW, |reset| until_reset(reset, now));
    Some(ServerLimit { remaining, resets_in })
}

/// The time until a reset, which is given in seconds, or as a date in seconds or milliseconds.
///
/// At most one window: by then no earlier request counts, so a longer time must be in an undocumented unit. Only
/// `Retry-After` may ask for a longer wait.
fn until_reset(reset: u64, now: Timestamp) -> Duration {
    let until = |millis: u64| Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).since(now);
    let span = match reset {
        0..SECONDS_ARE_DATES => Duration::from_secs(reset),
        SECONDS_ARE_DATES..MILLIS_ARE_DATES => until(reset * 1_000),
        MILLIS_ARE_DATES.. => until(reset),
    };
    span.min(WINDOW)
}

fn parameter(text: &str, separator: char, name: &str) -> Option<u64> {
    text.split(separator).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        if !key.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        value.trim().trim_matches('"').parse().ok()
    })
}

fn http_date(text: &str) -> Option<Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let date = parser.parse_timestamp(text).ok()?;
    Some(Timestamp::from_millis(date.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_445_412_420); // Wed, 21 Oct 2015 07:27:00 GMT

    fn head(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_invalid_values_are_ignored() {
        let hour = 3_600;
        for (value, wait) in [
            ("1", Some(1)),
            ("300", Some(300)),
            (" 300 ", Some(300)),
            ("3600", Some(hour)),
            ("3601", Some(hour)),
            ("86400", Some(hour)),
            ("300000", Some(hour)),
            ("31536000", Some(hour)),
            ("31622400", Some(hour)),
            ("31622401", None),
            ("99999999999999999999999", None),
            ("0", Some(1)),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Thu, 22 Oct 2015 07:27:00 GMT", Some(hour)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(1)),
            ("Wed, 21 Oct 2015 07:26:59 GMT", None),
            ("Wed, 21 Oct 9015 07:26:59 GMT", None),
        ] {
            let headers = head(&[("retry-after", value)]);
            assert_eq!(retry_after(&headers, NOW), wait.map(Duration::from_secs), "{value:?}");
        }
        let skewed = head(&[
            ("retry-after", "Wed, 21 Oct 2015 09:28:00 GMT"),
            ("date", "Wed, 21 Oct 2015 09:27:00 GMT"),
        ]);
        assert_eq!(retry_after(&skewed, NOW), Some(Duration::from_secs(60)), "by the server's clock");
        let several = head(&[("retry-after", "5"), ("retry-after", "50")]);
        assert_eq!(retry_after(&several, NOW), Some(Duration::from_secs(50)));
    }

    #[test]
    fn the_tightest_limit_counts_in_every_spelling() {
        for (lines, wanted) in [
            (&[("ratelimit", "\"default\";r=50;t=30")][..], Some((50, 30))),
            (&[("ratelimit", "\"burst\";r=9;t=1, \"default\";r=50;t=30")][..], Some((9, 1))),
            (&[("ratelimit", "\"a\";r=9;t=1"), ("ratelimit", "\"b\";r=9;t=60")][..], Some((9, 60))),
            (&[("ratelimit", "\"default\"; r=0")][..], Some((0, 300))),
            (
                &[("ratelimit", "\"burst\";r=0"), ("ratelimit-policy", "\"burst\";q=100;w=60")][..],
                Some((0, 60)),
            ),
            (&[("ratelimit", "limit=100, remaining=50, reset=30")][..], Some((50, 30))),
            (&[("ratelimit-remaining", "50"), ("ratelimit-reset", "30")][..], Some((50, 30))),
            (&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1445412450")][..], Some((7, 30))),
            (&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1445412450000")][..], Some((7, 30))),
            (&[("ratelimit", "\"default\";r=0;t=1445412450")][..], Some((0, 30))),
            (&[("ratelimit", "\"default\";r=0;t=1445412450000")][..], Some((0, 30))),
            (&[("ratelimit", "limit=100, remaining=0, reset=1445412450")][..], Some((0, 30))),
            (&[("ratelimit", "limit=100; remaining=0; reset=1445412450000")][..], Some((0, 30))),
            (&[("x-ratelimit-remaining", "7"), ("ratelimit", "\"default\";r=50;t=30")][..], Some((7, 300))),
            (&[("ratelimit", "\"default\";r=-1;t=30")][..], None),
            (&[("ratelimit", "plenty")][..], None),
            (&[][..], None),
        ] {
            let wanted = wanted.map(|(remaining, seconds)| ServerLimit {
                remaining,
                resets_in: Duration::from_secs(seconds),
            });
            assert_eq!(server_limit(&head(lines), NOW), wanted, "{lines:?}");
        }
    }

    #[test]
    fn no_reset_is_further_away_than_a_window_whatever_its_unit() {
        for (reset, seconds) in [
            ("300", 300),
            ("301", 300),
            ("60000", 300),
            ("999999999", 300),
            ("1000000000", 0),
            ("1445412420", 0),
            ("1445412720", 300),
            ("1445412721", 300),
            ("1763686000", 300),
            ("999999999999", 300),
            ("1000000000000", 0),
            ("1763686000000", 300),
            ("18446744073709551615", 300),
        ] {
            for lines in [
                &[("ratelimit", &*format!("\"default\";r=0;t={reset}"))][..],
                &[("ratelimit", &*format!("limit=100, remaining=0, reset={reset}"))][..],
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)][..],
            ] {
                let wanted = ServerLimit { remaining: 0, resets_in: Duration::from_secs(seconds) };
                assert_eq!(server_limit(&head(lines), NOW), Some(wanted), "{lines:?}");
            }
        }
        let policy = [("ratelimit", "\"day\";r=0"), ("ratelimit-policy", "\"day\";q=9000;w=86400")];
        let wanted = ServerLimit { remaining: 0, resets_in: WINDOW };
        assert_eq!(server_limit(&head(&policy), NOW), Some(wanted));
    }

    #[test]
    fn the_link_to_the_next_page_is_found() {
        for (value, wanted) in [
            ("<https://a/?page=2>; rel=\"next\"", Some("https://a/?page=2")),
            ("<?page=1>; rel=prev, <?page=3>; rel=next, <?page=9>; rel=last", Some("?page=3")),
            ("</x?ids=1,2>; title=\"a\"; rel=\"last next\"", Some("/x?ids=1,2")),
            ("<?page=2>; REL=Next", Some("?page=2")),
            ("<?page=2>; rel=prev", None),
            ("<?page=2>", None),
            ("next", None),
            ("", None),
        ] {
            assert_eq!(next_link(&head(&[("link", value)])).as_deref(), wanted, "{value}");
        }
        assert_eq!(next_link(&head(&[])), None);
    }

    #[test]
    fn only_json_is_not_foreign() {
        for (value, foreign) in [
            ("application/json; charset=UTF-8", None),
            ("application/problem+json", None),
            ("Text/HTML; charset=utf-8", Some("text/html")),
        ] {
            assert_eq!(non_json_type(&head(&[("content-type", value)])).as_deref(), foreign);
        }
        assert_eq!(non_json_type(&head(&[])), None, "a response without a media type may be JSON");
    }
}
