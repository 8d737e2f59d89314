//! The content of `/api/v1/status` in normal operation and during failures.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::rig::{ACCOUNT, Rig, Setup, on_summary};
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

const WORLD: &str = "
accounts:
  - id: 0123456789abcdef0123456789abcdef
    users:
      - id: 00000000-0000-0000-0000-000000000001
        email: ada@example.com
        name: Ada Lovelace
        events: [{ behavior: imp_travel, at: -1h }]
tokens:
  - { token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }
";

async fn start(alias: &str, config: &str) -> Rig {
    start_with(WORLD, alias, config).await
}

async fn start_with(world: &str, alias: &str, config: &str) -> Rig {
    let scenario = Scenario::from_yaml(world).expect("a scenario");
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: Tuning::default() }).await
}

/// Waits until `holds` is true of the account's status, and returns it. Panics with `what` after a timeout.
async fn until(rig: &Rig, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    let mut latest = Value::Null;
    let wait = async {
        loop {
            poll.tick().await;
            let (status, text) = rig.get("/api/v1/status").await;
            assert_eq!(status, 200);
            let document: Value = serde_json::from_str(&text).expect("JSON");
            latest = document["accounts"][0].clone();
            if holds(&latest) {
                return latest.clone();
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(30), wait).await {
        Ok(account) => account,
        Err(_) => panic!("{what}: did not happen\n{}\n{latest:#}", rig.logs().join("\n")),
    }
}

/// The latest error of the account: resource, cause, whether it continues, and how often it occurred.
fn error(account: &Value) -> (&str, &str, bool, u64) {
    let error = &account["errors"][0];
    let word = |name: &str| error[name].as_str().unwrap_or_default();
    (word("resource"), word("cause"), error["over"].is_null(), error["times"].as_u64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_each_failure_with_its_beginning_and_end_and_keeps_the_data() {
    let rig = start("live", "users: { identity: email }").await;
    let is_up = |account: &Value| account["up"] == true;
    let before =
        until(&rig, "a first reading", |account| is_up(account) && !account["events"].is_null()).await;
    assert_eq!(before["errors"], Value::Array(Vec::new()));
    assert_eq!(before["resources"]["summary"]["interval_seconds"], 30.0);

    rig.inject(on_summary(Fault::BadGateway));
    until(&rig, "a failure", |account| error(account) == ("summary", "unavailable", true, 2)).await;
    rig.simulator.clear_faults();
    rig.inject(on_summary(Fault::LyingTotals { by: 1 }));
    let during = until(&rig, "a list that is not whole, again", |account| {
        error(account) == ("summary", "partial", true, 2)
    });
    let during = during.await;
    assert_eq!((&during["up"], &during["users"]["by_level"]["high"]), (&Value::Bool(false), &1.into()));
    assert!(!during["errors"][1]["over"].is_null(), "another cause is another error: {during:#}");
    let sentence = during["errors"][0]["error"].as_str().unwrap_or_default();
    assert!(
        sentence.starts_with("the list of users is incomplete, so the last complete one stays: "),
        "{sentence}"
    );

    rig.simulator.clear_faults();
    let after = until(&rig, "the end of it", |account| is_up(account) && !error(account).2).await;
    assert_eq!(after["errors"].as_array().map(Vec::len), Some(2));
    for of_a_user in ["ada@example.com", "Lovelace", "00000000-0000-0000-0000-000000000001"] {
        assert!(!after["errors"].to_string().contains(of_a_user), "{of_a_user}: {after:#}");
    }
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_names_users_at_high_risk_as_the_identity_policy_says() {
    let texts = ["00000000-0000-0000-0000-000000000001", "ada@example.com", "Ada Lovelace"];
    for (config, named, omitted) in [
        ("users: { identity: id }", [true, false, false], 0),
        ("users: { identity: email }", [true, true, true], 0),
        ("users: { identity: none }", [false, false, false], 1),
        ("users: { identity: email, limit: 0 }", [false, false, false], 1),
    ] {
        let rig = start("policy", config).await;
        let account = until(&rig, "a first reading", |account| account["up"] == true).await;
        let users = &account["users"];
        assert_eq!(users["by_level"]["high"], 1, "{config}");
        assert_eq!(texts.map(|text| users["high_risk"].to_string().contains(text)), named, "{config}");
        assert_eq!(users["high_risk_omitted"], omitted, "{config}");
        let since = users["high_risk"][0]["since"].as_str();
        assert_eq!(since.is_some(), omitted == 0, "{config}");
        rig.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_disables_only_the_page_and_the_status() {
    let rig = start("no_page", "web: { page: false }").await;
    rig.until("a first reading", |scrape| scrape.get("up") == Some(1.0)).await;
    for (path, wanted) in [("/", 404), ("/api/v1/status", 404), ("/-/ready", 200), ("/-/healthy", 200)] {
        assert_eq!(rig.get(path).await.0, wanted, "{path}");
    }
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_user_is_not_taken_for_a_token_without_permission() {
    let users: String = (1..=3)
        .map(|number| {
            let id = Uuid::from_u128(number);
            format!("      - {{ id: {id}, events: [{{ behavior: imp_travel, at: -1h }}] }}\n")
        })
        .collect();
    let world = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n"
    );
    let rig = start_with(&world, "refused_user", "intervals: { summary: 10s }").await;
    until(&rig, "counting begins", |account| !account["events"].is_null()).await;
    let message = "Authentication error".to_owned();
    rig.inject(FaultRule::at(Endpoint::User, Fault::Status { status: 403, code: 10_000, message }));
    for (refused, cause) in [(1..=1, "user_refused"), (2..=3, "forbidden")] {
        for number in refused {
            rig.simulator
                .append_event(ACCOUNT, Uuid::from_u128(number), "imp_travel", rig.clock.date())
                .expect("the user exists");
        }
        let is_shown = |account: &Value| {
            let (resource, found, is_ongoing, _) = error(account);
            (resource, found, is_ongoing) == ("user", cause, true)
        };
        let account = until(&rig, cause, is_shown).await;
        let text = account["errors"][0].to_string();
        assert_eq!(text.contains("permission"), cause == "forbidden", "{text}");
        assert!(text.contains("(HTTP 403, 10000 Authentication error"), "{text}");
        rig.until_logged(&["WARN", "cannot read the events of a user", "10000 Authentication error"]).await;
    }
    // A listed user who is not found says nothing of the token either.
    rig.simulator.clear_faults();
    let message = "no such user".to_owned();
    let fault = FaultRule::at(Endpoint::User, Fault::Status { status: 404, code: 1_004, message });
    rig.inject(fault.of_user(Uuid::from_u128(1)));
    let user = Uuid::from_u128(1);
    rig.simulator.append_event(ACCOUNT, user, "imp_travel", rig.clock.date()).expect("the user exists");
    until(&rig, "not found", |account| {
        let (resource, found, is_ongoing, _) = error(account);
        (resource, found, is_ongoing) == ("user", "user_not_found", true)
    })
    .await;
    rig.until_logged(&["WARN", "cannot read the events of a user", "does not find the user's events"]).await;
    rig.simulator.clear_faults();
    rig.until_logged(&["INFO", "the events of all users can be read again"]).await;
    until(&rig, "the errors are over", |account| {
        account["errors"].as_array().is_some_and(|errors| errors.iter().all(|error| !error["over"].is_null()))
    })
    .await;
    rig.stop().await.expect("a clean end");
}
