//! Parsers for each kind of value. The file, the environment and the flags of all commands use the same ones.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use tracing_subscriber::filter::Targets;

use super::error::Error;
use super::sources::Setting;
use super::{AUDIT_INTERVAL, DISCOVERY_INTERVAL, Filter, INTERVAL, LogFormat};
use crate::clock::duration;

/// The longest name in DNS (RFC 1035, section 3.1).
const MAX_HOST_NAME: usize = 253;

/// The paths of what the live page loads.
pub(crate) const PAGE_FILES: [&str; 9] = [
    "/page.js",
    "/page.css",
    "/account.js",
    "/charts.js",
    "/commands.js",
    "/draw.js",
    "/health.js",
    "/overview.js",
    "/icon.svg",
];

/// Reads a duration within `bounds`.
///
/// # Errors
/// The text is not such a duration.
pub(crate) fn duration_within(text: &str, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let (least, most) = (duration::spell(*bounds.start()), duration::spell(*bounds.end()));
    let span = duration::parse(text).filter(|span| bounds.contains(span));
    span.ok_or_else(|| format!("must be a duration from {least} to {most}, written like 30s, 5m or 1h30m"))
}

/// Reads the interval of a resource.
///
/// # Errors
/// The text is not a duration from a second to a day.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    duration_within(text, &INTERVAL)
}

/// Reads the interval of the audit.
///
/// # Errors
/// The text is not a duration from a minute to 30 days.
pub(crate) fn audit_interval(text: &str) -> Result<Duration, String> {
    duration_within(text, &AUDIT_INTERVAL)
}

/// Reads how often a list of accounts is read.
///
/// # Errors
/// The text is not a duration from a minute to a day.
pub(super) fn discovery_interval(text: &str) -> Result<Duration, String> {
    duration_within(text, &DISCOVERY_INTERVAL)
}

/// Reads a share of the request limit. With 0.01, which is 12 requests in five minutes, the list of users is read about
/// once a minute, because it gets half of them.
///
/// # Errors
/// The text is not a decimal number from 0.01 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    decimal(text).filter(|share| (0.01..=1.0).contains(share)).ok_or_else(|| {
        "must be a fraction from 0.01 to 1 of the 1,200 requests that Cloudflare allows in 5 minutes"
            .to_owned()
    })
}

