//! One account: everything known of it, what to ask next, and what an answer changes.
//!
//! Pure: the poller asks and waits, and tells the time. Each answer is compared first, and what it changes
//! is applied as a whole. Then it is saved ([`Account::changes`]), and only what was saved is shown as
//! counted ([`Account::saved`]).

mod changes;
mod dirty;
mod restore;
mod snapshot;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::cloudflare::limit::Turn;
use crate::collector::audit::Audit;
use crate::collector::ledger::{Begun, DetailRequest, FetchReason, Ledger, Reading, UNLISTED, Verdict};
use crate::collector::persist::Document;
use crate::collector::queue::{News, Queue};
use crate::collector::roster::{Comparison, Overview, Roster};
use crate::collector::schedule::{FailureClass, Intervals, Purpose, Schedule};
use crate::collector::top_users::TopUsers;
use crate::collector::user_label::UserLabel;
use crate::model::{
    AccountName, Behavior, Completeness, EventTotals, Integration, LevelChanges, Listing, Resource, Summary,
    UserRisk,
};
use crate::store::row::Table;
use dirty::Unsaved;

/// Integrations with series of their own; Cloudflare knows one kind, and a tenant has one or two.
const INTEGRATIONS: usize = 256;

/// How often it is looked for what may be forgotten; nothing may sooner than after a week.
const FORGETTING: Duration = Duration::from_secs(3_600);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask Cloudflare.
    Ask(Question),
    /// Nothing, before this moment.
    Wait(Instant),
}

/// What to ask Cloudflare.
#[derive(Debug)]
pub enum Question {
    /// Read a whole endpoint.
    Poll(Resource),
    /// Read one user's events.
    User(DetailRequest),
}

/// How an account is watched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called.
    pub name: AccountName,
    /// How often what is read.
    pub intervals: Intervals,
    /// This account's part of the requests allowed in five minutes.
    pub budget: u32,
    /// How many users get series of their own.
    pub series: usize,
    /// What users are called.
    pub naming: UserLabel,
    /// Keys the hashes of events.
    pub secret: [u8; 16],
    /// Varies the jitter.
    pub seed: u64,
}

/// Everything known of one account.
#[derive(Debug)]
pub struct Account {
    name: AccountName,
    naming: UserLabel,
    roster: Roster,
    overview: Option<Overview>,
    series: TopUsers,
    queue: Queue,
    audit: Audit,
    ledger: Ledger,
    schedule: Schedule,
    behaviors: Option<Vec<Behavior>>,
    integrations: Option<Vec<Integration>>,
    up: Option<bool>,
    /// Whether the latest attempt to read the summary was answered, whole or not.
    reach: Reachability,
    labels: LabelsReady,
    last_success: BTreeMap<Resource, Timestamp>,
    rejected: BTreeMap<Resource, u64>,
    /// When Cloudflare's clock last showed that it is time to forget.
    forgot: Option<Timestamp>,
    unsaved: Unsaved,
    published: Published,
}

/// What was counted, as last saved: no counter on the page may be ahead of the durable copy.
#[derive(Debug, Default)]
struct Published {
    since: Option<Timestamp>,
    totals: EventTotals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reachability {
    Answered,
    Silent,
}

/// Whether behaviors were read, or refused, or answered in a way that nobody can use, once: before that a
/// display name might become a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelsReady {
    Yes,
    NotYet,
}

impl Account {
    /// An account of which nothing is known.
    pub fn new(settings: Settings) -> Self {
        let Settings { name, intervals, budget, series, naming, secret, seed } = settings;
        let series = if matches!(naming, UserLabel::Nobody) { 0 } else { series };
        Self {
            name,
            naming,
            roster: Roster::default(),
            overview: None,
            series: TopUsers::new(series),
            queue: Queue::default(),
            audit: Audit::new(intervals.audit),
            ledger: Ledger::new(secret),
            schedule: Schedule::new(intervals, budget, seed),
            behaviors: None,
            integrations: None,
            up: None,
            reach: Reachability::Silent,
            labels: LabelsReady::NotYet,
            last_success: BTreeMap::new(),
            rejected: BTreeMap::new(),
            forgot: None,
            unsaved: Unsaved::Everything,
            published: Published::default(),
        }
    }

    /// All changes were saved: they may be seen.
    pub fn saved(&mut self) {
        self.unsaved = Unsaved::nothing();
        self.publish();
    }

    /// The durable copy was lost: everything is to be saved again.
    pub fn save_everything(&mut self) {
        self.unsaved = Unsaved::Everything;
    }

    fn publish(&mut self) {
        self.published = Published { since: self.ledger.epoch(), totals: self.ledger.totals() };
    }

    /// What it is called.
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    /// The time between two readings of `endpoint`, as the budget allows.
    pub fn interval(&self, endpoint: Resource) -> Option<std::time::Duration> {
        self.schedule.interval(endpoint)
    }

