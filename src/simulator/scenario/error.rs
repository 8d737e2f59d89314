//! Why a scenario is invalid: the key, its value, what it must be, and the line.

use serde_saphyr::{Error as YamlError, Location};

use super::outline::Outline;

/// Why a scenario is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ScenarioError {
    /// The line in the file, if the scenario is from a file.
    pub line: Option<u64>,
    /// One sentence without a line break: the key, its value, and what is wrong.
    pub problem: String,
}

/// A value that the types allow, and that is out of range or contradicts another one.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Refusal {
    /// The key, such as `accounts[0].id`.
    pub(super) key: String,
    /// The rest of a sentence that begins with the key.
    pub(super) reason: String,
}

impl From<Refusal> for ScenarioError {
    fn from(Refusal { key, reason }: Refusal) -> Self {
        Self { line: None, problem: format!("{key} {reason}") }
    }
}

impl Refusal {
    /// The error for the file with this text.
    pub(super) fn in_file(self, text: &str) -> ScenarioError {
        let Some(outline) = Outline::of(text) else { return self.into() };
        let line = outline.line_of(&self.key);
        let Self { key, reason } = self;
        let problem = match outline.value(&key) {
            Some(value) if reason.starts_with("must ") => {
                format!("{key} is {}, but {reason}", outline.show(value))
            }
            _ => format!("{key} {reason}"),
        };
        ScenarioError { line, problem }
    }
}

impl ScenarioError {
    /// The error of the deserializer, in the words of the configuration's errors.
    pub(super) fn of_yaml(error: &YamlError, text: &str) -> Self {
        let location = error.location();
        let line = location.map(|location| location.line());
        let problem = match Outline::of(text) {
            Some(outline) => explain(error, &outline, location),
            None if matches!(error, YamlError::MultipleDocuments { .. }) => {
                "the file may hold only one YAML document".to_owned()
            }
            None => format!("not valid YAML: {}", without_place(error)),
        };
        Self { line, problem }
    }
}

fn explain(error: &YamlError, outline: &Outline<'_>, location: Option<Location>) -> String {
    let value = location.and_then(|location| outline.at(location));
    let key_at = |name: &str| {
        let value = location.and_then(|location| outline.of_key_at(name, location));
        value.map_or_else(|| name.to_owned(), |value| value.key.clone())
    };
    let must = |what: &str| match value {
        Some(value) if value.key.is_empty() => {
            format!("the file is {}, but must {what}", outline.show(value))
        }
        Some(value) => format!("{} is {}, but must {what}", value.key, outline.show(value)),
        None => format!("a value must {what}"),
    };
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            format!("{} is not a known key; known keys: {}", key_at(field), expected.join(", "))
        }
        YamlError::SerdeMissingField { field, .. } => match value {
            Some(value) => format!("{} has no {field}", value.key),
            None => format!("{field} is missing"),
        },
        YamlError::DuplicateMappingKey { key: Some(key), .. } => format!("{} is given twice", key_at(key)),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => match value {
            Some(_) => must(&format!("be {}", one_of(expected))),
            // The name of a variant is a key.
            None => format!("{} is not a known key; known keys: {}", key_at(variant), expected.join(", ")),
        },
        YamlError::InvalidScalar { ty, .. } => must(&format!("be {}", kind(ty))),
        YamlError::InvalidBooleanStrict { .. } => must("be true or false"),
        YamlError::NonFiniteFloat { .. } => must("be a finite number"),
        YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => must("be a single value or a map"),
        YamlError::NullIntoString { .. } => must("be a single value"),
        YamlError::Unexpected { expected, .. } => must(&format!("be {}", structure(expected))),
        YamlError::SerdeInvalidType { expected, .. } | YamlError::SerdeInvalidValue { expected, .. } => {
            must(&format!("be {expected}"))
        }
        // Those of this crate's own types.
        YamlError::Message { msg, .. } if msg.starts_with("must ") => must(&msg["must ".len()..]),
        _ => match value {
            Some(value) if !value.key.is_empty() => format!("{}: {}", value.key, without_place(error)),
            _ => without_place(error),
        },
    }
}

/// The message of a library, without the line and column at its end.
fn without_place(error: &YamlError) -> String {
    let text = error.to_string();
    let Some(location) = error.location() else { return text };
    let place = format!(" at line {}, column {}", location.line(), location.column());
    text.strip_suffix(place.as_str()).map(str::to_owned).unwrap_or(text)
}

/// A Rust type, in the words of a person.
fn kind(ty: &str) -> String {
    let bits = |ty: &str| ty.get(1..).and_then(|bits| bits.parse::<u32>().ok());
    match (ty, bits(ty)) {
        ("bool" | "boolean", _) => "true or false".to_owned(),
        (unsigned, Some(bits)) if unsigned.starts_with('u') && bits <= 64 => {
            format!("a whole number from 0 to {}", u64::MAX >> (64 - bits))
        }
        (signed, Some(_)) if signed.starts_with('i') => "a whole number".to_owned(),
        _ => "a number".to_owned(),
    }
}

/// What the parser expected, in the words of a person.
fn structure(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list",
        "mapping start" => "a map",
        "string scalar" | "scalar" => "a single value",
        other => other,
    }
}

/// `a, b or c`.
fn one_of(names: &[&str]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} or {last}", names.join(", ")),
        names => names.join(", "),
    }
}
