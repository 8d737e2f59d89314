//! The accounts that are polled: starts, changes and stops their pollers as the configuration says.
//!
//! A configuration is used as a whole or not at all. Everything that can fail is prepared first, and changes nothing; the
//! rest cannot fail. A poller takes up its new orders and ends between two steps, or while its request waits for the budget. If
//! its account comes back before it has ended, it is begun again with what it knows, so an account never has two pollers.

mod found;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, block_in_place};

use super::Error;
use super::budgets::{self, Budgets, Group};
use super::config_changes::{self, Change};
use super::discoveries::Discoveries;
use super::shared::{Rows, Shared, feed_settings, settings};
use crate::app::liveness::Liveness;
use crate::app::logging;
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::Budget;
use crate::collector::persist::Saved;
use crate::collector::poller::{Assignment, Connection, Notice, Notices, Order, Parts, Poller, Renewal};
use crate::config::{Account, Config, IdentityPolicy};
use crate::model::{AccountName, Snapshot};
use crate::server::publisher::Source;
use crate::store::Generation;

/// How many notices of pollers are taken up at once. Tools renew the credentials of all accounts within a moment, and more are
/// reported again.
const NOTICES: usize = 256;

/// How long the pollers have to end with the process. They only hand over what they know.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// The pollers and their orders.
pub(super) struct Supervisor {
    shared: Shared,
    /// The configuration that is in use, with the latest credentials.
    config: Arc<Config>,
    /// The key that the ids of users were hashed with since the start: hashes with another key would be other users.
    hash_key: Option<SecretSlice<u8>>,
    budgets: Budgets,
    /// By account id.
    polled: BTreeMap<String, Polled>,
    /// Pollers that are not running yet.
    begun: Vec<(String, Poller)>,
    running: JoinSet<(String, Parts)>,
    notices: (Notices, mpsc::Receiver<Notice>),
    discoveries: Discoveries,
    published: watch::Sender<Vec<Source>>,
}

/// An account whose poller has not ended.
struct Polled {
    orders: watch::Sender<Order>,
    assignment: Arc<Assignment>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    stage: Stage,
}

/// Whether a poller should keep running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Polling,
    /// It was ordered to stop.
    Leaving,
    /// It was ordered to stop, and will be restarted after it stopped.
    Returning,
}

/// Asks for another configuration. The answer says what changed.
pub(super) struct Apply {
    pub(super) config: Arc<Config>,
    pub(super) answer: oneshot::Sender<Result<Vec<Change>, Refusal>>,
}

/// Why a configuration is not used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Settings differ that need a restart.
    #[error("a change of {} needs a restart", .0.join(", "))]
    NeedsRestart(Vec<String>),
    /// There are no token files any more.
    #[error(
        "accounts_from.tokens_dir {} is empty now, and all of its accounts would be removed; is its volume mounted? To remove \
         them, remove accounts_from", .0.display()
    )]
    EmptiedTokensDir(PathBuf),
    /// It cannot be used.
    #[error(transparent)]
    Unusable(#[from] Error),
}

/// A configuration that can be used.
struct Prepared {
    config: Arc<Config>,
    budgets: budgets::Prepared,
    /// By id, in the order of the configuration.
    accounts: Vec<(AccountName, PreparedAccount)>,
}

struct PreparedAccount {
    assignment: Arc<Assignment>,
    /// The parts of a new poller; `None` if the account has one that has not ended.
    parts: Option<(Parts, watch::Receiver<Arc<Snapshot>>)>,
}

impl Supervisor {
    /// Polls the accounts of `config` once it runs. `rows` has what is known of them.
    ///
    /// # Errors
    /// A client cannot be built, or the state file cannot be used.
    pub(super) fn new(shared: Shared, config: Arc<Config>, rows: &mut impl Rows) -> Result<Self, Error> {
        let mut supervisor = Self {
            shared,
            config: Arc::clone(&config),
            hash_key: None,
            budgets: Budgets::default(),
            polled: BTreeMap::new(),
            begun: Vec::new(),
            running: JoinSet::new(),
            notices: mpsc::channel(NOTICES),
            discoveries: Discoveries::new(),
            published: watch::Sender::new(Vec::new()),
        };
        supervisor.shared.telemetry.token_files(config.token_files.clone());
        let prepared = supervisor.prepare(config, rows)?;
        supervisor.commit(prepared);
        Ok(supervisor)
    }

