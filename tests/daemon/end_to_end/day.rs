//! A day with thousands of users on a fast clock: the budget is kept, and each event is counted once.
//!
//! `DAY=whole` simulates 24 hours at a speed that needs an idle machine. Without it one hour is simulated.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rig::{Rig, Scrape, Setup};
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::cloudflare::limit::WINDOW;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario};

/// The simulated time and the speed of the clock. HTTP takes the same real time at any speed, so at a higher
/// speed too little of it is left between two polls.
fn span_and_speed() -> (Duration, f64) {
    match std::env::var("DAY").as_deref() {
        Err(_) => (Duration::from_secs(3_600), 240.0),
        Ok("whole") => (Duration::from_secs(24 * 3_600), 1_200.0),
        Ok(other) => panic!("DAY must be whole or unset, not {other}"),
    }
}

const USERS: u32 = 5_000;

async fn play(alias: &str, budget_share: f64, requests_allowed: usize) {
    let (span, speed) = span_and_speed();
    let config = format!(
        "accounts: [{{ id: {GENERATED_ACCOUNT}, alias: {alias}, token: {GENERATED_TOKEN}, budget_share: {budget_share} }}]"
    );
    let mut scenario = Scenario::generated(USERS, 7);
    // The list from which counting starts is a few minutes older than its date. Events happen in between.
    scenario.faults.push(FaultRule::at(Endpoint::Summary, Fault::Late { by_ms: 1_000 }).times(1));
    let rig = Rig::start(alias, Setup { scenario, config: &config, speed, tuning: Tuning::default() }).await;
    rig.until("counting begins", |scrape| scrape.has("events_total")).await;
    rig.clock.sleep(span).await;
    let scrape = until_counted(&rig).await;

    let truth = rig.simulator.ground_truth();
    let arrivals: Vec<Timestamp> = truth.requests.iter().map(|request| request.arrived).collect();
    for window in arrivals.windows(requests_allowed + 1) {
        let (first, last) = (window[0], window[requests_allowed]);
        assert!(last.since(first) >= WINDOW, "{} requests from {first} to {last}", requests_allowed + 1);
    }
    let limited = truth.requests.iter().filter(|request| request.status == 429).count();
    assert_eq!(limited, 0, "answers with 429");
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "nothing was lost: {scrape:?}");
    report(alias, &scrape, &arrivals, speed);
    rig.stop().await.expect("a clean end");
}

/// Waits until the exposition and the truth agree for each behavior and level. Events go on happening, but if
/// one was missed or counted twice, the two would never agree.
async fn until_counted(rig: &Rig) -> Scrape {
    rig.until("the counters agree with the truth", |scrape| {
        let Some(epoch) = scrape.get("counting_since_timestamp_seconds") else { return false };
        let epoch = Timestamp::from_millis((epoch * 1000.0) as i64);
        let totals = rig.simulator.totals_since(Some(epoch));
        let mut happened = BTreeMap::new();
        for (behavior, levels) in &totals.accounts[GENERATED_ACCOUNT].events_by_behavior {
            for (level, count) in levels {
                let level = format!("{level:?}").to_lowercase();
                happened.insert(
                    format!("events_total{{behavior=\"{behavior}\",risk_level=\"{level}\"}}"),
                    *count as f64,
                );
            }
        }
        let counted =
            happened.keys().map(|series| (series.clone(), scrape.get(series).unwrap_or(0.0))).collect();
        scrape.sum("events_total") > 0.0
            && scrape.sum("events_total") == happened.values().sum::<f64>()
            && happened == counted
    })
    .await
}

#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this")]
fn report(alias: &str, scrape: &Scrape, arrivals: &[Timestamp], speed: f64) {
    let delays = scrape.get("event_observation_delay_seconds_count").unwrap_or(0.0);
    let mean = scrape.get("event_observation_delay_seconds_sum").unwrap_or(0.0) / delays;
    let within = |bound: &str| {
        let bucket = format!("event_observation_delay_seconds_bucket{{le=\"{bound}\"}}");
        100.0 * scrape.get(&bucket).unwrap_or(0.0) / delays
    };
    println!(
        "{alias}: {delays} events of {USERS} users counted, none lost or double, with {} requests; from event to \
         first sight {mean:.0} s on average, {:.0} % within 30 s, {:.0} % within 60 s, {:.0} % within 5 min \
         (clock at {speed} times the wall's)",
        arrivals.len(),
        within("30.0"),
        within("60.0"),
        within("300.0"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_within_the_default_budget() {
    play("day", 0.25, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_within_a_budget_that_binds() {
    play("tight", 0.025, 30).await;
}
