//! Files that cannot be written, other processes, and users who are forgotten.

use std::fs;
use std::process::Command;

use serde_json::json;
use uuid::Uuid;

use super::rig::FeedHome;
use crate::durability::process::{ACCOUNTS, Exporter, Home, Scrape, SimulatedApi, pause};
use crate::program::{is_installed, program, skip};

const PENDING: &str = "zt_risk_exporter_feed_pending_records{sink=\"file\"}";
const FAILURES: &str = "zt_risk_exporter_feed_write_failures_total{sink=\"file\"}";
const DROPPED: &str = "zt_risk_exporter_feed_records_dropped_total{sink=\"file\",reason=\"buffer_full\"}";

/// A small file system of its own at the folder of the feed; `None` if this user may not mount one.
struct SmallDisk<'a>(&'a FeedHome);

impl<'a> SmallDisk<'a> {
    fn mount(feed: &'a FeedHome) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(feed.folder());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(feed))
    }

    fn fill(&self) {
        let mut blocks = Command::new("dd");
        let path = self.0.folder().join("filler");
        blocks.args(["if=/dev/zero", "bs=1k", "count=1000"]).arg(format!("of={}", path.display()));
        blocks.output().expect("dd is installed");
    }

    fn free(&self) {
        fs::remove_file(self.0.folder().join("filler")).expect("it is there");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // The folder is removed with the home.
        let _ = Command::new("umount").arg("-l").arg(self.0.folder()).output();
    }
}

/// Puts a directory at the place of the file, before the first record: the file cannot be opened.
fn block(feed: &FeedHome) {
    fs::create_dir(feed.folder().join("feed.jsonl")).expect("nothing was written yet");
}

fn unblock(feed: &FeedHome) {
    fs::remove_dir(feed.folder().join("feed.jsonl")).expect("it is there");
}

/// Adds this many events of a user, and waits until they are counted.
fn count(api: &SimulatedApi, exporter: &mut Exporter, user: u128, events: usize) -> Scrape {
    for _ in 0..events {
        api.event(ACCOUNTS[0].0, Uuid::from_u128(user), "imp_travel");
    }
    exporter.until("they are counted", |scrape| api.agrees(scrape))
}

#[test]
fn a_full_disk_delays_the_feed_and_nothing_else_and_loses_no_record() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let Some(disk) = SmallDisk::mount(&feed) else {
        return skip("a full disk, since this user may not mount one");
    };
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    count(&api, &mut exporter, 1, 3);
    feed.until(&api, "the first", |lines| lines.of("risk_event").count() == 3);
    disk.fill();
    count(&api, &mut exporter, 2, 100);
    let scrape = exporter.until("it fails", |scrape| scrape.get(FAILURES) >= Some(1.0));
    assert!(scrape.get(PENDING) >= Some(1.0), "{scrape}");
    // Half a line may be there. Killed now, the next process completes it.
    exporter.kill();
    let mut exporter = feed.home.start();
    count(&api, &mut exporter, 3, 100);
    exporter.until("it fails again", |scrape| scrape.get(FAILURES) >= Some(1.0));
    disk.free();
    let lines = feed.until(&api, "all", |lines| lines.of("risk_event").count() == 203);
    lines.assert_sound("a full disk");
    assert_eq!(lines.of("gap").count(), 0);
    exporter.until("nothing waits", |scrape| scrape.get(PENDING) == Some(0.0));
    exporter.until_logged("the feed can be written again");
    let log = exporter.logged();
    assert_eq!(log.matches("the feed cannot be written; its records wait").count(), 1, "{log}");
    assert!(!feed.home.log().contains("is no record"), "{}", feed.home.log());
}

