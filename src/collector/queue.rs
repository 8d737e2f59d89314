//! Users whose events are still to be read, and in which order.
//!
//! Changed users go in turns: five of those newly or still at high to four of the rest, first come first
//! served in each. Strict priority would starve the rest as soon as a few hundred users are noisy. Users
//! who are gone come behind all of them. Each user is here at most once, so the queue is bounded by the
//! number of users.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::collector::roster::Standing;
use crate::model::{Level, RowFingerprint, UserId};

/// A listing that is short of what the counts say is read again after these; then it is believed.
pub(crate) const SHORT_RETRIES: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(5 * 60), Duration::from_secs(30 * 60)];

/// After a failure a user waits a minute, then twice as long each time, up to six hours.
const FIRST_BACKOFF: Duration = Duration::from_secs(60);
/// The longest that anyone is put off.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 3600);

/// Of nine turns, how many the users at high get.
const HIGH_TURNS: u8 = 5;
const ALL_TURNS: u8 = 9;

/// Why a user's events are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The summary says that something changed.
    Changed,
    /// The user is gone from the summary.
    Gone,
}

/// Whether the queue learned something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It did.
    Yes,
    /// It knew all of it.
    No,
}

/// A user whose events are still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What the summary last said; the count that a reading must explain.
    pub latest: RowFingerprint,
    /// The standing before the first change that is still unread, if there was one.
    pub before: Option<Standing>,
    /// Why the events are to be read.
    pub reason: Reason,
    /// Since when they are.
    pub since: Timestamp,
    /// The highest count from which the latest has fallen while nothing was read; 0 if it has not.
    pub peak: u32,
    /// What readings that were short left behind.
    pub tries: Tries,
    /// How often in a row the events could not be read at all.
    pub failures: u8,
}

/// What readings that were short left behind for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How many there were.
    pub count: u8,
    /// Events that they newly counted.
    pub found: u32,
    /// A reset that one of them was the first to show.
    pub reset: Option<Timestamp>,
    /// Events that nobody had read when that reset came.
    pub owed: u32,
}

impl Pending {
    /// A user of whom nothing was tried yet.
    pub fn new(latest: RowFingerprint, before: Option<Standing>, reason: Reason, since: Timestamp) -> Self {
        Self { latest, before, reason, since, peak: 0, tries: Tries::default(), failures: 0 }
    }

    fn lane(&self) -> Lane {
        match (self.reason, self.latest.level) {
            (Reason::Gone, _) => Lane::Gone,
            (Reason::Changed, Level::High) => Lane::High,
            (Reason::Changed, _) => Lane::Rest,
        }
    }
}

/// A user in the queue, and where.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    pending: Pending,
    place: Place,
}

/// Where a user waits: in a lane behind those with lower tickets, or for a moment.
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

/// All users whose events are still to be read.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: HashMap<UserId, Waiting>,
    lanes: [BTreeMap<u64, UserId>; 3],
    later: BTreeMap<(Instant, u64), UserId>,
    /// How many wait since when: few dates, as each summary has one.
    waiting_since: BTreeMap<Timestamp, u64>,
    next_ticket: u64,
    turn: u8,
}

impl Queue {
    /// The queue that an earlier process left: users, and the moment before which one is not to be read.
    pub fn restore(users: impl IntoIterator<Item = (UserId, Pending, Option<Instant>)>) -> Self {
        let mut users: Vec<_> = users.into_iter().collect();
        users.sort_by_key(|(id, pending, _)| (pending.since, *id));
        let mut queue = Self::default();
        for (id, pending, due) in users {
            let place = match due {
                Some(due) => queue.enter_later(id, due),
                None => queue.enter(id, pending.lane()),
            };
            queue.add(id, pending, place);
        }
        queue
    }

