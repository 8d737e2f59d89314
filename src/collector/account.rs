//! One account: everything known about it, what to request next, and what an answer changes.
//!
//! Pure: the poller sends the requests, waits, and passes the time in. An answer is compared with what is known,
//! then its changes are applied as a whole. They are saved next ([`Account::changes`]), and only saved changes are
//! published as counted ([`Account::saved`]).

mod changes;
mod clocks;
mod dirty;
mod restore;
mod snapshot;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::cloudflare::limit::Admission;
use crate::collector::audit::Audit;
use crate::collector::ledger::{
    CountingStart, DetailRequest, FetchReason, Ledger, Reading, UNLISTED, Verdict,
};
use crate::collector::persist::Document;
use crate::collector::queue::{Queue, QueueChange};
use crate::collector::roster::{Comparison, Overview, Roster};
use crate::collector::schedule::{FailureClass, Purpose, Schedule};
use crate::collector::top_users::TopUsers;
use crate::collector::user_label::UserLabel;
use crate::model::resource::Intervals;
use crate::model::{
    AccountName, Behavior, Completeness, EventTotals, Integration, LevelChanges, Listing, OddFields,
    Resource, Summary, UserId, UserRisk,
};
use crate::store::row::Table;
use clocks::Clocks;
use dirty::Unsaved;

/// The most integrations with series of their own. Cloudflare knows one kind, and a tenant has one or two.
const MAX_INTEGRATIONS: usize = 256;

/// Refusals of so many different users in a row concern all users, not these.
const REFUSED_USERS: usize = 3;

/// The most users without an answer that are known at a time.
const MAX_FAILING_USERS: usize = 10_000;

/// The most names of behaviors that are looked up because an event had them. Cloudflare documents eight behaviors.
const MAX_LOOKUPS: usize = 256;

/// The most users who left the list and whose events are still to be read. Resetting or removing more users at once is a
/// change of the whole account, not of users.
const MAX_DEPARTED: usize = 10_000;

/// How often expired keys and users are looked for. Nothing expires within less than a week.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(3_600);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this request.
    Fetch(Fetch),
    /// Nothing is due before this instant.
    Wait(Instant),
}

/// Why a due request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Cloudflare blocks all requests.
    Blocked,
    /// Another reason, such as the budget, or a request that takes long.
    Other,
}

/// A request to send to Cloudflare.
#[derive(Debug)]
pub enum Fetch {
    /// Read all pages of a resource.
    Resource(Resource),
    /// Read one user's events.
    User(DetailRequest),
}

/// How an account is polled and shown.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Alias and id.
    pub name: AccountName,
    /// How often each resource is read.
    pub intervals: Intervals,
    /// How many requests this account may send in five minutes.
    pub budget: u32,
    /// The most users with series of their own.
    pub user_limit: usize,
    /// How users are named in labels.
    pub user_label: UserLabel,
    /// The key of the hashes that identify events.
    pub secret: [u8; 16],
    /// The seed of the jitter.
    pub seed: u64,
}

/// Everything known about one account.
#[derive(Debug)]
pub struct Account {
    name: AccountName,
    user_label: UserLabel,
    roster: Roster,
    overview: Option<Overview>,
    top_users: TopUsers,
    queue: Queue,
    audit: Audit,
    ledger: Ledger,
    schedule: Schedule,
    behaviors: Option<Vec<Behavior>>,
    integrations: Option<Vec<Integration>>,
    up: Option<bool>,
    /// Whether the latest request for the summary was answered, completely or not.
    reachability: Reachability,
    labels: LabelsReady,
    last_success: BTreeMap<Resource, Timestamp>,
    clocks: Clocks,
    rejected: BTreeMap<Resource, u64>,
    /// How often each field did not have its documented form.
    unexpected: BTreeMap<(Resource, &'static str), u64>,
    /// When expired keys and users were last looked for, on Cloudflare's clock.
    last_cleanup: Option<Timestamp>,
    /// Events of a behavior without a label, which wait for the behaviors to be read.
    unlabelled: Option<Unlabelled>,
    /// The names for which the behaviors were read, so that each causes one request.
    looked_up: BTreeSet<String>,
    /// Users who left the list and were not queued, since the start.
    departures_skipped: u64,
    /// The latest users in a row whose events were refused, at most [`REFUSED_USERS`].
    refused_users: Vec<UserId>,
    /// The users whose latest request failed.
    failing_users: HashSet<UserId>,
    turn: Turn,
    unsaved: Unsaved,
    published: Published,
}

/// Which request goes first if a resource and a user's events are due. They take turns: if it takes longer than the
/// interval to read and save a list, the list is always due, and no user's events would be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Resource,
    User,
}

