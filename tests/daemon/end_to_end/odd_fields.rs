//! Fields of answers that do not have their documented form: each is logged once, counted, and shown until it is well again.

use serde_json::{Value, json};
use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT, Rig, Scrape, Setup, on_summary};

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

async fn start(alias: &str) -> Rig {
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
    let config = "intervals: { summary: 10s, behaviors: 10s }";
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
