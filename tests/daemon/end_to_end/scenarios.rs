//! What the page, `up`, readiness and the log say when things go right, and when they go wrong.
//!
//! The clock runs a hundred times as fast as the wall; time-outs are the wall's.

use std::time::Duration;

use super::rig::{ACCOUNT, Page, Rig, Setup, on_summary};
use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

const HIGH: Uuid = Uuid::from_u128(1);

/// Three users, one at each level, of six events altogether.
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
    Tuning { idle_wait: Duration::from_millis(300), total_wait: Duration::from_secs(2), ..Tuning::default() }
}

async fn start(alias: &str, scenario: Scenario, config: &str) -> Rig {
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: quick() }).await
}

fn is_up(page: &Page) -> bool {
    page.get("up") == Some(1.0)
}

fn is_down(page: &Page) -> bool {
    page.get("up") == Some(0.0)
}

/// Everything of the first good reading is still there.
fn keeps_the_last_good_data(page: &Page) {
    for (level, users) in [("low", 1.0), ("medium", 1.0), ("high", 1.0), ("unknown", 0.0)] {
        assert_eq!(page.get(&format!("users{{max_risk_level=\"{level}\"}}")), Some(users), "{level}");
    }
    assert!(page.get("last_success_timestamp_seconds{endpoint=\"summary\"}").is_some());
}

/// The exporter reads the world once, then `fault` strikes the summary until it is switched off.
async fn endures(alias: &str, tuning: Tuning, fault: Fault, outcome: &str, said: &str) {
    let rig = Rig::start(alias, Setup { scenario: world(""), config: "", speed: 100.0, tuning }).await;
    let before = rig.until("first reading", is_up).await;
    keeps_the_last_good_data(&before);
    rig.inject(on_summary(fault));
    let during = rig.until("the fault shows", is_down).await;
    keeps_the_last_good_data(&during);
    let refused = format!("requests_total{{endpoint=\"summary\",outcome=\"{outcome}\"}}");
    assert!(during.own(&refused) >= Some(1.0), "{refused} {:?}", rig.logs());
    assert_eq!(rig.get("/-/ready").await.0, 200, "trouble upstream is no reason to take the exporter out");
    rig.until_logged(&["WARN", "the request failed", "endpoint=\"summary\""]).await;
    let warning = rig.logs().into_iter().find(|line| line.contains("the request failed")).expect("just seen");
    let (_, sentence) = warning.split_once("error=").expect("the log says which");
    assert!(sentence.contains(said), "{said}: {sentence}");
    rig.simulator.clear_faults();
    rig.until("it is over", is_up).await;
    rig.until_logged(&["INFO", "requests succeed again", "endpoint=\"summary\""]).await;
    let warnings = rig.logs().iter().filter(|line| line.contains("the request failed")).count();
    assert_eq!(warnings, 1, "said once: {:#?}", rig.logs());
    rig.stop().await.expect("a clean end");
}

macro_rules! endures {
    ($($name:ident: $fault:expr, $outcome:literal, $said:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                endures(stringify!($name), quick(), $fault, $outcome, $said).await;
            }
        )*
    };
}

endures! {
    a_429_with_retry_after_blocks_for_as_long: Fault::Limited { retry_after: Some("20".to_owned()) }, "limited", "ask again in 20 s";
    a_429_without_headers_blocks_for_five_minutes: Fault::Limited { retry_after: None }, "limited", "ask again in 300 s";
    a_500_is_passing: Fault::Status { status: 500, code: 1000, message: "oops".to_owned() }, "unavailable", "HTTP 500, 1000 oops";
    a_502_with_html_is_passing: Fault::BadGateway, "unavailable", "cloudflare is in trouble; ask again later";
    a_200_without_success_is_an_error: Fault::Unsuccessful { code: 1_234, message: "no".to_owned() }, "unavailable", "reports a failure; ask again later, and look into it if it lasts (HTTP 200, 1234 no";
    a_200_without_result_is_an_error: Fault::MissingResult, "shape", "it has no result";
    a_200_with_null_result_is_an_error: Fault::NullResult, "shape", "it has no result";
    a_redirect_is_not_followed: Fault::Redirect { location: "http://127.0.0.1:1/steal".to_owned() }, "shape", "it leads to 127.0.0.1, where nothing is sent";
    a_connection_reset_is_passing: Fault::Reset, "unavailable", "connection closed before message completed";
    a_hang_is_given_up: Fault::Hang, "timeout", "no whole answer within 2s";
    a_slow_body_is_given_up: Fault::SlowBody { bytes: 1, pause_ms: 50 }, "timeout", "no whole answer within 2s";
    a_stalled_body_is_given_up: Fault::SlowBody { bytes: 200, pause_ms: 5_000 }, "timeout", "stood still for 300ms";
    a_truncated_body_is_no_list: Fault::TruncatedBody, "unavailable", "the answer broke off after";
    a_wrong_content_type_is_no_list: Fault::WrongContentType, "shape", "it is text/html, not JSON";
    a_compressed_bomb_is_not_unpacked: Fault::CompressedBomb { mebibytes: 4_096 }, "shape", "more than 200 times its compressed size";
}

