//! The tokens whose accounts are found at Cloudflare: starts and stops their discoverers, and keeps what they found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::shared::Shared;
use crate::app::liveness::Liveness;
use crate::clock::Instant;
use crate::collector::discoverer::{Discoverer, Report};
use crate::config::{AccountOrigin, Config, Discovery, FoundList};

/// How often an account without user risk scoring is tried: the contract of an account rarely changes.
const UNENTITLED_RETRY: Duration = Duration::from_secs(86_400);

/// How many reports may wait.
const REPORTS: usize = 16;

/// The tokens, and what is known of their accounts.
pub(super) struct Discoveries {
    running: BTreeMap<PathBuf, watch::Sender<Arc<Discovery>>>,
    /// Discoverers that are not running yet.
    begun: Vec<Discoverer>,
    tasks: JoinSet<()>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    found: Vec<FoundList>,
    /// Until when an account without user risk scoring is not tried.
    unentitled: BTreeMap<String, Instant>,
    /// Accounts whose saved rows cannot be used.
    unusable: BTreeSet<String>,
    /// The labels of the tokens whose lists were never tried.
    untried: watch::Sender<BTreeSet<String>>,
}

impl Discoveries {
    pub(super) fn new() -> Self {
        Self {
            running: BTreeMap::new(),
            begun: Vec::new(),
            tasks: JoinSet::new(),
            reports: mpsc::channel(REPORTS),
            found: Vec::new(),
            unentitled: BTreeMap::new(),
            unusable: BTreeSet::new(),
            untried: watch::Sender::new(BTreeSet::new()),
        }
    }

    /// The labels of the tokens whose lists were never tried.
    pub(super) fn untried(&self) -> watch::Receiver<BTreeSet<String>> {
        self.untried.subscribe()
    }

    /// The next report of a discoverer; `None` if one has ended unexpectedly.
    pub(super) async fn report(&mut self) -> Option<Report> {
        loop {
            tokio::select! {
                report = self.reports.1.recv() => return report,
                Some(ended) = self.tasks.join_next() => ended.ok()?,
            }
        }
    }

    /// Starts the discoverers that are not running yet.
    pub(super) fn spawn(&mut self, liveness: &Liveness) {
        for discoverer in self.begun.drain(..) {
            self.tasks.spawn(liveness.watch_until_end(discoverer.run()));
        }
    }

    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Follows the tokens of `config`. A discoverer of a token that is gone ends.
    pub(super) fn follow(&mut self, config: &Config, shared: &Shared) {
        shared.telemetry.discoveries(config.discovery.iter().map(|discovery| discovery.label.clone()));
        let is_configured = |file: &PathBuf| config.discovery.iter().any(|one| one.token_file == *file);
        self.running.retain(|file, _| is_configured(file));
        self.found.retain(|list| is_configured(&list.token_file));
        for discovery in &config.discovery {
            if let Some(running) = self.running.get(&discovery.token_file) {
                running.send_if_modified(|known| {
                    let is_new = !known.is_same(discovery);
                    *known = Arc::new(discovery.clone());
                    is_new
                });
                continue;
            }
            let (sender, receiver) = watch::channel(Arc::new(discovery.clone()));
            let discoverer = shared.discoverer(receiver, self.reports.0.clone());
            self.untried.send_modify(|untried| {
                untried.insert(discovery.label.clone());
            });
            self.begun.push(discoverer);
            self.running.insert(discovery.token_file.clone(), sender);
        }
    }

    /// Takes up what was found. Returns whether the accounts may be others now.
    pub(super) fn take_up(&mut self, report: Report) -> bool {
        self.untried.send_if_modified(|untried| untried.remove(&report.label));
        let Some(new) = report.found.filter(|list| self.running.contains_key(&list.token_file)) else {
            return false;
        };
        let before = self.found.iter().position(|list| list.token_file == new.token_file);
        match before.and_then(|index| self.found.get_mut(index)) {
            Some(known) if *known == new => return false,
            Some(known) => *known = new,
            None => self.found.push(new),
        }
        true
    }

    /// The account has no user risk scoring.
    pub(super) fn not_entitled(&mut self, id: String, shared: &Shared) {
        let retry = UNENTITLED_RETRY.div_f64(shared.tuning.speed);
        self.unentitled.insert(id, shared.clock.now() + retry);
    }

    /// The saved rows of an account contradict each other.
    pub(super) fn unusable(&mut self, id: String) {
        self.unusable.insert(id);
    }

    /// When the next account without user risk scoring is tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.unentitled.values().min().copied()
    }

    /// Accounts without user risk scoring are tried again when it is time.
    pub(super) fn retry(&mut self, now: Instant) {
        self.unentitled.retain(|_, until| now < *until);
    }

    /// These tokens are used from now on: those of `config`, which were read again, or were renewed.
    pub(super) fn renew(&mut self, config: &Config) {
        for list in &mut self.found {
            let discovery = config.discovery.iter().find(|one| one.token_file == list.token_file);
            if let Some(credential) = discovery.and_then(|one| one.credential.clone()) {
                list.credential = credential;
            }
        }
    }

    /// The configuration with the accounts that were found.
    pub(super) fn added_to(&self, config: &Config) -> Config {
        let without: BTreeSet<String> = self.unentitled.keys().chain(&self.unusable).cloned().collect();
        config.with_found(&self.found, &without)
    }

    /// Says on `/metrics` and on the live page what became of the accounts that were found.
    pub(super) fn publish(&self, config: &Config, shared: &Shared) {
        for discovery in &config.discovery {
            let is_own = |file: Option<&std::path::Path>| file == Some(discovery.token_file.as_path());
            let found = config.accounts.iter().filter(|account| account.origin == AccountOrigin::Discovered);
            let watched = found.filter(|account| is_own(account.credentials.file())).count();
            let list = self.found.iter().find(|list| list.token_file == discovery.token_file);
            let listed = list.iter().flat_map(|list| &list.accounts);
            let not_entitled =
                listed.filter(|account| self.unentitled.contains_key(&account.id)).map(|account| {
                    if account.name.is_empty() { account.id.clone() } else { account.name.clone() }
                });
            shared.telemetry.discovered(&discovery.label, watched, not_entitled.collect());
        }
    }
}
