//! The rotation of a token file: one that fails is reported, and so is its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::rig::{ACCOUNT, Rig, Scrape, Setup};
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

const SCENARIO: &str = "
accounts: [{ id: 0123456789abcdef0123456789abcdef, generated_users: 5 }]
tokens:
  - { token: first, permissions: [Zero Trust Read, 'Zero Trust: PII Read'], expires_on: '2031-01-01T00:00:00Z' }
  - { token: second, permissions: [Zero Trust Read, 'Zero Trust: PII Read'], expires_on: '2032-01-01T00:00:00Z' }
";

/// What is logged of a file that cannot be used.
const UNUSABLE: &str = "the file with the credentials is unusable";

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
async fn a_failed_rotation_is_reported_once_for_each_reason_and_so_is_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let write = |text: &str| fs::write(&token, text).expect("a file can be written");
    write("first\n");
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: rotating, token_file: {} }}]", token.display());
    let scenario = Scenario::from_yaml(SCENARIO).expect("a scenario");
    let setup = Setup { scenario, config: &config, speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start("rotating", setup).await;
    let reload =
        |value: f64| move |scrape: &Scrape| scrape.own("config_last_reload_successful") == Some(value);
    rig.until("the first token is used", |scrape| scrape.get("up") == Some(1.0)).await;
    assert!(reload(1.0)(&rig.scrape().await));

    write("not a token");
    let scrape = rig.until("a malformed token is reported", reload(0.0)).await;
    assert_eq!(scrape.get("up"), Some(1.0), "the first token stays in use");
    rig.until_logged(&["WARN", UNUSABLE]).await;
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    fs::remove_file(&token).expect("it is there");
    // Nobody writes to the pipe, so opening it would not end.
    let make_pipe = || assert!(Command::new("mkfifo").arg(&token).status().expect("mkfifo runs").success());
    let steps: [(&dyn Fn(), &str); 2] = [(&|| {}, "No such file"), (&make_pipe, "it is not a regular file")];
    for (step, problem) in steps {
        step();
        let found = loop {
            poll.tick().await;
            match errors(&rig).await {
                found if found.iter().any(|(_, error)| error.contains(problem)) => break found,
                _ => {}
            }
        };
        assert_eq!((found.len(), &found[0].0), (1, &None), "one error, which is not over: {found:?}");
        rig.until_logged(&["WARN", UNUSABLE, problem]).await;
    }
    fs::remove_file(&token).expect("the pipe is there");

    write("second");
    rig.until("the second token is used", reload(1.0)).await;
    rig.until_logged(&["INFO", "the credentials changed"]).await;
    rig.until_logged(&["INFO", "the file with the credentials is usable again"]).await;
    for problem in ["has a character that is not allowed", "it is not a regular file"] {
        let logs = rig.logs();
        let warned = |line: &&String| [UNUSABLE, problem, "WARN"].into_iter().all(|part| line.contains(part));
        assert_eq!(logs.iter().filter(warned).count(), 1, "{problem}: {logs:#?}");
    }
    loop {
        poll.tick().await;
        if errors(&rig).await[0].0.is_some() {
            break;
        }
    }
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_expiry_of_a_token_ends_with_it_even_if_the_next_one_cannot_be_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let write = |text: &str| fs::write(&token, text).expect("a file can be written");
    write("first\n");
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: expiring, token_file: {} }}]", token.display());
    let scenario = Scenario::from_yaml(SCENARIO).expect("a scenario");
    let setup = Setup { scenario, config: &config, speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start("expiring", setup).await;
    let expiry = |scrape: &Scrape| scrape.own("token_expiry_timestamp_seconds");
    rig.until("the expiry of the first", |scrape| expiry(scrape) == Some(1_924_992_000.0)).await;

    // As for a token that belongs to the account and not to a user.
    let invalid = Fault::Status { status: 401, code: 1_000, message: "Invalid API Token".to_owned() };
    rig.inject(FaultRule::at(Endpoint::TokenVerify, invalid));
    write("second\n");
    rig.until_logged(&["the credentials changed"]).await;
    let failed = "requests_total{resource=\"token_verify\",outcome=\"refused\"}";
    let scrape = rig.until("it cannot be verified", |scrape| scrape.own(failed) >= Some(1.0)).await;
    assert_eq!((expiry(&scrape), scrape.get("up")), (None, Some(1.0)));

    rig.simulator.clear_faults();
    write("first\n");
    rig.until("the first one again", |scrape| expiry(scrape) == Some(1_924_992_000.0)).await;
    write("second\n");
    rig.until("the second one is verified", |scrape| expiry(scrape) == Some(1_956_528_000.0)).await;
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_that_every_user_of_the_machine_may_read_is_warned_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    // As a rotation does it: the new file replaces the other in one step.
    let rotate = |text: &str, mode: u32| {
        let new = folder.path().join("new");
        fs::write(&new, text).expect("a file can be written");
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("it is this user's file");
        fs::rename(&new, &token).expect("both are in one folder");
    };
    rotate("first", 0o600);
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: exposed, token_file: {} }}]", token.display());
    let scenario = Scenario::from_yaml(SCENARIO).expect("a scenario");
    let setup = Setup { scenario, config: &config, speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start("exposed", setup).await;
    rig.until("the first token is used", |scrape| scrape.get("up") == Some(1.0)).await;

    let changes =
        |logs: &[String]| logs.iter().filter(|line| line.contains("the credentials changed")).count();
    let warning = "every user of this machine may read the secret in";
    let warnings = |logs: &[String]| logs.iter().filter(|line| line.contains(warning)).count();
    for (number, (text, mode, warned)) in
        [("second", 0o640, 0), ("first", 0o644, 1), ("second", 0o600, 1)].into_iter().enumerate()
    {
        rotate(text, mode);
        rig.until("the token is used", |_| changes(&rig.logs()) == number + 1).await;
        if warned > 0 {
            rig.until_logged(&["WARN", warning, "mode 0644"]).await;
        }
        assert_eq!(warnings(&rig.logs()), warned, "{mode:o}: {:#?}", rig.logs());
    }
    rig.stop().await.expect("a clean end");
}
