//! The exporter and the simulator on one clock, connected by HTTP.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::internals::app::logging::{self, Colour};
use zt_risk_exporter::internals::app::{Error, Exporter, Tuning};
use zt_risk_exporter::internals::config::{Config, Flags};
use zt_risk_exporter::simulator::{Fault, FaultRule, Scenario, Simulator};

/// The account of scenarios that name no other.
pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// After this real time without the expected result a test fails.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What to start.
pub(crate) struct Setup<'a> {
    /// The simulated world.
    pub(crate) scenario: Scenario,
    /// The exporter's configuration without the base URL. Without accounts it polls [`ACCOUNT`].
    pub(crate) config: &'a str,
    /// The speed of the clock, relative to real time.
    pub(crate) speed: f64,
    /// The exporter's timeouts.
    pub(crate) tuning: Tuning,
}

/// A running simulator and a running exporter.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) clock: Clock,
    address: std::net::SocketAddr,
    alias: String,
    config: Arc<Config>,
    tuning: Tuning,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), Error>>>,
    _folder: tempfile::TempDir,
}

/// The samples of one scrape, by series as in the exposition.
#[derive(Debug, Default)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// The value of a series about Cloudflare, such as `users{max_risk_level="high"}`. The label `account` is
    /// added.
    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let start = format!("cloudflare_zt_risk_{name}{{account=");
        self.0
            .iter()
            .find(|(key, _)| key.starts_with(&start) && ends_with_labels(key, labels))
            .map(|(_, value)| *value)
    }

    /// The value of a series about one of several accounts.
    pub(crate) fn get_of(&self, account: &str, series: &str) -> Option<f64> {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let comma = if labels == "}" { "" } else { "," };
        self.0.get(&format!("cloudflare_zt_risk_{name}{{account=\"{account}\"{comma}{labels}")).copied()
    }

    /// The sum of all series of a metric about one of several accounts.
    pub(crate) fn sum_of(&self, account: &str, name: &str) -> f64 {
        self.sum(&format!("{name}{{account=\"{account}\""))
    }

    /// All series of a metric about one of several accounts: the labels after `account`, and the value.
    pub(crate) fn series_of(&self, account: &str, name: &str) -> Vec<(&str, f64)> {
        let start = format!("cloudflare_zt_risk_{name}{{account=\"{account}\"");
        self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(&start)?, *value))).collect()
    }

    /// The value of a series of the exporter's own metrics, with or without the label `account`.
    pub(crate) fn own(&self, series: &str) -> Option<f64> {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let start = format!("zt_risk_exporter_{name}");
        let is_named =
            |key: &str| key.strip_prefix(&start).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        self.0.iter().find(|(key, _)| is_named(key) && ends_with_labels(key, labels)).map(|(_, value)| *value)
    }

    /// The sum of all series of the exporter's own metrics that begin like this.
    pub(crate) fn own_sum(&self, start: &str) -> f64 {
        let start = format!("zt_risk_exporter_{start}");
        self.0.iter().filter(|(key, _)| key.starts_with(&start)).map(|(_, value)| value).sum()
    }

    /// The sum of all series of a metric about Cloudflare.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let brace = if name.contains('{') { "" } else { "{" };
        let start = format!("cloudflare_zt_risk_{name}{brace}");
        self.0.iter().filter(|(key, _)| key.starts_with(&start)).map(|(_, value)| value).sum()
    }

    /// Whether any series about Cloudflare begins like this.
    pub(crate) fn has(&self, start: &str) -> bool {
        let start = format!("cloudflare_zt_risk_{start}");
        self.0.keys().any(|key| key.starts_with(&start))
    }
}

fn ends_with_labels(key: &str, labels: &str) -> bool {
    labels == "}" || key.ends_with(&format!(",{labels}"))
}

