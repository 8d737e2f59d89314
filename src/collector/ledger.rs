//! Which events were counted already.
//!
//! `events_total` is the size of a set that only grows: the distinct events ever observed. Nothing here
//! subtracts one count from another to count events; a key is in the set or it is not, so reading twice
//! counts once, whatever was lost in between.
//!
//! A reading of a user's events is reconciled first ([`Ledger::reconcile`]) and applied later ([`Ledger::apply`]),
//! so that all it changes can be made durable in one transaction in between, and only then be seen.

mod loss;
pub(crate) mod persisted;
mod reading;
mod reconcile;
mod user_record;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

pub use loss::Loss;
pub use reading::{DetailRequest, FetchReason};
pub(crate) use reading::{Reading, Verdict};
pub(crate) use user_record::{Counted, Record};

use crate::clock::Timestamp;
use crate::collector::behavior_labels::Labels;
use crate::model::{Behavior, Event, EventTotals, Histogram, LevelChanges, PerLevel, UserId};

/// Seconds from an event to its first sight: is it one poll (30 s), a few, the queue of a campaign (minutes
/// to hours), or a first sight after an outage?
const DELAY_BOUNDS: &[f64] = &[15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// Seconds from reaching a level to the reset: within the quarter of an hour, the hour, the shift, the day,
/// three days, the week, or later? Prometheus 3 rewrites bounds of a million seconds and more (`1e+06`),
/// Prometheus 2 does not, so there are none.
const RESET_BOUNDS: &[f64] = &[900.0, 3_600.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0, 604_800.0];

/// A user who has been off the list for so long, and of whom no keys are left, is dropped.
pub(crate) const UNLISTED: Duration = Duration::from_secs(90 * 86_400);

/// When counting began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// With this list.
    Now,
    /// With an earlier one.
    Before,
}

/// The counted events of one account, and the totals that follow from them.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Keeps the keys of one ledger useless to anyone who guesses what went into them.
    secret: [u8; 16],
    epoch: Option<Timestamp>,
    /// Events and resets at or before it are not counted, because users with later ones were dropped.
    floor: Option<Timestamp>,
    /// The floors of users that were to be forgotten, by a hash of who they were.
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
    /// An empty ledger. `secret` keys the hashes of events.
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

    /// Counting begins, unless it has: events at or before `epoch` are never counted.
    pub(crate) fn begin(&mut self, epoch: Timestamp) -> Begun {
        let begun = if self.epoch.is_none() { Begun::Now } else { Begun::Before };
        self.epoch.get_or_insert(epoch);
        begun
    }

    /// The behaviors were read: their ids become labels.
    pub(crate) fn label(&mut self, behaviors: &[Behavior]) {
        self.labels.list(behaviors);
    }

    /// The label of a listed behavior, if it was given one.
    pub(crate) fn label_of(&self, behavior: &str) -> Option<&str> {
        let label = self.labels.get(behavior)?;
        self.labels.names().get(label.index()).map(String::as_str)
    }

    /// Users moved between levels.
    pub(crate) fn moved(&mut self, moves: &LevelChanges) {
        for (from, changes) in moves.iter().enumerate() {
            for (to, count) in changes.iter().enumerate() {
                self.level_changes[from][to] += count;
            }
        }
    }

    /// When the user was last reset, if that was ever read.
    pub(crate) fn last_reset(&self, id: UserId) -> Option<Timestamp> {
        self.records.get(&id)?.last_reset
    }

    /// What is kept of the user.
    pub(crate) fn record(&self, id: UserId) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Of whom something is kept.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = UserId> {
        self.records.keys().copied()
    }

    /// Forgets the keys that have been absent long enough when Cloudflare's clock shows `date`; `gone` says
    /// since when a user has been off the list. Returns whose records changed.
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

    /// Drops what is kept of a user who has been off the list for [`UNLISTED`], unless keys are left. The
    /// account's floor rises to the user's, so that nothing is counted again if the user comes back.
    pub(crate) fn drop_user(&mut self, id: UserId) -> bool {
        if self.records.get(&id).is_some_and(|record| !record.keys.is_empty()) {
            return false;
        }
        if let Some(record) = self.records.remove(&id) {
            self.floor = self.floor.max(record.floor).max(record.last_reset);
        }
        true
    }

    /// The floors of forgotten users become the account's when they are as old as those of dropped ones.
    /// Returns whether any did.
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

    /// Resets of the user at or before it are not counted, nor are events; before counting began, nothing is.
    /// A floor for events alone stands in the user's record.
    fn floor_of(&self, id: UserId) -> Timestamp {
        let Some(epoch) = self.epoch else { return Timestamp::from_millis(i64::MAX) };
        let of_user = || self.forgotten.get(&forgotten_key(&self.secret, id)).copied();
        let of_user = if self.forgotten.is_empty() { None } else { of_user() };
        [self.floor, of_user].into_iter().flatten().fold(epoch, Timestamp::max)
    }

    /// Takes over what a reading changes, all at once. The user's row is the roster's to take.
    pub(crate) fn apply(&mut self, reading: Reading) {
        let Reading {
            verdict: _,
            user,
            record,
            events,
            delays,
            first_of_behavior,
            resets,
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
        for (label, level) in events {
            self.events[label.index()][level.index()] += 1;
        }
        for label in first_of_behavior {
            self.behavior_users[label.index()] += 1;
        }
        for delay in delays {
            self.delay.observe(delay);
        }
        self.resets += resets;
        if let Some((level, seconds)) = time_to_reset {
            self.time_to_reset[level.index()].observe(seconds);
        }
        for (loss, count) in losses {
            self.losses[loss as usize] += count;
        }
    }

    /// Everything counted, for the page; `started` once labels are settled and counting has begun.
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

    /// The key of an event: its id alone might turn out to be the behavior's.
    fn key(&self, user: UserId, event: &Event) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(user.as_bytes());
        hasher.write(&event.timestamp.millis().to_le_bytes());
        hasher.write(event.id.as_bytes());
        hasher.finish()
    }
}

/// Under what the floor of a forgotten user is kept: a keyed hash, which says nothing of who it was to
/// somebody who has not the id already.
pub(crate) fn forgotten_key(secret: &[u8; 16], id: UserId) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(b"forgotten");
    hasher.write(id.as_bytes());
    hasher.finish()
}
