//! Fields of answers that do not have their documented form: each is logged once, counted, and shown until it is well again.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT, Rig, Scrape, Setup, on_summary};

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

async fn start(alias: &str) -> Rig {
    start_with(alias, "").await
}

async fn start_with(alias: &str, settings: &str) -> Rig {
    let user = |id: Uuid| {
        format!(
            "      - {{ id: {id}, email: ada@example.com, events: [{{ behavior: imp_travel, at: -2d }}] }}\n"
        )
    };
    let text = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{}{}tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n",
        user(FIRST),
        user(SECOND)
    );
    let scenario = Scenario::from_yaml(&text).expect("a scenario");
    let config = &format!("intervals: {{ summary: 10s, behaviors: 10s }}\n{settings}");
    let rig = Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: Tuning::default() }).await;
    rig.until("counting begins", |scrape| is_up(scrape) && scrape.has("events_total")).await;
    rig
}

fn is_up(scrape: &Scrape) -> bool {
    scrape.get("up") == Some(1.0)
}

fn set(path: &str, value: Value) -> Fault {
    Fault::Set { path: path.to_owned(), value }
}

fn unexpected(scrape: &Scrape, resource: &str, field: &str) -> f64 {
    let series = format!("unexpected_fields_total{{resource=\"{resource}\",field=\"{field}\"}}");
    scrape.own(&series).unwrap_or_else(|| panic!("{series} is there from the start"))
}

/// The errors with this cause in the status document: resource, message, and whether it is over.
async fn errors(rig: &Rig, cause: &str) -> Vec<(String, String, bool)> {
    let document: Value = serde_json::from_str(&rig.get("/api/v1/status").await.1).expect("JSON");
    let errors = document.pointer("/accounts/0/errors").and_then(Value::as_array).expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    errors
        .iter()
        .filter(|error| error["cause"] == cause)
        .map(|error| (text(&error["resource"]), text(&error["error"]), !error["over"].is_null()))
        .collect()
}

