//! Refusals of some users, and of one resource, which concern no others.

use uuid::Uuid;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT, Rig, Setup};

const USERS: u128 = 30;

/// 30 users with one old event each, and these faults.
async fn start(alias: &str, faults: &str) -> Rig {
    let users: String = (1..=USERS)
        .map(|number| {
            let id = Uuid::from_u128(number);
            format!("      - {{ id: {id}, events: [{{ behavior: high_dlp, at: -48h }}] }}\n")
        })
        .collect();
    let world = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n{faults}"
    );
    let scenario = Scenario::from_yaml(&world).expect("a scenario");
    let config = "intervals: { summary: 10s }";
    Rig::start(alias, Setup { scenario, config, speed: 100.0, tuning: Tuning::default() }).await
}

fn act(rig: &Rig, users: impl Iterator<Item = u128>, behavior: &str) {
    for number in users {
        let user = Uuid::from_u128(number);
        rig.simulator.append_event(ACCOUNT, user, behavior, rig.clock.date()).expect("the user exists");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_refused_users_at_high_do_not_stop_counting_for_others() {
    let rig = start("three_refused", "").await;
    // The audit begins with the first users, so one of the others was read last.
    let read = "requests_total{resource=\"user\",outcome=\"ok\"}";
    rig.until("some users were read", |scrape| scrape.own(read).is_some_and(|users| users >= 4.0)).await;
    for number in 1..=3 {
        let refusal = Fault::Status { status: 403, code: 10_000, message: "Authentication error".to_owned() };
        rig.inject(FaultRule::at(Endpoint::User, refusal).of_user(Uuid::from_u128(number)));
    }
    for round in 1..=3 {
        act(&rig, 1..=3, "imp_travel");
        act(&rig, 4..=USERS, "high_dlp");
        let wanted = f64::from(27 * round);
        let scrape = rig.until("all others are counted", |scrape| scrape.sum("events_total") == wanted).await;
        assert_eq!(scrape.get("up"), Some(1.0));
    }
    let logs = rig.logs().join("\n");
    assert!(logs.contains("cloudflare refuses the events of one user"), "{logs}");
    assert!(!logs.contains("lack a permission"), "others were read with the same token\n{logs}");
    rig.simulator.clear_faults();
    rig.until("the three are counted", |scrape| scrape.sum("events_total") == 90.0).await;
    assert_eq!(rig.scrape().await.sum("events_unattributed_total"), 0.0);
    rig.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behaviors_that_are_refused_or_answered_by_something_else_do_not_stop_counting() {
    for (alias, fault) in [
        (
            "behaviors_401",
            "{ endpoint: behaviors, fault: { status: { status: 401, code: 10000, message: refused } } }",
        ),
        ("behaviors_html", "{ endpoint: behaviors, fault: { html: { status: 403 } } }"),
    ] {
        let rig = start(alias, &format!("faults: [{fault}]\n")).await;
        rig.until("a first reading", |scrape| scrape.get("up") == Some(1.0)).await;
        act(&rig, 1..=USERS, "imp_travel");
        let scrape = rig.until("all are counted", |scrape| scrape.sum("events_total") == 30.0).await;
        assert_eq!(scrape.get("up"), Some(1.0), "{alias}");
        let refused = "requests_total{resource=\"summary\",outcome=\"refused\"}";
        assert_eq!(scrape.own(refused).unwrap_or_default(), 0.0, "{alias}");
        rig.stop().await.expect("a clean end");
    }
}