    /// The same, as it was wished for.
    pub fn configured_interval(&self, endpoint: Resource) -> Option<std::time::Duration> {
        self.schedule.configured(endpoint)
    }

    /// What to do next.
    pub fn plan(&mut self, now: Instant) -> Step {
        if let Some(endpoint) = self.schedule.due(now) {
            return Step::Ask(Question::Poll(endpoint));
        }
        let next_poll = self.schedule.next_due();
        if self.ledger.epoch().is_none()
            || self.labels == LabelsReady::NotYet
            || self.reach == Reachability::Silent
        {
            return Step::Wait(next_poll);
        }
        let change = self.schedule.user_turn(Purpose::Change, now);
        let audit = self.schedule.user_turn(Purpose::Audit, now);
        if change == Turn::Now
            && let Some(asked) = self.next_pending(now)
        {
            return Step::Ask(Question::User(asked));
        }
        if audit == Turn::Now
            && let Some(asked) = self.next_audit(now)
        {
            return Step::Ask(Question::User(asked));
        }
        let when = |turn, due: Option<Instant>| match turn {
            Turn::At(free) => Some(free),
            Turn::Now | Turn::AfterAnswer => due,
        };
        let users = [when(change, self.queue.next_due()), when(audit, self.audit.next_due())];
        let next = users.into_iter().flatten().filter(|due| *due > now).fold(next_poll, Instant::min);
        Step::Wait(next)
    }

    /// The summary was read. `ours` is the date on our own clock.
    pub fn summary_read(&mut self, summary: &Summary, now: Instant, ours: Timestamp) {
        let date = summary.date.unwrap_or(ours);
        self.reach = Reachability::Answered;
        self.reject(Resource::Summary, summary.unreadable.len() as u64 + u64::from(summary.anonymous));
        self.schedule.read(Resource::Summary, summary.pages, now);
        let whole = summary.completeness == Completeness::Complete;
        self.up = Some(whole);
        let comparison = match (whole, self.ledger.epoch()) {
            (true, None) => Roster::baseline(summary, date),
            (true, Some(_)) => self.roster.compare(summary, date),
            (false, Some(_)) => self.roster.compare_partial(summary, date),
            (false, None) => Comparison::default(),
        };
        if whole {
            if self.ledger.begin(date) == Begun::Now {
                self.unsaved.document(Document::Counting);
            }
            self.unsaved.users(Table::TopUsers, self.series.choose(summary, now));
            self.last_success.insert(Resource::Summary, ours);
        }
        self.take_over(comparison, date);
        if whole {
            self.forget(date);
        }
        self.unsaved.document(Document::CollectorState);
    }

    /// A user's events were read.
    pub fn user_read(&mut self, asked: &DetailRequest, risk: &UserRisk, now: Instant, ours: Timestamp) {
        self.reject(Resource::User, u64::from(risk.rejected));
        if risk.completeness == Completeness::Complete {
            self.last_success.insert(Resource::User, ours);
        }
        let date = risk.date.unwrap_or(ours);
        let reading = self.ledger.reconcile(asked, risk, date);
        self.spent(asked, risk.pages, now);
        self.settle(asked, reading, now);
    }

    /// There is no such user. One who is gone was removed; one who is listed may come to be found.
    pub fn user_not_found(&mut self, asked: &DetailRequest, now: Instant) {
        self.spent(asked, 1, now);
        if asked.why == FetchReason::Gone {
            let reading = self.ledger.reconcile_not_found(asked);
            self.settle(asked, reading, now);
        } else {
            self.put_off(asked, now);
        }
    }

    /// A user's events could not be read. A user who was only audited comes round again.
    pub fn user_failed(&mut self, asked: &DetailRequest, setback: FailureClass, now: Instant) {
        self.spent(asked, 1, now);
        match setback {
            FailureClass::Passing | FailureClass::Unusable => self.put_off(asked, now),
            FailureClass::Refused | FailureClass::Closed => {
                self.schedule.failed(Resource::User, setback, now);
            }
        }
    }

    /// The behaviors were read.
    pub fn behaviors_read(&mut self, found: Listing<Behavior>, now: Instant, ours: Timestamp) {
        let Listing { rows: mut behaviors, rejected } = found;
        self.reject(Resource::Behaviors, rejected.into());
        behaviors.sort_by(|a, b| a.id.cmp(&b.id));
        self.ledger.label(&behaviors);
        self.labels = LabelsReady::Yes;
        let is_news = self.behaviors.replace(behaviors) != self.behaviors;
        if is_news {
            self.unsaved.document(Document::Counting);
            self.unsaved.document(Document::Behaviors);
        }
        self.unsaved.document(Document::CollectorState);
        self.last_success.insert(Resource::Behaviors, ours);
        self.schedule.read(Resource::Behaviors, 1, now);
    }

