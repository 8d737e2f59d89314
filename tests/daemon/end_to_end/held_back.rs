//! Answers that say that no request is left: the list is overdue, and the log, the status and a metric say why and until when.

use std::time::Duration;

use serde_json::Value;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Fault, Scenario};

use super::rig::{Rig, Setup, on_summary};

/// The errors about the list of users in the status document.
async fn errors(rig: &Rig) -> Vec<Value> {
    let document: Value = serde_json::from_str(&rig.get("/api/v1/status").await.1).expect("JSON");
    let errors = document.pointer("/accounts/0/errors").and_then(Value::as_array).expect("a list");
    errors.iter().filter(|error| error["resource"] == "summary").cloned().collect()
}

/// The errors about the list of users, once they are as expected.
async fn errors_with(rig: &Rig, is_expected: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    loop {
        poll.tick().await;
        let errors = errors(rig).await;
        if errors.first().is_some_and(&is_expected) {
            return errors;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_may_not_be_requested_is_reported_with_the_reason_and_the_end() {
    let scenario = Scenario::from_yaml(
        "accounts: [{ id: 0123456789abcdef0123456789abcdef, generated_users: 5 }]\n\
         tokens: [{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }]\n",
    );
    let scenario = scenario.expect("a scenario");
    let setup = Setup { scenario, config: "", speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start("held_back", setup).await;
    let until = "blocked_until_timestamp_seconds";
    let scrape = rig.until("a first reading", |scrape| scrape.get("up") == Some(1.0)).await;
    assert_eq!(scrape.own(until), None);

    rig.inject(on_summary(Fault::NothingLeft { resets_in_seconds: 300 }).times(1));
    let scrape = rig
        .until("it is overdue", |scrape| scrape.get("up") == Some(0.0) && scrape.own(until).is_some())
        .await;
    let end = scrape.own(until).expect("just seen");
    let ahead = end - rig.clock.date().seconds();
    assert!(ahead <= 300.0, "{ahead} s ahead");
    let said = "the list of users is overdue, because no request may be sent";
    rig.until_logged(&["WARN", said, "no request is left", "until=20", "resource=\"summary\""]).await;
    let found = errors_with(&rig, |error| error["cause"] == "limited").await;
    assert_eq!((found.len(), &found[0]["over"]), (1, &Value::Null), "{found:?}");
    let message = found[0]["error"].as_str().expect("a text");
    assert!(message.contains("no request may be sent until 20"), "{message}");

    let scrape =
        rig.until("it is over", |scrape| scrape.get("up") == Some(1.0) && scrape.own(until).is_none()).await;
    assert!(scrape.get("users{max_risk_level=\"high\"}").is_some());
    rig.until_logged(&["INFO", "requests succeed again", "resource=\"summary\""]).await;
    errors_with(&rig, |error| !error["over"].is_null()).await;
    let lines = |level: &str| rig.logs().iter().filter(|line| line.contains(level)).count();
    assert_eq!(lines("WARN"), 1, "{:#?}", rig.logs());

    // It comes back again and again: that is said once more, and the end only once it has lasted.
    for _ in 0..3 {
        rig.inject(on_summary(Fault::NothingLeft { resets_in_seconds: 100 }).times(1));
        rig.until("it is overdue again", |scrape| scrape.get("up") == Some(0.0)).await;
        rig.until("it is over again", |scrape| scrape.get("up") == Some(1.0)).await;
    }
    let ends = || rig.logs().iter().filter(|line| line.contains("requests succeed again")).count();
    rig.until("the end is said", |_| ends() == 2).await;
    assert_eq!(lines("WARN"), 2, "{:#?}", rig.logs());
    rig.stop().await.expect("a clean end");
}
