//! Which users get series of their own: those most at risk, without a different choice every minute.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::model::{EventCount, Identity, Level, Row, RowFingerprint, Summary, UserId};

/// The minimum lifetime of a user's series, so that a chart of them is useful. They end earlier only if the user leaves
/// the list or users at a higher level need the place.
pub(crate) const MINIMUM_LIFETIME: Duration = Duration::from_secs(3600);

/// A user with series of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The user.
    pub id: UserId,
    /// The latest row in the summary.
    pub fingerprint: RowFingerprint,
    /// E-mail address and name, if the configuration asks for them.
    pub identity: Option<Identity>,
}

/// The users with series of their own, and until when each keeps them.
#[derive(Debug)]
pub(crate) struct TopUsers {
    limit: usize,
    selected: Vec<Selection>,
    protected_until: HashMap<UserId, Instant>,
}

/// What users are ranked by, in this order. The id only makes the order deterministic.
type Rank = (Level, Stability, Timestamp, Reverse<UserId>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stability {
    Replaceable,
    Protected,
}

impl TopUsers {
    /// An empty choice of at most `limit` users.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, selected: Vec::new(), protected_until: HashMap::new() }
    }

    /// Restores the choice of an earlier process, with the instant until which each user keeps its series.
    pub(crate) fn restore(limit: usize, mut users: Vec<(Selection, Instant)>) -> Self {
        users.sort_by_key(|(user, _)| {
            Reverse((user.fingerprint.level, user.fingerprint.last_event, Reverse(user.id)))
        });
        users.truncate(limit);
        let protected_until = users.iter().map(|(user, until)| (user.id, *until)).collect();
        Self { limit, selected: users.into_iter().map(|(user, _)| user).collect(), protected_until }
    }

    /// Chooses at most `limit` users from now on, and drops those beyond it. More are chosen from the next summary.
    /// Returns the dropped users.
    pub(crate) fn set_limit(&mut self, limit: usize) -> Vec<UserId> {
        self.limit = limit;
        let dropped = self.selected.split_off(limit.min(self.selected.len()));
        let dropped: Vec<_> = dropped.into_iter().map(|user| user.id).collect();
        for id in &dropped {
            self.protected_until.remove(id);
        }
        dropped
    }

    /// Forgets e-mail addresses and names.
    pub(crate) fn forget_identities(&mut self) {
        for user in &mut self.selected {
            user.identity = None;
        }
    }

    /// Until when the user keeps its series.
    pub(crate) fn protected_until(&self, id: UserId) -> Option<Instant> {
        self.protected_until.get(&id).copied()
    }

    /// The most users.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Selects users from a complete summary. Returns the users whose selection changed, apart from their names.
    pub(crate) fn select(&mut self, summary: &Summary, now: Instant) -> Vec<UserId> {
        let mut best: BinaryHeap<Reverse<(Rank, Option<u32>)>> = BinaryHeap::new();
        for row in &summary.rows {
            let candidate = Reverse((self.rank(row, now), row.tuple.count.known()));
            if best.len() < self.limit {
                best.push(candidate);
            } else if best.peek().is_some_and(|lowest| candidate < *lowest) {
                best.pop();
                best.push(candidate);
            }
        }
        let identity = |id| {
            let (email, name) = summary.identities.as_ref()?.get(id)?;
            Some(Identity { email: email.to_owned(), name: name.to_owned() })
        };
        let selected = best.into_sorted_vec().into_iter().map(
            |Reverse(((level, _, last_event, Reverse(id)), count))| Selection {
                id,
                fingerprint: RowFingerprint {
                    last_event,
                    count: count.map_or(EventCount::UNKNOWN, EventCount::from),
                    level,
                },
                identity: identity(id),
            },
        );
        let selected: Vec<_> = selected.collect();
        let mut before: HashMap<UserId, RowFingerprint> =
            self.selected.iter().map(|user| (user.id, user.fingerprint)).collect();
        let mut changed: Vec<_> = selected
            .iter()
            .filter(|user| before.remove(&user.id) != Some(user.fingerprint))
            .map(|user| user.id)
            .collect();
        changed.extend(before.into_keys());
        self.selected = selected;
        let until = std::mem::take(&mut self.protected_until);
        let keep =
            |user: &Selection| (user.id, until.get(&user.id).copied().unwrap_or(now + MINIMUM_LIFETIME));
        self.protected_until = self.selected.iter().map(keep).collect();
        changed
    }

    /// The selected users, highest risk first.
    pub(crate) fn selected(&self) -> &[Selection] {
        &self.selected
    }

    fn rank(&self, row: &Row, now: Instant) -> Rank {
        let is_protected = self.protected_until.get(&row.user).is_some_and(|until| now < *until);
        let stability = if is_protected { Stability::Protected } else { Stability::Replaceable };
        (row.tuple.level, stability, row.tuple.last_event, Reverse(row.user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Instant {
        Instant::after_start(Duration::from_secs(60 * minute))
    }

    fn summary(rows: &[(u128, Level, i64)]) -> Summary {
        let row = |&(n, level, second): &(u128, Level, i64)| Row {
            user: UserId::from_u128(n),
            tuple: RowFingerprint { last_event: Timestamp::from_seconds(second), count: 1.into(), level },
        };
        Summary::whole(rows.iter().map(row).collect())
    }

    fn select(users: &mut TopUsers, rows: &[(u128, Level, i64)], minute: u64) -> Vec<u128> {
        users.select(&summary(rows), at(minute));
        users.selected().iter().map(|user| user.id.as_u128()).collect()
    }

    #[test]
    fn high_comes_before_medium_before_low_then_the_latest_event() {
        use Level::{High, Low, Medium, Unknown};
        let rows = [(1, Low, 90), (2, High, 10), (3, Medium, 50), (4, High, 20), (5, Unknown, 99)];
        for (limit, wanted) in [(0, vec![]), (1, vec![4]), (3, vec![4, 2, 3]), (9, vec![4, 2, 3, 1, 5])] {
            assert_eq!(select(&mut TopUsers::new(limit), &rows, 0), wanted, "limit {limit}");
        }
    }

    #[test]
    fn a_user_keeps_its_series_for_an_hour_unless_gone_or_outranked_by_level() {
        use Level::{High, Medium};
        let mut users = TopUsers::new(1);
        assert_eq!(select(&mut users, &[(1, Medium, 10)], 0), [1]);
        assert_eq!(select(&mut users, &[(1, Medium, 10), (2, Medium, 20)], 59), [1], "a later event waits");
        assert_eq!(select(&mut users, &[(1, Medium, 10), (2, Medium, 20)], 60), [2], "the hour is over");
        assert_eq!(select(&mut users, &[(1, Medium, 30), (2, Medium, 20)], 61), [2]);
        assert_eq!(select(&mut users, &[(1, Medium, 30)], 62), [1], "the other is gone");
        assert_eq!(select(&mut users, &[(1, Medium, 30), (3, High, 1)], 63), [3], "outranked");
    }

    #[test]
    fn a_lower_limit_drops_the_last_at_once_and_a_higher_one_waits_for_the_next_list() {
        use Level::{High, Low, Medium};
        let rows = [(1, Low, 90), (2, High, 10), (3, Medium, 50)];
        let mut users = TopUsers::new(3);
        assert_eq!(select(&mut users, &rows, 0), [2, 3, 1]);
        assert_eq!(users.set_limit(1), [UserId::from_u128(3), UserId::from_u128(1)]);
        assert_eq!(users.selected().len(), 1);
        assert_eq!(users.protected_until(UserId::from_u128(3)), None);
        assert!(users.set_limit(2).is_empty());
        assert_eq!(users.selected().len(), 1);
        assert_eq!(select(&mut users, &rows, 1), [2, 3]);
    }
}
