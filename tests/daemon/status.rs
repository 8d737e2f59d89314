//! The status document of accounts made by hand, compared with a golden file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use zt_risk_exporter::clock::{Clock, Instant, Timestamp};
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::telemetry::{IncidentCause, Telemetry};
use zt_risk_exporter::internals::server::status::{Recorder, Status};
use zt_risk_exporter::internals::store::{Recovery, StoreStats};
use zt_risk_exporter::model::{Level, Resource, Snapshot};

use crate::accounts;

/// The date of every document here: 2026-11-21T00:05:01.25Z, a second after the last reading in [`world`].
const DATE: Timestamp = Timestamp::from_millis(1_795_219_501_250);

/// A clock that is so slow that it stands still.
fn stopped_clock() -> Clock {
    Clock::scaled(DATE, 1e-6)
}

fn minutes(count: u64) -> Instant {
    Instant::after_start(Duration::from_secs(60 * count))
}

/// The account of [`accounts::full`] as read some minutes later, with one more user and event for each minute.
fn later(minutes: u64) -> Snapshot {
    let mut snapshot = accounts::full();
    let read = snapshot.last_success.get_mut(&Resource::Summary).unwrap();
    *read = *read + Duration::from_secs(60 * minutes);
    snapshot.users.as_mut().unwrap().count[Level::High.index()] += minutes;
    snapshot.totals.events.get_mut("imp_travel").unwrap()[Level::High.index()] += minutes;
    snapshot
}

