//! The error for an invalid configuration, and the place where a value was written.

use std::fmt;

/// An invalid configuration: one sentence with the key, the problem, and the place where it was written.
///
/// There is one kind, because only a person can correct it. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    problem: String,
    origin: Option<Origin>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin})", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Error {
    /// A problem without a place.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), origin: None }
    }

    /// A problem of the value at `origin`.
    pub(crate) fn at(origin: &Origin, problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), origin: Some(origin.clone()) }
    }
}

/// The place where a value was written, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    /// A line of a file, counted from 1.
    pub(crate) fn line(path: &str, line: usize) -> Self {
        Self(format!("{path}, line {line}"))
    }

    pub(crate) fn variable(name: &str) -> Self {
        Self(format!("environment variable {name}"))
    }

    /// A flag; its name is given without the dashes.
    pub(crate) fn flag(name: &str) -> Self {
        Self(format!("flag --{name}"))
    }

    /// The value is the default.
    pub(crate) fn default_value() -> Self {
        Self("default".to_owned())
    }

    /// The origin whose [`Origin::as_str`] is `words`.
    pub(crate) fn from_words(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// The words, for code that can only carry text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value for a message: quoted, escaped, and cut after 60 characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A key of the file for a message. It is cut, because it may hold a secret: to YAML `token:abc`, which lacks a space, is
/// a key, and so is a token without its key.
pub(crate) fn shown_key(text: &str) -> String {
    // The longest known key has 14 characters, the shortest token 37.
    const LONGEST: usize = 20;
    let word = text.split(':').next().unwrap_or_default();
    match word.chars().count() {
        0..=LONGEST => shown(word).trim_matches('"').to_owned(),
        length => format!("<{length} characters>"),
    }
}
