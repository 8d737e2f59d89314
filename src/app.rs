//! The one file that knows every part: bind, wire, run, stop.

mod client;
mod demo;
pub(crate) mod demo_state;
pub(crate) mod liveness;
pub(crate) mod logging;
pub(crate) mod signals;
pub(crate) mod systemd;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use crate::app::liveness::Liveness;
use crate::app::signals::stop_signal;
use crate::clock::Clock;
use crate::cloudflare::limit::WINDOW;
use crate::cloudflare::limit::{Budget, Journal, Spending};
use crate::cloudflare::{Options, Pii};
use crate::collector::account::{Account, Settings};
use crate::collector::persist::{self, Document, Now, Saved};
use crate::collector::poller::{self, Poller};
use crate::collector::schedule::REFUSED_INTERVAL;
use crate::collector::user_label::UserLabel;
use crate::config::{self, Config, IdentityPolicy, WebPage};
use crate::http::listen::Listen;
use crate::metrics::exposition::{Compressor, Exposition};
use crate::metrics::telemetry::Telemetry;
use crate::model::{AccountName, Snapshot};
use crate::server::publisher::{self, Outputs};
use crate::server::status::Recorder;
use crate::server::{self, Readiness};
use crate::simulator::{self, Scenario};
use crate::store::row::Table;
use crate::store::{self, Generation, State};
pub(crate) use client::{ClientError, Connected, connect};
pub(crate) use demo::{Demo, demo};

/// Not ready for at most this long, whatever the accounts do: trouble upstream is on the page.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A request of a poller waits for the budget rather than fail: at most until a window has passed.
const PERMIT_WAIT: Duration = WINDOW.saturating_add(Duration::from_secs(30));

/// The client waits out no block: it is on the page and in the log at once, and the poller waits for its end.
const RETRY_WAIT: Duration = Duration::ZERO;

/// Between two points of a trend on the page at `/`.
const TREND_STEP: Duration = Duration::from_secs(60);

/// The publisher makes no more than one point a second.
const SHORTEST_TREND_STEP: Duration = Duration::from_secs(1);

/// Why the exporter could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be served there.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// As it was configured.
        listen: Listen,
        /// Why.
        source: io::Error,
    },
    /// No client can be made.
    #[error("account {account}: {source}")]
    Client {
        /// Which account.
        account: String,
        /// Why.
        source: ClientError,
    },
    /// The durable state cannot be used.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The system does not say what was bound.
    #[error("cannot tell the address that was bound: {0}")]
    Address(io::Error),
    /// The simulator cannot start.
    #[error(transparent)]
    Simulator(#[from] simulator::Error),
    /// The state of a drill has no place.
    #[error("cannot make a temporary directory: {0}")]
    TempDir(io::Error),
    /// The state of a drill cannot be made.
    #[error("cannot make up the past of the account: {0}")]
    Past(#[from] demo_state::PastError),
    /// Signals cannot be awaited.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// A part ended that never should; if it panicked, it has said so.
    #[error("{0} ended, so the exporter does too")]
    PartEnded(&'static str),
}

/// What differs from Cloudflare where the upstream is not Cloudflare.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Multiplies what may be asked of the upstream: more than 1 only for a simulator that allows more.
    pub pace: f64,
    /// How long an upstream may say nothing.
    pub idle_wait: Duration,
    /// How long one whole answer may take, all its pages together.
    pub total_wait: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let Options { idle_wait, total_wait, .. } = Options::default();
        Self { pace: 1.0, idle_wait, total_wait }
    }
}

/// Everything wired, nothing running.
pub struct Exporter {
    pollers: Vec<Poller>,
    snapshots: Vec<watch::Receiver<Arc<Snapshot>>>,
    telemetry: Telemetry,
    clock: Clock,
    state: Option<(State, Generation)>,
    /// Between two points of a trend; `None` if nobody may see one.
    trend_step: Option<Duration>,
}

/// Binds the first of the addresses that can be.
///
/// # Errors
/// None can be.
pub(crate) async fn bind(listen: &Listen) -> Result<TcpListener, Error> {
    TcpListener::bind(listen.addresses())
        .await
        .map_err(|source| Error::Listen { listen: listen.clone(), source })
}

/// Watches the configured accounts and serves the page, until a signal says stop.
///
/// # Errors
/// Something stands in the way of the start, or a part ended.
pub(crate) async fn serve(config: &Config) -> Result<(), Error> {
    let stop = stop_signal().map_err(Error::Signals)?;
    let listener = bind(&config.web.listen).await?;
    let exporter = Exporter::new(config, &Clock::system(), &Tuning::default())?;
    tell_address(&listener);
    exporter.run(listener, stop).await
}

/// The simulated API alone, until a signal says stop. `say` is told its address, which is the first line, and
/// what happens in a story.
///
/// # Errors
/// Nothing can be served there, or the scenario makes no world.
pub(crate) async fn simulate(
    listen: &Listen,
    scenario: Scenario,
    say: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), Error> {
    let stop = stop_signal().map_err(Error::Signals)?;
    let listener = bind(listen).await?;
    let address = listener.local_addr().map_err(Error::Address)?;
    say(&format!("http://{address}/client/v4\n"));
    tell_building();
    Ok(simulator::serve(listener, scenario, Clock::system(), Box::new(say), stop).await?)
}