fn shared(snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<Arc<Snapshot>> {
    snapshots.into_iter().map(Arc::new).collect()
}

/// One account with everything, read three times with a gap in between, and one that was never read.
fn world() -> (Status, Telemetry) {
    let clock = stopped_clock();
    let stats = Arc::new(StoreStats::default());
    stats.recovered(Recovery::Fresh, 1_048_576);
    let telemetry = Telemetry::with_state(clock.clone(), stats);
    let alias = accounts::full().account.alias;
    telemetry.account(&alias, Budget::new(0.25, clock));
    telemetry.poll_interval(&alias, Resource::Summary, Duration::from_secs(30));
    telemetry.poll_interval(&alias, Resource::Behaviors, Duration::from_secs(300));
    telemetry.token_expiry(&alias, Some(Timestamp::from_seconds(1_800_000_000)));
    let timeout = IncidentCause::Request(Outcome::Timeout);
    for second in [100, 131] {
        let date = Timestamp::from_seconds(1_795_219_000 + second);
        telemetry.incident(&alias, Resource::Summary, timeout, &format!("attempt {second}"), date);
    }
    telemetry.incident_over(&alias, Resource::Summary, Timestamp::from_seconds(1_795_219_150));
    let forbidden = IncidentCause::Request(Outcome::Forbidden);
    let date = Timestamp::from_seconds(1_795_219_190);
    telemetry.incident(&alias, Resource::Integrations, forbidden, "no \"permission\"", date);

    let mut recorder =
        Recorder::new(Duration::from_secs(60), &shared([accounts::full(), accounts::unread()]));
    for minute in [1, 2] {
        let read = shared([later(minute), accounts::unread()]);
        recorder.prepare(&read, &telemetry, minutes(minute), DATE);
    }
    let read = shared([later(5), accounts::unread()]);
    (recorder.prepare(&read, &telemetry, minutes(5), DATE), telemetry)
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

#[test]
fn the_status_document_is_the_golden_one() {
    let (status, telemetry) = world();
    let mut document = parsed(&status.document(&telemetry, DATE));
    assert_eq!(document["version"].take(), env!("CARGO_PKG_VERSION"));
    let json = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = format!("{}/tests/golden/status.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &json).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, wanted)) in json.lines().zip(golden.lines()).enumerate() {
        assert_eq!(is, wanted, "line {} of status.json; UPDATE_GOLDEN=1 writes the file", number + 1);
    }
    assert_eq!(json.lines().count(), golden.lines().count(), "lines of status.json");
}

/// The names of all fields. The keys of `resources`, `by_behavior`, `by_level` and `values` are data, not names.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, below) in object {
                found.insert(name.clone());
                match (name.as_str(), below) {
                    ("resources" | "by_behavior", Value::Object(data)) => {
                        data.values().for_each(|datum| fields(datum, found));
                    }
                    ("values" | "by_level", _) => {}
                    _ => fields(below, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

#[test]
fn the_documentation_names_every_field() {
    let manual = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/live-page.md"));
    let (_, section) = manual.split_once("## The status as JSON\n").unwrap();
    let named: BTreeSet<&str> =
        section.split('`').skip(1).step_by(2).flat_map(|code| code.split(['.', '[', ']', '*'])).collect();
    let (status, telemetry) = world();
    let mut found = BTreeSet::new();
    fields(&parsed(&status.document(&telemetry, DATE)), &mut found);
    assert!(found.len() > 40, "{found:?}");
    let missing: Vec<_> = found.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/live-page.md: {missing:?}");
}

#[test]
fn the_document_has_nothing_about_single_users() {
    let (status, telemetry) = world();
    let json = String::from_utf8(status.document(&telemetry, DATE)).unwrap();
    for of_a_user in ["00000000-0000-0000-0000-000000000001", "ada@example.com", "velace"] {
        assert!(!json.contains(of_a_user), "{of_a_user}");
    }
}

#[test]
fn an_error_is_shown_without_ids_of_users() {
    let telemetry = Telemetry::new(stopped_clock());
    let id = "00000000-0000-0000-0000-000000000001";
    let cause = IncidentCause::Request(Outcome::NotFound);
    telemetry.incident("branch", Resource::User, cause, &format!("no user {id} (HTTP 404)"), DATE);
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let document = parsed(&status.document(&telemetry, DATE));
    assert_eq!(document.pointer("/accounts/0/errors/0/error").unwrap(), "no user (id) (HTTP 404)");
}

#[test]
fn a_trend_has_no_gap_between_readings_that_are_in_time() {
    let telemetry = Telemetry::new(stopped_clock());
    let alias = accounts::full().account.alias;
    telemetry.account(&alias, Budget::new(0.25, stopped_clock()));
    telemetry.poll_interval(&alias, Resource::Summary, Duration::from_secs(300));
    let mut recorder = Recorder::new(Duration::from_secs(60), &shared([accounts::full()]));
    recorder.prepare(&shared([later(1)]), &telemetry, minutes(1), DATE);
    let status = recorder.prepare(&shared([later(6)]), &telemetry, minutes(6), DATE);
    let document = parsed(&status.document(&telemetry, DATE));
    let high = document.pointer("/accounts/0/users/trend/values/high").unwrap();
    let high: Vec<_> = high.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    // The first reading has one user more than at the start, and its value is repeated until the second reading.
    assert_eq!(high, [2, 2, 2, 2, 2, 7]);
}

#[tokio::test]
async fn budget_and_state_are_as_of_the_request() {
    let (clock, stats) = (stopped_clock(), Arc::new(StoreStats::default()));
    let telemetry = Telemetry::with_state(clock.clone(), Arc::clone(&stats));
    let budget = Budget::new(0.25, clock);
    telemetry.account("branch", budget.clone());
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let says = |pointer: &str| parsed(&status.document(&telemetry, DATE)).pointer(pointer).cloned().unwrap();
    assert_eq!(says("/state/kept"), "memory");
    assert_eq!(says("/accounts/0/budget/remaining"), 300);
    assert_eq!(says("/accounts/0/budget/blocked_until"), Value::Null);
    let permit = budget.acquire(Duration::ZERO).await.unwrap();
    permit.limited(Duration::from_secs(60));
    assert_eq!(says("/accounts/0/budget/remaining"), 299);
    assert_eq!(says("/accounts/0/budget/blocked_until"), "2026-11-21T00:06:02Z");
    stats.recovered(Recovery::Restored, 10);
    assert_eq!((says("/state/kept"), says("/state/size_bytes")), ("disk".into(), 10.into()));
    stats.failed();
    assert_eq!(says("/state/kept"), "failing");
}

#[test]
fn an_exporter_without_accounts_has_a_status_document_too() {
    let telemetry = Telemetry::new(stopped_clock());
    let status = Recorder::new(Duration::from_secs(60), &[]).prepare(&[], &telemetry, minutes(1), DATE);
    assert_eq!(parsed(&status.document(&telemetry, DATE))["accounts"], Value::Array(Vec::new()));
}

#[test]
fn the_live_page_names_every_resource_with_rows() {
    let script = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/assets/page.js"));
    let (_, names) = script.split_once("const RESOURCES = {").unwrap();
    let (names, _) = names.split_once("};").unwrap();
    let known: BTreeSet<_> = names.split(": \"").filter_map(|text| text.rsplit([' ', '{']).next()).collect();
    for resource in Resource::with_rows() {
        assert!(known.contains(resource.as_str()), "{} in {known:?}", resource.as_str());
    }
}
