//! Random responses, also decoded with serde_json: both must agree, however a response is cut into chunks.

use serde_json::{Value, json};

use super::bounds::{Bounds, Pii};
use super::rfc3339;
use super::stream::tests::read;
use crate::model::{Level, Row, RowFingerprint, UserId};

/// Decodes a response with serde_json, following the specification.
fn reference_decode(answer: &Value) -> (Vec<Row>, Vec<UserId>, u32) {
    let (mut rows, mut unreadable, mut anonymous) = (Vec::new(), Vec::new(), 0);
    for element in answer["result"]["users"].as_array().unwrap() {
        let text = |key: &str| element.get(key).and_then(Value::as_str);
        let user = text("user_id").and_then(|id| UserId::try_parse(id).ok());
        let count = element
            .get("event_count")
            .and_then(Value::as_f64)
            .filter(|count| count.fract() == 0.0 && *count >= 0.0 && *count <= f64::from(u32::MAX));
        match (user, text("last_event").and_then(|date| rfc3339::parse(date.as_bytes())), count) {
            (Some(user), Some(last_event), Some(count)) => rows.push(Row {
                user,
                tuple: RowFingerprint {
                    last_event,
                    count: count as u32,
                    level: text("max_risk_level").map_or(Level::Unknown, Level::from_word),
                },
            }),
            (Some(user), ..) => unreadable.push(user),
            (None, ..) => anonymous += 1,
        }
    }
    (rows, unreadable, anonymous)
}

fn random_value(random: &mut fastrand::Rng, depth: u32) -> Value {
    match random.u32(0..if depth > 3 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(-5..5_000_000_000)),
        3 => json!(f64::from(random.i32(-4..40)) / 2.0),
        4 => json!(random_text(random)),
        5 => json!("2024-05-06T07:08:09.123Z"),
        6 => (0..random.u32(0..4)).map(|_| random_value(random, depth + 1)).collect(),
        _ => random_object(random, depth + 1),
    }
}

fn random_text(random: &mut fastrand::Rng) -> String {
    let letters = ['a', '"', '\\', '\n', 'é', '😀', '{', ']', ',', '\u{1}', 'z', ' '];
    (0..random.usize(0..20)).map(|_| letters[random.usize(0..letters.len())]).collect()
}

fn random_object(random: &mut fastrand::Rng, depth: u32) -> Value {
    let keys = ["user_id", "last_event", "event_count", "max_risk_level", "name", "users", "result", "x\"y"];
    let fields = (0..random.usize(0..6)).map(|_| {
        let key = keys[random.usize(0..keys.len())].to_owned();
        (key, random_value(random, depth))
    });
    Value::Object(fields.collect())
}

fn random_user(random: &mut fastrand::Rng) -> Value {
    let mut user = random_object(random, 1);
    for (key, value) in [
        ("user_id", json!(UserId::from_u128(random.u128(..)).to_string())),
        (
            "last_event",
            json!(format!("20{:02}-01-02T03:04:05.{}Z", random.u8(10..99), random.u32(..1_200_000_000))),
        ),
        ("event_count", json!(random.u32(..))),
        ("max_risk_level", json!(["low", "medium", "high", "none"][random.usize(0..4)])),
    ] {
        if random.u8(0..10) > 0 {
            user[key] = value;
        }
    }
    user
}

/// Writes `value` with whitespace and escapes at about `odd` in 64 of the places where they are allowed.
fn write(value: &Value, odd: u8, random: &mut fastrand::Rng, out: &mut String) {
    let space = |random: &mut fastrand::Rng, out: &mut String| {
        if random.u8(0..64) < odd {
            out.push([' ', '\n', '\t', '\r'][random.usize(0..4)]);
        }
    };
    space(random, out);
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(&json!(key), odd, random, out);
                out.push(':');
                write(value, odd, random, out);
            }
            space(random, out);
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, odd, random, out);
            }
            space(random, out);
            out.push(']');
        }
        Value::String(text) if random.u8(0..64) < odd => {
            out.push('"');
            for unit in text.encode_utf16() {
                out.push_str(&format!("\\u{unit:04x}"));
            }
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
    space(random, out);
}

#[test]
fn random_responses_decode_as_with_serde_json_however_they_are_cut() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut good, mut bad) = (0, 0);
    for round in 0..1_500 {
        let users: Vec<Value> = (0..random.usize(0..8))
            .map(|_| match random.u8(0..8) {
                0 => random_value(&mut random, 1),
                _ => random_user(&mut random),
            })
            .collect();
        let mut answer = json!({"result": random_object(&mut random, 2), "success": true});
        answer["result"]["users"] = json!(users);
        answer["before"] = random_value(&mut random, 1);
        answer["zulu"] = random_value(&mut random, 1);
        let mut text = String::new();
        write(&answer, [0, 1, 8][round % 3], &mut random, &mut text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), answer, "the generator writes JSON");

        let bytes = text.as_bytes();
        let mut chunks = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(random.usize(1..=rest.len().min(60)));
            chunks.push(chunk);
            rest = after;
        }
        let (mut envelope, rows, unreadable, anonymous, _) = read(&chunks, &Bounds::default(), Pii::Drop)
            .unwrap_or_else(|error| panic!("round {round}: {error}\n{text}"));
        let wanted = reference_decode(&answer);
        assert_eq!(
            (&rows, &unreadable, anonymous),
            (&wanted.0, &wanted.1, wanted.2),
            "round {round}\n{text}"
        );
        envelope["result"]["users"] = answer["result"]["users"].clone();
        assert_eq!(envelope, answer, "round {round}\n{text}");
        good += rows.len();
        bad += unreadable.len();
    }
    assert!(good > 1_000 && bad > 300, "the generator makes good and bad rows: {good} and {bad}");
}
