//! The real program is killed at random moments while events come and the file rotates: what it has written is what happened, each
//! event once, byte for byte what an undisturbed exporter writes.
//!
//! `FEED_KILLS` says how often (20 unless it is set), `FEED_KILLS_SEED` with which seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;

use super::rig::{FeedHome, Lines};
use super::with_milliseconds;
use crate::durability::process::{ACCOUNTS, Scrape, SimulatedApi, USERS};

/// A budget of five minutes lasts for about so many kills: what a killed process had leased counts as spent.
const KILLS_OF_A_ROUND: u64 = 100;

/// The longest life of a process.
const LONGEST_LIFE: u64 = 2_500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Adds events and resets until `stop`.
fn live(api: &SimulatedApi, random: &mut fastrand::Rng, stop: &AtomicBool) {
    let mut reset = 0;
    while !stop.load(Ordering::Relaxed) {
        for (account, ..) in ACCOUNTS {
            let user = Uuid::from_u128(random.u128(1..=20));
            for _ in 0..random.u64(1..100) {
                api.event(account, user, ["imp_travel", "high_dlp", "malicious_file"][random.usize(0..3)]);
            }
        }
        if reset < USERS - 21 && random.u32(0..4) == 0 {
            reset += 1;
            // A reset of a user twice between two readings counts once.
            api.simulator.reset(ACCOUNTS[0].0, Uuid::from_u128(20 + reset)).expect("the user is there");
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Sets the flag when it is dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The line that each event must have, by its id, with the fields that depend on when it was read left out.
fn wanted(api: &SimulatedApi, scrape: &Scrape) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for (id, alias, _) in ACCOUNTS {
        let epoch = scrape.get(&format!("counting_since_timestamp_seconds{{account=\"{alias}\"}}"));
        let epoch = Timestamp::from_millis((epoch.expect("it counts") * 1000.0).round() as i64);
        for event in api.simulator.ground_truth().events {
            if event.account == id && event.timestamp > epoch {
                let line = format!(
                    "\"user\":\"{}\",\"event_id\":\"{}\",\"behavior\":\"{}\",\"level\":\"{}\"}}\n",
                    event.user,
                    event.id,
                    event.behavior,
                    event.risk_level.as_str()
                );
                let head = format!("\"account\":\"{alias}\",\"account_id\":\"{id}\",");
                let time = format!("\"time\":\"{}\",", with_milliseconds(&event.timestamp.to_string()));
                let before = wanted.insert(format!("{alias} {}", event.id), format!("{time}{head}{line}"));
                assert_eq!(before, None, "an id of the simulator is unique");
            }
        }
    }
    wanted
}

/// The same of the lines.
fn written(lines: &Lines) -> BTreeMap<String, String> {
    let mut written = BTreeMap::new();
    for (line, value) in lines.0.iter().filter(|(_, value)| value["kind"] == "risk_event") {
        let text = |name: &str| value[name].as_str().expect("a text").to_owned();
        let mut line = format!("{line}\n");
        for name in ["id", "kind", "logged_time"] {
            line = line.replacen(&format!("\"{name}\":\"{}\",", text(name)), "", 1);
        }
        for name in ["epoch", "sequence"] {
            line = line.replacen(&format!("\"{name}\":{},", value[name]), "", 1);
        }
        let line = line.strip_prefix('{').expect("an object").to_owned();
        let before = written.insert(format!("{} {}", text("account"), text("event_id")), line);
        assert_eq!(before, None, "an event is told once: {value}");
    }
    written
}

#[expect(clippy::print_stdout, reason = "the figures are for the person who runs this test")]
fn round(kills: u64, seed: u64) {
    println!("FEED_KILLS={kills} FEED_KILLS_SEED={seed}");
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, ", rotate_mib: 1, keep: 10000");
    let mut random = fastrand::Rng::with_seed(seed);
    feed.home.start().until("counting begins", Scrape::counts);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut of_world = random.fork();
        let (api, stop) = (&api, &stop);
        scope.spawn(move || live(api, &mut of_world, stop));
        // The world stops even if an assertion fails. Otherwise the failure would wait for it for ever.
        let _stopping = Stopping(stop);
        for _ in 0..kills {
            let mut exporter = feed.home.start();
            let life = Duration::from_millis(random.u64(0..LONGEST_LIFE));
            let (since, length) = (api.clock.now(), feed.text().len());
            // Half of them end just after something was written.
            let ends_with_news = random.bool();
            while api.clock.now().since(since) < life && !(ends_with_news && feed.text().len() > length) {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            exporter.kill();
        }
    });
    let mut exporter = feed.home.start();
    let scrape = exporter.until("everything is counted", |scrape| {
        api.agrees(scrape) && scrape.get("zt_risk_exporter_feed_pending_records{sink=\"file\"}") == Some(0.0)
    });
    let (wanted, text) = (wanted(&api, &scrape), feed.text());
    let lines = feed.until(&api, "every event is told", |lines| written(lines).len() >= wanted.len());
    assert_eq!(written(&lines), wanted, "seed {seed}");
    assert!(text.ends_with('\n'), "seed {seed}: the last line is whole");
    lines.assert_sound(&format!("seed {seed}"));
    assert_eq!(lines.of("gap").count(), 0, "seed {seed}");
    assert_eq!(lines.of("reset").count() as f64, scrape.sum("resets_total"), "seed {seed}");
    let changes = lines.of("level_change").count() as f64;
    assert_eq!(changes, scrape.sum("level_changes_total"), "seed {seed}");
    let log = feed.home.log();
    assert!(!log.contains("panicked") && !log.contains("is no record"), "seed {seed}\n{log}");
    println!("{} lines in {} files, none lost or double", lines.0.len(), feed.files().len());
}

#[test]
fn killed_at_any_moment_the_feed_has_every_event_once() {
    let mut left = number("FEED_KILLS").unwrap_or(20);
    let mut seed = number("FEED_KILLS_SEED").unwrap_or_else(|| fastrand::u64(..));
    while left > 0 {
        let kills = left.min(KILLS_OF_A_ROUND);
        round(kills, seed);
        left -= kills;
        seed = seed.wrapping_add(1);
    }
}
