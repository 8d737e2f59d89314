//! Spells the value of a setting in one way, however it was written, so that a reload compares meanings and not texts.
//!
//! Texts come from configurations that were accepted. What cannot be read here stands for itself.

use std::path::{Component, Path, PathBuf};

use reqwest::Url;

use super::keys::{Key, Spelling};
use super::{Filter, parse};
use crate::clock::duration;
use crate::http::listen::Listen;

/// Whether two texts mean the same value of this key.
pub(super) fn is_same(key: &Key, one: Option<&str>, other: Option<&str>) -> bool {
    let canonical = |text| canonical(key.spelling, text);
    one.map(canonical) == other.map(canonical)
}

fn canonical(spelling: Spelling, text: &str) -> String {
    let spelled = match spelling {
        Spelling::Text => None,
        Spelling::Duration => duration::parse(text).map(duration::spell),
        Spelling::Number => text.parse::<u64>().ok().map(|number| number.to_string()),
        Spelling::Path => {
            let named = Path::new(text).components().filter(|component| *component != Component::CurDir);
            Some(named.collect::<PathBuf>().display().to_string())
        }
        Spelling::Addresses => Some(text.split(',').map(address).collect::<Vec<_>>().join(",")),
        Spelling::HostNames => parse::host_names(text).ok().map(|mut names| {
            names.sort_unstable();
            names.dedup();
            names.join(",")
        }),
        Spelling::Url => Url::parse(text).ok().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        Spelling::Filter => text.parse::<Filter>().ok().map(|filter| filter.to_string()),
    };
    spelled.unwrap_or_else(|| text.to_owned())
}

fn address(text: &str) -> String {
    match text.trim().parse::<Listen>() {
        Ok(listen) => format!("{:?}", listen.addresses()),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn texts_with_one_meaning_are_equal_and_others_are_not() {
        let table: [(Key, &[&str], &str); 13] = [
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
            (keys::GRAFANA_URL, &["https://a.example/g", "https://A.example/g/"], "https://a.example"),
            (keys::LOG_LEVEL, &["info,hyper=warn", "info, hyper=warn"], "info"),
        ];
        for (key, same, other) in table {
            for one in same {
                assert!(is_same(&key, Some(one), Some(same[0])), "{}: {one}", key.path());
                assert!(!is_same(&key, Some(one), Some(other)), "{}: {one}", key.path());
                assert!(!is_same(&key, Some(one), None), "{}: {one}", key.path());
            }
        }
        // Where a letter counts, so does its case.
        assert!(!is_same(&keys::TELEMETRY_PATH, Some("/metrics"), Some("/Metrics")));
    }
}
