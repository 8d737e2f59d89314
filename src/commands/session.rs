//! One account and its client.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::app::{ClientError, connect};
use crate::clock::Clock;
use crate::cloudflare::limit::{Budget, BudgetStatus};
use crate::cloudflare::{Client, Options, Report};
use crate::collector::user_label::UserLabel;
use crate::config::{Account, BaselineFile, Config, IdentityPolicy};

/// How long an interactive command waits for the budget or for the end of a block before it reports them instead.
pub(crate) const FOREGROUND_WAIT: Duration = Duration::from_secs(5);

/// The client options of an interactive command.
pub(crate) fn foreground() -> Options {
    Options { permit_timeout: FOREGROUND_WAIT, ..Options::default() }
}

/// One account, its client and its request budget.
pub(crate) struct Session {
    pub(crate) alias: String,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    /// The hash by which the metrics name users, if `users.identity` is `hash`.
    pub(crate) hashes: Option<UserLabel>,
    /// The baseline of its behaviors, if one is configured.
    pub(crate) baseline: Option<Arc<BaselineFile>>,
    /// The number of the credential: sessions with the same one were given the same budget.
    pub(crate) credential: usize,
    budget: Budget,
    requests: Arc<RequestLog>,
}

/// What the client reported about its requests.
#[derive(Default)]
struct RequestLog {
    /// Requests sent since [`Session::take_sent`] was last called.
    sent: AtomicU32,
    /// The CF-Ray id of the latest answer.
    ray: Mutex<Option<String>>,
}

impl Session {
    /// Creates a client for `account`. The configured address and the session's own observer replace those in `options`.
    ///
    /// # Errors
    /// The credentials cannot be read or used.
    pub(crate) fn open(
        config: &Config,
        account: &Account,
        budget: Budget,
        options: Options,
        clock: &Clock,
    ) -> Result<Self, ClientError> {
        let requests = Arc::new(RequestLog::default());
        let log = Arc::clone(&requests);
        let observer = Arc::new(move |report: &Report| {
            log.sent.fetch_add(1, Ordering::Relaxed);
            log.ray.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&report.ray);
        });
        let options = Options { observer: Some(observer), ..options };
        let client = connect(config, account, budget.clone(), options)?;
        let hashes = match &config.users.identity {
            IdentityPolicy::Hash { key } => Some(UserLabel::hash(key.expose_secret())),
            IdentityPolicy::Id | IdentityPolicy::Email | IdentityPolicy::None => None,
        };
        let (alias, credential) = (account.alias.clone(), account.credential);
        let baseline = account.baseline.clone();
        Ok(Self { alias, client, clock: clock.clone(), hashes, baseline, credential, budget, requests })
    }

    /// How much of the budget is left.
    pub(crate) fn budget(&self) -> BudgetStatus {
        self.budget.status()
    }

    /// The CF-Ray id of the latest answer.
    pub(crate) fn ray(&self) -> Option<String> {
        self.requests.ray.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests were sent since this was last called.
    pub(crate) fn take_sent(&self) -> u32 {
        self.requests.sent.swap(0, Ordering::Relaxed)
    }
}
