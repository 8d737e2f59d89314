//! An hour in which everything goes wrong a little: stray refusals, failures, late details, an odd row, a refused user and
//! one whose answer never comes.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT, Rig, Scrape, Setup, on_summary};

/// How many users there are. The last one has an unreadable field in the summary, the one before is refused, and the answer
/// of the one before that never comes.
const USERS: u128 = 40;

/// Fast enough for an hour in a minute, and slow enough that three intervals are three real seconds.
const SPEED: f64 = 60.0;
const INTERVAL: Duration = Duration::from_secs(60);

/// The time between two events.
const EVENT_INTERVAL: Duration = Duration::from_secs(20);

const BEHAVIORS: [&str; 3] = ["imp_travel", "high_dlp", "high_risk_domain"];

fn user(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

fn world() -> Scenario {
    let users: String = (0..USERS)
        .map(|number| {
            format!(
                "      - {{ id: {}, events: [{{ behavior: high_risk_domain, at: -2d }}] }}\n",
                user(number)
            )
        })
        .collect();
    let text = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens:\n  - {{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}\n\
         api: {{ detail_lag_ms: 5000, detail_lag_max_ms: 60000 }}\n"
    );
    Scenario::from_yaml(&text).expect("a scenario")
}

fn faults() -> Vec<FaultRule> {
    let status = |status, code, message: &str| Fault::Status { status, code, message: message.to_owned() };
    let refused = status(403, 10_000, "Authentication error");
    let odd = Fault::Set {
        path: format!("/result/users/{}/last_event", user(USERS - 1)),
        value: None::<()>.into(),
    };
    vec![
        FaultRule::everywhere(status(401, 10_000, "Authentication error")).share(0.02),
        FaultRule::everywhere(refused.clone()).share(0.02),
        FaultRule::everywhere(status(503, 1_000, "unavailable")).share(0.02),
        FaultRule::at(Endpoint::User, refused).of_user(user(USERS - 2)),
        FaultRule::at(Endpoint::User, Fault::Hang).of_user(user(USERS - 3)),
        on_summary(odd),
    ]
}

/// The number of counted events with each behavior, and the true number.
fn counted_and_true(rig: &Rig, scrape: &Scrape, since: Timestamp) -> Vec<(f64, f64)> {
    let truth = rig.simulator.totals_since(Some(since));
    let by_behavior = &truth.accounts[ACCOUNT].events_by_behavior;
    let pair = |behavior: &str| {
        let happened: u64 = by_behavior.get(behavior).map_or(0, |levels| levels.values().sum());
        let counted = scrape.sum(&format!("events_total{{account=\"bad_hour\",behavior=\"{behavior}\""));
        (counted, happened as f64)
    };
    BEHAVIORS.map(pair).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_hour_loses_no_event_and_keeps_the_list_fresh() {
    let config = "intervals: { summary: 60s }";
    // Time limits are real time: half an interval, as without a scaled clock.
    let tuning = Tuning { user_timeout: INTERVAL.div_f64(2.0 * SPEED), ..Tuning::default() };
    let setup = Setup { scenario: world(), config, speed: SPEED, tuning };
    let rig = Rig::start("bad_hour", setup).await;
    let first = rig
        .until("counting begins", |scrape| scrape.has("events_total") && scrape.get("up") == Some(1.0))
        .await;
    let since = first.get("counting_since_timestamp_seconds").expect("counting began");
    let since = Timestamp::from_millis((since * 1_000.0) as i64);

    faults().into_iter().for_each(|rule| rig.inject(rule));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start = rig.clock.now();
    let mut oldest = Duration::ZERO;
    for number in 0..180 {
        rig.clock.sleep_until(start + EVENT_INTERVAL * number).await;
        // Half of the events belong to one busy user.
        let number = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..USERS) };
        let behavior = BEHAVIORS[rng.random_range(0..BEHAVIORS.len() as u64) as usize];
        rig.simulator
            .append_event(ACCOUNT, user(number), behavior, rig.clock.date())
            .expect("the account exists");
        let scrape = rig.scrape().await;
        let read = scrape.sum("last_success_timestamp_seconds{account=\"bad_hour\",resource=\"summary\"");
        oldest = oldest.max(rig.clock.date().since(Timestamp::from_millis((read * 1_000.0) as i64)));
    }
    assert!(oldest <= INTERVAL * 3, "the list was {oldest:?} old\n{}", rig.logs().join("\n"));

    rig.simulator.clear_faults();
    let agrees = |scrape: &Scrape| {
        counted_and_true(&rig, scrape, since).iter().all(|(counted, happened)| counted == happened)
    };
    let scrape = rig.until("the counters agree with the truth", agrees).await;
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{}", rig.logs().join("\n"));
    assert_eq!(scrape.sum("users"), USERS as f64);
    rig.stop().await.expect("a clean end");
}
