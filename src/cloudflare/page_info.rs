//! What a response says about pages: their size and number, and whether and where there are more elements.

use serde_json::{Map, Value};

/// What a response says about pages; all optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageInfo {
    pub(super) total_pages: Option<u64>,
    pub(super) total_count: Option<u64>,
    pub(super) per_page: Option<u64>,
    pub(super) next: Next,
}

/// What a response says about the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    #[default]
    Unsaid,
    Cursor(PageCursor),
    /// A URL, absolute or relative.
    Link(String),
    /// There are more elements, but this text says why the response does not lead to them.
    Elsewhere(String),
}

/// A cursor, and the query parameter that it belongs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageCursor {
    pub(super) parameter: &'static str,
    pub(super) value: String,
}

/// Where Cloudflare's APIs and others put a cursor, and the parameter that takes it.
const CURSORS: [(&[&str], &str); 11] = [
    (&["cursor"], "cursor"),
    (&["cursor", "after"], "cursor"),
    (&["cursor", "next"], "cursor"),
    (&["cursors", "after"], "cursor"),
    (&["cursors", "next"], "cursor"),
    (&["next_cursor"], "cursor"),
    (&["nextCursor"], "cursor"),
    (&["after"], "after"),
    (&["next_page_token"], "page_token"),
    (&["nextPageToken"], "pageToken"),
    (&["continuation_token"], "continuation_token"),
];

/// Where APIs put the URL of the next page, or its number.
const LINKS: [&[&str]; 9] = [
    &["next"],
    &["next_page"],
    &["nextPage"],
    &["next_url"],
    &["next_page_url"],
    &["next_link"],
    &["nextLink"],
    &["links", "next"],
    &["links", "next", "href"],
];

/// Fields that are true if there are more elements.
const FLAGS: [&str; 9] = [
    "has_more",
    "hasMore",
    "more",
    "has_next",
    "hasNext",
    "has_next_page",
    "hasNextPage",
    "is_truncated",
    "truncated",
];

/// The longest cursor or link that is sent back, in bytes. Servers and proxies limit a URL to 8 KiB.
const MAX_POINTER: usize = 2_048;

impl PageInfo {
    /// Reads the fields of an envelope. Totals are in `result_info`; a pointer to the next page may also stand beside
    /// it, or beside the list.
    pub(super) fn of(envelope: &Map<String, Value>) -> Self {
        let null = &Value::Null;
        let info = envelope.get("result_info").unwrap_or(null);
        let result = envelope.get("result").unwrap_or(null);
        let places = [info.as_object(), Some(envelope), result.as_object()];
        Self {
            total_pages: whole_number(info.get("total_pages")),
            total_count: whole_number(info.get("total_count")),
            per_page: whole_number(info.get("per_page")),
            next: next(&places),
        }
    }
}

/// The most useful thing that is said of the next page: a cursor, then a link, then that there is one.
fn next(places: &[Option<&Map<String, Value>>]) -> Next {
    let places = || places.iter().copied().flatten();
    let said = places().flat_map(|place| {
        let cursors =
            CURSORS.iter().filter_map(|(path, parameter)| cursor(at(place, path)?, path, parameter));
        let links = LINKS.iter().filter_map(|path| link(at(place, path)?, path));
        let flags = FLAGS
            .iter()
            .filter(|flag| place.get(**flag).is_some_and(is_true))
            .map(|flag| elsewhere(flag, "is true"));
        cursors.chain(links).chain(flags).collect::<Vec<_>>()
    });
    let mut said: Vec<Next> = said.collect();
    let usable = said.iter().position(|next| !matches!(next, Next::Elsewhere(_))).unwrap_or_default();
    if said.is_empty() { Next::Unsaid } else { said.swap_remove(usable) }
}

fn cursor(value: &Value, path: &[&str], parameter: &'static str) -> Option<Next> {
    let value = match value {
        Value::String(text) => text.clone(),
        // No list continues at its start.
        Value::Number(number) if number.as_f64().is_some_and(|number| number > 0.0) => number.to_string(),
        Value::Bool(true) => return Some(elsewhere(path.last()?, "is true")),
        _ => return None,
    };
    match value.len() {
        0 => None,
        1..=MAX_POINTER => Some(Next::Cursor(PageCursor { parameter, value })),
        _ => Some(too_long(path)),
    }
}

