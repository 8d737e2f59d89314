//! The real program as a process, with a home directory of its own, and a simulated Cloudflare.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use uuid::Uuid;
use zt_risk_exporter::clock::{Clock, Instant, Timestamp};

use zt_risk_exporter::simulator::{BehaviorSpec, Level, Scenario, Simulator};

use crate::program::{program, signal};

/// The accounts: id, alias and token. Each token belongs to a different user, and has a budget of its own.
pub(crate) const ACCOUNTS: [(&str, &str, &str); 2] = [
    ("0123456789abcdef0123456789abcdef", "first", "one"),
    ("fedcba9876543210fedcba9876543210", "second", "two"),
];

/// How many users of each account are in the baseline.
pub(crate) const USERS: u128 = 60;

/// The longest wait in a test.
const TEST_TIMEOUT: Duration = Duration::from_secs(150);

/// The metrics that must not fall over restarts.
const DURABLE: [&str; 7] = [
    "events_total{",
    "behavior_users_total{",
    "level_changes_total{",
    "resets_total{",
    "events_unattributed_total{",
    "event_observation_delay_seconds_",
    "time_to_reset_seconds_",
];

/// A simulated Cloudflare on a runtime of its own.
pub(crate) struct SimulatedApi {
    pub(crate) simulator: Simulator,
    pub(crate) clock: Clock,
    _runtime: tokio::runtime::Runtime,
}

impl SimulatedApi {
    /// Both accounts with [`USERS`] users each, and a rate limit that is never reached. Resets leave events listed, so every
    /// event can be read at any time.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with these further lines in the scenario of each account.
    pub(crate) fn start_with(of_account: &str) -> Self {
        let users: String = (1..=USERS)
            .map(|user| {
                let id = Uuid::from_u128(user);
                format!(
                    "      - {{ id: {id}, email: person.{user}@example.com, name: Somebody {user}, \
                     events: [{{ behavior: high_dlp, at: -1h }}] }}\n"
                )
            })
            .collect();
        let mut text = String::from("limit: { quota: 1000000 }\napi: { reset_events: listed }\naccounts:\n");
        for (id, ..) in ACCOUNTS {
            text += &format!("  - id: {id}\n{of_account}    users:\n{users}");
        }
        text += "tokens:\n";
        for (.., token) in ACCOUNTS {
            text += &format!(
                "  - {{ token: {token}, permissions: [Zero Trust Read, Zero Trust Write, 'Zero Trust: PII Read'] }}\n"
            );
        }
        let scenario = Scenario::from_yaml(&text).expect("a scenario");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let clock = Clock::system();
        let simulator = runtime.block_on(Simulator::start(scenario, clock.clone())).expect("a world");
        Self { simulator, clock, _runtime: runtime }
    }

    /// Adds an event of a user.
    pub(crate) fn event(&self, account: &str, user: Uuid, behavior: &str) {
        let appended = self.simulator.append_event(account, user, behavior, self.clock.date());
        appended.expect("the account is there");
    }

    /// Configures a behavior.
    pub(crate) fn behavior(&self, account: &str, id: &str, name: &str, risk_level: Level, enabled: bool) {
        let (id, name, description) = (id.to_owned(), name.to_owned(), String::new());
        let behavior = BehaviorSpec { id, name, description, enabled, risk_level };
        self.simulator.set_behavior(account, behavior).expect("the account is there");
    }

    /// The values that an account must publish once everything was counted: events by series, and resets.
    pub(crate) fn wanted(&self, alias: &str, scrape: &Scrape) -> Option<BTreeMap<String, f64>> {
        let (id, ..) = ACCOUNTS.into_iter().find(|(_, known, _)| *known == alias)?;
        let epoch = scrape.get(&format!("counting_since_timestamp_seconds{{account=\"{alias}\"}}"))?;
        let epoch = Timestamp::from_millis((epoch * 1000.0).round() as i64);
        let truth = self.simulator.totals_since(Some(epoch));
        assert_eq!(truth.forgotten, 0, "the simulator remembers everything");
        let account = truth.accounts.get(id)?;
        let mut wanted = BTreeMap::new();
        for (behavior, levels) in &account.events_by_behavior {
            for (level, count) in levels {
                let level = level.as_str();
                let series = format!(
                    "events_total{{account=\"{alias}\",behavior=\"{behavior}\",risk_level=\"{level}\"}}"
                );
                wanted.insert(series, *count as f64);
            }
        }
        wanted.insert(format!("resets_total{{account=\"{alias}\"}}"), account.resets as f64);
        Some(wanted)
    }