/// A reading that cannot be counted yet: the behavior of an event is unknown, and its display name must not become a label
/// while Cloudflare may list it.
#[derive(Debug)]
struct Unlabelled {
    names: Vec<String>,
    request: DetailRequest,
    risk: UserRisk,
    date: Timestamp,
}

/// The totals as last saved. No published counter may be ahead of the durable copy.
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

/// Whether the request for the behaviors was answered once: with a list, a refusal, or an answer that cannot be
/// used. Before that, a display name might become a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelsReady {
    Yes,
    NotYet,
}

impl Account {
    /// An account about which nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        let Settings { name, intervals, budget, user_limit, user_label, secret, seed } = settings;
        Self {
            name,
            roster: Roster::default(),
            overview: None,
            top_users: TopUsers::new(shown_users(user_limit, &user_label)),
            user_label,
            queue: Queue::default(),
            audit: Audit::new(intervals.audit),
            ledger: Ledger::new(secret),
            schedule: Schedule::new(intervals, budget, seed),
            behaviors: None,
            integrations: None,
            up: None,
            reachability: Reachability::Silent,
            labels: LabelsReady::NotYet,
            last_success: BTreeMap::new(),
            clocks: Clocks::default(),
            rejected: BTreeMap::new(),
            unexpected: BTreeMap::new(),
            last_cleanup: None,
            unlabelled: None,
            looked_up: BTreeSet::new(),
            departures_skipped: 0,
            refused_users: Vec::new(),
            failing_users: HashSet::new(),
            turn: Turn::Resource,
            unsaved: Unsaved::Everything,
            published: Published::default(),
        }
    }

    /// All changes were saved: publishes them.
    pub fn saved(&mut self) {
        self.unsaved = Unsaved::nothing();
        self.publish();
    }

    /// The durable copy was lost: everything must be saved again.
    pub fn save_everything(&mut self) {
        self.unsaved = Unsaved::Everything;
    }

    fn publish(&mut self) {
        self.published = Published { since: self.ledger.epoch(), totals: self.ledger.totals() };
    }

    /// Alias and id.
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    /// The time between two readings of `resource` that the budget allows.
    pub fn interval(&self, resource: Resource) -> Option<Duration> {
        self.schedule.interval(resource)
    }

    /// The configured time between two readings of `resource`.
    pub fn configured_interval(&self, resource: Resource) -> Option<Duration> {
        self.schedule.configured(resource)
    }

    /// How many users left the list since the start and were not queued, because too many did.
    pub fn departures_skipped(&self) -> u64 {
        self.departures_skipped
    }

    /// How many users could not be read when they were last requested.
    pub fn failing_users(&self) -> usize {
        self.failing_users.len()
    }

    /// When `up` becomes 0 unless the summary is read before. `None` if it is not 1.
    pub fn list_deadline(&self, hold: Hold) -> Option<Instant> {
        let due = self.schedule.due_at(Resource::Summary).filter(|_| self.up == Some(true))?;
        match hold {
            Hold::Blocked => Some(due),
            Hold::Other => self.interval(Resource::Summary).map(|interval| due + interval),
        }
    }

    /// The summary could not be requested in time, whatever the reason.
    pub fn list_missed(&mut self) {
        self.up = Some(false);
        self.unsaved.document(Document::CollectorState);
    }

    /// Whether the events of so many different users in a row were refused that the refusal concerns all users.
    pub fn users_are_refused(&self) -> bool {
        self.refused_users.len() >= REFUSED_USERS
    }

    /// What to do next.
    pub fn plan(&mut self, now: Instant) -> Step {
        if self.unlabelled.is_some() {
            return Step::Fetch(Fetch::Resource(Resource::Behaviors));
        }
        if self.turn == Turn::Resource
            && let Some(resource) = self.schedule.due(now)
        {
            self.turn = Turn::User;
            return Step::Fetch(Fetch::Resource(resource));
        }
        self.turn = Turn::Resource;
        if let Some(request) = self.next_user(now) {
            return Step::Fetch(Fetch::User(request));
        }
        if let Some(resource) = self.schedule.due(now) {
            self.turn = Turn::User;
            return Step::Fetch(Fetch::Resource(resource));
        }
        Step::Wait(self.next_due(now))
    }

    /// Whether users' events may be read and counted.
    fn is_counting(&self) -> bool {
        self.ledger.epoch().is_some()
            && self.labels == LabelsReady::Yes
            && self.reachability == Reachability::Answered
    }

    /// The user whose events are to be read now.
    fn next_user(&mut self, now: Instant) -> Option<DetailRequest> {
        if !self.is_counting() {
            return None;
        }
        let may = |purpose| self.schedule.user_turn(purpose, now) == Admission::Now;
        let (change, audit) = (may(Purpose::Change), may(Purpose::Audit));
        let pending = if change { self.next_pending(now) } else { None };
        pending.or_else(|| if audit { self.next_audited(now) } else { None })
    }

    /// When the next request is due, if none is due now.
    fn next_due(&self, now: Instant) -> Instant {
        let next_poll = self.schedule.next_due();
        if !self.is_counting() {
            return next_poll;
        }
        let change = self.schedule.user_turn(Purpose::Change, now);
        let audit = self.schedule.user_turn(Purpose::Audit, now);
        let starts = |turn, due: Option<Instant>| match turn {
            Admission::At(free) => Some(free),
            Admission::Now | Admission::AfterResponse => due,
        };
        let users = [starts(change, self.queue.next_due()), starts(audit, self.audit.next_due())];
        users.into_iter().flatten().filter(|due| *due > now).fold(next_poll, Instant::min)
    }

    /// The summary was read. `local_date` is the date on our own clock.
    pub fn summary_read(&mut self, summary: &Summary, now: Instant, local_date: Timestamp) {
        let date = summary.date.unwrap_or(local_date);
        self.at_date_of_list(date, local_date);
        self.reachability = Reachability::Answered;
        self.reject(Resource::Summary, summary.unreadable.len() as u64 + u64::from(summary.anonymous));
        self.add_unexpected(Resource::Summary, &summary.odd);
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
            if self.ledger.start_counting(date) == CountingStart::Now {
                self.unsaved.document(Document::Totals);
            }
            self.unsaved.users(Table::TopUsers, self.top_users.select(summary, now));
            self.last_success.insert(Resource::Summary, local_date);
        }
        self.apply_comparison(comparison, date);
        if whole {
            self.clean_up(date);
        }
        self.unsaved.document(Document::CollectorState);
    }

    /// A user's events were read.
    pub fn user_read(
        &mut self,
        request: &DetailRequest,
        risk: &UserRisk,
        now: Instant,
        local_date: Timestamp,
    ) {
        self.user_answered(request);
        self.reject(Resource::User, u64::from(risk.rejected));
        self.add_unexpected(Resource::User, &risk.odd);
        if risk.completeness == Completeness::Complete {
            self.last_success.insert(Resource::User, local_date);
        }
        let date = risk.date.unwrap_or(local_date);
        self.spent(request, risk.pages, now);
        let names = self.ledger.unknown_behaviors(request, risk, date);
        let room = MAX_LOOKUPS.saturating_sub(self.looked_up.len());
        if names.len() <= room && names.iter().any(|name| !self.looked_up.contains(name)) {
            self.unlabelled = Some(Unlabelled { names, request: *request, risk: risk.clone(), date });
            return;
        }
        let reading = self.ledger.reconcile(request, risk, date);
        self.apply_reading(request, reading, now);
    }

    /// The behaviors were read, or are denied: counts the events that waited for them.
    fn count_unlabelled(&mut self, now: Instant) {
        if let Some(Unlabelled { names, request, risk, date }) = self.unlabelled.take() {
            self.looked_up.extend(names);
            let reading = self.ledger.reconcile(&request, &risk, date);
            self.apply_reading(&request, reading, now);
        }
    }

    /// Cloudflare does not know the user. If the user left the list, that was a removal; if the user is listed, a
    /// later request may find it.
    pub fn user_not_found(&mut self, request: &DetailRequest, now: Instant) {
        self.user_answered(request);
        self.spent(request, 1, now);
        if request.reason == FetchReason::Gone {
            let reading = self.ledger.reconcile_not_found(request);
            self.apply_reading(request, reading, now);
        } else {
            self.back_off(request, now);
        }
    }

    /// A user's events could not be read. An audited user gets another turn in the next round.
    pub fn user_failed(&mut self, request: &DetailRequest, failure: FailureClass, now: Instant) {
        self.spent(request, 1, now);
        let id = request.user.id;
        if self.failing_users.len() < MAX_FAILING_USERS {
            self.failing_users.insert(id);
        }
        if matches!(failure, FailureClass::Transient | FailureClass::Unusable) {
            return self.back_off(request, now);
        }
        if !self.refused_users.contains(&id) {
            self.refused_users.truncate(REFUSED_USERS - 1);
            self.refused_users.insert(0, id);
        }
        if !self.users_are_refused() {
            return self.back_off(request, now);
        }
        // All users are refused. After the pause another user is the next test.
        self.queue.postpone(id, now);
        self.audit.read(id, now);
        self.unsaved.user(Table::Pending, id);
        self.schedule.users_denied(now);
    }

    /// Cloudflare answered a request for a user's events.
    fn user_answered(&mut self, request: &DetailRequest) {
        self.refused_users.clear();
        self.failing_users.remove(&request.user.id);
        self.schedule.accepted();
    }

    /// The behaviors were read.
    pub fn behaviors_read(&mut self, found: Listing<Behavior>, now: Instant, local_date: Timestamp) {
        let Listing { rows: mut behaviors, rejected, odd } = found;
        self.reject(Resource::Behaviors, rejected.into());
        self.add_unexpected(Resource::Behaviors, &odd);
        behaviors.sort_by(|a, b| a.id.cmp(&b.id));
        self.ledger.list_behaviors(&behaviors);
        self.labels = LabelsReady::Yes;
        let is_different = self.behaviors.replace(behaviors) != self.behaviors;
        if is_different {
            self.unsaved.document(Document::Totals);
            self.unsaved.document(Document::Behaviors);
        }
        self.unsaved.document(Document::CollectorState);
        self.last_success.insert(Resource::Behaviors, local_date);
        self.schedule.read(Resource::Behaviors, 1, now);
        self.count_unlabelled(now);
    }

    /// The integrations were read.
    pub fn integrations_read(&mut self, found: Listing<Integration>, now: Instant, local_date: Timestamp) {
        let Listing { rows: mut integrations, rejected, odd } = found;
        self.reject(Resource::Integrations, rejected.into());
        self.add_unexpected(Resource::Integrations, &odd);
        integrations.sort_by_key(|integration| integration.id);
        integrations.truncate(MAX_INTEGRATIONS);
        self.integrations = Some(integrations);
        self.unsaved.document(Document::Integrations);
        self.unsaved.document(Document::CollectorState);
        self.last_success.insert(Resource::Integrations, local_date);
        self.schedule.read(Resource::Integrations, 1, now);
    }

    /// A resource was read whose content is not kept.
    pub fn read(&mut self, resource: Resource, now: Instant) {
        self.schedule.read(resource, 1, now);
    }

    /// `resource` could not be read. What is known about it stays.
    pub fn failed(&mut self, resource: Resource, failure: FailureClass, now: Instant) {
        if resource == Resource::Summary {
            (self.up, self.reachability) = (Some(false), Reachability::Silent);
        }
        self.unsaved.document(Document::CollectorState);
        self.schedule.failed(resource, failure, now);
        let is_final = failure == FailureClass::Unusable || self.schedule.is_denied(resource);
        if resource == Resource::Behaviors && is_final {
            self.labels = LabelsReady::Yes;
            self.count_unlabelled(now);
        } else if resource == Resource::Behaviors
            && let Some(Unlabelled { request, .. }) = self.unlabelled.take()
        {
            self.back_off(&request, now);
        }
    }

    /// Other settings apply from now on. The secret and the seed stay as they are, because counted events are recognized by
    /// the secret.
    pub fn retune(&mut self, settings: Settings, now: Instant) {
        let Settings { name, intervals, budget, user_limit, user_label, secret: _, seed: _ } = settings;
        self.name = name;
        self.schedule.retune(intervals, budget, now);
        self.audit.set_interval(intervals.audit);
        let dropped = self.top_users.set_limit(shown_users(user_limit, &user_label));
        self.unsaved.users(Table::TopUsers, dropped);
        if !matches!(user_label, UserLabel::Email) {
            self.top_users.forget_identities();
        }
        self.user_label = user_label;
    }

    /// The credentials changed: everything that they could not read is due now.
    pub fn retry_now(&mut self, now: Instant) {
        self.refused_users.clear();
        self.schedule.retry_now(now);
    }

    /// Retries after a refusal come this often.
    pub fn retry_refused_every(&mut self, interval: Duration) {
        self.schedule.retry_refused_every(interval);
    }

    fn next_pending(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.queue.next(now)?;
        let (user, pending) = (self.roster.get(id)?, self.queue.get(id)?);
        let request = DetailRequest::pending(*user, pending, now);
        self.queue.served();
        Some(request)
    }

    fn next_audited(&mut self, now: Instant) -> Option<DetailRequest> {
        let id = self.audit.next(&self.roster, |id| self.queue.get(id).is_some(), now)?;
        self.audit.advance_to(id);
        self.roster.get(id).map(|user| DetailRequest::audit(*user))
    }

    fn apply_comparison(&mut self, comparison: Comparison, date: Timestamp) {
        let Comparison { users, changed, gone, level_changes, overview } = comparison;
        let mut left = gone.iter().filter_map(|id| self.roster.get(*id).copied()).collect::<Vec<_>>();
        self.unsaved.users(Table::Users, users.iter().map(|user| user.id));
        self.roster.apply(users, date);
        if level_changes != LevelChanges::default() {
            self.ledger.count_level_changes(&level_changes);
            self.unsaved.document(Document::Totals);
        }
        for (id, fingerprint, level_before) in changed {
            if self.queue.changed(id, fingerprint, level_before, date) == QueueChange::Changed {
                self.unsaved.user(Table::Pending, id);
            }
        }
        left.sort_by_key(|user| Reverse(user.level));
        for user in left {
            if self.queue.departed() >= MAX_DEPARTED && self.queue.get(user.id).is_none() {
                self.departures_skipped += 1;
                continue;
            }
            self.queue.gone(user.id, user.covered, user.level_since(), date);
            self.unsaved.user(Table::Pending, user.id);
        }
        if overview.is_some() {
            self.overview = overview;
        }
    }

    fn apply_reading(&mut self, request: &DetailRequest, reading: Reading, now: Instant) {
        let (verdict, user) = (reading.verdict, reading.user);
        self.ledger.apply(reading);
        self.roster.replace(user);
        self.audit.read(user.id, now);
        for table in [Table::Users, Table::Records, Table::Pending] {
            self.unsaved.user(table, user.id);
        }
        self.unsaved.document(Document::Totals);
        self.unsaved.document(Document::CollectorState);
        match verdict {
            Verdict::Short(attempts, retry) => self.queue.short(user.id, attempts, retry, now),
            Verdict::Done if request.reason == FetchReason::Audit => {}
            Verdict::Done => drop(self.queue.remove(user.id)),
        }
    }

    fn back_off(&mut self, request: &DetailRequest, now: Instant) {
        self.queue.failed(request.user.id, now);
        self.audit.read(request.user.id, now);
        self.unsaved.user(Table::Pending, request.user.id);
    }

    /// Removes what has expired: keys of events absent for a week, then users gone for 90 days.
    fn clean_up(&mut self, date: Timestamp) {
        if self.last_cleanup.is_some_and(|last| last <= date && date < last + CLEANUP_INTERVAL) {
            return;
        }
        self.last_cleanup = Some(date);
        let roster = &self.roster;
        let changed = self.ledger.forget_absent(date, |id| roster.gone_since(id));
        self.unsaved.users(Table::Records, changed);
        let mut dropped = self.roster.gone_for(UNLISTED, date);
        dropped.retain(|id| self.queue.get(*id).is_none() && self.ledger.drop_user(*id));
        if self.ledger.merge_forgotten(date) || !dropped.is_empty() {
            self.unsaved.document(Document::Totals);
        }
        for table in [Table::Users, Table::Records] {
            self.unsaved.users(table, dropped.iter().copied());
        }
        self.failing_users.retain(|id| !dropped.contains(id));
        self.roster.remove(dropped);
    }

    fn spent(&mut self, request: &DetailRequest, pages: u32, now: Instant) {
        let purpose = if request.reason == FetchReason::Audit { Purpose::Audit } else { Purpose::Change };
        self.schedule.spent(purpose, pages, now);
    }

    fn reject(&mut self, resource: Resource, rows: u64) {
        *self.rejected.entry(resource).or_default() += rows;
    }

    fn add_unexpected(&mut self, resource: Resource, odd: &OddFields) {
        for field in odd.iter() {
            *self.unexpected.entry((resource, field.field)).or_default() += u64::from(field.count);
        }
    }
}

/// How many users have series of their own.
fn shown_users(limit: usize, label: &UserLabel) -> usize {
    if matches!(label, UserLabel::Omitted) { 0 } else { limit }
}
