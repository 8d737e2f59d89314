//! Which account is meant, and the client that asks for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::Failure;
use crate::budget::Budget;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::{Client, Names, Options, Report};
use crate::config::{Config, IdentityPolicy};
use crate::identity::Naming;

/// A person waits: a block, a spent budget or a server that wants to be left alone is said, not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// One account, and what is needed to ask for it.
pub(super) struct Session {
    pub(super) alias: String,
    pub(super) client: Client,
    /// How the page names users, where that is by a hash.
    pub(super) hashes: Option<Naming>,
    budget: Budget,
    clock: Clock,
    ray: Arc<Mutex<Option<String>>>,
}

impl Session {
    /// # Errors
    /// It is not clear which account is meant, or it cannot be asked for.
    pub(super) fn open(config: &Config, wanted: Option<&str>, clock: &Clock) -> Result<Self, Failure> {
        let account = config.account(wanted).map_err(|error| Failure::Usage(error.to_string()))?;
        let refused = |why: String| Failure::Usage(format!("account {}: {why}", account.alias));
        let credentials = account.credentials.read().map_err(|error| refused(error.to_string()))?;
        let budget = Budget::new(account.budget_share, clock.clone());
        let ray = Arc::new(Mutex::new(None));
        let latest = Arc::clone(&ray);
        let options = Options {
            base_url: config.base_url.to_string(),
            names: Names::Keep,
            patience: PATIENCE,
            retry_wait: PATIENCE,
            observer: Some(Arc::new(move |report: &Report| {
                latest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&report.ray);
            })),
            ..Options::default()
        };
        let client = Client::new(&account.id, credentials, budget.clone(), options)
            .map_err(|error| refused(error.to_string()))?;
        let hashes = match &config.users.identity {
            IdentityPolicy::Hash { key } => Some(Naming::hash(key.expose_secret())),
            IdentityPolicy::Id | IdentityPolicy::Email | IdentityPolicy::None => None,
        };
        Ok(Self { alias: account.alias.clone(), client, hashes, budget, clock: clock.clone(), ray })
    }

    /// Requests that may still go at once.
    pub(super) fn left(&self) -> usize {
        self.budget.level().remaining as usize
    }

    /// The CF-Ray id of the latest answer.
    pub(super) fn ray(&self) -> Option<String> {
        self.ray.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn date(&self) -> Timestamp {
        self.clock.date()
    }
}
