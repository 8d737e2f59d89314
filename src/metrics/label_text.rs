//! Makes text from outside safe as a label value: names, e-mail addresses, behaviors, and texts of integrations.
//!
//! Some of these texts are chosen by users, including the monitored users. A text must not be able to make a
//! scraper drop the target. Some scrapers split lines at every Unicode line separator, and many limit the length of a label
//! value (`label_value_length_limit`).

use std::borrow::Cow;

use crate::model::text::is_showable;

/// Shorter than the smallest common limit, 200 bytes.
const MAX_BYTES: usize = 192;

/// Takes the place of a character that is not allowed.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Stands at the end of a text that was cut.
const ELLIPSIS: char = '…';

/// The text with other characters in place of those that are not [`is_showable`], and cut to 192 bytes.
pub(crate) fn label_text(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_BYTES && text.chars().all(is_showable) {
        return Cow::Borrowed(text);
    }
    // More characters than fit, so that the loop below sees that the text must be cut, but not a megabyte of them.
    let characters = text.chars().take(MAX_BYTES + 1);
    let mut safe: String =
        characters.map(|character| if is_showable(character) { character } else { REPLACEMENT }).collect();
    if safe.len() > MAX_BYTES {
        while safe.len() > MAX_BYTES - ELLIPSIS.len_utf8() {
            safe.pop();
        }
        safe.push(ELLIPSIS);
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_end_lines_change_direction_or_are_invisible_are_replaced() {
        for (text, wanted) in [
            ("Ada Lövelace <ada@example.com>", "Ada Lövelace <ada@example.com>"),
            ("Some\u{2028}Body", "Some\u{fffd}Body"),
            ("a\r\nb\tc\u{0}d\u{7f}e\u{85}f\u{1b}[31mg", "a��b�c�d�e�f�[31mg"),
            ("\u{202e}txt.exe\u{202c}\u{2066}\u{200f}\u{61c}", "�txt.exe����"),
            ("\u{feff}\u{200b}\u{e0041}", "���"),
            ("\u{115f}\u{1160}\u{3164}\u{ffa0}한", "����한"),
            ("می\u{200c}خواهم 👩\u{200d}💻", "می\u{200c}خواهم 👩\u{200d}💻"),
        ] {
            assert_eq!(label_text(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(label_text(&"a".repeat(192)), "a".repeat(192));
        assert_eq!(label_text(&"a".repeat(193)), "a".repeat(189) + "…");
        assert_eq!(label_text(&"ö".repeat(97)), "ö".repeat(94) + "…");
        assert_eq!(label_text(&"\n".repeat(1_000_000)), "\u{fffd}".repeat(63) + "…");
        for length in 0..400 {
            assert!(label_text(&"👩\u{2028}".repeat(length)).len() <= MAX_BYTES, "{length}");
        }
    }
}
