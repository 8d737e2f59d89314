//! The program as an operator runs it: start, requests, signals, and wrong settings.

mod memory;
mod open_files;
mod rig;
mod stories;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Instant};
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario};

use crate::program::program;
use rig::{Program, TIMEOUT, address, exporter, get, serve, simulator, sum, until};

#[test]
fn two_environment_variables_are_enough_and_sigterm_stops_with_code_0() {
    let (_runtime, simulator) = simulator(Scenario::generated(50, 1));
    let mut exporter = serve(&simulator, GENERATED_TOKEN);
    let mut log = exporter.log();
    let address = address(&mut log);
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    let metrics = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") > 0.0);
    assert!(sum(&metrics, "cloudflare_zt_risk_users") > 0.0, "{metrics}");
    // An idle connection, such as Prometheus keeps, does not delay the stop.
    let mut idle = TcpStream::connect(address).expect("it listens");
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request goes out");
    let mut first = [0; 12];
    idle.read_exact(&mut first).expect("an answer");
    exporter.signal("TERM");
    let (status, took) = exporter.end();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    drop(idle);
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("text");
    assert!(!rest.contains(GENERATED_TOKEN), "{rest}");
}

/// The next message at the socket of a service manager, and when it came.
fn next_message(socket: &UnixDatagram, clock: &Clock) -> (String, Instant) {
    let mut message = [0; 64];
    let length = socket.recv(&mut message).expect("a message comes in time");
    (String::from_utf8_lossy(&message[..length]).trim().to_owned(), clock.now())
}

#[test]
fn a_service_manager_is_notified_of_readiness_liveness_and_the_stop() {
    // Accepts connections and sends nothing, until it is dropped.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = format!("http://{}", silent.local_addr().expect("its address"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(TIMEOUT)).expect("it takes a limit");
    let allowed = Duration::from_secs(2);
    let mut exporter = Program::start(
        exporter(&upstream, GENERATED_TOKEN)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", allowed.as_micros().to_string()),
    );
    let mut log = exporter.log();
    let address = address(&mut log);

    let clock = Clock::system();
    let next = || next_message(&socket, &clock);
    let fed: Vec<_> = (0..4).map(|_| next()).collect();
    for pair in fed.windows(2) {
        let between = pair[1].1.since(pair[0].1);
        assert!(between > allowed / 4 && between < allowed, "{between:?}");
    }
    assert!(
        fed.iter().all(|(word, _)| word == "WATCHDOG=1"),
        "not ready before the first attempt has ended: {fed:?}"
    );
    assert!(get(address, "/-/ready").starts_with("HTTP/1.1 503"));

    drop(silent);
    let mut messages = std::iter::repeat_with(|| next().0).filter(|word| word != "WATCHDOG=1");
    assert_eq!(messages.next().as_deref(), Some("READY=1"));
    assert!(get(address, "/-/ready").starts_with("HTTP/1.1 200"));
    exporter.signal("TERM");
    assert_eq!(messages.next().as_deref(), Some("STOPPING=1"));
    assert!(exporter.end().0.success());
}

