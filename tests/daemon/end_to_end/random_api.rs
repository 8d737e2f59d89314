//! An API that replaces random values in its answers. The exporter does not panic and exports no series twice, `up` and
//! what alerts depend on are true, other accounts and users are counted as ever, and once the answers are good again,
//! every listed event is counted and nothing odd is left.
//!
//! Half of the seeds have lists in pages, a quarter a server that refuses every query. What the answers say of pages, and what
//! is beyond the last one, is drawn for each seed.
//!
//! `RANDOM_API_SEEDS` sets how many seeds are tried, `RANDOM_API_FIRST_SEED` the first of them, and `RANDOM_API_PARALLEL`
//! how many are tried at a time. A seed keeps a processor busy for a third of a second, and waits for ten.

mod paging;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::internals::app::Tuning;
use zt_risk_exporter::simulator::{DateFormat, Endpoint, Fault, FaultRule, Scenario};

use paging::Paging;

use super::rig::{ACCOUNT as ODD, Rig, Scrape, Setup, on_summary};

/// An account whose answers are good, except for one user's.
const CALM: &str = "fedcba9876543210fedcba9876543210";

/// Users of each account; the last one of the calm account has random answers.
const USERS: u128 = 12;

/// How many events there are in each account while answers are random.
const EVENTS: u32 = 20;
const EVENT_INTERVAL: Duration = Duration::from_secs(10);

/// How often each list is read.
const INTERVAL: Duration = Duration::from_secs(10);

/// Slow enough that an interval has room for the requests of many seeds that are played at a time.
const SPEED: f64 = 50.0;

/// Every so many seeds have a state file and a restart. Writing the file takes long.
const RESTARTS: u64 = 4;

/// The pause between two scrapes while a test waits.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);

/// The longest wait. A user who could not be read several times in a row waits for up to an hour.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3_600);

/// More requests than one reading of a list sends, with its retries.
const ATTEMPTS: f64 = 6.0;

const LISTS: [&str; 3] = ["summary", "behaviors", "integrations"];

/// Gauges that show what Cloudflare's settings are now. They are the same in both accounts.
const SETTINGS: [&str; 5] =
    ["behavior_enabled", "behavior_risk_level", "behavior_info", "integration_active", "integration_info"];

fn user(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn world(seed: u64, paging: &Paging) -> Scenario {
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
        "seed: {seed}\naccounts:\n{}{}tokens:\n  - {{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}\n\
         api: {{ {} }}\n",
        account(ODD),
        account(CALM),
        paging.api
    );
    Scenario::from_yaml(&text).expect("a scenario")
}

/// Ways in which a list of users cannot be read completely.
fn unreadable_lists(paging: &Paging) -> Vec<Fault> {
    let mut faults = vec![
        Fault::NullResult,
        Fault::MissingResult,
        Fault::Unsuccessful { code: 1_000, message: "unavailable".to_owned() },
        Fault::Status { status: 503, code: 1_000, message: "unavailable".to_owned() },
        Fault::Html { status: 403 },
        Fault::Set { path: "/result/users".to_owned(), value: json!("none") },
    ];
    if paging.counts_rows() {
        faults.push(Fault::LyingTotals { by: 5 });
    }
    faults
}

/// One seed.
struct Play {
    seed: u64,
    rig: Rig,
    rng: ChaCha8Rng,
    paging: Paging,
    odd: String,
    calm: String,
    /// What a process that has ended noticed of the random answers.
    noticed_before: f64,
}

impl Play {
    async fn start(seed: u64) -> Self {
        let (odd, calm) = (format!("odd_{seed}"), format!("calm_{seed}"));
        let interval = INTERVAL.as_secs();
        let state = if seed.is_multiple_of(RESTARTS) { "state: { path: state.redb }" } else { "" };
        let config = format!(
            "{state}\nintervals: {{ summary: {interval}s, behaviors: {interval}s, integrations: {interval}s }}\n\
             users: {{ identity: email }}\naccounts:\n\
             - {{ id: {ODD}, alias: {odd}, token: good, budget_share: 0.4 }}\n\
             - {{ id: {CALM}, alias: {calm}, token: good, budget_share: 0.4 }}\n"
        );
        let paging = Paging::of_seed(seed);
        let scenario = world(seed, &paging);
        let setup = Setup { scenario, config: &config, speed: SPEED, tuning: Tuning::default() };
        let rig = Rig::start(&odd, setup).await;
        Self { seed, rig, rng: ChaCha8Rng::seed_from_u64(seed), paging, odd, calm, noticed_before: 0.0 }
    }

