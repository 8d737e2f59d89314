//! Faults that change the JSON of a good answer.

use rand::Rng;
use serde_json::{Map, Value, json};

use super::faults::{DateFormat, Fault};

/// The keys of all dates in the API.
const DATES: [&str; 6] =
    ["timestamp", "last_event", "last_reset_time", "created_at", "expires_on", "not_before"];

/// The keys of all levels in the API.
const LEVELS: [&str; 2] = ["risk_level", "max_risk_level"];

/// How much longer a random value makes a text, in bytes: longer than any limit on a label.
const PADDING: usize = 5_000;

/// The behavior of [`Fault::UnknownBehaviors`].
const UNKNOWN_BEHAVIOR: &str = "unheard_of";

/// A change at a path.
#[derive(Clone, Copy)]
enum Edit<'a> {
    Set(&'a Value),
    Remove,
    Pad(usize),
}

/// Whether a fault changes the JSON.
pub(super) const fn changes_json(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Set { .. }
            | Fault::Remove { .. }
            | Fault::LongText { .. }
            | Fault::RandomValue
            | Fault::Dates { .. }
            | Fault::NullLevels
            | Fault::UnknownLevels
            | Fault::UppercaseLevels
            | Fault::UnknownBehaviors
            | Fault::ContradictingRows
    )
}

/// Changes the JSON of an answer.
pub(super) fn apply(fault: &Fault, answer: &mut Value, rng: &mut impl Rng) {
    match fault {
        Fault::Set { path, value } => edit(answer, &segments(path), Edit::Set(value)),
        Fault::Remove { path } => edit(answer, &segments(path), Edit::Remove),
        Fault::LongText { path, bytes } => edit(answer, &segments(path), Edit::Pad(*bytes as usize)),
        Fault::RandomValue => replace_random_value(answer, rng),
        Fault::Dates { format } => for_each_key(answer, &DATES, &|date| {
            if let Some(formatted) = date.as_str().and_then(|date| formatted(date, *format)) {
                *date = formatted;
            }
        }),
        Fault::NullLevels => for_each_key(answer, &LEVELS, &|level| *level = Value::Null),
        Fault::UnknownLevels => for_each_key(answer, &LEVELS, &|level| *level = json!("critical")),
        Fault::UppercaseLevels => for_each_key(answer, &LEVELS, &|level| {
            if let Some(word) = level.as_str() {
                *level = json!(word.to_uppercase());
            }
        }),
        Fault::UnknownBehaviors => add_unknown_behavior(answer),
        Fault::ContradictingRows => contradict_rows(answer),
        _ => {}
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn edit(value: &mut Value, path: &[&str], change: Edit<'_>) {
    let Some((first, rest)) = path.split_first() else { return };
    match value {
        Value::Object(fields) => edit_fields(fields, first, rest, change),
        Value::Array(elements) => {
            let selected: Vec<bool> = elements
                .iter()
                .enumerate()
                .map(|(index, element)| {
                    let has_id = |key| element.get(key).and_then(Value::as_str) == Some(first);
                    *first == "*" || first.parse() == Ok(index) || has_id("user_id") || has_id("id")
                })
                .collect();
            let mut selected = selected.into_iter();
            elements.retain_mut(|element| {
                if !selected.next().unwrap_or_default() {
                    return true;
                }
                if rest.is_empty() {
                    return apply_edit(element, change);
                }
                edit(element, rest, change);
                true
            });
        }
        _ => {}
    }
}

fn edit_fields(fields: &mut Map<String, Value>, first: &str, rest: &[&str], change: Edit<'_>) {
    if rest.is_empty()
        && first != "*"
        && let Edit::Set(value) = change
    {
        fields.insert(first.to_owned(), value.clone());
        return;
    }
    fields.retain(|key, value| {
        if first != "*" && first != key {
            return true;
        }
        if rest.is_empty() {
            return apply_edit(value, change);
        }
        edit(value, rest, change);
        true
    });
}

/// Changes a value. Returns whether it stays.
fn apply_edit(value: &mut Value, change: Edit<'_>) -> bool {
    match change {
        Edit::Set(new) => *value = new.clone(),
        Edit::Remove => return false,
        Edit::Pad(bytes) => {
            if let Value::String(text) = value {
                pad(text, bytes);
            }
        }
    }
    true
}

fn pad(text: &mut String, bytes: usize) {
    text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
}

/// Calls `change` for the value of each of these keys, at any depth.
fn for_each_key(value: &mut Value, keys: &[&str], change: &impl Fn(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if keys.contains(&key.as_str()) {
                    change(value);
                } else {
                    for_each_key(value, keys, change);
                }
            }
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| for_each_key(element, keys, change));
        }
        _ => {}
    }
}

