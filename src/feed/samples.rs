//! Records of every kind for the tests of the formats, and what holds in each format.
//!
//! `tests/golden/feed` has their lines. `tests/feed/run` validates these files by the schemas that others publish.

use std::path::Path;

use super::format::{Format, MAX_LINE};
use super::record::{Cause, Content, GapReason, Person, Record, RecordId, RecordUser, Setting};
use crate::clock::Timestamp;
use crate::model::Level;

pub(super) const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub(super) const USER: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";
const HASH: &str = "6ceff0bb4c60e0bd2c4984abf6d61c33";
const EMAIL: &str = "ada@example.com";
const NAME: &str = "Ada Löve\"lace";
const DETAILS: &str = r#"{"city":"Canary Wharf"}"#;

pub(super) fn record(sequence: u64, user: Option<RecordUser>, content: Content) -> Record {
    Record {
        id: RecordId { account: ACCOUNT.to_owned(), epoch: 1_795_219_200_250, sequence },
        alias: "prod".to_owned(),
        time: Timestamp::from_seconds(1_795_219_200),
        logged_time: Timestamp::from_millis(1_795_219_231_042),
        user,
        content,
    }
}

/// Users as each value of `feed.identity` names them: not, by hash, by id, and with address and name.
pub(super) fn users() -> [Option<RecordUser>; 4] {
    let user = |name: &str, person| Some(RecordUser { name: name.to_owned(), person });
    let person = Person { email: EMAIL.to_owned(), name: NAME.to_owned() };
    [None, user(HASH, None), user(USER, None), user(USER, Some(person))]
}

/// At least one of each kind, with and without what it may have.
pub(super) fn contents() -> Vec<Content> {
    let event = |event_id: &str, level, details: Option<&str>| Content::RiskEvent {
        event_id: event_id.to_owned(),
        behavior: "imp_travel".to_owned(),
        level,
        details: details.map(str::to_owned),
    };
    let change = |previous, current, cause| Content::LevelChange { previous, current, cause };
    let behavior = |previous, current| Content::BehaviorChange {
        behavior: "high_dlp".to_owned(),
        name: "High number of DLP policies triggered".to_owned(),
        previous,
        current,
    };
    let setting = |enabled, level| Some(Setting { enabled, level });
    let integration = |previous_active, active| Content::IntegrationChange {
        id: uuid::Uuid::from_u128(1),
        kind: "Okta".to_owned(),
        previous_active,
        active,
    };
    let mut contents = vec![
        event("e1", Level::High, None),
        event("e2", Level::Medium, Some(DETAILS)),
        event("", Level::Low, None),
        event("e4", Level::Unrecognized, None),
        Content::Reset { previous: Some(Level::High) },
        Content::Reset { previous: None },
        Content::UserGone { previous: Level::Medium },
        behavior(None, setting(Some(true), Level::High)),
        behavior(setting(Some(true), Level::High), setting(Some(false), Level::Low)),
        behavior(setting(None, Level::Low), None),
        integration(None, Some(true)),
        integration(Some(true), Some(false)),
        integration(Some(false), None),
        Content::Gap { reason: GapReason::BufferFull, count: 5, sequences: Some((3, 7)) },
    ];
    contents.extend(Cause::ALL.iter().map(|cause| change(Some(Level::Low), Some(Level::High), *cause)));
    contents.extend([
        change(None, Some(Level::Medium), Cause::Event),
        change(Some(Level::High), None, Cause::Reset),
        change(Some(Level::High), Some(Level::Unknown), Cause::Setting),
    ]);
    contents.extend(GapReason::ALL.iter().map(|reason| Content::Gap {
        reason: *reason,
        count: 1,
        sequences: None,
    }));
    contents
}

/// Every content with every user that it can have.
fn all() -> Vec<Record> {
    let mut records = Vec::new();
    for content in contents() {
        let of_settings =
            matches!(content, Content::BehaviorChange { .. } | Content::IntegrationChange { .. });
        for user in users() {
            if user.is_none() || !of_settings {
                records.push(record(records.len() as u64 + 1, user, content.clone()));
            }
        }
    }
    records
}

#[test]
fn the_lines_of_every_format_are_those_of_the_golden_files() {
    for format in Format::ALL {
        let lines: String = all().iter().map(|record| format.encode(record)).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/feed/{}.jsonl", format.as_str()));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &lines).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap();
        for (number, (is, wanted)) in lines.lines().zip(wanted.lines()).enumerate() {
            assert_eq!(
                is,
                wanted,
                "line {} of {}; UPDATE_GOLDEN=1 writes the file",
                number + 1,
                path.display()
            );
        }
        assert_eq!(lines.len(), wanted.len(), "{}", path.display());
    }
}

#[test]
fn a_line_names_only_what_the_record_names() {
    for format in Format::ALL {
        for record in all() {
            let line = format.encode(&record);
            let user = record.user.as_ref();
            let person = user.and_then(|user| user.person.as_ref());
            let of_event = matches!(&record.content, Content::RiskEvent { details: Some(_), .. });
            for (text, wanted) in [
                (USER, user.is_some_and(|user| user.name == USER)),
                (HASH, user.is_some_and(|user| user.name == HASH)),
                (EMAIL, person.is_some()),
                ("Ada L", person.is_some()),
                ("Canary Wharf", of_event),
            ] {
                assert_eq!(line.contains(text), wanted, "{text} in {line}");
            }
        }
    }
}

#[test]
fn the_first_bytes_of_a_line_have_its_id() {
    for format in Format::ALL {
        for record in all() {
            let line = format.encode(&record);
            // deploy/feed/filebeat.yml knows a file by as many.
            let start = line.get(..128).unwrap();
            assert!(start.contains(&format!("\"{}\"", record.id)), "{line}");
        }
    }
}

#[test]
fn no_text_from_outside_makes_a_line_of_any_format_long_or_breaks_it() {
    let long = ["x", "\"", "\u{1f600}", "\n", "\u{2028}", "\\u0000", "@."].map(|text| text.repeat(100_000));
    for (format, text) in
        Format::ALL.into_iter().flat_map(|format| long.iter().map(move |text| (format, text.clone())))
    {
        let user = Some(RecordUser {
            name: USER.to_owned(),
            person: Some(Person { email: text.clone(), name: text.clone() }),
        });
        let event = Content::RiskEvent {
            event_id: text.clone(),
            behavior: text.clone(),
            level: Level::High,
            details: Some(text.clone()),
        };
        let setting = Some(Setting { enabled: Some(true), level: Level::High });
        let behavior = Content::BehaviorChange {
            behavior: text.clone(),
            name: text.clone(),
            previous: setting,
            current: setting,
        };
        let integration = Content::IntegrationChange {
            id: uuid::Uuid::nil(),
            kind: text.clone(),
            previous_active: Some(true),
            active: Some(false),
        };
        for content in [event, behavior, integration] {
            let line =
                format.encode(&Record { alias: "x".repeat(64), ..record(u64::MAX, user.clone(), content) });
            assert!(line.len() < MAX_LINE, "{} bytes of {format:?}", line.len());
            assert!(!line.trim_end().chars().any(char::is_control), "{line}");
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        }
    }
}
