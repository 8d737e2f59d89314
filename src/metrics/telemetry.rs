//! The metrics about this process: the part of `/metrics` that is written at each scrape.
//!
//! This must be cheap, because apart from sending the bytes it is all that a scrape costs. The request counters of an
//! account are encoded when they change. Metrics with a fixed set of labels are in a registry of the `prometheus` crate.
//! The `process_*` metrics are read from the kernel. Each metric is declared in [`super::families`].

mod accounts;
mod discovery;
mod durations;
mod feed;
mod incidents;
mod process;
mod web;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::families::exporter as f;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::Budget;
use crate::feed::hub::Feed;
use crate::http::{CloseReason, ConnectionStats};
use crate::metrics::encode::{Format, Writer};
use crate::metrics::exposition::repeated_series;
use crate::metrics::family::Family;
use crate::model::token_files::{TokenFileResult, TokenFiles};
use crate::model::{AccountName, Resource};
use crate::store::{Recovery, StoreStats};
use accounts::Accounts;
pub use accounts::BaselineState;
pub(crate) use accounts::{Activity, BudgetLevel};
use discovery::Discoveries;
pub(crate) use discovery::{DiscoveryOutcome, DiscoveryStatus};
use durations::Durations;
pub(crate) use incidents::Incident;
pub use incidents::{IncidentCause, IncidentSource};
use process::Process;
pub use web::Rejection;
use web::WebCounts;

/// Records what the process does. Clones share the same data.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    process: Process,
    accounts: Accounts,
    discoveries: Discoveries,
    durations: Durations,
    retries: IntCounterVec,
    config: Mutex<ConfigState>,
    token_files: Mutex<Option<Arc<TokenFiles>>>,
    exposition_size: IntGauge,
    exposition_build: Gauge,
    scrapes: IntCounterVec,
    state: Arc<StoreStats>,
    web: WebCounts,
    connections: Arc<ConnectionStats>,
    /// Returns the number of dropped log lines.
    dropped_log_lines: OnceLock<fn() -> u64>,
    feed: OnceLock<Feed>,
}

/// How the configuration was last read.
#[derive(Debug, Default)]
struct ConfigState {
    /// When the configuration that is in use was read.
    loaded: Option<Timestamp>,
    latest: Load,
}

/// How the latest attempt to read the configuration ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Load {
    #[default]
    Succeeded,
    Failed,
}

/// Where the counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In memory only, because no state file is configured.
    Memory,
    /// In the state file.
    Disk,
    /// In memory, because the state file cannot be written.
    Failing,
}

impl Durability {
    /// The word in the status document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Failing => "failing",
        }
    }
}

impl Telemetry {
    /// Telemetry without a state file. Counters whose labels are known exist from the start, at 0. `clock` is the clock of
    /// the budgets.
    pub fn new(clock: Clock) -> Self {
        Self::with_state(clock, Arc::default())
    }

    /// Like [`Telemetry::new`], with the statistics of a state file.
    pub fn with_state(clock: Clock, state: Arc<StoreStats>) -> Self {
        let registry = Registry::new();
        let build_info = IntGaugeVec::new(options(&f::BUILD_INFO), &f::BUILD_INFO.labels);
        registered(&registry, build_info).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let exposition_build = Gauge::with_opts(options(&f::EXPOSITION_BUILD));
        let inner = Inner {
            process: Process::new(),
            accounts: Accounts::new(clock),
            discoveries: Discoveries::default(),
            durations: Durations::new(),
            retries: counters(&registry, &f::RETRIES),
            config: Mutex::default(),
            token_files: Mutex::default(),
            exposition_size: gauge(&registry, &f::EXPOSITION_SIZE),
            exposition_build: registered(&registry, exposition_build),
            scrapes: counters(&registry, &f::SCRAPES),
            state,
            web: WebCounts::new(),
            connections: Arc::default(),
            dropped_log_lines: OnceLock::new(),
            feed: OnceLock::new(),
            registry,
        };
        for resource in Resource::ALL {
            inner.retries.with_label_values(&[resource.as_str()]);
        }
        for format in Format::ALL {
            inner.scrapes.with_label_values(&[format.as_str()]);
        }
        Self { inner: Arc::new(inner) }
    }

    /// These are the accounts from now on, each with the budget of its credential. Those that stay keep their counters.
    /// All other methods take the account's id, and record nothing about other accounts.
    pub fn accounts(&self, accounts: impl IntoIterator<Item = (AccountName, Budget)>) {
        self.inner.accounts.set(accounts);
    }

    /// A configuration was read and is in use.
    pub fn config_loaded(&self, date: Timestamp) {
        *self.inner.config() = ConfigState { loaded: Some(date), latest: Load::Succeeded };
    }

