//! The metrics of each account about its requests, its budget and its token.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::incidents::{Incident, IncidentCause, IncidentSource, Incidents};
use crate::clock::{Clock, Instant, Timestamp};
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::{self, Budget, HeldReason};
use crate::metrics::encode::{Writer, lines};
use crate::metrics::families::exporter as f;
use crate::model::{AccountName, Resource};

/// All accounts, by id: the label `account` may change.
#[derive(Debug)]
pub(super) struct Accounts {
    by_id: Mutex<BTreeMap<String, Account>>,
    /// The clock of the budgets.
    clock: Clock,
}

#[derive(Debug)]
struct Account {
    alias: String,
    budget: Budget,
    /// By resource, then by outcome.
    requests: [[u64; Outcome::ALL.len()]; Resource::ALL.len()],
    /// `requests`, encoded. Written at each request: unlike a scrape, a request does not wait for it.
    requests_lines: String,
    poll_intervals: BTreeMap<Resource, Duration>,
    token_expiry: Option<Timestamp>,
    incidents: Incidents,
    /// Whether the configuration that was read last names a baseline. An incident says that it cannot be used.
    has_baseline: bool,
}

/// What became of an account's baseline when the configuration was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaselineState<'a> {
    /// The account has none.
    NotConfigured,
    /// It can be used.
    Readable,
    /// It cannot be used; the text says why.
    Unreadable(&'a str),
}

/// What the status document shows of an account's requests.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// The effective polling intervals.
    pub poll_intervals: BTreeMap<Resource, Duration>,
    /// When the token expires; `None` if it does not expire or if that is unknown.
    pub token_expiry: Option<Timestamp>,
    /// The latest incidents, oldest first; bounded.
    pub incidents: Vec<Incident>,
}

/// The state of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLevel {
    /// Requests allowed in five minutes.
    pub limit: u32,
    /// Requests that may still be sent now.
    pub remaining: u32,
    /// Until when no request is sent: Cloudflare blocks all of them, or none is left and the list of users is overdue.
    pub blocked_until: Option<Timestamp>,
}

