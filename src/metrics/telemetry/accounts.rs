//! The metrics of each account about its requests, its budget and its token.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::incidents::{Incident, IncidentCause, IncidentSource, Incidents};
use crate::clock::{Clock, Instant, Timestamp};
use crate::cloudflare::Outcome;
use crate::cloudflare::limit::{self, Budget};
use crate::metrics::encode::{Writer, lines};
use crate::metrics::families::exporter as f;
use crate::model::Resource;

/// All accounts, by the label `account`.
#[derive(Debug)]
pub(super) struct Accounts {
    by_alias: Mutex<BTreeMap<String, Account>>,
    /// The clock of the budgets.
    clock: Clock,
}

#[derive(Debug, Default)]
struct Account {
    budget: Option<Budget>,
    /// By resource, then by outcome.
    requests: [[u64; Outcome::ALL.len()]; Resource::ALL.len()],
    /// `requests`, encoded. Written at each request: unlike a scrape, a request does not wait for it.
    requests_lines: String,
    poll_intervals: BTreeMap<Resource, Duration>,
    token_expiry: Option<Timestamp>,
    incidents: Incidents,
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
    /// When Cloudflare's block of all requests ends, if there is one.
    pub blocked_until: Option<Timestamp>,
}

impl Accounts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { by_alias: Mutex::default(), clock }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn add(&self, alias: &str, budget: Budget) {
        self.change(alias, |account| {
            account.budget = Some(budget);
            account.write_requests(alias);
        });
    }

    pub(super) fn request(&self, alias: &str, resource: Resource, outcome: Outcome) {
        self.change(alias, |account| {
            account.requests[resource.index()][outcome.index()] += 1;
            account.write_requests(alias);
        });
    }

    pub(super) fn poll_interval(&self, alias: &str, resource: Resource, interval: Duration) {
        self.change(alias, |account| {
            account.poll_intervals.insert(resource, interval);
        });
    }

    pub(super) fn token_expiry(&self, alias: &str, expiry: Option<Timestamp>) {
        self.change(alias, |account| account.token_expiry = expiry);
    }

    pub(super) fn incident(
        &self,
        alias: &str,
        source: IncidentSource,
        cause: IncidentCause,
        message: &str,
        date: Timestamp,
    ) {
        self.change(alias, |account| account.incidents.record(source, cause, message, date));
    }

    pub(super) fn incident_over(&self, alias: &str, source: IncidentSource, date: Timestamp) {
        self.change(alias, |account| account.incidents.end(source, date));
    }

    pub(super) fn activity(&self, alias: &str) -> Activity {
        let accounts = self.lock();
        let activity = |account: &Account| Activity {
            poll_intervals: account.poll_intervals.clone(),
            token_expiry: account.token_expiry,
            incidents: account.incidents.all(),
        };
        accounts.get(alias).map(activity).unwrap_or_default()
    }

    pub(super) fn budget(&self, alias: &str) -> Option<BudgetLevel> {
        let level = self.lock().get(alias)?.budget.as_ref()?.status();
        let limit::BudgetStatus { limit, remaining, blocked_until } = level;
        Some(BudgetLevel {
            limit,
            remaining,
            blocked_until: blocked_until.map(|until| self.end_of_block(until)),
        })
    }

    /// Rounded to whole seconds. The two clocks are not read at the same instant, and the value should not vary between
    /// scrapes.
    fn end_of_block(&self, until: Instant) -> Timestamp {
        let seconds = (self.clock.date() + until.since(self.clock.now())).seconds().ceil();
        Timestamp::from_seconds(seconds as i64)
    }

    /// Writes the families with the label `account`, and those about all accounts together.
    pub(super) fn write(&self, writer: &mut Writer) {
        let accounts = self.lock();
        let are_read =
            accounts.values().all(|account| !account.incidents.is_ongoing(IncidentSource::CredentialFile));
        writer.family(&f::CONFIG_RELOADED).put([], u64::from(are_read));
        let mut out = writer.family(&f::REQUESTS);
        for account in accounts.values() {
            out.put_lines(&account.requests_lines);
        }
        let mut out = writer.family(&f::POLL_INTERVAL);
        for (alias, account) in &*accounts {
            for (resource, interval) in &account.poll_intervals {
                out.put([alias, resource.as_str()], interval.as_secs_f64());
            }
        }
        let mut out = writer.family(&f::TOKEN_EXPIRY);
        for (alias, account) in &*accounts {
            if let Some(expiry) = account.token_expiry {
                out.put([alias], expiry);
            }
        }
        let levels: Vec<(&str, limit::BudgetStatus)> = accounts
            .iter()
            .filter_map(|(alias, account)| Some((alias.as_str(), account.budget.as_ref()?.status())))
            .collect();
        let mut out = writer.family(&f::BUDGET_LIMIT);
        for (alias, level) in &levels {
            out.put([alias], u64::from(level.limit));
        }
        let mut out = writer.family(&f::BUDGET_REMAINING);
        for (alias, level) in &levels {
            out.put([alias], u64::from(level.remaining));
        }
        let mut out = writer.family(&f::BLOCKED_UNTIL);
        for (alias, level) in &levels {
            if let Some(until) = level.blocked_until {
                out.put([alias], self.end_of_block(until));
            }
        }
    }

    fn change(&self, alias: &str, change: impl FnOnce(&mut Account)) {
        let mut accounts = self.lock();
        change(accounts.entry(alias.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        // Changes do not panic half-way, so the data is consistent even if the lock is poisoned.
        self.by_alias.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Encodes a counter for every outcome of every resource, so that each counter exists from the start.
    fn write_requests(&mut self, alias: &str) {
        self.requests_lines = lines(&f::REQUESTS, |out| {
            for (resource, counts) in Resource::ALL.into_iter().zip(self.requests) {
                for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                    out.put([alias, resource.as_str(), outcome.as_str()], count);
                }
            }
        });
    }
}
