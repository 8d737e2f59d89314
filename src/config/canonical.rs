//! Spells the value of a setting in one way, however it was written, so that a reload compares meanings and not texts.
//!
//! Texts come from configurations that were accepted. What cannot be read here stands for itself.

use std::path::{Component, Path, PathBuf};

use reqwest::Url;

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
    let mut names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

/// `https://API.example:443/v4/` and `https://api.example/v4`.
pub(super) fn url(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| url.as_str().trim_end_matches('/').to_owned())
}

/// `info, hyper=warn` and `info,hyper=warn`.
pub(super) fn filter(text: &str) -> String {
    text.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_one_meaning_are_spelled_in_one_way_and_others_are_not() {
        type Spell = fn(&str) -> String;
        let table: [(Spell, &[&str], &str); 8] = [
            (text, &["/metrics"], "/Metrics"),
            (span, &["30s", "0m30s", "30000ms"], "31s"),
            (number, &["32", "032"], "33"),
            (path, &["/a/b", "/a/./b", "/a//b", "/a/b/"], "/a/../b"),
            (addresses, &[":1,[::1]:2", ":1, [0::1]:2"], "[::1]:2,:1"),
            (host_names, &["a.example,b.example", "B.example, a.example"], "a.example"),
            (url, &["https://api.example/v4", "https://API.example:443/v4/"], "https://api.example/v5"),
            (filter, &["info,hyper=warn", "info, hyper=warn"], "info"),
        ];
        for (spell, same, other) in table {
            for one in same {
                assert_eq!(spell(one), spell(same[0]));
                assert_ne!(spell(one), spell(other));
            }
        }
    }
}
