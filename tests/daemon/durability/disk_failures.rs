//! Files that cannot be used are refused and not changed. If a file in use fails, gauges stay current, no event is lost,
//! and no restart is necessary.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use redb::{Database, TableDefinition};
use uuid::Uuid;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::collector::persist::Saved;
use zt_risk_exporter::internals::store::row::FORMAT;
use zt_risk_exporter::internals::store::{Settings, State};

use super::process::{ACCOUNTS, Exporter, Home, Scrape, SimulatedApi};
use crate::program::{is_installed, program, skip};

/// A user without files, and its group.
const NOBODY: u32 = 65_534;

/// Runs a command, and returns whether it succeeded. A test that needs it is skipped otherwise.
fn run(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success())
}

/// Starts the program, which must end at once with these words and not change the file.
fn refused(api: &SimulatedApi, home: &Home, what: &str, words: &str) {
    let read = |path: &Path| fs::read(path).ok();
    let before = read(&home.state());
    let since = api.clock.now();
    let mut exporter = home.start();
    let status = exporter.end();
    let took = api.clock.now().since(since);
    assert_eq!(status.code(), Some(1), "{what}: {status}");
    assert!(took < Duration::from_secs(1), "{what}: {took:?}");
    exporter.until_logged(words);
    assert!(!exporter.logged().contains("panicked"), "{what}: {}", exporter.logged());
    assert!(read(&home.state()) == before, "{what}: it was changed");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_within_a_second_and_not_changed() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let path = home.state();
    let clear = || {
        // Either message is right.
        let _ = (fs::remove_file(&path), fs::remove_dir(&path));
    };
    home.start().until("counting begins", Scrape::counts);
    let mut newer_database = home.bytes();
    for version in [64, 192] {
        newer_database[version] += 1;
    }
    fs::write(&path, newer_database).expect("it can be written");
    refused(
        &api,
        &home,
        "a newer database",
        "was written by a newer version of this program; run that version",
    );

    clear();
    let database = Database::create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let about = TableDefinition::<&str, u64>::new("about");
    transaction.open_table(about).expect("a table").insert("format", u64::from(FORMAT) + 1).expect("a row");
    transaction.open_table(TableDefinition::<&str, u16>::new("accounts")).expect("a table");
    transaction.commit().expect("a commit");
    drop(database);
    refused(
        &api,
        &home,
        "a newer format",
        "was written by a newer version of this program; run that version",
    );

    clear();
    let clock = Clock::system();
    let settings = Settings { path: path.clone(), cache_bytes: 1 << 20 };
    let other = vec!["00000000000000000000000000000000".to_owned()];
    State::open(&settings, other, &clock, Saved::add).expect("a new file").0.close();
    refused(&api, &home, "another account's", "belongs to other accounts (00000000000000000000000000000000)");

    fs::write(&path, "state: { path: here }\n").expect("it can be written");
    refused(&api, &home, "a text", "is not a state file; give another path, or remove it");

    clear();
    fs::create_dir(&path).expect("a folder");
    refused(&api, &home, "a directory", "cannot use the state file");

    clear();
    fs::remove_dir(path.parent().expect("a folder")).expect("it is empty");
    refused(&api, &home, "a missing directory", "; its directory must exist");
}

#[test]
fn a_second_process_with_the_same_file_ends_within_a_second_and_the_first_continues() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let mut first = home.start();
    first.until("counting begins", Scrape::counts);
    let since = api.clock.now();
    let mut second = home.start();
    let status = second.end();
    let took = api.clock.now().since(since);
    assert!(status.code() == Some(1) && took < Duration::from_secs(1), "{status} after {took:?}");
    second.until_logged("is in use by another process; each process needs a file of its own");
    api.event(ACCOUNTS[0].0, Uuid::from_u128(1), "imp_travel");
    let scrape =
        first.until("it counts on", |scrape| api.agrees(scrape) && scrape.sum("events_total") == 1.0);
    assert_eq!(scrape.get("zt_risk_exporter_state_commits_total{result=\"failed\"}"), Some(0.0));
    first.kill();
    let scrape = home.start().until("it was kept", Scrape::counts);
    assert_eq!(scrape.sum("events_total"), 1.0);
}

/// The exporter's fate while the file fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It keeps running.
    GoesOn,
    /// It is killed, and started again after the failure.
    Killed,
}

impl Fate {
    /// Runs both at the same time, because each mostly waits.
    fn each(one: impl Fn(Self) + Sync) {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| one(Self::Killed));
            one(Self::GoesOn);
            other.join().expect("the other is well too");
        });
    }
}

/// Adds events that must be counted after the failure, some of them of a new user.
fn happen(api: &SimulatedApi, newcomer: u128) {
    for (account, ..) in ACCOUNTS {
        for user in 1..=20 {
            api.event(account, Uuid::from_u128(user), "imp_travel");
        }
        for _ in 0..10 {
            api.event(account, Uuid::from_u128(newcomer), "high_dlp");
        }
    }
}

