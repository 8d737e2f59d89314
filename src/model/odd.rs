//! Fields of responses that do not have their documented form: which field, what was found, where, and how often.
//!
//! The values themselves are never kept: they may be personal data. The one exception is an unknown level that is a
//! single short word, because an operator cannot act on an unknown level without its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most unknown levels that are kept of one response. Cloudflare documents three levels.
const MAX_LEVELS: usize = 4;

/// What a field contained instead of its documented form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// The field is missing.
    Absent,
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number that the field cannot have.
    Number,
    /// A string that the field cannot have, such as a date in an unknown format.
    String,
    /// A word for a level that Cloudflare does not document.
    UnknownLevel,
    /// An array.
    Array,
    /// An object.
    Object,
    /// A value of the right type that is too long.
    TooLong,
    /// Rows of the same user or object have different values.
    Contradiction,
    /// A date of the server's clock that differs by more than a day from the clock of this machine.
    OtherClock,
}

impl Found {
    /// A word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::UnknownLevel => "unknown_level",
            Self::Array => "array",
            Self::Object => "object",
            Self::TooLong => "too_long",
            Self::Contradiction => "contradiction",
            Self::OtherClock => "other_clock",
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::Absent => "is missing",
            Self::Null => "is null",
            Self::Boolean => "is an unexpected boolean",
            Self::Number => "is an unexpected number",
            Self::String => "is an unexpected string",
            Self::UnknownLevel => "is an unknown level",
            Self::Array => "is an unexpected array",
            Self::Object => "is an unexpected object",
            Self::TooLong => "is too long",
            Self::Contradiction => "differs between two rows for the same id",
            Self::OtherClock => "differs by more than a day from the clock of this machine",
        }
    }
}

/// The word for a level that Cloudflare does not document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LevelWord(String);

impl LevelWord {
    /// The word, if it looks like one: 1 to 32 ASCII letters, digits, hyphens and underscores. Anything else may be
    /// text about a person that is in the wrong field.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        ((1..=32).contains(&text.len()) && text.bytes().all(is_word)).then(|| Self(text.to_owned()))
    }

    /// The word as Cloudflare wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The unexpected fields of one response, without their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddFields {
    fields: BTreeMap<(&'static str, Found), Occurrences>,
    levels: BTreeSet<LevelWord>,
}

/// How often a field had one unexpected form, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Occurrences {
    count: u32,
    /// `None` outside the list.
    first: Option<usize>,
}

/// One unexpected form of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddField {
    /// The field's name at Cloudflare.
    pub field: &'static str,
    /// What it contained.
    pub found: Found,
    /// How many rows had this.
    pub count: u32,
    /// The first of these rows, counted from 1 over all pages; `None` for a field outside the list.
    pub first_row: Option<usize>,
}

impl OddFields {
    /// Adds that `field` contained `found`, in the row at `index` (from 0) or outside the list.
    pub(crate) fn add(&mut self, field: &'static str, found: Found, index: Option<usize>) {
        let entry = self.fields.entry((field, found)).or_insert(Occurrences { count: 0, first: index });
        entry.count = entry.count.saturating_add(1);
    }

    /// Adds an unknown level.
    pub(crate) fn add_level(&mut self, word: LevelWord) {
        if self.levels.len() < MAX_LEVELS {
            self.levels.insert(word);
        }
    }

    /// Adds the fields of a further page, which comes after `rows` rows.
    pub(crate) fn append(&mut self, page: &Self, rows: usize) {
        for ((field, found), Occurrences { count, first }) in &page.fields {
            let first = first.map(|first| rows + first);
            let entry = self.fields.entry((field, *found)).or_insert(Occurrences { count: 0, first });
            entry.count = entry.count.saturating_add(*count);
        }
        for word in &page.levels {
            self.add_level(word.clone());
        }
    }

    /// Whether all fields had their documented form.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The unknown levels that are words, sorted; at most four.
    pub fn levels(&self) -> impl Iterator<Item = &LevelWord> {
        self.levels.iter()
    }

    /// The unexpected fields, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = OddField> {
        self.fields.iter().map(|((field, found), Occurrences { count, first })| OddField {
            field,
            found: *found,
            count: *count,
            first_row: first.map(|first| first + 1),
        })
    }
}

impl fmt::Display for OddField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)?;
        if let Some(row) = self.first_row {
            write!(f, " of row {row}")?;
        }
        write!(f, " {}", self.found.phrase())?;
        if self.count > 1 { write!(f, " (and {} more)", self.count - 1) } else { Ok(()) }
    }
}

/// Up to three fields, such as `last_event of row 5 is null, user_id of row 7 is missing`.
impl fmt::Display for OddFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (index, field) in self.iter().take(SHOWN).enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{field}")?;
        }
        if self.fields.len() > SHOWN { f.write_str(", and other fields") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_field_form_and_place() {
        let mut odd = OddFields::default();
        assert!(odd.is_empty());
        odd.add("user_id", Found::Absent, Some(6));
        odd.add("last_event", Found::Null, Some(4));
        odd.add("last_event", Found::Null, Some(8));
        assert_eq!(odd.to_string(), "last_event of row 5 is null (and 1 more), user_id of row 7 is missing");
        let mut all = OddFields::default();
        all.add("user_id", Found::Absent, Some(2));
        all.append(&odd, 10);
        let mut head = OddFields::default();
        head.add("last_reset_time", Found::String, None);
        assert_eq!(head.to_string(), "last_reset_time is an unexpected string");
        let places: Vec<_> = all.iter().map(|odd| (odd.field, odd.count, odd.first_row)).collect();
        assert_eq!(places, [("last_event", 2, Some(15)), ("user_id", 2, Some(3))]);
    }
    #[test]
    fn only_a_short_word_is_kept_of_an_unknown_level() {
        for (text, kept) in [
            ("critical", true),
            ("VERY_high-2", true),
            (&"x".repeat(32), true),
            (&"x".repeat(33), false),
            ("", false),
            ("ada@example.com", false),
            ("Ada Lovelace", false),
            ("größer", false),
            ("a\nb", false),
        ] {
            assert_eq!(
                LevelWord::new(text).map(|word| word.as_str().to_owned()),
                kept.then(|| text.to_owned())
            );
        }
        let mut page = OddFields::default();
        let words = |odd: &OddFields| odd.levels().map(|word| word.as_str().to_owned()).collect::<Vec<_>>();
        for number in 0..9 {
            page.add_level(LevelWord::new(&format!("level{number}")).unwrap());
        }
        let mut all = OddFields::default();
        all.add_level(LevelWord::new("critical").unwrap());
        all.append(&page, 5);
        assert_eq!(words(&all), ["critical", "level0", "level1", "level2"]);
    }
}
