//! Reads the configuration file into a tree of texts with their lines.
//!
//! Texts stay as they were written: to YAML the account id `01234567890123456789012345678901` and the token `0123` are
//! numbers, and reading them as numbers would change them. What a text means depends on its key. Nothing here implements
//! `Debug`, because the tree holds secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::error::{Error, Mistakes, Origin, shown_key};
use super::regular_file::read_regular_file;

/// A thousand accounts take a tenth of this. A longer file cannot be a configuration.
const LONGEST_FILE: u64 = 1 << 20;

/// The configuration itself has three levels.
const DEEPEST: usize = 16;

/// A configuration file.
pub(crate) struct Document {
    path: Arc<str>,
    pub(crate) root: Node,
}

/// Which files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Any: somebody may give a configuration through a pipe.
    Any,
    /// Only regular ones: a read of another one may not end.
    Regular,
}

/// A value and the line on which it starts.
pub(crate) struct Node {
    /// The line, counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// A value.
pub(crate) enum Kind {
    /// Empty, `~` or `null`.
    Null,
    /// A single value, as written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file. Keys are unique.
    Map(Vec<Field>),
}

/// One entry of a map.
pub(crate) struct Field {
    pub(crate) name: String,
    /// The line of the key.
    pub(crate) line: usize,
    pub(crate) value: Node,
}

impl Document {
    /// Reads the YAML file at `path`; an empty one is an empty map. Of a key that is given twice the first value counts, and
    /// the second is added to `mistakes`.
    ///
    /// # Errors
    /// The file cannot be read, is not one of the `accepted` ones, is too long, or is not supported YAML.
    pub(crate) fn read(path: &Path, accepted: Accepted, mistakes: &mut Mistakes) -> Result<Self, Error> {
        let bytes = match accepted {
            Accepted::Any => read_bytes(path),
            Accepted::Regular => read_regular_bytes(path),
        };
        Self::parse(&path.display().to_string(), &text("configuration file", path, bytes)?, mistakes)
    }

    /// Parses `text`, the content of the file at `path`, as [`Document::read`] does.
    ///
    /// # Errors
    /// It is not supported YAML.
    pub(crate) fn parse(path: &str, text: &str, mistakes: &mut Mistakes) -> Result<Self, Error> {
        let mut reader = Reader { path: path.into(), parser: Parser::new_from_str(text), mistakes };
        let root = reader.document()?;
        Ok(Self { path: reader.path, root })
    }

    /// The place of a line of this file, for messages.
    pub(crate) fn origin(&self, line: usize) -> Origin {
        Origin::line(&self.path, line)
    }

    /// The directory of the file. Paths in the file are relative to it.
    pub(crate) fn directory(&self) -> &Path {
        Path::new(&*self.path).parent().unwrap_or(Path::new(""))
    }

    /// The file's path, for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// Reads the configuration file at `path`, at most one byte more than it may have.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read_bytes`], but only of a regular file: reading another one may not end.
///
/// # Errors
/// The file is not a regular one, or cannot be read.
pub(crate) fn read_regular_bytes(path: &Path) -> io::Result<Vec<u8>> {
    read_regular_file(path, LONGEST_FILE + 1)
}

/// The text of the file at `path`, of which [`read_bytes`] gave `bytes`. Messages call it `what`.
///
/// # Errors
/// The file could not be read, is too long, or is not UTF-8 text.
pub(crate) fn text(what: &str, path: &Path, bytes: io::Result<Vec<u8>>) -> Result<String, Error> {
    let name = path.display();
    let bytes = bytes.map_err(|error| Error::new(format!("cannot read the {what} {name}: {error}")))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(Error::new(format!("the {what} {name} is longer than 1 MiB")));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Error::new(format!("the {what} {name} is not UTF-8 text (byte {valid})"))
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

impl Node {
    /// The kind of value, for a message that must not show the value.
    pub(crate) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "empty",
            Kind::Text(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

struct Reader<'a, 'm> {
    path: Arc<str>,
    parser: Parser<'a, StrInput<'a>>,
    mistakes: &'m mut Mistakes,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Node, Error> {
        let mut root = Node { line: 1, kind: Kind::Map(Vec::new()) };
        let mut documents = 0;
        loop {
            let (event, mark) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.refuse(mark, "the file may hold only one YAML document"));
                    }
                    let first = self.next()?;
                    let node = self.node(first, 0)?;
                    if !matches!(node.kind, Kind::Null) {
                        root = node;
                    }
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, mark): (Event<'a>, Marker), depth: usize) -> Result<Node, Error> {
        if depth > DEEPEST {
            return Err(self.refuse(mark, "the configuration is nested too deeply"));
        }
        let kind = match event {
            // The parser numbers anchors from 1.
            Event::Scalar(text, style, 0, None) => match (style, &*text) {
                (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Kind::Null,
                _ => Kind::Text(text.into_owned()),
            },
            Event::SequenceStart(_, 0, None) => Kind::List(self.list(depth)?),
            Event::MappingStart(_, 0, None) => Kind::Map(self.map(depth)?),
            _ => {
                return Err(self.refuse(mark, "YAML anchors, aliases and tags are not supported"));
            }
        };
        Ok(Node { line: mark.line(), kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                next => nodes.push(self.node(next, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let (name, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(fields),
                (Event::Scalar(name, _, 0, None), mark) => (name.into_owned(), mark.line()),
                (_, mark) => return Err(self.refuse(mark, "the keys of a map must be single words")),
            };
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            if let Some(first) = lines.get(&name) {
                let problem = format!("{} is given twice, first on line {first}", shown_key(&name));
                self.mistakes.add(Error::at(&Origin::line(&self.path, line), problem));
            } else {
                lines.insert(name.clone(), line);
                fields.push(Field { name, line, value });
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Marker), Error> {
        let next = self.parser.next_event().expect("nothing is read after the end of the stream or an error");
        let (event, span) =
            next.map_err(|error| self.refuse(*error.marker(), &format!("not valid YAML: {}", error.info())))?;
        Ok((event, span.start))
    }

    fn refuse(&self, mark: Marker, problem: &str) -> Error {
        // The parser counts columns from 0.
        Error::at(&Origin::column(&self.path, mark.line(), mark.col() + 1), problem)
    }
}
