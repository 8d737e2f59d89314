//! Records two days of two accounts with many kinds of incidents, as Prometheus would have stored them. The dashboards are
//! viewed with this data.
//!
//! `tests/dashboards/run` starts it, and `promtool tsdb create-blocks-from openmetrics` loads what it writes.
//! `HISTORY_HOURS` makes the history longer; all incidents are in its last day. `HISTORY_PACE` sets the speed of the
//! clock. Measured durations, such as that of encoding, are too large by this factor.

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{BehaviorSpec, Fault, FaultRule, Level, Scenario};

use super::rig::{Rig, Setup};

/// The account with most of the incidents.
const ACME: &str = "0123456789abcdef0123456789abcdef";

/// A small account with credentials of its own.
const BRANCH: &str = "fedcba9876543210fedcba9876543210";

const OKTA: Uuid = Uuid::from_u128(0x4cfe_8442_664b_4915_acd4_b39c_d65c_4314);

const WORLD: &str = "
seed: 11
accounts:
  - id: 0123456789abcdef0123456789abcdef
    generated_users: 700
    integrations:
      - { id: 4cfe8442-664b-4915-acd4-b39cd65c4314, reference_id: okta-staff, tenant_url: 'https://example.okta.com', active: true, created_at: -720h }
      - { id: 4cfe8442-664b-4915-acd4-b39cd65c4315, reference_id: okta-partners, tenant_url: 'https://partners.example.okta.com', active: true, created_at: -480h }
  - id: fedcba9876543210fedcba9876543210
    generated_users: 120
    integrations:
      - { id: 4cfe8442-664b-4915-acd4-b39cd65c4316, reference_id: okta-branch, tenant_url: 'https://branch.example.okta.com', active: true, created_at: -240h }
tokens:
  - { token: for-acme, permissions: [Zero Trust Read, Zero Trust Write, 'Zero Trust: PII Read'], user: acme, expires_on: '2030-06-30T00:00:00Z' }
  - { token: for-branch, permissions: [Zero Trust Read, 'Zero Trust: PII Read'], user: branch, expires_on: '2030-04-09T00:00:00Z' }
";

/// The declared settings of two behaviors. Somebody changes one of them.
const DECLARED: &str =
    "high_dlp: { enabled: true, risk_level: medium }\nimp_travel: { enabled: true, risk_level: high }\n";

/// The scrape interval on the simulated clock.
const INTERVAL: Duration = Duration::from_secs(60);

/// The target labels of each stored sample.
const TARGET: &str = r#"job="zt-risk-exporter",instance="localhost:10069""#;

/// promtool reads the whole file once for every two hours in it, so a file must not cover many hours.
const MINUTES_OF_A_PART: u32 = 6 * 60;

/// A number from the environment.
fn setting(name: &str, default: u32) -> u32 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
        Err(_) => default,
    }
}

/// Causes the incidents that are due this many minutes before the end, all within the last day.
async fn cause_incidents(rig: &Rig, minutes_left: u32, branch_token: &Path) {
    match minutes_left {
        1_200 => write_token(branch_token, "revoked"),
        1_140 => {
            // A busy machine may take longer than an hour of this clock to notice the file.
            rig.until("the token is refused", |scrape| scrape.get_of("branch", "up") == Some(0.0)).await;
            write_token(branch_token, "for-branch");
        }
        900 => {
            let status = Fault::Status { status: 503, code: 1000, message: "unavailable".to_owned() };
            rig.inject(FaultRule::everywhere(status));
        }
        880 => rig.simulator.clear_faults(),
        560 => configure(rig, "high_dlp", "High Number of DLP Policies Triggered", false, Level::Medium),
        500 => configure(rig, "security_domain", "Suspicious Security Domain", true, Level::High),
        // A campaign: sixty users in ten minutes.
        421..=430 => users(rig, Level::Low, 6).for_each(|user| act(rig, user, "malicious_file")),
        330 => deactivate(rig).await,
        240 => {
            let limited = Fault::Limited { retry_after: Some("400".to_owned()) };
            rig.inject(FaultRule::everywhere(limited).in_account(ACME).times(1));
        }
        // The users of the campaign are reset.
        171..=180 => users(rig, Level::High, 6).for_each(|user| reset(rig, user)),
        // Some of them get events again.
        90 | 100 | 110 | 120 => offend_again(rig),
        _ => {}
    }
}

/// The first users at this level in the large account.
fn users(rig: &Rig, level: Level, count: usize) -> impl Iterator<Item = Uuid> {
    let truth = rig.simulator.ground_truth_since(rig.clock.date());
    let listed =
        truth.users.into_iter().filter(move |user| user.account == ACME && user.max_risk_level == level);
    listed.map(|user| user.user).take(count)
}

fn act(rig: &Rig, user: Uuid, behavior: &str) {
    rig.simulator.append_event(ACME, user, behavior, rig.clock.date()).expect("the account exists");
}

fn reset(rig: &Rig, user: Uuid) {
    rig.simulator.reset(ACME, user).expect("the user is listed");
}

fn offend_again(rig: &Rig) {
    let truth = rig.simulator.ground_truth();
    let again = truth.resets.iter().rev().filter(|reset| reset.account == ACME);
    let user =
        again.map(|reset| reset.user).find(|user| truth.users.iter().all(|listed| listed.user != *user));
    act(rig, user.expect("not all who were reset are back"), "imp_travel");
}

