//! The loop of one account: plan, wait, request, apply, save, publish.
//!
//! What was read is handed over to the next commit, which all accounts share. Counts are published when it has ended. Only the
//! poller sees the [`Account`]; readers get immutable snapshots. Failed requests are logged when they
//! begin, when their cause changes, and when they end. They never end the loop.

mod credentials;
mod field_log;
mod field_reports;
mod holds;
mod incident_log;
mod incidents;
mod orders;
mod requests;
mod saving;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::clock::{Clock, Instant};
use crate::cloudflare::limit::Budget;
use crate::cloudflare::{Client, Credentials};
use crate::collector::account::{Account, Fetch, Hold, Step};
use crate::collector::credential_watch::CredentialWatch;
use crate::collector::field_watch::FieldWatch;
use crate::collector::shared_failures::SharedFailures;
use crate::config::CredentialSource;
use crate::metrics::telemetry::Telemetry;
use crate::model::{Resource, Snapshot};
pub(crate) use credentials::{Notice, Notices, Renewal};
use field_log::FieldLog;
use incident_log::IncidentLog;
use orders::Next;
pub(crate) use orders::{Assignment, Order};
pub(crate) use saving::Saving;
pub use saving::save;
pub(crate) use turns::Turns;

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

/// Everything that a poller needs, apart from its orders.
pub(crate) struct Parts {
    /// What is known about the account.
    pub account: Account,
    /// The time, for the account and for waiting.
    pub clock: Clock,
    /// Counts what the poller does.
    pub telemetry: Telemetry,
    /// What several accounts have in common is logged once.
    pub failures: SharedFailures,
    /// Where the account is saved before its counts are published.
    pub saving: Option<Saving>,
    /// Receives the snapshots.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// The turns of all pollers.
    pub turns: Turns,
}

/// How long the poller of an account that leaves waits for its last commit. A commit takes a second, unless the disk does not answer.
const COMMIT_WAIT: Duration = Duration::from_secs(10);

/// Polls one account.
pub(crate) struct Poller {
    parts: Parts,
    orders: watch::Receiver<Order>,
    /// The latest order.
    assignment: Arc<Assignment>,
    /// The connection of the assignment.
    connection: Connection,
    /// Where other credentials in the file are reported, and that the account has no user risk scoring.
    notices: Notices,
    /// Which failed requests were logged, by resource. Users' events fail as long as those of any user do.
    incidents: BTreeMap<Resource, IncidentLog>,
    /// Which incomplete lists of users were logged.
    incomplete_lists: IncidentLog,
    /// The intervals as last reported.
    intervals: BTreeMap<Resource, Duration>,
    /// Which fields are unexpected now.
    field_watch: FieldWatch,
    /// Which of them were logged.
    field_log: FieldLog,
    /// Until when the budget holds requests back, as it last said.
    held_until: Option<Instant>,
    credential_watch: CredentialWatch,
}

impl Poller {
    /// A poller that has sent no request yet. It begins with `assignment`; later ones come through `orders`, also when it has
    /// reported other credentials to `notices`.
    pub(crate) fn new(
        mut parts: Parts,
        assignment: Arc<Assignment>,
        orders: watch::Receiver<Order>,
        notices: Notices,
    ) -> Self {
        let now = parts.clock.now();
        parts.account.begin(now);
        parts.account.retune(assignment.settings.clone(), now);
        if let Some(feed) = &assignment.feed {
            parts.account.set_feed(feed);
        }
        Self {
            parts,
            orders,
            connection: Connection::clone(&assignment.connection),
            notices,
            assignment,
            incidents: BTreeMap::new(),
            incomplete_lists: IncidentLog::default(),
            intervals: BTreeMap::new(),
            field_watch: FieldWatch::default(),
            field_log: FieldLog::default(),
            held_until: None,
            credential_watch: CredentialWatch::default(),
        }
    }

