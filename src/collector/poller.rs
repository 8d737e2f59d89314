//! The loop of one account: plan, wait, request, apply, save, publish.
//!
//! Only the poller sees the [`Account`]; readers get immutable snapshots. Failed requests are logged when they
//! begin, when their cause changes, and when they end. They never end the loop.

mod field_reports;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::clock::{Clock, Instant};
use crate::cloudflare::Credentials;
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Error, Kind, Limiter, Outcome};
use crate::collector::account::{Account, Fetch, Hold, Settings, Step};
use crate::collector::credential_watch::{Change, CredentialWatch};
use crate::collector::field_watch::FieldWatch;
use crate::collector::ledger::DetailRequest;
use crate::collector::persist::Now;
use crate::collector::schedule::FailureClass;
use crate::config::CredentialSource;
use crate::metrics::telemetry::{IncidentCause, IncidentSource, Telemetry};
use crate::model::{AccountName, Completeness, Resource, Snapshot};
use crate::store::{Commit, ExistingRows, Generation, State};

/// How often a file with credentials is checked for a change.
const CREDENTIAL_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How the requests of an account are sent.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Sends the requests.
    pub client: Client,
    /// The credentials of the client.
    pub credential: Credentials,
    /// Where the credentials are read from.
    pub source: CredentialSource,
    /// The budget that requests are charged to.
    pub budget: Budget,
}

/// What the configuration says of an account.
pub(crate) struct Assignment {
    /// How it is polled and shown.
    pub settings: Settings,
    /// How its requests are sent.
    pub connection: Arc<Connection>,
}

/// What a poller should do. It reads its order between two steps: a request in flight ends first, and what was read is
/// applied, saved and published.
#[derive(Clone)]
pub(crate) enum Order {
    /// Poll the account as this says.
    Poll(Arc<Assignment>),
    /// End.
    Stop,
}

/// Everything that a poller needs, apart from its orders.
pub(crate) struct Parts {
    /// What is known about the account.
    pub account: Account,
    /// The time, for the account and for waiting.
    pub clock: Clock,
    /// Counts what the poller does.
    pub telemetry: Telemetry,
    /// Where the account is saved before it is published, with the file that holds its latest copy.
    pub state: Option<(State, Generation)>,
    /// Receives the snapshots.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
}

/// Polls one account.
pub(crate) struct Poller {
    parts: Parts,
    orders: watch::Receiver<Order>,
    /// The latest order.
    assignment: Arc<Assignment>,
    /// The connection of the assignment, with the latest credentials from its file.
    connection: Connection,
    /// How the latest request failed, by resource; resources that answer are not in it.
    incidents: BTreeMap<Resource, Outcome>,
    /// Whether the latest summary was complete.
    completeness: Completeness,
    /// The intervals as last reported.
    intervals: BTreeMap<Resource, Duration>,
    /// Which unexpected fields were logged.
    field_watch: FieldWatch,
    /// Why requests for users' events have failed since they last succeeded for all users.
    user_incidents: BTreeSet<IncidentCause>,
    /// Until when the budget holds requests back, as it last said.
    held_until: Option<Instant>,
    credential_watch: CredentialWatch,
}

/// What the order says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Poll,
    Stop,
}

impl Poller {
    /// A poller that has sent no request yet. It begins with `assignment`; later ones come through `orders`.
    pub(crate) fn new(mut parts: Parts, assignment: Arc<Assignment>, orders: watch::Receiver<Order>) -> Self {
        parts.account.retune(assignment.settings.clone(), parts.clock.now());
        Self {
            parts,
            orders,
            connection: Connection::clone(&assignment.connection),
            assignment,
            incidents: BTreeMap::new(),
            completeness: Completeness::Complete,
            intervals: BTreeMap::new(),
            field_watch: FieldWatch::default(),
            user_incidents: BTreeSet::new(),
            held_until: None,
            credential_watch: CredentialWatch::default(),
        }
    }