    /// Whether an account is read and counted.
    fn counts(scrape: &Scrape, alias: &str) -> bool {
        scrape.get_of(alias, "up") == Some(1.0)
            && scrape.sum_of(alias, "behavior_enabled") > 0.0
            && scrape.get_of(alias, "counting_since_timestamp_seconds").is_some()
    }

    /// Scrapes until `holds` is true, for a limited time on the clock of the test.
    async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let end = self.rig.clock.now() + LONGEST_WAIT;
        loop {
            let scrape = self.rig.scrape().await;
            if holds(&scrape) {
                return scrape;
            }
            let log = || self.rig.logs().join("\n");
            assert!(
                self.rig.clock.now() < end,
                "seed {} ({}): {what}: not within the time\n{}\n{scrape:#?}",
                self.seed,
                self.paging.api,
                log()
            );
            self.rig.clock.sleep(SCRAPE_INTERVAL).await;
        }
    }

    /// `up` is not 0 unless a request for the list was due since it was read.
    fn assert_up_is_true(&self, scrape: &Scrape, alias: &str) {
        let now = self.rig.clock.date().seconds();
        let read = scrape.get_of(alias, "last_success_timestamp_seconds{resource=\"summary\"}");
        let age = now - read.expect("the list was read at the start");
        match scrape.get_of(alias, "up") {
            Some(1.0) => {}
            // The interval begins with the request; several pages take some time on a busy machine.
            Some(0.0) => assert!(
                age > INTERVAL.as_secs_f64() / 2.0,
                "seed {}: {alias} is down, but its list was read {age} s ago",
                self.seed
            ),
            other => panic!("seed {}: up of {alias} is {other:?}", self.seed),
        }
    }

    /// Random answers while events arrive.
    async fn random_answers(&mut self) {
        let odd_user = user(USERS - 1);
        self.rig.inject(FaultRule::everywhere(Fault::RandomValue).in_account(ODD).share(0.5));
        self.rig.inject(FaultRule::at(Endpoint::User, Fault::RandomValue).in_account(CALM).of_user(odd_user));
        self.events_change_shape();
        let start = self.rig.clock.now();
        for number in 0..EVENTS {
            self.rig.clock.sleep_until(start + EVENT_INTERVAL * number).await;
            let now = self.rig.clock.date();
            for account in [ODD, CALM] {
                let user = user(self.rng.random_range(0..USERS - 1));
                self.append(account, user, "imp_travel", now);
            }
            self.append(CALM, odd_user, "high_dlp", now);
            let scrape = self.rig.scrape().await;
            self.assert_up_is_true(&scrape, &self.odd);
            self.assert_up_is_true(&scrape, &self.calm);
            assert_eq!(scrape.sum_of(&self.calm, "users"), USERS as f64, "seed {}", self.seed);
            if number == EVENTS / 2 && self.seed.is_multiple_of(RESTARTS) {
                self.restart(&scrape).await;
            }
        }
    }

    /// In some answers of the calm account, events lack their ids, and their times have no fraction of a second. Each event
    /// is still counted once. Within a list, all events have one shape.
    fn events_change_shape(&self) {
        if self.paging.has_pages {
            return;
        }
        // A server cuts off the fraction, or rounds, but not now this and now that.
        let format =
            if self.seed.is_multiple_of(2) { DateFormat::WholeSeconds } else { DateFormat::RoundedSeconds };
        let no_id =
            |event: &str| Fault::Set { path: format!("/result/events/{event}/id"), value: Value::Null };
        let faults =
            [(Fault::Dates { format }, 0.4), (no_id("*"), 0.25), (no_id("0"), 0.3), (no_id("1"), 0.3)];
        for (fault, share) in faults {
            self.rig.inject(FaultRule::at(Endpoint::User, fault).in_account(CALM).share(share));
        }
    }

    fn append(&self, account: &str, user: Uuid, behavior: &str, at: Timestamp) {
        self.rig.simulator.append_event(account, user, behavior, at).expect("the account exists");
    }

    /// A restart loses nothing that was counted, whatever was in the answers.
    async fn restart(&mut self, before: &Scrape) {
        self.noticed_before += LISTS.map(|list| Self::noticed(before, &self.odd, list)).iter().sum::<f64>();
        self.rig.restart().await;
        let both = |scrape: &Scrape| {
            [&self.odd, &self.calm].iter().all(|alias| scrape.get_of(alias, "up").is_some())
        };
        let after = self.until("the state is restored", both).await;
        for alias in [&self.odd, &self.calm] {
            for counter in ["events_total", "behavior_users_total", "resets_total"] {
                let (before, after) = (before.sum_of(alias, counter), after.sum_of(alias, counter));
                let log = || self.rig.logs().join("\n");
                assert!(
                    after >= before,
                    "seed {}: {counter} of {alias} fell from {before} to {after}\n{}",
                    self.seed,
                    log()
                );
            }
            let since = |scrape: &Scrape| scrape.get_of(alias, "counting_since_timestamp_seconds");
            assert_eq!(since(&after), since(before), "seed {}: the state of {alias}", self.seed);
        }
    }

    /// How many events of this behavior happened in an account since counting began there.
    fn happened(&self, scrape: &Scrape, (alias, id): (&str, &str), behavior: &str) -> f64 {
        let since = scrape.get_of(alias, "counting_since_timestamp_seconds").expect("counting began");
        let truth = self.rig.simulator.totals_since(Some(Timestamp::from_millis((since * 1_000.0) as i64)));
        let levels = truth.accounts[id].events_by_behavior.get(behavior);
        levels.map_or(0, |levels| levels.values().sum::<u64>()) as f64
    }

    /// Requests of the odd account for the list of users.
    fn summary_requests(&self, scrape: &Scrape) -> f64 {
        scrape.own_sum(&format!("requests_total{{account=\"{}\",resource=\"summary\"", self.odd))
    }

    /// A list that cannot be read: `up` is 0 as long as that lasts, the status document says why, and the users stay.
    async fn unreadable_list(&mut self) {
        self.rig.simulator.clear_faults();
        let faults = unreadable_lists(&self.paging);
        let fault = faults[self.rng.random_range(0..faults.len() as u64) as usize].clone();
        let what = format!("seed {}: {fault:?}", self.seed);
        let begun = self.summary_requests(&self.rig.scrape().await);
        self.rig.inject(on_summary(fault).in_account(ODD));
        // An answer that was on its way may still be good.
        let is_down = |scrape: &Scrape| {
            self.summary_requests(scrape) >= begun + ATTEMPTS && scrape.get_of(&self.odd, "up") == Some(0.0)
        };
        let down = self.until(&what, is_down).await;
        let begun = self.summary_requests(&down);
        let later = self.until(&what, |scrape| self.summary_requests(scrape) >= begun + ATTEMPTS).await;
        let read = |scrape: &Scrape| {
            scrape.get_of(&self.odd, "last_success_timestamp_seconds{resource=\"summary\"}")
        };
        assert_eq!((later.get_of(&self.odd, "up"), read(&later)), (Some(0.0), read(&down)), "{what}");
        // A row that was missing from the last good list may leave a user out, and one without rows all, unless it was counted.
        let users = |scrape: &Scrape| {
            scrape.series_of(&self.odd, "users").into_iter().map(|(_, count)| count).collect::<Vec<_>>()
        };
        assert!(
            users(&later) == users(&down)
                && (later.sum_of(&self.odd, "users") > 0.0 || !self.paging.counts_rows()),
            "{what}: the users stay"
        );
        assert!(self.ongoing_errors(ODD).await.contains("summary"), "{what}: the status document says why");
        assert_eq!(
            self.ongoing_errors(CALM).await.difference(&BTreeSet::from(["user".to_owned()])).count(),
            0,
            "{what}"
        );
        self.rig.simulator.clear_faults();
    }

    /// The resources with errors that are not over, as the status document says.
    async fn ongoing_errors(&self, id: &str) -> BTreeSet<String> {
        let document: Value = serde_json::from_str(&self.rig.get("/api/v1/status").await.1).expect("JSON");
        let accounts = document["accounts"].as_array().expect("a list");
        let account =
            accounts.iter().find(|account| account["account_id"] == id).expect("the account is shown");
        let errors = account["errors"].as_array().expect("a list");
        let ongoing = errors.iter().filter(|error| error["over"].is_null());
        ongoing.map(|error| error["resource"].as_str().expect("a text").to_owned()).collect()
    }

    /// Whether an account whose answers are good again is shown as it is, with every listed event counted.
    fn is_well(&self, scrape: &Scrape, (alias, id): (&str, &str)) -> bool {
        let truth = &self.rig.simulator.totals_since(None).accounts[id];
        let levels_agree = ["low", "medium", "high"].iter().all(|word| {
            let listed =
                truth.by_level.iter().filter(|(level, _)| level.as_str() == *word).map(|(_, count)| *count);
            scrape.get_of(alias, &format!("users{{max_risk_level=\"{word}\"}}"))
                == Some(listed.sum::<u64>() as f64)
        });
        let events: u64 = truth.events_by_behavior.values().flat_map(|levels| levels.values()).sum();
        // Under any behavior, because an event's behavior may have been replaced too.
        let happened: f64 =
            ["imp_travel", "high_dlp"].map(|name| self.happened(scrape, (alias, id), name)).iter().sum();
        scrape.get_of(alias, "up") == Some(1.0)
            && levels_agree
            && scrape.sum_of(alias, "users") == USERS as f64
            && scrape.sum_of(alias, "reported_events") == events as f64
            && scrape.sum_of(alias, "pending_users") == 0.0
            && scrape.sum_of(alias, "events_total") >= happened
    }

    /// After the faults: everything is as it is at Cloudflare.
    async fn recovery(&self) {
        let (odd, calm) = ((self.odd.as_str(), ODD), (self.calm.as_str(), CALM));
        let settings_agree = |scrape: &Scrape| {
            SETTINGS.iter().all(|name| scrape.series_of(odd.0, name) == scrape.series_of(calm.0, name))
        };
        let recovers = |scrape: &Scrape| {
            self.is_well(scrape, odd) && self.is_well(scrape, calm) && settings_agree(scrape)
        };
        let scrape = self.until("every listed event is counted", recovers).await;
        let seed = self.seed;
        // A replaced id can make two events of one. But it changes no other account, and neither a missing id nor a time of
        // another precision makes two events of one.
        assert_eq!(
            scrape.sum(&format!("events_total{{account=\"{}\",behavior=\"imp_travel\"", calm.0)),
            self.happened(&scrape, calm, "imp_travel"),
            "seed {seed}"
        );
        assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "seed {seed}: all events were listed");
        let labels = scrape.series_of(odd.0, "behavior_users_total").into_iter().map(|(labels, _)| labels);
        let distinct: BTreeSet<_> = labels.clone().map(|labels| labels.to_lowercase()).collect();
        assert_eq!(
            distinct.len(),
            labels.count(),
            "seed {seed}: labels that differ in case only: {distinct:#?}"
        );
        self.assert_alerts_are_true(&scrape);
        let errors = self.ongoing_errors(ODD).await;
        assert!(
            LISTS.iter().all(|list| !errors.contains(*list)),
            "seed {seed}: ongoing errors of {errors:?}"
        );
    }

    /// Requests for a resource with this outcome, since the process started.
    fn requests(scrape: &Scrape, alias: &str, resource: &str, outcome: &str) -> f64 {
        scrape.own_sum(&format!(
            "requests_total{{account=\"{alias}\",resource=\"{resource}\",outcome=\"{outcome}\""
        ))
    }

    /// Requests for a resource that failed, since the process started.
    fn failed(scrape: &Scrape, alias: &str, resource: &str) -> f64 {
        let all = scrape.own_sum(&format!("requests_total{{account=\"{alias}\",resource=\"{resource}\""));
        all - Self::requests(scrape, alias, resource, "ok")
    }

    /// Unexpected fields and unreadable rows of a resource, since the process started.
    fn odd_rows(scrape: &Scrape, alias: &str, resource: &str) -> f64 {
        let of = |name: &str| scrape.own_sum(&format!("{name}{{account=\"{alias}\",resource=\"{resource}\""));
        of("unexpected_fields_total") + of("rejected_rows_total")
    }

    /// What was noticed of answers that are not as documented, since the process started.
    fn noticed(scrape: &Scrape, alias: &str, resource: &str) -> f64 {
        Self::failed(scrape, alias, resource) + Self::odd_rows(scrape, alias, resource)
    }

    /// What alerts depend on: random answers are noticed where they were, and not taken for a refusal.
    fn assert_alerts_are_true(&self, scrape: &Scrape) {
        let seed = self.seed;
        for list in LISTS {
            let has_refused_pages = self.paging.refuses && list == "summary";
            let failed = if has_refused_pages { 0.0 } else { Self::failed(scrape, &self.calm, list) };
            let noticed = Self::odd_rows(scrape, &self.calm, list) + failed;
            assert_eq!(noticed, 0.0, "seed {seed}: {list} of the other account");
        }
        let noticed: f64 = LISTS.map(|list| Self::noticed(scrape, &self.odd, list)).iter().sum();
        assert!(noticed + self.noticed_before > 0.0, "seed {seed}: random answers are noticed");
        for resource in LISTS.into_iter().chain(["user"]) {
            for outcome in ["credentials", "refused", "forbidden", "not_entitled", "limited"] {
                let found = Self::requests(scrape, &self.odd, resource, outcome);
                assert_eq!(found, 0.0, "seed {seed}: {resource} {outcome}");
            }
        }
    }
}

