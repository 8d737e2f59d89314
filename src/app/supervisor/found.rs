//! Polls the accounts that were found at Cloudflare.

use std::future::pending;
use std::sync::Arc;

use super::{Error, Supervisor, config_changes};
use crate::app::config_changes::Change;
use crate::cloudflare::limit::Budget;
use crate::collector::discoverer::Report;
use crate::collector::schedule::Schedule;
use crate::config::{AccountOrigin, Config};
use crate::model::Resource;

/// How many accounts that were found, or are gone, are named in the log.
const NAMED_ACCOUNTS: usize = 5;

impl Supervisor {
    /// Waits until an account without user risk scoring is to be tried again.
    pub(super) fn retry_found(&self) -> impl Future<Output = ()> + use<> {
        let (clock, at) = (self.shared.clock.clone(), self.discoveries.next_retry());
        async move {
            match at {
                Some(at) => clock.sleep_until(at).await,
                None => pending().await,
            }
        }
    }

    /// Takes up what a discoverer has found.
    pub(super) fn found(&mut self, report: Report) {
        if self.discoveries.take_up(report) {
            self.follow_found();
        }
        self.discoveries.publish(&self.config, &self.shared);
    }

    /// Polls the accounts that were found, and no others of those that were found before.
    pub(super) fn follow_found(&mut self) {
        let config = loop {
            let config = Arc::new(self.discoveries.added_to(&self.config));
            let changes = config_changes::changes(&self.config, &config);
            if changes.is_empty() {
                self.discoveries.publish(&self.config, &self.shared);
                return;
            }
            match self.switch(Arc::clone(&config)) {
                Ok(()) => {
                    log_found(&changes);
                    break config;
                }
                // It concerns this account alone.
                Err(Error::Rows { account, why }) => {
                    tracing::warn!(account, %why, "cannot watch an account that was found: its saved rows are unusable");
                    self.discoveries.unusable(account);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot watch the accounts that were found");
                    return;
                }
            }
        };
        self.discoveries.publish(&config, &self.shared);
        warn_of_many(&config, self.shared.tuning.speed);
    }
}

/// Logs which accounts were found, and which are gone.
fn log_found(changes: &[Change]) {
    let shown: Vec<String> = changes.iter().take(NAMED_ACCOUNTS).map(Change::to_string).collect();
    let more = changes.len().saturating_sub(NAMED_ACCOUNTS);
    tracing::info!(changes = shown.join("; "), more, "accounts were found, or are gone");
}

/// Warns if more accounts were found with a token than its budget allows to read as often as configured.
fn warn_of_many(config: &Config, speed: f64) {
    for discovery in &config.discovery {
        let found = config.accounts.iter().filter(|account| {
            account.origin == AccountOrigin::Discovered
                && account.credentials.file() == Some(discovery.token_file.as_path())
        });
        let accounts = found.count();
        let part = Budget::requests(discovery.budget_share * speed)
            / u32::try_from(accounts).unwrap_or(u32::MAX).max(1);
        let schedule = Schedule::new(config.intervals, part, 0);
        let interval = schedule.interval(Resource::Summary).unwrap_or_default();
        if interval > config.intervals.summary {
            tracing::warn!(
                token_file = discovery.label,
                accounts,
                interval_seconds = interval.as_secs(),
                "the accounts of a token share its budget, so their users are read less often than configured"
            );
        }
    }
}