    /// The accounts whose snapshots are published. The list changes with the configuration.
    pub(super) fn published(&self) -> watch::Receiver<Vec<Source>> {
        self.published.subscribe()
    }

    /// Runs the pollers, and uses the configurations that come through `requests`. Returns only if a poller ended
    /// unexpectedly.
    pub(super) async fn run(&mut self, requests: &mut mpsc::Receiver<Apply>, liveness: &Liveness) -> Error {
        let mut notices = Vec::new();
        loop {
            self.discoveries.spawn(liveness);
            let retry = self.retry_found();
            for (id, poller) in self.begun.drain(..) {
                let polling = liveness.watch_until_end(poller.run());
                self.running.spawn(async move { (id, polling.await) });
            }
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    if ended.ok().and_then(|(id, parts)| self.ended(id, parts)).is_none() {
                        return Error::PartEnded("a poller");
                    }
                }
                Some(Apply { config, answer }) = requests.recv() => {
                    // The one who asked may be gone.
                    let _ = answer.send(block_in_place(|| self.apply(config)));
                }
                _ = self.notices.1.recv_many(&mut notices, NOTICES) => {
                    block_in_place(|| self.take_up(notices.drain(..)));
                }
                report = self.discoveries.report() => match report {
                    Some(report) => block_in_place(|| self.found(report)),
                    None => return Error::PartEnded("a discoverer"),
                },
                () = retry => {
                    self.discoveries.retry(self.shared.clock.now());
                    block_in_place(|| self.follow_found());
                }
                else => std::future::pending().await,
            }
        }
    }

    /// The labels of the tokens whose lists of accounts were never tried.
    pub(super) fn undiscovered(&self) -> watch::Receiver<BTreeSet<String>> {
        self.discoveries.untried()
    }

    /// Ends all pollers, which hand what they know over to the last commit. One that does not end in time is given up.
    pub(super) async fn shutdown(&mut self) {
        self.discoveries.shutdown().await;
        for polled in self.polled.values() {
            polled.orders.send_replace(Order::Exit);
        }
        let ended = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(EXIT_WAIT, ended).await;
        self.running.shutdown().await;
    }

    /// Uses `config` from now on. Returns what changed.
    fn apply(&mut self, config: Arc<Config>) -> Result<Vec<Change>, Refusal> {
        let fixed = self.config.need_restart(&config, self.hash_key.as_ref());
        if !fixed.is_empty() {
            return Err(Refusal::NeedsRestart(fixed));
        }
        if let Some(directory) = config.emptied_tokens_dir(&self.config) {
            return Err(Refusal::EmptiedTokensDir(directory.to_owned()));
        }
        let config = config.keeping(&self.config).map_or(config, Arc::new);
        self.discoveries.renew(&config);
        let config =
            if config.discovery.is_empty() { config } else { Arc::new(self.discoveries.added_to(&config)) };
        let token_files = config.token_files.clone();
        let changes = config_changes::changes(&self.config, &config);
        if !changes.is_empty() {
            let prepared = self.prepare(config, &mut self.shared.clone())?;
            self.commit(prepared);
        }
        // Files of other shards may have changed too.
        self.shared.telemetry.token_files(token_files);
        Ok(changes)
    }

    /// Takes up what pollers have noticed.
    fn take_up(&mut self, notices: impl Iterator<Item = Notice>) {
        let (mut renewals, mut is_unentitled) = (Vec::new(), false);
        for notice in notices {
            match notice {
                Notice::Renewed(renewal) => renewals.push(renewal),
                Notice::NotEntitled(id) => {
                    self.discoveries.not_entitled(id, &self.shared);
                    is_unentitled = true;
                }
            }
        }
        self.renew(renewals.into_iter());
        if is_unentitled {
            self.follow_found();
        }
    }

    /// Uses a configuration that differs in accounts and credentials only. Those that are not concerned keep their orders.
    fn switch(&mut self, config: Arc<Config>) -> Result<(), Error> {
        let mut prepared = self.prepare(config, &mut self.shared.clone())?;
        for (name, account) in &mut prepared.accounts {
            let known = self.polled.get(&name.id).map(|polled| &polled.assignment);
            if let Some(known) = known.filter(|known| known.is_same(&account.assignment)) {
                account.assignment = Arc::clone(known);
            }
        }
        self.commit(prepared);
        Ok(())
    }

    /// Uses renewed credentials from now on. Leaves out those that were read for a connection that has been replaced since: the
    /// credential of the next connection may be newer.
    fn renew(&mut self, renewals: impl Iterator<Item = Renewal>) {
        let is_current = |renewal: &Renewal| {
            let polled = self.polled.get(&renewal.account).filter(|polled| polled.stage == Stage::Polling);
            polled.is_some_and(|polled| Arc::ptr_eq(&polled.assignment.connection, &renewal.connection))
        };
        let current = renewals.filter(is_current).map(|renewal| (renewal.account, renewal.credential));
        let renewed: BTreeMap<_, _> = current.collect();
        if renewed.is_empty() {
            return;
        }
        let config = Arc::new(self.config.with_credentials(&renewed));
        // Tools renew the files of all accounts at about the same time.
        if let Err(error) = self.switch(Arc::clone(&config)) {
            tracing::warn!(%error, "cannot use the renewed credentials; the previous ones stay in use");
            return;
        }
        self.discoveries.renew(&config);
        for account in config.accounts.iter().filter(|account| renewed.contains_key(&account.id)) {
            warn_of_shares(&config, account);
        }
    }

    /// Prepares everything that can fail. Changes nothing.
    fn prepare(&self, config: Arc<Config>, rows: &mut impl Rows) -> Result<Prepared, Error> {
        let mut saved: BTreeMap<&str, (Saved, Option<Generation>)> = BTreeMap::new();
        for account in config.accounts.iter().filter(|account| !self.polled.contains_key(&account.id)) {
            saved.insert(&account.id, rows.read(&account.id)?);
        }
        let spending = |id: &str| saved.get(id).map(|(saved, _)| saved.spending.clone());
        let groups = groups(&config, self.shared.tuning.speed);
        let budgets = self.budgets.prepare(groups, &self.shared.clock, self.shared.state.as_ref(), &spending);
        let mut accounts = Vec::new();
        for account in &config.accounts {
            let budget = budgets.of(&account.id).expect("every account is in a group");
            let part = budget.requests_of_one();
            let settings = settings(&config, account, part);
            let connection = self.connection(&config, account, &budget.budget)?;
            let parts = match saved.remove(account.id.as_str()) {
                None => None,
                Some((saved, generation)) => {
                    let feed = feed_settings(&config);
                    let restored = self.shared.restore(settings.clone(), feed, saved, rows)?;
                    Some(self.shared.parts(restored, generation))
                }
            };
            let name = settings.name.clone();
            let feed = feed_settings(&config);
            let assignment = Arc::new(Assignment { settings, feed, connection, origin: account.origin });
            accounts.push((name, PreparedAccount { assignment, parts }));
        }
        drop(saved);
        Ok(Prepared { config, budgets, accounts })
    }

    /// The connection that the account has already, unless the configuration asks for another one.
    fn connection(
        &self,
        config: &Config,
        account: &Account,
        budget: &Budget,
    ) -> Result<Arc<Connection>, Error> {
        let before = self.config.accounts.iter().find(|known| known.id == account.id);
        let polled = self.polled.get(&account.id).filter(|polled| polled.stage != Stage::Leaving);
        if let (Some(before), Some(polled)) = (before, polled)
            && polled.assignment.connection.budget.is_same(budget)
            && !config_changes::is_recredentialed((&self.config, before), (config, account))
            && self.config.keeps_names() == config.keeps_names()
            && self.shared.limits(&self.config) == self.shared.limits(config)
        {
            return Ok(Arc::clone(&polled.assignment.connection));
        }
        self.shared.connection(config, account, budget.clone()).map(Arc::new)
    }

    /// Uses what was prepared. Cannot fail.
    fn commit(&mut self, Prepared { config, budgets, accounts }: Prepared) {
        let ids: Vec<_> = accounts.iter().map(|(name, _)| name.id.clone()).collect();
        if let Some(state) = &self.shared.state {
            state.join(&ids);
        }
        self.budgets.commit(budgets, &self.shared.clock, self.shared.state.as_ref());
        let budget_of = |account: &PreparedAccount| account.assignment.connection.budget.clone();
        let named = accounts.iter().map(|(name, account)| (name.clone(), budget_of(account)));
        self.shared.telemetry.accounts(named.collect::<Vec<_>>());
        for (_, polled) in self.polled.iter_mut().filter(|(id, _)| !ids.contains(id)) {
            polled.stop();
        }
        let mut sources = Vec::new();
        for (name, PreparedAccount { assignment, parts }) in accounts {
            if let Some((parts, snapshots)) = parts {
                self.begin(name.id.clone(), assignment, parts, snapshots);
            } else if let Some(polled) = self.polled.get_mut(&name.id) {
                polled.assign(assignment);
            }
            if let Some(polled) = self.polled.get(&name.id) {
                sources.push(Source { name, snapshots: polled.snapshots.clone() });
            }
        }
        self.published.send_replace(sources);
        logging::set_level(&config.log.level);
        if let IdentityPolicy::Hash { key } = &config.users.identity {
            self.hash_key = Some(key.clone());
        }
        self.discoveries.follow(&config, &self.shared);
        self.config = config;
    }

    fn begin(
        &mut self,
        id: String,
        assignment: Arc<Assignment>,
        parts: Parts,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) {
        let (orders, received) = watch::channel(Order::Poll(Arc::clone(&assignment)));
        let poller = Poller::new(parts, Arc::clone(&assignment), received, self.notices.0.clone());
        self.begun.push((id.clone(), poller));
        self.polled.insert(id, Polled { orders, assignment, snapshots, stage: Stage::Polling });
    }

    /// A poller has ended. `None` if it ended unexpectedly.
    fn ended(&mut self, id: String, parts: Parts) -> Option<()> {
        let Polled { assignment, snapshots, stage, .. } = self.polled.remove(&id)?;
        match stage {
            Stage::Polling => None,
            Stage::Returning => {
                self.begin(id, assignment, parts, snapshots);
                Some(())
            }
            Stage::Leaving => {
                self.shared.failures.forget(&id);
                if let Some(feed) = &self.shared.feed {
                    feed.leave(&id);
                }
                if let Some(state) = &self.shared.state {
                    state.leave(&id);
                }
                Some(())
            }
        }
    }
}