fn formatted(date: &str, format: DateFormat) -> Option<Value> {
    let parsed: jiff::Timestamp = date.parse().ok()?;
    let without_zone = |date: jiff::Timestamp| date.to_string().trim_end_matches('Z').to_owned();
    Some(match format {
        DateFormat::Go => json!(format!("{} +0000 UTC", without_zone(parsed).replace('T', " "))),
        DateFormat::Offset => {
            let shifted = parsed.checked_add(jiff::SignedDuration::from_hours(2)).ok()?;
            json!(format!("{}+02:00", without_zone(shifted)))
        }
        DateFormat::WholeSeconds => json!(jiff::Timestamp::from_second(parsed.as_second()).ok()?.to_string()),
        DateFormat::RoundedSeconds => json!(parsed.round(jiff::Unit::Second).ok()?.to_string()),
        DateFormat::Seconds => json!(parsed.as_second()),
        DateFormat::Milliseconds => json!(parsed.as_millisecond()),
        DateFormat::Zero => json!("0001-01-01T00:00:00Z"),
        DateFormat::FarFuture => json!("9999-12-31T23:59:59Z"),
    })
}

/// Lists an unknown behavior, and assigns all events to it.
fn add_unknown_behavior(answer: &mut Value) {
    let Some(result) = answer.get_mut("result") else { return };
    if let Some(behaviors) = result.get_mut("behaviors").and_then(Value::as_object_mut) {
        let behavior = json!({"name": "Unheard Of", "description": "", "enabled": true, "risk_level": "low"});
        behaviors.insert(UNKNOWN_BEHAVIOR.to_owned(), behavior);
    }
    let events = result.get_mut("events").and_then(Value::as_array_mut);
    for event in events.into_iter().flatten() {
        if let Some(event) = event.as_object_mut() {
            event.insert("name".to_owned(), json!(UNKNOWN_BEHAVIOR));
        }
    }
}

/// Repeats all users and integrations with other values.
fn contradict_rows(answer: &mut Value) {
    let Some(result) = answer.get_mut("result") else { return };
    let rows = match result {
        Value::Array(integrations) => Some(integrations),
        other => other.get_mut("users").and_then(Value::as_array_mut),
    };
    let Some(rows) = rows else { return };
    let mut others = rows.clone();
    for fields in others.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(level) = fields.get_mut("max_risk_level") {
            *level = json!("low");
        }
        if let Some(Value::Bool(active)) = fields.get_mut("active") {
            *active = !*active;
        }
    }
    rows.extend(others);
}

fn replace_random_value(answer: &mut Value, rng: &mut impl Rng) {
    // The whole answer is value 0, and stays what it is.
    let count = count(answer);
    if count < 2 {
        return;
    }
    let mut number = rng.random_range(1..count as u64) as usize;
    if let Some(value) = nth(answer, &mut number) {
        mutate(value, rng);
    }
}

/// How many values there are, containers included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|value| nth(value, number)),
        Value::Array(elements) => elements.iter_mut().find_map(|value| nth(value, number)),
        _ => None,
    }
}

