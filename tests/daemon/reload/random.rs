//! Reloads in random order, half of them of broken files, while events come, accounts come and go, and the process is killed
//! or ended now and then: what is counted is the truth, no request is beyond the budget, none counts twice, no account is without
//! a poller, none has two, and memory has a bound that is no question of how many reloads there were.
//!
//! `RELOADS` says how many reloads (30 unless it is set), `RELOADS_ACCOUNTS` of how many accounts (6), of which at most a
//! hundred come and go, and `RELOADS_SEED` with which seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zt_risk_exporter::clock::Clock;

use super::budgets::{
    Ended, Ending, REQUESTS, SHARE, assert_each_counted_once, assert_within_budget, restart, started,
};
use super::memory::resident;
use super::world::{ACCOUNTS, Listed, World, is_shown};
use crate::durability::process::{Exporter, Home, Scrape};

/// How many reloads a world with six accounts lasts, and one with more lasts longer: each new credential has a budget of five
/// minutes, and what a killed process had leased counts as spent.
const RELOADS_OF_A_ROUND: u64 = 100;

/// The process is killed or ended after so many reloads on average; of many more reloads, after one fortieth of them, so that it gets old.
const RELOADS_OF_A_PROCESS: u64 = 10;
const KILLS: u64 = 40;

/// How many accounts come and go at most.
const COMING_AND_GOING: usize = 100;

/// The most private memory of a process without accounts, in bytes. Half of it is the cache of the state file.
const MEMORY: u64 = 64 << 20;

/// What each account adds to it at most. Its credential has a budget, and what it had left to another one, each of at most 1,200
/// requests of 24 bytes, with room for as many more: 115 kB. The state file has a row of up to 30 kB for them, with a copy here and
/// another one in the batch. Its part of the page has 25 kB, of which there are two while the page is replaced, and their
/// compressed copies; the status document has as much. The poller's task has room for each of the requests that it may send,
/// 200 kB without optimization. The rest is for its connection, two configurations, and what is known of ten users.
const MEMORY_OF_AN_ACCOUNT: u64 = 600_000;

/// What is wrong with a broken configuration.
pub(super) const BROKEN: [&str; 5] = [
    "intervals: { summary: 0s }",
    "users: { identity: hash, hash_key_file: missing }",
    "shard: { index: 1, total: 2 }",
    "accounts: none",
    "{",
];

pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How many accounts there are.
pub(super) fn accounts_of_the_run() -> usize {
    number("RELOADS_ACCOUNTS")
        .map_or(ACCOUNTS, |accounts| usize::try_from(accounts).expect("a reasonable number"))
}

/// How the accounts are called, and what they are read with.
struct Names {
    aliases: Vec<String>,
    tokens: Vec<String>,
    /// How often the list of users of each account is read, in seconds.
    interval: u64,
}

impl Names {
    fn of(accounts: usize) -> Self {
        Self {
            // Two more, so that some are not used.
            aliases: (0..accounts + 2).map(|number| format!("account-{number}")).collect(),
            tokens: (0..accounts).map(|number| format!("t{number}")).collect(),
            // Two cores read some tens of lists in a second.
            interval: (accounts as u64).div_ceil(30),
        }
    }

    fn settings(&self) -> String {
        format!("intervals: {{ summary: {}s }}", self.interval)
    }

    /// Some of the accounts, with aliases and tokens of which two may be the same. Of many accounts most keep their tokens:
    /// each change causes requests.
    fn random(&self, random: &mut fastrand::Rng) -> Vec<Listed<'_>> {
        let all = self.tokens.len();
        let (mut accounts, mut aliases): (Vec<usize>, Vec<&str>) =
            ((0..all).collect(), self.aliases.iter().map(String::as_str).collect());
        let staying = all.saturating_sub(COMING_AND_GOING);
        random.shuffle(&mut accounts[staying..]);
        random.shuffle(&mut aliases);
        accounts.truncate(random.usize(staying.max(1)..=all));
        let listed = accounts.into_iter().zip(aliases);
        listed
            .map(|(account, alias)| {
                let changes = random.usize(0..all) < ACCOUNTS;
                let token = if changes { random.choice(&self.tokens) } else { self.tokens.get(account) };
                Listed { share: SHARE, ..Listed::new(account, alias, token.expect("some")) }
            })
            .collect()
    }
}