async fn play(seed: u64) {
    let mut play = Play::start(seed).await;
    // Nothing but the date on which the token ends depends on this answer.
    play.rig.inject(FaultRule::at(Endpoint::TokenVerify, Fault::RandomValue));
    let counts = |scrape: &Scrape| Play::counts(scrape, &play.odd) && Play::counts(scrape, &play.calm);
    play.until("both accounts count", counts).await;
    play.random_answers().await;
    play.unreadable_list().await;
    play.recovery().await;
    play.rig.forget_logs(&[&quoted(&play.odd), &quoted(&play.calm)]);
    play.rig.stop().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

/// The name of an account as in log lines.
fn quoted(alias: &str) -> String {
    format!("account=\"{alias}\"")
}

/// Plays seeds side by side. Returns those that failed.
async fn play_all(seeds: impl Iterator<Item = u64>, parallel: usize) -> Vec<u64> {
    let (mut playing, mut failed) = (JoinSet::new(), Vec::new());
    let mut ended = |(seed, is_well): (u64, bool)| {
        if !is_well {
            failed.push(seed);
        }
    };
    for seed in seeds {
        if playing.len() == parallel {
            ended(
                playing.join_next().await.expect("some are playing").expect("the task itself does not panic"),
            );
        }
        playing.spawn(async move { (seed, tokio::spawn(play(seed)).await.is_ok()) });
    }
    playing.join_all().await.into_iter().for_each(ended);
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_answers_do_not_panic_and_do_not_affect_others() {
    let first = setting("RANDOM_API_FIRST_SEED", 1);
    let seeds = first..first + setting("RANDOM_API_SEEDS", 8);
    let parallel = usize::try_from(setting("RANDOM_API_PARALLEL", 8)).expect("a small number");
    let failed = play_all(seeds, parallel).await;
    assert!(failed.is_empty(), "RANDOM_API_FIRST_SEED of the failed ones: {failed:?}");
}
