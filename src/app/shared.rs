//! What all accounts of the daemon share, and how the parts of one of them are built from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};

use super::{ClientError, Error, Tuning};
use crate::clock::Clock;
use crate::cloudflare::limit::{Budget, WINDOW};
use crate::cloudflare::{Client, Endpoint, Limits, OperationLimits, Options, Pii};
use crate::collector::account::feed::FeedSettings;
use crate::collector::account::{Account, Settings};
use crate::collector::discoverer::{Discoverer, Report};
use crate::collector::persist::{Now, Saved};
use crate::collector::poller::{Connection, Parts, Saving, Turns};
use crate::collector::schedule::REFUSED_INTERVAL;
use crate::collector::shared_failures::SharedFailures;
use crate::collector::user_label::UserLabel;
use crate::config::{self, Config, Discovery, IdentityPolicy};
use crate::feed::hub::Feed;
use crate::feed::saved::SavedFeed;
use crate::metrics::telemetry::Telemetry;
use crate::model::{AccountName, Resource, Snapshot};
use crate::store::row::Unreadable;
use crate::store::{Generation, State};

/// How long a poller's request waits for the budget before it fails: one full window, and a little more.
const PERMIT_WAIT: Duration = WINDOW.saturating_add(Duration::from_secs(30));

/// The client does not wait for the end of a block. The poller does, and shows the block on `/metrics` and in the log at
/// once.
const RETRY_WAIT: Duration = Duration::ZERO;

/// Every user's answer gets at least this time, however often the list of users is read.
const SHORTEST_USER_TIMEOUT: Duration = Duration::from_secs(2);

/// What all accounts share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) telemetry: Telemetry,
    pub(super) failures: SharedFailures,
    pub(super) state: Option<State>,
    pub(super) feed: Option<Feed>,
    pub(super) tuning: Tuning,
    /// Where the API is. A change of the base URL needs a restart.
    pub(super) endpoint: Endpoint,
    /// The turns of all pollers.
    pub(super) turns: Turns,
}

/// Where the saved rows of accounts come from, and what to do if they contradict each other.
pub(super) trait Rows {
    /// The rows of an account, and the file that they are from, if there is a state file.
    fn read(&mut self, account: &str) -> Result<(Saved, Option<Generation>), Error>;

    /// The rows of an account contradict each other. Decides whether the account may start from nothing.
    fn contradict(&mut self, account: &str, why: Unreadable) -> Result<(), Error>;
}

/// The rows at the start of the process: they were read together. If those of one account contradict each other, the file
/// is treated as damaged: the accounts that could be restored are saved to a new file, and this one starts from nothing.
pub(super) struct RowsAtStart {
    pub(super) state: Option<State>,
    /// The file that all accounts were read from. If it is replaced, they see from this that they must be saved again.
    pub(super) generation: Option<Generation>,
    pub(super) saved: BTreeMap<String, Saved>,
}

impl Rows for RowsAtStart {
    fn read(&mut self, account: &str) -> Result<(Saved, Option<Generation>), Error> {
        Ok((self.saved.remove(account).unwrap_or_default(), self.generation))
    }

    fn contradict(&mut self, _account: &str, why: Unreadable) -> Result<(), Error> {
        match &self.state {
            Some(state) => Ok(state.reject(&why.to_string())?),
            None => Ok(()),
        }
    }
}

/// The rows of an account that joins the running process. If they contradict each other, it may not join: the file belongs
/// to the other accounts too.
impl Rows for Shared {
    fn read(&mut self, account: &str) -> Result<(Saved, Option<Generation>), Error> {
        let Some(state) = &self.state else { return Ok((Saved::default(), None)) };
        let (saved, generation) = state.read(account, Saved::add)?;
        Ok((saved, Some(generation)))
    }

    fn contradict(&mut self, account: &str, why: Unreadable) -> Result<(), Error> {
        Err(Error::Rows { account: account.to_owned(), why })
    }
}

impl Shared {
    /// Builds the client of `account`. Sends nothing yet.
    pub(super) fn connection(
        &self,
        config: &Config,
        account: &config::Account,
        budget: Budget,
    ) -> Result<Connection, Error> {
        let credential = config.credentials.get(account.credential).expect("every account has a credential");
        let options = self.client_options(config, &account.id);
        let client =
            Client::sharing(&self.endpoint, &account.id, credential.clone(), budget.clone(), options)
                .map_err(ClientError::from)
                .map_err(|source| Error::Client { account: account.alias.clone(), source })?;
        Ok(Connection { client, credential: credential.clone(), source: account.credentials.clone(), budget })
    }

    /// What finds the accounts of a token.
    pub(super) fn discoverer(
        &self,
        discovery: watch::Receiver<Arc<Discovery>>,
        reports: mpsc::Sender<Report>,
    ) -> Discoverer {
        let telemetry = self.telemetry.clone();
        let Tuning { total_timeout, speed, idle_timeout, .. } = self.tuning;
        let options = Options {
            permit_timeout: PERMIT_WAIT,
            max_retry_wait: RETRY_WAIT,
            idle_timeout,
            limits: Limits::all(OperationLimits { total_timeout, ..OperationLimits::default() }),
            observer: Some(Arc::new(move |report| {
                telemetry.request_of_no_account(report.resource, report.took);
                if report.attempt > 1 {
                    telemetry.retried(report.resource);
                }
            })),
            ..Options::default()
        };
        let (endpoint, clock) = (self.endpoint.clone(), self.clock.clone());
        Discoverer::new(discovery, reports, (endpoint, options), (clock, self.telemetry.clone()), speed)
    }

