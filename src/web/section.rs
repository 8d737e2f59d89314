//! Reads the sections of a YAML document strictly: unknown keys and values of the wrong kind are errors with their line.

use std::path::Path;
use std::time::Duration;

use crate::config::yaml::{Document, Field, Kind};
use crate::config::{Error, Setting};

/// A map of the document; one that is missing is empty.
pub(super) struct Section<'a> {
    document: &'a Document,
    /// Its path with a dot after it; empty for the root.
    prefix: String,
    line: usize,
    fields: &'a [Field],
}

impl<'a> Section<'a> {
    /// The document itself, which may have the keys `names`.
    pub(super) fn root(document: &'a Document, names: &[&str]) -> Result<Self, Error> {
        Self::new(document, String::new(), document.root.line, Some(&document.root.kind), names)
    }

    /// The map under `name`, which may have the keys `names`.
    pub(super) fn section(&self, name: &str, names: &[&str]) -> Result<Self, Error> {
        let field = self.field(name);
        let line = field.map_or(self.line, |field| field.line);
        Self::new(
            self.document,
            format!("{}{name}.", self.prefix),
            line,
            field.map(|field| &field.value.kind),
            names,
        )
    }

    fn new(
        document: &'a Document,
        prefix: String,
        line: usize,
        kind: Option<&'a Kind>,
        names: &[&str],
    ) -> Result<Self, Error> {
        let fields: &[Field] = match kind {
            None | Some(Kind::Null) => &[],
            Some(Kind::Map(fields)) => fields,
            Some(Kind::Text(_) | Kind::List(_)) => {
                let name = match prefix.trim_end_matches('.') {
                    "" => "the web configuration",
                    name => name,
                };
                return Err(Error::at(&document.origin(line), format!("{name} must be a map")));
            }
        };
        for field in fields {
            crate::config::keys::known(document, &prefix, field, names)?;
        }
        Ok(Self { document, prefix, line, fields })
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
    pub(super) fn value(&self, name: &str) -> Result<Option<Setting>, Error> {
        self.field(name).map_or(Ok(None), |field| self.single(field, format!("{}{name}", self.prefix)))
    }

    /// The text of [`Section::value`].
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.value(name)?.map(|value| value.text))
    }

    /// The values in the list `name`; none if it is not there.
    pub(super) fn values(&self, name: &str) -> Result<Vec<Setting>, Error> {
        let Some(field) = self.field(name) else { return Ok(Vec::new()) };
        let path = format!("{}{name}", self.prefix);
        match &field.value.kind {
            Kind::Null => Ok(Vec::new()),
            Kind::List(items) => items
                .iter()
                .map(|item| match &item.kind {
                    Kind::Text(text) => Ok(self.setting(path.clone(), text, item.line)),
                    _ => Err(Error::at(
                        &self.document.origin(item.line),
                        format!("{path} must be a list of texts"),
                    )),
                })
                .collect(),
            Kind::Text(_) | Kind::Map(_) => {
                Err(Error::at(&self.document.origin(field.line), format!("{path} must be a list")))
            }
        }
    }

    /// The texts of [`Section::values`]; `None` if the list is not there.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let values = self.values(name)?;
        let is_there = self.field(name).is_some_and(|field| !matches!(field.value.kind, Kind::Null));
        Ok(is_there.then(|| values.into_iter().map(|value| value.text).collect()))
    }

    /// A value that YAML reads as true or false.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        match value.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Some(true)),
            "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(value.must_be("true or false")),
        }
    }

    /// The entries of the map `name`, whose keys may be anything.
    pub(super) fn entries(&self, name: &str) -> Result<Vec<(&'a str, Setting)>, Error> {
        let Some(field) = self.field(name) else { return Ok(Vec::new()) };
        let path = format!("{}{name}", self.prefix);
        let fields = match &field.value.kind {
            Kind::Null => return Ok(Vec::new()),
            Kind::Map(fields) => fields,
            Kind::Text(_) | Kind::List(_) => {
                return Err(Error::at(&self.document.origin(field.line), format!("{path} must be a map")));
            }
        };
        let entry = |field: &'a Field| {
            let name = format!("{path}.{}", crate::config::shown_key(&field.name));
            let empty = || Error::at(&self.document.origin(field.line), format!("{name} is empty"));
            let value = self.single(field, name.clone())?.ok_or_else(empty)?;
            Ok((field.name.as_str(), value))
        };
        fields.iter().map(entry).collect()
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

    fn field(&self, name: &str) -> Option<&'a Field> {
        self.fields.iter().find(|field| field.name == name)
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