/// Reads digits and at most one point, without sign or exponent.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    // `parse` alone would also accept `+1`, `1e3` and `inf`.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// The grammar of a whole number within `bounds`: digits, without a sign.
///
/// # Errors
/// The grammar refuses every other text, and says what it must be.
pub(crate) fn whole_number<T>(
    bounds: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + fmt::Display + Clone + Send + Sync + 'static,
{
    move |text| {
        // `parse` alone would also accept a plus sign.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && bounds.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

pub(super) fn path(setting: &Setting) -> Result<PathBuf, Error> {
    if setting.text.is_empty() || setting.text.contains('\0') {
        return Err(setting.must_be("the path of a file"));
    }
    Ok(PathBuf::from(&setting.text))
}

pub(super) fn directory(setting: &Setting) -> Result<PathBuf, Error> {
    path(setting).map_err(|_| setting.must_be("the path of a directory"))
}

/// Reads the address of the API. A token is sent over TLS or within this machine only. A refused address is not shown,
/// because it may contain a password.
pub(super) fn base_url(setting: &Setting) -> Result<Url, Error> {
    const WANTED: &str =
        "must be an https URL such as https://api.cloudflare.com/client/v4, or an http one on loopback";
    let mut url = Url::parse(&setting.text).map_err(|_| setting.refuse(WANTED))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting.refuse("must not contain a user name or a password"));
    }
    let is_loopback = url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
            || host == format!("[{}]", Ipv6Addr::LOCALHOST)
    });
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => return Err(setting.refuse(WANTED)),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(setting.refuse("must be a URL without query and fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Reads an address that links begin with. The live page shows it to everyone, so it has no password, and a refused one is
/// not shown either.
pub(super) fn grafana_url(setting: &Setting) -> Result<String, Error> {
    let url = Url::parse(&setting.text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    match url {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(setting.refuse(
            "must be an http or https URL without user name, password, query and fragment, such as \
             https://grafana.example.com",
        )),
    }
}

/// Reads the path of the metrics. It must not hide what is served at other paths.
pub(super) fn telemetry_path(setting: &Setting) -> Result<String, Error> {
    let path = setting.text.as_str();
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let is_taken = ["/-/", "/api/"].iter().any(|taken| path.starts_with(taken));
    if !path.starts_with('/') || path.len() == 1 || !is_plain || is_taken {
        return Err(setting.must_be(
            "a path such as /metrics, of letters, digits, and the characters - . _ ~ /, which does not begin with \
             /-/ or /api/",
        ));
    }
    match PAGE_FILES.contains(&path) {
        true => Err(setting.must_be("another path, because the live page has a file there")),
        false => Ok(path.to_owned()),
    }
}

/// Reads host names without ports, separated by commas; the result is in lower case.
pub(super) fn host_names(text: &str) -> Result<Vec<String>, &'static str> {
    let is_name = |name: &str| {
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        name.len() <= MAX_HOST_NAME && name.split('.').all(label)
    };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    match names.iter().all(|name| is_name(name)) {
        true => Ok(names),
        false => Err("must be host names without ports, separated by commas, such as exporter.internal"),
    }
}

/// Reads `true` or `false`, which stand for `on` and `off`.
pub(super) fn switch<T>(setting: &Setting, on: T, off: T) -> Result<T, Error> {
    match setting.text.as_str() {
        "true" => Ok(on),
        "false" => Ok(off),
        _ => Err(setting.must_be("true or false")),
    }
}

pub(super) fn log_format(setting: &Setting) -> Result<LogFormat, Error> {
    match setting.text.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(setting.must_be("text or json")),
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `Targets` reads a word without `=` that is not a level as the name of a module, so that the typo `inof` would
        // silence everything else. The program has no spans to filter by.
        let is_plausible = |directive: &str| {
            (directive.contains('=') && !directive.contains('['))
                || ["off", "error", "warn", "info", "debug", "trace"]
                    .iter()
                    .any(|level| directive.eq_ignore_ascii_case(level))
        };
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let directives = words.join(",");
        if words.into_iter().all(is_plausible) && directives.parse::<Targets>().is_ok() {
            return Ok(Self(directives));
        }
        Err("must be off, error, warn, info, debug, trace, or directives such as info,hyper=warn".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_plain_fraction_from_a_hundredth_to_one() {
        for (text, wanted) in [
            ("0.01", Some(0.01)),
            ("0.25", Some(0.25)),
            (".5", Some(0.5)),
            ("1", Some(1.0)),
            ("1.0", Some(1.0)),
            ("0", None),
            ("0.009", None),
            ("1.01", None),
            ("1e-1", None),
            ("+0.5", None),
            ("-0.5", None),
            ("NaN", None),
            ("inf", None),
            ("25%", None),
            (" 0.5", None),
            ("0,5", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(share(text).ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn an_interval_is_a_duration_within_its_bounds() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, wanted, wanted_of_audit) in [
            ("999ms", None, None),
            ("1s", seconds(1), None),
            ("59s", seconds(59), None),
            ("1m", seconds(60), seconds(60)),
            ("1h30m", seconds(5_400), seconds(5_400)),
            ("1d", seconds(86_400), seconds(86_400)),
            ("1d1ms", None, Some(Duration::from_millis(86_400_001))),
            ("30d", None, seconds(30 * 86_400)),
            ("31d", None, None),
            ("300", None, None),
            ("5min", None, None),
            ("", None, None),
        ] {
            let found = (interval(text).ok(), audit_interval(text).ok());
            assert_eq!(found, (wanted, wanted_of_audit), "{text:?}");
        }
    }
}