impl Accounts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { by_id: Mutex::default(), clock }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Replaces the accounts. Those that stay keep their counters.
    pub(super) fn set(&self, accounts: impl IntoIterator<Item = (AccountName, Budget)>) {
        let mut by_id = self.lock();
        let mut before = std::mem::take(&mut *by_id);
        by_id.extend(accounts.into_iter().map(|(AccountName { alias, id }, budget)| {
            let account = match before.remove(&id) {
                Some(known) if known.alias == alias => Account { budget, ..known },
                Some(known) => Account { alias, budget, ..known }.with_requests_written(),
                None => Account::new(alias, budget),
            };
            (id, account)
        }));
    }

    pub(super) fn request(&self, id: &str, resource: Resource, outcome: Outcome) {
        self.change(id, |account| {
            account.requests[resource.index()][outcome.index()] += 1;
            account.write_requests();
        });
    }

    pub(super) fn poll_interval(&self, id: &str, resource: Resource, interval: Duration) {
        self.change(id, |account| {
            account.poll_intervals.insert(resource, interval);
        });
    }

    pub(super) fn token_expiry(&self, id: &str, expiry: Option<Timestamp>) {
        self.change(id, |account| account.token_expiry = expiry);
    }

    pub(super) fn incident(
        &self,
        id: &str,
        source: IncidentSource,
        cause: IncidentCause,
        message: &str,
        date: Timestamp,
    ) {
        self.change(id, |account| account.incidents.record(source, cause, message, date));
    }

    pub(super) fn incident_over(&self, id: &str, source: IncidentSource, date: Timestamp) {
        self.change(id, |account| account.incidents.end(source, date));
    }

    pub(super) fn baseline(&self, id: &str, state: BaselineState<'_>, date: Timestamp) {
        const SOURCE: IncidentSource = IncidentSource::BaselineFile;
        self.change(id, |account| {
            account.has_baseline = state != BaselineState::NotConfigured;
            match state {
                BaselineState::NotConfigured | BaselineState::Readable => account.incidents.end(SOURCE, date),
                BaselineState::Unreadable(why) => {
                    account.incidents.record(SOURCE, IncidentCause::BaselineFile, why, date);
                }
            }
        });
    }

    pub(super) fn activity(&self, id: &str) -> Activity {
        let accounts = self.lock();
        let activity = |account: &Account| Activity {
            poll_intervals: account.poll_intervals.clone(),
            token_expiry: account.token_expiry,
            incidents: account.incidents.all(),
        };
        accounts.get(id).map(activity).unwrap_or_default()
    }

    pub(super) fn budget(&self, id: &str) -> Option<BudgetLevel> {
        let accounts = self.lock();
        let account = accounts.get(id)?;
        let limit::BudgetStatus { limit, remaining, blocked_until: _ } = account.budget.status();
        let blocked_until = account.blocked_until().map(|until| self.end_of_block(until));
        Some(BudgetLevel { limit, remaining, blocked_until })
    }

    /// Rounded to whole seconds. The two clocks are not read at the same instant, and the value should not vary between
    /// scrapes.
    fn end_of_block(&self, until: Instant) -> Timestamp {
        let seconds = (self.clock.date() + until.since(self.clock.now())).seconds().ceil();
        Timestamp::from_seconds(seconds as i64)
    }

    /// Whether the latest credentials of all accounts are in use.
    pub(super) fn have_latest_credentials(&self) -> bool {
        let is_latest = |account: &Account| !account.incidents.is_ongoing(IncidentSource::CredentialFile);
        self.lock().values().all(is_latest)
    }

    /// Writes the families with the label `account`.
    pub(super) fn write(&self, writer: &mut Writer) {
        let accounts = self.lock();
        let mut out = writer.family(&f::REQUESTS);
        for account in accounts.values() {
            out.put_lines(&account.requests_lines);
        }
        let mut out = writer.family(&f::POLL_INTERVAL);
        for account in accounts.values() {
            for (resource, interval) in &account.poll_intervals {
                out.put([&account.alias, resource.as_str()], interval.as_secs_f64());
            }
        }
        let mut out = writer.family(&f::TOKEN_EXPIRY);
        for account in accounts.values() {
            if let Some(expiry) = account.token_expiry {
                out.put([&account.alias], expiry);
            }
        }
        let mut out = writer.family(&f::BASELINE_READABLE);
        for account in accounts.values().filter(|account| account.has_baseline) {
            let is_readable = !account.incidents.is_ongoing(IncidentSource::BaselineFile);
            out.put([&account.alias], u64::from(is_readable));
        }
        let levels: Vec<(&str, limit::BudgetStatus)> =
            accounts.values().map(|account| (account.alias.as_str(), account.budget.status())).collect();
        let mut out = writer.family(&f::BUDGET_LIMIT);
        for (alias, level) in &levels {
            out.put([alias], u64::from(level.limit));
        }
        let mut out = writer.family(&f::BUDGET_REMAINING);
        for (alias, level) in &levels {
            out.put([alias], u64::from(level.remaining));
        }
        let mut out = writer.family(&f::BLOCKED_UNTIL);
        for account in accounts.values() {
            if let Some(until) = account.blocked_until() {
                out.put([&account.alias], self.end_of_block(until));
            }
        }
    }

    /// Changes nothing if the account is gone: its last request may still be running.
    fn change(&self, id: &str, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.lock().get_mut(id) {
            change(account);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        // Changes do not panic half-way, so the data is consistent even if the lock is poisoned.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn new(alias: String, budget: Budget) -> Self {
        let account = Self {
            alias,
            budget,
            requests: Default::default(),
            requests_lines: String::new(),
            poll_intervals: BTreeMap::new(),
            token_expiry: None,
            incidents: Incidents::default(),
            has_baseline: false,
        };
        account.with_requests_written()
    }

    /// Until when no request is sent. A budget that is used up for a while is normal, and no block unless it makes the list
    /// of users overdue.
    fn blocked_until(&self) -> Option<Instant> {
        let held = self.budget.held()?;
        let cause = self.incidents.ongoing(Resource::Summary.into());
        let is_overdue = cause == Some(IncidentCause::Request(Outcome::Limited));
        held.until.filter(|_| held.reason == HeldReason::Block || is_overdue)
    }

    fn with_requests_written(mut self) -> Self {
        self.write_requests();
        self
    }

    /// Encodes a counter for every outcome of every resource, so that each counter exists from the start.
    fn write_requests(&mut self) {
        let alias = &self.alias;
        self.requests_lines = lines(&f::REQUESTS, |out| {
            for resource in Resource::of_account() {
                let counts = self.requests[resource.index()];
                for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                    out.put([alias, resource.as_str(), outcome.as_str()], count);
                }
            }
        });
    }
}
