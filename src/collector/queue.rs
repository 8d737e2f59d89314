//! Which users' events must be read, and in which order.
//!
//! Changed users take turns: five users at high, then four others, first come, first served within each group. With
//! strict priority a few hundred noisy users at high would starve the rest. Users who left the list come after all
//! of them. A user is in the queue at most once, so the queue is bounded by the number of users.

mod pending;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::collector::roster::LevelSince;
use crate::model::{Level, RowFingerprint, UserId};
pub(crate) use pending::{Attempts, NextRetry, Pending, Reason, Retry};

/// If fewer events are listed than the summary counts, they are read again after these delays. Then the difference
/// counts as lost.
pub(crate) const SHORT_RETRIES: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(5 * 60), Duration::from_secs(30 * 60)];

/// After a failure a user waits a minute, then twice as long each time, up to six hours.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_secs(60);
/// The longest delay after failures.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 3600);

/// Of every nine turns, users at high get five.
const HIGH_TURNS: u8 = 5;
const ALL_TURNS: u8 = 9;

/// Whether the queue changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueChange {
    /// An entry was added, changed or removed.
    Changed,
    /// All entries are as before.
    Unchanged,
}

/// A user in the queue, and its place.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    pending: Pending,
    place: Place,
}

/// Where a user waits: in a lane, ordered by ticket, or until an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Lane(Lane, u64),
    Later(Instant, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    High,
    Rest,
    Gone,
}

impl Lane {
    fn of(pending: &Pending) -> Self {
        match (pending.reason, pending.latest.level) {
            (Reason::Gone, _) => Self::Gone,
            (Reason::Changed, Level::High) => Self::High,
            (Reason::Changed, _) => Self::Rest,
        }
    }
}

/// All users whose events must be read.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: HashMap<UserId, Waiting>,
    lanes: [BTreeMap<u64, UserId>; 3],
    later: BTreeMap<(Instant, u64), UserId>,
    /// How many users have been waiting since when. There are few dates, because each summary has one.
    waiting_since: BTreeMap<Timestamp, u64>,
    /// How many users left the list.
    departed: usize,
    next_ticket: u64,
    turn: u8,
}

impl Queue {
    /// Restores the queue of an earlier process: users, and the instant before which each must not be read.
    pub fn restore(users: impl IntoIterator<Item = (UserId, Pending, Option<Instant>)>) -> Self {
        let mut users: Vec<_> = users.into_iter().collect();
        users.sort_by_key(|(id, pending, _)| (pending.since, *id));
        let mut queue = Self::default();
        for (id, mut pending, due) in users {
            if pending.attempts.count > 0 {
                // The target is not saved, so the latest count gets all delays again.
                pending.attempts.count = 1;
                let target = pending.latest.count.or_zero();
                pending.retry = Some(Retry { target, due: due.unwrap_or_default() });
            }
            let place = match due {
                Some(due) => queue.enter_later(id, due),
                None => queue.enter(id, Lane::of(&pending)),
            };
            queue.add(id, pending, place);
        }
        queue
    }

    /// The summary shows a change of a user. A user who waits already keeps its place, unless it has risen to high, or
    /// waits for a retry because events were missing: the new event can be read now.
    pub fn changed(
        &mut self,
        id: UserId,
        latest: RowFingerprint,
        level_before: Option<LevelSince>,
        date: Timestamp,
    ) -> QueueChange {
        let lane = if latest.level == Level::High { Lane::High } else { Lane::Rest };
        let Some(Waiting { mut pending, mut place }) = self.waiting.get(&id).copied() else {
            let place = self.enter(id, lane);
            self.add(id, Pending::new(latest, level_before, Reason::Changed, date), place);
            return QueueChange::Changed;
        };
        let known = (pending, place);
        let moves = match place {
            Place::Lane(now, _) => now != lane && now != Lane::High,
            Place::Later(..) => pending.latest != latest && pending.failures == 0,
        };
        if moves {
            self.leave(place);
            place = self.enter(id, lane);
        }
        if let (Some(count), Some(before)) = (latest.count.known(), pending.latest.count.known())
            && count < before
        {
            pending.peak = pending.peak.max(before);
        }
        self.departed -= usize::from(pending.reason == Reason::Gone);
        (pending.latest, pending.reason) = (latest, Reason::Changed);
        self.waiting.insert(id, Waiting { pending, place });
        if known == (pending, place) { QueueChange::Unchanged } else { QueueChange::Changed }
    }

