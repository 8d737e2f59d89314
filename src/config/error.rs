//! The error for an invalid configuration: its mistakes, each with the place where it was written.

use std::fmt;
use std::sync::Arc;

/// How many mistakes are shown. A file with more of them is the wrong file, or was generated.
const MOST_SHOWN: usize = 100;

/// An invalid configuration: one mistake or several, in the order of the file.
///
/// There is one kind, because only a person can correct it. It never holds a secret. As a text, each mistake is one line
/// such as `zt.yaml:3: intervals.summary is "30", but must be ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// At least one.
    mistakes: Vec<Mistake>,
}

/// One sentence with the key and the problem, and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    problem: String,
    origin: Option<Origin>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.mistakes.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "the configuration has {} errors:\n{}", self.mistakes.len(), self.lines())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Error {
    /// A problem without a place.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { mistakes: vec![Mistake { problem: problem.into(), origin: None }] }
    }

    /// A problem of the value at `origin`.
    pub(crate) fn at(origin: &Origin, problem: impl Into<String>) -> Self {
        Self { mistakes: vec![Mistake { problem: problem.into(), origin: Some(origin.clone()) }] }
    }

    /// A problem of the value of an environment variable.
    pub(crate) fn of_variable(name: &str, problem: impl Into<String>) -> Self {
        Self::at(&Origin::variable(name), problem)
    }

    /// How many mistakes there are; at least one.
    pub fn count(&self) -> usize {
        self.mistakes.len()
    }

    /// The first mistakes; there may be more than these.
    pub fn shown(&self) -> &[Mistake] {
        self.mistakes.get(..MOST_SHOWN).unwrap_or(&self.mistakes)
    }

    /// The first mistake on one line, and how many others there are.
    pub(crate) fn brief(&self) -> String {
        let first = self.mistakes.first().map(Mistake::to_string).unwrap_or_default();
        match self.count() {
            0 | 1 => first,
            2 => format!("{first}, and one more error"),
            count => format!("{first}, and {} more errors", count - 1),
        }
    }

    /// A line for each mistake that is shown, and one for the number of the others.
    pub fn lines(&self) -> String {
        let omitted = self.count() - self.shown().len();
        let rest = (omitted > 0).then(|| format!("and {omitted} more"));
        self.shown().iter().map(Mistake::to_string).chain(rest).collect::<Vec<_>>().join("\n")
    }
}

impl Mistake {
    /// The sentence, without the place.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The file, the line and the column, both counted from 1, if it was written in a file. Only a syntax error has a
    /// column.
    pub fn position(&self) -> Option<(&str, usize, Option<usize>)> {
        match self.origin.as_ref()? {
            Origin::Line { path, line, column } => Some((path, *line, *column)),
            _ => None,
        }
    }

    /// The environment variable that holds the value.
    pub fn variable(&self) -> Option<&str> {
        match self.origin.as_ref()? {
            Origin::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// The flag that holds the value, without the dashes.
    pub fn flag(&self) -> Option<&str> {
        match self.origin.as_ref()? {
            Origin::Flag(name) => Some(name),
            _ => None,
        }
    }
}

/// The mistakes that were found so far. Reading continues after a mistake, so that one run finds all of them.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The value; if there is none, the mistakes that are the reason are added.
    pub(crate) fn note<T>(&mut self, found: Result<T, Error>) -> Option<T> {
        found.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn add(&mut self, error: Error) {
        self.0.extend(error.mistakes);
    }

    /// The value, if there are no mistakes. A value is missing only if there are mistakes.
    ///
    /// # Errors
    /// All mistakes: those in the file in the order of its lines, then those in the environment, in flags, and the rest.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Error> {
        let mut mistakes = self.0;
        match (value, mistakes.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => {
                mistakes.sort_by(|one, other| {
                    (one.origin.is_none(), &one.origin).cmp(&(other.origin.is_none(), &other.origin))
                });
                Err(Error { mistakes })
            }
        }
    }
}

/// The place where a value was written. The order is that of mistakes: by file and line, then what has no line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Line {
        path: Arc<str>,
        line: usize,
        column: Option<usize>,
    },
    Variable(String),
    Flag(String),
    /// One of the variables of Cloudflare's own tools; the message names it.
    Environment,
    /// The value is the default.
    Default,
}

impl Origin {
    /// A line of a file, counted from 1.
    pub(crate) fn line(path: &Arc<str>, line: usize) -> Self {
        Self::Line { path: Arc::clone(path), line, column: None }
    }

    /// A line and a column of a file, both counted from 1.
    pub(crate) fn column(path: &Arc<str>, line: usize, column: usize) -> Self {
        Self::Line { path: Arc::clone(path), line, column: Some(column) }
    }

    pub(crate) fn variable(name: &str) -> Self {
        Self::Variable(name.to_owned())
    }

    /// A flag; its name is given without the dashes.
    pub(crate) fn flag(name: &str) -> Self {
        Self::Flag(name.to_owned())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As compilers write it, so that editors and pipelines find the line.
            Self::Line { path, line, column: None } => write!(f, "{path}:{line}"),
            Self::Line { path, line, column: Some(column) } => write!(f, "{path}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Environment => f.write_str("environment"),
            Self::Default => f.write_str("default"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_in_the_order_of_lines_and_then_of_what_has_none() {
        let mut mistakes = Mistakes::default();
        mistakes.add(Error::new("nothing is configured"));
        mistakes.add(Error::at(&Origin::flag("log.level"), "log.level is wrong"));
        mistakes.add(Error::at(&Origin::variable("B"), "b is wrong"));
        for line in [10, 9, 2] {
            mistakes.add(Error::at(&Origin::line(&"zt.yaml".into(), line), format!("line {line} is wrong")));
        }
        mistakes.add(Error::at(&Origin::column(&"zt.yaml".into(), 9, 4), "column 4 is wrong"));
        assert_eq!(mistakes.note(Ok(1)), Some(1));
        let error = mistakes.finish(Some(())).unwrap_err();
        let wanted = "the configuration has 7 errors:\n\
                      zt.yaml:2: line 2 is wrong\n\
                      zt.yaml:9: line 9 is wrong\n\
                      zt.yaml:9:4: column 4 is wrong\n\
                      zt.yaml:10: line 10 is wrong\n\
                      environment variable B: b is wrong\n\
                      flag --log.level: log.level is wrong\n\
                      nothing is configured";
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn a_single_mistake_is_one_sentence_and_none_is_no_error() {
        let mut mistakes = Mistakes::default();
        mistakes.add(Error::at(&Origin::line(&"zt.yaml".into(), 3), "x is wrong"));
        assert_eq!(mistakes.finish(Some(())).unwrap_err().to_string(), "zt.yaml:3: x is wrong");
        assert_eq!(Mistakes::default().finish(Some(7)), Ok(7));
    }

    #[test]
    fn at_most_a_hundred_mistakes_are_shown() {
        for (count, last) in
            [(99, "98 is wrong"), (100, "99 is wrong"), (101, "and 1 more"), (2_000, "and 1900 more")]
        {
            let mut mistakes = Mistakes::default();
            (0..count).for_each(|number| mistakes.add(Error::new(format!("{number} is wrong"))));
            let error = mistakes.finish(Some(())).unwrap_err();
            let lines = error.lines();
            assert_eq!((error.count(), error.shown().len()), (count, count.min(100)));
            assert_eq!((lines.lines().count(), lines.lines().last()), (count.min(101), Some(last)));
        }
    }
}
