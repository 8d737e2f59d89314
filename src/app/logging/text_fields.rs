//! Writes the fields of a text line so that text from outside cannot forge a line or a field.
//!
//! The message and the values may contain text from an answer or a file. Characters that end a line, change the direction of
//! the text or control a terminal are escaped, and a value of more than one word is quoted.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::model::text::is_showable;

/// The format of the fields in text lines.
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, separator: "", result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    separator: &'static str,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let separator = std::mem::replace(&mut self.separator, " ");
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        let written = if name == "message" {
            write!(self.writer, "{separator}{value}")
        } else if self.writer.has_ansi_escapes() {
            write!(self.writer, "{separator}\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
        } else {
            write!(self.writer, "{separator}{name}={value}")
        };
        self.result = self.result.and(written);
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.field(field, format_args!("{}", Escaped(value)));
        } else {
            self.field(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    /// Also for values with `%`, whose text is their `Display`.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.field(field, format_args!("{}", Escaped(&text)));
        } else if is_one_word(&text) {
            self.field(field, format_args!("{text}"));
        } else {
            self.field(field, format_args!("{text:?}"));
        }
    }
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

/// A text with escapes in place of the characters that are not allowed.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match is_showable(character) {
                true => f.write_char(character)?,
                false => write!(f, "{}", character.escape_default())?,
            }
        }
        Ok(())
    }
}
