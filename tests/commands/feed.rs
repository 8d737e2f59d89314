//! `feed tail`, from outside.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use crate::program::program;

const USER: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";

/// A line of the own format about an event.
fn event(time: &str, behavior: &str, level: &str) -> String {
    format!(
        r#"{{"id":"a:1:7","kind":"risk_event","time":"{time}","logged_time":"{time}","account":"prod","account_id":"a","epoch":1,"sequence":7,"user":"{USER}","behavior":"{behavior}","level":"{level}"}}"#
    ) + "\n"
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The exit code, standard output and standard error.
fn tail(path: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(["feed", "tail"]).arg(path).args(more).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn the_latest_records_that_were_asked_for_are_shown_below_their_day() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("feed.jsonl");
    append(&path, &event("2026-11-20T23:59:59.000Z", "imp_travel", "high"));
    append(&path, &event("2026-11-21T00:00:01.000Z", "high_dlp", "low"));
    append(&path, &event("2026-11-21T00:00:02.000Z", "imp_travel", "medium"));
    let (first, second, third) = (
        format!("23:59:59 high    imp_travel            {USER}\n"),
        format!("00:00:01 low     high_dlp              {USER}\n"),
        format!("00:00:02 medium  imp_travel            {USER}\n"),
    );
    for (arguments, wanted) in [
        (&[] as &[&str], format!("2026-11-20 prod\n{first}2026-11-21 prod\n{second}{third}")),
        (&["--lines", "1"], format!("2026-11-21 prod\n{third}")),
        (&["--lines", "0"], String::new()),
        (&["--level", "high,low"], format!("2026-11-20 prod\n{first}2026-11-21 prod\n{second}")),
        (&["--behavior", "imp_travel", "--lines", "1"], format!("2026-11-21 prod\n{third}")),
        (&["--behavior", "imp_travel", "--level", "low"], String::new()),
    ] {
        let shown = tail(&path, &[arguments, &["--no-follow"]].concat());
        assert_eq!(shown, (Some(0), wanted, String::new()), "{arguments:?}");
    }
}

#[test]
fn records_that_come_are_shown_through_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("feed.jsonl");
    append(&path, &event("2026-11-21T00:00:01.000Z", "one", "high"));
    let mut child = program().args(["feed", "tail"]).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || lines.next().unwrap();
    assert_eq!((next().as_str(), &next()[..20]), ("2026-11-21 prod", "00:00:01 high    one"));
    append(&path, &event("2026-11-21T00:00:02.000Z", "two", "low"));
    fs::rename(&path, directory.path().join("feed-0000000001.jsonl")).unwrap();
    append(&path, &event("2026-11-21T00:00:03.000Z", "three", "low"));
    assert_eq!((&next()[..20], &next()[..22]), ("00:00:02 low     two", "00:00:03 low     three"));
    drop(lines);
    // Nobody reads any more, which the next line tells.
    append(&path, &event("2026-11-21T00:00:04.000Z", "four", "low"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_no_feed_of_the_own_format_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("feed.jsonl");
    let name = path.display();
    let failed = |why: &str| (Some(1), String::new(), format!("zt-risk-exporter: {name}: {why}\n"));
    let missing = tail(&path, &[]);
    assert_eq!(missing, failed("No such file or directory (os error 2)"));
    append(&path, "{\"metadata\":{\"uid\":\"a:1:7\"}}\n");
    assert_eq!(tail(&path, &[]), failed("a line is no record of the format json"));
}
