//! Each kind of record, from what happens at the simulator to the line, and what a line may say of a person.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::json;
use uuid::Uuid;
use zt_risk_exporter::simulator::Level;

use super::rig::{FeedHome, Lines};
use super::with_milliseconds;
use crate::durability::process::{ACCOUNTS, Scrape, SimulatedApi, pause};
use crate::program::program;

/// Faster than the default, so that changes of behaviors and integrations are seen at once.
const FAST: &str = "intervals: { summary: 1s, behaviors: 1s, integrations: 1s }";

/// A world in which each kind of change can happen, and its exporter.
struct World {
    api: SimulatedApi,
    feed: FeedHome,
}

const INTEGRATION: &str = "00000000-0000-0000-0000-0000000000aa";
const USER: u128 = 1;

impl World {
    fn start(settings: &str) -> Self {
        let api = SimulatedApi::start_with(&format!(
            "    integrations: [{{ id: {INTEGRATION}, reference_id: okta, tenant_url: 'https://a.okta.com', active: true, \
             created_at: -1h }}]\n"
        ));
        let feed = FeedHome::new(&api, settings);
        let text = fs::read_to_string(feed.home.config()).unwrap();
        feed.home.configure(&text.replace("intervals: { summary: 1s }", FAST));
        Self { api, feed }
    }

    fn set_behavior(&self, level: Level, is_enabled: bool) {
        self.api.behavior(ACCOUNTS[0].0, "imp_travel", "Impossible Travel", level, is_enabled);
    }

