//! An entry of a list in the file, such as an account.

use std::path::PathBuf;

use super::error::{Error, Mistakes};
use super::keys::{self, Key};
use super::parse;
use super::sources::Setting;
use super::yaml::{Document, Field, Kind, Node};

/// An entry of a list in the file.
pub(super) struct Entry<'a> {
    pub(super) document: &'a Document,
    pub(super) index: usize,
    section: &'static str,
    /// Its name in messages, such as `accounts[0]`.
    pub(super) name: String,
    line: usize,
    fields: &'a [Field],
}

impl<'a> Entry<'a> {
    /// The entries of the list `section`. Each must be a map with `what`.
    pub(super) fn all(
        document: &'a Document,
        section: &'static str,
        what: &str,
        mistakes: &mut Mistakes,
    ) -> Vec<Self> {
        let Kind::Map(fields) = &document.root.kind else { return Vec::new() };
        let Some(field) = fields.iter().find(|field| field.name == section) else { return Vec::new() };
        let nodes = match &field.value.kind {
            Kind::Null => return Vec::new(),
            Kind::List(nodes) => nodes,
            Kind::Text(_) | Kind::Map(_) => {
                let problem = format!("{section} is {}, but must be a list", field.value.noun());
                mistakes.add(Error::at(&document.origin(field.line), problem));
                return Vec::new();
            }
        };
        let entry = |(index, node)| mistakes.note(Self::new(document, section, index, node, what));
        nodes.iter().enumerate().filter_map(entry).collect()
    }

    fn new(
        document: &'a Document,
        section: &'static str,
        index: usize,
        node: &'a Node,
        what: &str,
    ) -> Result<Self, Error> {
        let name = format!("{section}[{index}]");
        let Kind::Map(fields) = &node.kind else {
            let problem = format!("{name} is {}, but must be a map with {what}", node.noun());
            return Err(Error::at(&document.origin(node.line), problem));
        };
        Ok(Self { document, index, section, name, line: node.line, fields })
    }

    /// The error for a `problem` of the entry as a whole.
    pub(super) fn refuse(&self, problem: &str) -> Error {
        Error::at(&self.document.origin(self.line), format!("{} {problem}", self.name))
    }

    /// Refuses unknown names. Returns the names that they probably stand for: they are not missing, but misspelled.
    pub(super) fn check_names(&self, mistakes: &mut Mistakes) -> Vec<&'static str> {
        let names = keys::names(self.section);
        let mut misspelled = Vec::new();
        for field in self.fields {
            let known = keys::known(self.document, &format!("{}.", self.name), field, &names);
            if mistakes.note(known).is_none() {
                misspelled.extend(keys::meant(field, &names));
            }
        }
        misspelled
    }

    /// The value of a field, if it has one.
    pub(super) fn get(&self, key: Key) -> Result<Option<Setting>, Error> {
        let Some(field) = self.fields.iter().find(|field| field.name == key.name) else {
            return Ok(None);
        };
        match &field.value.kind {
            Kind::Null => Ok(None),
            Kind::Text(text) => Ok(Some(self.setting(key, field, text))),
            Kind::List(_) | Kind::Map(_) => Err(self.wrong_type(key, field, "a single value")),
        }
    }

    /// The values of a field: a single one, or a list of them.
    pub(super) fn get_list(&self, key: Key) -> Result<Vec<Setting>, Error> {
        let Some(field) = self.fields.iter().find(|field| field.name == key.name) else {
            return Ok(Vec::new());
        };
        let wrong = || self.wrong_type(key, field, "a text or a list of texts");
        match &field.value.kind {
            Kind::Null => Ok(Vec::new()),
            Kind::Text(text) => Ok(vec![self.setting(key, field, text)]),
            Kind::Map(_) => Err(wrong()),
            Kind::List(nodes) => nodes
                .iter()
                .map(|node| match &node.kind {
                    Kind::Text(text) => Ok(self.setting(key, field, text)),
                    Kind::Null | Kind::List(_) | Kind::Map(_) => Err(wrong()),
                })
                .collect(),
        }
    }

    fn setting(&self, key: Key, field: &Field, text: &str) -> Setting {
        let name = format!("{}.{}", self.name, key.name);
        Setting { name, text: text.to_owned(), origin: self.document.origin(field.line) }
    }

    fn wrong_type(&self, key: Key, field: &Field, wanted: &str) -> Error {
        let problem = format!("{}.{} is {}, but must be {wanted}", self.name, key.name, field.value.noun());
        Error::at(&self.document.origin(field.line), problem)
    }

    /// A path, which is relative to the file's directory.
    pub(super) fn path(&self, setting: &Setting) -> Result<PathBuf, Error> {
        parse::path(setting).map(|path| self.document.directory().join(path))
    }
}