fn link(value: &Value, path: &[&str]) -> Option<Next> {
    match value {
        Value::String(text) if text.len() > MAX_POINTER => Some(too_long(path)),
        Value::String(text) if text.contains(['/', '?']) => Some(Next::Link(text.clone())),
        Value::String(text) if ["", "0", "false"].contains(&text.as_str()) => None,
        Value::String(_) => Some(elsewhere(path.first()?, "is no link")),
        value if is_true(value) => Some(elsewhere(path.first()?, "is no link")),
        _ => None,
    }
}

fn too_long(path: &[&str]) -> Next {
    elsewhere(path.first().unwrap_or(&""), &format!("has more than {MAX_POINTER} bytes"))
}

fn elsewhere(field: &str, problem: &str) -> Next {
    Next::Elsewhere(format!("{field} {problem}"))
}

fn at<'a>(place: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(place.get(*first)?, |value, key| value.get(key))
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(word) => word.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// A non-negative whole number, also as a string. The schema says "number", so `3.0` is valid too.
fn whole_number(value: Option<&Value>) -> Option<u64> {
    let number = match value? {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> PageInfo {
        PageInfo::of(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
    }

    #[test]
    fn totals_are_whole_and_not_negative() {
        for (text, wanted) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("0", Some(0)),
            ("-1", None),
            ("2.5", None),
            ("1e300", None),
            ("\"3\"", Some(3)),
            ("\"three\"", None),
            ("\"inf\"", None),
            ("null", None),
        ] {
            let total = info(&format!(r#"{{"result_info":{{"total_count":{text}}}}}"#)).total_count;
            assert_eq!(total, wanted, "{text}");
        }
    }

    #[test]
    fn every_way_to_say_that_there_is_more_is_a_cursor_a_link_or_a_reason() {
        let cursor = |parameter, value: &str| Next::Cursor(PageCursor { parameter, value: value.to_owned() });
        let link = |url: &str| Next::Link(url.to_owned());
        let reason = |text: &str| Next::Elsewhere(text.to_owned());
        let long = format!(r#""cursor":"{}""#, "x".repeat(MAX_POINTER + 1));
        let fits = format!(r#""cursor":"{}""#, "x".repeat(MAX_POINTER));
        for (fields, wanted) in [
            (r#""cursor":"abc""#, cursor("cursor", "abc")),
            (r#""cursor":{"after":"abc"}"#, cursor("cursor", "abc")),
            (r#""cursors":{"after":"abc"}"#, cursor("cursor", "abc")),
            (r#""next_cursor":20"#, cursor("cursor", "20")),
            (r#""after":"abc""#, cursor("after", "abc")),
            (r#""next_page_token":"abc""#, cursor("page_token", "abc")),
            (fits.as_str(), cursor("cursor", &"x".repeat(MAX_POINTER))),
            (&long, reason("cursor has more than 2048 bytes")),
            (r#""cursor":true"#, reason("cursor is true")),
            (r#""next":"/client/v4/next?x=1""#, link("/client/v4/next?x=1")),
            (r#""next":"?page=2""#, link("?page=2")),
            (r#""links":{"next":"https://a/b"}"#, link("https://a/b")),
            (r#""links":{"next":{"href":"https://a/b"}}"#, link("https://a/b")),
            (r#""next_page":2"#, reason("next_page is no link")),
            (r#""next_page":"2""#, reason("next_page is no link")),
            (r#""next":"abc""#, reason("next is no link")),
            (r#""has_more":true"#, reason("has_more is true")),
            (r#""hasNextPage":"True""#, reason("hasNextPage is true")),
            (r#""is_truncated":1"#, reason("is_truncated is true")),
            // What can be followed is better than a reason.
            (r#""has_more":true,"next":"/x?page=2""#, link("/x?page=2")),
            (r#""has_more":true,"next_cursor":"abc""#, cursor("cursor", "abc")),
            // Nothing of this is a sign.
            (r#""cursor":"","next":"","next_page":0,"has_more":false"#, Next::Unsaid),
            (r#""cursor":null,"next":null,"links":{},"has_more":"false""#, Next::Unsaid),
            (r#""cursor":0,"after":-1,"next":false,"has_more":0"#, Next::Unsaid),
            (r#""cursor":{"before":"abc","after":null},"cursors":[]"#, Next::Unsaid),
            ("", Next::Unsaid),
        ] {
            for place in ["\"result_info\":{F}", "F", "\"result\":{F}"] {
                let text = format!("{{{}}}", place.replacen('F', fields, 1));
                assert_eq!(info(&text).next, wanted, "{text:.80}");
            }
        }
        assert_eq!(info(r#"{"result_info":[],"result":null}"#).next, Next::Unsaid);
    }
}