const FAILED: &str = "zt_risk_exporter_state_commits_total{result=\"failed\"}";
const DURABLE: &str = "zt_risk_exporter_state_durable";

/// Makes the file fail for a while, and checks the metrics and the log.
fn endures(
    api: &SimulatedApi,
    home: &Home,
    mut exporter: Exporter,
    fate: Fate,
    begin: impl FnOnce(&Exporter),
    end: impl FnOnce(&Exporter),
) {
    exporter.until("counting begins", Scrape::counts);
    happen(api, 101);
    let before = exporter.until("all is well", |scrape| api.agrees(scrape));
    begin(&exporter);
    happen(api, 102);
    api.simulator.reset(ACCOUNTS[0].0, Uuid::from_u128(50)).expect("the user is there");
    let first = exporter.until("the trouble shows", |scrape| scrape.get(FAILED) >= Some(1.0));
    // By then everything that was saved before the failure is published.
    let stopped = exporter.until("the gauges go on", |scrape| {
        scrape.has_read_on(&first)
            && scrape.get(DURABLE) == Some(0.0)
            && scrape.sum("users") > before.sum("users")
    });
    let scrape = exporter.until("it is tried again", |scrape| scrape.get(FAILED) >= Some(2.0));
    assert_eq!(scrape.get(DURABLE), Some(0.0));
    stopped.assert_not_behind(&before, "during the failure");
    for (series, value) in scrape.durable() {
        assert_eq!(Some(value), stopped.get(series), "{series} stands still");
    }
    assert!(!api.agrees(&scrape), "events remain to be counted after the failure");
    let log = exporter.logged();
    let warnings: Vec<_> =
        log.lines().filter(|line| line.contains("the state file cannot be written")).collect();
    assert_eq!(warnings.len(), 1, "one warning\n{log}");
    if fate == Fate::Killed {
        exporter.kill();
        end(&exporter);
        exporter = home.start();
        // Nothing was published that was not in the file.
        exporter
            .until("the last scrape is there at once", |_| true)
            .assert_not_behind(&scrape, "killed during the failure");
    } else {
        end(&exporter);
    }
    let scrape = exporter.until("it heals", |scrape| api.agrees(scrape) && scrape.get(DURABLE) == Some(1.0));
    scrape.assert_not_behind(&before, "after the failure");
    if fate == Fate::GoesOn {
        exporter.until_logged("the state file can be written again; the counters continue");
    }
    // It was saved, not only published.
    exporter.kill();
    let mut exporter = home.start();
    let kept = exporter.until("the last scrape is there at once", |_| true);
    kept.assert_not_behind(&scrape, "after the failure and a restart");
    happen(api, 103);
    exporter.until("it counts on", |scrape| api.agrees(scrape));
    assert!(!home.log().contains("panicked") && !home.log().contains("damaged"), "{}", home.log());
}

/// Lets no file of the process grow beyond this size.
fn set_limit(exporter: &Exporter, bytes: &str) {
    assert!(run(&["prlimit", "--pid", &exporter.id().to_string(), &format!("--fsize={bytes}:")]));
}

#[test]
fn a_file_that_may_not_be_written_beyond_a_size_loses_nothing() {
    if !is_installed("prlimit") {
        return skip("a limit on files, since prlimit is not installed");
    }
    Fate::each(|fate| {
        let api = SimulatedApi::start();
        let home = Home::new(&api, 1.0);
        endures(
            &api,
            &home,
            home.start(),
            fate,
            |exporter| set_limit(exporter, "20000"),
            |exporter| {
                if fate == Fate::GoesOn {
                    set_limit(exporter, "unlimited");
                }
            },
        );
    });
}

#[test]
fn a_temporarily_missing_directory_loses_nothing() {
    Fate::each(|fate| {
        let api = SimulatedApi::start();
        let home = Home::new(&api, 1.0);
        let (here, away) = (home.path().join("state"), home.path().join("away"));
        let rename = |from: &PathBuf, to: &PathBuf| fs::rename(from, to).expect("it is there");
        endures(&api, &home, home.start(), fate, |_| rename(&here, &away), |_| rename(&away, &here));
    });
}