impl Rig {
    /// Starts both. `alias` is the account's label; it also separates the log lines from those of other tests.
    pub(crate) async fn start(alias: &str, setup: Setup<'_>) -> Self {
        // A date far from today, so that code that reads the system clock fails.
        let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), setup.speed);
        let simulator = Simulator::start(setup.scenario, clock.clone()).await.expect("a valid scenario");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = configure(&folder, alias, setup.config, &simulator.base_url());
        capture_logs(&config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (alias, tuning) = (alias.to_owned(), setup.tuning);
        let mut rig = Self {
            simulator,
            clock,
            address,
            alias,
            config: Arc::new(config),
            tuning,
            stop: None,
            running: None,
            _folder: folder,
        };
        rig.launch(listener);
        rig
    }

    fn launch(&mut self, listener: TcpListener) {
        let exporter =
            Exporter::new(Arc::clone(&self.config), &self.clock, &self.tuning).expect("an exporter");
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(exporter.run(listener, async {
            // If a test ends early, the other end is dropped, which stops the exporter too.
            let _ = stopped.await;
        }));
        (self.stop, self.running) = (Some(stop), Some(running));
    }

    /// Stops the exporter, and starts it again with the same configuration and state.
    pub(crate) async fn restart(&mut self) {
        self.end().await.expect("a clean end");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.address = listener.local_addr().expect("its address");
        self.launch(listener);
    }

    /// The status and the body of a response.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("the exporter listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request goes out");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer in UTF-8");
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (status, body.to_owned())
    }

    /// Scrapes `/metrics`. Panics if a series is repeated, because other tools then reject the whole scrape.
    pub(crate) async fn scrape(&self) -> Scrape {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let mut scrape = Scrape::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let repeated = scrape.0.insert(series.to_owned(), value.parse().expect("a number"));
            assert_eq!(repeated, None, "a repeated series: {series}");
        }
        scrape
    }

    /// Scrapes until `holds` is true, and returns that scrape. Panics with `what` after a timeout.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        let wait = async {
            loop {
                poll.tick().await;
                let scrape = self.scrape().await;
                if holds(&scrape) {
                    return scrape;
                }
            }
        };
        match tokio::time::timeout(TIMEOUT, wait).await {
            Ok(scrape) => scrape,
            Err(_) => {
                panic!("{what}: did not happen\n{}\n{:#?}", self.logs().join("\n"), self.scrape().await)
            }
        }
    }

    /// Waits for a log line of the account that contains all `parts`.
    pub(crate) async fn until_logged(&self, parts: &[&str]) {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        let wait = async {
            while !self.logs().iter().any(|line| parts.iter().all(|part| line.contains(part))) {
                poll.tick().await;
            }
        };
        if tokio::time::timeout(TIMEOUT, wait).await.is_err() {
            panic!("no log line with {parts:?} among\n{}", self.logs().join("\n"));
        }
    }

    /// Waits until the status document contains `text`.
    pub(crate) async fn until_status(&self, text: &str) {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        let wait = async {
            while !self.get("/api/v1/status").await.1.contains(text) {
                poll.tick().await;
            }
        };
        if tokio::time::timeout(TIMEOUT, wait).await.is_err() {
            panic!("no {text:?} in {}", self.get("/api/v1/status").await.1);
        }
    }

    /// Adds a fault rule.
    pub(crate) fn inject(&self, rule: FaultRule) {
        self.simulator.inject(rule);
    }

    /// The account's log lines so far.
    pub(crate) fn logs(&self) -> Vec<String> {
        let marked = format!("account=\"{}\"", self.alias);
        let lines = log_lines().lock().expect("no test panics while it logs");
        lines.split('\n').filter(|line| line.contains(&marked)).map(str::to_owned).collect()
    }

    /// Drops the log lines that contain one of these texts, so that those of thousands of rigs need little memory.
    pub(crate) fn forget_logs(&self, texts: &[&str]) {
        let mut lines = log_lines().lock().expect("no test panics while it logs");
        let is_kept = |line: &&str| !texts.iter().any(|text| line.contains(text));
        *lines = lines.split_inclusive('\n').filter(is_kept).collect();
    }

    /// Stops the exporter, and returns its result.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), Error> {
        drop(self.stop.take());
        self.running.take().expect("it was not stopped before").await.expect("no panic")
    }
}

/// A fault rule for the summary of all accounts.
pub(crate) fn on_summary(fault: Fault) -> FaultRule {
    FaultRule::at(zt_risk_exporter::simulator::Endpoint::Summary, fault)
}

fn configure(folder: &tempfile::TempDir, alias: &str, text: &str, base_url: &str) -> Config {
    let accounts = if text.contains("accounts:") {
        String::new()
    } else {
        format!("accounts: [{{ id: {ACCOUNT}, alias: {alias}, token: good }}]\n")
    };
    let path = folder.path().join("config.yaml");
    let text =
        format!("{accounts}{text}\ncloudflare: {{ base_url: \"{base_url}\" }}\nlog: {{ level: info }}\n");
    std::fs::write(&path, text).expect("a file can be written");
    let flags = Flags { config_file: Some(PathBuf::from(&path)), ..Flags::default() };
    Config::load(&flags, []).unwrap_or_else(|error| panic!("{error}"))
}

/// All log lines of the test process.
fn log_lines() -> &'static Arc<Mutex<String>> {
    static LINES: OnceLock<Arc<Mutex<String>>> = OnceLock::new();
    LINES.get_or_init(Arc::default)
}

/// Appends to the shared log.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = log_lines().lock().expect("no test panics while it logs");
        lines.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn capture_logs(config: &Config) {
    // A test process has one subscriber. Later tests use the first one.
    let _ = tracing::subscriber::set_global_default(logging::subscriber(&config.log, Colour::Off, || Lines));
}