    /// Restores an account from what an earlier process saved.
    pub(super) fn restore(
        &self,
        settings: Settings,
        feed: Option<FeedSettings>,
        mut saved: Saved,
        rows: &mut impl Rows,
    ) -> Result<Account, Error> {
        let now = Now { instant: self.clock.now(), date: self.clock.date() };
        let AccountName { id, alias } = settings.name.clone();
        let mut waiting = std::mem::take(&mut saved.feed);
        let mut account = match Account::restore(settings.clone(), saved, now) {
            Ok(account) => account,
            Err(why) => {
                rows.contradict(&id, why)?;
                waiting = SavedFeed::default();
                Account::new(settings)
            }
        };
        if let Some((feed, settings)) = self.feed.as_ref().zip(feed) {
            let outbox = feed.outbox((&id, &alias), waiting, settings.format, now.date);
            account.feed_into(outbox, settings, now.date);
        } else if !waiting.is_empty() {
            if !waiting.records.is_empty() {
                tracing::warn!(
                    account = alias,
                    records = waiting.records.len(),
                    "there is no feed any more; records that waited for it are dropped"
                );
            }
            // What is counted from now on is in no feed.
            account.save_everything();
        }
        // The first snapshot says from this until when `up` may be missing.
        account.begin(now.instant);
        account.retry_refused_every(REFUSED_INTERVAL.div_f64(self.tuning.speed));
        Ok(account)
    }

    /// The parts of the poller of `account`, whose rows are in the file `generation`, and its snapshots.
    pub(super) fn parts(
        &self,
        account: Account,
        generation: Option<Generation>,
    ) -> (Parts, watch::Receiver<Arc<Snapshot>>) {
        let (snapshots, published) = watch::channel(Arc::new(account.snapshot()));
        let parts = Parts {
            account,
            clock: self.clock.clone(),
            telemetry: self.telemetry.clone(),
            failures: self.failures.clone(),
            saving: self
                .state
                .clone()
                .zip(generation)
                .map(|(state, generation)| Saving::new(state, generation, self.clock.now())),
            snapshots,
            turns: self.turns.clone(),
        };
        (parts, published)
    }

    /// The limits of an account's requests. While one user is read, no other user is, so a user whose answer does not come
    /// is given up after half an interval of the list at most, and not tried again at once: the user's own back-off does
    /// that. Each page of a user's events has so much time, because a long list of events is not a slow one.
    pub(super) fn limits(&self, config: &Config) -> Limits {
        let Tuning { total_timeout, user_timeout, .. } = self.tuning;
        let half = (config.intervals.summary / 2).max(SHORTEST_USER_TIMEOUT);
        let all = OperationLimits { total_timeout, ..OperationLimits::default() };
        let of_user = OperationLimits { attempts: 1, request_timeout: half.min(user_timeout), ..all };
        Limits::all(all).with(Resource::User, of_user)
    }

    fn client_options(&self, config: &Config, id: &str) -> Options {
        let (telemetry, id) = (self.telemetry.clone(), id.to_owned());
        Options {
            pii: if config.keeps_names() { Pii::Keep } else { Pii::Drop },
            permit_timeout: PERMIT_WAIT,
            max_retry_wait: RETRY_WAIT,
            idle_timeout: self.tuning.idle_timeout,
            limits: self.limits(config),
            observer: Some(Arc::new(move |report| {
                telemetry.request(&id, report.resource, report.outcome, report.took);
                if report.attempt > 1 {
                    telemetry.retried(report.resource);
                }
            })),
            ..Options::default()
        }
    }
}

/// The collector's settings for one account, which may send `budget` requests in five minutes.
pub(super) fn settings(config: &Config, account: &config::Account, budget: u32) -> Settings {
    Settings {
        name: AccountName { alias: account.alias.clone(), id: account.id.clone() },
        intervals: config.intervals,
        budget,
        user_limit: config.users.limit,
        user_label: user_label(&config.users.identity),
        baseline: account.baseline.as_deref().and_then(|file| file.declared.clone().ok()),
        secret: *uuid::Uuid::new_v4().as_bytes(),
        seed: fastrand::u64(..),
    }
}

/// What the records of the feed have, if there is a feed.
pub(super) fn feed_settings(config: &Config) -> Option<FeedSettings> {
    let config::Feed { settings: _, format, identity, details, history } = config.feed.as_ref()?;
    let (format, details, history) = (*format, *details, *history);
    Some(FeedSettings { format, user_label: user_label(identity), details, history })
}

fn user_label(policy: &IdentityPolicy) -> UserLabel {
    match policy {
        IdentityPolicy::Id => UserLabel::Id,
        IdentityPolicy::Hash { key } => UserLabel::hash(key.expose_secret()),
        IdentityPolicy::Email => UserLabel::Email,
        IdentityPolicy::None => UserLabel::Omitted,
    }
}