/// Adds events to all accounts until `stop`, whether they are polled or not.
fn live(world: &World, random: &mut fastrand::Rng, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        world.events(random.usize(0..world.accounts), random.u64(1..10));
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

struct Tally {
    reloads: u64,
    broken: u64,
    restarts: u64,
    events: f64,
    /// The most private memory of a process, in bytes.
    memory: u64,
}

fn round(accounts: usize, reloads: u64, seed: u64) -> Tally {
    let (world, home, names) = (World::with(accounts), Home::empty(), Names::of(accounts));
    let settings = names.settings();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally { reloads, broken: 0, restarts: 0, events: 0.0, memory: 0 };
    let (stop, mut counts, mut ended) = (AtomicBool::new(false), Counts::default(), Ended::default());
    let mut accounts = names.random(&mut random);
    home.configure(&world.config(&home, &accounts, &settings));
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
                let next = names.random(&mut random);
                home.configure(&world.config(
                    &home,
                    &next,
                    &format!("{settings}\n{}", random.choice(BROKEN).expect("some")),
                ));
                let (status, text) = exporter.reload();
                assert_eq!(status, 500, "{what}: {text}");
                // A restart would fail.
                home.configure(&world.config(&home, &accounts, &settings));
            } else {
                accounts = names.random(&mut random);
                home.configure(&world.config(&home, &accounts, &settings));
                let (status, text) = exporter.reload();
                assert_eq!(status, 200, "{what}: {text}");
            }
            std::thread::park_timeout(Duration::from_millis(random.u64(0..400)));
            let is_shown = |scrape: &Scrape| is_shown(scrape, &accounts);
            let scrape = exporter.until("the accounts of the configuration are shown", is_shown);
            counts.record(&scrape, &accounts, &what);
            assert_each_counted_once(world, &ended, &scrape, &accounts, &what);
            let (memory, most) = (resident(&exporter), MEMORY + MEMORY_OF_AN_ACCOUNT * world.accounts as u64);
            assert!(memory < most, "{what}: {memory} bytes of memory, at most {most} expected");
            tally.memory = memory.max(tally.memory);
            if random.u64(0..RELOADS_OF_A_PROCESS.max(reloads / KILLS)) == 0 {
                tally.restarts += 1;
                restart(&mut exporter, world, &home, &mut ended, Ending::random(&mut random), &what);
            }
        }
    });
    // At the end each share is 1.
    assert_within_budget(&world, REQUESTS, &format!("seed {seed}"));
    finish(&world, &home, &names, &mut exporter, &mut counts, &format!("seed {seed}"));
    tally.events = counts.0.values().sum();
    tally
}

/// At the end all accounts are polled: all that happened is counted, once.
fn finish(
    world: &World,
    home: &Home,
    names: &Names,
    exporter: &mut Exporter,
    counts: &mut Counts,
    what: &str,
) {
    let named = names.aliases.iter().zip(&names.tokens).enumerate();
    let all: Vec<_> = named
        .map(|(account, (alias, token))| Listed { share: "1", ..Listed::new(account, alias, token) })
        .collect();
    home.configure(&world.config(home, &all, &names.settings()));
    let (status, text) = exporter.reload();
    assert_eq!(status, 200, "{what}: {text}");
    let is_counted = |scrape: &Scrape| is_shown(scrape, &all) && world.agrees(scrape, &all);
    let scrape = exporter.until(&format!("{what}: everything is counted"), is_counted);
    counts.record(&scrape, &all, what);
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "{what}: nothing was lost");
    world.assert_polled_once(&all, names.interval);
    assert!(world.agrees(&exporter.scrape().expect("a scrape"), &all), "{what}: counted again");
    assert_within_budget(world, 2 * REQUESTS, what);
    let log = home.log();
    assert!(
        !log.contains("panicked") && !log.contains("damaged") && !log.contains(" ERROR "),
        "{what}\n{log}"
    );
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this test")]
fn counts_are_exact_after_any_reload() {
    let mut left = number("RELOADS").unwrap_or(30);
    let accounts = accounts_of_the_run();
    let mut seed = number("RELOADS_SEED").unwrap_or_else(|| fastrand::u64(..));
    while left > 0 {
        let reloads = left.min(RELOADS_OF_A_ROUND * accounts.div_ceil(ACCOUNTS) as u64);
        println!("RELOADS={reloads} RELOADS_ACCOUNTS={accounts} RELOADS_SEED={seed}");
        let clock = Clock::system();
        let since = clock.now();
        let Tally { reloads: done, broken, restarts, events, memory } = round(accounts, reloads, seed);
        println!(
            "{done} reloads in {:.0} s, {broken} of them broken, {restarts} restarts: {events} events counted, none lost or \
             double, at most {:.1} MB of memory",
            clock.now().since(since).as_secs_f64(),
            memory as f64 / 1e6,
        );
        left -= reloads;
        seed = seed.wrapping_add(1);
    }
}