    /// The configuration was read again and cannot be used, so the earlier one stays in use.
    pub fn config_refused(&self) {
        self.inner.config().latest = Load::Failed;
    }

    /// What is in the directory of tokens from now on; `None` without one.
    pub(crate) fn token_files(&self, files: Option<Arc<TokenFiles>>) {
        *self.inner.token_files() = files;
    }

    /// What is in the directory of tokens, for the status document.
    pub(crate) fn known_token_files(&self) -> Option<Arc<TokenFiles>> {
        self.inner.token_files().clone()
    }

    /// These are the tokens whose accounts are found from now on, by their labels. Those that stay keep their counters.
    pub fn discoveries(&self, labels: impl IntoIterator<Item = String>) {
        self.inner.discoveries.set(labels);
    }

    /// The list of a token's accounts was read, or could not be read because of `problem`.
    pub(crate) fn discovery_read(
        &self,
        label: &str,
        outcome: DiscoveryOutcome,
        problem: Option<String>,
        date: Timestamp,
    ) {
        self.inner.discoveries.read(label, outcome, problem, date);
    }

    /// How many accounts of a token are watched, and the aliases of those without user risk scoring.
    pub(crate) fn discovered(&self, label: &str, watched: usize, not_entitled: Vec<String>) {
        self.inner.discoveries.found(label, watched, not_entitled);
    }

    /// The tokens whose accounts are found, by their labels, for the status document.
    pub(crate) fn known_discoveries(&self) -> std::collections::BTreeMap<String, DiscoveryStatus> {
        self.inner.discoveries.all()
    }

    /// A request that belongs to no account ended `took` after it was sent.
    pub(crate) fn request_of_no_account(&self, resource: Resource, took: Duration) {
        self.inner.durations.observe(resource, took);
    }

    /// A request ended `took` after it was sent.
    pub fn request(&self, account: &str, resource: Resource, outcome: Outcome, took: Duration) {
        self.inner.accounts.request(account, resource, outcome);
        self.inner.durations.observe(resource, took);
    }

    /// A request is sent again after a failure.
    pub fn retried(&self, resource: Resource) {
        self.inner.retries.with_label_values(&[resource.as_str()]).inc();
    }

    /// The effective polling interval of a resource.
    pub fn poll_interval(&self, account: &str, resource: Resource, interval: Duration) {
        self.inner.accounts.poll_interval(account, resource, interval);
    }

    /// When the account's token expires; `None` if it does not expire or if that is unknown.
    pub fn token_expiry(&self, account: &str, expiry: Option<Timestamp>) {
        self.inner.accounts.token_expiry(account, expiry);
    }

    /// Shows the number of dropped log lines that `count` returns; it is 0 without this.
    pub fn observe_log(&self, count: fn() -> u64) {
        // If it is set already, it is the same function.
        let _ = self.inner.dropped_log_lines.set(count);
    }

    /// Shows what became of the records of this feed.
    pub(crate) fn observe_feed(&self, feed: Feed) {
        // If it is set already, it is the same feed.
        let _ = self.inner.feed.set(feed);
    }

    /// Something could not be read, or not completely; `message` says why.
    pub fn incident(
        &self,
        account: &str,
        source: impl Into<IncidentSource>,
        cause: IncidentCause,
        message: &str,
        date: Timestamp,
    ) {
        self.inner.accounts.incident(account, source.into(), cause, message, date);
    }

    /// It could be read completely again.
    pub fn incident_over(&self, account: &str, source: impl Into<IncidentSource>, date: Timestamp) {
        self.inner.accounts.incident_over(account, source.into(), date);
    }

    /// The configuration was read, and with it the account's baseline.
    pub fn baseline(&self, account: &str, state: BaselineState<'_>, date: Timestamp) {
        self.inner.accounts.baseline(account, state, date);
    }

    /// Intervals, token expiry and incidents of an account, for the status document.
    pub fn activity(&self, account: &str) -> Activity {
        self.inner.accounts.activity(account)
    }

    /// The state of the account's budget now.
    pub fn budget(&self, account: &str) -> Option<BudgetLevel> {
        self.inner.accounts.budget(account)
    }

    /// Where the counts are kept now, and the size of the state file in bytes.
    pub fn durability(&self) -> (Durability, u64) {
        let state = &self.inner.state;
        let durability = match state.is_durable() {
            true => Durability::Disk,
            false if Recovery::ALL.iter().any(|recovery| state.recoveries(*recovery) > 0) => {
                Durability::Failing
            }
            false => Durability::Memory,
        };
        (durability, state.size())
    }

    /// The cached part of `/metrics` was built; it has `bytes`, uncompressed.
    pub fn exposition_built(&self, bytes: usize, took: Duration) {
        self.inner.exposition_size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.inner.exposition_build.set(took.as_secs_f64());
    }