/// The exporter of this home, run by an unprivileged user who owns the home; `None` if there is no such user.
fn unprivileged(home: &Home) -> Option<Command> {
    let mut command = program();
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
        run(&["chown", "-R", &NOBODY.to_string(), &home.path().to_string_lossy()]);
        let mut trial = program();
        let tried = trial.uid(NOBODY).gid(NOBODY).arg("--version").output();
        tried.ok().filter(|output| output.status.success())?;
    }
    command.arg("--config.file").arg(home.config());
    Some(command)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_directory_that_may_not_be_written_loses_nothing() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let Some(mut command) = unprivileged(&home) else {
        return skip("a directory that may not be written, since this user cannot become another one");
    };
    let folder = home.path().join("state");
    let begin = |_: &Exporter| {
        // The open file could still be written, but not after a restart.
        fs::remove_file(home.state()).expect("it is there");
        set_mode(&folder, 0o500);
    };
    let end = |_: &Exporter| set_mode(&folder, 0o700);
    endures(&api, &home, home.spawn(&mut command), Fate::GoesOn, begin, end);
}

#[test]
fn a_read_only_file_is_refused_and_not_changed() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    home.start().until("counting begins", Scrape::counts);
    let Some(mut command) = unprivileged(&home) else {
        return skip("a file that may not be written, since this user cannot become another one");
    };
    set_mode(&home.state(), 0o400);
    let before = home.bytes();
    let mut exporter = home.spawn(&mut command);
    assert_eq!(exporter.end().code(), Some(1));
    exporter.until_logged("cannot use the state file");
    exporter.until_logged("Permission denied");
    assert!(home.bytes() == before, "it was changed");
}

#[test]
fn a_file_that_every_user_may_read_or_change_is_used_with_a_warning() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    home.start().until("counting begins", Scrape::counts);
    for (mode, warned) in [(0o600, false), (0o660, false), (0o644, true), (0o602, true)] {
        set_mode(&home.state(), mode);
        let mut exporter = home.start();
        exporter.until("counting continues", Scrape::counts);
        let logged = exporter.logged();
        assert_eq!(logged.contains("may read or change the state file"), warned, "{mode:o}: {logged}");
        assert_eq!(logged.contains(&format!("mode=\"{mode:04o}\"")), warned, "{mode:o}: {logged}");
    }
}

#[test]
fn an_interrupted_first_start_leaves_no_damaged_file() {
    let api = SimulatedApi::start();
    for left in [Vec::new(), vec![0; 1 << 20], b"redb half".to_vec()] {
        let home = Home::new(&api, 1.0);
        fs::write(home.path().join("state/state.redb.new"), left).expect("it can be written");
        let mut exporter = home.start();
        exporter.until("counting begins", Scrape::counts);
        assert!(exporter.logged().contains("created a new state file"), "{}", exporter.logged());
        let names = fs::read_dir(home.path().join("state")).expect("a folder");
        let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names, ["state.redb"]);
    }
}

/// A mount that ends with its test.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, because a process that is still ending may have a file open.
        run(&["umount", "--lazy", &self.0.to_string_lossy()]);
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    Fate::each(|fate| {
        let api = SimulatedApi::start();
        let home = Home::new(&api, 1.0);
        let folder = home.path().join("state");
        if !run(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", &folder.to_string_lossy()]) {
            return skip("a full disk, since nothing may be mounted here");
        }
        let _mount = Mount(folder.clone());
        let ballast = folder.join("ballast");
        let fill = |_: &Exporter| {
            let full = fs::write(&ballast, vec![1; 4 << 20]).expect_err("it is larger than the disk");
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            // Free space inside the file is used first.
            for (account, ..) in ACCOUNTS {
                for event in 0..20_000 {
                    api.event(account, Uuid::from_u128(event % 40 + 1), "high_dlp");
                }
            }
        };
        let empty = |_: &Exporter| fs::remove_file(&ballast).expect("it is there");
        endures(&api, &home, home.start(), fate, fill, empty);
    });
}

#[test]
fn a_file_that_is_removed_or_replaced_by_an_older_copy_is_written_again() {
    for older in [false, true] {
        let api = SimulatedApi::start();
        let home = Home::new(&api, 1.0);
        let mut exporter = home.start();
        exporter.until("counting begins", Scrape::counts);
        happen(&api, 101);
        exporter.until("all is well", |scrape| api.agrees(scrape));
        let copy = home.path().join("copy");
        fs::copy(home.state(), &copy).expect("it is there");
        happen(&api, 102);
        let before = exporter.until("all is well", |scrape| api.agrees(scrape));
        if older {
            fs::rename(&copy, home.state()).expect("it is there");
        } else {
            fs::remove_file(home.state()).expect("it is there");
        }
        happen(&api, 103);
        let scrape = exporter.until("it goes on", |scrape| api.agrees(scrape));
        scrape.assert_not_behind(&before, "with another file");
        exporter.kill();
        let mut exporter = home.start();
        let kept = exporter.until("the last scrape is there at once", |_| true);
        kept.assert_not_behind(&scrape, "after a restart");
        happen(&api, 104);
        exporter.until("it counts on", |scrape| api.agrees(scrape));
        assert!(!home.log().contains("panicked"), "{}", home.log());
    }
}
