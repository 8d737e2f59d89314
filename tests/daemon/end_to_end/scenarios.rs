//! The exposition, `up`, readiness and the log in normal operation and during failures.
//!
//! The clock runs a hundred times faster than real time. Timeouts are real time.

use std::time::Duration;

use super::rig::{ACCOUNT, Rig, Scrape, Setup, on_summary};
use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

const HIGH: Uuid = Uuid::from_u128(1);

/// Three users, one at each level, with six events in total.
const WORLD: &str = "
accounts:
  - id: 0123456789abcdef0123456789abcdef
    users:
      - id: 00000000-0000-0000-0000-000000000001
        email: ada@example.com
        name: Ada
        events:
          - { behavior: imp_travel, at: -1h }
          - { behavior: imp_travel, at: -2h }
          - { behavior: high_dlp, at: -3h }
      - id: 00000000-0000-0000-0000-000000000002
        events: [{ behavior: high_dlp, at: -24h }, { behavior: crowdstrike_medium_zta, at: -48h }]
      - id: 00000000-0000-0000-0000-000000000003
        events: [{ behavior: crowdstrike_medium_zta, at: -720h }]
    behaviors:
      - { id: imp_travel, name: Impossible Travel, enabled: true, risk_level: high }
      - { id: high_dlp, name: High Number of DLP Policies Triggered, enabled: true, risk_level: medium }
      - { id: crowdstrike_medium_zta, name: CrowdStrike Medium ZTA, enabled: false, risk_level: low }
    integrations:
      - { id: 4cfe8442-664b-4915-acd4-b39cd65c4314, reference_id: ref, tenant_url: 'https://example.okta.com', active: true, created_at: -720h }
tokens:
  - { token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'], expires_on: '2031-01-01T00:00:00Z' }
";

fn world(more: &str) -> Scenario {
    Scenario::from_yaml(&format!("{WORLD}{more}")).expect("a scenario")
}

fn quick() -> Tuning {
    Tuning {
        idle_timeout: Duration::from_millis(300),
        total_timeout: Duration::from_secs(2),
        ..Tuning::default()
    }
}

async fn start(alias: &str, scenario: Scenario, config: &str) -> Rig {
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: quick() }).await
}

fn is_up(scrape: &Scrape) -> bool {
    scrape.get("up") == Some(1.0)
}

fn is_down(scrape: &Scrape) -> bool {
    scrape.get("up") == Some(0.0)
}

/// The data of the first successful poll is still exported.
fn keeps_the_last_good_data(scrape: &Scrape) {
    for (level, users) in [("low", 1.0), ("medium", 1.0), ("high", 1.0), ("unknown", 0.0)] {
        assert_eq!(scrape.get(&format!("users{{max_risk_level=\"{level}\"}}")), Some(users), "{level}");
    }
    assert!(scrape.get("last_success_timestamp_seconds{resource=\"summary\"}").is_some());
}

/// The exporter polls once, then the summary fails with `fault` until the fault is removed.
async fn survives(alias: &str, tuning: Tuning, fault: Fault, outcome: &str, message: &str) {
    let rig = Rig::start(alias, Setup { scenario: world(""), config: "", speed: 100.0, tuning }).await;
    let before = rig.until("first reading", is_up).await;
    keeps_the_last_good_data(&before);
    rig.inject(on_summary(fault));
    let during = rig.until("the fault shows", is_down).await;
    keeps_the_last_good_data(&during);
    let refused = format!("requests_total{{resource=\"summary\",outcome=\"{outcome}\"}}");
    // `up` is 0 as soon as the list is overdue, which may be before the request ends.
    rig.until("the failure is counted", |scrape| scrape.own(&refused) >= Some(1.0)).await;
    assert_eq!(rig.get("/-/ready").await.0, 200, "a failure of the API does not make the exporter unready");
    rig.until_logged(&["WARN", "the request failed", "resource=\"summary\""]).await;
    let warning = rig.logs().into_iter().find(|line| line.contains("the request failed")).expect("just seen");
    let (_, sentence) = warning.split_once("error=").expect("the line has an error");
    let sentence = sentence.replace("\\\"", "\"");
    assert!(sentence.contains(message), "{message}: {sentence}");
    rig.simulator.clear_faults();
    rig.until("it is over", is_up).await;
    rig.until_logged(&["INFO", "requests succeed again", "resource=\"summary\""]).await;
    let warnings = rig.logs().iter().filter(|line| line.contains("the request failed")).count();
    assert_eq!(warnings, 1, "logged once: {:#?}", rig.logs());
    rig.stop().await.expect("a clean end");
}

