//! What this process did itself, and what it may still do: the part of `/metrics` made at each scrape.
//!
//! It has to be cheap, because it is all that a scrape costs beside sending the page. So what belongs to an
//! account is kept in [`accounts`], its lines written when they change; a registry of its own (`prometheus`
//! crate) has the rest, whose size is fixed; and the kernel is asked. Each metric is declared in [`families`].

mod accounts;
pub mod families;
mod process;
mod results;

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::budget::Budget;
use crate::clock::{Clock, Timestamp};
use crate::exposition::text::{Family, Format, Writer};
use crate::model::Endpoint;
use accounts::Accounts;
use families as f;
use process::Process;
pub use results::{Commit, Durability, Outcome, Recovery, Reload};

/// The endpoints that are asked again and again; their counters are there from the start.
const POLLED: [Endpoint; 5] = [
    Endpoint::Summary,
    Endpoint::User,
    Endpoint::Behaviors,
    Endpoint::Integrations,
    Endpoint::TokenVerify,
];

/// In seconds. Is Cloudflare slower than usual (1, 2, 5)? Would a time-out of 10 or 30 seconds have struck?
/// Does a summary come near the minute, or the five minutes at which it is given up?
const DURATION_BUCKETS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

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
    request_duration: HistogramVec,
    retries: IntCounterVec,
    page_size: IntGauge,
    page_build: Gauge,
    scrapes: IntCounterVec,
    state_durable: IntGauge,
    state_size: IntGauge,
    state_commits: IntCounterVec,
    state_recoveries: IntCounterVec,
    config_reloaded: IntGauge,
}

impl Telemetry {
    /// Nothing recorded yet; counters whose labels are known are there, at 0. `clock` is the budgets' clock.
    pub fn new(clock: Clock) -> Self {
        let registry = Registry::new();
        let durations = HistogramOpts::new(f::REQUEST_DURATION.name, f::REQUEST_DURATION.help)
            .buckets(DURATION_BUCKETS.to_vec());
        let build_info = registered(
            &registry,
            IntGaugeVec::new(options(&f::BUILD_INFO), &f::BUILD_INFO.labels),
        );
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let inner = Inner {
            request_duration: registered(
                &registry,
                HistogramVec::new(durations, &f::REQUEST_DURATION.labels),
            ),
            retries: registered(
                &registry,
                IntCounterVec::new(options(&f::RETRIES), &f::RETRIES.labels),
            ),
            page_size: registered(&registry, IntGauge::with_opts(options(&f::PAGE_SIZE))),
            page_build: registered(&registry, Gauge::with_opts(options(&f::PAGE_BUILD))),
            scrapes: registered(
                &registry,
                IntCounterVec::new(options(&f::SCRAPES), &f::SCRAPES.labels),
            ),
            state_durable: registered(&registry, IntGauge::with_opts(options(&f::STATE_DURABLE))),
            state_size: registered(&registry, IntGauge::with_opts(options(&f::STATE_SIZE))),
            state_commits: registered(
                &registry,
                IntCounterVec::new(options(&f::STATE_COMMITS), &f::STATE_COMMITS.labels),
            ),
            state_recoveries: registered(
                &registry,
                IntCounterVec::new(options(&f::STATE_RECOVERIES), &f::STATE_RECOVERIES.labels),
            ),
            config_reloaded: registered(&registry, IntGauge::with_opts(options(&f::CONFIG_RELOADED))),
            process: Process::new(),
            accounts: Accounts::new(clock),
            registry,
        };
        for endpoint in POLLED {
            inner.request_duration.with_label_values(&[endpoint.as_str()]);
            inner.retries.with_label_values(&[endpoint.as_str()]);
        }
        for format in Format::ALL {
            inner.scrapes.with_label_values(&[format.as_str()]);
        }
        for result in Commit::ALL {
            inner.state_commits.with_label_values(&[result.as_str()]);
        }
        for result in Recovery::ALL {
            inner.state_recoveries.with_label_values(&[result.as_str()]);
        }
        inner.config_reloaded.set(1);
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes an account known by its alias, with the budget of its credential.
    pub fn account(&self, account: &str, budget: Budget) {
        self.inner.accounts.known(account, budget);
    }

    /// A request ended, `took` after it was sent.
    pub fn request(&self, account: &str, endpoint: Endpoint, outcome: Outcome, took: Duration) {
        self.inner.accounts.request(account, endpoint, outcome);
        self.inner
            .request_duration
            .with_label_values(&[endpoint.as_str()])
            .observe(took.as_secs_f64());
    }

    /// A request is sent once more.
    pub fn retried(&self, endpoint: Endpoint) {
        self.inner.retries.with_label_values(&[endpoint.as_str()]).inc();
    }

    /// How often an endpoint is really read.
    pub fn poll_interval(&self, account: &str, endpoint: Endpoint, interval: Duration) {
        self.inner.accounts.poll_interval(account, endpoint, interval);
    }

    /// When the account's token expires, if it does and that is known.
    pub fn token_expiry(&self, account: &str, expiry: Option<Timestamp>) {
        self.inner.accounts.token_expiry(account, expiry);
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

    /// Where the state is kept.
    pub fn state_durable(&self, durability: Durability) {
        self.inner
            .state_durable
            .set(i64::from(durability == Durability::Disk));
    }

    /// How large the state is on disk.
    pub fn state_size(&self, bytes: u64) {
        self.inner.state_size.set(whole(bytes));
    }

    /// The state was written, or not.
    pub fn state_committed(&self, result: Commit) {
        self.inner
            .state_commits
            .with_label_values(&[result.as_str()])
            .inc();
    }

    /// The state was restored, or not.
    pub fn state_recovered(&self, result: Recovery) {
        self.inner
            .state_recoveries
            .with_label_values(&[result.as_str()])
            .inc();
    }

    /// The configuration was read again.
    pub fn config_reloaded(&self, result: Reload) {
        self.inner.config_reloaded.set(i64::from(result == Reload::Ok));
    }

    /// Everything recorded, as the last part of a page.
    pub fn render(&self, format: Format) -> String {
        // What an account takes is mostly its 55 lines of requests, of about 100 bytes.
        let capacity = 16 * 1024 + 6 * 1024 * self.inner.accounts.count();
        let mut writer = Writer::new(format, capacity);
        writer.gathered(&self.inner.registry.gather());
        self.inner.accounts.write(&mut writer);
        self.inner.process.write(&mut writer);
        writer.last_part()
    }
}

fn options<const N: usize>(family: &Family<N>) -> Opts {
    Opts::new(family.name, family.help)
}

fn registered<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("the names in `families` are valid");
    registry
        .register(Box::new(metric.clone()))
        .expect("each name stands once in `families`");
    metric
}

/// A gauge of the `prometheus` crate holds no more.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
