//! The program with a low limit of open files.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::simulator::{GENERATED_TOKEN, Scenario};

use super::rig::{Program, address, exporter, get, simulator, sum, until};
use crate::program::{is_installed, skip};

/// How many files may be opened beside those that are open.
const SPARE: usize = 6;

/// Many more connections than may be open.
const CONNECTIONS: u32 = 40;

/// `zt_risk_exporter_web_connections_closed_total` for a reason.
fn closed(metrics: &str, reason: &str) -> f64 {
    let series = format!("zt_risk_exporter_web_connections_closed_total{{reason=\"{reason}\"}} ");
    let sample = metrics.lines().find_map(|line| line.strip_prefix(&series));
    sample.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

fn limit_open_files(exporter: &Program, most: usize) {
    let pid = exporter.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
    assert!(limited.unwrap().success());
}

#[test]
fn out_of_open_files_the_longest_idle_connection_makes_room_and_the_web_configuration_stays_in_use() {
    if !is_installed("prlimit") {
        return skip("a limit of open files, since prlimit is not installed");
    }
    let (_runtime, simulator) = simulator(Scenario::generated(50, 1));
    let directory = tempfile::tempdir().unwrap();
    let web = directory.path().join("web.yaml");
    fs::write(&web, "http_server_config: {headers: {X-Frame-Options: deny}}\n").unwrap();
    let mut command = exporter(&simulator.base_url(), GENERATED_TOKEN);
    let mut exporter = Program::start(command.env("ZT_RISK_EXPORTER__WEB__CONFIG_FILE", &web));
    let mut log = exporter.log();
    let address = address(&mut log);
    until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_users") > 0.0);
    let open = fs::read_dir(format!("/proc/{}/fd", exporter.id())).unwrap().count();
    limit_open_files(&exporter, open + SPARE);

    let clock = Clock::system();
    let began = clock.now();
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"healthy\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("connection {number}: {error}"));
            answer.extend(byte);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-frame-options: deny"), "{answer}");
        held.push(stream);
    }
    let metrics = get(address, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("x-frame-options: deny"), "{metrics}");
    let (failed, made_room) = (closed(&metrics, "accept_failed"), closed(&metrics, "connection_limit"));
    // All but those that had room made room for others.
    assert!(made_room >= f64::from(CONNECTIONS) - SPARE as f64 - 1.0, "{made_room}");
    // It fails once for each connection; after another failure it waits for a second.
    let waited = clock.now().since(began).as_secs_f64();
    assert!(failed >= made_room && failed <= f64::from(CONNECTIONS) + waited + 2.0, "{failed} in {waited} s");
    let line = Program::line(&mut log, "cannot accept a connection");
    assert!(line.contains("Too many open files"), "{line}");

    limit_open_files(&exporter, 1_024);
    drop(held);
    assert_eq!(closed(&get(address, "/metrics"), "accept_failed"), failed);
}