#[test]
fn a_full_buffer_is_one_gap_with_the_numbers_of_what_is_missing() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, ", buffer_records: 100");
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    block(&feed);
    count(&api, &mut exporter, 1, 5);
    exporter.until("it fails", |scrape| scrape.get(FAILURES) >= Some(1.0));
    let scrape = count(&api, &mut exporter, 2, 300);
    assert!(scrape.get(DROPPED) >= Some(200.0), "{scrape}");
    assert!(scrape.get(PENDING) <= Some(110.0), "{scrape}");
    unblock(&feed);
    exporter.until("nothing waits", |scrape| scrape.get(PENDING) == Some(0.0));
    let lines = feed.until(&api, "it flows", |lines| lines.0.len() >= 100);
    lines.assert_sound("a full buffer");
    let gaps: Vec<_> = lines.of("gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["reason"], json!("buffer_full"));
    let told = lines.of("risk_event").count() as u64;
    assert!(told + gaps[0]["count"].as_u64().unwrap() >= 305, "{told} and {}", gaps[0]);
}

#[test]
fn a_second_exporter_on_the_same_file_does_not_start_and_the_first_continues() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    let other = Home::new(&api, 1.0);
    let text = fs::read_to_string(other.config()).unwrap();
    let path = feed.folder().join("feed.jsonl");
    other.configure(&format!("{text}feed: {{ path: {} }}\n", path.display()));
    let mut second = other.start();
    assert_eq!(second.end().code(), Some(1));
    second.until_logged("another process writes the feed to ");
    count(&api, &mut exporter, 1, 2);
    feed.until(&api, "it goes on", |lines| lines.of("risk_event").count() == 2);
}

#[test]
fn a_user_who_is_forgotten_is_in_no_record_that_waited() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    block(&feed);
    count(&api, &mut exporter, 1, 2);
    count(&api, &mut exporter, 2, 2);
    exporter.terminate();
    let user = Uuid::from_u128(1).to_string();
    let shown = feed.home.inspect(&["show", "--user", &user]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.matches("a record of kind risk_event").count(), 2, "{shown}");
    let forgotten = feed.home.inspect(&["forget", &user]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    unblock(&feed);
    let _exporter = feed.home.start();
    let lines = feed
        .until(&api, "the rest", |lines| lines.of("gap").count() >= 2 && lines.of("risk_event").count() == 2);
    lines.assert_sound("forgotten");
    assert!(lines.of("gap").all(|gap| gap["reason"] == "forgotten"), "{}", feed.text());
    // The list has the user again as a new one.
    let told: Vec<_> = lines.of("risk_event").filter(|event| event["user"] == user.as_str()).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_feed_without_a_state_file_is_refused() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let text = fs::read_to_string(feed.home.config()).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("state:")).collect();
    feed.home.configure(&without.join("\n"));
    let mut exporter = feed.home.start();
    assert_eq!(exporter.end().code(), Some(2));
    exporter.until_logged("feed.path needs state.path");
}

#[test]
fn a_limit_on_the_size_of_files_is_a_failure_like_a_full_disk() {
    if !is_installed("prlimit") {
        return skip("a limit on files, since prlimit is not installed");
    }
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, ", rotate_mib: 1");
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    count(&api, &mut exporter, 1, 3);
    let limit = |exporter: &Exporter, bytes: &str| {
        let arguments = ["--pid", &exporter.id().to_string(), &format!("--fsize={bytes}:")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    };
    // Neither the state file nor the feed can grow, and a line of the feed is cut.
    limit(&exporter, "30000");
    for user in 2..=20 {
        for _ in 0..10 {
            api.event(ACCOUNTS[0].0, Uuid::from_u128(user), "high_dlp");
        }
    }
    exporter.until("the state fails", |scrape| {
        scrape.get("zt_risk_exporter_state_commits_total{result=\"failed\"}") >= Some(1.0)
    });
    limit(&exporter, "unlimited");
    exporter.until("it heals", |scrape| api.agrees(scrape) && scrape.get(PENDING) == Some(0.0));
    let lines = feed.until(&api, "all", |lines| lines.of("risk_event").count() == 193);
    lines.assert_sound("a limit");
    assert_eq!(lines.of("gap").count(), 0, "{}", feed.text());
}