impl Polled {
    fn stop(&mut self) {
        self.stage = Stage::Leaving;
        self.orders.send_replace(Order::Stop);
    }

    /// Polls the account as `assignment` says, after the poller has ended, if it is stopping.
    fn assign(&mut self, assignment: Arc<Assignment>) {
        if self.stage == Stage::Polling && Arc::ptr_eq(&assignment, &self.assignment) {
            return;
        }
        self.assignment = Arc::clone(&assignment);
        match self.stage {
            Stage::Polling => drop(self.orders.send_replace(Order::Poll(assignment))),
            Stage::Leaving | Stage::Returning => self.stage = Stage::Returning,
        }
    }
}

/// Warns if another account has the same credential and another share.
fn warn_of_shares(config: &Config, account: &Account) {
    let is_other = |other: &&Account| {
        other.credential == account.credential && other.budget_share != account.budget_share
    };
    if let Some(other) = config.accounts.iter().find(is_other) {
        tracing::warn!(
            account = account.alias,
            other = other.alias,
            "two accounts with different budget_share have the same credential now; the smaller share counts; if \
             both are listed under accounts, the next reload or start will refuse this"
        );
    }
}

/// The accounts by credential.
fn groups(config: &Config, speed: f64) -> Vec<Group> {
    let group = |(number, credential): (usize, &Credentials)| {
        let sharing: Vec<&Account> =
            config.accounts.iter().filter(|account| account.credential == number).collect();
        Some(Group {
            credential: credential.clone(),
            share: sharing.iter().map(|account| account.budget_share).reduce(f64::min)? * speed,
            accounts: sharing.into_iter().map(|account| account.id.clone()).collect(),
        })
    };
    config.credentials.iter().enumerate().filter_map(group).collect()
}
