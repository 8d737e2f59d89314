//! What this process did itself, and what it may still do: the part of `/metrics` made at each scrape.
//!
//! It has to be cheap, because it is all that a scrape costs beside sending the page. So what belongs to an
//! account is kept with the account, its lines written when they change; a registry of our own (`prometheus`
//! crate) has counters and gauges of which there are always as many; and the kernel is asked. Each metric is declared in [`families`].

mod accounts;
mod durations;
mod incidents;
mod process;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::families::exporter as f;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::Budget;
use crate::metrics::encode::{Family, Format, Writer};
use crate::model::Resource;
use crate::store::{Recovery, StoreStats};
use accounts::Accounts;
pub(crate) use accounts::{Activity, BudgetLevel};
use durations::Durations;
pub use incidents::Cause;
pub(crate) use incidents::Incident;
use process::Process;

/// Where everything is recorded; cloned handles record in the same place.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    process: Process,
    accounts: Accounts,
    durations: Durations,
    retries: IntCounterVec,
    page_size: IntGauge,
    page_build: Gauge,
    scrapes: IntCounterVec,
    state: Arc<StoreStats>,
}

/// Where the counts are that a restart must not lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In memory only, as configured.
    Memory,
    /// On disk.
    Disk,
    /// In memory, because the file cannot be written.
    Failing,
}

impl Durability {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Failing => "failing",
        }
    }
}

impl Telemetry {
    /// Nothing recorded yet, and no state; counters whose labels are known are there, at 0. `clock` is the
    /// budgets' clock.
    pub fn new(clock: Clock) -> Self {
        Self::with_state(clock, Arc::default())
    }

    /// As [`Telemetry::new`], telling of a state file too.
    pub fn with_state(clock: Clock, state: Arc<StoreStats>) -> Self {
        let registry = Registry::new();
        let build_info = IntGaugeVec::new(options(&f::BUILD_INFO), &f::BUILD_INFO.labels);
        registered(&registry, build_info).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        gauge(&registry, &f::CONFIG_RELOADED).set(1);
        let page_build = Gauge::with_opts(options(&f::PAGE_BUILD));
        let inner = Inner {
            process: Process::new(),
            accounts: Accounts::new(clock),
            durations: Durations::new(),
            retries: counters(&registry, &f::RETRIES),
            page_size: gauge(&registry, &f::PAGE_SIZE),
            page_build: registered(&registry, page_build),
            scrapes: counters(&registry, &f::SCRAPES),
            state,
            registry,
        };
        for endpoint in Resource::ALL {
            inner.retries.with_label_values(&[endpoint.as_str()]);
        }
        for format in Format::ALL {
            inner.scrapes.with_label_values(&[format.as_str()]);
        }
        Self { inner: Arc::new(inner) }
    }

    /// Makes an account known by its alias, with the budget of its credential.
    pub fn account(&self, account: &str, budget: Budget) {
        self.inner.accounts.known(account, budget);
    }

    /// A request ended, `took` after it was sent.
    pub fn request(&self, account: &str, endpoint: Resource, outcome: Outcome, took: Duration) {
        self.inner.accounts.request(account, endpoint, outcome);
        self.inner.durations.observe(endpoint, took);
    }

    /// A request is sent once more.
    pub fn retried(&self, endpoint: Resource) {
        self.inner.retries.with_label_values(&[endpoint.as_str()]).inc();
    }

    /// How often an endpoint is really read.
    pub fn poll_interval(&self, account: &str, endpoint: Resource, interval: Duration) {
        self.inner.accounts.poll_interval(account, endpoint, interval);
    }

    /// When the account's token expires, if it does and that is known.
    pub fn token_expiry(&self, account: &str, expiry: Option<Timestamp>) {
        self.inner.accounts.token_expiry(account, expiry);
    }

    /// An endpoint could not be read, or not whole; `sentence` says why.
    pub fn trouble(&self, account: &str, endpoint: Resource, cause: Cause, sentence: &str, date: Timestamp) {
        self.inner.accounts.trouble(account, endpoint, cause, sentence, date);
    }

    /// The trouble with an endpoint is over.
    pub fn trouble_over(&self, account: &str, endpoint: Resource, date: Timestamp) {
        self.inner.accounts.trouble_over(account, endpoint, date);
    }

    /// What was done for an account, for people.
    pub fn activity(&self, account: &str) -> Activity {
        self.inner.accounts.activity(account)
    }

    /// What the account's budget looks like now.
    pub fn budget(&self, account: &str) -> Option<BudgetLevel> {
        self.inner.accounts.budget(account)
    }

    /// Where the counts are now, and how many bytes they take on disk.
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

    /// A page was made, of `bytes` in text format.
    pub fn page_built(&self, bytes: usize, took: Duration) {
        self.inner.page_size.set(whole(bytes as u64));
        self.inner.page_build.set(took.as_secs_f64());
    }

    /// A page was handed out.
    pub fn scraped(&self, format: Format) {
        self.inner.scrapes.with_label_values(&[format.as_str()]).inc();
    }

    /// Everything recorded, as the last part of a page.
    pub fn render(&self, format: Format) -> String {
        // What an account takes is mostly its 55 lines of requests, of about 100 bytes.
        let capacity = 16 * 1024 + 6 * 1024 * self.inner.accounts.count();
        let mut writer = Writer::new(format, capacity);
        writer.gathered(&self.inner.registry.gather());
        self.inner.write_state(&mut writer);
        self.inner.durations.write(&mut writer);
        self.inner.accounts.write(&mut writer);
        self.inner.process.write(&mut writer);
        writer.last_part()
    }
}

impl Inner {
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
    registry.register(Box::new(metric.clone())).expect("each name stands once in `families`");
    metric
}

/// A gauge of the `prometheus` crate holds no more.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