    /// The summary says that a user changed. One who waits already keeps its place, unless it has come to
    /// high, or was put off for a short listing: there is news to read. Returns whether anything changed.
    pub fn changed(
        &mut self,
        id: UserId,
        latest: RowFingerprint,
        before: Option<Standing>,
        date: Timestamp,
    ) -> News {
        let lane = if latest.level == Level::High { Lane::High } else { Lane::Rest };
        let Some(Waiting { mut pending, mut place }) = self.waiting.get(&id).copied() else {
            let place = self.enter(id, lane);
            self.add(id, Pending::new(latest, before, Reason::Changed, date), place);
            return News::Yes;
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
        if latest.count < pending.latest.count {
            pending.peak = pending.peak.max(pending.latest.count);
        }
        (pending.latest, pending.reason) = (latest, Reason::Changed);
        self.waiting.insert(id, Waiting { pending, place });
        if known == (pending, place) { News::No } else { News::Yes }
    }

    /// A user is gone from the summary; `last` is what it said last. What was unread stays so.
    pub fn gone(&mut self, id: UserId, last: RowFingerprint, before: Standing, date: Timestamp) {
        let known = self.remove(id);
        let place = self.enter(id, Lane::Gone);
        let pending = match known {
            Some(known) => Pending { reason: Reason::Gone, ..known },
            None => Pending::new(last, Some(before), Reason::Gone, date),
        };
        self.add(id, pending, place);
    }

    /// Whose events to read next; those who waited long enough for another try have come back into line.
    pub fn next(&mut self, now: Instant) -> Option<UserId> {
        while let Some((&(due, ticket), &id)) = self.later.first_key_value()
            && due <= now
        {
            self.later.remove(&(due, ticket));
            let Some(Waiting { pending, .. }) = self.waiting.get(&id).copied() else {
                continue;
            };
            let place = self.enter(id, pending.lane());
            self.waiting.insert(id, Waiting { pending, place });
        }
        let order = if self.turn < HIGH_TURNS {
            [Lane::High, Lane::Rest, Lane::Gone]
        } else {
            [Lane::Rest, Lane::High, Lane::Gone]
        };
        order.into_iter().find_map(|lane| self.lanes[lane as usize].values().next().copied())
    }

    /// A user's turn was used, whatever came of it.
    pub fn served(&mut self) {
        self.turn = (self.turn + 1) % ALL_TURNS;
    }

    /// What is known of a user whose events are still to be read.
    pub fn get(&self, id: UserId) -> Option<&Pending> {
        self.waiting.get(&id).map(|waiting| &waiting.pending)
    }

    /// Before when the user is not to be read, if the user was put off.
    pub fn due(&self, id: UserId) -> Option<Instant> {
        match self.waiting.get(&id)?.place {
            Place::Lane(..) => None,
            Place::Later(due, _) => Some(due),
        }
    }

    /// All users who wait.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.waiting.keys().copied()
    }

