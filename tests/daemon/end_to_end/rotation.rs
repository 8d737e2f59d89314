//! The rotation of a token file: one that fails is reported, and so is its end.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::rig::{ACCOUNT, Rig, Setup};
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::Scenario;

const SCENARIO: &str = "
accounts: [{ id: 0123456789abcdef0123456789abcdef, generated_users: 5 }]
tokens:
  - { token: first, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }
  - { token: second, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }
";

/// The errors of the account's credential file in the status document: when each ended, and its message.
async fn errors(rig: &Rig) -> Vec<(Option<String>, String)> {
    let document: Value = serde_json::from_str(&rig.get("/api/v1/status").await.1).expect("JSON");
    let errors = document.pointer("/accounts/0/errors").and_then(Value::as_array).expect("a list");
    let of_file = errors.iter().filter(|error| error["resource"] == "credential_file");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    of_file
        .map(|error| {
            assert_eq!(error["cause"], "credential_file");
            (text(&error["over"]), text(&error["error"]).expect("a message"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_rotation_and_its_end_are_reported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let write = |text: &str| fs::write(&token, text).expect("a file can be written");
    write("first\n");
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: rotating, token_file: {} }}]", token.display());
    let scenario = Scenario::from_yaml(SCENARIO).expect("a scenario");
    let setup = Setup { scenario, config: &config, speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start("rotating", setup).await;
    let reload = |value: f64| {
        move |scrape: &super::rig::Scrape| scrape.own("config_last_reload_successful") == Some(value)
    };
    rig.until("the first token is used", |scrape| scrape.get("up") == Some(1.0)).await;
    assert!(reload(1.0)(&rig.scrape().await));

    write("not a token");
    let scrape = rig.until("a malformed token is reported", reload(0.0)).await;
    assert_eq!(scrape.get("up"), Some(1.0), "the first token stays in use");
    rig.until_logged(&["WARN", "the file with the credentials is unusable"]).await;
    fs::remove_file(&token).expect("it is there");
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    let found = loop {
        poll.tick().await;
        match errors(&rig).await {
            found if found.iter().any(|(_, error)| error.contains("No such file")) => break found,
            _ => {}
        }
    };
    assert_eq!((found.len(), &found[0].0), (1, &None), "one error, which is not over: {found:?}");

    write("second");
    rig.until("the second token is used", reload(1.0)).await;
    rig.until_logged(&["INFO", "the credentials changed"]).await;
    rig.until_logged(&["INFO", "the file with the credentials is usable again"]).await;
    let warnings = rig.logs().iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{:#?}", rig.logs());
    loop {
        poll.tick().await;
        if errors(&rig).await[0].0.is_some() {
            break;
        }
    }
    rig.stop().await.expect("a clean end");
}