/// Says why nothing answers for a while: a million users take seconds.
fn tell_building() {
    tracing::info!("building the simulated world");
}

/// Says where the page is.
fn tell_address(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving /metrics");
    }
}

impl Exporter {
    /// Wires the configured accounts.
    ///
    /// # Errors
    /// Credentials cannot be read, no client can be made of them, or the state file cannot be used.
    pub fn new(config: &Config, clock: &Clock, tuning: &Tuning) -> Result<Self, Error> {
        let (state, mut saved) = match &config.state {
            Some(settings) => {
                let ids = config.accounts.iter().map(|account| account.id.clone()).collect();
                let (state, saved) = State::open(settings, ids, clock, Saved::add)?;
                // All accounts were read from this file: should one make no sense, the next file lacks the others.
                let generation = state.generation();
                (Some((state, generation)), saved)
            }
            None => {
                tracing::info!(
                    "no state.path is set: counts are kept in memory and begin anew with each start"
                );
                (None, BTreeMap::new())
            }
        };
        let stats = state.as_ref().map_or_else(Arc::default, |(state, _)| state.stats());
        let telemetry = Telemetry::with_state(clock.clone(), stats);
        let trend_step = match config.web.page {
            WebPage::On => Some(TREND_STEP.div_f64(tuning.pace).max(SHORTEST_TREND_STEP)),
            WebPage::Off => None,
        };
        let (pollers, snapshots) = (Vec::new(), Vec::new());
        let mut exporter = Self { pollers, snapshots, telemetry, clock: clock.clone(), state, trend_step };
        let mut sharing: BTreeMap<usize, Vec<&config::Account>> = BTreeMap::new();
        for account in &config.accounts {
            sharing.entry(account.credential).or_default().push(account);
        }
        for accounts in sharing.values() {
            let budget = exporter.budget(accounts, tuning, &saved);
            for account in accounts {
                let saved = saved.remove(&account.id).unwrap_or_default();
                exporter.add(config, tuning, account, saved, &budget, accounts.len())?;
            }
        }
        Ok(exporter)
    }

    /// The budget of accounts with one credential, which goes on where the last process left it.
    fn budget(
        &self,
        accounts: &[&config::Account],
        tuning: &Tuning,
        saved: &BTreeMap<String, Saved>,
    ) -> Budget {
        let first = accounts.first().expect("a credential belongs to an account");
        let (share, clock) = (first.budget_share * tuning.pace, self.clock.clone());
        let Some((state, _)) = self.state.clone() else { return Budget::new(share, clock) };
        let mut spending = Spending::default();
        for saved in accounts.iter().filter_map(|account| saved.get(&account.id)) {
            spending.add(saved.spending.clone());
        }
        Budget::durable(share, clock, spending, journal(state, first.id.clone()))
    }

    fn add(
        &mut self,
        config: &Config,
        tuning: &Tuning,
        account: &config::Account,
        saved: Saved,
        budget: &Budget,
        sharing: usize,
    ) -> Result<(), Error> {
        let alias = account.alias.clone();
        let options = self.client_options(config, tuning, &alias);
        let Connected { client, credentials } = connect(config, account, budget.clone(), options)
            .map_err(|source| Error::Client { account: alias.clone(), source })?;
        let part = budget.level().limit / u32::try_from(sharing).unwrap_or(u32::MAX);
        let mut watched = self.restore(settings(config, account, part), saved)?;
        watched.retry_refused_every(REFUSED_INTERVAL.div_f64(tuning.pace));
        let (snapshots, published) = watch::channel(Arc::new(watched.snapshot()));
        self.telemetry.account(&alias, budget.clone());
        self.snapshots.push(published);
        self.pollers.push(Poller::new(poller::Parts {
            account: watched,
            client,
            credential: credentials,
            source: account.credentials.clone(),
            budget: budget.clone(),
            clock: self.clock.clone(),
            telemetry: self.telemetry.clone(),
            state: self.state.clone(),
            snapshots,
        }));
        Ok(())
    }

    /// The account as its last process left it. If that makes no sense, the file is as bad as a damaged one:
    /// accounts that were restored from it are written to the new one, and this one begins anew.
    fn restore(&self, settings: Settings, saved: Saved) -> Result<Account, Error> {
        let now = Now { instant: self.clock.now(), date: self.clock.date() };
        match (Account::restore(settings.clone(), saved, now), &self.state) {
            (Ok(account), _) => Ok(account),
            (Err(why), Some((state, _))) => {
                state.reject(&why.to_string())?;
                Ok(Account::new(settings))
            }
            (Err(_), None) => Ok(Account::new(settings)),
        }
    }

