//! What the text of each setting must be.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use tracing_subscriber::filter::Targets;

use super::error::Error;
use super::layers::Setting;
use super::{Filter, LogFormat, WebPage, duration};
use crate::listen::Listen;

/// Half a million series for users; a page for more is a mistake in the number.
const MOST_USERS: usize = 100_000;

pub(super) fn interval(setting: &Setting, bounds: &RangeInclusive<Duration>) -> Result<Duration, Error> {
    duration::parse(&setting.text).filter(|span| bounds.contains(span)).ok_or_else(|| {
        setting.must_be(&format!(
            "a duration from {} to {}, such as 30s, 5m or 1h30m",
            duration::spell(*bounds.start()),
            duration::spell(*bounds.end())
        ))
    })
}

pub(super) fn user_limit(setting: &Setting) -> Result<usize, Error> {
    // `parse` alone would also take a plus sign.
    let is_number = setting.text.bytes().all(|byte| byte.is_ascii_digit());
    let number = setting.text.parse().ok().filter(|number| *number <= MOST_USERS);
    number
        .filter(|_| is_number)
        .ok_or_else(|| setting.must_be(&format!("a whole number from 0 to {MOST_USERS}")))
}

/// In bytes. With less than a MiB every commit reads what the last one wrote.
pub(super) fn cache(setting: &Setting) -> Result<usize, Error> {
    const MOST: usize = 4_096;
    let is_number = setting.text.bytes().all(|byte| byte.is_ascii_digit());
    let mebibytes: Option<usize> = setting.text.parse().ok().filter(|_| is_number);
    mebibytes
        .filter(|mebibytes| (1..=MOST).contains(mebibytes))
        .map(|mebibytes| mebibytes << 20)
        .ok_or_else(|| setting.must_be(&format!("a whole number of MiB from 1 to {MOST}")))
}

/// At least 12 requests in five minutes: half of them go to the summary, which is then read once a minute.
pub(super) fn budget_share(setting: &Setting) -> Result<f64, Error> {
    let plain = setting.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let share = setting.text.parse().ok();
    share.filter(|share| plain && (0.01..=1.0).contains(share)).ok_or_else(|| {
        setting.must_be("a fraction from 0.01 to 1 of the 1,200 requests that Cloudflare allows in 5 minutes")
    })
}

pub(super) fn path(setting: &Setting) -> Result<PathBuf, Error> {
    if setting.text.is_empty() || setting.text.contains('\0') {
        return Err(setting.must_be("the path of a file"));
    }
    Ok(PathBuf::from(&setting.text))
}

/// A token is only sent where nobody else can read it: over TLS, or within this machine. What is refused
/// is not shown, because a password may be anywhere in it.
pub(super) fn base_url(setting: &Setting) -> Result<Url, Error> {
    const WANTED: &str =
        "must be an https URL such as https://api.cloudflare.com/client/v4, or an http one on loopback";
    let mut url = Url::parse(&setting.text).map_err(|_| setting.refuse(WANTED))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting.refuse("must not hold a user name or a password"));
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

pub(super) fn listen(setting: &Setting) -> Result<Listen, Error> {
    setting.text.parse().map_err(|error: crate::listen::NotAnAddress| {
        let wanted = error.to_string();
        setting.must_be(wanted.strip_prefix("must be ").unwrap_or(&wanted))
    })
}

pub(super) fn web_page(setting: &Setting) -> Result<WebPage, Error> {
    match setting.text.as_str() {
        "true" => Ok(WebPage::On),
        "false" => Ok(WebPage::Off),
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

pub(super) fn log_level(setting: &Setting) -> Result<Filter, Error> {
    const ALLOWED: &str = "off, error, warn, info, debug, trace, or directives such as info,hyper=warn";
    // To the parser a word without `=` that is no level is the name of a module, so that `inof` would
    // silence everything else. There are no spans to filter by.
    let is_plausible = |directive: &str| {
        (directive.contains('=') && !directive.contains('['))
            || ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|level| directive.eq_ignore_ascii_case(level))
    };
    let words: Vec<&str> = setting.text.split(',').map(str::trim).collect();
    let directives = words.join(",");
    if !words.into_iter().all(is_plausible) || directives.parse::<Targets>().is_err() {
        return Err(setting.must_be(ALLOWED));
    }
    Ok(Filter(directives))
}
