//! A disk that does not answer: the metrics say so, and nothing is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

use super::process::{ACCOUNTS, Exporter, Home, Scrape, SimulatedApi};
use crate::program::{is_installed, program, skip};

/// Replaces the call that waits for the disk: once the state file was created, it does not return while the file of
/// `HANG_WHILE` exists. The first call after the new file got its name is the end of its creation. If `HANG_AT_ONCE` is set, every
/// call hangs.
const SLOW_DISK: &str = r#"
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int file) {
    static int is_created = 0;
    (void)file;
    if (getenv("HANG_AT_ONCE") == NULL) {
        if (access(getenv("STATE_FILE"), F_OK) != 0) return 0;
        if (!is_created) {
            is_created = 1;
            return 0;
        }
    }
    while (access(getenv("HANG_WHILE"), F_OK) == 0) usleep(10000);
    return 0;
}
"#;

const DURABLE: &str = "zt_risk_exporter_state_durable";

/// Compiles [`SLOW_DISK`] to a library in this folder, if a compiler is installed.
fn slow_disk(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("slow_disk.c"), folder.join("slow_disk.so"));
    fs::write(&source, SLOW_DISK).expect("a file can be written");
    let compile = || Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    let is_compiled = is_installed("cc") && compile().is_ok_and(|output| output.status.success());
    is_compiled.then_some(library)
}

/// An exporter whose disk does not answer while the file `hang` exists.
fn start(home: &Home, library: &Path, hang: &Path) -> Exporter {
    home.spawn(&mut on_slow_disk(home, library, hang))
}

fn on_slow_disk(home: &Home, library: &Path, hang: &Path) -> Command {
    let mut command = program();
    command.arg("--config.file").arg(home.config());
    command.env("LD_PRELOAD", library).env("HANG_WHILE", hang).env("STATE_FILE", home.state());
    command
}

/// Whether both accounts have this value of `up`.
fn up_is(scrape: &Scrape, value: f64) -> bool {
    ACCOUNTS.iter().all(|(_, alias, _)| scrape.get(&format!("up{{account=\"{alias}\"}}")) == Some(value))
}

/// The disk answers again: everything is counted, and the log says it.
fn recovers(api: &SimulatedApi, exporter: &mut Exporter, hang: &Path) {
    exporter.until_logged("the state file does not answer");
    fs::remove_file(hang).expect("it is there");
    exporter.until("all is well again", |scrape| {
        up_is(scrape, 1.0) && scrape.get(DURABLE) == Some(1.0) && api.agrees(scrape)
    });
    exporter.until_logged("the state file answers again");
}

#[test]
fn a_disk_that_does_not_answer_turns_up_to_0_until_it_does() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let Some(library) = slow_disk(home.path()) else {
        return skip("a disk that does not answer, since cc is not installed");
    };
    let hang = home.path().join("hang");
    let mut exporter = start(&home, &library, &hang);
    let before = exporter.until("counting begins", |scrape| scrape.counts() && up_is(scrape, 1.0));
    assert_eq!(before.get(DURABLE), Some(1.0));

    fs::write(&hang, "").expect("a file can be written");
    for (account, ..) in ACCOUNTS {
        api.event(account, Uuid::from_u128(1), "imp_travel");
    }
    let during = exporter.until("the list is overdue and not durable", |scrape| {
        up_is(scrape, 0.0) && scrape.get(DURABLE) == Some(0.0)
    });
    assert!(during.sum("users") > 0.0, "what was known stays");
    during.assert_not_behind(&before, "while the disk hangs");
    recovers(&api, &mut exporter, &hang);
}

#[test]
fn a_disk_that_does_not_answer_from_the_start_turns_up_to_0_too() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let Some(library) = slow_disk(home.path()) else {
        return skip("a disk that does not answer from the start, since cc is not installed");
    };
    let hang = home.path().join("hang");
    fs::write(&hang, "").expect("a file can be written");
    let mut exporter = start(&home, &library, &hang);
    let during =
        exporter.until("nothing was read", |scrape| up_is(scrape, 0.0) && scrape.get(DURABLE) == Some(0.0));
    assert!(!during.has("users{") && !during.has("events_total"), "{during}");
    recovers(&api, &mut exporter, &hang);
}

#[test]
fn a_disk_that_does_not_answer_while_the_state_file_is_opened_is_reported() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let Some(library) = slow_disk(home.path()) else {
        return skip("a disk that does not answer while the state file is opened, since cc is not installed");
    };
    let hang = home.path().join("hang");
    fs::write(&hang, "").expect("a file can be written");
    let mut exporter = home.spawn(on_slow_disk(&home, &library, &hang).env("HANG_AT_ONCE", "1"));
    recovers(&api, &mut exporter, &hang);
}
