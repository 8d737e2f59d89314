//! The demo and its stories, as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::simulator::Story;

use super::rig::{Program, TIMEOUT, sum, until};
use crate::program::program;

#[test]
fn the_demo_prints_its_addresses_and_its_counters_rise() {
    let mut demo = Program::start(program().args(["demo", "--web.listen-address", "127.0.0.1:0"]));
    let mut printed = BufReader::new(demo.child.stdout.take().expect("it is taken once")).lines();
    let url = printed.by_ref().map(|line| line.expect("text")).find(|line| line.ends_with("/metrics"));
    let url = url.expect("the address of the metrics is printed");
    let (_, rest) = url.split_once("http://").expect("a URL");
    let address: SocketAddr = rest.trim_end_matches("/metrics").parse().expect("an address");
    let metrics = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_events_total") > 0.0);
    for family in ["users", "behavior_enabled", "integration_active", "reported_events"] {
        assert!(sum(&metrics, &format!("cloudflare_zt_risk_{family}")) > 0.0, "{family}\n{metrics}");
    }
    demo.signal("INT");
    assert!(demo.end().0.success());
}

#[test]
fn what_the_demo_and_the_simulator_print_can_be_pasted_into_a_shell() {
    let binary = env!("CARGO_BIN_EXE_zt-risk-exporter");
    for (start, last, rest) in [
        (&["demo", "--web.listen-address"][..], "Stop with Ctrl-C.", ""),
        (&["simulate", "--users", "20", "--listen-address"], "export CLOUDFLARE_API_TOKEN", "\"$1\" users"),
    ] {
        let mut running = Program::start(program().args(start).arg("127.0.0.1:0"));
        let printed = BufReader::new(running.child.stdout.take().expect("it is taken once")).lines();
        let mut pasted = String::new();
        for line in printed.map(|line| line.expect("text")) {
            if line.starts_with("export ") || line.starts_with(binary) {
                pasted += &format!("{line}\n");
            }
            if line.starts_with(last) {
                break;
            }
        }
        let mut shell = Command::new("/bin/sh");
        shell.args(["-ec", &format!("{pasted}{rest}"), "sh", binary]).env_clear().env("PATH", "/none");
        let output = shell.output().expect("the shell starts");
        let shown = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && shown.contains("EVENTS  LAST "), "{pasted}: {shown}");
        assert_eq!(
            shown.contains("imp_travel "),
            rest.is_empty(),
            "the demo shows the behaviors too: {shown}"
        );
    }
}

/// A demo that plays a story and has its temporary files in `directory`, with its output and its address.
fn story_demo(
    story: &str,
    speed: &str,
    directory: &Path,
) -> (Program, impl Iterator<Item = String>, SocketAddr) {
    let arguments = ["demo", "--web.listen-address", "127.0.0.1:0", "--story", story, "--speed", speed];
    let mut demo = Program::start(program().args(arguments).env("TMPDIR", directory));
    let printed = BufReader::new(demo.child.stdout.take().expect("it is taken once")).lines();
    let mut printed = printed.map(|line| line.expect("text"));
    let url = printed.find(|line| line.ends_with("/metrics")).expect("the address of the metrics is printed");
    let (_, rest) = url.split_once("http://").expect("a URL");
    let address = rest.trim_end_matches("/metrics").parse().expect("an address");
    (demo, printed, address)
}

#[test]
fn a_story_is_printed_as_it_happens_and_its_state_file_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut demo, printed, address) = story_demo("mass-reset", "600", directory.path());
    let files = || directory.path().read_dir().expect("it can be read").count();
    let lines: Vec<_> = printed
        .skip_while(|line| !line.contains("mass-reset: "))
        .take(6)
        .map(|line| line[9..].to_owned())
        .collect();
    assert_eq!(lines, vec!["mass-reset: 5 users are reset"; 6]);
    let metrics = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_resets_total") >= 30.0);
    assert!(metrics.contains("zt_risk_exporter_state_durable 1"), "{metrics}");
    assert_eq!(files(), 1);
    demo.signal("INT");
    assert!(demo.end().0.success());
    assert_eq!(files(), 0);
}

#[test]
fn the_story_insider_begins_with_a_backdated_state_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_demo, _printed, address) = story_demo("insider", "60", directory.path());
    let high = r#"cloudflare_zt_risk_oldest_user_timestamp_seconds{account="demo",max_risk_level="high"} "#;
    let metrics = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") > 0.0);
    let since =
        metrics.lines().find_map(|line| line.strip_prefix(high)).and_then(|date| date.parse::<f64>().ok());
    let watched = Clock::system().date().seconds() - since.expect("a user is at high risk");
    // 23 h 50 min at speed 60, and however long this test took.
    assert!((1_430.0..1_430.0 + TIMEOUT.as_secs_f64()).contains(&watched), "{watched} s");
}

#[test]
fn an_unknown_story_is_refused_with_a_list_of_the_known_ones() {
    for command in ["demo", "simulate"] {
        let output = program().args([command, "--story", "outrage"]).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let known = Story::ALL.map(Story::as_str).join(", ");
        assert!(said.contains("'outrage'") && said.contains(&known), "{said}");
    }
}