    /// Whether the published counts are exactly what happened, in both accounts.
    pub(crate) fn agrees(&self, scrape: &Scrape) -> bool {
        ACCOUNTS.into_iter().all(|(_, alias, _)| {
            let Some(wanted) = self.wanted(alias, scrape) else { return false };
            let of_events = wanted.iter().filter(|(series, _)| series.starts_with("events"));
            let happened: f64 = of_events.map(|(_, count)| count).sum();
            let counted = scrape.counted(alias);
            assert!(counted <= happened, "{counted} events counted of {happened} in {alias}: some twice");
            counted == happened && wanted.iter().all(|(series, value)| scrape.get(series) == Some(*value))
        })
    }
}

/// The directory of an exporter, with its configuration, state and logs.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// The home of an exporter for both accounts with this budget share.
    pub(crate) fn new(api: &SimulatedApi, share: f64) -> Self {
        let home = Self::empty();
        let mut text = format!(
            "cloudflare: {{ base_url: \"{}\" }}\nstate: {{ path: {} }}\nweb: {{ listen_address: \"127.0.0.1:0\" }}\n\
             intervals: {{ summary: 1s }}\naccounts:\n",
            api.simulator.base_url(),
            home.state().display(),
        );
        for (id, alias, token) in ACCOUNTS {
            text += &format!("  - {{ id: {id}, alias: {alias}, token: {token}, budget_share: {share} }}\n");
        }
        home.configure(&text);
        home
    }

    /// A home without a configuration.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("state")).expect("a folder");
        Self { folder }
    }

    /// Writes the configuration, as an editor does: the file is always whole.
    pub(crate) fn configure(&self, text: &str) {
        let new = self.folder.path().join("config.new");
        fs::write(&new, text).expect("the configuration can be written");
        fs::rename(&new, self.config()).expect("the same folder");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The state file.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state/state.redb")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// The bytes of the state file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(self.state()).expect("the state file is there")
    }

    /// Everything logged by the exporters of this home.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// An exporter in this home.
    pub(crate) fn start(&self) -> Exporter {
        let mut command = program();
        command.arg("--config.file").arg(self.config());
        self.spawn(&mut command)
    }

    /// Starts an exporter with this command. Its log is a pipe, so that limits on files do not affect it.
    pub(crate) fn spawn(&self, command: &mut Command) -> Exporter {
        self.spawn_with_output(command, Stdio::null())
    }

    /// The same, with this standard output.
    pub(crate) fn spawn_with_output(&self, command: &mut Command, output: Stdio) -> Exporter {
        let path = self.folder.path().join("log");
        let mut log = File::options().append(true).create(true).open(&path).expect("a log");
        let from = log.metadata().expect("it is open").len() as usize;
        let mut child = command.stdout(output).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut said = child.stderr.take().expect("it is a pipe");
        std::thread::spawn(move || io::copy(&mut said, &mut log));
        Exporter { child, log: path, from, address: None, clock: Clock::system() }
    }

    /// The output of the command `state` with these arguments.
    pub(crate) fn inspect(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.arg("state").args(arguments).arg("--state.path").arg(self.state());
        command.output().expect("the program runs")
    }
}

/// A running exporter, killed at the end of its test.
pub(crate) struct Exporter {
    child: Child,
    log: PathBuf,
    /// Where its part of the log starts.
    from: usize,
    address: Option<SocketAddr>,
    clock: Clock,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Exporter {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM, and returns the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal(self.id(), "TERM");
        self.end()
    }

    /// Waits for its end, and returns the exit status.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let since = self.clock.now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            pause(&self.clock, since, || "the exporter did not end".to_owned());
        }
    }

    /// Another way to send requests to it, which does not end it.
    pub(crate) fn client(&mut self) -> Client {
        self.until_logged("serving /metrics");
        Client(self.address().expect("it serves"))
    }

    /// What it has logged.
    pub(crate) fn logged(&self) -> String {
        let log = fs::read(&self.log).expect("a log");
        String::from_utf8_lossy(&log[self.from..]).into_owned()
    }

    /// Its address, once it serves.
    pub(crate) fn address(&mut self) -> Option<SocketAddr> {
        if self.address.is_none() {
            let log = self.logged();
            let (_, rest) = log.split_once("serving /metrics address=")?;
            let (address, _) = rest.split_once(' ')?;
            self.address = Some(address.parse().expect("an address"));
        }
        self.address
    }

    /// Sends a request to reload the configuration, and returns the status and the text of the answer.
    pub(crate) fn reload(&mut self) -> (u16, String) {
        self.client().reload().unwrap_or_else(|error| panic!("no answer: {error}\n{}", self.logged()))
    }

    /// Its metrics, if it serves them.
    pub(crate) fn scrape(&mut self) -> Option<Scrape> {
        let mut stream = TcpStream::connect(self.address()?).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = length.expect("pages say how long they are").parse() == Ok(body.len());
        whole.then(|| Scrape::read(body))
    }

    /// The first scrape for which `holds` is true.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let since = self.clock.now();
        loop {
            let scrape = self.scrape();
            match scrape {
                Some(scrape) if holds(&scrape) => return scrape,
                scrape => pause(&self.clock, since, || {
                    format!("{what}: did not come to pass\n{}\n{}", self.logged(), scrape.unwrap_or_default())
                }),
            }
        }
    }

    /// Waits for a line of its log with `part`.
    pub(crate) fn until_logged(&self, part: &str) {
        let since = self.clock.now();
        while !self.logged().contains(part) {
            pause(&self.clock, since, || format!("no line with {part} in\n{}", self.logged()));
        }
    }
}

