//! One user whose answer never comes, or comes too slowly, which delays neither the list nor other users; and one with
//! many slow pages, who is read to the end.

use std::time::Duration;

use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT, Rig, Scrape, Setup};

const USERS: u128 = 30;

/// The interval of the list is two real seconds, which is long enough for a busy machine.
const SPEED: f64 = 20.0;
const INTERVAL: Duration = Duration::from_secs(40);

fn world() -> Scenario {
    paged(20, 30)
}

/// A world whose lists have pages of `standard` rows, or of the size that is asked for up to `largest`.
fn paged(standard: u32, largest: u32) -> Scenario {
    let users: String = (1..=USERS)
        .map(|number| {
            let id = Uuid::from_u128(number);
            format!("      - {{ id: {id}, events: [{{ behavior: high_dlp, at: -48h }}] }}\n")
        })
        .collect();
    Scenario::from_yaml(&format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n\
         api: {{ pages: {{ sized: {{ standard: {standard}, largest: {largest} }} }} }}\n"
    ))
    .expect("a scenario")
}

/// How often the user's answer did not come in time.
fn late(scrape: &Scrape) -> f64 {
    scrape.own("requests_total{resource=\"user\",outcome=\"timeout\"}").unwrap_or_default()
}

/// The first user is at high and the others are not, so it is read before them.
fn act(rig: &Rig) {
    for number in 1..=USERS {
        let behavior = if number == 1 { "imp_travel" } else { "high_dlp" };
        let user = Uuid::from_u128(number);
        rig.simulator.append_event(ACCOUNT, user, behavior, rig.clock.date()).expect("the user exists");
    }
}

async fn delays_nobody(alias: &str, fault: Fault) {
    // Half an interval at most, but in real time.
    let tuning = Tuning { user_timeout: Duration::from_millis(800), ..Tuning::default() };
    let config = "intervals: { summary: 40s }";
    let rig = Rig::start(alias, Setup { scenario: world(), config, speed: SPEED, tuning }).await;
    rig.until("counting begins", |scrape| scrape.has("resets_total")).await;
    rig.inject(FaultRule::at(Endpoint::User, fault).of_user(Uuid::from_u128(1)));
    act(&rig);
    let said = || rig.logs().join("\n");
    rig.until("the others are counted, and the user was tried twice", |scrape| {
        let read = scrape.get("last_success_timestamp_seconds{resource=\"summary\"}").expect("it was read");
        let age = rig.clock.date().since(Timestamp::from_millis((read * 1_000.0) as i64));
        assert!(age <= 3 * INTERVAL, "{alias}: the list is {age:?} old\n{}", said());
        assert_eq!(scrape.get("up"), Some(1.0), "{alias}\n{}", said());
        scrape.sum("events_total") == 29.0 && late(scrape) >= 2.0
    })
    .await;
    let warnings = rig.logs().iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "it is said once\n{}", said());
    rig.simulator.clear_faults();
    let scrape = rig.until("all are counted", |scrape| scrape.sum("events_total") == 30.0).await;
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0);
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_answer_does_not_come_delays_neither_the_list_nor_other_users() {
    tokio::join!(
        delays_nobody("hung_user", Fault::Hang),
        delays_nobody("dribbling_user", Fault::SlowBody { bytes: 1, pause_ms: 50 }),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_many_slow_pages_is_read_to_the_end_and_delays_no_list() {
    const EVENTS: usize = 500;
    const PAGE: Duration = Duration::from_millis(400);
    let tuning = Tuning { user_timeout: Duration::from_millis(1_500), ..Tuning::default() };
    let config = "intervals: { summary: 40s }";
    let setup = Setup { scenario: world(), config, speed: SPEED, tuning };
    let rig = Rig::start("slow_pages", setup).await;
    rig.until("counting begins", |scrape| scrape.has("resets_total")).await;
    let late = Fault::Late { by_ms: PAGE.as_millis() as u64 };
    rig.inject(FaultRule::at(Endpoint::User, late).of_user(Uuid::from_u128(1)));
    for _ in 0..EVENTS {
        let user = Uuid::from_u128(1);
        rig.simulator.append_event(ACCOUNT, user, "high_dlp", rig.clock.date()).expect("the user exists");
    }
    let said = || rig.logs().join("\n");
    // The pages take longer than the list of users may: all of them are one reading.
    assert!(PAGE * (EVENTS as u32 / 30) > (2 * INTERVAL).div_f64(SPEED));
    let scrape = rig
        .until("all are counted", |scrape| {
            assert_eq!(scrape.get("up"), Some(1.0), "{}", said());
            scrape.sum("events_total") == EVENTS as f64
        })
        .await;
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0);
    assert!(!said().contains("WARN"), "{}", said());
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_more_pages_than_the_budget_has_requests_leaves_the_list_its_own() {
    // 125 pages; the budget is 120 requests in five minutes.
    const EVENTS: usize = 500;
    let alias = "more_pages_than_requests";
    let config = &format!(
        "accounts: [{{ id: {ACCOUNT}, alias: {alias}, token: good, budget_share: 0.1 }}]\n\
         intervals: {{ summary: 60s }}"
    );
    let setup = Setup { scenario: paged(4, 4), config, speed: SPEED, tuning: Tuning::default() };
    let rig = Rig::start(alias, setup).await;
    rig.until("counting begins", |scrape| scrape.has("resets_total")).await;
    for _ in 0..EVENTS {
        let user = Uuid::from_u128(1);
        rig.simulator.append_event(ACCOUNT, user, "high_dlp", rig.clock.date()).expect("the user exists");
    }
    let said = || rig.logs().join("\n");
    let scrape = rig
        .until("all are counted", |scrape| {
            assert_eq!(scrape.get("up"), Some(1.0), "{}", said());
            scrape.sum("events_total") == EVENTS as f64
        })
        .await;
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0);
    rig.stop().await.expect("a clean end");
}