    /// Polls until the order to stop, or until nobody can give orders any more. Returns the parts, with which polling can
    /// go on. Needs a multi-threaded runtime, because a list of a million users keeps one thread busy.
    pub(crate) async fn run(mut self) -> Parts {
        self.report_intervals();
        loop {
            if self.obey() == Next::Stop {
                self.save();
                return self.parts;
            }
            let now = self.parts.clock.now();
            let blocked_until = self.connection.budget.status().blocked_until;
            let held = blocked_until.max(self.held_until.filter(|until| now < *until));
            let step = held.map_or_else(|| self.parts.account.plan(now), Step::Wait);
            match step {
                Step::Wait(until) => {
                    let hold = if blocked_until.is_some() { Hold::Blocked } else { Hold::Other };
                    match self.parts.account.list_deadline(hold) {
                        Some(deadline) if deadline <= now => self.parts.account.list_missed(),
                        deadline => {
                            self.wait(deadline.map_or(until, |deadline| deadline.min(until))).await;
                            continue;
                        }
                    }
                }
                Step::Fetch(Fetch::Resource(resource)) => self.poll(resource).await,
                Step::Fetch(Fetch::User(request)) => self.read_user(&request).await,
            }
            self.publish();
        }
    }

    /// Takes up a new order, if there is one.
    fn obey(&mut self) -> Next {
        if self.orders.has_changed().is_err() {
            return Next::Stop;
        }
        let order = self.orders.borrow_and_update().clone();
        match order {
            Order::Stop => return Next::Stop,
            Order::Poll(assignment) if Arc::ptr_eq(&assignment, &self.assignment) => {}
            Order::Poll(assignment) => self.assign(assignment),
        }
        Next::Poll
    }

    fn assign(&mut self, assignment: Arc<Assignment>) {
        let now = self.parts.clock.now();
        self.parts.account.retune(assignment.settings.clone(), now);
        if !Arc::ptr_eq(&assignment.connection, &self.assignment.connection) {
            self.connect(Connection::clone(&assignment.connection), now);
        }
        self.assignment = assignment;
        self.report_intervals();
        self.publish();
    }

    /// Sends requests over another connection from now on.
    fn connect(&mut self, connection: Connection, now: Instant) {
        let Parts { account, telemetry, clock, .. } = &mut self.parts;
        let before = std::mem::replace(&mut self.connection, connection);
        let Connection { credential, source, budget, .. } = &self.connection;
        if source.file() != before.source.file() {
            self.credential_watch = CredentialWatch::default();
            telemetry.incident_over(&account.name().id, IncidentSource::CredentialFile, clock.date());
        }
        self.held_until = None;
        if *credential != before.credential {
            if budget.is_same(&before.budget) {
                budget.credential_changed();
            }
            account.retry_now(now);
            log_new_credentials(account);
        }
    }

    /// Saves the account, then publishes it.
    fn publish(&mut self) {
        self.parts.account.at_local_date(self.parts.clock.date());
        self.save();
        self.parts.snapshots.send_replace(Arc::new(self.parts.account.snapshot()));
    }

    /// Waits for an answer, and publishes that the list of users is overdue as soon as it is.
    async fn answer<T>(&mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        while let Some(deadline) = self.parts.account.list_deadline(Hold::Other) {
            tokio::select! {
                biased;
                answer = &mut request => return answer,
                () = self.parts.clock.sleep_until(deadline) => {
                    self.parts.account.list_missed();
                    self.publish();
                }
            }
        }
        request.await
    }

    /// Saves the account, if there is a state file.
    fn save(&mut self) {
        let Parts { account, state, clock, .. } = &mut self.parts;
        match state {
            Some((state, generation)) => block_in_place(|| save(account, state, generation, clock)),
            None => account.saved(),
        }
    }

    /// Waits until `until`, until an order comes, or until the file with the credentials must be checked.
    async fn wait(&mut self, until: Instant) {
        let clock = &self.parts.clock;
        let has_file = self.connection.source.file().is_some();
        let check = has_file.then(|| clock.now() + CREDENTIAL_CHECK_INTERVAL);
        tokio::select! {
            biased;
            // An error means that there are no more orders, which `obey` notices.
            _ = self.orders.changed() => {}
            () = clock.sleep_until(check.map_or(until, |check| until.min(check))) => {
                if has_file {
                    self.reload_credentials().await;
                }
            }
        }
    }