    /// The user's events were read.
    pub fn remove(&mut self, id: UserId) -> Option<Pending> {
        let Waiting { pending, place } = self.waiting.remove(&id)?;
        self.leave(place);
        if let Some(waiting) = self.waiting_since.get_mut(&pending.since) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting_since.remove(&pending.since);
            }
        }
        Some(pending)
    }

    /// The listing was short: the rest is looked for later.
    pub fn short(&mut self, id: UserId, tries: Tries, now: Instant) {
        if let Some(mut known) = self.remove(id) {
            let wait = SHORT_RETRIES[usize::from(tries.count.saturating_sub(1)).min(SHORT_RETRIES.len() - 1)];
            (known.tries, known.failures) = (tries, 0);
            self.put_off(id, known, now + wait);
        }
    }

    /// The user's events could not be read for a reason of its own.
    pub fn failed(&mut self, id: UserId, now: Instant) {
        if let Some(mut known) = self.remove(id) {
            let wait = FIRST_BACKOFF.saturating_mul(1 << known.failures.min(16)).min(LONGEST_BACKOFF);
            known.failures = known.failures.saturating_add(1);
            self.put_off(id, known, now + wait);
        }
    }

    /// When a user who was put off is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|(&(due, _), _)| due)
    }

    /// How many users wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Since when the longest waiting user waits.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting_since.first_key_value().map(|(&since, _)| since)
    }

    fn add(&mut self, id: UserId, pending: Pending, place: Place) {
        *self.waiting_since.entry(pending.since).or_default() += 1;
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

    fn put_off(&mut self, id: UserId, known: Pending, due: Instant) {
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
mod tests {
    use super::*;
    use crate::clock::testing::at;

    fn id(n: u128) -> UserId {
        UserId::from_u128(n)
    }

    fn tuple(count: u32, level: Level) -> RowFingerprint {
        RowFingerprint { last_event: Timestamp::from_seconds(1), count, level }
    }

    fn change(queue: &mut Queue, n: u128, count: u32, level: Level) {
        queue.changed(id(n), tuple(count, level), None, Timestamp::from_seconds(0));
    }

    fn standing() -> Standing {
        let since = Timestamp::from_seconds(0);
        Standing { level: Level::High, since, origin: crate::collector::roster::Origin::Observed }
    }

    fn serve(queue: &mut Queue, now: u64) -> Option<u128> {
        let next = queue.next(at(now))?;
        queue.served();
        queue.remove(next);
        Some(next.as_u128())
    }

    #[test]
    fn users_at_high_get_five_turns_of_nine_and_all_of_them_when_alone() {
        let mut queue = Queue::default();
        for n in 0..9 {
            change(&mut queue, n, 1, Level::High);
            change(&mut queue, 100 + n, 1, Level::Low);
        }
        let order: Vec<_> = (0..18).filter_map(|_| serve(&mut queue, 0)).collect();
        assert_eq!(order[..9], [0, 1, 2, 3, 4, 100, 101, 102, 103]);
        assert_eq!(order[9..], [5, 6, 7, 8, 104, 105, 106, 107, 108]);
        assert!(queue.is_empty());
    }

    #[test]
    fn users_who_are_gone_come_last_and_keep_what_was_unread() {
        let mut queue = Queue::default();
        change(&mut queue, 1, 7, Level::High);
        queue.gone(id(1), tuple(5, Level::High), standing(), Timestamp::from_seconds(9));
        change(&mut queue, 2, 1, Level::Low);
        assert_eq!(queue.get(id(1)).map(|p| (p.latest.count, p.reason)), Some((7, Reason::Gone)));
        assert_eq!(
            [serve(&mut queue, 0), serve(&mut queue, 0), serve(&mut queue, 0)],
            [Some(2), Some(1), None]
        );
    }

    #[test]
    fn a_waiting_user_keeps_its_place_unless_it_comes_to_high() {
        let mut queue = Queue::default();
        change(&mut queue, 1, 1, Level::Low);
        change(&mut queue, 2, 1, Level::Low);
        change(&mut queue, 1, 2, Level::Low);
        assert_eq!((queue.next(at(0)), queue.len()), (Some(id(1)), 2));
        change(&mut queue, 2, 2, Level::High);
        assert_eq!((queue.next(at(0)), queue.len()), (Some(id(2)), 2));
    }

    #[test]
    fn a_short_listing_is_read_again_after_one_five_and_thirty_minutes() {
        let mut queue = Queue::default();
        change(&mut queue, 1, 3, Level::Low);
        let mut now = 0;
        for (count, wait) in [(1, 60), (2, 300), (3, 1_800)] {
            queue.short(id(1), Tries { count, found: 1, ..Tries::default() }, at(now));
            assert_eq!((queue.next(at(now + wait - 1)), queue.next_due()), (None, Some(at(now + wait))));
            now += wait;
            assert_eq!(queue.next(at(now)), Some(id(1)), "after {wait} seconds");
        }
        assert_eq!(queue.get(id(1)).map(|pending| pending.tries.count), Some(3));
    }

    #[test]
    fn news_of_a_user_put_off_for_a_short_listing_is_read_at_once_but_not_after_a_failure() {
        let mut queue = Queue::default();
        for (failing, wanted) in [(false, Some(id(1))), (true, None)] {
            queue.remove(id(1));
            change(&mut queue, 1, 3, Level::Low);
            if failing {
                queue.failed(id(1), at(0));
            } else {
                queue.short(id(1), Tries { count: 1, ..Tries::default() }, at(0));
            }
            change(&mut queue, 1, 3, Level::Low);
            assert_eq!(queue.next(at(0)), None, "nothing new, failing: {failing}");
            change(&mut queue, 1, 4, Level::Low);
            assert_eq!(queue.next(at(0)), wanted, "failing: {failing}");
        }
    }

    #[test]
    fn failures_back_off_from_a_minute_to_six_hours() {
        let mut queue = Queue::default();
        change(&mut queue, 1, 1, Level::Low);
        for wait in [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600] {
            queue.failed(id(1), at(0));
            assert_eq!(queue.next_due(), Some(at(wait)));
            assert_eq!(queue.next(at(wait)), Some(id(1)));
        }
    }
}