    /// A user left the list; `last` is its last row. Changes that were not read yet stay in the queue.
    pub fn gone(&mut self, id: UserId, last: RowFingerprint, level_before: LevelSince, date: Timestamp) {
        let known = self.remove(id);
        let place = self.enter(id, Lane::Gone);
        let pending = match known {
            Some(known) => Pending { reason: Reason::Gone, ..known },
            None => Pending::new(last, Some(level_before), Reason::Gone, date),
        };
        self.add(id, pending, place);
    }

    /// Users who wait since `limit` or a later date wait since `date` from now on. Returns these users.
    pub fn move_starts(&mut self, limit: Timestamp, date: Timestamp) -> Vec<UserId> {
        let late: u64 = self.waiting_since.split_off(&limit).into_values().sum();
        if late == 0 {
            return Vec::new();
        }
        *self.waiting_since.entry(date).or_default() += late;
        let late = self.waiting.iter_mut().filter(|(_, waiting)| waiting.pending.since >= limit);
        late.map(|(id, waiting)| {
            waiting.pending.since = date;
            *id
        })
        .collect()
    }

    /// The user to read next. Users whose delay is over return to their lanes first.
    pub fn next(&mut self, now: Instant) -> Option<UserId> {
        self.end_delays(now);
        let order = if self.turn < HIGH_TURNS {
            [Lane::High, Lane::Rest, Lane::Gone]
        } else {
            [Lane::Rest, Lane::High, Lane::Gone]
        };
        order.into_iter().find_map(|lane| self.lanes[lane as usize].values().next().copied())
    }

    /// The user to read next, if only those who are `eligible` may be. The lanes alternate: it is used while users are
    /// refused, who may all wait in one lane.
    pub(crate) fn next_eligible(
        &mut self,
        eligible: impl Fn(UserId) -> bool,
        now: Instant,
    ) -> Option<UserId> {
        self.end_delays(now);
        let order = if self.turn.is_multiple_of(2) {
            [Lane::High, Lane::Rest, Lane::Gone]
        } else {
            [Lane::Rest, Lane::Gone, Lane::High]
        };
        let mut users = order.into_iter().flat_map(|lane| self.lanes[lane as usize].values().copied());
        users.find(|id| eligible(*id))
    }

    fn end_delays(&mut self, now: Instant) {
        while let Some((&(due, ticket), &id)) = self.later.first_key_value()
            && due <= now
        {
            self.later.remove(&(due, ticket));
            self.resume(id);
        }
    }

    /// A user whose place was given up returns to its lane.
    fn resume(&mut self, id: UserId) {
        if let Some(Waiting { pending, .. }) = self.waiting.get(&id).copied() {
            let place = self.enter(id, Lane::of(&pending));
            self.waiting.insert(id, Waiting { pending, place });
        }
    }

    /// A turn was used, whatever the outcome.
    pub fn served(&mut self) {
        self.turn = (self.turn + 1) % ALL_TURNS;
    }

    /// The entry of a user who waits.
    pub fn get(&self, id: UserId) -> Option<&Pending> {
        self.waiting.get(&id).map(|waiting| &waiting.pending)
    }

    /// The instant before which the user must not be read, or need not be read without another change.
    pub fn due(&self, id: UserId) -> Option<Instant> {
        let Waiting { pending, place } = self.waiting.get(&id)?;
        match place {
            Place::Lane(..) => pending.retry.map(|retry| retry.due),
            Place::Later(due, _) => Some(*due),
        }
    }

