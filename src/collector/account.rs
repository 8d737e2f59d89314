//! One account: everything known about it, what to request next, and what an answer changes.
//!
//! Pure: the poller sends the requests, waits, and passes the time in. An answer is compared with what is known,
//! then its changes are applied as a whole. They are handed over to a commit next ([`Account::changes`]), and only what was
//! committed is published as counted ([`Account::committed`]).

mod changes;
mod clocks;
mod dirty;
mod labels_due;
mod lists;
mod plan;
mod refusals;
mod restore;
mod snapshot;
mod user_readings;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::collector::audit::Audit;
use crate::collector::ledger::{AnswerDate, DetailRequest, Ledger};
use crate::collector::persist::Document;
use crate::collector::queue::Queue;
use crate::collector::roster::{Overview, Roster};
use crate::collector::schedule::Schedule;
use crate::collector::top_users::TopUsers;
use crate::collector::user_label::UserLabel;
use crate::model::resource::Intervals;
use crate::model::{
    AccountName, Baseline, Behavior, EventTotals, Integration, OddFields, Resource, UserId, UserRisk,
};
use crate::store::row::Table;
use clocks::Clocks;
use dirty::{Unsaved, Urgency};
use labels_due::LabelsDue;
use refusals::Refusals;

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
    /// The settings that behaviors should have, if they are declared.
    pub baseline: Option<Arc<Baseline>>,
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
    /// How many behaviors of the latest list could not be read.
    unreadable_behaviors: u32,
    baseline: Option<Arc<Baseline>>,
    integrations: Option<Vec<Integration>>,
    up: Option<bool>,
    /// Whether the latest request for the summary was answered, completely or not.
    reachability: Reachability,
    labels: LabelsDue,
    last_success: BTreeMap<Resource, Timestamp>,
    clocks: Clocks,
    rejected: BTreeMap<Resource, u64>,
    /// How often each field did not have its documented form.
    unexpected: BTreeMap<(Resource, &'static str), u64>,
    /// Since when the list of users is null, although users were listed before.
    null_since: Option<Instant>,
    /// Since when the list of behaviors is empty, although some were listed before.
    no_behaviors_since: Option<Instant>,
    /// When expired keys and users were last looked for, on the clock that was behind.
    last_cleanup: Option<Timestamp>,
    /// Events of a behavior without a label, which wait for the behaviors to be read.
    unlabelled: Option<Unlabelled>,
    /// The names for which the behaviors were read, so that each causes one request.
    looked_up: BTreeSet<String>,
    /// Users who left the list and were not queued, since the start.
    departures_skipped: u64,
    /// The users whose events are refused.
    refusals: Refusals,
    /// The users whose latest request failed.
    failing_users: HashSet<UserId>,
    turn: Turn,
    /// The resources whose date of the last success was marked as unsaved by this process.
    dated: BTreeSet<Resource>,
    unsaved: Unsaved,
    /// What was handed over to a commit that has not ended.
    handed: Option<Published>,
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
    answered: AnswerDate,
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

impl Account {
    /// An account about which nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        let Settings { name, intervals, budget, user_limit, user_label, baseline, secret, seed } = settings;
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
            unreadable_behaviors: 0,
            baseline,
            integrations: None,
            up: None,
            reachability: Reachability::Silent,
            labels: LabelsDue::default(),
            last_success: BTreeMap::new(),
            clocks: Clocks::default(),
            rejected: BTreeMap::new(),
            unexpected: BTreeMap::new(),
            null_since: None,
            no_behaviors_since: None,
            last_cleanup: None,
            unlabelled: None,
            looked_up: BTreeSet::new(),
            departures_skipped: 0,
            refusals: Refusals::default(),
            failing_users: HashSet::new(),
            turn: Turn::Resource,
            dated: BTreeSet::new(),
            unsaved: Unsaved::Everything,
            handed: None,
            published: Published::default(),
        }
    }

    /// All changes were handed over to a commit. Later changes are handed over to another one, or again to the same one.
    pub fn handed_over(&mut self) {
        self.unsaved = Unsaved::nothing();
        self.handed = Some(self.totals());
    }

    /// The commit that changes were last handed over to has ended: publishes what it contains.
    pub fn committed(&mut self) {
        if let Some(handed) = self.handed.take() {
            self.published = handed;
        }
    }

    /// All changes were saved, or there is no file to save them to: publishes them.
    pub fn saved(&mut self) {
        self.handed_over();
        self.committed();
    }

    /// The durable copy, or a commit, was lost: everything must be saved again.
    pub fn save_everything(&mut self) {
        self.unsaved = Unsaved::Everything;
        self.handed = None;
    }

    fn totals(&self) -> Published {
        Published { since: self.ledger.epoch(), totals: self.ledger.totals() }
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

    /// Polling begins. What was due before is due now, so that nothing is overdue yet.
    pub fn begin(&mut self, now: Instant) {
        self.schedule.begin(now);
    }

    /// Other settings apply from now on. The secret and the seed stay as they are, because counted events are recognized by
    /// the secret.
    pub fn retune(&mut self, settings: Settings, now: Instant) {
        let Settings { name, intervals, budget, user_limit, user_label, baseline, secret: _, seed: _ } =
            settings;
        self.name = name;
        self.schedule.retune(intervals, budget, now);
        self.audit.set_interval(intervals.audit);
        let dropped = self.top_users.set_limit(shown_users(user_limit, &user_label));
        self.unsaved.users(Table::TopUsers, dropped);
        if !matches!(user_label, UserLabel::Email) {
            self.top_users.forget_identities();
        }
        self.user_label = user_label;
        self.baseline = baseline;
    }

    /// The credentials changed: everything that they could not read is due now.
    pub fn retry_now(&mut self, now: Instant) {
        self.refusals.clear();
        self.labels.retry();
        self.schedule.retry_now(now);
    }

    /// Retries after a refusal come this often.
    pub fn retry_refused_every(&mut self, interval: Duration) {
        self.schedule.retry_refused_every(interval);
    }

    /// `resource` was read. The date is saved soon only if it is the first one of this process, so that a process which
    /// restarts again and again does not read the same again. Later dates can wait.
    fn mark_read(&mut self, resource: Resource) {
        let urgency = if self.dated.insert(resource) { Urgency::Soon } else { Urgency::CanWait };
        self.unsaved.mark(Document::CollectorState, urgency);
    }

    /// Counts rows of an answer that could not be read.
    fn reject(&mut self, resource: Resource, rows: u64) {
        *self.rejected.entry(resource).or_default() += rows;
    }

    /// Counts fields of an answer that do not have their documented form.
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
