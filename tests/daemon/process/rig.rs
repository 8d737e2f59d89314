//! The program as a process, and requests to it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use zt_risk_exporter::clock::{Clock, Instant};
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, Scenario, Simulator};

use crate::program::{program, signal};

/// A test fails if it waits longer than this for a process; nothing here should take seconds.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// A running program, killed at the end of its test.
pub(super) struct Program {
    pub(super) child: Child,
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
    pub(super) fn start(command: &mut Command) -> Self {
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        Self { child, clock: Clock::system() }
    }

    pub(super) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().expect("it is taken once"))
    }

    /// The first line of the log with `part`.
    pub(super) fn line(log: &mut BufReader<ChildStderr>, part: &str) -> String {
        let mut lines = log.by_ref().lines().map(|line| line.expect("text"));
        lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line with {part}"))
    }

    /// Reads the log to its end, so that the program never waits for a reader.
    pub(super) fn drained_log(&mut self) -> JoinHandle<io::Result<u64>> {
        let mut log = self.log();
        std::thread::spawn(move || io::copy(&mut log, &mut io::sink()))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the end, and returns how it ended and how long that took.
    pub(super) fn end(&mut self) -> (ExitStatus, Duration) {
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
pub(super) fn exporter(upstream: &str, token: &str) -> Command {
    let mut command = program();
    command
        .args(["--web.listen-address", "127.0.0.1:0"])
        .env("CLOUDFLARE_BASE_URL", upstream)
        .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", token);
    command
}

/// The same, running against the simulator.
pub(super) fn serve(simulator: &Simulator, token: &str) -> Program {
    Program::start(&mut exporter(&simulator.base_url(), token))
}

/// The address in a log line such as `serving /metrics address=127.0.0.1:1234`.
pub(super) fn address(log: &mut BufReader<ChildStderr>) -> SocketAddr {
    let line = Program::line(log, "serving /metrics");
    let (_, rest) = line.split_once("address=").expect("an address");
    rest.split(' ').next().and_then(|text| text.parse().ok()).expect("an address")
}

pub(super) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("a request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Repeats the request until `holds` is true for the answer.
pub(super) fn until(address: SocketAddr, path: &str, holds: impl Fn(&str) -> bool) -> String {
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
pub(super) fn sum(metrics: &str, family: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

pub(super) fn simulator(scenario: Scenario) -> (tokio::runtime::Runtime, Simulator) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let simulator = runtime.block_on(Simulator::start(scenario, Clock::system())).expect("a world");
    (runtime, simulator)
}