    /// All waiting users.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.waiting.keys().copied()
    }

    /// Takes the user off the queue.
    pub fn remove(&mut self, id: UserId) -> Option<Pending> {
        let Waiting { pending, place } = self.waiting.remove(&id)?;
        self.leave(place);
        self.departed -= usize::from(pending.reason == Reason::Gone);
        if let Some(waiting) = self.waiting_since.get_mut(&pending.since) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting_since.remove(&pending.since);
            }
        }
        Some(pending)
    }

    /// Events were missing: the user is read again later.
    pub fn short(&mut self, id: UserId, attempts: Attempts, next: NextRetry, now: Instant) {
        let Some(mut known) = self.remove(id) else { return };
        let step = usize::from(attempts.count.saturating_sub(1)).min(SHORT_RETRIES.len() - 1);
        let retry = match (next, known.retry) {
            (NextRetry::AsPlanned, Some(retry)) => retry,
            (NextRetry::AsPlanned, None) => {
                Retry { target: known.latest.count.or_zero(), due: now + SHORT_RETRIES[step] }
            }
            (NextRetry::Later { target }, _) => Retry { target, due: now + SHORT_RETRIES[step] },
        };
        (known.attempts, known.failures, known.retry) = (attempts, 0, Some(retry));
        self.delay(id, known, retry.due);
    }

    /// The request for the user's events failed.
    pub fn failed(&mut self, id: UserId, now: Instant) {
        if let Some(mut known) = self.remove(id) {
            let wait = FIRST_BACKOFF.saturating_mul(1 << known.failures.min(16)).min(LONGEST_BACKOFF);
            known.failures = known.failures.saturating_add(1);
            self.delay(id, known, now + wait);
        }
    }

    /// The user's list of events was cut by our own time limits: as [`Queue::failed`], but events were found.
    pub fn unfinished(&mut self, id: UserId, attempts: Attempts, now: Instant) {
        if let Some(Waiting { pending, .. }) = self.waiting.get_mut(&id) {
            pending.attempts = attempts;
        }
        self.failed(id, now);
    }

    /// Something that does not concern this user delays its reading, until `due` at the latest.
    pub(crate) fn postpone(&mut self, id: UserId, due: Instant) {
        if let Some(known) = self.remove(id) {
            self.delay(id, known, due);
        }
    }

    /// The reason for which the user was postponed is gone.
    pub(crate) fn hasten(&mut self, id: UserId) {
        if let Some(Waiting { place: place @ Place::Later(..), .. }) = self.waiting.get(&id).copied() {
            self.leave(place);
            self.resume(id);
        }
    }

    /// When the next delayed user is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|(&(due, _), _)| due)
    }

    /// How many users wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them left the list.
    pub fn departed(&self) -> usize {
        self.departed
    }

    /// Whether no user waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Since when the user who waits longest has been waiting.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting_since.first_key_value().map(|(&since, _)| since)
    }

    fn add(&mut self, id: UserId, pending: Pending, place: Place) {
        *self.waiting_since.entry(pending.since).or_default() += 1;
        self.departed += usize::from(pending.reason == Reason::Gone);
        self.waiting.insert(id, Waiting { pending, place });
    }

    fn enter(&mut self, id: UserId, lane: Lane) -> Place {
        self.next_ticket += 1;
        self.lanes[lane as usize].insert(self.next_ticket, id);
        Place::Lane(lane, self.next_ticket)
    }

    fn enter_later(&mut self, id: UserId, due: Instant) -> Place {
        self.next_ticket += 1;
        self.later.insert((due, self.next_ticket), id);
        Place::Later(due, self.next_ticket)
    }

    fn delay(&mut self, id: UserId, known: Pending, due: Instant) {
        let place = self.enter_later(id, due);
        self.add(id, known, place);
    }

    fn leave(&mut self, place: Place) {
        match place {
            Place::Lane(lane, ticket) => self.lanes[lane as usize].remove(&ticket),
            Place::Later(due, ticket) => self.later.remove(&(due, ticket)),
        };
    }
}

#[cfg(test)]
mod tests;
