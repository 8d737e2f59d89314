//! What `/api/v1/status` says of accounts made by hand, word for word.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use zt_risk_exporter::clock::{Clock, Instant, Timestamp};
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::telemetry::{Cause, Telemetry};
use zt_risk_exporter::internals::server::status::{Recorder, Status};
use zt_risk_exporter::internals::store::{Recovery, StoreStats};
use zt_risk_exporter::model::{Level, Resource, Snapshot};

use crate::accounts;

/// The date of every document here: 2026-11-21T00:05:01.25Z, a second after the last reading in [`world`].
const DATE: Timestamp = Timestamp::from_millis(1_795_219_501_250);

/// So slow that it stands still.
fn stopped_clock() -> Clock {
    Clock::scaled(DATE, 1e-6)
}

fn minutes(count: u64) -> Instant {
    Instant::after_start(Duration::from_secs(60 * count))
}

/// The account of [`accounts::full`] as it is read `later` minutes after that, with more of everything.
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

/// One account with everything, read three times with a gap in between, and one of which nothing is known.
fn world() -> (Status, Telemetry) {
    let clock = stopped_clock();
    let meter = Arc::new(StoreStats::default());
    meter.recovered(Recovery::Fresh, 1_048_576);
    let telemetry = Telemetry::with_state(clock.clone(), meter);
    let alias = accounts::full().account.alias;
    telemetry.account(&alias, Budget::new(0.25, clock));
    telemetry.poll_interval(&alias, Resource::Summary, Duration::from_secs(30));
    telemetry.poll_interval(&alias, Resource::Behaviors, Duration::from_secs(300));
    telemetry.token_expiry(&alias, Some(Timestamp::from_seconds(1_800_000_000)));
    let timeout = Cause::Request(Outcome::Timeout);
    for second in [100, 131] {
        let date = Timestamp::from_seconds(1_795_219_000 + second);
        telemetry.trouble(&alias, Resource::Summary, timeout, &format!("attempt {second}"), date);
    }
    telemetry.trouble_over(&alias, Resource::Summary, Timestamp::from_seconds(1_795_219_150));
    let forbidden = Cause::Request(Outcome::Forbidden);
    let date = Timestamp::from_seconds(1_795_219_190);
    telemetry.trouble(&alias, Resource::Integrations, forbidden, "no \"permission\"", date);

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
fn the_live_page_names_every_resource_with_rows() {
    let script = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/assets/page.js"));
    let (_, names) = script.split_once("const ENDPOINTS = {").unwrap();
    let (names, _) = names.split_once("};").unwrap();
    let known: BTreeSet<_> = names.split(": \"").filter_map(|text| text.rsplit([' ', '{']).next()).collect();
    for resource in Resource::with_rows() {
        assert!(known.contains(resource.as_str()), "{} in {known:?}", resource.as_str());
    }
}

#[test]
fn the_status_is_the_golden_status() {
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
        assert_eq!(is, wanted, "line {} of status.json; UPDATE_GOLDEN=1 writes it anew", number + 1);
    }
    assert_eq!(json.lines().count(), golden.lines().count(), "lines of status.json");
}

/// The names of all fields; what stands below a map of data is named by the data.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, below) in object {
                found.insert(name.clone());
                match (name.as_str(), below) {
                    ("endpoints" | "by_behavior", Value::Object(data)) => {
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
fn the_manual_names_every_field() {
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
fn there_is_nothing_of_single_users_in_it_whatever_the_identity_policy() {
    let (status, telemetry) = world();
    let json = String::from_utf8(status.document(&telemetry, DATE)).unwrap();
    for of_a_user in ["00000000-0000-0000-0000-000000000001", "ada@example.com", "velace"] {
        assert!(!json.contains(of_a_user), "{of_a_user}");
    }
}

#[test]
fn an_error_that_names_a_user_is_told_without_the_id() {
    let telemetry = Telemetry::new(stopped_clock());
    let id = "00000000-0000-0000-0000-000000000001";
    let cause = Cause::Request(Outcome::NotFound);
    telemetry.trouble("branch", Resource::User, cause, &format!("no user {id} (HTTP 404)"), DATE);
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let document = parsed(&status.document(&telemetry, DATE));
    assert_eq!(document.pointer("/accounts/0/errors/0/error").unwrap(), "no user (id) (HTTP 404)");
}

#[test]
fn a_trend_has_no_gap_between_readings_that_come_when_they_are_due() {
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
    // The first reading counts one more than the account has at the start, and is held until the second.
    assert_eq!(high, [2, 2, 2, 2, 2, 7]);
}

#[tokio::test]
async fn what_changes_by_itself_is_as_of_the_request() {
    let (clock, meter) = (stopped_clock(), Arc::new(StoreStats::default()));
    let telemetry = Telemetry::with_state(clock.clone(), Arc::clone(&meter));
    let budget = Budget::new(0.25, clock);
    telemetry.account("branch", budget.clone());
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let says = |pointer: &str| parsed(&status.document(&telemetry, DATE)).pointer(pointer).cloned().unwrap();
    assert_eq!(says("/state/kept"), "memory");
    assert_eq!(says("/accounts/0/budget/remaining"), 300);
    assert_eq!(says("/accounts/0/budget/blocked_until"), Value::Null);
    let permit = budget.take(Duration::ZERO).await.unwrap();
    permit.limited(Duration::from_secs(60));
    assert_eq!(says("/accounts/0/budget/remaining"), 299);
    assert_eq!(says("/accounts/0/budget/blocked_until"), "2026-11-21T00:06:02Z");
    meter.recovered(Recovery::Restored, 10);
    assert_eq!((says("/state/kept"), says("/state/size_bytes")), ("disk".into(), 10.into()));
    meter.failed();
    assert_eq!(says("/state/kept"), "failing");
}

#[test]
fn an_exporter_without_accounts_has_a_status_too() {
    let telemetry = Telemetry::new(stopped_clock());
    let status = Recorder::new(Duration::from_secs(60), &[]).prepare(&[], &telemetry, minutes(1), DATE);
    assert_eq!(parsed(&status.document(&telemetry, DATE))["accounts"], Value::Array(Vec::new()));
}
