//! The memory of one process over many reloads, half of them of broken files: it does not grow with them.
//!
//! `RELOADS` says how many reloads (100 unless it is more), and `RELOADS_ACCOUNTS` of how many accounts (6).

use std::fs;

use super::budgets::started;
use super::random::{BROKEN, accounts_of_the_run, number};
use super::world::{Listed, World, is_shown};
use crate::durability::process::{Exporter, Home};

/// The fewest reloads that tell growth from noise.
const FEWEST: u64 = 100;

/// The reloads of a round, which ends with the configuration that it began with.
const RELOADS_OF_A_ROUND: u64 = 4;

/// How much one reload may add on average. Requests count for five minutes, which takes 7 kB for each of a hundred reloads in a
/// minute, and 1 kB for each of eight hundred. What belongs to an account that is polled takes several times this limit.
const BYTES_OF_A_RELOAD: u64 = 20_000;

/// The most threads of a process, however many accounts it has: the main thread, two that run tasks, those of the log, of signals
/// and of the watchdog of the state file, one each for a commit, for who hands over, for who writes a journal, for a reload and for
/// the page, and as many again for what ended within the last ten seconds, or reads an answer on a thread that had to stop.
const THREADS: u64 = 24;

/// Private memory of the process in bytes, without what it has mapped from files.
pub(super) fn resident(exporter: &Exporter) -> u64 {
    status(exporter, "RssAnon:") << 10
}

/// A number of `/proc/PID/status`; sizes are in KiB.
fn status(exporter: &Exporter, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.id())).expect("it runs");
    let value =
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {status}"))
}

/// The alias and the token of each account.
fn names(accounts: usize) -> Vec<[String; 2]> {
    (0..accounts).map(|number| [format!("account-{number}"), format!("t{number}")]).collect()
}

fn all(names: &[[String; 2]]) -> Vec<Listed<'_>> {
    names.iter().enumerate().map(|(account, [alias, token])| Listed::new(account, alias, token)).collect()
}

/// By how much the memory grew from the second to the fourth quarter of the rounds, in bytes per reload. The least of a quarter
/// counts, because what a reload needs for a moment is given back.
fn growth(samples: &[u64]) -> f64 {
    let quarter = samples.len() / 4;
    let least =
        |from: usize| samples[from..from + quarter].iter().min().copied().expect("some samples") as f64;
    let reloads = 2 * quarter as u64 * RELOADS_OF_A_ROUND;
    (least(3 * quarter) - least(quarter)) / reloads as f64
}

#[test]
fn growth_is_told_from_noise() {
    let noise = [7, 0, 3, 9, 1, 0, 8, 2].map(|noise| noise * 100_000);
    for per_reload in [0, 1_000, 100_000] {
        let samples: Vec<u64> = (0..32).map(|round| 1 << 20 | noise[round % 8]).collect();
        let leaking =
            samples.iter().zip(0..).map(|(bytes, round)| bytes + round * RELOADS_OF_A_ROUND * per_reload);
        let found = growth(&leaking.collect::<Vec<_>>());
        assert!((found - per_reload as f64).abs() < 1.0, "{per_reload}: {found}");
    }
}

#[test]
fn many_accounts_that_wait_for_the_disk_take_few_threads() {
    const MANY: usize = 100;
    let (world, home) = (World::with(MANY), Home::empty());
    let names = names(MANY);
    let all = all(&names);
    home.configure(&world.config(&home, &all, "intervals: { summary: 5s }"));
    let mut exporter = started(&home);
    // Each begins with a lease and its first rows.
    exporter.until("all accounts are read", |scrape| all.iter().all(|one| super::up(one.alias)(scrape)));
    let threads = status(&exporter, "Threads:");
    assert!(threads <= THREADS, "{threads} threads for {MANY} accounts");
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this test")]
fn memory_does_not_grow_with_reloads() {
    let rounds = number("RELOADS").unwrap_or(FEWEST).max(FEWEST) / RELOADS_OF_A_ROUND;
    let (world, home) = (World::with(accounts_of_the_run()), Home::empty());
    let names = names(world.accounts);
    // All accounts; and every second one under another name, with another credential and another share.
    let all = all(&names);
    let others = names.iter().rev().zip(names.iter().cycle().skip(1)).enumerate().step_by(2);
    let some: Vec<_> = others
        .map(|(account, ([alias, _], [_, token]))| Listed {
            share: "0.5",
            ..Listed::new(account, alias, token)
        })
        .collect();
    let settings = "intervals: { summary: 10s }";
    let all_text = world.config(&home, &all, settings);
    let some_text =
        world.config(&home, &some, "intervals: { summary: 20s }\nusers: { limit: 5 }\nlog: { level: warn }");
    home.configure(&all_text);
    let mut exporter = started(&home);
    exporter.until("all accounts are shown", |scrape| is_shown(scrape, &all));
    let mut broken = BROKEN.iter().cycle();
    let mut samples = Vec::new();
    for round in 0..rounds {
        for (listed, text) in [(&some, &some_text), (&all, &all_text)] {
            home.configure(text);
            let (status, answer) = exporter.reload();
            assert_eq!(status, 200, "round {round}: {answer}");
            exporter.until("the accounts of the configuration are shown", |scrape| is_shown(scrape, listed));
            home.configure(&format!("{text}\n{}", broken.next().expect("an endless cycle")));
            let (status, answer) = exporter.reload();
            assert_eq!(status, 500, "round {round}: {answer}");
        }
        samples.push(resident(&exporter));
    }
    let growth = growth(&samples);
    let most = samples.iter().max().copied().expect("some rounds");
    println!(
        "{} reloads of {} accounts: {growth:.0} bytes more for each, at most {:.1} MB",
        rounds * RELOADS_OF_A_ROUND,
        world.accounts,
        most as f64 / 1e6
    );
    assert!(growth < BYTES_OF_A_RELOAD as f64, "{growth} bytes for each reload: {samples:?}");
}
