//! The status document of accounts made by hand, compared with a golden file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use zt_risk_exporter::clock::{Clock, Instant, Timestamp};
use zt_risk_exporter::cloudflare::Outcome;
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::internals::metrics::telemetry::{IncidentCause, Telemetry};
use zt_risk_exporter::internals::server::status::{Query, Recorder, Status};
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
    let name = accounts::full().account;
    let id = name.id.clone();
    telemetry.accounts([(name, Budget::new(0.25, clock))]);
    telemetry.poll_interval(&id, Resource::Summary, Duration::from_secs(30));
    telemetry.poll_interval(&id, Resource::Behaviors, Duration::from_secs(300));
    telemetry.token_expiry(&id, Some(Timestamp::from_seconds(1_800_000_000)));
    let timeout = IncidentCause::Request(Outcome::Timeout);
    for second in [100, 131] {
        let date = Timestamp::from_seconds(1_795_219_000 + second);
        telemetry.incident(&id, Resource::Summary, timeout, &format!("attempt {second}"), date);
    }
    telemetry.incident_over(&id, Resource::Summary, Timestamp::from_seconds(1_795_219_150));
    let forbidden = IncidentCause::Request(Outcome::Forbidden);
    let date = Timestamp::from_seconds(1_795_219_190);
    telemetry.incident(&id, Resource::Integrations, forbidden, "no \"permission\"", date);

    let mut recorder =
        Recorder::new(Duration::from_secs(60), &shared([accounts::full(), accounts::unread()]))
            .linking(Some("https://grafana.example".to_owned()));
    for minute in [1, 2] {
        let read = shared([later(minute), accounts::unread()]);
        recorder.prepare(&read, &telemetry, minutes(minute), DATE);
    }
    let read = shared([later(5), accounts::unread()]);
    (recorder.prepare(&read, &telemetry, minutes(5), DATE), telemetry)
}

/// The whole document.
fn whole(status: &Status, telemetry: &Telemetry) -> Vec<u8> {
    status.document(&Query::default(), telemetry, DATE).json
}

/// What a request with this query gets.
fn part(status: &Status, telemetry: &Telemetry, query: &str) -> Value {
    parsed(&status.document(&Query::parse(Some(query)).unwrap(), telemetry, DATE).json)
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

#[test]
fn the_status_document_is_the_golden_one() {
    let (status, telemetry) = world();
    let mut document = parsed(&whole(&status, &telemetry));
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
    fields(&parsed(&whole(&status, &telemetry)), &mut found);
    assert!(found.len() > 40, "{found:?}");
    let missing: Vec<_> = found.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/live-page.md: {missing:?}");
}

/// Whether everything in `part` is in `whole` too, with the same value.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|whole| is_part(value, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.iter().all(|value| whole.iter().any(|whole| is_part(value, whole)))
        }
        _ => part == whole,
    }
}