    /// Polls until the order to stop, or until the sender is dropped. Returns the parts, so that polling can be
    /// resumed; what was read is handed over to the next commit by then. Needs a multi-threaded runtime, because a list
    /// of a million users keeps one thread busy.
    pub(crate) async fn run(mut self) -> Parts {
        self.report_intervals();
        loop {
            if self.next_order().await == Next::Stop {
                self.hand_over_all().await;
                self.let_feed_end().await;
                return self.parts;
            }
            let now = self.parts.clock.now();
            let blocked_until = self.connection.budget.status().blocked_until;
            let held = blocked_until.max(self.held_until.filter(|until| now < *until));
            let step = held.map_or_else(|| self.parts.account.plan(now), Step::Wait);
            match step {
                Step::Wait(until) => {
                    let hold = if blocked_until.is_some() { Hold::Blocked } else { Hold::Other };
                    let missed_at = self.parts.account.list_deadline(hold);
                    let report = self.connection.budget.held().filter(|_| held.is_some());
                    let report = report.and_then(|held| Some((self.hold_report_due()?, held)));
                    match (missed_at, report) {
                        (Some(at), _) if at <= now => self.parts.account.list_missed(),
                        (_, Some((at, held))) if at <= now => self.report_hold(held),
                        _ => {
                            let report_at = report.map(|(at, _)| at);
                            let next = [missed_at, report_at].into_iter().flatten().fold(until, Instant::min);
                            self.wait(next).await;
                            continue;
                        }
                    }
                }
                Step::Fetch(Fetch::Resource(resource)) => self.poll(resource).await,
                Step::Fetch(Fetch::User(request)) => self.read_user(&request).await,
            }
            self.publish().await;
        }
    }

    /// Hands the changes over to the next commit, and publishes the account with the counts of the last one.
    async fn publish(&mut self) {
        let Parts { account, saving, clock, turns, .. } = &mut self.parts;
        let turn = turns.take().await;
        account.at_local_date(clock.date());
        match saving {
            Some(saving) => block_in_place(|| saving.hand_over(account, clock)),
            None => account.saved(),
        }
        self.publish_snapshot();
        turn.end().await;
    }

    fn publish_snapshot(&self) {
        self.parts.snapshots.send_replace(Arc::new(self.parts.account.snapshot()));
    }

    /// Hands everything over to the next commit, because the poller ends.
    async fn hand_over_all(&mut self) {
        let Parts { account, saving, clock, turns, .. } = &mut self.parts;
        if let Some(saving) = saving {
            let _turn = turns.take().await;
            block_in_place(|| saving.hand_over_all(account, clock));
        }
    }

    /// If the account leaves a process that goes on, waits until its last records are on disk, so that the feed may write them.
    async fn let_feed_end(&mut self) {
        let Parts { account, saving, .. } = &mut self.parts;
        let is_leaving = matches!(*self.orders.borrow(), Order::Stop);
        if !is_leaving || !account.has_feed() || !saving.as_ref().is_some_and(Saving::awaits_commit) {
            return;
        }
        tokio::select! {
            () = saving::committed(saving, account) => {}
            _ = self.orders.wait_for(|order| matches!(order, Order::Exit)) => {}
            () = tokio::time::sleep(COMMIT_WAIT) => {}
        }
    }

    /// Waits until `until`, until an order comes, until the file with the credentials must be checked, or until more counts are
    /// on disk, which are published.
    async fn wait(&mut self, until: Instant) {
        let Parts { account, saving, clock, .. } = &mut self.parts;
        let has_file = self.connection.source.file().is_some();
        let check = has_file.then(|| clock.now() + self.credential_watch.interval());
        tokio::select! {
            biased;
            // An error means that there are no more orders, which `next_order` notices.
            _ = self.orders.changed() => {}
            () = saving::committed(saving, account) => self.publish_snapshot(),
            () = clock.sleep_until(check.map_or(until, |check| until.min(check))) => {
                if has_file {
                    self.reload_credentials().await;
                }
            }
        }
    }
}