    fn client_options(&self, config: &Config, tuning: &Tuning, alias: &str) -> Options {
        let (telemetry, alias) = (self.telemetry.clone(), alias.to_owned());
        Options {
            names: if matches!(config.users.identity, IdentityPolicy::Email) { Pii::Keep } else { Pii::Drop },
            permit_wait: PERMIT_WAIT,
            retry_wait: RETRY_WAIT,
            idle_wait: tuning.idle_wait,
            total_wait: tuning.total_wait,
            observer: Some(Arc::new(move |report| {
                telemetry.request(&alias, report.endpoint, report.outcome, report.took);
                if report.attempt > 1 {
                    telemetry.retried(report.endpoint);
                }
            })),
            ..Options::default()
        }
    }

    /// Runs until `stop` is ready and the connections are drained, or until a part ends.
    ///
    /// # Errors
    /// A part ended: nothing is left to hide behind a page that no longer changes.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { pollers, snapshots, telemetry, clock, state, trend_step } = self;
        let (stopping, stopped) = watch::channel(Readiness::Starting);
        let mut compressor = Compressor::new();
        // Nobody is answered before this, so that no page lacks what was counted before a restart.
        let known: Vec<_> = snapshots.iter().map(|snapshot| Arc::clone(&snapshot.borrow())).collect();
        let (page, pages) = watch::channel(Arc::new(Exposition::build(&known, &mut compressor)));
        let status = trend_step.map(|step| {
            let mut recorder = Recorder::new(step, &known);
            let first = recorder.prepare(&known, &telemetry, clock.now(), clock.date());
            (recorder, watch::channel(Arc::new(first)).0)
        });
        let parts = server::Parts {
            page: pages,
            telemetry: telemetry.clone(),
            readiness: stopped.clone(),
            status: status.as_ref().map(|(_, status)| status.subscribe()),
            clock: clock.clone(),
        };
        let mut pulse = Liveness::default();
        let mut polling: JoinSet<Infallible> =
            pollers.into_iter().map(|poller| pulse.watch(poller.run())).collect();
        let outputs = Outputs { compressor, page, status };
        let publishing = publisher::run(snapshots.clone(), outputs, telemetry, clock);
        let mut publisher = tokio::spawn(pulse.watch(publishing));
        let mut draining = stopped;
        let drain = async move {
            // The sender lives until this function ends, and then nobody waits any more.
            let _ = draining.wait_for(|readiness| *readiness == Readiness::Draining).await;
        };
        let mut server = tokio::spawn(pulse.watch(server::run(listener, parts, drain)));
        let ready = first_attempts(snapshots);
        let watchdog = systemd::feed_watchdog(pulse);
        tokio::pin!(stop, ready, watchdog);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = &mut ready, if *stopping.borrow() == Readiness::Starting => {
                    stopping.send_replace(Readiness::Ready);
                    systemd::ready();
                }
                never = &mut watchdog => match never {},
                Some(_) = polling.join_next() => return Err(Error::PartEnded("a poller")),
                _ = &mut publisher => return Err(Error::PartEnded("the publisher")),
                _ = &mut server => return Err(Error::PartEnded("the server")),
            }
        }
        systemd::stopping();
        stopping.send_replace(Readiness::Draining);
        // The server bounds its own drain.
        let drained = server.await.map_err(|_| Error::PartEnded("the server"));
        polling.shutdown().await;
        if let Some((state, _)) = state {
            state.close();
        }
        drained
    }
}

/// Ready when each account's summary was tried once, well or badly, or after [`READY_WITHIN`].
async fn first_attempts(snapshots: Vec<watch::Receiver<Arc<Snapshot>>>) {
    let tried = async {
        for mut snapshots in snapshots {
            // A poller that ended is told of elsewhere.
            let _ = snapshots.wait_for(|snapshot| snapshot.up.is_some()).await;
        }
    };
    let _ = tokio::time::timeout(READY_WITHIN, tried).await;
}

/// Writes the spending of a budget to the state, with the first of the accounts that share it. Needs a runtime
/// of several threads.
fn journal(state: State, account: String) -> Journal {
    Journal::new(move |spending| {
        let (key, value) = (Document::Spending.as_str().as_bytes(), persist::write_spending(spending));
        block_in_place(|| state.put(&account, Table::Documents, key, value));
    })
}

/// How an account is watched, with this part of its credential's budget.
fn settings(config: &Config, account: &config::Account, budget: u32) -> Settings {
    Settings {
        name: AccountName { alias: account.alias.clone(), id: account.id.clone() },
        intervals: config.intervals,
        budget,
        user_limit: config.users.limit,
        user_label: user_label(&config.users.identity),
        secret: *uuid::Uuid::new_v4().as_bytes(),
        seed: fastrand::u64(..),
    }
}

fn user_label(policy: &IdentityPolicy) -> UserLabel {
    match policy {
        IdentityPolicy::Id => UserLabel::Id,
        IdentityPolicy::Hash { key } => UserLabel::hash(key.expose_secret()),
        IdentityPolicy::Email => UserLabel::Email,
        IdentityPolicy::None => UserLabel::Omitted,
    }
}
