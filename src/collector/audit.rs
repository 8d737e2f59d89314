//! Reads users again although the summary shows no change.
//!
//! If one event disappears and another one appears with the same count and time, only reading the events finds it.
//! The audit goes through the listed users by id, once a round, and leaves out users who were read within the
//! interval. That is close to "read longest ago first", without an order over a million users.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Instant;
use crate::collector::roster::Roster;
use crate::model::UserId;

/// Which user to read again next.
#[derive(Debug)]
pub(crate) struct Audit {
    interval: Duration,
    /// The user that was audited last.
    last: Option<UserId>,
    /// When each user who was read within the interval was read. The budget bounds how many there are.
    read: HashMap<UserId, Instant>,
    order: VecDeque<(Instant, UserId)>,
}

impl Audit {
    /// An audit that reads no user again sooner than `interval` after the last reading.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: None, read: HashMap::new(), order: VecDeque::new() }
    }

    /// Reads no user again sooner than `interval` after the last reading, from now on.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Continues the round after this user.
    pub(crate) fn resume(&mut self, last: Option<UserId>) {
        self.last = last;
    }

    /// The user that was audited last.
    pub(crate) fn position(&self) -> Option<UserId> {
        self.last
    }

    /// The next listed user to read again. Users who are `waiting` in the queue are left out.
    pub(crate) fn next(
        &mut self,
        roster: &Roster,
        waiting: impl Fn(UserId) -> bool,
        now: Instant,
    ) -> Option<UserId> {
        self.forget(now);
        if self.read.len() >= roster.len() {
            return None;
        }
        let due = roster
            .listed_after(self.last)
            .find(|user| !self.read.contains_key(&user.id) && !waiting(user.id));
        due.map(|user| user.id)
    }

    /// When the next user may become due, if all were read.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.order.front().map(|(read, _)| *read + self.interval)
    }

    /// The user was read, for whatever reason.
    pub(crate) fn read(&mut self, id: UserId, now: Instant) {
        self.read.insert(id, now);
        self.order.push_back((now, id));
    }

    /// The round has reached this user.
    pub(crate) fn advance_to(&mut self, id: UserId) {
        self.last = Some(id);
    }

    fn forget(&mut self, now: Instant) {
        while let Some(&(read, id)) = self.order.front()
            && read + self.interval <= now
        {
            self.order.pop_front();
            if self.read.get(&id) == Some(&read) {
                self.read.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::clock::testing::at;
    use crate::model::{Level, Row, RowFingerprint, Summary};

    fn id(n: u128) -> UserId {
        UserId::from_u128(n)
    }

    fn roster(users: u128) -> Roster {
        let fingerprint =
            RowFingerprint { last_event: Timestamp::default(), count: 1.into(), level: Level::Low };
        let summary = Summary::whole((1..=users).map(|n| Row { user: id(n), tuple: fingerprint }).collect());
        let mut roster = Roster::default();
        roster.apply(Roster::baseline(&summary, Timestamp::default()).users, Timestamp::default());
        roster
    }

    #[test]
    fn each_user_is_read_once_a_round_and_none_within_the_interval() {
        let (roster, mut audit) = (roster(3), Audit::new(Duration::from_secs(100)));
        let mut read = |second| {
            let user = audit.next(&roster, |_| false, at(second))?;
            audit.advance_to(user);
            audit.read(user, at(second));
            Some(user.as_u128())
        };
        let order: Vec<_> = [0, 1, 2, 3, 99, 100, 101, 102, 103].into_iter().map(&mut read).collect();
        assert_eq!(order, [Some(1), Some(2), Some(3), None, None, Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn users_who_were_read_or_wait_in_the_queue_are_left_out() {
        let (roster, mut audit) = (roster(3), Audit::new(Duration::from_secs(100)));
        audit.read(id(1), at(0));
        assert_eq!(audit.next(&roster, |user| user == id(2), at(1)), Some(id(3)));
        audit.read(id(1), at(50));
        assert_eq!((audit.next_due(), audit.next(&roster, |_| false, at(149))), (Some(at(100)), Some(id(2))));
    }
}
