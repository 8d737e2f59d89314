//! Spells the value of a setting in one way, however it was written, so that a reload compares meanings and not texts.
//!
//! Texts come from configurations that were accepted. What cannot be read here stands for itself.

use std::path::{Component, Path, PathBuf};

use reqwest::Url;

use super::{Filter, parse};
use crate::clock::duration;
use crate::http::listen::Listen;

/// Each text has its own meaning.
pub(super) fn text(text: &str) -> String {
    text.to_owned()
}

/// `0m30s` and `30s`.
pub(super) fn span(text: &str) -> String {
    duration::parse(text).map_or_else(|| text.to_owned(), duration::spell)
}

/// `032` and `32`.
pub(super) fn number(text: &str) -> String {
    text.parse::<u64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
}

/// `/a/./b` and `/a//b`.
pub(super) fn path(text: &str) -> String {
    let named = Path::new(text).components().filter(|component| *component != Component::CurDir);
    named.collect::<PathBuf>().display().to_string()
}

/// `:1, [::1]:2` and `:1,[0::1]:2`.
pub(super) fn addresses(text: &str) -> String {
    let address = |text: &str| match text.trim().parse::<Listen>() {
        Ok(listen) => format!("{:?}", listen.addresses()),
        Err(_) => text.to_owned(),
    };
    text.split(',').map(address).collect::<Vec<_>>().join(",")
}

/// `B.example, a.example` and `a.example,b.example`.
pub(super) fn host_names(text: &str) -> String {
    match parse::host_names(text) {
        Ok(mut names) => {
            names.sort_unstable();
            names.dedup();
            names.join(",")
        }
        Err(_) => text.to_owned(),
    }
}

/// `https://API.example:443/v4/` and `https://api.example/v4`.
pub(super) fn url(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| url.as_str().trim_end_matches('/').to_owned())
}

/// `info, hyper=warn` and `info,hyper=warn`.
pub(super) fn filter(text: &str) -> String {
    text.parse::<Filter>().map_or_else(|_| text.to_owned(), |filter| filter.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::keys;

    #[test]
    fn texts_with_one_meaning_are_equal_and_others_are_not() {
        let table: [(keys::Key, &[&str], &str); 12] = [
            (keys::SUMMARY, &["30s", "0m30s", "30000ms"], "31s"),
            (keys::AUDIT, &["6h", "360m"], "6h1s"),
            (keys::AUTO_RELOAD_INTERVAL, &["30s", "0m30s"], "3s"),
            (keys::LIMIT, &["100", "0100"], "101"),
            (keys::SHARD_INDEX, &["1", "01"], "10"),
            (keys::STATE_CACHE, &["32", "032"], "33"),
            (keys::STATE_PATH, &["/a/b", "/a/./b", "/a//b", "/a/b/"], "/a/../b"),
            (keys::LISTEN_ADDRESS, &[":1,[::1]:2", ":1, [0::1]:2"], "[::1]:2,:1"),
            (keys::HEALTH_ADDRESS, &["[::1]:2", "[0::1]:2"], "[::1]:3"),
            (keys::ALLOWED_HOSTS, &["a.example,b.example", "B.example, a.example"], "a.example"),
            (
                keys::BASE_URL,
                &["https://api.example/v4", "https://API.example:443/v4/"],
                "https://api.example/v5",
            ),
            (keys::LOG_LEVEL, &["info,hyper=warn", "info, hyper=warn"], "info"),
        ];
        for (key, same, other) in table {
            for one in same {
                assert!(key.is_same(Some(one), Some(same[0])), "{}: {one}", key.path());
                assert!(!key.is_same(Some(one), Some(other)), "{}: {one}", key.path());
                assert!(!key.is_same(Some(one), None), "{}: {one}", key.path());
            }
        }
        // Where a letter counts, so does its case.
        assert!(!keys::TELEMETRY_PATH.is_same(Some("/metrics"), Some("/Metrics")));
    }
}
