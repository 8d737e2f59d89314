//! Makes texts from outside fit for a line: bounded, and without characters that end it or hide something.

use crate::model::text::is_showable;

/// The longest id, name or address in bytes. A longer one is cut.
pub(super) const MAX_TEXT: usize = 1_024;

/// The most bytes that the details of an event take in a line. Longer ones are cut. With all other fields at their longest, a
/// line stays below 16 KiB, where container runtimes split it.
pub(super) const MAX_DETAILS: usize = 8_192;

/// Whether a text was shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    No,
    Yes,
}

/// The text with a replacement for characters that must not be shown, at most `limit` bytes as a JSON string.
pub(super) fn bounded(text: &str, limit: usize) -> (String, Cut) {
    let mut shown = String::with_capacity(text.len().min(limit));
    let mut length = 0;
    for character in text.chars() {
        let character = if is_showable(character) { character } else { char::REPLACEMENT_CHARACTER };
        length += match character {
            '"' | '\\' => 2,
            other => other.len_utf8(),
        };
        if length > limit {
            return (shown, Cut::Yes);
        }
        shown.push(character);
    }
    (shown, Cut::No)
}

/// The same for an id, a name or an address.
pub(super) fn short(text: &str) -> String {
    bounded(text, MAX_TEXT).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_have_no_hidden_ones() {
        for (text, limit, wanted) in [
            ("imp_travel", 10, ("imp_travel", Cut::No)),
            ("imp_travel", 9, ("imp_trave", Cut::Yes)),
            ("a\nb\u{7f}\u{202e}", 100, ("a\u{fffd}b\u{fffd}\u{fffd}", Cut::No)),
            ("Zoë", 3, ("Zo", Cut::Yes)),
            ("{\"a\":\"\\n\"}", 14, ("{\"a\":\"\\n\"", Cut::Yes)),
            ("{\"a\":\"\\n\"}", 15, ("{\"a\":\"\\n\"}", Cut::No)),
            ("", 0, ("", Cut::No)),
        ] {
            let (shown, cut) = bounded(text, limit);
            assert_eq!((shown.as_str(), cut), wanted, "{text:?}");
            assert!(serde_json::to_string(&shown).unwrap().len() <= limit + 2, "{text:?}");
        }
    }
}
