//! Builds the parts of the daemon from the configuration; nothing runs yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::block_in_place;

use super::{Connected, Error, connect, logging};
use crate::clock::Clock;
use crate::cloudflare::limit::{Budget, Journal, Spending, WINDOW};
use crate::cloudflare::{Options, Pii};
use crate::collector::account::{Account, Settings};
use crate::collector::persist::{self, Document, Now, Saved};
use crate::collector::poller::{self, Poller};
use crate::collector::schedule::REFUSED_INTERVAL;
use crate::collector::user_label::UserLabel;
use crate::config::{self, Config, IdentityPolicy, WebPage};
use crate::metrics::telemetry::Telemetry;
use crate::model::{AccountName, Snapshot};
use crate::store::row::Table;
use crate::store::{Generation, State};

/// How long a poller's request waits for the budget before it fails: one full window, and a little more.
const PERMIT_WAIT: Duration = WINDOW.saturating_add(Duration::from_secs(30));

/// The client does not wait for the end of a block. The poller does, and shows the block on `/metrics` and in the log at
/// once.
const RETRY_WAIT: Duration = Duration::ZERO;

/// The time between two points of a trend on the live page.
const TREND_STEP: Duration = Duration::from_secs(60);

/// The publisher adds at most one point in a second.
const SHORTEST_TREND_STEP: Duration = Duration::from_secs(1);

/// Settings that differ where the API is the simulator and not Cloudflare.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Multiplies the request quota. More than 1 only for a simulator that allows more requests.
    pub pace: f64,
    /// How long the API may send nothing.
    pub idle_timeout: Duration,
    /// How long one whole answer may take, with all its pages.
    pub total_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let Options { idle_timeout, total_timeout, .. } = Options::default();
        Self { pace: 1.0, idle_timeout, total_timeout }
    }
}

/// All parts, wired but not running.
pub struct Exporter {
    pub(super) pollers: Vec<Poller>,
    pub(super) snapshots: Vec<watch::Receiver<Arc<Snapshot>>>,
    pub(super) telemetry: Telemetry,
    pub(super) clock: Clock,
    pub(super) state: Option<(State, Generation)>,
    /// The time between two points of a trend; `None` if the live page is off.
    pub(super) trend_step: Option<Duration>,
    /// The names that `Host` may have on a loopback address.
    pub(super) allowed_hosts: Vec<String>,
}

impl Exporter {
    /// Wires the configured accounts.
    ///
    /// # Errors
    /// Credentials cannot be read, a client cannot be built, or the state file cannot be used.
    pub fn new(config: &Config, clock: &Clock, tuning: &Tuning) -> Result<Self, Error> {
        let (state, mut saved) = match &config.state {
            Some(settings) => {
                let ids = config.accounts.iter().map(|account| account.id.clone()).collect();
                let (state, saved) = State::open(settings, ids, clock, Saved::add)?;
                // The generation that all accounts were read from. If one of them is rejected below, the file is
                // replaced, and the others see from the generation that they must be saved again.
                let generation = state.generation();
                (Some((state, generation)), saved)
            }
            None => {
                tracing::info!("state.path is not set: counts are kept in memory and restart from 0");
                (None, BTreeMap::new())
            }
        };
        let stats = state.as_ref().map_or_else(Arc::default, |(state, _)| state.stats());
        let telemetry = Telemetry::with_state(clock.clone(), stats);
        telemetry.observe_log(logging::dropped_lines);
        let trend_step = match config.web.page {
            WebPage::On => Some(TREND_STEP.div_f64(tuning.pace).max(SHORTEST_TREND_STEP)),
            WebPage::Off => None,
        };
        let (pollers, snapshots) = (Vec::new(), Vec::new());
        let allowed_hosts = config.web.allowed_hosts.clone();
        let mut exporter =
            Self { pollers, snapshots, telemetry, clock: clock.clone(), state, trend_step, allowed_hosts };
        let mut by_credential: BTreeMap<usize, Vec<&config::Account>> = BTreeMap::new();
        for account in &config.accounts {
            by_credential.entry(account.credential).or_default().push(account);
        }
        for accounts in by_credential.values() {
            let budget = exporter.budget(accounts, tuning, &saved);
            for account in accounts {
                let saved = saved.remove(&account.id).unwrap_or_default();
                exporter.add(config, tuning, account, saved, &budget, accounts.len())?;
            }
        }
        Ok(exporter)
    }

    /// The budget of accounts with the same credential. It continues with the spending of the previous process.
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

    /// Adds the poller of `account`, which shares `budget` with `sharing - 1` other accounts.
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
        let budget_part = budget.status().limit / u32::try_from(sharing).unwrap_or(u32::MAX);
        let mut restored = self.restore(settings(config, account, budget_part), saved)?;
        restored.retry_refused_every(REFUSED_INTERVAL.div_f64(tuning.pace));
        let (snapshots, published) = watch::channel(Arc::new(restored.snapshot()));
        self.telemetry.account(&alias, budget.clone());
        self.snapshots.push(published);
        self.pollers.push(Poller::new(poller::Parts {
            account: restored,
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

    /// Restores an account from what the previous process saved. If its rows are inconsistent, the file is treated as
    /// damaged: the accounts that could be restored are saved to a new file, and this one starts from nothing.
    fn restore(&self, settings: Settings, saved: Saved) -> Result<Account, Error> {
        let now = Now { instant: self.clock.now(), date: self.clock.date() };
        match (Account::restore(settings.clone(), saved, now), &self.state) {
            (Ok(account), _) => Ok(account),
            (Err(error), Some((state, _))) => {
                state.reject(&error.to_string())?;
                Ok(Account::new(settings))
            }
            (Err(_), None) => Ok(Account::new(settings)),
        }
    }

    fn client_options(&self, config: &Config, tuning: &Tuning, alias: &str) -> Options {
        let (telemetry, alias) = (self.telemetry.clone(), alias.to_owned());
        Options {
            pii: if matches!(config.users.identity, IdentityPolicy::Email) { Pii::Keep } else { Pii::Drop },
            permit_timeout: PERMIT_WAIT,
            max_retry_wait: RETRY_WAIT,
            idle_timeout: tuning.idle_timeout,
            total_timeout: tuning.total_timeout,
            observer: Some(Arc::new(move |report| {
                telemetry.request(&alias, report.resource, report.outcome, report.took);
                if report.attempt > 1 {
                    telemetry.retried(report.resource);
                }
            })),
            ..Options::default()
        }
    }
}

/// Writes the spending of a budget to the state, in a row of the first account that shares the budget. Needs a
/// multi-threaded runtime.
fn journal(state: State, account: String) -> Journal {
    Journal::new(move |spending| {
        let (key, value) = (Document::Spending.as_str().as_bytes(), persist::write_spending(spending));
        block_in_place(|| state.put(&account, Table::Documents, key, value));
    })
}

/// The collector's settings for one account; `budget` is the account's part of its credential's budget.
pub(super) fn settings(config: &Config, account: &config::Account, budget: u32) -> Settings {
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
