//! Breaks prose into lines, and shortens text.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How far the lines after the first are indented.
const INDENT: &str = "  ";

/// Every line of `text` in lines of at most `width` columns; as it is without a width, or if it fits. Breaks are at spaces
/// only, and not within backticks: an id, an address or a command that is broken cannot be copied.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.lines().map(|line| lines(line, width, INDENT).join("\n")).collect::<Vec<_>>().join("\n")
}

/// One line of text in lines of at most `width` columns, all but the first after `indent`.
pub(super) fn lines(text: &str, width: usize, indent: &str) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let is_first = line.is_empty() || (!lines.is_empty() && line == indent);
        if !is_first && line.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The parts between spaces outside of backticks.
fn words(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|letter| {
        is_quoted ^= letter == '`';
        letter == ' ' && !is_quoted
    })
    .collect()
}

/// The text in at most `width` columns; if it is longer, with an ellipsis at the end.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |letter: &char| {
        let columns = letter.width().unwrap_or(0);
        let fits = columns <= left;
        left = left.saturating_sub(columns);
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_breaks_at_spaces_and_never_within_backticks() {
        for (text, width, wanted) in [
            ("", 5, ""),
            ("one", 2, "one"),
            ("one two", 7, "one two"),
            ("one two", 6, "one\n  two"),
            ("one two three", 9, "one two\n  three"),
            ("a b c d e f", 5, "a b c\n  d e\n  f"),
            ("see `a b c` now", 8, "see\n  `a b c`\n  now"),
            ("a\nb c d", 3, "a\nb c\n  d"),
            ("  a   b", 7, "  a   b"),
            ("über äöü", 8, "über äöü"),
            ("日本 日本", 9, "日本 日本"),
            ("日本 日本", 8, "日本\n  日本"),
        ] {
            assert_eq!(wrapped(text, Some(width)), wanted, "{text} {width}");
        }
        assert_eq!(wrapped("one two", None), "one two");
    }

    #[test]
    fn a_longer_text_ends_in_an_ellipsis() {
        for (text, width, wanted) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(shortened(text, width), wanted, "{text} {width}");
        }
    }
}