    async fn poll(&mut self, resource: Resource) {
        match resource {
            Resource::Summary => self.read_summary().await,
            Resource::Behaviors => {
                let client = self.connection.client.clone();
                let answer = self.answer(client.behaviors()).await;
                let odd = answer.as_ref().ok().map(|found| found.odd.clone());
                self.apply(resource, answer, Account::behaviors_read);
                self.report_list(resource, odd.as_ref(), &Completeness::Complete);
            }
            Resource::Integrations => {
                let client = self.connection.client.clone();
                let answer = self.answer(client.integrations()).await;
                let odd = answer.as_ref().ok().map(|found| found.odd.clone());
                self.apply(resource, answer, Account::integrations_read);
                self.report_list(resource, odd.as_ref(), &Completeness::Complete);
            }
            Resource::TokenVerify => self.verify_token().await,
            Resource::User => unreachable!("{} is not read periodically", resource.as_str()),
        }
    }

    async fn read_summary(&mut self) {
        let client = self.connection.client.clone();
        let answer = self.answer(client.summary()).await;
        let found = answer.as_ref().ok().map(|summary| (summary.completeness.clone(), summary.odd.clone()));
        let skipped = self.parts.account.departures_skipped();
        self.apply(Resource::Summary, answer, |account, summary, now, local_date| {
            block_in_place(|| account.summary_read(&summary, now, local_date));
        });
        let account = &self.parts.account;
        let (skipped, account) = (account.departures_skipped() - skipped, &account.name().alias);
        if skipped > 0 {
            tracing::warn!(account, skipped, "too many users left the list to read each of them once more");
        }
        if let Some((completeness, odd)) = found {
            self.report_list(Resource::Summary, Some(&odd), &completeness);
            self.report_completeness(completeness);
        }
        self.report_intervals();
    }

    async fn verify_token(&mut self) {
        let AccountName { id, alias } = self.parts.account.name().clone();
        let Credentials::Token(_) = self.connection.credential else {
            self.parts.telemetry.token_expiry(&id, None);
            self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            return;
        };
        let client = self.connection.client.clone();
        match self.answer(client.verify_token()).await {
            Ok(status) => {
                self.parts.telemetry.token_expiry(&id, status.expires);
                self.parts.account.read(Resource::TokenVerify, self.parts.clock.now());
            }
            Err(error) => {
                // Account-owned tokens are verified elsewhere. Nothing depends on the answer.
                tracing::debug!(account = alias, %error, "the token's expiry is unknown");
                let now = self.parts.clock.now();
                self.parts.account.failed(Resource::TokenVerify, FailureClass::Transient, now);
            }
        }
    }

    async fn read_user(&mut self, request: &DetailRequest) {
        let client = self.connection.client.clone();
        let answer = self.answer(client.user(request.user.id)).await;
        let Parts { account, clock, .. } = &mut self.parts;
        let now = clock.now();
        match &answer {
            Ok(risk) => account.user_read(request, risk, now, clock.date()),
            Err(error) => match error.kind() {
                Kind::NotFound => account.user_not_found(request, now),
                // The user keeps its place in the queue until the budget allows requests again.
                Kind::Limited(_) => self.held_until = held_until(error, now),
                // Cloudflare refused this one user; the others are not affected.
                Kind::Invalid => account.user_failed(request, FailureClass::Transient, now),
                _ => account.user_failed(request, failure_class(error), now),
            },
        }
        self.report_events(request, &answer);
        let is_incident =
            |error: &Error| !matches!(error.kind(), Kind::NotFound | Kind::Limited(Limiter::Budget));
        let incident = answer.err().filter(is_incident);
        self.report_user(incident.as_ref());
    }

