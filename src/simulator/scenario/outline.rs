//! The outline of a scenario file: which key has which value on which line, for errors that name them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// All values of a file, each before the values in it.
pub(super) struct Outline<'a> {
    text: &'a str,
    values: Vec<Value>,
}

/// A value and its place.
pub(super) struct Value {
    /// The key, such as `accounts[0].id`; empty for the whole file.
    pub key: String,
    location: Location,
    kind: Kind,
}

enum Kind {
    Map,
    List,
    Scalar,
    Null,
}

impl<'a> Outline<'a> {
    /// The outline of a YAML text. `None` if it has no syntax, so that nothing is known of its values.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        // A key that is given twice is an error of its own.
        let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
        let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).ok()?;
        let mut outline = Self { text, values: Vec::new() };
        outline.add(String::new(), root);
        Some(outline)
    }

    fn add(&mut self, key: String, node: Spanned<Node>) {
        let within = |name: &str| {
            if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
        };
        let (kind, children) = match node.value {
            Node::Map(fields) => {
                (Kind::Map, fields.into_iter().map(|(name, value)| (within(&name), value)).collect())
            }
            Node::List(elements) => {
                let elements = elements.into_iter().enumerate();
                (Kind::List, elements.map(|(index, value)| (format!("{key}[{index}]"), value)).collect())
            }
            Node::Scalar => (Kind::Scalar, Vec::new()),
            Node::Null => (Kind::Null, Vec::new()),
        };
        self.values.push(Value { key, location: node.referenced, kind });
        for (key, value) in children {
            self.add(key, value);
        }
    }

    /// The innermost value that begins here.
    pub(super) fn at(&self, location: Location) -> Option<&Value> {
        self.values.iter().rev().find(|value| value.place() == place(location))
    }

    /// The first value after this place whose key ends with `name`: that of a key which is written there.
    pub(super) fn of_key_at(&self, name: &str, location: Location) -> Option<&Value> {
        let named = |value: &&Value| {
            let before = value.key.strip_suffix(name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let after = self.values.iter().filter(|value| value.place() > place(location));
        after.filter(named).min_by_key(|value| value.place())
    }

    /// The value with this key.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.key == key)
    }

    /// The line of the value with this key, or of the nearest value around it.
    pub(super) fn line_of(&self, key: &str) -> Option<u64> {
        let around = |value: &&Value| {
            let rest = key.strip_prefix(value.key.as_str());
            rest.is_some_and(|rest| rest.is_empty() || value.key.is_empty() || rest.starts_with(['.', '[']))
        };
        self.values
            .iter()
            .filter(around)
            .max_by_key(|value| value.key.len())
            .map(|value| value.location.line())
    }

    /// What the file has there, for a message: `"fast"`, `a list`, `a map`, `empty`.
    pub(super) fn show(&self, value: &Value) -> String {
        match value.kind {
            Kind::Map => "a map".to_owned(),
            Kind::List => "a list".to_owned(),
            Kind::Null => "empty".to_owned(),
            Kind::Scalar => self.written(value).map_or_else(|| "a single value".to_owned(), quote),
        }
    }

    /// The value as it is written in the file, without quotes.
    fn written(&self, value: &Value) -> Option<&str> {
        let span = value.location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        let written = self.text.get(start..end)?.trim();
        let quoted =
            ['"', '\''].into_iter().find_map(|quote| written.strip_prefix(quote)?.strip_suffix(quote));
        Some(quoted.unwrap_or(written))
    }
}

impl Value {
    fn place(&self) -> (u64, u64) {
        place(self.location)
    }
}

fn place(location: Location) -> (u64, u64) {
    (location.line(), location.column())
}

/// A text of the file for a message: on one line, and not longer than a sentence.
fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

/// The structure of a YAML text.
enum Node {
    Map(Vec<(String, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
    Scalar,
    Null,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Node::List(elements))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_line_of_its_value_or_of_the_nearest_value_around_it() {
        let text = "seed: 1\nspeed: 0.5\naccounts:\n  - id: a\n  - id: b\n    users: [{ id: c },\n      { id: d }]\nempty:\n";
        let outline = Outline::of(text).unwrap();
        for (key, line) in [
            ("seed", 1),
            ("speed", 2),
            ("accounts[0].id", 4),
            ("accounts[1].id", 5),
            ("accounts[1].users[1].id", 7),
            ("accounts[1].users[1].name", 7),
            ("nothing", 1),
        ] {
            assert_eq!(outline.line_of(key), Some(line), "{key}");
        }
    }

    #[test]
    fn a_value_is_shown_as_it_is_written_or_by_its_kind() {
        let text =
            format!("a: 1e3\nb: '\u{e9}'\nc: [1]\nd: {{ e: 1 }}\nf:\ng: \"x\\ty\"\nh: {}\n", "z".repeat(61));
        let outline = Outline::of(&text).unwrap();
        let long = format!("\"{}…\"", "z".repeat(60));
        for (key, wanted) in [
            ("a", "\"1e3\""),
            ("b", "\"\u{e9}\""),
            ("c", "a list"),
            ("d", "a map"),
            ("d.e", "\"1\""),
            ("f", "empty"),
            ("g", r#""x\\ty""#),
            ("h", long.as_str()),
        ] {
            assert_eq!(outline.show(outline.value(key).unwrap()), wanted, "{key}");
        }
        assert!(Outline::of("a: [").is_none());
    }
}
