//! Reads the sections of a YAML document strictly. Unknown keys and values of the wrong kind are mistakes with their line, and
//! reading goes on after them, so that all mistakes are found at once.

use std::path::Path;
use std::time::Duration;

use crate::config::keys::{known, meant};
use crate::config::yaml::{Document, Field, Kind};
use crate::config::{Error, Mistakes, Setting, shown_key};

/// What was read. Without a value, the reason is among the mistakes already.
pub(super) type Read<T> = Result<T, Noted>;

/// A mistake that was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted;

/// The value; an error is added to `mistakes`.
pub(super) fn note<T>(found: Result<T, Error>, mistakes: &mut Mistakes) -> Read<T> {
    mistakes.note(found).ok_or(Noted)
}

/// A map of the document; one that is missing is empty.
pub(super) struct Section<'a> {
    document: &'a Document,
    /// Its path with a dot after it; empty for the root.
    prefix: String,
    line: usize,
    fields: &'a [Field],
    /// The keys that are not missing, but misspelled. Of a section that is no map these are all.
    misspelled: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The document itself, which may have the keys `names`.
    pub(super) fn root(document: &'a Document, names: &[&'static str], mistakes: &mut Mistakes) -> Self {
        let root = &document.root;
        Self::new(document, String::new(), root.line, Some(&root.kind), names, mistakes)
    }

    /// The map under `name`, which may have the keys `names`.
    pub(super) fn section(&self, name: &str, names: &[&'static str], mistakes: &mut Mistakes) -> Self {
        let prefix = format!("{}{name}.", self.prefix);
        match self.field(name) {
            Ok(field) => {
                let line = field.map_or(self.line, |field| field.line);
                let kind = field.map(|field| &field.value.kind);
                Self::new(self.document, prefix, line, kind, names, mistakes)
            }
            Err(Noted) => Self {
                document: self.document,
                prefix,
                line: self.line,
                fields: &[],
                misspelled: names.to_vec(),
            },
        }
    }

    fn new(
        document: &'a Document,
        prefix: String,
        line: usize,
        kind: Option<&'a Kind>,
        names: &[&'static str],
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut misspelled = Vec::new();
        let fields: &[Field] = match kind {
            None | Some(Kind::Null) => &[],
            Some(Kind::Map(fields)) => fields,
            Some(Kind::Text(_) | Kind::List(_)) => {
                let name = match prefix.trim_end_matches('.') {
                    "" => "the web configuration",
                    name => name,
                };
                mistakes.add(Error::at(&document.origin(line), format!("{name} must be a map")));
                misspelled = names.to_vec();
                &[]
            }
        };
        for field in fields {
            if note(known(document, &prefix, field, names), mistakes).is_err() {
                misspelled.extend(meant(field, names));
            }
        }
        Self { document, prefix, line, fields, misspelled }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The directory of the file.
    pub(super) fn directory(&self) -> &'a Path {
        self.document.directory()
    }

    /// The error for a problem of the whole section.
    pub(super) fn refuse(&self, problem: &str) -> Error {
        Error::at(
            &self.document.origin(self.line),
            format!("{} {problem}", self.prefix.trim_end_matches('.')),
        )
    }

    /// The value of `name`, if it is there and not empty.
    pub(super) fn value(&self, name: &str, mistakes: &mut Mistakes) -> Read<Option<Setting>> {
        match self.field(name)? {
            Some(field) => note(self.single(field, format!("{}{name}", self.prefix)), mistakes),
            None => Ok(None),
        }
    }

    /// The text of [`Section::value`].
    pub(super) fn text(&self, name: &str, mistakes: &mut Mistakes) -> Read<Option<String>> {
        Ok(self.value(name, mistakes)?.map(|value| value.text))
    }

    /// The values in the list `name`; none if it is not there.
    pub(super) fn values(&self, name: &str, mistakes: &mut Mistakes) -> Read<Vec<Setting>> {
        let Some(field) = self.field(name)? else { return Ok(Vec::new()) };
        let path = format!("{}{name}", self.prefix);
        let refuse = |line, problem| Error::at(&self.document.origin(line), format!("{path} {problem}"));
        let items = match &field.value.kind {
            Kind::Null => &[][..],
            Kind::List(items) => items,
            Kind::Text(_) | Kind::Map(_) => {
                return note(Err(refuse(field.line, "must be a list")), mistakes);
            }
        };
        let read: Vec<_> = items
            .iter()
            .map(|item| match &item.kind {
                Kind::Text(text) => Ok(self.setting(path.clone(), text, item.line)),
                _ => note(Err(refuse(item.line, "must be a list of texts")), mistakes),
            })
            .collect();
        read.into_iter().collect()
    }

    /// The texts of [`Section::values`]; `None` if the list is not there.
    pub(super) fn list(&self, name: &str, mistakes: &mut Mistakes) -> Read<Option<Vec<String>>> {
        let values = self.values(name, mistakes)?;
        let is_there = self.field(name)?.is_some_and(|field| !matches!(field.value.kind, Kind::Null));
        Ok(is_there.then(|| values.into_iter().map(|value| value.text).collect()))
    }

    /// A value that YAML reads as true or false.
    pub(super) fn boolean(&self, name: &str, mistakes: &mut Mistakes) -> Read<Option<bool>> {
        let Some(value) = self.value(name, mistakes)? else { return Ok(None) };
        match value.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Some(true)),
            "false" | "no" | "off" => Ok(Some(false)),
            _ => note(Err(value.must_be("true or false")), mistakes),
        }
    }

    /// The entries of the map `name`, whose keys may be anything.
    pub(super) fn entries(&self, name: &str, mistakes: &mut Mistakes) -> Read<Vec<(&'a str, Setting)>> {
        let Some(field) = self.field(name)? else { return Ok(Vec::new()) };
        let path = format!("{}{name}", self.prefix);
        let fields = match &field.value.kind {
            Kind::Null => return Ok(Vec::new()),
            Kind::Map(fields) => fields,
            Kind::Text(_) | Kind::List(_) => {
                let problem = format!("{path} must be a map");
                return note(Err(Error::at(&self.document.origin(field.line), problem)), mistakes);
            }
        };
        let entry = |field: &'a Field| {
            let name = format!("{path}.{}", shown_key(&field.name));
            let empty = || Error::at(&self.document.origin(field.line), format!("{name} is empty"));
            let value = self.single(field, name.clone())?.ok_or_else(empty)?;
            Ok((field.name.as_str(), value))
        };
        let read: Vec<_> = fields.iter().map(|field| note(entry(field), mistakes)).collect();
        read.into_iter().collect()
    }

    fn single(&self, field: &'a Field, name: String) -> Result<Option<Setting>, Error> {
        match &field.value.kind {
            Kind::Null => Ok(None),
            Kind::Text(text) if text.is_empty() => Ok(None),
            Kind::Text(text) => Ok(Some(self.setting(name, text, field.line))),
            Kind::List(_) | Kind::Map(_) => {
                Err(Error::at(&self.document.origin(field.line), format!("{name} must be a single value")))
            }
        }
    }

    fn setting(&self, name: String, text: &str, line: usize) -> Setting {
        Setting { name, text: text.to_owned(), origin: self.document.origin(line) }
    }

    fn field(&self, name: &str) -> Read<Option<&'a Field>> {
        match self.fields.iter().find(|field| field.name == name) {
            None if self.misspelled.contains(&name) => Err(Noted),
            field => Ok(field),
        }
    }
}

/// Reads a duration as Go writes it: numbers with a unit each, which may have a fraction, or `0`.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9)];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut nanos) = (text, 0.0);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    // Go's durations end after 292 years.
    let fits = !text.is_empty() && nanos < i64::MAX as f64;
    fits.then(|| Duration::from_nanos(nanos.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go_with_a_unit() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1h", Some(3_600_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("7us", Some(7_000)),
            ("7µs", Some(7_000)),
            ("3ns", Some(3)),
            ("", None),
            ("1", None),
            ("-1s", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("1..5s", None),
            ("1s ", None),
            ("9999999999h", None),
        ] {
            assert_eq!(go_duration(text).map(|span| span.as_nanos()), wanted, "{text:?}");
        }
    }
}