    /// A scrape is answered.
    pub fn scraped(&self, format: Format) {
        self.inner.scrapes.with_label_values(&[format.as_str()]).inc();
    }

    /// A request was refused before it was routed.
    pub(crate) fn web_rejected(&self, reason: Rejection) {
        self.inner.web.rejected(reason);
    }

    /// A client that began a TLS handshake did not finish it.
    pub(crate) fn tls_handshake_failed(&self) {
        self.inner.web.handshake_failed();
    }

    /// When the certificate that the server presents now expires.
    pub fn web_certificate(&self, end: Timestamp) {
        self.inner.web.certificate_ends(end);
    }

    /// Where the server counts its connections.
    pub fn connections(&self) -> Arc<ConnectionStats> {
        Arc::clone(&self.inner.connections)
    }

    /// All metrics about this process, as the last part of the exposition.
    pub fn render(&self, format: Format) -> String {
        // Most of an account's part are its 55 request counters of about 100 bytes each.
        let capacity = 16 * 1024 + 6 * 1024 * self.inner.accounts.count();
        let mut writer = Writer::new(format, capacity);
        writer.gathered(&self.inner.registry.gather());
        self.inner.write_connections(&mut writer);
        self.inner.write_state(&mut writer);
        if let Some(feed) = self.inner.feed.get() {
            feed::write(feed, &mut writer);
        }
        self.inner.web.write(&mut writer);
        let dropped = self.inner.dropped_log_lines.get().map_or(0, |count| count());
        writer.family(&f::LOG_LINES_DROPPED).put([], dropped);
        self.inner.write_config(&mut writer);
        self.inner.write_token_files(&mut writer);
        self.inner.discoveries.write(&mut writer);
        self.inner.durations.write(&mut writer);
        self.inner.accounts.write(&mut writer);
        self.inner.process.write(&mut writer);
        let text = writer.last_part();
        debug_assert_eq!(repeated_series(&text), None, "a series occurs twice");
        text
    }
}

impl Inner {
    fn config(&self) -> MutexGuard<'_, ConfigState> {
        // Each change is one assignment, so a panic elsewhere did not damage it.
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token_files(&self) -> MutexGuard<'_, Option<Arc<TokenFiles>>> {
        // Each change is one assignment here too.
        self.token_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_token_files(&self, writer: &mut Writer) {
        let mut out = writer.family(&f::TOKEN_FILES);
        if let Some(files) = self.token_files().as_deref() {
            for result in TokenFileResult::ALL {
                out.put([result.as_str()], files.count(result) as u64);
            }
        }
    }

    fn write_config(&self, writer: &mut Writer) {
        let ConfigState { loaded, latest } = *self.config();
        let is_latest = latest == Load::Succeeded && self.accounts.have_latest_credentials();
        writer.family(&f::CONFIG_RELOADED).put([], u64::from(is_latest));
        let mut out = writer.family(&f::CONFIG_RELOAD_TIME);
        if let Some(loaded) = loaded {
            out.put([], loaded);
        }
    }

    fn write_connections(&self, writer: &mut Writer) {
        let connections = &self.connections;
        writer.family(&f::WEB_CONNECTIONS).put([], connections.open());
        let mut out = writer.family(&f::WEB_CONNECTIONS_CLOSED);
        for reason in CloseReason::ALL {
            out.put([reason.as_str()], connections.closed(reason));
        }
        writer.family(&f::WEB_UNSENT_BYTES).put([], connections.unsent_bytes());
    }

    fn write_state(&self, writer: &mut Writer) {
        let state = &self.state;
        writer.family(&f::STATE_DURABLE).put([], u64::from(state.is_durable()));
        writer.family(&f::STATE_SIZE).put([], state.size());
        let mut out = writer.family(&f::STATE_COMMITS);
        out.put(["ok"], state.commits());
        out.put(["failed"], state.failures());
        let mut out = writer.family(&f::STATE_RECOVERIES);
        for recovery in Recovery::ALL {
            out.put([recovery.as_str()], state.recoveries(recovery));
        }
    }
}

fn options<const N: usize>(family: &Family<N>) -> Opts {
    Opts::new(family.name, family.help)
}

fn counters(registry: &Registry, family: &Family<1>) -> IntCounterVec {
    registered(registry, IntCounterVec::new(options(family), &family.labels))
}

fn gauge(registry: &Registry, family: &Family<0>) -> IntGauge {
    registered(registry, IntGauge::with_opts(options(family)))
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("the names in `families` are valid");
    registry.register(Box::new(metric.clone())).expect("each name occurs once in `families`");
    metric
}
