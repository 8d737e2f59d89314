//! Text from outside, without characters that could harm a terminal or a spreadsheet.

/// `text` with control characters and direction marks escaped, such as `\u{1b}`.
pub(crate) fn printable(text: &str) -> String {
    let letter = |letter: char| match letter {
        letter if is_unprintable(letter) => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

/// Whether it is a control character, a line separator, or a mark that changes the writing direction.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Equivalent JSON without the characters that [`printable`] escapes, except for the line ends between its fields.
pub(super) fn printable_json(json: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' => "\n".to_owned(),
        // JSON has these characters inside strings only, and their numbers have at most four digits.
        letter if is_unprintable(letter) => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    json.chars().map(letter).collect()
}

/// A CSV cell that no spreadsheet reads as a formula: it gets an apostrophe if it would start one.
pub(super) fn formula_safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}
