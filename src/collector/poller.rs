//! The loop of one account: plan, wait, ask, apply, save, publish.
//!
//! All that is known is in the [`Account`], which nobody else sees; what the page needs leaves as an immutable
//! snapshot. Trouble upstream is logged when it begins, when it changes and when it is over, and never ends
//! the loop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::clock::{Clock, Instant};
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Error, Kind, Limiter, Outcome};
use crate::collector::account::{Account, Question, Step};
use crate::collector::ledger::DetailRequest;
use crate::collector::persist::Now;
use crate::collector::schedule::FailureClass;
use crate::config::CredentialSource;
use crate::metrics::telemetry::{IncidentCause, Telemetry};
use crate::model::{Completeness, Resource, Snapshot};
use crate::store::{Before, Commit, Generation, State};

/// How often a file with credentials is looked at for a change.
const LOOK: Duration = Duration::from_secs(10);

/// What a poller works with.
pub struct Parts {
    /// What is known of the account.
    pub account: Account,
    /// Asks Cloudflare.
    pub client: Client,
    /// What the client was made with.
    pub credential: Credentials,
    /// Where that comes from.
    pub source: CredentialSource,
    /// What requests are paid from.
    pub budget: Budget,
    /// The time.
    pub clock: Clock,
    /// Where the poller's own doings are counted.
    pub telemetry: Telemetry,
    /// Where the account is saved before it is published, and to which file of it it was saved last.
    pub state: Option<(State, Generation)>,
    /// Where snapshots go.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
}

/// Watches one account.
pub struct Poller {
    parts: Parts,
    /// The endpoints in trouble, and of which kind.
    incidents: BTreeMap<Resource, Outcome>,
    /// Whether the latest summary was whole, and each interval as last told.
    completeness: Completeness,
    intervals: BTreeMap<Resource, Duration>,
    /// Until when the budget lets nothing go, as it last said.
    held_until: Option<Instant>,
}

