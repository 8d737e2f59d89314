//! One account, and the client that asks for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::app::{ClientError, Connected, connect};
use crate::clock::Clock;
use crate::cloudflare::limit::{Budget, BudgetStatus};
use crate::cloudflare::{Client, Options, Report};
use crate::collector::user_label::UserLabel;
use crate::config::{Account, Config, IdentityPolicy};

/// How long a command that a person waits for may stand still: a block or a spent budget is reported instead.
pub(crate) const FOREGROUND_WAIT: Duration = Duration::from_secs(5);

/// The options of a command that a person waits for.
pub(crate) fn foreground() -> Options {
    Options { permit_timeout: FOREGROUND_WAIT, ..Options::default() }
}

/// One account, and what is needed to ask for it.
pub(crate) struct Session {
    pub(crate) alias: String,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    /// How the metrics name users, if they do it by a hash.
    pub(crate) hashes: Option<UserLabel>,
    budget: Budget,
    seen: Arc<Seen>,
}

/// What the client reported of its requests.
#[derive(Default)]
struct Seen {
    /// Requests sent since the last look.
    sent: AtomicU32,
    /// The CF-Ray id of the latest answer.
    ray: Mutex<Option<String>>,
}

impl Session {
    /// A client for `account`; its address and its observer replace those in `options`.
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
        let seen = Arc::new(Seen::default());
        let told = Arc::clone(&seen);
        let observer = Arc::new(move |report: &Report| {
            told.sent.fetch_add(1, Ordering::Relaxed);
            told.ray.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&report.ray);
        });
        let options = Options { observer: Some(observer), ..options };
        let Connected { client, .. } = connect(config, account, budget.clone(), options)?;
        let hashes = match &config.users.identity {
            IdentityPolicy::Hash { key } => Some(UserLabel::hash(key.expose_secret())),
            IdentityPolicy::Id | IdentityPolicy::Email | IdentityPolicy::None => None,
        };
        Ok(Self { alias: account.alias.clone(), client, clock: clock.clone(), hashes, budget, seen })
    }

    /// What is left of the budget.
    pub(crate) fn budget(&self) -> BudgetStatus {
        self.budget.status()
    }

    /// The CF-Ray id of the latest answer.
    pub(crate) fn ray(&self) -> Option<String> {
        self.seen.ray.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests were sent since this was last called.
    pub(crate) fn take_sent(&self) -> u32 {
        self.seen.sent.swap(0, Ordering::Relaxed)
    }
}