macro_rules! survives {
    ($($name:ident: $fault:expr, $outcome:literal, $message:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                survives(stringify!($name), quick(), $fault, $outcome, $message).await;
            }
        )*
    };
}

survives! {
    a_429_with_retry_after_blocks_for_that_time: Fault::Limited { retry_after: Some("20".to_owned()) }, "limited", "retry in 20 s";
    a_429_without_headers_blocks_for_five_minutes: Fault::Limited { retry_after: None }, "limited", "retry in 300 s";
    a_500_is_transient: Fault::Status { status: 500, code: 1000, message: "oops".to_owned() }, "unavailable", "HTTP 500, 1000 oops";
    a_502_with_html_is_transient: Fault::BadGateway, "unavailable", "cloudflare is unavailable; retry later";
    a_200_without_success_is_an_error: Fault::Unsuccessful { code: 1_234, message: "no".to_owned() }, "unavailable", "reports a failure; retry later; investigate if it persists (HTTP 200, 1234 no";
    a_200_without_result_is_an_error: Fault::MissingResult, "shape", "it has no result";
    a_200_with_null_result_is_an_error: Fault::NullResult, "shape", "it has no result";
    a_redirect_is_not_followed: Fault::Redirect { location: "http://127.0.0.1:1/steal".to_owned() }, "shape", "it redirects to 127.0.0.1, and redirects are not followed";
    a_connection_reset_is_transient: Fault::Reset, "unavailable", "connection closed before message completed";
    a_hanging_request_times_out: Fault::Hang, "timeout", "the response was not complete within 2s";
    a_slow_body_times_out: Fault::SlowBody { bytes: 1, pause_ms: 50 }, "timeout", "the response was not complete within 2s";
    a_stalled_body_times_out: Fault::SlowBody { bytes: 200, pause_ms: 5_000 }, "timeout", "the response stalled for 300ms";
    a_truncated_body_is_discarded: Fault::TruncatedBody, "unavailable", "the response was cut off after";
    a_wrong_content_type_is_discarded: Fault::WrongContentType, "shape", "it is text/html, not JSON";
    a_compressed_bomb_is_not_decompressed: Fault::CompressedBomb { mebibytes: 4_096 }, "shape", "more than 200 times its compressed size";
}

/// With the default timeouts: how many elements arrive within 2 s depends on the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_ends() {
    let message = "too large: more than 2000000 elements";
    survives("an_endless_body_ends", Tuning::default(), Fault::EndlessBody, "shape", message).await;
}