    /// The integrations were read.
    pub fn integrations_read(&mut self, found: Listing<Integration>, now: Instant, ours: Timestamp) {
        let Listing { rows: mut integrations, rejected } = found;
        self.reject(Resource::Integrations, rejected.into());
        integrations.sort_by_key(|integration| integration.id);
        integrations.truncate(INTEGRATIONS);
        self.integrations = Some(integrations);
        self.unsaved.document(Document::Integrations);
        self.unsaved.document(Document::CollectorState);
        self.last_success.insert(Resource::Integrations, ours);
        self.schedule.read(Resource::Integrations, 1, now);
    }

    /// The token was verified.
    pub fn token_read(&mut self, now: Instant) {
        self.schedule.read(Resource::TokenVerify, 1, now);
    }

    /// `endpoint` could not be read; what is known of it stays.
    pub fn failed(&mut self, endpoint: Resource, setback: FailureClass, now: Instant) {
        if endpoint == Resource::Summary {
            (self.up, self.reach) = (Some(false), Reachability::Silent);
        }
        if endpoint == Resource::Behaviors && matches!(setback, FailureClass::Closed | FailureClass::Unusable)
        {
            self.labels = LabelsReady::Yes;
        }
        self.unsaved.document(Document::CollectorState);
        self.schedule.failed(endpoint, setback, now);
    }

    /// The credentials changed.
    pub fn retry_now(&mut self, now: Instant) {
        self.schedule.retry_now(now);
    }

    /// What was refused is tried again this often.
    pub fn retry_refused_every(&mut self, interval: Duration) {
        self.schedule.retry_refused_every(interval);
    }

    fn next_pending(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.queue.next(now)?;
        let (user, pending) = (self.roster.get(id)?, self.queue.get(id)?);
        let asked = DetailRequest::pending(*user, pending);
        self.queue.served();
        Some(asked)
    }

    fn next_audit(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.audit.next(&self.roster, |id| self.queue.get(id).is_some(), now)?;
        self.audit.came_to(id);
        self.roster.get(id).map(|user| DetailRequest::audit(*user))
    }

    fn take_over(&mut self, comparison: Comparison, date: Timestamp) {
        let Comparison { users, changed, gone, level_changes, overview } = comparison;
        let standings = gone.iter().filter_map(|id| self.roster.get(*id).copied()).collect::<Vec<_>>();
        self.unsaved.users(Table::Users, users.iter().map(|user| user.id));
        self.roster.apply(users, date);
        if level_changes != LevelChanges::default() {
            self.ledger.moved(&level_changes);
            self.unsaved.document(Document::Counting);
        }
        for (id, tuple, before) in changed {
            if self.queue.changed(id, tuple, before, date) == News::Yes {
                self.unsaved.user(Table::Pending, id);
            }
        }
        for user in standings {
            self.queue.gone(user.id, user.covered, user.standing(), date);
            self.unsaved.user(Table::Pending, user.id);
        }
        if overview.is_some() {
            self.overview = overview;
        }
    }

    fn settle(&mut self, asked: &DetailRequest, reading: Reading, now: Instant) {
        let (verdict, user) = (reading.verdict, reading.user);
        self.ledger.apply(reading);
        self.roster.replace(user);
        self.audit.read(user.id, now);
        for table in [Table::Users, Table::Records, Table::Pending] {
            self.unsaved.user(table, user.id);
        }
        self.unsaved.document(Document::Counting);
        self.unsaved.document(Document::CollectorState);
        match verdict {
            Verdict::Short(tries) => self.queue.short(user.id, tries, now),
            Verdict::Done if asked.why == FetchReason::Audit => {}
            Verdict::Done => drop(self.queue.remove(user.id)),
        }
    }

    fn put_off(&mut self, asked: &DetailRequest, now: Instant) {
        self.queue.failed(asked.user.id, now);
        self.audit.read(asked.user.id, now);
        self.unsaved.user(Table::Pending, asked.user.id);
    }

    /// Forgets what is bounded in time: keys of events long absent, then users long gone.
    fn forget(&mut self, date: Timestamp) {
        if self.forgot.is_some_and(|forgot| date < forgot + FORGETTING) {
            return;
        }
        self.forgot = Some(date);
        let roster = &self.roster;
        let changed = self.ledger.forget_absent(date, |id| roster.gone_since(id));
        self.unsaved.users(Table::Records, changed);
        let mut dropped = self.roster.gone_for(UNLISTED, date);
        dropped.retain(|id| self.queue.get(*id).is_none() && self.ledger.drop_user(*id));
        if self.ledger.merge_forgotten(date) || !dropped.is_empty() {
            self.unsaved.document(Document::Counting);
        }
        for table in [Table::Users, Table::Records] {
            self.unsaved.users(table, dropped.iter().copied());
        }
        self.roster.remove(dropped);
    }

    fn spent(&mut self, asked: &DetailRequest, pages: u32, now: Instant) {
        let purpose = if asked.why == FetchReason::Audit { Purpose::Audit } else { Purpose::Change };
        self.schedule.spent(purpose, pages, now);
    }

    fn reject(&mut self, endpoint: Resource, rows: u64) {
        *self.rejected.entry(endpoint).or_default() += rows;
    }
}
