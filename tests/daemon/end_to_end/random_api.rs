//! An API that replaces random values in its answers: the exporter neither panics nor exports a repeated series, and
//! other accounts and users are counted as ever.
//!
//! `RANDOM_API_SEEDS` sets how many seeds are tried, `RANDOM_API_FIRST_SEED` the first of them.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario};

use super::rig::{ACCOUNT as ODD, Rig, Scrape, Setup};

/// An account whose answers are good, except for one user's.
const CALM: &str = "fedcba9876543210fedcba9876543210";

/// Users of each account; the last one of the calm account has random answers.
const USERS: u128 = 12;

/// How many events there are in each account while answers are random.
const EVENTS: u32 = 20;
const EVENT_INTERVAL: Duration = Duration::from_secs(10);

fn user(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn world(seed: u64) -> Scenario {
    let users: String = (0..USERS)
        .map(|number| {
            format!(
                "      - {{ id: {}, events: [{{ behavior: high_risk_domain, at: -2d }}] }}\n",
                user(number)
            )
        })
        .collect();
    let account = |id: &str| {
        format!(
            "  - id: {id}\n    users:\n{users}    integrations:\n      - {{ id: 4cfe8442-664b-4915-acd4-b39cd65c4314, \
             reference_id: a, tenant_url: 'https://example.okta.com', active: true, created_at: -30d }}\n"
        )
    };
    let text = format!(
        "seed: {seed}\naccounts:\n{}{}tokens:\n  - {{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}\n",
        account(ODD),
        account(CALM)
    );
    Scenario::from_yaml(&text).expect("a scenario")
}

/// How many events of this behavior happened in an account since counting began there.
fn happened(rig: &Rig, scrape: &Scrape, (alias, id): (&str, &str), behavior: &str) -> f64 {
    let since = scrape.get_of(alias, "counting_since_timestamp_seconds").expect("counting began");
    let truth = rig.simulator.totals_since(Some(Timestamp::from_millis((since * 1_000.0) as i64)));
    let levels = truth.accounts[id].events_by_behavior.get(behavior);
    levels.map_or(0, |levels| levels.values().sum::<u64>()) as f64
}

fn counted(scrape: &Scrape, alias: &str, behavior: &str) -> f64 {
    scrape.sum(&format!("events_total{{account=\"{alias}\",behavior=\"{behavior}\""))
}

async fn play(seed: u64) {
    let (odd, calm) = (format!("odd_{seed}"), format!("calm_{seed}"));
    let config = format!(
        "intervals: {{ summary: 10s, behaviors: 10s, integrations: 10s }}\naccounts:\n\
         - {{ id: {ODD}, alias: {odd}, token: good, budget_share: 0.4 }}\n\
         - {{ id: {CALM}, alias: {calm}, token: good, budget_share: 0.4 }}\n"
    );
    let setup = Setup { scenario: world(seed), config: &config, speed: 100.0, tuning: Tuning::default() };
    let rig = Rig::start(&odd, setup).await;
    let counts = |scrape: &Scrape, alias: &str| {
        scrape.get_of(alias, "up") == Some(1.0)
            && scrape.sum_of(alias, "behavior_enabled") > 0.0
            && scrape.get_of(alias, "counting_since_timestamp_seconds").is_some()
    };
    rig.until("both accounts count", |scrape| counts(scrape, &odd) && counts(scrape, &calm)).await;

    rig.inject(FaultRule::everywhere(Fault::RandomValue).in_account(ODD).share(0.5));
    let odd_user = user(USERS - 1);
    rig.inject(FaultRule::at(Endpoint::User, Fault::RandomValue).in_account(CALM).of_user(odd_user));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start = rig.clock.now();
    for number in 0..EVENTS {
        rig.clock.sleep_until(start + EVENT_INTERVAL * number).await;
        let now = rig.clock.date();
        for account in [ODD, CALM] {
            let user = user(rng.random_range(0..USERS - 1));
            rig.simulator.append_event(account, user, "imp_travel", now).expect("the account exists");
        }
        rig.simulator.append_event(CALM, odd_user, "high_dlp", now).expect("the account exists");
        let scrape = rig.scrape().await;
        let up = scrape.get_of(&odd, "up");
        assert!(up == Some(1.0) || up == Some(0.0), "seed {seed}: {up:?}");
        assert_eq!(scrape.get_of(&calm, "up"), Some(1.0), "seed {seed}: the other account");
        assert_eq!(scrape.sum_of(&calm, "users"), USERS as f64, "seed {seed}: the other account");
    }
    let of_calm = (calm.as_str(), CALM);
    let others = |scrape: &Scrape| {
        counted(scrape, &calm, "imp_travel") == happened(&rig, scrape, of_calm, "imp_travel")
    };
    rig.until(&format!("seed {seed}: other users are counted"), others).await;

    rig.simulator.clear_faults();
    let recovers = |scrape: &Scrape| {
        scrape.get_of(&odd, "up") == Some(1.0)
            && scrape.sum_of(&odd, "users") == USERS as f64
            // Under any behavior, because an event's behavior may have been replaced too.
            && scrape.sum(&format!("events_total{{account=\"{odd}\"")) >= happened(&rig, scrape, (&odd, ODD), "imp_travel")
            && counted(scrape, &calm, "high_dlp") >= happened(&rig, scrape, of_calm, "high_dlp")
    };
    let scrape = rig.until(&format!("seed {seed}: every listed event is counted"), recovers).await;
    // A replaced id can make a second event of one, but not of another account or user.
    assert_eq!(
        counted(&scrape, &calm, "imp_travel"),
        happened(&rig, &scrape, of_calm, "imp_travel"),
        "seed {seed}"
    );
    // What alerts depend on: the other account never failed, and the random answers were noticed.
    let failed = |alias: &str, resource: &str| {
        let all = format!("requests_total{{account=\"{alias}\",resource=\"{resource}\"");
        scrape.own_sum(&all) - scrape.own_sum(&format!("{all},outcome=\"ok\""))
    };
    let noticed = |alias: &str, resource: &str| {
        let of = |name: &str| scrape.own_sum(&format!("{name}{{account=\"{alias}\",resource=\"{resource}\""));
        of("unexpected_fields_total") + of("rejected_rows_total") + failed(alias, resource)
    };
    let lists = ["summary", "behaviors", "integrations"];
    for resource in lists {
        assert_eq!(noticed(&calm, resource), 0.0, "seed {seed}: {resource} of the other account");
    }
    let of_odd: f64 = lists.map(|resource| noticed(&odd, resource)).iter().sum();
    assert!(of_odd > 0.0, "seed {seed}: random answers are noticed");
    rig.stop().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_answers_do_not_panic_and_do_not_affect_others() {
    let first = setting("RANDOM_API_FIRST_SEED", 1);
    for seed in first..first + setting("RANDOM_API_SEEDS", 3) {
        play(seed).await;
    }
}
