//! Nested JSON of the formats that others define.

use serde_json::Value;

/// The value without what says nothing: null, and lists and objects that are empty without it.
pub(super) fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(attributes) => Value::Object(
            attributes
                .into_iter()
                .map(|(name, value)| (name, without_empty(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(without_empty).filter(|value| !is_empty(value)).collect())
        }
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(attributes) => attributes.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The object on one line, with the object of this name first, and in it the attribute that has the record's id. Readers that
/// know a file by its first bytes need something there that no other file has.
///
/// Errors are bugs: the object has both.
pub(super) fn id_first(mut object: Value, parent: &str, attribute: &str) -> String {
    let taken =
        |object: &mut Value, name: &str| object.as_object_mut().and_then(|object| object.remove(name));
    let mut first = taken(&mut object, parent).expect("the object has the parent of the id");
    let id = taken(&mut first, attribute).expect("the parent has the id");
    let (first, rest) = (first.to_string(), object.to_string());
    // Both are objects, and the formats require more of them than the id.
    format!(r#"{{"{parent}":{{"{attribute}":{id},{},{}"#, tail(&first), tail(&rest))
}

/// An object without its opening brace.
fn tail(object: &str) -> &str {
    object.strip_prefix('{').expect("an object begins with a brace")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_nothing_is_left_out() {
        let value = json!({
            "null": null,
            "empty": {"list": [], "nested": [{"null": null}]},
            "kept": {"false": false, "zero": 0, "text": "", "list": [null, 1]},
        });
        let wanted = json!({"kept": {"false": false, "zero": 0, "text": "", "list": [1]}});
        assert_eq!(without_empty(value), wanted);
    }

    #[test]
    fn the_id_comes_first_and_nothing_else_changes() {
        let object = json!({"a": 1, "event": {"a": "\"{", "id": "x:1"}, "z": {}});
        let line = id_first(object.clone(), "event", "id");
        assert_eq!(line, r#"{"event":{"id":"x:1","a":"\"{"},"a":1,"z":{}}"#);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), object);
    }
}