#[test]
fn a_file_of_something_else_or_of_another_setting_is_refused_and_stays() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let text = fs::read_to_string(feed.home.config()).unwrap();
    let exporter = feed.home.start();
    drop(exporter);
    let names = || {
        let entries = fs::read_dir(feed.home.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    std::os::unix::fs::symlink(feed.home.path(), feed.home.path().join("again")).unwrap();
    fs::write(feed.home.path().join("other"), "something else").unwrap();
    let there = names();
    for (path, code, wanted) in [
        ("state/state.redb", 2, "feed.path is state.path; the feed needs a file of its own"),
        ("again/state/state.redb", 2, "feed.path is state.path; the feed needs a file of its own"),
        ("config.yaml", 2, "feed.path is the configuration file; the feed needs a file of its own"),
        ("other", 1, "it has something else than records of the feed; move it away"),
    ] {
        feed.home.configure(&text.replace("path: feed/feed.jsonl", &format!("path: {path}")));
        let mut exporter = feed.home.start();
        assert_eq!(exporter.end().code(), Some(code), "{path}");
        exporter.until_logged(wanted);
        let mut check = program();
        check.args(["check", "--config.file"]).arg(feed.home.config());
        let output = check.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && said.contains(wanted), "{path}: {said}");
    }
    let left: Vec<_> = names().difference(&there).cloned().collect();
    assert!(left.iter().all(|name| name == "other.lock"), "{left:?}");
    assert_eq!(fs::read_to_string(feed.home.path().join("other")).unwrap(), "something else");
}

#[test]
fn records_that_wait_for_a_feed_that_is_removed_are_dropped_with_a_warning() {
    let api = SimulatedApi::start();
    let to_stdout = |text: &str| text.replace("path: feed/feed.jsonl", "stdout: true");
    let without = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("feed:"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    type Change<'a> = (&'a dyn Fn(&str) -> String, &'a str);
    let changes: [Change<'_>; 2] = [
        (
            &to_stdout,
            "records are dropped that waited for a sink of the feed that is not configured any more",
        ),
        (&without, "there is no feed any more; records that waited for it are dropped"),
    ];
    for (change, warning) in changes {
        let feed = FeedHome::new(&api, "");
        let text = fs::read_to_string(feed.home.config()).unwrap();
        let mut exporter = feed.home.start();
        exporter.until("counting begins", Scrape::counts);
        block(&feed);
        count(&api, &mut exporter, 2, 2);
        exporter.terminate();
        feed.home.configure(&change(&text));
        let exporter = feed.home.start();
        exporter.until_logged(warning);
    }
}

#[test]
fn an_account_that_leaves_takes_its_last_records_to_the_file() {
    let api = SimulatedApi::start();
    let feed = FeedHome::new(&api, "");
    let text = fs::read_to_string(feed.home.config()).unwrap();
    let text = text.replace("127.0.0.1:0\" }", "127.0.0.1:0\", enable_lifecycle: true }");
    let (account, ..) = ACCOUNTS[1];
    let without: Vec<&str> = text.lines().filter(|line| !line.contains(account)).collect();
    assert_eq!(without.len() + 1, text.lines().count(), "an account is a line");
    feed.home.configure(&text);
    let mut exporter = feed.home.start();
    exporter.until("counting begins", Scrape::counts);
    for round in 1..=5 {
        let event =
            api.simulator.append_event(account, Uuid::from_u128(1), "imp_travel", api.clock.date()).unwrap();
        // It was read, but its commit takes up to a second more.
        let since = api.clock.now();
        while exporter.scrape().and_then(|scrape| scrape.get(PENDING)) == Some(0.0)
            && !feed.text().contains(&event.id)
        {
            pause(&api.clock, since, || "the event is not read".to_owned());
        }
        feed.home.configure(&without.join("\n"));
        assert_eq!(exporter.reload().0, 200);
        exporter.until("nothing waits", |scrape| scrape.get(PENDING) == Some(0.0));
        feed.home.configure(&text);
        assert_eq!(exporter.reload().0, 200);
        let lines = feed.until(&api, "all are told", |lines| lines.of("risk_event").count() == round);
        lines.assert_sound("an account that leaves");
    }
}
