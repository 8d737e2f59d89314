//! The program as an operator meets it: started, asked, stopped, and told wrong things.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Instant};
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator, Story};

use crate::program::{program, signal};

/// What a process may take before a test has failed; nothing here should take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, killed at the end of its test.
struct Program {
    child: Child,
    clock: Clock,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, or nobody needs it any more.
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
        BufReader::new(self.child.stderr.take().expect("it is read once"))
    }

    /// The first line of the log with `part`.
    fn line(log: &mut BufReader<ChildStderr>, part: &str) -> String {
        let mut lines = log.by_ref().lines().map(|line| line.expect("text"));
        lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line with {part}"))
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// How it ended, and how long that took.
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

/// Lets other processes go on, for as long as patience lasts.
fn pause(clock: &Clock, since: Instant, what: &str) {
    assert!(clock.now().since(since) < PATIENCE, "{what}");
    std::thread::park_timeout(Duration::from_millis(10));
}

/// `serve` with nothing but the environment.
fn exporter(upstream: &str, token: &str) -> Command {
    let mut command = program();
    command
        .args(["--web.listen-address", "127.0.0.1:0"])
        .env("CLOUDFLARE_BASE_URL", upstream)
        .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", token);
    command
}

/// The same, started against a simulated Cloudflare.
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

/// The first answer of which `holds` is true.
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
fn sum(page: &str, family: &str) -> f64 {
    let samples = page.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn simulator(scenario: Scenario) -> (tokio::runtime::Runtime, Simulator) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let simulator = runtime.block_on(Simulator::start(scenario, Clock::system())).expect("a world");
    (runtime, simulator)
}

#[test]
fn two_environment_variables_are_enough_and_sigterm_ends_it_well() {
    let (_runtime, simulator) = simulator(Scenario::generated(50, 1));
    let mut exporter = serve(&simulator, GENERATED_TOKEN);
    let mut log = exporter.log();
    let address = address(&mut log);
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    let page = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") > 0.0);
    assert!(sum(&page, "cloudflare_zt_risk_users") > 0.0, "{page}");
    // A connection that stays open, as Prometheus's does, delays nothing.
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

/// What comes next at the socket of a service manager, and when.
fn told(socket: &UnixDatagram, clock: &Clock) -> (String, Instant) {
    let mut message = [0; 64];
    let length = socket.recv(&mut message).expect("a message comes in time");
    (String::from_utf8_lossy(&message[..length]).trim().to_owned(), clock.now())
}

#[test]
fn a_service_manager_is_told_of_readiness_life_and_the_end() {
    // Takes connections and says nothing, until it is dropped.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = format!("http://{}", silent.local_addr().expect("its address"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("it takes a limit");
    let allowed = Duration::from_secs(2);
    let mut exporter = Program::start(
        exporter(&upstream, GENERATED_TOKEN)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", allowed.as_micros().to_string()),
    );
    let mut log = exporter.log();
    let address = address(&mut log);

    let clock = Clock::system();
    let next = || told(&socket, &clock);
    let fed: Vec<_> = (0..4).map(|_| next()).collect();
    for pair in fed.windows(2) {
        let between = pair[1].1.since(pair[0].1);
        assert!(between > allowed / 4 && between < allowed, "{between:?}");
    }
    assert!(fed.iter().all(|(word, _)| word == "WATCHDOG=1"), "no attempt has ended: {fed:?}");
    assert!(get(address, "/-/ready").starts_with("HTTP/1.1 503"));

    drop(silent);
    let mut news = std::iter::repeat_with(|| next().0).filter(|word| word != "WATCHDOG=1");
    assert_eq!(news.next().as_deref(), Some("READY=1"));
    assert!(get(address, "/-/ready").starts_with("HTTP/1.1 200"));
    exporter.signal("TERM");
    assert_eq!(news.next().as_deref(), Some("STOPPING=1"));
    assert!(exporter.end().0.success());
}

#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let (_runtime, simulator) = simulator(Scenario::generated(10, 1));
    let mut program = serve(&simulator, GENERATED_TOKEN);
    let mut log = program.log();
    let address = address(&mut log);
    drop(log);
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    // It says that it stops.
    program.signal("TERM");
    let (status, _) = program.end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (_runtime, simulator) = simulator(Scenario::generated(50, 1));
    let mut exporter = serve(&simulator, GENERATED_TOKEN);
    let mut log = exporter.log();
    let address = address(&mut log);
    // Half a request holds the drain up.
    let mut half = TcpStream::connect(address).expect("it listens");
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("half a request goes out");
    until(address, "/-/healthy", |answer| answer.starts_with("HTTP/1.1 200"));
    exporter.signal("TERM");
    Program::line(&mut log, "a second signal stops at once");
    let unready = until(address, "/-/ready", |answer| answer.contains("draining"));
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    exporter.signal("INT");
    let (status, took) = exporter.end();
    assert_eq!(status.code(), Some(1), "a drain that was not waited for is no good end");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn sigterm_while_a_large_world_is_built_ends_it_well() {
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
fn a_wrong_token_is_on_the_page_and_in_the_log_and_ends_nothing() {
    let (_runtime, simulator) = simulator(Scenario::generated(5, 1));
    let mut exporter = serve(&simulator, "not-this-one");
    let mut log = exporter.log();
    let address = address(&mut log);
    let warning = Program::line(&mut log, "WARN");
    assert!(warning.contains("token") && !warning.contains("not-this-one"), "{warning}");
    let page = until(address, "/metrics", |answer| answer.contains("cloudflare_zt_risk_up{"));
    assert_eq!(sum(&page, "cloudflare_zt_risk_up"), 0.0, "{page}");
    until(address, "/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_port_in_use_is_named_and_ends_with_1() {
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
fn shards_say_which_accounts_they_have_and_one_without_any_serves_too() {
    let (_runtime, simulator) = simulator(Scenario::generated(5, 1));
    // Of two shards the second has this account; see the tests of the split.
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
        let page = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") == up);
        assert!(page.contains("zt_risk_exporter_state_durable 1"), "{page}");
        assert_eq!(page.contains("cloudflare_zt_risk_"), up > 0.0, "{page}");
    }
}

#[test]
fn the_demo_says_where_to_look_and_its_counters_move() {
    let mut demo = Program::start(program().args(["demo", "--web.listen-address", "127.0.0.1:0"]));
    let mut said = BufReader::new(demo.child.stdout.take().expect("it is read once")).lines();
    let page = said.by_ref().map(|line| line.expect("text")).find(|line| line.ends_with("/metrics"));
    let page = page.expect("the page for Prometheus is named");
    let (_, rest) = page.split_once("http://").expect("a URL");
    let address: SocketAddr = rest.trim_end_matches("/metrics").parse().expect("an address");
    let page = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_events_total") > 0.0);
    for family in ["users", "behavior_enabled", "integration_active", "reported_events"] {
        assert!(sum(&page, &format!("cloudflare_zt_risk_{family}")) > 0.0, "{family}\n{page}");
    }
    demo.signal("INT");
    assert!(demo.end().0.success());
}

/// A demonstration that plays a story and may write to `directory` only, its output, and the address of its page.
fn drill(story: &str, speed: &str, directory: &Path) -> (Program, impl Iterator<Item = String>, SocketAddr) {
    let arguments = ["demo", "--web.listen-address", "127.0.0.1:0", "--story", story, "--speed", speed];
    let mut demo = Program::start(program().args(arguments).env("TMPDIR", directory));
    let said = BufReader::new(demo.child.stdout.take().expect("it is read once")).lines();
    let mut said = said.map(|line| line.expect("text"));
    let page = said.find(|line| line.ends_with("/metrics")).expect("the page for Prometheus is named");
    let (_, rest) = page.split_once("http://").expect("a URL");
    let address = rest.trim_end_matches("/metrics").parse().expect("an address");
    (demo, said, address)
}

#[test]
fn a_story_is_told_as_it_happens_and_its_state_is_gone_afterwards() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut demo, said, address) = drill("mass-reset", "600", directory.path());
    let files = || directory.path().read_dir().expect("it can be read").count();
    let told: Vec<_> = said
        .skip_while(|line| !line.contains("mass-reset: "))
        .take(6)
        .map(|line| line[9..].to_owned())
        .collect();
    assert_eq!(told, vec!["mass-reset: 5 users are reset"; 6]);
    let page = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_resets_total") >= 30.0);
    assert!(page.contains("zt_risk_exporter_state_durable 1"), "{page}");
    assert_eq!(files(), 1);
    demo.signal("INT");
    assert!(demo.end().0.success());
    assert_eq!(files(), 0);
}

#[test]
fn the_insider_has_been_watched_for_nearly_a_day_when_the_story_begins() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_demo, _said, address) = drill("insider", "60", directory.path());
    let high = r#"cloudflare_zt_risk_oldest_user_timestamp_seconds{account="demo",max_risk_level="high"} "#;
    let page = until(address, "/metrics", |answer| sum(answer, "cloudflare_zt_risk_up") > 0.0);
    let since =
        page.lines().find_map(|line| line.strip_prefix(high)).and_then(|date| date.parse::<f64>().ok());
    let watched = Clock::system().date().seconds() - since.expect("somebody is at high risk");
    // 23 h 50 min at speed 60, and however long this test took.
    assert!((1_430.0..1_430.0 + PATIENCE.as_secs_f64()).contains(&watched), "{watched} s");
}

#[test]
fn an_unknown_story_is_refused_with_the_known_ones() {
    for command in ["demo", "simulate"] {
        let output = program().args([command, "--story", "outrage"]).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let known = Story::ALL.map(Story::as_str).join(", ");
        assert!(said.contains("'outrage'") && said.contains(&known), "{said}");
    }
}

#[test]
fn a_check_of_a_good_account_says_so_and_of_a_poor_token_what_to_add() {
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
