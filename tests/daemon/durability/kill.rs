//! The real program is killed at random moments while events come at a high rate: none is lost, none is
//! counted twice, and no durable sample ever falls.
//!
//! `KILLS` says how often (10 unless it is set), `KILLS_SEED` with which seed.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::process::{ACCOUNTS, Exporter, Home, Scrape, SimulatedApi, USERS};

/// A budget of five minutes lasts for about so many kills: what a killed process had leased counts as spent.
const KILLS_OF_A_ROUND: u32 = 100;

const BEHAVIORS: [&str; 5] =
    ["imp_travel", "high_dlp", "malicious_file", "high_risk_domain", "crowdstrike_low_zta"];

/// How a process is stopped.
#[derive(Clone, Copy, Debug)]
enum Signal {
    Kill,
    Terminate,
}

/// When a process is stopped.
#[derive(Clone, Copy, Debug)]
enum When {
    /// This long after its start.
    Starting(Duration),
    /// This long after its first scrape.
    Serving(Duration),
    /// After the file was written this often: a commit, of which there is one a second, writes it several times.
    Written(u32),
    /// When it publishes a new event.
    News,
}

impl When {
    fn random(random: &mut fastrand::Rng) -> Self {
        match random.u32(0..10) {
            0..2 => Self::Starting(Duration::from_millis(random.u64(0..200))),
            2..5 => Self::Serving(Duration::from_millis(random.u64(0..600))),
            5..9 => Self::Written(random.u32(1..8)),
            _ => Self::News,
        }
    }
}

/// The longest life of a process, even if the awaited event does not come.
const LONGEST_LIFE: Duration = Duration::from_millis(2_500);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Adds events in bursts until `stop`. Each user is reset once at most, because two resets between two readings count as
/// one.
fn live(api: &SimulatedApi, random: &mut fastrand::Rng, stop: &AtomicBool, appended: &AtomicU64) {
    let mut reset = BTreeSet::new();
    let mut newcomers = 1_000;
    let mut tick = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        for (account, ..) in ACCOUNTS {
            // Few users, so that most are read both before and after a restart.
            let mut user = random.u128(1..=20);
            if random.u32(0..5) == 0 {
                newcomers += 1;
                user = newcomers;
            }
            for _ in 0..random.u64(1..50) {
                api.event(account, Uuid::from_u128(user), BEHAVIORS[random.usize(0..BEHAVIORS.len())]);
                appended.fetch_add(1, Ordering::Relaxed);
            }
            let quiet = random.u128(1..=USERS);
            if tick % 5 == 4 && reset.insert((account, quiet)) {
                api.simulator.reset(account, Uuid::from_u128(quiet)).expect("the user is there");
            }
        }
        tick += 1;
        std::thread::park_timeout(Duration::from_millis(300));
    }
}

/// Scrapes an exporter until it is to be ended; `last` is the latest scrape of all.
fn watch(
    exporter: &mut Exporter,
    home: &Home,
    api: &SimulatedApi,
    when: When,
    last: &mut Scrape,
    what: &str,
) -> u32 {
    let started = api.clock.now();
    let written =
        || fs::metadata(home.state()).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let (mut first_page, mut scrapes) = (None, 0);
    let (mut last_write, mut writes) = (written(), 0);
    for ticks in 0_u32.. {
        let now = api.clock.now();
        let waits_for_pages = !matches!(when, When::Written(_) | When::Starting(_));
        if (waits_for_pages || first_page.is_none())
            && ticks.is_multiple_of(5)
            && let Some(scrape) = exporter.scrape()
        {
            scrape.assert_not_behind(last, what);
            scrapes += 1;
            if first_page.is_none() {
                first_page = Some((now, scrape.sum("events_total")));
            }
            *last = scrape;
        }
        let write = written();
        if write != last_write {
            (last_write, writes) = (write, writes + 1);
        }
        let has_come = match when {
            When::Starting(after) => now.since(started) >= after,
            When::Serving(after) => first_page.is_some_and(|(since, _)| now.since(since) >= after),
            When::Written(times) => writes >= times,
            When::News => first_page.is_some_and(|(_, events)| last.sum("events_total") > events),
        };
        if has_come || now.since(started) >= LONGEST_LIFE {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    scrapes
}

struct Tally {
    scrapes: u32,
    events: f64,
    resets: f64,
    requests: usize,
}

fn round(signal: Signal, kills: u32, seed: u64) -> Tally {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut last = home.start().until("counting begins", Scrape::counts);
    let (stop, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut scrapes = 1;
    std::thread::scope(|scope| {
        let mut of_world = random.fork();
        let (api, stop, appended) = (&api, &stop, &appended);
        scope.spawn(move || live(api, &mut of_world, stop, appended));
        // The world stops even if an assertion fails. Otherwise the failure would wait for it for ever.
        let _stopping = Stopping(stop);
        for life in 1..=kills {
            let when = When::random(&mut random);
            let what = format!("seed {seed}, {signal:?} {life} at {when:?}");
            let mut exporter = home.start();
            scrapes += watch(&mut exporter, &home, api, when, &mut last, &what);
            match signal {
                Signal::Kill => exporter.kill(),
                Signal::Terminate => {
                    let status = exporter.terminate();
                    let logged = exporter.logged();
                    // Before it logs its address, the signal handler may not be installed yet.
                    let well = status.success() || !logged.contains("serving");
                    assert!(well, "{what}: {status}\n{logged}");
                }
            }
        }
    });
    let mut exporter = home.start();
    let what = format!(
        "seed {seed}: the scrape agrees with the truth, after {} events",
        appended.load(Ordering::Relaxed)
    );
    let scrape = exporter.until(&what, |scrape| api.agrees(scrape));
    scrape.assert_not_behind(&last, &format!("seed {seed}, after the last"));
    // Readings from now on count nothing twice.
    let scrape = exporter.until("three lists more", |later| later.has_read_on(&scrape));
    assert!(api.agrees(&scrape), "seed {seed}: counted again\n{scrape}");
    assert_eq!(scrape.sum("events_unattributed_total"), 0.0, "seed {seed}: nothing was lost");
    let log = home.log();
    assert!(
        !log.contains("panicked") && !log.contains("damaged") && !log.contains(" ERROR "),
        "seed {seed}\n{log}"
    );
    let requests = api.simulator.ground_truth().requests.len();
    Tally { scrapes, events: scrape.sum("events_total"), resets: scrape.sum("resets_total"), requests }
}

/// Sets the flag when it is dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this test")]
fn play(signal: Signal) {
    let mut left = number("KILLS").map_or(10, |kills| u32::try_from(kills).expect("a reasonable number"));
    let mut seed = number("KILLS_SEED").unwrap_or_else(|| fastrand::u64(..));
    while left > 0 {
        let kills = left.min(KILLS_OF_A_ROUND);
        println!("{signal:?}: KILLS={kills} KILLS_SEED={seed}");
        let clock = zt_risk_exporter::clock::Clock::system();
        let since = clock.now();
        let Tally { scrapes, events, resets, requests } = round(signal, kills, seed);
        println!(
            "{signal:?}: {kills} times in {:.0} s, {scrapes} scrapes, none behind another; {events} events and {resets} \
             resets counted, none lost or double, with {requests} requests",
            clock.now().since(since).as_secs_f64(),
        );
        left -= kills;
        seed = seed.wrapping_add(1);
    }
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_counted_twice() {
    play(Signal::Kill);
}

#[test]
fn stopped_at_any_moment_nothing_is_lost_and_nothing_counted_twice() {
    play(Signal::Terminate);
}