#[test]
fn the_overview_is_the_document_without_what_an_account_page_has_in_addition() {
    let (status, telemetry) = world();
    let (document, overview) =
        (parsed(&whole(&status, &telemetry)), part(&status, &telemetry, "view=overview"));
    assert!(is_part(&overview, &document), "{overview:#}");
    for (pointer, wanted) in [
        ("/accounts/0/users/by_level/high", Some(6.into())),
        ("/accounts/0/events/recent", Some(5.into())),
        ("/accounts/0/errors/0/cause", Some("forbidden".into())),
        ("/accounts/1/account", Some("branch".into())),
        // The error that is over, and what grows with the account.
        ("/accounts/0/errors/1", None),
        ("/accounts/0/users/trend", None),
        ("/accounts/0/users/high_risk", None),
        ("/accounts/0/events/by_behavior", None),
        ("/accounts/0/events/trend", None),
        ("/accounts/0/behaviors", None),
        ("/accounts/0/integrations", None),
        ("/accounts/0/links", None),
    ] {
        assert_eq!(overview.pointer(pointer), wanted.as_ref(), "{pointer}");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn a_query_selects_one_account() {
    let (status, telemetry) = world();
    let document = parsed(&whole(&status, &telemetry));
    let [id, none] = [document["accounts"][1]["account_id"].as_str().unwrap(), "0"];
    let selected = part(&status, &telemetry, &format!("account={id}"));
    assert_eq!(selected["accounts"], Value::Array(vec![document["accounts"][1].clone()]));
    assert_eq!(part(&status, &telemetry, &format!("account={none}"))["accounts"], Value::Array(Vec::new()));
}

#[test]
fn the_hash_changes_with_everything_but_the_date() {
    let (status, telemetry) = world();
    let at = |query, date| status.document(&Query::parse(Some(query)).unwrap(), &telemetry, date);
    let [now, an_hour_later] = [DATE, DATE + Duration::from_secs(3_600)].map(|date| at("", date));
    assert_ne!(now.json, an_hour_later.json);
    assert_eq!(now.hash, an_hour_later.hash);
    // The same reading before and after an error that happened once more.
    let read = || {
        let read = shared([later(5)]);
        let status = Recorder::new(Duration::from_secs(60), &[]).prepare(&read, &telemetry, minutes(5), DATE);
        status.document(&Query::default(), &telemetry, DATE).hash
    };
    let (before, repeated) = (read(), read());
    assert_eq!(before, repeated);
    let id = accounts::full().account.id;
    let date = Timestamp::from_seconds(1_795_219_191);
    let forbidden = IncidentCause::Request(Outcome::Forbidden);
    telemetry.incident(&id, Resource::Integrations, forbidden, "no \"permission\"", date);
    let hashes = [now.hash, at("view=overview", DATE).hash, at("account=0", DATE).hash, before, read()];
    assert_eq!(BTreeSet::from(hashes).len(), hashes.len(), "{hashes:x?}");
}

#[test]
fn users_at_high_risk_are_listed_as_in_the_metrics_and_no_others() {
    let (status, telemetry) = world();
    let document = parsed(&whole(&status, &telemetry));
    let users = &document["accounts"][0]["users"];
    let wanted = serde_json::json!([{
        "user": "00000000-0000-0000-0000-000000000001",
        "email": "ada@example.com",
        "name": "Ada \"the\nfirst\" Lövelace",
        "since": "2026-11-20T23:56:40Z",
        "last_event": "2026-11-20T23:59:59.999Z",
        "reported_events": 4_000_000_000_u32,
        "last_reset": "2026-09-21T14:13:20Z",
    }]);
    assert_eq!((&users["high_risk"], &users["high_risk_omitted"]), (&wanted, &5.into()));
}

#[test]
fn twenty_users_are_listed_and_none_if_the_identity_policy_names_none() {
    for (named, high, listed, omitted) in [(0, 7, 0, 7), (20, 20, 20, 0), (21, 30, 20, 10)] {
        let mut snapshot = accounts::full();
        let users = snapshot.users.as_mut().unwrap();
        let user = users.series[0].clone();
        users.series = vec![user; named];
        users.count[Level::High.index()] = high;
        let telemetry = Telemetry::new(stopped_clock());
        let snapshots = shared([snapshot]);
        let mut recorder = Recorder::new(Duration::from_secs(60), &snapshots);
        let status = recorder.prepare(&snapshots, &telemetry, minutes(1), DATE);
        let document = parsed(&whole(&status, &telemetry));
        let users = &document["accounts"][0]["users"];
        let found =
            (users["high_risk"].as_array().unwrap().len(), users["high_risk_omitted"].as_u64().unwrap());
        assert_eq!(found, (listed, omitted), "{named} of {high} users have a name");
    }
}

#[test]
fn an_error_is_shown_without_ids_of_users() {
    let telemetry = Telemetry::new(stopped_clock());
    let name = accounts::unread().account;
    let account = name.id.clone();
    let id = "00000000-0000-0000-0000-000000000001";
    let cause = IncidentCause::Request(Outcome::NotFound);
    telemetry.accounts([(name, Budget::new(0.25, stopped_clock()))]);
    telemetry.incident(&account, Resource::User, cause, &format!("no user {id} (HTTP 404)"), DATE);
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let document = parsed(&whole(&status, &telemetry));
    assert_eq!(document.pointer("/accounts/0/errors/0/error").unwrap(), "no user (id) (HTTP 404)");
}

#[test]
fn a_trend_has_no_gap_between_readings_that_are_in_time() {
    let telemetry = Telemetry::new(stopped_clock());
    let name = accounts::full().account;
    let id = name.id.clone();
    telemetry.accounts([(name, Budget::new(0.25, stopped_clock()))]);
    telemetry.poll_interval(&id, Resource::Summary, Duration::from_secs(300));
    let mut recorder = Recorder::new(Duration::from_secs(60), &shared([accounts::full()]));
    recorder.prepare(&shared([later(1)]), &telemetry, minutes(1), DATE);
    let status = recorder.prepare(&shared([later(6)]), &telemetry, minutes(6), DATE);
    let document = parsed(&whole(&status, &telemetry));
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
    telemetry.accounts([(accounts::unread().account, budget.clone())]);
    let accounts = shared([accounts::unread()]);
    let status =
        Recorder::new(Duration::from_secs(60), &accounts).prepare(&accounts, &telemetry, minutes(1), DATE);
    let says = |pointer: &str| parsed(&whole(&status, &telemetry)).pointer(pointer).cloned().unwrap();
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
    assert_eq!(parsed(&whole(&status, &telemetry))["accounts"], Value::Array(Vec::new()));
}

#[test]
fn the_live_page_names_every_resource_with_rows() {
    let script = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/assets/health.js"));
    let (_, names) = script.split_once("const RESOURCES = {").unwrap();
    let (names, _) = names.split_once("};").unwrap();
    let known: BTreeSet<_> = names.split(": \"").filter_map(|text| text.rsplit([' ', '{']).next()).collect();
    for resource in Resource::with_rows() {
        assert!(known.contains(resource.as_str()), "{} in {known:?}", resource.as_str());
    }
}