/// The exporter polls once, then `fault` changes the summary, and the list still counts as complete.
async fn stays_up_with(alias: &str, fault: Fault, shows: impl Fn(&Scrape) -> bool) -> Rig {
    let rig = start(alias, world(""), "").await;
    rig.until("first reading", is_up).await;
    rig.inject(on_summary(fault));
    let scrape = rig.until("the fault shows", shows).await;
    assert!(is_up(&scrape));
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_levels_are_unknown_and_are_not_level_changes() {
    let unknown = |scrape: &Scrape| scrape.get("users{max_risk_level=\"unknown\"}") == Some(3.0);
    for (alias, fault) in [("null_levels", Fault::NullLevels), ("unknown_levels", Fault::UnknownLevels)] {
        let rig = stays_up_with(alias, fault, unknown).await;
        let scrape = rig.scrape().await;
        assert_eq!(scrape.sum("level_changes_total"), 0.0);
        assert_eq!(scrape.sum("users"), 3.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_behaviors_get_labels_of_their_own() {
    let rig = start("unknown_behaviors", world(""), "").await;
    rig.until("counting begins", |scrape| scrape.has("events_total") && is_up(scrape)).await;
    rig.inject(FaultRule::at(Endpoint::User, Fault::UnknownBehaviors));
    rig.simulator.append_event(ACCOUNT, HIGH, "imp_travel", rig.clock.date()).expect("user 1");
    let scrape = rig.until("the event is counted", |scrape| scrape.sum("events_total") == 1.0).await;
    assert_eq!(scrape.get("events_total{behavior=\"imp_travel\",risk_level=\"high\"}"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_behaviors_do_not_delay_events() {
    let faults = "faults: [{ fault: missing_result, endpoint: behaviors }]";
    let rig = start("misshapen_behaviors", world(faults), "").await;
    rig.until("counting begins", |scrape| scrape.has("resets_total") && is_up(scrape)).await;
    rig.simulator.append_event(ACCOUNT, HIGH, "imp_travel", rig.clock.date()).expect("user 1");
    rig.until("the event is counted", |scrape| scrape.sum("events_total") == 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicated_rows_are_counted_once() {
    let rig = start("duplicated", world(""), "").await;
    rig.inject(on_summary(Fault::DuplicatedRows));
    let scrape = rig.until("a reading", |scrape| scrape.get("up").is_some()).await;
    assert_eq!((scrape.get("up"), scrape.sum("users")), (Some(1.0), 3.0));
}

/// An incomplete list is never exported as complete.
async fn is_incomplete(alias: &str, fault: Fault, more: &str) {
    let rig = start(alias, world(more), "").await;
    rig.until("first reading", is_up).await;
    rig.inject(on_summary(fault));
    let scrape = rig.until("the fault shows", is_down).await;
    keeps_the_last_good_data(&scrape);
    rig.until_logged(&["WARN", "list of users is incomplete", "reason="]).await;
    rig.simulator.clear_faults();
    rig.until("it is over", is_up).await;
    rig.until_logged(&["INFO", "complete again"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_with_wrong_totals_is_incomplete() {
    is_incomplete("lying_totals", Fault::LyingTotals { by: 1 }, "").await;
    is_incomplete("lying_low", Fault::LyingTotals { by: -1 }, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_list_is_logged_once_however_its_reason_varies() {
    let rig = start("varying", world(""), "").await;
    rig.until("first reading", is_up).await;
    for by in [-1, -2, -1, -2] {
        rig.simulator.clear_faults();
        rig.inject(on_summary(Fault::LyingTotals { by }));
        rig.until_status(&format!("3 of {} elements arrived", 3 + by)).await;
    }
    let warned = rig.logs().iter().filter(|line| line.contains("list of users is incomplete")).count();
    assert_eq!(warned, 1, "{:#?}", rig.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_with_shifted_rows_is_incomplete() {
    is_incomplete("shifted", Fault::ShiftedRows, "api: { pages: { sized: { standard: 2, largest: 2 } } }")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_followed_and_a_server_that_ignores_page_is_detected() {
    for (alias, pages, whole) in [
        ("sized", "sized: { standard: 2, largest: 100 }", true),
        ("small", "sized: { standard: 1, largest: 1 }", true),
        ("repeated", "repeated: { size: 2 }", false),
    ] {
        let rig = start(alias, world(&format!("api: {{ pages: {{ {pages} }} }}")), "").await;
        let scrape = rig.until("a reading", |scrape| scrape.get("up").is_some()).await;
        assert_eq!(scrape.get("up"), Some(f64::from(u8::from(whole))), "{alias} {:?}", rig.logs());
        if whole {
            keeps_the_last_good_data(&scrape);
        } else {
            assert!(!scrape.has("users{"), "an incomplete list is not exported: {scrape:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_uses_cloudflares_clock_and_ages_use_the_exporters() {
    let rig = start("skewed", world("faults: [{ fault: { clock_skew: { seconds: -43200 } } }]"), "").await;
    let scrape =
        rig.until("counting begins", |scrape| scrape.get("counting_since_timestamp_seconds").is_some()).await;
    let ours = rig.clock.date().seconds();
    let since = scrape.get("counting_since_timestamp_seconds").expect("just seen");
    let read = scrape.get("last_success_timestamp_seconds{resource=\"summary\"}").expect("a reading");
    assert!((ours - 43_200.0 - since).abs() < 600.0, "{since} is not half a day before {ours}");
    assert!((ours - read).abs() < 600.0, "{read} is not the exporter's {ours}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resets_and_level_changes_are_counted_and_attributed() {
    let rig = start("counted", world(""), "").await;
    rig.until("counting begins", |scrape| scrape.has("events_total") && is_up(scrape)).await;
    let quiet = Uuid::from_u128(3);
    rig.simulator.append_event(ACCOUNT, quiet, "imp_travel", rig.clock.date()).expect("user 3");
    rig.simulator.append_event(ACCOUNT, quiet, "high_dlp", rig.clock.date()).expect("user 3");
    rig.simulator
        .append_event(ACCOUNT, Uuid::from_u128(9), "high_dlp", rig.clock.date())
        .expect("a new user");
    let scrape = rig.until("three events", |scrape| scrape.sum("events_total") == 3.0).await;
    for (series, wanted) in [
        ("events_total{behavior=\"imp_travel\",risk_level=\"high\"}", 1.0),
        ("events_total{behavior=\"high_dlp\",risk_level=\"medium\"}", 2.0),
        ("behavior_users_total{behavior=\"high_dlp\"}", 2.0),
        ("level_changes_total{from=\"low\",to=\"high\"}", 1.0),
        ("level_changes_total{from=\"none\",to=\"medium\"}", 1.0),
        ("users{max_risk_level=\"high\"}", 2.0),
        ("user_max_risk_level{user=\"00000000-0000-0000-0000-000000000003\"}", 3.0),
    ] {
        assert_eq!(scrape.get(series), Some(wanted), "{series}");
    }
    rig.simulator.reset(ACCOUNT, quiet).expect("user 3");
    let scrape = rig.until("the reset", |scrape| scrape.get("resets_total") == Some(1.0)).await;
    assert_eq!(scrape.get("level_changes_total{from=\"high\",to=\"none\"}"), Some(1.0));
    assert_eq!(scrape.get("users{max_risk_level=\"high\"}"), Some(1.0));
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{:?}", rig.logs());
    assert_eq!(scrape.sum("events_total"), 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_addresses_are_exported_only_if_configured() {
    for (alias, config, shown) in [("silent", "", false), ("open", "users: { identity: email }", true)] {
        let rig = start(alias, world(""), config).await;
        rig.until("first reading", |scrape| is_up(scrape) && scrape.has("user_max_risk_level")).await;
        let (_, text) = rig.get("/metrics").await;
        assert_eq!(text.contains("ada@example.com") && text.contains("Ada"), shown, "{alias}");
        assert_eq!(text.contains("example.com"), shown, "{alias}");
        assert!(!rig.logs().join("\n").contains("example.com"));
    }
    let rig = start("nobody", world(""), "users: { identity: none }").await;
    rig.until("first reading", is_up).await;
    let (_, text) = rig.get("/metrics").await;
    assert!(!text.contains("00000000-0000-0000"), "{text}");
    assert!(text.contains("users_omitted{account=\"nobody\"} 3"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_addresses_are_read_again_at_the_start_because_they_are_not_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    // At this speed a day takes a quarter of an hour, much longer than the test waits.
    let config = format!(
        "users: {{ identity: email }}\nintervals: {{ summary: 1d }}\nstate: {{ path: '{}' }}",
        path.display()
    );
    let mut rig = start("renamed", world(""), &config).await;
    let is_named = |scrape: &Scrape| scrape.has("user_info{");
    rig.until("the first list", is_named).await;
    rig.restart().await;
    let scrape = rig.until("the list is read again", is_named).await;
    assert!(is_up(&scrape));
    let (_, text) = rig.get("/metrics").await;
    assert!(text.contains("email=\"ada@example.com\",name=\"Ada\""), "{text}");
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_retried_three_times_then_rarely_and_a_new_one_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "wrong\n").expect("a file");
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: rotated, token_file: {} }}]", token.display());
    let rig = start("rotated", world(""), &config).await;
    rig.until("refused", is_down).await;
    assert_eq!(rig.get("/-/ready").await.0, 200);
    let refusals = |scrape: &Scrape| {
        let of =
            |resource| scrape.own(&format!("requests_total{{resource=\"{resource}\",outcome=\"refused\"}}"));
        ["summary", "behaviors", "integrations"].map(of).into_iter().flatten().sum::<f64>()
    };
    rig.until("the first refusal and three retries", |scrape| refusals(scrape) >= 4.0).await;
    let began = rig.clock.now();
    rig.until("one probe in five minutes", |scrape| refusals(scrape) >= 5.0).await;
    assert!(rig.clock.now().since(began) > Duration::from_secs(240), "the next probe came too soon");
    std::fs::write(&token, "good\n").expect("a file");
    rig.until("the new token works", is_up).await;
    rig.until_logged(&["the credentials changed"]).await;
    assert!(!rig.logs().join("\n").contains("wrong"), "tokens are never logged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_is_logged_by_its_name() {
    for (alias, token, said, up) in [
        ("no_pii", "token: seven, permissions: [Zero Trust Read]", "Zero Trust: PII Read", Some(0.0)),
        ("no_settings", "token: seven, permissions: ['Zero Trust: PII Read']", "Zero Trust Read", Some(1.0)),
    ] {
        let scenario = world(&format!("  - {{ {token} }}\n"));
        let config = format!("accounts: [{{ id: {ACCOUNT}, alias: {alias}, token: seven }}]");
        let rig = start(alias, scenario, &config).await;
        rig.until_logged(&["WARN", said]).await;
        // The behaviors are read after the list of users.
        rig.until(alias, |scrape| {
            scrape.get("up") == up && scrape.has("behavior_enabled") == (up == Some(0.0))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_risk_scoring_is_logged_and_delays_no_other() {
    let scenario =
        Scenario::from_yaml(&WORLD.replace(
            "tokens:\n",
            "  - { id: ffffffffffffffffffffffffffffffff, plan: not_entitled }\ntokens:\n",
        ))
        .expect("a scenario");
    let config = format!(
        "accounts: [{{ id: ffffffffffffffffffffffffffffffff, alias: poor, token: good }}, \
         {{ id: {ACCOUNT}, alias: rich, token: good }}]"
    );
    let rig = start("poor", scenario, &config).await;
    rig.until_logged(&["WARN", "Enterprise"]).await;
    rig.until("one is down and the other read", |scrape| {
        scrape.get_of("poor", "up") == Some(0.0)
            && scrape.get_of("rich", "up") == Some(1.0)
            && scrape.sum("users") == 3.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_sent_during_a_block_and_one_probe_after_it() {
    let rig = start("blocked", world(""), "").await;
    rig.until("first reading", is_up).await;
    let limited = Fault::Limited { retry_after: Some("400".to_owned()) };
    rig.inject(on_summary(limited).times(1));
    let scrape = rig
        .until("blocked", |scrape| scrape.own("blocked_until_timestamp_seconds").is_some() && is_down(scrape))
        .await;
    keeps_the_last_good_data(&scrape);
    rig.until_logged(&["WARN", "the request failed", "400"]).await;
    let until = scrape.own("blocked_until_timestamp_seconds").expect("just seen");
    rig.until("over", |scrape| is_up(scrape) && scrape.own("blocked_until_timestamp_seconds").is_none())
        .await;
    let requests = rig.simulator.ground_truth().requests;
    let refused = requests.iter().position(|request| request.status == 429).expect("one was");
    let next = requests.get(refused + 1).expect("it went on");
    let gap = next.arrived.since(requests[refused].arrived);
    assert!(gap >= Duration::from_secs(400), "the next came after {gap:?}");
    assert!((next.arrived.seconds() - until).abs() < 60.0, "the metric said {until}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exporter_is_ready_once_each_account_was_tried() {
    let scenario = world("faults: [{ fault: hang, endpoint: summary, count: 1 }]");
    // Long enough for the checks below before the first attempt ends.
    let tuning = Tuning { idle_timeout: Duration::from_secs(5), ..Tuning::default() };
    // After two intervals without an attempt `up` would be 0.
    let config = "intervals: { summary: 1h }";
    let rig = Rig::start("late", Setup { scenario, config, speed: 100.0, tuning }).await;
    assert_eq!(rig.get("/-/ready").await.0, 503, "nothing was tried yet");
    assert_eq!(rig.get("/-/healthy").await.0, 200);
    let scrape = rig.scrape().await;
    assert!(!scrape.has("users{") && !scrape.has("up{"), "{scrape:?}");
    rig.until("a first attempt", |scrape| scrape.get("up").is_some()).await;
    assert_eq!(rig.get("/-/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_budget_lengthens_the_interval_and_logs_it() {
    // A hundredth of 1,200 requests in five minutes, half of it for the summary: one in 50 s.
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: thrifty, token: good, budget_share: 0.01 }}]");
    let rig = start("thrifty", world(""), &config).await;
    rig.until_logged(&["WARN", "to stay within the budget", "resource=\"summary\"", "interval_seconds=50"])
        .await;
    let scrape = rig.until("first reading", is_up).await;
    assert_eq!(scrape.own("poll_interval_seconds{resource=\"summary\"}"), Some(50.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stray_refusal_of_working_credentials_is_retried_long_before_five_minutes() {
    for (alias, status) in [("stray_401", 401), ("stray_403", 403)] {
        // Five minutes are 15 s here, and the retries after 5 and 10 s are less than one.
        let setup = Setup { scenario: world(""), config: "", speed: 20.0, tuning: quick() };
        let rig = Rig::start(alias, setup).await;
        rig.until("first reading", is_up).await;
        let refused = Fault::Status { status, code: 10_000, message: "Authentication error".to_owned() };
        rig.inject(on_summary(refused).times(2));
        rig.until("the list is refused", is_down).await;
        let began = rig.clock.now();
        let scrape = rig.until("the list is read again", is_up).await;
        let took = rig.clock.now().since(began);
        assert!(took < Duration::from_secs(300), "{alias}: the retry came after {took:?}");
        keeps_the_last_good_data(&scrape);
        let failed: f64 = ["refused", "credentials", "forbidden"]
            .map(|outcome| format!("requests_total{{resource=\"summary\",outcome=\"{outcome}\"}}"))
            .iter()
            .filter_map(|series| scrape.own(series))
            .sum();
        assert_eq!(failed, 2.0, "{alias}: each refusal is retried once");
        rig.stop().await.expect("a clean end");
    }
}
