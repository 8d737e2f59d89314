//! Which users get series of their own: those most at risk, and not others every minute.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::model::{Identity, Level, Row, RowFingerprint, Summary, UserId};

/// A series lives at least this long, so that a chart of it is worth looking at, unless its user is gone or
/// outranked by level.
pub(crate) const STAY: Duration = Duration::from_secs(3600);

/// A user with series of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Whose they are.
    pub id: UserId,
    /// What the summary said last.
    pub tuple: RowFingerprint,
    /// E-mail address and name, if they were asked for.
    pub identity: Option<Identity>,
}

/// The choice, and until when each of the chosen stays in it.
#[derive(Debug)]
pub(crate) struct TopUsers {
    limit: usize,
    chosen: Vec<Selection>,
    until: HashMap<UserId, Instant>,
}

/// What users are ranked by, in this order; the id only makes it the same each time.
type Rank = (Level, Stay, Timestamp, Reverse<UserId>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stay {
    Free,
    Due,
}

impl TopUsers {
    /// At most `limit` users.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, chosen: Vec::new(), until: HashMap::new() }
    }

    /// The choice that an earlier process left, with the moment until which each user stays.
    pub(crate) fn restore(limit: usize, mut chosen: Vec<(Selection, Instant)>) -> Self {
        chosen.sort_by_key(|(user, _)| Reverse((user.tuple.level, user.tuple.last_event, Reverse(user.id))));
        chosen.truncate(limit);
        let until = chosen.iter().map(|(user, until)| (user.id, *until)).collect();
        Self { limit, chosen: chosen.into_iter().map(|(user, _)| user).collect(), until }
    }

    /// Until when the user stays.
    pub(crate) fn stays_until(&self, id: UserId) -> Option<Instant> {
        self.until.get(&id).copied()
    }

    /// How many users are chosen at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Chooses anew from a whole summary. Returns for whom that changed something, the name apart.
    pub(crate) fn choose(&mut self, summary: &Summary, now: Instant) -> Vec<UserId> {
        let mut best: BinaryHeap<Reverse<(Rank, u32)>> = BinaryHeap::new();
        for row in &summary.rows {
            let candidate = Reverse((self.rank(row, now), row.tuple.count));
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
        let chosen = best.into_sorted_vec().into_iter().map(
            |Reverse(((level, _, last_event, Reverse(id)), count))| Selection {
                id,
                tuple: RowFingerprint { last_event, count, level },
                identity: identity(id),
            },
        );
        let chosen: Vec<_> = chosen.collect();
        let mut before: HashMap<UserId, RowFingerprint> =
            self.chosen.iter().map(|user| (user.id, user.tuple)).collect();
        let mut changed: Vec<_> = chosen
            .iter()
            .filter(|user| before.remove(&user.id) != Some(user.tuple))
            .map(|user| user.id)
            .collect();
        changed.extend(before.into_keys());
        self.chosen = chosen;
        let until = std::mem::take(&mut self.until);
        let stay = |user: &Selection| (user.id, until.get(&user.id).copied().unwrap_or(now + STAY));
        self.until = self.chosen.iter().map(stay).collect();
        changed
    }

    /// The chosen users, by falling risk.
    pub(crate) fn chosen(&self) -> &[Selection] {
        &self.chosen
    }

    fn rank(&self, row: &Row, now: Instant) -> Rank {
        let stays = self.until.get(&row.user).is_some_and(|until| now < *until);
        let stay = if stays { Stay::Due } else { Stay::Free };
        (row.tuple.level, stay, row.tuple.last_event, Reverse(row.user))
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
            tuple: RowFingerprint { last_event: Timestamp::from_seconds(second), count: 1, level },
        };
        Summary::whole(rows.iter().map(row).collect())
    }

    fn choose(series: &mut TopUsers, rows: &[(u128, Level, i64)], minute: u64) -> Vec<u128> {
        series.choose(&summary(rows), at(minute));
        series.chosen().iter().map(|user| user.id.as_u128()).collect()
    }

    #[test]
    fn high_comes_before_medium_before_low_then_the_latest_event() {
        use Level::{High, Low, Medium, Unknown};
        let rows = [(1, Low, 90), (2, High, 10), (3, Medium, 50), (4, High, 20), (5, Unknown, 99)];
        for (limit, wanted) in [(0, vec![]), (1, vec![4]), (3, vec![4, 2, 3]), (9, vec![4, 2, 3, 1, 5])] {
            assert_eq!(choose(&mut TopUsers::new(limit), &rows, 0), wanted, "limit {limit}");
        }
    }

    #[test]
    fn a_user_stays_for_an_hour_unless_gone_or_outranked_by_level() {
        use Level::{High, Medium};
        let mut series = TopUsers::new(1);
        assert_eq!(choose(&mut series, &[(1, Medium, 10)], 0), [1]);
        assert_eq!(choose(&mut series, &[(1, Medium, 10), (2, Medium, 20)], 59), [1], "a later event waits");
        assert_eq!(choose(&mut series, &[(1, Medium, 10), (2, Medium, 20)], 60), [2], "the hour is over");
        assert_eq!(choose(&mut series, &[(1, Medium, 30), (2, Medium, 20)], 61), [2]);
        assert_eq!(choose(&mut series, &[(1, Medium, 30)], 62), [1], "the other is gone");
        assert_eq!(choose(&mut series, &[(1, Medium, 30), (3, High, 1)], 63), [3], "outranked");
    }
}