#[test]
fn a_closed_standard_error_does_not_end_the_exporter() {
    let (_runtime, simulator) = simulator(Scenario::generated(10, 1));
    let mut program = serve(&simulator, GENERATED_TOKEN);
    let mut log = program.log();
    let address = address(&mut log);
    drop(log);
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    // This writes a log line.
    program.signal("TERM");
    let (status, _) = program.end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_log_that_is_not_read_blocks_nothing_and_its_lost_lines_are_counted() {
    let (_runtime, simulator) = simulator(Scenario::generated(10, 1));
    let mut command = exporter(&simulator.base_url(), GENERATED_TOKEN);
    let mut program = Program::start(command.args(["--log.level", "debug"]));
    // The pipe stays open. Nobody reads it after the first lines, so it fills up.
    let mut log = program.log();
    let address = address(&mut log);
    let dropped = |answer: &str| {
        let value =
            answer.lines().find_map(|line| line.strip_prefix("zt_risk_exporter_log_lines_dropped_total "));
        value.and_then(|value| value.parse::<f64>().ok()).is_some_and(|lines| lines > 0.0)
    };
    let clock = Clock::system();
    let since = clock.now();
    while !dropped(&get(address, "/metrics")) {
        assert!(clock.now().since(since) < TIMEOUT, "no line was dropped");
        for _ in 0..500 {
            // Each connection ends early, which is a line at level debug.
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.write_all(b"no HTTP\r\n\r\n").expect("it is sent");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    assert!(get(address, "/-/healthy").starts_with("HTTP/1.1 200"));
    program.signal("TERM");
    let (status, took) = program.end();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(log);
}

#[test]
fn a_second_signal_stops_at_once_with_code_1() {
    let (_runtime, simulator) = simulator(Scenario::generated(50, 1));
    let mut exporter = serve(&simulator, GENERATED_TOKEN);
    let mut log = exporter.log();
    let address = address(&mut log);
    // A half-sent request delays the drain.
    let mut half = TcpStream::connect(address).expect("it listens");
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("half a request goes out");
    until(address, "/-/healthy", |answer| answer.starts_with("HTTP/1.1 200"));
    exporter.signal("TERM");
    Program::line(&mut log, "a second signal stops at once");
    let unready = until(address, "/-/ready", |answer| answer.contains("draining"));
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    exporter.signal("INT");
    let (status, took) = exporter.end();
    assert_eq!(status.code(), Some(1), "an interrupted drain is a failure");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn sigterm_while_a_large_world_is_built_stops_with_code_0() {
    for command in [["demo", "--web.listen-address"], ["simulate", "--listen-address"]] {
        let mut building =
            Program::start(program().args(command).args(["127.0.0.1:0", "--users", "1000000"]));
        let mut log = building.log();
        Program::line(&mut log, "building the simulated world");
        Program::line(&mut log, "building the simulated world users=100000 of=1000000");
        building.signal("TERM");
        let (status, took) = building.end();
        assert!(status.success(), "{command:?}: {status}");
        assert!(took < Duration::from_secs(3), "{command:?}: {took:?}");
    }
}

#[test]
fn a_wrong_token_is_reported_and_does_not_end_the_exporter() {
    let (_runtime, simulator) = simulator(Scenario::generated(5, 1));
    let mut exporter = serve(&simulator, "not-this-one");
    let mut log = exporter.log();
    let address = address(&mut log);
    let warning = Program::line(&mut log, "WARN");
    assert!(warning.contains("token") && !warning.contains("not-this-one"), "{warning}");
    let metrics = until(address, "/metrics", |answer| answer.contains("cloudflare_zt_risk_up{"));
    assert_eq!(sum(&metrics, "cloudflare_zt_risk_up"), 0.0, "{metrics}");
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_port_in_use_is_named_and_exits_with_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    for command in ["demo", "serve"] {
        let output = program()
            .args([command, "--web.listen-address", &address])
            .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", "any")
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")) && said.contains("in use"), "{said}");
        assert!(said.contains("; stop the other process, or choose another port"), "{said}");
    }
}

#[test]
fn shards_log_their_accounts_and_a_shard_without_accounts_serves_too() {
    let (_runtime, simulator) = simulator(Scenario::generated(5, 1));
    // The second of two shards has this account.
    let table = [(0, "this shard has no accounts", 0.0), (1, "this shard has these accounts", 1.0)];
    for (index, said, up) in table {
        let directory = tempfile::tempdir().expect("a directory");
        let mut shard = Program::start(
            exporter(&simulator.base_url(), GENERATED_TOKEN)
                .args(["--shard.index", &index.to_string(), "--shard.total", "2"])
                .env("ZT_RISK_EXPORTER__STATE__PATH", directory.path().join("state.redb")),
        );
        let mut log = shard.log();
        let line = Program::line(&mut log, said);
        assert_eq!(line.contains(GENERATED_ACCOUNT), up > 0.0, "{line}");
        let address = address(&mut log);
        until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
        let metrics = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") == up);
        assert!(metrics.contains("zt_risk_exporter_state_durable 1"), "{metrics}");
        assert_eq!(metrics.contains("cloudflare_zt_risk_"), up > 0.0, "{metrics}");
    }
}

#[test]
fn a_check_reports_success_or_what_the_token_lacks() {
    let scenario = "
accounts: [{ id: 0123456789abcdef0123456789abcdef, generated_users: 5 }]
tokens:
  - { token: everything, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }
  - { token: settings, permissions: [Zero Trust Read] }
";
    let (_runtime, simulator) = simulator(Scenario::from_yaml(scenario).expect("a scenario"));
    let table =
        [("everything", 0, "5 users"), ("settings", 1, "Zero Trust: PII Read"), ("nonsense", 1, "token")];
    for (token, code, said) in table {
        let output = program()
            .arg("check")
            .env("CLOUDFLARE_BASE_URL", simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", token)
            .output()
            .expect("the program runs");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{token}\n{shown}");
        assert!(shown.contains(said), "{token}\n{shown}");
    }
}
