//! The metrics of the tokens whose accounts are found at Cloudflare.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::cloudflare::Outcome;
use crate::metrics::encode::Writer;
use crate::metrics::families::exporter as f;

/// How a reading of the list of accounts ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiscoveryOutcome {
    /// With a whole list that is not empty.
    Read,
    /// With an empty list, which removes no account.
    Empty,
    /// The file with the token cannot be used.
    TokenFile,
    /// A request ended with this outcome.
    Request(Outcome),
}

impl DiscoveryOutcome {
    /// The value of the label `outcome`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => Outcome::Ok.as_str(),
            Self::Empty => "empty",
            Self::TokenFile => "token_file",
            Self::Request(outcome) => outcome.as_str(),
        }
    }

    /// All outcomes, each label value once.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let failures = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Ok).map(Self::Request);
        [Self::Read, Self::Empty, Self::TokenFile].into_iter().chain(failures)
    }
}

/// What is known of one token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiscoveryStatus {
    /// Accounts that are watched.
    pub(crate) watched: usize,
    /// The aliases of accounts without user risk scoring, which are tried once a day.
    pub(crate) not_entitled: Vec<String>,
    /// When the list was read last.
    pub(crate) last_success: Option<Timestamp>,
    /// Why the latest reading failed; `None` if it did not.
    pub(crate) problem: Option<String>,
    readings: BTreeMap<DiscoveryOutcome, u64>,
}

/// All tokens, by their labels.
#[derive(Debug, Default)]
pub(super) struct Discoveries(Mutex<BTreeMap<String, DiscoveryStatus>>);

impl Discoveries {
    /// Replaces the tokens. Those that stay keep their counters.
    pub(super) fn set(&self, labels: impl IntoIterator<Item = String>) {
        let mut known = self.lock();
        let mut before = std::mem::take(&mut *known);
        known.extend(labels.into_iter().map(|label| {
            let status = before.remove(&label).unwrap_or_default();
            (label, status)
        }));
    }

    /// The list was read, or could not be read because of `problem`.
    pub(super) fn read(
        &self,
        label: &str,
        outcome: DiscoveryOutcome,
        problem: Option<String>,
        date: Timestamp,
    ) {
        if let Some(status) = self.lock().get_mut(label) {
            *status.readings.entry(outcome).or_default() += 1;
            if problem.is_none() {
                status.last_success = Some(date);
            }
            status.problem = problem;
        }
    }

    /// What became of the accounts.
    pub(super) fn found(&self, label: &str, watched: usize, not_entitled: Vec<String>) {
        if let Some(status) = self.lock().get_mut(label) {
            (status.watched, status.not_entitled) = (watched, not_entitled);
        }
    }

    pub(super) fn all(&self) -> BTreeMap<String, DiscoveryStatus> {
        self.lock().clone()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let known = self.lock();
        let mut out = writer.family(&f::DISCOVERED_ACCOUNTS);
        for (label, status) in &*known {
            out.put([label, "watched"], status.watched as u64);
            out.put([label, "not_entitled"], status.not_entitled.len() as u64);
        }
        let mut out = writer.family(&f::DISCOVERY_LAST_SUCCESS);
        for (label, status) in &*known {
            if let Some(date) = status.last_success {
                out.put([label], date);
            }
        }
        let mut out = writer.family(&f::DISCOVERY_READINGS);
        for (label, status) in &*known {
            for outcome in DiscoveryOutcome::all() {
                out.put(
                    [label, outcome.as_str()],
                    status.readings.get(&outcome).copied().unwrap_or_default(),
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, DiscoveryStatus>> {
        // Changes do not panic half-way, so the data is consistent even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
