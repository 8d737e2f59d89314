//! Reloads in random order, half of them of broken files, while events come, accounts come and go, and the process is killed
//! now and then: what is counted is the truth, no request is beyond the budget, no account is without a poller, none has two.
//!
//! `RELOADS` says how many reloads (30 unless it is set), `RELOADS_SEED` with which seed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Timestamp};

use super::FAST;
use super::world::{ACCOUNTS, Listed, World, id};
use crate::durability::process::{Exporter, Home, Scrape};

/// How many reloads one world lasts: each new credential has a budget of five minutes, and what a killed process had leased
/// counts as spent.
const RELOADS_OF_A_ROUND: u64 = 100;

const ALIASES: [&str; 8] = ["red", "blue", "green", "white", "black", "gray", "pink", "brown"];
const TOKENS: [&str; ACCOUNTS] = ["t0", "t1", "t2", "t3", "t4", "t5"];

/// The share of the request limit of every credential, and the requests that it is.
const SHARE: &str = "0.5";
const REQUESTS: usize = 600;
const WINDOW: Duration = Duration::from_secs(300);

/// What is wrong with a broken configuration.
const BROKEN: [&str; 5] = [
    "intervals: { summary: 0s }",
    "users: { identity: hash, hash_key_file: missing }",
    "shard: { index: 1, total: 2 }",
    "accounts: none",
    "{",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Some of the accounts, with aliases and tokens of which two may be the same.
fn random_accounts(random: &mut fastrand::Rng) -> Vec<Listed<'static>> {
    let (mut accounts, mut aliases): (Vec<usize>, _) = ((0..ACCOUNTS).collect(), ALIASES.to_vec());
    random.shuffle(&mut accounts);
    random.shuffle(&mut aliases);
    accounts.truncate(random.usize(1..=ACCOUNTS));
    let listed = accounts.into_iter().zip(aliases);
    listed
        .map(|(account, alias)| Listed {
            share: SHARE,
            ..Listed::new(account, alias, random.choice(TOKENS).expect("some"))
        })
        .collect()
}