fn lines<'a>(logs: &'a [String], parts: &[&str]) -> Vec<&'a String> {
    logs.iter().filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_problem_of_a_field_and_its_end_are_reported_once() {
    let rig = start("odd_list").await;
    assert_eq!(unexpected(&rig.scrape().await, "summary", "last_event"), 0.0);
    rig.inject(on_summary(set(&format!("/result/users/{SECOND}/last_event"), json!("ada@example.com"))));
    let scrape =
        rig.until("it is counted", |scrape| unexpected(scrape, "summary", "last_event") >= 3.0).await;
    assert!(is_up(&scrape), "the row stays");
    assert_eq!(
        (scrape.sum("users"), scrape.own("rejected_rows_total{resource=\"summary\"}")),
        (2.0, Some(0.0))
    );
    let problem = "last_event of row 2 is an unexpected string";
    let message = format!("fields do not have their documented form: {problem}");
    assert_eq!(errors(&rig, "unexpected_fields").await, [("summary".to_owned(), message.clone(), false)]);

    rig.simulator.clear_faults();
    rig.until_logged(&["INFO", "the field has its documented form again", "last_event"]).await;
    let logs = rig.logs();
    let begun = lines(&logs, &["WARN", "a field does not have its documented form", problem]);
    assert_eq!(begun.len(), 1, "{logs:#?}");
    assert!(!logs.join("\n").contains("ada@"), "the value is never shown");
    let published = |scrape: &Scrape| scrape.get("up").is_some();
    while errors(&rig, "unexpected_fields").await != [("summary".to_owned(), message.clone(), true)] {
        rig.until("a snapshot is published", published).await;
    }
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_level_is_logged_once_with_its_word() {
    let rig = start("odd_level").await;
    rig.inject(on_summary(set(&format!("/result/users/{FIRST}/max_risk_level"), json!("catastrophic"))));
    rig.inject(FaultRule::at(
        Endpoint::Behaviors,
        set("/result/behaviors/imp_travel/risk_level", json!("catastrophic")),
    ));
    let scrape = rig
        .until("both are counted", |scrape| {
            unexpected(scrape, "summary", "max_risk_level") >= 3.0
                && unexpected(scrape, "behaviors", "risk_level") >= 3.0
        })
        .await;
    assert_eq!((is_up(&scrape), scrape.get("users{max_risk_level=\"unknown\"}")), (true, Some(1.0)));
    assert_eq!(scrape.get(&format!("user_max_risk_level{{user=\"{FIRST}\"}}")), Some(0.0));
    assert_eq!(scrape.get("behavior_risk_level{behavior=\"imp_travel\"}"), Some(0.0));
    let logs = rig.logs();
    let named = lines(&logs, &["WARN", "a risk level that is not documented", "level=\"catastrophic\""]);
    assert_eq!(named.len(), 1, "{logs:#?}");
    assert_eq!(
        lines(&logs, &["a field does not have its documented form"]).len(),
        0,
        "one line for one cause"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_cannot_be_read_are_reported_by_their_field() {
    let rig = start("odd_events").await;
    rig.inject(FaultRule::at(Endpoint::User, set("/result/events/0/timestamp", json!("yesterday"))));
    for user in [FIRST, SECOND] {
        rig.simulator.append_event(ACCOUNT, user, "imp_travel", rig.clock.date()).expect("the user exists");
    }
    let rejected = |scrape: &Scrape| scrape.own("rejected_rows_total{resource=\"user\"}") >= Some(2.0);
    let scrape = rig.until("both users are read", rejected).await;
    assert!(unexpected(&scrape, "user", "timestamp") >= 2.0);
    rig.until_logged(&["WARN", "a field does not have its documented form", "timestamp of row 1"]).await;

    rig.simulator.clear_faults();
    rig.until("all are counted", |scrape| scrape.sum("events_total") == 2.0).await;
    rig.until_logged(&["INFO", "the field has its documented form again", "timestamp"]).await;
    let logs = rig.logs();
    let begun = lines(&logs, &["a field does not have its documented form"]);
    assert_eq!(begun.len(), 1, "once for both users: {logs:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_survive_a_restart_whatever_a_users_row_lacks() {
    let mut rig = start_with("odd_restart", "state: { path: state.redb }").await;
    for field in ["last_event", "event_count", "max_risk_level", "email"] {
        rig.inject(on_summary(set(&format!("/result/users/{FIRST}/{field}"), Value::Null)));
    }
    rig.until("the row is odd", |scrape| unexpected(scrape, "summary", "last_event") >= 3.0).await;
    for user in [FIRST, SECOND] {
        rig.simulator.append_event(ACCOUNT, user, "imp_travel", rig.clock.date()).expect("the user exists");
    }
    let before = rig.until("an event is counted", |scrape| scrape.sum("events_total") > 0.0).await;
    rig.restart().await;
    let after = rig.until("the list is read", is_up).await;
    for series in
        ["counting_since_timestamp_seconds", "events_total{behavior=\"imp_travel\",risk_level=\"high\"}"]
    {
        assert!(before.get(series).is_some() && after.get(series) >= before.get(series), "{series}");
    }
    let since = |scrape: &Scrape| scrape.get("counting_since_timestamp_seconds");
    assert_eq!(since(&after), since(&before), "the state is the same");
    assert_eq!(after.own_sum("state_recoveries_total{result=\"damaged\""), 0.0);
    rig.simulator.clear_faults();
    rig.until("all are counted", |scrape| scrape.sum("events_total") == 2.0).await;
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_null_is_no_empty_list_until_it_stays_null() {
    let rig = start("null_list").await;
    // A total that counts users would contradict it at once.
    rig.inject(on_summary(set("/result_info/total_count", json!(0))));
    rig.inject(on_summary(set("/result/users", Value::Null)));
    let scrape = rig.until("the list is incomplete", |scrape| scrape.get("up") == Some(0.0)).await;
    assert_eq!(scrape.sum("users"), 2.0, "the last list stays");
    rig.until_logged(&[
        "WARN",
        "the list of users is incomplete",
        "it is null, and 2 users were listed before",
    ])
    .await;
    rig.until("it is believed", |scrape| is_up(scrape) && scrape.sum("users") == 0.0).await;
    rig.until_logged(&["WARN", "no users are listed any more", "before=2"]).await;
    // After ten minutes, and not before.
    let requests = rig.simulator.ground_truth().requests_total;
    let lists: u64 =
        requests.iter().filter(|total| total.endpoint == Endpoint::Summary).map(|total| total.count).sum();
    assert!(lists > 50, "{lists} lists in intervals of ten seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_list_of_behaviors_is_no_answer_until_it_stays_empty() {
    let rig = start("no_behaviors").await;
    let shown = |scrape: &Scrape| scrape.series_of("no_behaviors", "behavior_enabled").len();
    let before = shown(&rig.scrape().await);
    assert!(before > 0);
    let begun = rig.clock.now();
    rig.inject(FaultRule::at(Endpoint::Behaviors, set("/result/behaviors", json!({}))));
    let scrape =
        rig.until("it is reported", |scrape| unexpected(scrape, "behaviors", "behaviors") >= 2.0).await;
    assert_eq!(shown(&scrape), before, "the last list stays");
    rig.until("it is believed", |scrape| shown(scrape) == 0).await;
    assert!(rig.clock.now().since(begun) > Duration::from_secs(600));
    rig.simulator.clear_faults();
    rig.until("they are back", |scrape| shown(scrape) == before).await;
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_name_counts_for_other_behaviors() {
    let rig = start("nameless_events").await;
    rig.inject(FaultRule::at(Endpoint::User, set("/result/events/*/name", Value::Null)));
    for user in [FIRST, SECOND] {
        rig.simulator.append_event(ACCOUNT, user, "imp_travel", rig.clock.date()).expect("the user exists");
    }
    let scrape = rig.until("both are counted", |scrape| scrape.sum("events_total") == 2.0).await;
    assert_eq!(scrape.sum("events_total{account=\"nameless_events\",behavior=\"other\""), 2.0);
    assert!(unexpected(&scrape, "user", "name") >= 2.0);
    rig.simulator.clear_faults();
    rig.simulator.append_event(ACCOUNT, FIRST, "imp_travel", rig.clock.date()).expect("the user exists");
    let scrape = rig.until("the third is counted", |scrape| scrape.sum("events_total") >= 3.0).await;
    assert_eq!(scrape.sum("events_total"), 3.0, "none is counted again under its name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_behavior_that_does_not_say_whether_it_is_enabled_stays_as_it_was() {
    let rig = start("unsaid_setting").await;
    let series = "behavior_enabled{behavior=\"imp_travel\"}";
    let before = rig.scrape().await.get(series);
    assert!(before.is_some());
    rig.inject(FaultRule::at(Endpoint::Behaviors, set("/result/behaviors/imp_travel/enabled", Value::Null)));
    let scrape =
        rig.until("it is reported", |scrape| unexpected(scrape, "behaviors", "enabled") >= 3.0).await;
    assert_eq!(scrape.get(series), before);
    assert_eq!(scrape.own("rejected_rows_total{resource=\"behaviors\"}"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_contradicting_rows_the_dangerous_one_counts_and_it_is_said_once() {
    let rig = start("contradictions").await;
    let high = "users{max_risk_level=\"high\"}";
    assert_eq!(rig.scrape().await.get(high), Some(2.0));
    rig.inject(on_summary(Fault::ContradictingRows));
    let scrape =
        rig.until("it is reported", |scrape| unexpected(scrape, "summary", "max_risk_level") >= 6.0).await;
    assert_eq!((scrape.get(high), is_up(&scrape)), (Some(2.0), true));
    let logs = rig.logs();
    let said = lines(&logs, &["WARN", "max_risk_level differs between two rows for the same id"]);
    assert_eq!(said.len(), 1, "{logs:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_dates_answers_weeks_ago_is_reported_once_and_changes_no_count() {
    const WEEKS: i64 = 30 * 86_400;
    let rig = start("old_dates").await;
    let since = rig.scrape().await.get("counting_since_timestamp_seconds");
    rig.inject(FaultRule::everywhere(Fault::ClockSkew { seconds: -WEEKS }));
    let scrape = rig.until("it is counted", |scrape| unexpected(scrape, "summary", "date") >= 3.0).await;
    assert_eq!((is_up(&scrape), scrape.get("counting_since_timestamp_seconds")), (true, since));
    let message = "fields do not have their documented form: date differs by more than a day from the clock of this machine";
    assert_eq!(errors(&rig, "unexpected_fields").await, [("summary".to_owned(), message.to_owned(), false)]);
    for user in [FIRST, SECOND] {
        rig.simulator.append_event(ACCOUNT, user, "imp_travel", rig.clock.date()).expect("the user exists");
    }
    rig.until("both are counted", |scrape| scrape.sum("events_total") == 2.0).await;

    rig.simulator.clear_faults();
    rig.until_logged(&["INFO", "the field has its documented form again", "date"]).await;
    let logs = rig.logs();
    let said = lines(&logs, &["WARN", "date differs by more than a day"]);
    assert_eq!(said.len(), 1, "{logs:#?}");
    let scrape = rig.scrape().await;
    assert_eq!((scrape.sum("events_total"), scrape.sum("events_unattributed_total")), (2.0, 0.0));
}
