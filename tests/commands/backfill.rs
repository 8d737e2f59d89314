//! `backfill` against the simulated API: it writes the events that happened, and resumes where it was stopped.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::commands::backfill::{self, Backfill, Display, Error, Report};
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule, Scenario, Simulator};

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// A fixed date, so that today's date does not matter.
const NOW: i64 = 1_900_000_000;
const HOUR: i64 = 3_600;
const BEHAVIORS: [&str; 3] = ["imp_travel", "high_dlp", "malicious_file"];

/// Users with a past: the first so many have events within the last two days, the last two only older ones.
fn scenario(users: usize, rest: &str) -> Scenario {
    let mut random = fastrand::Rng::with_seed(3);
    let mut text = format!(
        "{rest}\ntokens: [{{ token: good, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n"
    );
    text.push_str(&format!("accounts:\n  - id: {ACCOUNT}\n    users:\n"));
    for user in 0..users + 2 {
        let id = uuid::Uuid::from_u128(random.u128(..));
        text.push_str(&format!(
            "      - {{ id: {id}, name: Name {user}, email: user{user}@example.com, events: ["
        ));
        for event in 0..random.usize(1..6) {
            let seconds = if user < users { random.u32(1..172_000) } else { random.u32(200_000..900_000) };
            let behavior = BEHAVIORS[(user + event) % BEHAVIORS.len()];
            text.push_str(&format!(
                "{{ id: secret-{user}-{event}, behavior: {behavior}, at: -{seconds}s }}, "
            ));
        }
        text.push_str("] }\n");
    }
    Scenario::from_yaml(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// The arguments of the command alone.
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    backfill: Backfill,
}

struct Rig {
    simulator: Simulator,
    clock: Clock,
    config: Config,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn start(scenario: Scenario, speed: f64) -> Self {
        let clock = Clock::scaled(Timestamp::from_seconds(NOW), speed);
        let simulator = Simulator::start(scenario, clock.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zt.yaml");
        let text = format!(
            "accounts: [{{ id: {ACCOUNT}, alias: acme, token: good }}]\ncloudflare: {{ base_url: \"{}\" }}\n",
            simulator.base_url()
        );
        fs::write(&path, text).unwrap();
        let config = Config::load(&Flags { config_file: Some(path), ..Flags::default() }, []).unwrap();
        Self { simulator, clock, config, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flags(&self, name: &str, more: &[&str]) -> Backfill {
        let path = self.path(name);
        let until = NOW.to_string();
        let words = ["backfill", "--since", "1899827200", "--until", &until, "--file"];
        let words = words.into_iter().chain([path.to_str().unwrap()]).chain(more.iter().copied());
        Arguments::try_parse_from(words).unwrap().backfill
    }

    async fn run(&self, name: &str, more: &[&str]) -> Result<Report, Error> {
        let account = self.config.account(None).unwrap();
        backfill::run(&self.flags(name, more), &self.config, account, &self.clock, Display::Nothing).await
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The number of requests for single users.
    fn requests(&self) -> usize {
        self.simulator
            .ground_truth()
            .requests
            .iter()
            .filter(|request| request.endpoint == Endpoint::User)
            .count()
    }

    /// What happened in each hour, by behavior and level.
    fn ground_truth(&self) -> BTreeMap<(String, String, i64), u64> {
        let mut truth = BTreeMap::new();
        for event in self.simulator.ground_truth().events {
            let seconds = event.timestamp.millis().div_euclid(1_000);
            let late = event.timestamp.millis() % 1_000 > 0;
            if (1_899_827_200..NOW).contains(&(seconds - i64::from(!late))) {
                let hour = (seconds - i64::from(!late)).div_euclid(HOUR);
                *truth.entry((event.behavior, event.risk_level.as_str().to_owned(), hour)).or_default() += 1;
            }
        }
        truth
    }
}

/// What was written for each hour, by behavior and level.
fn by_hour(text: &str) -> BTreeMap<(String, String, i64), u64> {
    let (mut found, mut before) = (BTreeMap::new(), BTreeMap::<String, (u64, i64)>::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [series, value, date] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let label =
            |name: &str| series.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        let (value, date): (u64, i64) = (value.parse().unwrap(), date.parse().unwrap());
        let (risen, hour) = match before.insert(series.to_owned(), (value, date)) {
            None => {
                assert_eq!(value, 0, "a series begins at 0: {line}");
                continue;
            }
            Some((last, earlier)) => {
                assert!(
                    value >= last && date > earlier && date - earlier <= 300,
                    "{line} after {last} {earlier}"
                );
                // What a sample adds happened after the one before it, and steps do not cross hours.
                (value - last, earlier.div_euclid(HOUR))
            }
        };
        if risen > 0 {
            let key = (label("behavior").to_owned(), label("risk_level").to_owned(), hour);
            *found.entry(key).or_default() += risen;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_has_the_events_of_each_hour() {
    let rig = Rig::start(scenario(40, ""), 1.0).await;
    let report = rig.run("past.om", &[]).await.unwrap().to_string();
    let (text, truth) = (rig.text("past.om"), rig.ground_truth());
    assert!(truth.values().sum::<u64>() > 80, "{truth:?}");
    assert_eq!(by_hour(&text), truth);
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), 1);
    assert!(text.ends_with("\n# EOF\n"));
    assert_eq!(rig.requests(), 40, "those with older events only are not asked for");
    assert!(report.contains(&format!("{} events", truth.values().sum::<u64>())), "{report}");
    let mode = fs::metadata(rig.path("past.om")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!rig.path("past.om.progress").exists(), "nothing is left to go on from");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_file_is_not_replaced_and_no_request_is_sent() {
    let rig = Rig::start(scenario(3, ""), 1.0).await;
    fs::write(rig.path("past.om"), "mine").unwrap();
    assert!(matches!(rig.run("past.om", &[]).await, Err(Error::Usage(_))));
    assert_eq!((rig.text("past.om").as_str(), rig.simulator.ground_truth().requests.len()), ("mine", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_listed_twice_counts_once() {
    for (pages, users) in [("whole", 20), ("{ sized: { standard: 2, largest: 2 } }", 20)] {
        let rig = Rig::start(scenario(users, &format!("api: {{ pages: {pages} }}")), 1.0).await;
        rig.simulator.inject(FaultRule::at(Endpoint::User, Fault::DuplicatedRows));
        rig.run("past.om", &["--budget-share", "1"]).await.unwrap();
        let (found, truth) = (by_hour(&rig.text("past.om")), rig.ground_truth());
        if pages == "whole" {
            assert_eq!(found, truth);
        } else {
            // Where a row comes on two pages, another comes on none.
            let more = |(key, count): &(&_, &u64)| truth.get(*key).is_none_or(|happened| *count > happened);
            assert!(
                !found.is_empty() && !found.iter().any(|pair| more(&pair)),
                "{found:?} is more than {truth:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backfill_resumes_with_the_same_result() {
    let users = 30;
    let rig = Rig::start(scenario(users, "latency_ms: 15"), 1.0).await;
    rig.run("whole.om", &["--budget-share", "1"]).await.unwrap();
    let before = rig.requests();
    let mut stops = 0;
    loop {
        let asked = rig.requests();
        let stop = async {
            // Some users further, in the middle of a request.
            while rig.requests() < asked + 7 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            report = rig.run("parts.om", &["--budget-share", "1"]) => break drop(report.unwrap()),
            () = stop => stops += 1,
        }
        let kept = rig.text("parts.om.progress");
        assert!(!rig.path("parts.om").exists(), "nothing is written before all is read");
        for secret in ["@example.com", "Name ", "secret-"] {
            assert!(!kept.contains(secret), "{secret} in {kept}");
        }
        for user in rig.simulator.ground_truth().users {
            assert!(!kept.contains(&user.user.to_string()), "{kept}");
        }
    }
    assert!(stops >= 3, "{stops}");
    assert_eq!(rig.text("parts.om"), rig.text("whole.om"));
    let asked = rig.requests() - before;
    assert!(
        (users..=users + stops).contains(&asked),
        "{asked} requests for {users} users, stopped {stops} times"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_flags_or_a_damaged_file_prevent_resuming() {
    let rig = Rig::start(scenario(3, ""), 1.0).await;
    rig.simulator.inject(FaultRule::at(Endpoint::User, Fault::NullResult));
    rig.simulator.inject(FaultRule::at(Endpoint::Summary, Fault::BadGateway));
    assert!(matches!(rig.run("past.om", &[]).await, Err(Error::Request { resource: "summary", .. })));
    rig.simulator.clear_faults();
    let unauthorized =
        Fault::Status { status: 403, code: 10_000, message: "Authentication error".to_owned() };
    rig.simulator.inject(FaultRule::at(Endpoint::User, unauthorized));
    assert!(matches!(rig.run("past.om", &[]).await, Err(Error::Request { resource: "user", .. })));
    rig.simulator.clear_faults();
    assert!(matches!(rig.run("past.om", &["--step", "1m"]).await, Err(Error::Usage(_))));
    let kept = rig.text("past.om.progress");
    fs::write(rig.path("past.om.progress"), &kept[1..]).unwrap();
    assert!(matches!(rig.run("past.om", &[]).await, Err(Error::File { .. })));
    fs::write(rig.path("past.om.progress"), kept).unwrap();
    rig.run("past.om", &[]).await.unwrap();
    assert_eq!(by_hour(&rig.text("past.om")), rig.ground_truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_errors_are_retried_and_removed_users_skipped() {
    // Fast enough for pauses of minutes.
    let rig = Rig::start(scenario(12, ""), 2_000.0).await;
    rig.simulator.inject(FaultRule::at(Endpoint::User, Fault::BadGateway).times(7));
    rig.run("past.om", &[]).await.unwrap();
    assert_eq!(by_hour(&rig.text("past.om")), rig.ground_truth());

    let missing = Fault::Status { status: 404, code: 1_001, message: "no such user".to_owned() };
    rig.simulator.inject(FaultRule::at(Endpoint::User, missing).times(1));
    let report = rig.run("less.om", &[]).await.unwrap().to_string();
    assert!(report.contains("users who no longer exist: 1\n"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_kept_across_a_restart() {
    let (users, speed) = (30, 500.0);
    let rig = Rig::start(scenario(users, ""), speed).await;
    // Of 1,200 requests 24: a first run that is stopped has spent some of them.
    let flags = ["--budget-share", "0.02"];
    let stop = async {
        while rig.requests() < 15 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        report = rig.run("past.om", &flags) => panic!("{report:?}"),
        () = stop => {}
    }
    rig.run("past.om", &flags).await.unwrap();
    let mut arrived: Vec<_> =
        rig.simulator.ground_truth().requests.iter().map(|request| request.arrived).collect();
    arrived.sort_unstable();
    let busiest = arrived.iter().map(|end| {
        arrived.iter().filter(|other| *other <= end && end.since(**other) < Duration::from_secs(300)).count()
    });
    // The one that was under way when it was stopped is in no file.
    assert!(busiest.max().unwrap() <= 25, "{arrived:?}");
    assert!(rig.requests() >= users);
}

#[tokio::test]
async fn invalid_time_spans_are_refused() {
    let rig = Rig::start(scenario(1, ""), 1.0).await;
    for (since, until) in [("1d", "2d"), ("1d", "1d"), ("2000-01-01T00:00:00Z", "1d")] {
        let mut flags = rig.flags("past.om", &[]);
        (flags.since, flags.until) = (since.parse().unwrap(), Some(until.parse().unwrap()));
        let account = rig.config.account(None).unwrap();
        let result = backfill::run(&flags, &rig.config, account, &rig.clock, Display::Nothing).await;
        assert!(matches!(result, Err(Error::Usage(_))), "{since} to {until}");
    }
    assert_eq!(rig.simulator.ground_truth().requests.len(), 0);
}