/// Adds events to all accounts until `stop`, whether they are polled or not.
fn live(world: &World, random: &mut fastrand::Rng, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        world.events(random.usize(0..ACCOUNTS), random.u64(1..10));
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Sets the flag when it is dropped, so that a failure does not wait for the events for ever.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The highest count of each account so far, whatever it was called.
#[derive(Default)]
struct Counts(BTreeMap<usize, f64>);

impl Counts {
    /// Asserts that no count has fallen.
    fn record(&mut self, scrape: &Scrape, accounts: &[Listed<'_>], what: &str) {
        for one in
            accounts.iter().filter(|one| scrape.has(&format!("events_total{{account=\"{}\"", one.alias)))
        {
            let counted = scrape.counted(one.alias);
            let before = self.0.insert(one.account, counted).unwrap_or(0.0);
            assert!(counted >= before, "{what}: account {} had {before} and has {counted}", one.account);
        }
    }
}

/// An exporter that has read its configuration.
fn started(home: &Home) -> Exporter {
    let exporter = home.start();
    exporter.until_logged("serving /metrics");
    exporter
}

struct Tally {
    reloads: u64,
    broken: u64,
    kills: u64,
    events: f64,
    resident: Vec<f64>,
}

fn round(reloads: u64, seed: u64) -> Tally {
    let (world, home) = (World::start(), Home::empty());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally { reloads, broken: 0, kills: 0, events: 0.0, resident: Vec::new() };
    let (stop, mut counts) = (AtomicBool::new(false), Counts::default());
    let mut accounts = random_accounts(&mut random);
    home.configure(&world.config(&home, &accounts, FAST));
    let mut exporter = started(&home);
    std::thread::scope(|scope| {
        let mut of_world = random.fork();
        let (world, stop) = (&world, &stop);
        scope.spawn(move || live(world, &mut of_world, stop));
        let _stopping = Stopping(stop);
        for number in 1..=reloads {
            let what = format!("seed {seed}, reload {number}");
            if random.u32(0..2) == 0 {
                tally.broken += 1;
                let next = random_accounts(&mut random);
                home.configure(&world.config(
                    &home,
                    &next,
                    &format!("{FAST}\n{}", random.choice(BROKEN).expect("some")),
                ));
                let (status, text) = exporter.reload();
                assert_eq!(status, 500, "{what}: {text}");
                // A restart would fail.
                home.configure(&world.config(&home, &accounts, FAST));
            } else {
                accounts = random_accounts(&mut random);
                home.configure(&world.config(&home, &accounts, FAST));
                let (status, text) = exporter.reload();
                assert_eq!(status, 200, "{what}: {text}");
            }
            std::thread::park_timeout(Duration::from_millis(random.u64(0..400)));
            let is_shown = |scrape: &Scrape| is_shown(scrape, &accounts);
            let scrape = exporter.until("the accounts of the configuration are shown", is_shown);
            counts.record(&scrape, &accounts, &what);
            tally.resident.extend(scrape.get("process_resident_memory_bytes"));
            if random.u32(0..10) == 0 {
                tally.kills += 1;
                exporter.kill();
                exporter = started(&home);
            }
        }
    });
    finish(&world, &home, &mut exporter, &mut counts, &format!("seed {seed}"));
    tally.events = counts.0.values().sum();
    tally
}

/// Whether these accounts are shown under their aliases, and no others. What is about Cloudflare is published at most once a
/// second.
fn is_shown(scrape: &Scrape, accounts: &[Listed<'_>]) -> bool {
    let info = |one: &Listed<'_>| {
        format!("account_info{{account=\"{}\",account_id=\"{}\"}}", one.alias, id(one.account))
    };
    accounts.iter().all(|one| scrape.get(&info(one)).is_some())
        && scrape.series("account_info{") == accounts.len()
}

/// At the end all accounts are polled: all that happened is counted, once.
fn finish(world: &World, home: &Home, exporter: &mut Exporter, counts: &mut Counts, what: &str) {
    let all: Vec<_> = (0..ACCOUNTS)
        .map(|account| Listed { share: "1", ..Listed::new(account, ALIASES[account], TOKENS[account]) })
        .collect();
    home.configure(&world.config(home, &all, FAST));
    let (status, text) = exporter.reload();
    assert_eq!(status, 200, "{what}: {text}");
    let is_counted = |scrape: &Scrape| is_shown(scrape, &all) && world.agrees(scrape, &all);
    let scrape = exporter.until(&format!("{what}: everything is counted"), is_counted);
    counts.record(&scrape, &all, what);
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{what}: nothing was lost");
    world.assert_polled_once(&all);
    assert!(world.agrees(&exporter.scrape().expect("a scrape"), &all), "{what}: counted again");
    assert_within_budget(world, what);
    let log = home.log();
    assert!(
        !log.contains("panicked") && !log.contains("damaged") && !log.contains(" ERROR "),
        "{what}\n{log}"
    );
}

/// Asserts that no credential was used more often in a window than one share allows.
fn assert_within_budget(world: &World, what: &str) {
    let mut windows: BTreeMap<String, VecDeque<Timestamp>> = BTreeMap::new();
    for request in world.simulator.ground_truth().requests {
        let Some(credential) = request.credential else { continue };
        let window = windows.entry(credential.clone()).or_default();
        window.push_back(request.arrived);
        while window.front().is_some_and(|first| request.arrived.since(*first) >= WINDOW) {
            window.pop_front();
        }
        // At the end each share is 1.
        assert!(window.len() <= 2 * REQUESTS, "{what}: {} requests with {credential}", window.len());
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this test")]
fn counts_are_exact_after_any_reload() {
    let mut left = number("RELOADS").unwrap_or(30);
    let mut seed = number("RELOADS_SEED").unwrap_or_else(|| fastrand::u64(..));
    while left > 0 {
        let reloads = left.min(RELOADS_OF_A_ROUND);
        println!("RELOADS={reloads} RELOADS_SEED={seed}");
        let clock = Clock::system();
        let since = clock.now();
        let Tally { reloads: done, broken, kills, events, resident } = round(reloads, seed);
        let most = resident.iter().copied().fold(0.0, f64::max);
        println!(
            "{done} reloads in {:.0} s, {broken} of them broken, {kills} kills: {events} events counted, none lost or double; \
             at most {:.1} MB resident",
            clock.now().since(since).as_secs_f64(),
            most / 1e6,
        );
        left -= reloads;
        seed = seed.wrapping_add(1);
    }
}