fn configure(rig: &Rig, id: &str, name: &str, enabled: bool, risk_level: Level) {
    let behavior = BehaviorSpec {
        id: id.to_owned(),
        name: name.to_owned(),
        description: String::new(),
        enabled,
        risk_level,
    };
    rig.simulator.set_behavior(ACME, behavior).expect("the account exists");
}

/// Deactivates an integration through the API, as an administrator would.
async fn deactivate(rig: &Rig) {
    let body = r#"{"tenant_url":"https://example.okta.com","active":false}"#;
    let request = format!(
        "PUT /client/v4/accounts/{ACME}/zt_risk_scoring/integrations/{OKTA} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer for-acme\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(rig.simulator.address()).await.expect("the simulator listens");
    stream.write_all(request.as_bytes()).await.expect("a request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn write_token(path: &Path, token: &str) {
    std::fs::write(path, token).expect("a file can be written");
}

/// Scrapes once, and writes the samples with the target's labels and the simulated time.
async fn scrape(rig: &Rig, pace: f64, start: Timestamp, out: &mut impl Write) {
    let began = rig.clock.date();
    let (status, text) = rig.get("/metrics").await;
    assert_eq!(status, 200);
    let took = rig.clock.date().since(began).as_secs_f64() / pace;
    let (at, started) = (began.seconds(), start.seconds().to_string());
    let mut scraped = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        // The only timestamp in the exposition that comes from the operating system.
        let value = if series == "process_start_time_seconds" { &started } else { value };
        match series.split_once('{') {
            Some((name, labels)) => writeln!(out, "{name}{{{TARGET},{labels} {value} {at}"),
            None => writeln!(out, "{series}{{{TARGET}}} {value} {at}"),
        }
        .expect("the file takes it");
        scraped += 1;
    }
    // The series that Prometheus adds to each scrape.
    writeln!(out, "up{{{TARGET}}} 1 {at}").expect("the file takes it");
    writeln!(out, "scrape_duration_seconds{{{TARGET}}} {took} {at}").expect("the file takes it");
    writeln!(out, "scrape_samples_scraped{{{TARGET}}} {scraped} {at}").expect("the file takes it");
}

/// The output file for the next hours.
fn part(folder: &Path, number: u32) -> BufWriter<File> {
    BufWriter::new(File::create(folder.join(format!("{number:03}.om"))).expect("a file can be made"))
}

fn end(mut part: BufWriter<File>) {
    writeln!(part, "# EOF").and_then(|()| part.flush()).expect("the file takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes files for tests/dashboards/run, which takes three minutes"]
async fn a_history_for_the_dashboards() {
    let written =
        PathBuf::from(env::var_os("HISTORY_FOLDER").expect("HISTORY_FOLDER names a folder to write to"));
    let pace = f64::from(setting("HISTORY_PACE", 960));
    let minutes = 60 * setting("HISTORY_HOURS", 48);
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    write_token(&token, "for-branch");
    let baseline = folder.path().join("baseline.yaml");
    std::fs::write(&baseline, DECLARED).expect("a file can be written");
    let config = format!(
        "state: {{ path: state.redb }}\naccounts:\n- {{ id: {ACME}, alias: acme, token: for-acme }}\n\
         - {{ id: {BRANCH}, alias: branch, token_file: {} }}\nusers: {{ limit: 30, identity: email }}\n\
         behaviors: {{ baseline: {} }}",
        token.display(),
        baseline.display()
    );
    let scenario = Scenario::from_yaml(WORLD).expect("a scenario");
    let setup = Setup { scenario, config: &config, speed: pace, tuning: Tuning::default() };
    let rig = Rig::start("history", setup).await;
    rig.until("both accounts count", |scrape| {
        ["acme", "branch"]
            .iter()
            .all(|account| scrape.get_of(account, "counting_since_timestamp_seconds").is_some())
            && scrape.has("events_total")
            && scrape.has("integration_active")
    })
    .await;

    let (start, date) = (rig.clock.now(), rig.clock.date());
    let mut out = part(&written, 0);
    for minute in 0..=minutes {
        if minute > 0 && minute.is_multiple_of(MINUTES_OF_A_PART) {
            end(out);
            out = part(&written, minute / MINUTES_OF_A_PART);
        }
        rig.clock.sleep_until(start + INTERVAL * minute).await;
        scrape(&rig, pace, date, &mut out).await;
        cause_incidents(&rig, minutes - minute, &token).await;
    }
    end(out);

    // A busy machine may take longer than the rest of the history to read all these users.
    let campaign = "events_total{behavior=\"malicious_file\",risk_level=\"high\"}";
    let scrape = rig
        .until("the campaign and the mass reset are counted", |scrape| {
            scrape.get(campaign) >= Some(60.0) && scrape.get_of("acme", "resets_total") >= Some(60.0)
        })
        .await;
    assert_eq!(scrape.get("behavior_enabled{behavior=\"high_dlp\"}"), Some(0.0));
    assert_eq!(scrape.get("behavior_risk_level{behavior=\"security_domain\"}"), Some(3.0));
    let requests = rig.simulator.ground_truth().requests;
    for (account, status) in [(ACME, 429), (ACME, 503), (BRANCH, 503), (BRANCH, 401)] {
        let met = requests.iter().any(|one| one.account.as_deref() == Some(account) && one.status == status);
        assert!(met, "{status} of {account}");
    }
    rig.stop().await.expect("a clean end");
}