    fn delete_integration(&self) {
        let (account, _, token) = ACCOUNTS[0];
        let base = self.api.simulator.base_url();
        let (_, rest) = base.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let request = format!(
            "DELETE /{path}/accounts/{account}/zt_risk_scoring/integrations/{INTEGRATION} HTTP/1.1\r\nHost: {host}\r\n\
             Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn each_kind_of_change_is_a_line_with_what_happened() {
    let world = World::start("");
    let (api, feed, account) = (&world.api, &world.feed, ACCOUNTS[0].0);
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    assert_eq!(feed.text(), "", "the first list of users, behaviors and integrations writes nothing");
    let newcomer = Uuid::from_u128(500);
    let event = api.simulator.append_event(account, newcomer, "imp_travel", api.clock.date()).unwrap();
    feed.until(api, "the event", |lines| lines.of("risk_event").next().is_some());
    world.set_behavior(Level::Low, false);
    world.delete_integration();
    api.simulator.reset(account, newcomer).unwrap();
    api.simulator.remove_user(account, Uuid::from_u128(USER)).unwrap();
    let lines = feed.until(api, "all kinds", |lines| {
        let has = |kind| lines.of(kind).next().is_some();
        ["behavior_change", "integration_change", "reset"].into_iter().all(has)
            && lines.of("user_gone").count() == 2
    });
    lines.assert_sound("each kind");
    let (user, gone) = (newcomer.to_string(), Uuid::from_u128(USER).to_string());
    let high = event.risk_level.as_str();
    for (kind, fields) in [
        (
            "risk_event",
            json!({ "account": "first", "account_id": account, "user": user, "event_id": event.id, "level": high,
                    "behavior": "imp_travel", "time": with_milliseconds(&event.timestamp.to_string()) }),
        ),
        (
            "level_change",
            json!({ "user": user, "previous_level": "none", "current_level": high, "cause": "event" }),
        ),
        ("level_change", json!({ "user": user, "previous_level": high, "current_level": "none" })),
        ("level_change", json!({ "user": gone, "current_level": "none", "cause": "removal" })),
        ("reset", json!({ "user": user, "previous_level": high })),
        ("user_gone", json!({ "user": user, "previous_level": high })),
        ("user_gone", json!({ "user": gone })),
        (
            "behavior_change",
            json!({ "behavior": "imp_travel", "change": "changed", "current_level": "low", "previous_enabled": true,
                    "current_enabled": false }),
        ),
        (
            "integration_change",
            json!({ "integration_id": INTEGRATION, "integration_type": "Okta", "change": "removed",
                    "previous_enabled": true }),
        ),
    ] {
        assert!(lines.has(kind, &fields), "{kind} {fields} in\n{}", feed.text());
    }
    assert_eq!(lines.of("risk_event").count(), 1, "{}", feed.text());
}

#[test]
fn with_history_the_first_list_is_in_the_feed() {
    let world = World::start(", history: true");
    let mut exporter = world.feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    let lines = world.feed.until(&world.api, "both accounts", |lines| lines.0.len() == 120);
    lines.assert_sound("history");
    for (line, value) in &lines.0 {
        assert_eq!(value["kind"], "level_change", "{line}");
        assert_eq!(
            (&value["cause"], &value["previous_level"]),
            (&json!("baseline"), &json!("none")),
            "{line}"
        );
    }
}

/// What lines say with these settings after each kind of change: `reset` and others of a user whose name is known.
fn lines_with(settings: &str) -> Lines {
    let world = World::start(settings);
    let (api, feed, account) = (&world.api, &world.feed, ACCOUNTS[0].0);
    std::fs::write(feed.home.path().join("key"), "0123456789abcdef").unwrap();
    let text = fs::read_to_string(feed.home.config()).unwrap();
    feed.home.configure(&format!("{text}users: {{ hash_key_file: key }}\n"));
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    // With and without details.
    for _ in 0..4 {
        api.event(account, Uuid::from_u128(USER), "imp_travel");
    }
    feed.until(api, "the events", |lines| lines.of("risk_event").count() == 4);
    world.set_behavior(Level::Low, false);
    world.delete_integration();
    api.simulator.reset(account, Uuid::from_u128(USER)).unwrap();
    let lines = feed.until(api, "all kinds", |lines| {
        ["behavior_change", "integration_change", "reset", "user_gone"]
            .into_iter()
            .all(|kind| lines.of(kind).next().is_some())
    });
    lines.assert_sound(settings);
    lines
}

#[test]
fn lines_name_users_as_the_configuration_says_and_have_nothing_else_of_a_person() {
    let id = Uuid::from_u128(USER).to_string();
    // printf %s 00000000-0000-0000-0000-000000000001 | openssl dgst -sha256 -hmac 0123456789abcdef | cut -c1-32
    let hash = "bcd05733397f2b17fe6d00684041622f";
    let details = "event_details";
    std::thread::scope(|scope| {
        for (settings, has, has_not) in [
            ("", vec![id.as_str()], vec!["person.1@", "Somebody", "Lisbon", details]),
            (", identity: none", vec![], vec![id.as_str(), "person.1@", "Somebody", "Lisbon", hash]),
            (", identity: hash", vec![hash], vec![id.as_str(), "person.1@", "Somebody", "Lisbon"]),
            (", identity: email", vec![id.as_str(), "person.1@example.com", "Somebody 1"], vec!["Lisbon"]),
            (
                ", identity: none, details: true",
                vec!["Lisbon", "twice"],
                vec![id.as_str(), "person.1@", "Somebody"],
            ),
        ] {
            scope.spawn(move || {
                let lines = lines_with(settings);
                let text: String = lines.0.iter().map(|(line, _)| format!("{line}\n")).collect();
                for wanted in has {
                    assert!(text.contains(wanted), "{settings}: {wanted} in\n{text}");
                }
                for unwanted in has_not {
                    assert!(!text.contains(unwanted), "{settings}: {unwanted} in\n{text}");
                }
            });
        }
    });
}

#[test]
fn standard_output_gets_the_same_lines() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, ", stdout: true");
    let out = feed.home.path().join("stdout");
    let mut command = program();
    command.arg("--config.file").arg(feed.home.config());
    let mut exporter =
        feed.home.spawn_with_output(&mut command, Stdio::from(fs::File::create(&out).unwrap()));
    exporter.until("counting begins", Scrape::counts);
    for user in 1..=5 {
        api.event(ACCOUNTS[1].0, Uuid::from_u128(user), "imp_travel");
    }
    let lines = feed.until(&api, "the events", |lines| lines.of("risk_event").count() == 5);
    let since = api.clock.now();
    while fs::read_to_string(&out).unwrap().lines().count() < lines.0.len() {
        pause(&api.clock, since, || "standard output is behind".to_owned());
    }
    assert!(fs::read_to_string(&out).unwrap().starts_with(&feed.text()));
    let scrape = exporter.until("both are written", |scrape| {
        ["file", "stdout"].iter().all(|sink| {
            scrape.get(&format!("zt_risk_exporter_feed_pending_records{{sink=\"{sink}\"}}")) == Some(0.0)
        })
    });
    let written = "zt_risk_exporter_feed_records_written_total{sink=\"stdout\",kind=\"risk_event\"}";
    assert_eq!(scrape.get(written), Some(5.0));
}
