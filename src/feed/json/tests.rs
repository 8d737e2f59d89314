//! Lines of each kind, against lines written by hand.

use serde_json::Value as Json;

use super::super::fields::{self, Presence};
use super::super::format::{Format, MAX_LINE};
use super::super::record::RecordId;
use super::*;

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";

fn record(content: Content) -> Record {
    Record {
        id: RecordId { account: ACCOUNT.to_owned(), epoch: 1_795_219_200_250, sequence: 7 },
        alias: "prod".to_owned(),
        time: Timestamp::from_seconds(1_795_219_200),
        logged_time: Timestamp::from_millis(1_795_219_231_042),
        user: None,
        content,
    }
}

fn user(person: Option<(&str, &str)>) -> Option<RecordUser> {
    let person = person.map(|(email, name)| Person { email: email.to_owned(), name: name.to_owned() });
    Some(RecordUser { name: "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".to_owned(), person })
}

fn event(details: Option<&str>) -> Content {
    Content::RiskEvent {
        event_id: "e1".to_owned(),
        behavior: "imp_travel".to_owned(),
        level: Level::High,
        details: details.map(str::to_owned),
    }
}

/// The fields after those that all records have.
fn rest(record: &Record) -> String {
    let line = Format::Json.encode(record);
    let head = format!(
        "{{\"id\":\"{ACCOUNT}:1795219200250:7\",\"kind\":\"{}\",\"time\":\"2026-11-21T00:00:00.000Z\",\
         \"logged_time\":\"2026-11-21T00:00:31.042Z\",\"account\":\"prod\",\"account_id\":\"{ACCOUNT}\",\
         \"epoch\":1795219200250,\"sequence\":7",
        record.content.kind().as_str()
    );
    let rest = line.strip_prefix(&head).unwrap_or_else(|| panic!("{line}"));
    rest.strip_suffix("}\n").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// Records of every kind, and what their lines have after the head.
fn table() -> Vec<(Record, &'static str)> {
    let setting = |enabled, level| Some(Setting { enabled, level });
    let behavior = |previous, current| Content::BehaviorChange {
        behavior: "high_dlp".to_owned(),
        name: "DLP".to_owned(),
        previous,
        current,
    };
    let integration = |previous_active, active| Content::IntegrationChange {
        id: uuid::Uuid::from_u128(1),
        kind: "Okta".to_owned(),
        previous_active,
        active,
    };
    let of = |user, content| Record { user, ..record(content) };
    vec![
        (of(None, event(None)), r#","event_id":"e1","behavior":"imp_travel","level":"high""#),
        (
            of(user(None), event(Some(r#"{"a":"b"}"#))),
            r#","user":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","event_id":"e1","behavior":"imp_travel","level":"high","details":"{\"a\":\"b\"}""#,
        ),
        (
            of(
                user(Some(("a@example.com", ""))),
                Content::LevelChange {
                    previous: None,
                    current: Some(Level::Unrecognized),
                    cause: Cause::Event,
                },
            ),
            r#","user":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","user_email":"a@example.com","current_level":"unknown","previous_level":"none","cause":"event""#,
        ),
        (
            of(
                None,
                Content::LevelChange { previous: Some(Level::High), current: None, cause: Cause::Removal },
            ),
            r#","current_level":"none","previous_level":"high","cause":"removal""#,
        ),
        (
            of(user(Some(("", "Ada\nB"))), Content::Reset { previous: Some(Level::Low) }),
            ",\"user\":\"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e\",\"user_name\":\"Ada\u{fffd}B\",\"previous_level\":\"low\"",
        ),
        (of(None, Content::Reset { previous: None }), ""),
        (of(None, Content::UserGone { previous: Level::Medium }), r#","previous_level":"medium""#),
        (
            of(None, behavior(None, setting(Some(true), Level::High))),
            r#","behavior":"high_dlp","behavior_name":"DLP","current_level":"high","change":"added","current_enabled":true"#,
        ),
        (
            of(None, behavior(setting(Some(true), Level::High), setting(None, Level::Low))),
            r#","behavior":"high_dlp","behavior_name":"DLP","current_level":"low","previous_level":"high","change":"changed","previous_enabled":true"#,
        ),
        (
            of(None, behavior(setting(Some(false), Level::High), None)),
            r#","behavior":"high_dlp","behavior_name":"DLP","previous_level":"high","change":"removed","previous_enabled":false"#,
        ),
        (
            of(None, integration(None, Some(true))),
            r#","integration_id":"00000000-0000-0000-0000-000000000001","integration_type":"Okta","change":"added","current_enabled":true"#,
        ),
        (
            of(None, integration(Some(true), None)),
            r#","integration_id":"00000000-0000-0000-0000-000000000001","integration_type":"Okta","change":"removed","previous_enabled":true"#,
        ),
        (
            of(None, Content::Gap { reason: GapReason::BufferFull, count: 5, sequences: Some((3, 7)) }),
            r#","reason":"buffer_full","count":5,"first_sequence":3,"last_sequence":7"#,
        ),
        (
            of(user(None), Content::Gap { reason: GapReason::Reset, count: 2, sequences: None }),
            r#","user":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","reason":"reset","count":2"#,
        ),
    ]
}

#[test]
fn each_kind_of_record_is_one_line_with_its_fields() {
    for (record, wanted) in table() {
        assert_eq!(rest(&record), wanted, "{record:?}");
    }
}

#[test]
fn every_line_has_the_fields_that_the_table_declares_in_its_order_and_no_other() {
    let mut seen = Vec::new();
    for (record, _) in table() {
        let line = Format::Json.encode(&record);
        let Json::Object(object) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        let kind = record.content.kind().as_str();
        let positions: Vec<_> =
            fields::ALL.iter().filter_map(|field| line.find(&format!("\"{}\":", field.name))).collect();
        assert!(positions.is_sorted(), "{line}");
        for (name, _) in &object {
            assert!(fields::ALL.iter().any(|field| field.name == name), "{name} is not in the table");
        }
        for field in fields::ALL {
            let has = object.contains_key(field.name);
            match field.presence(kind) {
                Presence::Always => assert!(has, "{} in {line}", field.name),
                Presence::Never => assert!(!has, "{} in {line}", field.name),
                Presence::Sometimes => {}
            }
            if has {
                seen.push(field.name);
            }
        }
    }
    let unseen: Vec<_> =
        fields::ALL.iter().map(|field| field.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, ["details_cut"], "fields that no record of the table has");
}

#[test]
fn every_time_is_a_date_of_four_digits() {
    for (time, wanted) in [
        (Timestamp::from_millis(1_795_219_200_250), "2026-11-21T00:00:00.250Z"),
        (Timestamp::from_millis(i64::MAX), "9999-12-31T23:59:59.999Z"),
        (Timestamp::UNKNOWN, "0000-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(date(time), wanted);
    }
}

#[test]
fn no_text_from_outside_makes_a_line_long_or_breaks_it() {
    for text in ["x", "\"", "\u{1f600}", "\n", "\u{2028}", "\\u0000"].map(|text| text.repeat(100_000)) {
        let content = Content::RiskEvent {
            event_id: text.clone(),
            behavior: text.clone(),
            level: Level::High,
            details: Some(text.clone()),
        };
        let record = Record { user: user(Some((&text, &text))), ..record(content) };
        let line = Format::Json.encode(&record);
        assert!(line.len() < MAX_LINE && line.ends_with("\"details_cut\":true}\n"), "{}", line.len());
        assert!(!line.trim_end().chars().any(char::is_control), "{line}");
        assert!(serde_json::from_str::<Json>(&line).is_ok());
    }
}
