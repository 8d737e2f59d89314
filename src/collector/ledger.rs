//! Which events were counted.
//!
//! `events_total` is the size of a set that only grows: the distinct events ever observed. Events are never counted by
//! subtracting one count from another. The key of an event is in the set or it is not, so an event that is read twice
//! counts once.
//!
//! A reading of a user's events is reconciled first ([`Ledger::reconcile`]); its changes are applied as a whole
//! ([`Ledger::apply`]), saved in one transaction, and published last.

mod listed_events;
mod loss;
pub(crate) mod persisted;
mod reading;
mod reconcile;
mod retries;
mod user_record;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

pub use loss::Loss;
pub(crate) use reading::{AnswerDate, Facts, IfUnfinished, NewEvent, NewReset, Reading, Verdict};
pub use reading::{DetailRequest, FetchReason};
pub(crate) use reconcile::CLOCK_SKEW;
pub(crate) use user_record::{Counted, Record};

use crate::clock::Timestamp;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::model::{Behavior, EventTotals, Histogram, LevelChanges, PerLevel, UserId};

/// Seconds from an event to its first observation: one poll (30 s), a few polls, the queue during a campaign (minutes to
/// hours), or the end of an outage?
const DELAY_BOUNDS: &[f64] = &[15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// Seconds from reaching a level to the reset: within a quarter of an hour, an hour, a shift, a day, three days, a week,
/// or later? Prometheus 3 rewrites bounds of a million seconds and more (`1e+06`),
/// Prometheus 2 does not, so no bound is that large.
const RESET_BOUNDS: &[f64] = &[900.0, 3_600.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0, 604_800.0];

/// A user who left the list this long ago, and has no keys left, is dropped.
pub(crate) const UNLISTED: Duration = Duration::from_secs(90 * 86_400);

/// Whether a summary starts the counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountingStart {
    Now,
    /// Counting started with an earlier one.
    Earlier,
}

/// The counted events of one account, and the totals that follow from them.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The hash key. Without it, nobody can test whether a guessed event was counted.
    secret: [u8; 16],
    epoch: Option<Timestamp>,
    /// Events and resets at or before this time are not counted: users with such events were dropped.
    floor: Option<Timestamp>,
    /// The floors of users that `state forget` removed, by a keyed hash of the id.
    forgotten: BTreeMap<u64, Timestamp>,
    labels: Labels,
    records: HashMap<UserId, Record>,
    events: Vec<PerLevel<u64>>,
    behavior_users: Vec<u64>,
    level_changes: LevelChanges,
    resets: u64,
    losses: [u64; Loss::ALL.len()],
    delay: Histogram,
    time_to_reset: PerLevel<Histogram>,
}