    /// Applies the answer of a periodic request, or its failure.
    fn apply<T>(
        &mut self,
        resource: Resource,
        answer: Result<T, Error>,
        read: impl FnOnce(&mut Account, T, Instant, crate::clock::Timestamp),
    ) {
        let Parts { account, clock, .. } = &mut self.parts;
        let (now, date) = (clock.now(), clock.date());
        match answer {
            Ok(answer) => {
                read(account, answer, now, date);
                self.report(resource, None);
            }
            // The budget held the request back, so this says nothing about the resource.
            Err(error) if error.kind() == Kind::Limited(Limiter::Budget) => {
                self.held_until = held_until(&error, now);
            }
            Err(error) => {
                account.failed(resource, failure_class(&error), now);
                self.report(resource, Some(&error));
            }
        }
    }

    async fn reload_credentials(&mut self) {
        let read = self.credential_watch.read(&self.connection.source).await;
        let used = read.and_then(|read| self.use_credentials(read));
        let change = self.credential_watch.record(&used);
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let message =
            "the file with the credentials is unusable; the credentials that were read last stay in use";
        match (used, change) {
            (Err(error), Change::None) => {
                tracing::debug!(account, error, "cannot use the file with the credentials");
                return;
            }
            (Err(error), change) => {
                let (source, cause) = (IncidentSource::CredentialFile, IncidentCause::CredentialFile);
                telemetry.incident(id, source, cause, &error, clock.date());
                match change {
                    Change::Failing => tracing::warn!(account, error, "{message}"),
                    _ => tracing::debug!(account, error, "{message}"),
                }
            }
            (Ok(()), Change::Recovered) => {
                telemetry.incident_over(id, IncidentSource::CredentialFile, clock.date());
                tracing::info!(account, "the file with the credentials is usable again");
            }
            (Ok(()), _) => return,
        }
        // The status document is built when a snapshot comes.
        self.parts.snapshots.send_replace(Arc::new(self.parts.account.snapshot()));
    }

    /// Sends these credentials from now on, if they changed.
    fn use_credentials(&mut self, read: Credentials) -> Result<(), String> {
        let Connection { client, credential, .. } = &mut self.connection;
        if read == *credential {
            return Ok(());
        }
        *client = client.with_credentials(read.clone()).map_err(|error| error.to_string())?;
        *credential = read;
        self.parts.account.retry_now(self.parts.clock.now());
        self.held_until = None;
        log_new_credentials(&self.parts.account);
        Ok(())
    }

