//! Reads again, in turns, users of whom nothing new is known.
//!
//! One event in and one out with the same count and time look like no change; only reading finds it. Users
//! go round by id: each listed one once a round, none sooner than the interval after it was last read. That
//! is "read longest ago first" to within one round, without an order over a million users.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Instant;
use crate::collector::roster::Roster;
use crate::model::UserId;

/// Who is to be read again.
#[derive(Debug)]
pub(crate) struct Audit {
    interval: Duration,
    /// The user the round has come to.
    last: Option<UserId>,
    /// When the users read within the interval were read: at most the budget's requests of an interval.
    read: HashMap<UserId, Instant>,
    order: VecDeque<(Instant, UserId)>,
}

impl Audit {
    /// No user is read again sooner than `interval` after it was read.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: None, read: HashMap::new(), order: VecDeque::new() }
    }

    /// The round goes on behind this user.
    pub(crate) fn resume(&mut self, last: Option<UserId>) {
        self.last = last;
    }

    /// The user that the round has come to.
    pub(crate) fn position(&self) -> Option<UserId> {
        self.last
    }

    /// The listed user to read again, of those that are not `waiting` to be read anyway.
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

    /// The user was read, for the audit or otherwise.
    pub(crate) fn read(&mut self, id: UserId, now: Instant) {
        self.read.insert(id, now);
        self.order.push_back((now, id));
    }

    /// The audit's round has come to this user.
    pub(crate) fn came_to(&mut self, id: UserId) {
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
        let tuple = RowFingerprint { last_event: Timestamp::default(), count: 1, level: Level::Low };
        let summary = Summary::whole((1..=users).map(|n| Row { user: id(n), tuple }).collect());
        let mut roster = Roster::default();
        roster.apply(Roster::baseline(&summary, Timestamp::default()).users, Timestamp::default());
        roster
    }

    #[test]
    fn each_user_once_a_round_and_none_within_the_interval() {
        let (roster, mut audit) = (roster(3), Audit::new(Duration::from_secs(100)));
        let mut read = |second| {
            let user = audit.next(&roster, |_| false, at(second))?;
            audit.came_to(user);
            audit.read(user, at(second));
            Some(user.as_u128())
        };
        let order: Vec<_> = [0, 1, 2, 3, 99, 100, 101, 102, 103].into_iter().map(&mut read).collect();
        assert_eq!(order, [Some(1), Some(2), Some(3), None, None, Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn users_that_were_read_otherwise_or_wait_for_it_are_passed_over() {
        let (roster, mut audit) = (roster(3), Audit::new(Duration::from_secs(100)));
        audit.read(id(1), at(0));
        assert_eq!(audit.next(&roster, |user| user == id(2), at(1)), Some(id(3)));
        audit.read(id(1), at(50));
        assert_eq!((audit.next_due(), audit.next(&roster, |_| false, at(149))), (Some(at(100)), Some(id(2))));
    }
}