impl Ledger {
    /// An empty ledger. `secret` is the key of the hashes.
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self {
            secret,
            epoch: None,
            floor: None,
            forgotten: BTreeMap::new(),
            labels: Labels::default(),
            records: HashMap::new(),
            events: Vec::new(),
            behavior_users: Vec::new(),
            level_changes: LevelChanges::default(),
            resets: 0,
            losses: [0; Loss::ALL.len()],
            delay: Histogram::new(DELAY_BOUNDS),
            time_to_reset: [(); 4].map(|()| Histogram::new(RESET_BOUNDS)),
        }
    }

    /// Since when events are counted, on Cloudflare's clock.
    pub(crate) fn epoch(&self) -> Option<Timestamp> {
        self.epoch
    }

    /// Starts the counting, unless it was started before. Events at or before `epoch` are never counted.
    pub(crate) fn start_counting(&mut self, epoch: Timestamp) -> CountingStart {
        let start = if self.epoch.is_none() { CountingStart::Now } else { CountingStart::Earlier };
        self.epoch.get_or_insert(epoch);
        start
    }

    /// If counting starts at `limit` or later, it starts at `date` from now on. Returns whether it does.
    ///
    /// No event is counted twice: those that were counted stay known, and those up to `date` are still not counted.
    pub(crate) fn move_start(&mut self, limit: Timestamp, date: Timestamp) -> bool {
        let is_late = self.epoch.is_some_and(|epoch| epoch >= limit);
        if is_late {
            self.epoch = Some(date);
        }
        is_late
    }

    /// Makes the ids of the listed behaviors labels.
    pub(crate) fn list_behaviors(&mut self, behaviors: &[Behavior]) {
        self.labels.list(behaviors);
    }

    /// The label of a listed behavior, if it has one.
    pub(crate) fn label_of(&self, behavior: &str) -> Option<&str> {
        let label = self.labels.get(behavior)?;
        self.labels.names().get(label.index()).map(String::as_str)
    }

    /// The text of a label that was given.
    pub(crate) fn text_of(&self, label: LabelId) -> &str {
        self.labels.names().get(label.index()).map_or("", String::as_str)
    }

    /// Adds observed changes of level.
    pub(crate) fn count_level_changes(&mut self, observed: &LevelChanges) {
        for (from, changes) in observed.iter().enumerate() {
            for (to, count) in changes.iter().enumerate() {
                self.level_changes[from][to] += count;
            }
        }
    }

    /// When the user was last reset, as far as known.
    pub(crate) fn last_reset(&self, id: UserId) -> Option<Timestamp> {
        self.records.get(&id)?.last_reset
    }

    /// What is kept about the user's events.
    pub(crate) fn record(&self, id: UserId) -> Option<&Record> {
        self.records.get(&id)
    }

    /// The users with records.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = UserId> {
        self.records.keys().copied()
    }

    /// Forgets the keys that have been absent long enough at `date` on Cloudflare's clock. `gone` returns when a user left
    /// the list. Returns the users whose records changed.
    pub(crate) fn forget_absent(
        &mut self,
        date: Timestamp,
        gone: impl Fn(UserId) -> Option<Timestamp>,
    ) -> Vec<UserId> {
        let mut changed = Vec::new();
        for (id, record) in &mut self.records {
            let before = record.keys.len();
            record.forget_absent(date, gone(*id));
            if record.keys.len() != before {
                changed.push(*id);
            }
        }
        changed
    }

    /// Drops the record of a user who left the list [`UNLISTED`] ago, unless it has keys. The account's floor rises to the
    /// user's, so that no event is counted again if the user returns. Returns whether the user was dropped.
    pub(crate) fn drop_user(&mut self, id: UserId) -> bool {
        if self.records.get(&id).is_some_and(|record| !record.keys.is_empty()) {
            return false;
        }
        if let Some(record) = self.records.remove(&id) {
            self.floor = self.floor.max(record.floor).max(record.last_reset);
        }
        true
    }

    /// Merges the floors of forgotten users into the account's floor once they are [`UNLISTED`] old. Returns whether any
    /// was merged.
    pub(crate) fn merge_forgotten(&mut self, date: Timestamp) -> bool {
        let before = self.forgotten.len();
        let floor = &mut self.floor;
        self.forgotten.retain(|_, forgotten| {
            let is_old = *forgotten + UNLISTED <= date;
            if is_old {
                *floor = (*floor).max(Some(*forgotten));
            }
            !is_old
        });
        self.forgotten.len() != before
    }

    /// The time up to which neither resets nor events of the user are counted. Before counting starts, it is the end of
    /// time. The user's record may have a higher floor for events.
    fn floor_of(&self, id: UserId) -> Timestamp {
        let Some(epoch) = self.epoch else { return Timestamp::from_millis(i64::MAX) };
        let of_user = || self.forgotten.get(&forgotten_key(&self.secret, id)).copied();
        let of_user = if self.forgotten.is_empty() { None } else { of_user() };
        [self.floor, of_user].into_iter().flatten().fold(epoch, Timestamp::max)
    }

    /// Applies all changes of a reading, except for the user's row, which belongs to the roster.
    pub(crate) fn apply(&mut self, reading: Reading) {
        let Reading {
            verdict: _,
            user,
            record,
            events,
            delays,
            first_of_behavior,
            reset,
            time_to_reset,
            losses,
            labels,
        } = reading;
        if let Some(labels) = labels {
            self.labels = labels;
        }
        if let Some(record) = record {
            self.records.insert(user.id, record);
        }
        let labels = self.labels.names().len();
        self.events.resize(labels, [0; 4]);
        self.behavior_users.resize(labels, 0);
        for NewEvent { label, level, .. } in events {
            self.events[label.index()][level.index()] += 1;
        }
        for label in first_of_behavior {
            self.behavior_users[label.index()] += 1;
        }
        for delay in delays {
            self.delay.observe(delay);
        }
        self.resets += u64::from(reset.is_some());
        if let Some((level, seconds)) = time_to_reset {
            self.time_to_reset[level.index()].observe(seconds);
        }
        for (loss, count) in losses {
            self.losses[loss as usize] += count;
        }
    }

    /// Everything counted, to be published.
    pub(crate) fn totals(&self) -> EventTotals {
        let name = |at: usize| self.labels.names().get(at).cloned().unwrap_or_default();
        let labels = 0..self.labels.names().len();
        let events = labels.clone().map(|at| (name(at), self.events.get(at).copied().unwrap_or_default()));
        let users = labels.map(|at| (name(at), self.behavior_users.get(at).copied().unwrap_or_default()));
        EventTotals {
            started: self.epoch.is_some(),
            events: events.collect(),
            behavior_users: users.collect(),
            level_changes: self.level_changes,
            resets: self.resets,
            unattributed: Loss::ALL
                .into_iter()
                .map(|loss| (loss.as_str(), self.losses[loss as usize]))
                .collect(),
            observation_delay: self.delay.clone(),
            time_to_reset: self.time_to_reset.clone(),
        }
    }

    /// The key of an event. The id alone might turn out to be that of the behavior.
    fn key(&self, user: UserId, event: &str, at: Timestamp) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(user.as_bytes());
        hasher.write(&at.millis().to_le_bytes());
        hasher.write(event.as_bytes());
        hasher.finish()
    }
}

/// The key under which the floor of a forgotten user is kept: a keyed hash, so that it does not show who the user was.
pub(crate) fn forgotten_key(secret: &[u8; 16], id: UserId) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(b"forgotten");
    hasher.write(id.as_bytes());
    hasher.finish()
}