    /// Logs the first failure of each kind, and the end of the failures.
    fn report(&mut self, resource: Resource, failure: Option<&Error>) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        let resource_name = resource.as_str();
        if let Some(error) = failure {
            let cause = IncidentCause::Request(error.outcome());
            telemetry.incident(id, resource, cause, &error.to_string(), clock.date());
        }
        match failure {
            Some(error) if self.incidents.get(&resource) == Some(&error.outcome()) => {
                tracing::debug!(account, resource = resource_name, %error, "the request failed again");
            }
            Some(error) => {
                tracing::warn!(account, resource = resource_name, %error, "the request failed");
                self.incidents.insert(resource, error.outcome());
            }
            None if self.incidents.remove(&resource).is_some() => {
                telemetry.incident_over(id, resource, clock.date());
                tracing::info!(account, resource = resource_name, "requests succeed again");
            }
            None => {}
        }
    }

    /// Logs the first failure of each kind, and the end of the failures, which is when no user fails any more: the next
    /// user may well be read although this one cannot.
    fn report_user(&mut self, failure: Option<&Error>) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let failing_users = account.failing_users();
        let AccountName { id, alias } = account.name();
        let resource = Resource::User.as_str();
        match failure {
            Some(error) => {
                let of_one_user =
                    if account.users_are_refused() { None } else { error.refusal_of_one_user() };
                let (cause, error) = match of_one_user {
                    Some(sentence) => (IncidentCause::UserRefused, sentence),
                    None => (IncidentCause::Request(error.outcome()), error.to_string()),
                };
                telemetry.incident(id, Resource::User, cause, &error, clock.date());
                if self.user_incidents.insert(cause) {
                    tracing::warn!(
                        account = alias,
                        resource,
                        error,
                        "cannot read the events of a user; trying again later"
                    );
                } else {
                    tracing::debug!(
                        account = alias,
                        resource,
                        failing_users,
                        error,
                        "cannot read the events of a user"
                    );
                }
            }
            None if failing_users == 0 && !self.user_incidents.is_empty() => {
                self.user_incidents.clear();
                telemetry.incident_over(id, Resource::User, clock.date());
                tracing::info!(account = alias, resource, "the events of all users can be read again");
            }
            None => {}
        }
    }

    /// Logs when the list of users becomes partial or complete. Called after [`Poller::report`], which takes a partial
    /// list for a success.
    fn report_completeness(&mut self, completeness: Completeness) {
        let Parts { account, clock, telemetry, .. } = &self.parts;
        let AccountName { id, alias: account } = account.name();
        if let Completeness::Partial(reason) = &completeness {
            let sentence =
                format!("the list of users is incomplete, so the last complete one stays: {reason}");
            telemetry.incident(id, Resource::Summary, IncidentCause::Partial, &sentence, clock.date());
        }
        if self.completeness == completeness {
            return;
        }
        match &completeness {
            Completeness::Complete => {
                telemetry.incident_over(id, Resource::Summary, clock.date());
                tracing::info!(account, "the list of users is complete again");
            }
            Completeness::Partial(reason) => {
                tracing::warn!(
                    account,
                    reason,
                    "the list of users is incomplete, so the last complete one stays"
                );
            }
        }
        self.completeness = completeness;
    }

    /// Publishes the effective intervals, and logs when the budget lengthens one.
    fn report_intervals(&mut self) {
        let AccountName { id, alias } = self.parts.account.name();
        for resource in Resource::ALL {
            let Some(interval) = self.parts.account.interval(resource) else { continue };
            if self.intervals.insert(resource, interval) == Some(interval) {
                continue;
            }
            self.parts.telemetry.poll_interval(id, resource, interval);
            if self
                .parts
                .account
                .configured_interval(resource)
                .is_some_and(|configured| configured < interval)
            {
                let (resource, interval_seconds) = (resource.as_str(), interval.as_secs());
                tracing::warn!(
                    account = alias,
                    resource,
                    interval_seconds,
                    "read less often than configured, to stay within the budget"
                );
            }
        }
    }
}

/// Saves the changes of an account whose latest copy is in the file `last`, then publishes them. If they cannot be
/// saved, they stay unsaved, and the totals that were saved last stay published.
///
/// Blocks until the changes are on disk.
pub fn save(account: &mut Account, state: &State, last: &mut Generation, clock: &Clock) {
    while let Some(generation) = state.usable() {
        if generation != *last {
            account.save_everything();
        }
        let changes = account.changes(Now { instant: clock.now(), date: clock.date() });
        let before = if changes.are_everything() { ExistingRows::Clear } else { ExistingRows::Keep };
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
            // Another poller replaced the file meanwhile. That happens every ten seconds at most.
            Commit::OtherFile => {}
        }
    }
}

fn log_new_credentials(account: &Account) {
    tracing::info!(
        account = account.name().alias,
        "the credentials changed; the new ones are used from now on"
    );
}

/// Until when the budget holds requests back.
fn held_until(error: &Error, now: Instant) -> Option<Instant> {
    error.retry_after().map(|wait| now + wait)
}

/// What the error means for the next request.
fn failure_class(error: &Error) -> FailureClass {
    match error.kind() {
        Kind::Credentials | Kind::Refused => FailureClass::Refused,
        Kind::Forbidden(_) | Kind::NotEntitled | Kind::NotFound | Kind::Invalid => FailureClass::Denied,
        Kind::Limited(Limiter::Cloudflare | Limiter::Budget) | Kind::Unavailable | Kind::Timeout => {
            FailureClass::Transient
        }
        Kind::Shape => FailureClass::Unusable,
    }
}
