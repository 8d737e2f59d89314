//! Why a configuration is refused, and where that was written.

use std::fmt;

/// A refusal: one sentence that names the key, what is wrong, and where it was written.
///
/// A person must mend it; nothing else helps, so there is one kind. Secrets are never in it.
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
    /// A problem of the whole, written nowhere in particular.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), origin: None }
    }

    /// A problem of what is written at `origin`.
    pub(super) fn at(origin: &Origin, problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), origin: Some(origin.clone()) }
    }
}

/// Where a value was written, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin(String);

impl Origin {
    /// A line of a file, counted from 1.
    pub(super) fn line(path: &str, line: usize) -> Self {
        Self(format!("{path}, line {line}"))
    }

    /// An environment variable.
    pub(super) fn variable(name: &str) -> Self {
        Self(format!("environment variable {name}"))
    }

    /// A flag of the command line, without its dashes.
    pub(super) fn flag(name: &str) -> Self {
        Self(format!("flag --{name}"))
    }

    /// The value stands nowhere: it is the default.
    pub(super) fn default_value() -> Self {
        Self("default".to_owned())
    }

    /// What [`Origin::as_str`] gave.
    pub(super) fn from_words(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// The words, for whom can only carry text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value as it may stand in a message: quoted, escaped, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A key of the file as it may stand in a message: `token:abc`, which lacks a space, is a key to YAML, and
/// so is a token without its key.
pub(super) fn shown_key(text: &str) -> String {
    // The longest known one has 14 characters, the shortest token 37.
    const LONGEST: usize = 20;
    let word = text.split(':').next().unwrap_or_default();
    match word.chars().count() {
        0..=LONGEST => shown(word).trim_matches('"').to_owned(),
        length => format!("<{length} characters>"),
    }
}
