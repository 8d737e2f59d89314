//! Random responses, also decoded with serde_json: both must agree, however a response is cut into chunks.

use serde_json::{Value, json};

use super::bounds::{Bounds, Pii};
use super::element::Element;
use super::rfc3339;
use super::sink::Sink;
use super::stream::tests::read;
use super::stream::{DecodedList, Reader};
use crate::clock::Timestamp;
use crate::cloudflare::envelope::Envelope;
use crate::cloudflare::wire::{Behaviors, Integrations, UserHead};
use crate::model::{DetailedEvent, EventCount, Level, OddFields, Resource, Row, RowFingerprint, UserId};

/// Decodes a response with serde_json, following the specification.
fn reference_decode(answer: &Value) -> (Vec<Row>, Vec<UserId>, u32) {
    let (mut rows, mut unreadable, mut anonymous) = (Vec::new(), Vec::new(), 0);
    for element in answer["result"]["users"].as_array().unwrap() {
        let text = |key: &str| element.get(key).and_then(Value::as_str);
        let user = text("user_id").and_then(|id| UserId::try_parse(id).ok());
        let count = element
            .get("event_count")
            .and_then(Value::as_f64)
            .filter(|count| count.fract() == 0.0 && *count >= 0.0 && *count < f64::from(u32::MAX))
            .map(|count| count as u32)
            .or_else(|| text("event_count")?.trim().parse().ok())
            .map_or(EventCount::UNKNOWN, EventCount::from);
        let last_event = text("last_event")
            .and_then(|date| rfc3339::parse(date.as_bytes()))
            .filter(|date| !rfc3339::is_never(*date))
            .unwrap_or(Timestamp::UNKNOWN);
        let level = match element.get("max_risk_level") {
            None | Some(Value::Null) => Some(Level::Unknown),
            Some(Value::String(word)) => Some(Level::from_word(word)),
            Some(_) => None,
        };
        match (user, level) {
            (Some(user), Some(level)) => {
                rows.push(Row { user, tuple: RowFingerprint { last_event, count, level } });
            }
            (Some(user), None) => unreadable.push(user),
            (None, _) => anonymous += 1,
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
    assert!(good > 1_000 && bad > 20, "the generator makes good and bad rows: {good} and {bad}");
}

/// Replaces a value by one that Cloudflare does not document for it.
fn mutate(value: &mut Value, random: &mut fastrand::Rng) {
    *value = match (random.u8(0..12), &*value) {
        (0, _) => Value::Null,
        (1, _) => json!(random.bool()),
        (2, _) => json!(random.i64(..)),
        (3, _) => json!(random.f64() * 1e30),
        (4, _) => json!([value.clone()]),
        (5, _) => json!({"value": value.clone()}),
        (6, Value::String(text)) => json!(text.to_uppercase()),
        (7, Value::String(text)) => json!(text.repeat(random.usize(1..3_000))),
        (8, _) => json!("critical"),
        (9, _) => json!(value.to_string()),
        (10, _) => json!("2019-06-19 11:19:00 +0000 UTC"),
        _ => json!(random_text(random)),
    };
}

/// Changes one field of one row: it is replaced, removed or joined by an unknown one, or the row occurs twice or is no
/// object. Returns the index of the row.
fn mutate_row(rows: &mut Vec<Value>, random: &mut fastrand::Rng) -> usize {
    let index = random.usize(0..rows.len());
    let twin = rows[index].clone();
    let fields = rows[index].as_object_mut().unwrap();
    let keys: Vec<String> = fields.keys().cloned().collect();
    let key = keys[random.usize(0..keys.len())].clone();
    match random.u8(0..8) {
        0 => drop(fields.remove(&key)),
        1 => drop(fields.insert(random_text(random), random_value(random, 1))),
        2 => mutate(&mut rows[index], random),
        3 => rows.insert(index, twin),
        _ => mutate(&mut fields[&key], random),
    }
    index
}

fn list<E: Element>(name: &str, rows: &[Value], pii: Pii, random: &mut fastrand::Rng) -> DecodedList<E> {
    let text = json!({"success": true, "result": {name: rows}}).to_string();
    let mut reader = Reader::<E>::new(&Bounds::default(), pii);
    let size = random.usize(1..=text.len());
    text.as_bytes().chunks(size).for_each(|chunk| reader.push(chunk).unwrap());
    reader.finish().unwrap().1
}

/// Every unexpected field has a counter.
fn are_checked(resource: Resource, odd: &OddFields, seed: u64) {
    let unknown = odd.iter().find(|odd| !resource.checked_fields().contains(&odd.field));
    assert_eq!(unknown, None, "seed {seed}: a field of {} without a counter", resource.as_str());
}

/// How many histories of mutations are played.
const SEEDS: u64 = 10_000;

#[test]
fn no_odd_field_loses_another_row() {
    let id = |number: u64| UserId::from_u128(number.into()).to_string();
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let pii = if random.bool() { Pii::Keep } else { Pii::Drop };
        let date = "2026-11-28T09:00:00.123Z";
        let users = (0..6).map(|n| json!({"user_id": id(n), "name": "n", "email": "e@example.com", "max_risk_level": "high", "event_count": n, "last_event": date}));
        let events = (0..6).map(|n| json!({"id": id(n), "name": "imp_travel", "risk_level": "high", "timestamp": date, "event_details": {}}));
        let behaviors =
            (0..6).map(|n| json!({"name": id(n), "description": "d", "enabled": true, "risk_level": "high"}));
        let integrations = (0..6).map(|n| json!({"id": id(n), "integration_type": "Okta", "reference_id": "r", "tenant_url": "t", "well_known_url": "w", "active": true, "created_at": date}));

        let mut rows: Vec<Value> = users.collect();
        let before = list::<Row>("users", &rows, pii, &mut random).items;
        let odd = mutate_row(&mut rows, &mut random);
        let after = list::<Row>("users", &rows, pii, &mut random);
        let missing = before.iter().enumerate().find(|(n, row)| *n != odd && !after.items.contains(row));
        assert_eq!(missing, None, "seed {seed}: {rows:?}");
        assert_eq!(after.received(), rows.len(), "seed {seed}: every row is accounted for");
        are_checked(Resource::Summary, &after.odd, seed);

        let mut rows: Vec<Value> = events.collect();
        let before = list::<DetailedEvent>("events", &rows, pii, &mut random).items;
        let odd = mutate_row(&mut rows, &mut random);
        let after = list::<DetailedEvent>("events", &rows, pii, &mut random);
        let missing = before.iter().enumerate().find(|(n, row)| *n != odd && !after.items.contains(row));
        assert_eq!(missing, None, "seed {seed}: {rows:?}");
        are_checked(Resource::User, &after.odd, seed);
        let says_why = after.anonymous == 0 || !after.odd.is_empty();
        assert!(says_why, "seed {seed}: a rejected event has a reason: {rows:?}");

        let mut rows: Vec<Value> = behaviors.collect();
        let odd = mutate_row(&mut rows, &mut random);
        let named: serde_json::Map<_, _> =
            rows.iter().enumerate().map(|(n, row)| (format!("b{n}"), row.clone())).collect();
        let found: Behaviors = serde_json::from_value(json!({"behaviors": named})).unwrap();
        are_checked(Resource::Behaviors, &found.behaviors.odd, seed);
        let found: Vec<_> = found.behaviors.rows.iter().map(|behavior| behavior.id.clone()).collect();
        let missing = (0..rows.len()).find(|n| *n != odd && !found.contains(&format!("b{n}")));
        assert_eq!(missing, None, "seed {seed}: {rows:?}");

        let mut rows: Vec<Value> = integrations.collect();
        let odd = mutate_row(&mut rows, &mut random);
        let found: Integrations = serde_json::from_value(json!(rows)).unwrap();
        are_checked(Resource::Integrations, &found.integrations.odd, seed);
        let mut found: Vec<_> = found.integrations.rows.iter().map(|integration| integration.id).collect();
        let missing = (0..6).find(|n| *n != odd && !found.contains(&UserId::from_u128(*n as u128)));
        assert_eq!(missing, None, "seed {seed}: {rows:?}");
        found.sort_unstable();
        let listed = found.len();
        found.dedup();
        assert_eq!(found.len(), listed, "seed {seed}: no integration is there twice");

        let mut head = json!({"name": "n", "email": "e", "last_reset_time": date, "risk_level": "high"});
        let fields = head.as_object_mut().unwrap();
        let key = ["name", "email", "last_reset_time", "risk_level"][random.usize(0..4)];
        mutate(&mut fields[key], &mut random);
        let read: UserHead = serde_json::from_value(head).unwrap();
        are_checked(Resource::User, &read.odd, seed);
        let kept = [
            read.name.is_some(),
            read.email.is_some(),
            read.last_reset_time.is_some(),
            read.risk_level.is_some(),
        ];
        assert!(kept.into_iter().filter(|kept| *kept).count() >= 3, "seed {seed}: {read:?}");

        let mut envelope = json!({"success": true, "errors": [{"code": 1000, "message": "m"}], "messages": [], "result": {},
            "result_info": {"page": 1, "per_page": 20, "count": 6, "total_count": 6, "total_pages": 1, "cursor": "c"}});
        let part = ["success", "errors", "messages", "result", "result_info"][random.usize(0..5)];
        let part = &mut envelope[part];
        match part.as_object_mut().and_then(|fields| fields.values_mut().next()) {
            Some(field) if random.bool() => mutate(field, &mut random),
            _ => mutate(part, &mut random),
        }
        assert!(Envelope::parse(envelope.to_string().as_bytes(), &[]).is_ok(), "seed {seed}: {envelope}");
    }
}
