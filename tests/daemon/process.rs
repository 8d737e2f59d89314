//! The program as an operator runs it: start, requests, signals, and wrong settings.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Instant};
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator, Story};

use crate::program::{program, signal};

/// A test fails if it waits longer than this for a process; nothing here should take seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running program, killed at the end of its test.
struct Program {
    child: Child,
    clock: Clock,
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        Self { child, clock: Clock::system() }
    }

    fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().expect("it is taken once"))
    }

    /// The first line of the log with `part`.
    fn line(log: &mut BufReader<ChildStderr>, part: &str) -> String {
        let mut lines = log.by_ref().lines().map(|line| line.expect("text"));
        lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line with {part}"))
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end, and returns how it ended and how long that took.
    fn end(&mut self) -> (ExitStatus, Duration) {
        let since = self.clock.now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status, self.clock.now().since(since));
            }
            pause(&self.clock, since, "the program did not end");
        }
    }
}

/// Waits a moment, and panics with `what` if more than [`TIMEOUT`] has passed since `since`.
fn pause(clock: &Clock, since: Instant, what: &str) {
    assert!(clock.now().since(since) < TIMEOUT, "{what}");
    std::thread::park_timeout(Duration::from_millis(10));
}

/// `serve`, configured by environment variables only.
fn exporter(upstream: &str, token: &str) -> Command {
    let mut command = program();
    command
        .args(["--web.listen-address", "127.0.0.1:0"])
        .env("CLOUDFLARE_BASE_URL", upstream)
        .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", token);
    command
}

/// The same, running against the simulator.
fn serve(simulator: &Simulator, token: &str) -> Program {
    Program::start(&mut exporter(&simulator.base_url(), token))
}

/// The address in a log line such as `serving /metrics address=127.0.0.1:1234`.
fn address(log: &mut BufReader<ChildStderr>) -> SocketAddr {
    let line = Program::line(log, "serving /metrics");
    let (_, rest) = line.split_once("address=").expect("an address");
    rest.split(' ').next().and_then(|text| text.parse().ok()).expect("an address")
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("a request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Repeats the request until `holds` is true for the answer.
fn until(address: SocketAddr, path: &str, holds: impl Fn(&str) -> bool) -> String {
    let clock = Clock::system();
    let since = clock.now();
    loop {
        let answer = get(address, path);
        if holds(&answer) {
            return answer;
        }
        pause(&clock, since, &answer);
    }
}

/// The sum of a family's samples.
fn sum(metrics: &str, family: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn simulator(scenario: Scenario) -> (tokio::runtime::Runtime, Simulator) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let simulator = runtime.block_on(Simulator::start(scenario, Clock::system())).expect("a world");
    (runtime, simulator)
}

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
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").expect("a request goes out");
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