fn mutate(value: &mut Value, rng: &mut impl Rng) {
    const NUMBERS: [f64; 6] = [-1.0, 0.0, 1.5, 4_294_967_296.0, 1e300, -1e19];
    let new = match (rng.random_range(0..8_u32), &mut *value) {
        (0, _) => Value::Null,
        (1, Value::String(text)) => json!(text.len()),
        (1, other) => json!(other.to_string()),
        (2, Value::String(text)) if *text == text.to_uppercase() => json!(text.to_lowercase()),
        (2, Value::String(text)) => json!(text.to_uppercase()),
        (3, Value::String(text)) => {
            let length = text.len() + PADDING;
            pad(text, length);
            return;
        }
        (4, _) => json!("unheard of"),
        (5, _) => json!(NUMBERS[rng.random_range(0..NUMBERS.len() as u64) as usize]),
        (6, Value::Array(elements)) if !elements.is_empty() => {
            let index = rng.random_range(0..elements.len() as u64) as usize;
            elements.extend(elements.get(index).cloned());
            return;
        }
        (7, Value::Array(elements)) if !elements.is_empty() => {
            elements.remove(rng.random_range(0..elements.len() as u64) as usize);
            return;
        }
        (7, Value::Object(fields)) if !fields.is_empty() => {
            let index = rng.random_range(0..fields.len() as u64) as usize;
            let key = fields.keys().nth(index).cloned();
            key.and_then(|key| fields.remove(&key));
            return;
        }
        (2 | 3, _) => json!([]),
        _ => json!({}),
    };
    *value = new;
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn changed(fault: &Fault, mut answer: Value) -> Value {
        apply(fault, &mut answer, &mut ChaCha8Rng::seed_from_u64(1));
        answer
    }

    #[test]
    fn values_are_set_removed_and_padded_at_a_path() {
        let answer = || json!({"result": {"users": [{"user_id": "a", "n": 1}, {"user_id": "b", "n": 2}]}});
        let users = |users: Value| json!({"result": {"users": users}});
        let set = |path: &str, value: Value| Fault::Set { path: path.to_owned(), value };
        let remove = |path: &str| Fault::Remove { path: path.to_owned() };
        let [a, b] = [json!({"user_id": "a", "n": 1}), json!({"user_id": "b", "n": 2})];
        for (fault, wanted) in [
            (
                set("/result/users/*/n", json!(null)),
                users(json!([{"user_id": "a", "n": null}, {"user_id": "b", "n": null}])),
            ),
            (set("/result/users/1/n", json!("x")), users(json!([a, {"user_id": "b", "n": "x"}]))),
            (set("/result/users/b/m", json!(0)), users(json!([a, {"user_id": "b", "n": 2, "m": 0}]))),
            (set("/result/users", json!(null)), users(json!(null))),
            (set("/result/none/n", json!(1)), answer()),
            (remove("/result/users/a"), users(json!([b]))),
            (remove("/result/users/*/n"), users(json!([{"user_id": "a"}, {"user_id": "b"}]))),
            (remove("/result"), json!({})),
            (
                Fault::LongText { path: "/result/users/0/user_id".to_owned(), bytes: 3 },
                users(json!([{"user_id": "axx", "n": 1}, b])),
            ),
        ] {
            assert_eq!(changed(&fault, answer()), wanted, "{fault:?}");
        }
    }

    #[test]
    fn all_dates_and_only_dates_are_formatted() {
        let date = "2019-06-19T11:19:00.5Z";
        for (format, wanted) in [
            (DateFormat::Go, json!("2019-06-19 11:19:00.5 +0000 UTC")),
            (DateFormat::Offset, json!("2019-06-19T13:19:00.5+02:00")),
            (DateFormat::WholeSeconds, json!("2019-06-19T11:19:00Z")),
            (DateFormat::RoundedSeconds, json!("2019-06-19T11:19:01Z")),
            (DateFormat::Seconds, json!(1_560_943_140)),
            (DateFormat::Milliseconds, json!(1_560_943_140_500_u64)),
            (DateFormat::Zero, json!("0001-01-01T00:00:00Z")),
            (DateFormat::FarFuture, json!("9999-12-31T23:59:59Z")),
        ] {
            let answer = json!({"result": {"events": [{"timestamp": date, "name": date}]}});
            let wanted = json!({"result": {"events": [{"timestamp": wanted, "name": date}]}});
            assert_eq!(changed(&Fault::Dates { format }, answer), wanted, "{format:?}");
        }
    }

    #[test]
    fn only_levels_are_replaced() {
        let answer = json!([{"max_risk_level": "high", "name": "low"}, {"risk_level": null}]);
        for (fault, high, null_level) in [
            (Fault::NullLevels, json!(null), json!(null)),
            (Fault::UnknownLevels, json!("critical"), json!("critical")),
            (Fault::UppercaseLevels, json!("HIGH"), json!(null)),
        ] {
            let wanted = json!([{"max_risk_level": high, "name": "low"}, {"risk_level": null_level}]);
            assert_eq!(changed(&fault, answer.clone()), wanted, "{fault:?}");
        }
    }

    #[test]
    fn rows_are_repeated_with_contradicting_values() {
        for (answer, wanted) in [
            (
                json!({"result": {"users": [{"user_id": "a", "max_risk_level": "high"}]}}),
                json!({"result": {"users": [{"user_id": "a", "max_risk_level": "high"}, {"user_id": "a", "max_risk_level": "low"}]}}),
            ),
            (
                json!({"result": [{"id": "a", "active": false}]}),
                json!({"result": [{"id": "a", "active": false}, {"id": "a", "active": true}]}),
            ),
            (json!({"result": {"behaviors": {}}}), json!({"result": {"behaviors": {}}})),
        ] {
            assert_eq!(changed(&Fault::ContradictingRows, answer), wanted);
        }
    }

    #[test]
    fn random_values_differ_in_place_and_kind() {
        let answer = json!({"success": true, "result": {"users": [{"user_id": "a", "n": 1}]}, "result_info": {"page": 1}});
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let mut changed = answer.clone();
            apply(&Fault::RandomValue, &mut changed, &mut rng);
            assert!(changed.is_object());
            seen.insert(changed.to_string());
        }
        assert!(seen.len() > 40, "{}", seen.len());
    }
}
