//! Lists in pages that are cut, or whose pages fail: the exporter reads all users, or says that it does not.

use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Fault, Scenario};

use super::rig::{ACCOUNT, Rig, Scrape, Setup, on_summary};

const USERS: u128 = 130;

/// The exporter and 130 users in pages of 20, or of up to 50 if a client asks for more.
async fn start(alias: &str, api: &str) -> Rig {
    let users: String = (1..=USERS)
        .map(|number| {
            let id = Uuid::from_u128(number);
            format!("      - {{ id: {id}, events: [{{ behavior: imp_travel, at: -2d }}] }}\n")
        })
        .collect();
    let text = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n\
         api: {{ pages: {{ sized: {{ standard: 20, largest: 50 }} }}, {api} }}\n"
    );
    let scenario = Scenario::from_yaml(&text).expect("a scenario");
    let config = "intervals: { summary: 10s }";
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: Tuning::default() }).await
}

fn is_whole(scrape: &Scrape) -> bool {
    scrape.get("up") == Some(1.0) && scrape.sum("users") == 130.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_pages_are_smaller_than_they_say_is_read_to_the_end() {
    for (alias, api) in [
        ("cap_asked", "totals: absent, per_page: asked"),
        ("cap_absent", "totals: absent, per_page: absent"),
        ("cap_no_info", "totals: no_info"),
        ("cap_more", "totals: page, per_page: absent, next_page: has_more"),
    ] {
        let rig = start(alias, api).await;
        let scrape = rig.until("the list is read", |scrape| scrape.get("up") == Some(1.0)).await;
        assert_eq!(scrape.sum("users"), 130.0, "{api}");
        rig.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_further_pages_cannot_be_requested_is_never_shown_as_complete() {
    let rig = start("unreachable", "totals: absent, next_page: long_cursor").await;
    let scrape = rig.until("the list was tried", |scrape| scrape.get("up").is_some()).await;
    assert_eq!((scrape.get("up"), scrape.has("users{")), (Some(0.0), false));
    rig.until_logged(&["WARN", "the list of users is incomplete", "cursor has more than 2048 bytes"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_too_large_for_the_api_are_not_insisted_on() {
    let rig = start("large_pages", "totals: numbers").await;
    rig.until("the list is read", is_whole).await;
    rig.inject(on_summary(Fault::LargePages { above: 20 }));
    // Two lists fail, each after three attempts.
    let failed = |scrape: &Scrape| {
        scrape.own("requests_total{resource=\"summary\",outcome=\"unavailable\"}") >= Some(6.0)
    };
    rig.until("the server's own pages are read", |scrape| failed(scrape) && is_whole(scrape)).await;
}
