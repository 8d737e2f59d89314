//! Servers that cut lists into pages and say nothing of it, repeat their last page, or refuse pages or every query: lists
//! are read whole, or the exporter says why they are not.

use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::Scenario;

use super::rig::{ACCOUNT, Rig, Scrape, Setup};

/// Users of a list with exactly one page.
const PAGE: u128 = 20;

const PAGES_OF_20: &str = "pages: { sized: { standard: 20, largest: 20 } }";

/// The exporter and so many users, of which the first one has 20 events.
async fn start(alias: &str, users: u128, api: &str) -> Rig {
    let users: String = (1..=users)
        .map(|number| {
            let (id, count) = (Uuid::from_u128(number), if number == 1 { PAGE } else { 1 });
            format!("      - {{ id: {id}, events: [{{ behavior: imp_travel, at: -2d, count: {count} }}] }}\n")
        })
        .collect();
    let text = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n\
         api: {{ {api} }}\n"
    );
    let scenario = Scenario::from_yaml(&text).expect("a scenario");
    let config = "intervals: { summary: 10s }";
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: Tuning::default() }).await
}

fn event(rig: &Rig, user: u128) {
    let now = rig.clock.date();
    rig.simulator.append_event(ACCOUNT, Uuid::from_u128(user), "imp_travel", now).expect("an account");
}

/// Whether so many users are listed, and so many events were counted, and nothing is missing.
fn has(scrape: &Scrape, users: u128, events: u32) -> bool {
    scrape.get("up") == Some(1.0)
        && scrape.sum("users{") == users as f64
        && scrape.sum("events_total") == f64::from(events)
        && scrape.sum("pending_users") == 0.0
}

/// The list and the events of one user grow from one page to more, and pass through exactly two.
async fn grow(alias: &str, api: &str) {
    let rig = start(alias, PAGE, api).await;
    rig.until("the list of one page is read", |scrape| has(scrape, PAGE, 0)).await;
    let (mut users, mut events) = (PAGE, 0);
    for more in [5, 15, 1] {
        for _ in 0..more {
            users += 1;
            event(&rig, users);
            event(&rig, 1);
            events += 2;
        }
        let scrape = rig.until("the longer list is read", |scrape| has(scrape, users, events)).await;
        assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{api}");
    }
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_whole_whatever_is_beyond_the_last_page() {
    for beyond in ["empty", "last", "bad_request", "not_found"] {
        for (size, totals) in [("granted", "absent"), ("absent", "absent"), ("absent", "page")] {
            let api = format!("{PAGES_OF_20}, per_page: {size}, totals: {totals}, beyond_last: {beyond}");
            grow(&format!("cut_{beyond}_{size}_{totals}"), &api).await;
        }
        // The first page is whole in the larger size, and looks full.
        let api = format!(
            "pages: {{ sized: {{ standard: 4, largest: 20 }} }}, totals: null, beyond_last: {beyond}"
        );
        grow(&format!("cut_{beyond}_larger"), &api).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_without_pages_are_read_whole_though_every_query_or_page_is_refused() {
    for (alias, refusal) in [
        ("strict_400", "queries: { refused: { status: 400 } }"),
        ("strict_403", "queries: { refused: { status: 403 } }"),
        ("strict_404", "queries: { refused: { status: 404 } }"),
        ("strict_422", "queries: { refused: { status: 422 } }"),
        ("strict_500", "queries: { refused: { status: 500 } }"),
        ("strict_page_400", "beyond_last: bad_request"),
        ("strict_page_404", "beyond_last: not_found"),
    ] {
        let api = format!("{refusal}, per_page: absent, totals: absent");
        let rig = start(alias, PAGE, &api).await;
        rig.until("the list is read", |scrape| has(scrape, PAGE, 0)).await;
        event(&rig, 1);
        event(&rig, PAGE + 1);
        let scrape = rig.until("all events are counted", |scrape| has(scrape, PAGE + 1, 2)).await;
        assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{refusal}");
        let accuses = |line: &String| line.contains("permission") || line.contains("refused the cred");
        assert!(!rig.logs().iter().any(accuses), "{refusal}: {}", rig.logs().join("\n"));
        rig.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_cut_is_never_shown_as_whole_if_something_says_so() {
    for (alias, signs) in [
        ("refused_total", "totals: numbers"),
        ("refused_full", "totals: absent"),
        ("refused_more", "totals: absent, per_page: absent, next_page: has_more"),
    ] {
        let api = format!("{PAGES_OF_20}, queries: {{ refused: {{ status: 400 }} }}, {signs}");
        let rig = start(alias, 45, &api).await;
        rig.until_logged(&["WARN", "the list of users is incomplete", "page 2 is missing"]).await;
        let scrape = rig.until("the list was tried", |scrape| scrape.get("up").is_some()).await;
        assert_eq!((scrape.get("up"), scrape.has("users{")), (Some(0.0), false), "{signs}");
        rig.until_status("the list of users is incomplete").await;
        rig.stop().await.expect("a clean end");
    }
}
