//! The line of a key in a scenario file, for errors that only the checks of the whole scenario find.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The structure of a YAML text.
enum Node {
    Map(Vec<(String, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
    Scalar,
}

/// The line of the value with a key such as `accounts[0].id`, or of the nearest value around it.
pub(super) fn line_of(text: &str, key: &str) -> Option<u64> {
    let mut node: Spanned<Node> = serde_saphyr::from_str(text).ok()?;
    for segment in key.split(['.', '[']) {
        let child = match node.value {
            Node::Map(fields) => fields.into_iter().find(|(key, _)| key == segment).map(|(_, value)| value),
            Node::List(elements) => {
                let index = segment.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
                index.and_then(|index| elements.into_iter().nth(index))
            }
            Node::Scalar => None,
        };
        let Some(child) = child else { break };
        node = child;
    }
    Some(node.referenced.line())
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
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
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
        for (key, line) in [
            ("seed", 1),
            ("speed", 2),
            ("accounts[0].id", 4),
            ("accounts[1].id", 5),
            ("accounts[1].users[1].id", 7),
            ("accounts[1].users[1].name", 7),
            ("nothing", 1),
        ] {
            assert_eq!(line_of(text, key), Some(line), "{key}");
        }
    }
}