/// Sends requests to an exporter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(SocketAddr);

impl Client {
    /// Sends a request to reload the configuration, and returns the status and the text of the answer. An error means that
    /// the exporter has ended.
    pub(crate) fn reload(&self) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.0)?;
        stream.write_all(
            b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        Ok((status, body.trim_end().to_owned()))
    }

    /// The content at a path.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.0)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(body.to_owned())
    }
}

/// Lets other processes run, at most until [`TEST_TIMEOUT`] is over.
pub(crate) fn pause(clock: &Clock, since: Instant, what: impl FnOnce() -> String) {
    assert!(clock.now().since(since) < TEST_TIMEOUT, "{}", what());
    std::thread::park_timeout(Duration::from_millis(10));
}

/// The samples of a scrape by series; the metrics about Cloudflare without their prefix.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

/// The series other than 0, one per line.
impl fmt::Display for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .filter(|(_, value)| **value != 0.0)
            .try_for_each(|(series, value)| writeln!(f, "{series} {value}"))
    }
}

impl Scrape {
    fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let series = series.strip_prefix("cloudflare_zt_risk_").unwrap_or(series);
            (series.to_owned(), value.parse().expect("a number"))
        };
        Self(samples.map(sample).collect())
    }

    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// Whether a series begins like this.
    pub(crate) fn has(&self, start: &str) -> bool {
        self.0.keys().any(|series| series.starts_with(start))
    }

    /// How many series begin like this.
    pub(crate) fn series(&self, start: &str) -> usize {
        self.0.keys().filter(|series| series.starts_with(start)).count()
    }

    /// All events counted in an account.
    pub(crate) fn counted(&self, alias: &str) -> f64 {
        let start = format!("events_total{{account=\"{alias}\"");
        self.0.iter().filter(|(series, _)| series.starts_with(&start)).map(|(_, value)| value).sum()
    }

    /// The sum over all series of a metric.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let start = format!("{name}{{");
        self.0.iter().filter(|(series, _)| series.starts_with(&start)).map(|(_, value)| value).sum()
    }

    /// How often this process read the list of users of each account.
    pub(crate) fn lists(&self) -> [f64; ACCOUNTS.len()] {
        ACCOUNTS.map(|(_, alias, _)| {
            let of_account = format!("account=\"{alias}\",resource=\"summary\",outcome=\"ok\"");
            self.get(&format!("zt_risk_exporter_requests_total{{{of_account}}}")).unwrap_or(0.0)
        })
    }

    /// Whether it has read each list at least three times more than on `earlier`.
    pub(crate) fn has_read_on(&self, earlier: &Self) -> bool {
        self.lists().iter().zip(earlier.lists()).all(|(now, before)| *now >= before + 3.0)
    }

    /// Whether events are counted in both accounts.
    pub(crate) fn counts(&self) -> bool {
        let started = |alias: &str| {
            let series = format!("resets_total{{account=\"{alias}\"}}");
            self.get(&series).is_some() && self.get(&format!("up{{account=\"{alias}\"}}")) == Some(1.0)
        };
        ACCOUNTS.into_iter().all(|(_, alias, _)| started(alias))
    }

    /// The samples that must neither fall nor disappear.
    pub(crate) fn durable(&self) -> impl Iterator<Item = (&str, f64)> {
        let is_durable = |series: &str| DURABLE.iter().any(|start| series.starts_with(start));
        self.0
            .iter()
            .map(|(series, value)| (series.as_str(), *value))
            .filter(move |(series, _)| is_durable(series))
    }

    /// Asserts that no durable sample is lower than in `earlier`, or missing.
    pub(crate) fn assert_not_behind(&self, earlier: &Self, what: &str) {
        for (series, before) in earlier.durable() {
            let now = self.get(series);
            assert!(now >= Some(before), "{what}: {series} was {before} and is {now:?}");
        }
    }
}