/// It is given all the time it wants: how much of it fits in 2 s is the machine's affair.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_ends() {
    let said = "too large: more than 2000000 elements";
    endures("an_endless_body_ends", Tuning::default(), Fault::EndlessBody, "shape", said).await;
}

/// The exporter reads the world, then `fault` strikes the summary, which stays a whole list.
async fn bears(alias: &str, fault: Fault, shows: impl Fn(&Page) -> bool) -> Rig {
    let rig = start(alias, world(""), "").await;
    rig.until("first reading", is_up).await;
    rig.inject(on_summary(fault));
    let page = rig.until("the fault shows", shows).await;
    assert!(is_up(&page));
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_levels_are_unknown_and_no_moves() {
    let unknown = |page: &Page| page.get("users{max_risk_level=\"unknown\"}") == Some(3.0);
    for (alias, fault) in [("null_levels", Fault::NullLevels), ("unknown_levels", Fault::UnknownLevels)] {
        let rig = bears(alias, fault, unknown).await;
        let page = rig.page().await;
        assert_eq!(page.sum("level_changes_total"), 0.0);
        assert_eq!(page.sum("users"), 3.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_behaviors_get_labels_of_their_own() {
    let rig = start("unknown_behaviors", world(""), "").await;
    rig.until("counting begins", |page| page.has("events_total") && is_up(page)).await;
    rig.inject(FaultRule::at(Endpoint::User, Fault::UnknownBehaviors));
    rig.simulator.append_event(ACCOUNT, HIGH, "imp_travel", rig.clock.date()).expect("user 1");
    let page = rig.until("the event is counted", |page| page.sum("events_total") == 1.0).await;
    assert_eq!(page.get("events_total{behavior=\"imp_travel\",risk_level=\"high\"}"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behaviors_of_an_unknown_shape_hold_no_event_back() {
    let faults = "faults: [{ fault: missing_result, endpoint: behaviors }]";
    let rig = start("misshapen_behaviors", world(faults), "").await;
    rig.until("counting begins", |page| page.has("resets_total") && is_up(page)).await;
    rig.simulator.append_event(ACCOUNT, HIGH, "imp_travel", rig.clock.date()).expect("user 1");
    rig.until("the event is counted", |page| page.sum("events_total") == 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicated_rows_are_counted_once() {
    let rig = start("duplicated", world(""), "").await;
    rig.inject(on_summary(Fault::DuplicatedRows));
    let page = rig.until("a reading", |page| page.get("up").is_some()).await;
    assert_eq!((page.get("up"), page.sum("users")), (Some(1.0), 3.0));
}

/// A list that cannot be whole is never shown as whole.
async fn is_not_whole(alias: &str, fault: Fault, more: &str) {
    let rig = start(alias, world(more), "").await;
    rig.until("first reading", is_up).await;
    rig.inject(on_summary(fault));
    let page = rig.until("the fault shows", is_down).await;
    keeps_the_last_good_data(&page);
    rig.until_logged(&["WARN", "list of users is incomplete", "reason="]).await;
    rig.simulator.clear_faults();
    rig.until("it is over", is_up).await;
    rig.until_logged(&["INFO", "whole again"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_that_lie_make_no_whole_list() {
    is_not_whole("lying_totals", Fault::LyingTotals { by: 1 }, "").await;
    is_not_whole("lying_low", Fault::LyingTotals { by: -1 }, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_shift_between_pages_make_no_whole_list() {
    is_not_whole("shifted", Fault::ShiftedRows, "api: { pages: { sized: { standard: 2, largest: 2 } } }")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_page_are_followed_and_those_that_ignore_page_are_found_out() {
    for (alias, pages, whole) in [
        ("sized", "sized: { standard: 2, largest: 100 }", true),
        ("small", "sized: { standard: 1, largest: 1 }", true),
        ("repeated", "repeated: { size: 2 }", false),
    ] {
        let rig = start(alias, world(&format!("api: {{ pages: {{ {pages} }} }}")), "").await;
        let page = rig.until("a reading", |page| page.get("up").is_some()).await;
        assert_eq!(page.get("up"), Some(f64::from(u8::from(whole))), "{alias} {:?}", rig.logs());
        if whole {
            keeps_the_last_good_data(&page);
        } else {
            assert!(!page.has("users{"), "part of a list is not shown: {page:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_follows_cloudflares_clock_and_ages_follow_ours() {
    let rig = start("skewed", world("faults: [{ fault: { clock_skew: { seconds: -86400 } } }]"), "").await;
    let page =
        rig.until("counting begins", |page| page.get("counting_since_timestamp_seconds").is_some()).await;
    let ours = rig.clock.date().seconds();
    let since = page.get("counting_since_timestamp_seconds").expect("just seen");
    let read = page.get("last_success_timestamp_seconds{endpoint=\"summary\"}").expect("a reading");
    assert!((ours - 86_400.0 - since).abs() < 600.0, "{since} is not a day before {ours}");
    assert!((ours - read).abs() < 600.0, "{read} is not our clock's {ours}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resets_and_moves_are_counted_and_attributed() {
    let rig = start("counted", world(""), "").await;
    rig.until("counting begins", |page| page.has("events_total") && is_up(page)).await;
    let quiet = Uuid::from_u128(3);
    rig.simulator.append_event(ACCOUNT, quiet, "imp_travel", rig.clock.date()).expect("user 3");
    rig.simulator.append_event(ACCOUNT, quiet, "high_dlp", rig.clock.date()).expect("user 3");
    rig.simulator
        .append_event(ACCOUNT, Uuid::from_u128(9), "high_dlp", rig.clock.date())
        .expect("a new user");
    let page = rig.until("three events", |page| page.sum("events_total") == 3.0).await;
    for (series, wanted) in [
        ("events_total{behavior=\"imp_travel\",risk_level=\"high\"}", 1.0),
        ("events_total{behavior=\"high_dlp\",risk_level=\"medium\"}", 2.0),
        ("behavior_users_total{behavior=\"high_dlp\"}", 2.0),
        ("level_changes_total{from=\"low\",to=\"high\"}", 1.0),
        ("level_changes_total{from=\"none\",to=\"medium\"}", 1.0),
        ("users{max_risk_level=\"high\"}", 2.0),
        ("user_max_risk_level{user=\"00000000-0000-0000-0000-000000000003\"}", 3.0),
    ] {
        assert_eq!(page.get(series), Some(wanted), "{series}");
    }
    rig.simulator.reset(ACCOUNT, quiet).expect("user 3");
    let page = rig.until("the reset", |page| page.get("resets_total") == Some(1.0)).await;
    assert_eq!(page.get("level_changes_total{from=\"high\",to=\"none\"}"), Some(1.0));
    assert_eq!(page.get("users{max_risk_level=\"high\"}"), Some(1.0));
    assert_eq!(page.sum("events_unattributed_total"), 0.0, "{:?}", rig.logs());
    assert_eq!(page.sum("events_total"), 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_and_no_address_reaches_the_page_unless_asked_for() {
    for (alias, config, shown) in [("silent", "", false), ("open", "users: { identity: email }", true)] {
        let rig = start(alias, world(""), config).await;
        rig.until("first reading", |page| is_up(page) && page.has("user_max_risk_level")).await;
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
async fn refused_tokens_are_tried_seldom_and_at_once_when_the_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "wrong\n").expect("a file");
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: rotated, token_file: {} }}]", token.display());
    let rig = start("rotated", world(""), &config).await;
    rig.until("refused", is_down).await;
    assert_eq!(rig.get("/-/ready").await.0, 200);
    let began = rig.clock.now();
    rig.until("one probe in five minutes", |page| {
        page.own("requests_total{endpoint=\"behaviors\",outcome=\"refused\"}") == Some(1.0)
            || page.own("requests_total{endpoint=\"summary\",outcome=\"refused\"}") == Some(2.0)
    })
    .await;
    assert!(rig.clock.now().since(began) > Duration::from_secs(240), "the next probe came too soon");
    std::fs::write(&token, "good\n").expect("a file");
    rig.until("the new token works", is_up).await;
    rig.until_logged(&["the credentials changed"]).await;
    assert!(!rig.logs().join("\n").contains("wrong"), "tokens are never logged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_token_may_not_do_is_said_with_the_permission_to_add() {
    for (alias, token, said, up) in [
        ("no_pii", "token: seven, permissions: [Zero Trust Read]", "Zero Trust: PII Read", Some(0.0)),
        ("no_settings", "token: seven, permissions: ['Zero Trust: PII Read']", "Zero Trust Read", Some(1.0)),
    ] {
        let scenario = world(&format!("  - {{ {token} }}\n"));
        let config = format!("accounts: [{{ id: {ACCOUNT}, alias: {alias}, token: seven }}]");
        let rig = start(alias, scenario, &config).await;
        rig.until_logged(&["WARN", said]).await;
        let page = rig.until("a first attempt", |page| page.get("up").is_some()).await;
        assert_eq!(page.get("up"), up, "{alias}");
        assert_eq!(page.has("behavior_enabled"), up == Some(0.0), "{alias}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_the_product_is_said_to_be_one_and_delays_no_other() {
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
    rig.until("one is down and the other read", |page| {
        page.get_of("poor", "up") == Some(0.0)
            && page.get_of("rich", "up") == Some(1.0)
            && page.sum("users") == 3.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_inside_a_block_and_one_probe_after_it() {
    let rig = start("blocked", world(""), "").await;
    rig.until("first reading", is_up).await;
    let limited = Fault::Limited { retry_after: Some("400".to_owned()) };
    rig.inject(on_summary(limited).times(1));
    let page = rig
        .until("blocked", |page| page.own("blocked_until_timestamp_seconds").is_some() && is_down(page))
        .await;
    keeps_the_last_good_data(&page);
    rig.until_logged(&["WARN", "the request failed", "400"]).await;
    let until = page.own("blocked_until_timestamp_seconds").expect("just seen");
    rig.until("over", |page| is_up(page) && page.own("blocked_until_timestamp_seconds").is_none()).await;
    let requests = rig.simulator.truth().requests;
    let refused = requests.iter().position(|request| request.status == 429).expect("one was");
    let next = requests.get(refused + 1).expect("it went on");
    let gap = next.arrived.since(requests[refused].arrived);
    assert!(gap >= Duration::from_secs(400), "the next came after {gap:?}");
    assert!((next.arrived.seconds() - until).abs() < 60.0, "the page said {until}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_means_that_each_account_was_tried_once() {
    let scenario = world("faults: [{ fault: hang, endpoint: summary, count: 1 }]");
    // Time enough for the questions that come before the first attempt ends.
    let tuning = Tuning { idle_wait: Duration::from_secs(5), ..Tuning::default() };
    let rig = Rig::start("late", Setup { scenario, config: "", speed: 100.0, tuning }).await;
    assert_eq!(rig.get("/-/ready").await.0, 503, "nothing was tried yet");
    assert_eq!(rig.get("/-/healthy").await.0, 200);
    let page = rig.page().await;
    assert!(!page.has("users{") && !page.has("up{"), "{page:?}");
    rig.until("a first attempt", |page| page.get("up").is_some()).await;
    assert_eq!(rig.get("/-/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_too_small_for_the_interval_stretches_it_and_says_so() {
    // A hundredth of 1,200 requests in five minutes, half of it for the summary: one in 50 s.
    let config = format!("accounts: [{{ id: {ACCOUNT}, alias: thrifty, token: good, budget_share: 0.01 }}]");
    let rig = start("thrifty", world(""), &config).await;
    rig.until_logged(&["WARN", "to stay in the budget", "endpoint=\"summary\"", "interval_seconds=50"]).await;
    let page = rig.until("first reading", is_up).await;
    assert_eq!(page.own("poll_interval_seconds{endpoint=\"summary\"}"), Some(50.0));
}