impl Poller {
    /// A poller that has asked nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            incidents: BTreeMap::new(),
            completeness: Completeness::Complete,
            intervals: BTreeMap::new(),
            held_until: None,
        }
    }

    /// Watches for ever. Needs a runtime of several threads, as a list of a million users keeps one busy.
    pub async fn run(mut self) -> Infallible {
        self.tell_intervals();
        loop {
            let now = self.parts.clock.now();
            let held =
                self.parts.budget.level().blocked_until.max(self.held_until.filter(|until| now < *until));
            let step = held.map_or_else(|| self.parts.account.plan(now), Step::Wait);
            match step {
                Step::Wait(until) => {
                    self.wait(until).await;
                    continue;
                }
                Step::Ask(Question::Poll(endpoint)) => self.poll(endpoint).await,
                Step::Ask(Question::User(asked)) => self.read_user(&asked).await,
            }
            self.save();
            self.parts.snapshots.send_replace(Arc::new(self.parts.account.snapshot()));
        }
    }

    /// Makes durable what is known; without a state it is as durable as it will be.
    fn save(&mut self) {
        let Parts { account, state, clock, .. } = &mut self.parts;
        match state {
            Some((state, generation)) => block_in_place(|| save(account, state, generation, clock)),
            None => account.saved(),
        }
    }

    /// Waits until `until`, or until the file with the credentials may have changed.
    async fn wait(&mut self, until: Instant) {
        let Parts { clock, source, .. } = &self.parts;
        match source.file() {
            None => clock.sleep_until(until).await,
            Some(_) => {
                clock.sleep_until(until.min(clock.now() + LOOK)).await;
                self.look_for_credentials();
            }
        }
    }

    async fn poll(&mut self, endpoint: Resource) {
        match endpoint {
            Resource::Summary => self.read_summary().await,
            Resource::Behaviors => {
                let answer = self.parts.client.behaviors().await;
                self.apply(endpoint, answer, Account::behaviors_read);
            }
            Resource::Integrations => {
                let answer = self.parts.client.integrations().await;
                self.apply(endpoint, answer, Account::integrations_read);
            }
            Resource::TokenVerify => self.verify_token().await,
            Resource::User => unreachable!("no clock drives {}", endpoint.as_str()),
        }
    }

    async fn read_summary(&mut self) {
        let answer = self.parts.client.summary().await;
        let completeness = answer.as_ref().ok().map(|summary| summary.completeness.clone());
        self.apply(Resource::Summary, answer, |account, summary, now, ours| {
            block_in_place(|| account.summary_read(&summary, now, ours));
        });
        if let Some(completeness) = completeness {
            self.tell_extent(completeness);
        }
        self.tell_intervals();
    }

    async fn verify_token(&mut self) {
        let name = self.parts.account.name().alias.clone();
        let Credentials::Token(_) = self.parts.credential else {
            self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            return;
        };
        match self.parts.client.verify_token().await {
            Ok(status) => {
                self.parts.telemetry.token_expiry(&name, status.expires);
                self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            }
            Err(error) => {
                // Tokens that belong to an account are verified elsewhere; nothing depends on it.
                tracing::debug!(account = name, %error, "the token's expiry is not known");
                let now = self.parts.clock.now();
                self.parts.account.failed(Resource::TokenVerify, FailureClass::Passing, now);
            }
        }
    }

    async fn read_user(&mut self, asked: &DetailRequest) {
        let answer = self.parts.client.user(asked.user.id).await;
        let Parts { account, clock, .. } = &mut self.parts;
        let now = clock.now();
        match &answer {
            Ok(risk) => account.user_read(asked, risk, now, clock.date()),
            Err(error) => match error.kind() {
                Kind::NotFound => account.user_not_found(asked, now),
                // The user keeps its place until requests may go again.
                Kind::Limited(_) => self.held_until = held_until(error, now),
                // A refusal of one user is nothing against the others.
                Kind::Invalid => account.user_failed(asked, FailureClass::Passing, now),
                _ => account.user_failed(asked, setback(error), now),
            },
        }
        let is_news =
            |error: &Error| !matches!(error.kind(), Kind::NotFound | Kind::Limited(Limiter::Budget));
        let trouble = answer.err().filter(is_news);
        self.tell(Resource::User, trouble.as_ref());
    }

    /// Applies an answer of a whole endpoint, or what its absence means.
    fn apply<T>(
        &mut self,
        endpoint: Resource,
        answer: Result<T, Error>,
        read: impl FnOnce(&mut Account, T, Instant, crate::clock::Timestamp),
    ) {
        let Parts { account, clock, .. } = &mut self.parts;
        let (now, date) = (clock.now(), clock.date());
        match answer {
            Ok(answer) => {
                read(account, answer, now, date);
                self.tell(endpoint, None);
            }
            // Nothing was sent: this says nothing of the endpoint.
            Err(error) if error.kind() == Kind::Limited(Limiter::Budget) => {
                self.held_until = held_until(&error, now);
            }
            Err(error) => {
                account.failed(endpoint, setback(&error), now);
                self.tell(endpoint, Some(&error));
            }
        }
    }

    fn look_for_credentials(&mut self) {
        let Parts { account, client, credential, source, clock, .. } = &mut self.parts;
        let name = &account.name().alias;
        let read = match source.read() {
            Ok(read) if read == *credential => return,
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(account = name, %error, "the file with the credentials cannot be used now");
                return;
            }
        };
        match client.with_credentials(read.clone()) {
            Ok(renewed) => {
                tracing::info!(account = name, "the credentials changed and are used from now on");
                (*client, *credential) = (renewed, read);
                account.retry_now(clock.now());
            }
            Err(error) => tracing::warn!(account = name, %error, "the new credentials cannot be sent"),
        }
    }

    /// Logs trouble once for each of its kinds, and its end.
    fn tell(&mut self, endpoint: Resource, trouble: Option<&Error>) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let account = &account.name().alias;
        let endpoint_name = endpoint.as_str();
        if let Some(error) = trouble {
            let cause = IncidentCause::Request(error.outcome());
            telemetry.incident(account, endpoint, cause, &error.to_string(), clock.date());
        }
        match trouble {
            Some(error) if self.incidents.get(&endpoint) == Some(&error.outcome()) => {
                tracing::debug!(account, endpoint = endpoint_name, %error, "still no usable answer");
            }
            Some(error) => {
                tracing::warn!(account, endpoint = endpoint_name, %error, "no usable answer");
                self.incidents.insert(endpoint, error.outcome());
            }
            None if self.incidents.remove(&endpoint).is_some() => {
                telemetry.incident_over(account, endpoint, clock.date());
                tracing::info!(account, endpoint = endpoint_name, "answers again");
            }
            None => {}
        }
    }

    /// Comes after [`Poller::tell`]: a list that is not whole is an answer.
    fn tell_extent(&mut self, completeness: Completeness) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let account = &account.name().alias;
        if let Completeness::Partial(reason) = &completeness {
            let sentence = format!("the list of users is not whole; the last whole one stays: {reason}");
            telemetry.incident(account, Resource::Summary, IncidentCause::Partial, &sentence, clock.date());
        }
        if self.completeness == completeness {
            return;
        }
        match &completeness {
            Completeness::Complete => {
                telemetry.incident_over(account, Resource::Summary, clock.date());
                tracing::info!(account, "the list of users is whole again");
            }
            Completeness::Partial(reason) => {
                tracing::warn!(account, reason, "the list of users is not whole; the last whole one stays");
            }
        }
        self.completeness = completeness;
    }

    /// Puts the effective intervals on the page, and says so if the budget stretches one.
    fn tell_intervals(&mut self) {
        let name = &self.parts.account.name().alias;
        for endpoint in Resource::ALL {
            let Some(interval) = self.parts.account.interval(endpoint) else { continue };
            if self.intervals.insert(endpoint, interval) == Some(interval) {
                continue;
            }
            self.parts.telemetry.poll_interval(name, endpoint, interval);
            if self.parts.account.configured_interval(endpoint).is_some_and(|wished| wished < interval) {
                let (endpoint, interval_seconds) = (endpoint.as_str(), interval.as_secs());
                tracing::warn!(
                    account = name,
                    endpoint,
                    interval_seconds,
                    "read less often, to stay in the budget"
                );
            }
        }
    }
}

/// Saves what changed of an account that was last saved to the file of `last`; when it is on disk it may be
/// seen. If it cannot be saved, it stays unsaved, and the page shows what was saved last.
///
/// Blocks until the disk has it.
pub fn save(account: &mut Account, state: &State, last: &mut Generation, clock: &Clock) {
    while let Some(generation) = state.usable() {
        if generation != *last {
            account.save_everything();
        }
        let changes = account.changes(Now { moment: clock.now(), date: clock.date() });
        let before = if changes.are_everything() { Before::Clear } else { Before::Keep };
        let commit = if changes.is_empty() {
            Commit::Written
        } else {
            state.commit(&account.name().id, generation, before, |sink| changes.each(&mut *sink))
        };
        match commit {
            Commit::Written => {
                account.saved();
                *last = generation;
                return;
            }
            Commit::Failed => return,
            // Another poller found that the file was replaced: that happens at most every few seconds.
            Commit::OtherFile => {}
        }
    }
}

/// Until when a request that was held back has to wait.
fn held_until(error: &Error, now: Instant) -> Option<Instant> {
    error.retry_after().map(|wait| now + wait)
}

/// What an error means for the next request.
fn setback(error: &Error) -> FailureClass {
    match error.kind() {
        Kind::Credentials | Kind::Refused => FailureClass::Refused,
        Kind::Forbidden(_) | Kind::NotEntitled | Kind::NotFound | Kind::Invalid => FailureClass::Closed,
        Kind::Limited(Limiter::Cloudflare | Limiter::Budget) | Kind::Unavailable | Kind::Timeout => {
            FailureClass::Passing
        }
        Kind::Shape => FailureClass::Unusable,
    }
}
