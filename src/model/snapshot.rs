//! What one account's page needs, and nothing more: aggregates, and the few users with series of their own.

use std::collections::BTreeMap;

use super::{Integration, Level, Resource, UserId};
use crate::clock::Timestamp;

/// One value for each of [`Level::ALL`].
pub type PerLevel<T> = [T; 4];

/// Moves between levels, `changes[from][to]`; index 0 is none (not on the list), then low, medium, high.
pub type LevelChanges = [[u64; 4]; 4];

/// What an account is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName {
    /// The label `account`: the alias from the configuration, else the id.
    pub alias: String,
    /// Cloudflare's account id.
    pub id: String,
}

/// An account as its poller last left it; immutable once published.
///
/// Presence: `None` means that the endpoint was never read whole, and its families stay off the page.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whose snapshot this is.
    pub account: AccountName,
    /// Whether the latest attempt to read the summary gave a whole one; `None` before the first ended.
    pub up: Option<bool>,
    /// When each endpoint was last read whole.
    pub last_success: BTreeMap<Resource, Timestamp>,
    /// From the summary.
    pub users: Option<Users>,
    /// The epoch: since when events are counted.
    pub counting_since: Option<Timestamp>,
    /// From the behaviors, sorted by id.
    pub behaviors: Option<Vec<BehaviorStatus>>,
    /// From the integrations, sorted by id.
    pub integrations: Option<Vec<Integration>>,
    /// Everything counted from events; a sample for every pair of known behavior and level, 0 included.
    pub totals: EventTotals,
    /// Rows of answers that could not be read, by endpoint, since the start.
    pub rejected_rows: BTreeMap<Resource, u64>,
}

/// Users on the risk list.
#[derive(Clone, Debug)]
pub struct Users {
    /// How many, by highest level.
    pub count: PerLevel<u64>,
    /// The sum of their `event_count`.
    pub reported_events: PerLevel<u64>,
    /// Since when the longest-standing user at each level has been there.
    pub oldest: PerLevel<Option<Timestamp>>,
    /// The users with series of their own, in the order of their risk.
    pub series: Vec<UserSeries>,
    /// How many have none because of the limit.
    pub omitted: u64,
    /// Users whose new events are still to be read.
    pub pending: u64,
    /// Since when the longest waiting of them has been waiting.
    pub oldest_pending: Option<Timestamp>,
}

/// One user with series of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct UserSeries {
    /// Whose they are.
    pub id: UserId,
    /// The label `user`: the id, or its keyed hash, as the identity policy says.
    pub label: String,
    /// `event_count`
    pub reported_events: u32,
    /// `max_risk_level`
    pub level: Level,
    /// Since when the user has had that level, as far as observed.
    pub since: Timestamp,
    /// `last_event`
    pub last_event: Timestamp,
    /// When the user was last reset, if that was ever read.
    pub last_reset: Option<Timestamp>,
    /// E-mail address and name, only with the identity policy `email`.
    pub identity: Option<super::Identity>,
}

/// A behavior's configuration, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehaviorStatus {
    /// The label `behavior`: its id, bounded in length and number.
    pub label: String,
    /// The display name.
    pub name: String,
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level a user gets by it.
    pub level: Level,
}

/// What was counted, each event once.
#[derive(Clone, Debug, Default)]
pub struct EventTotals {
    /// Whether counting has begun (a whole summary was seen and the behaviors were read or refused);
    /// before that there are no samples.
    pub started: bool,
    /// Distinct events by behavior label, then level.
    pub events: BTreeMap<String, PerLevel<u64>>,
    /// Users with a first event of the behavior since their last reset, by behavior label.
    pub behavior_users: BTreeMap<String, u64>,
    /// Moves between levels.
    pub level_changes: LevelChanges,
    /// Distinct resets.
    pub resets: u64,
    /// Events known from counts that could not be found, by reason (each known reason has an entry).
    pub unattributed: BTreeMap<&'static str, u64>,
    /// From an event's timestamp to when it was first seen here, in seconds.
    pub observation_delay: Histogram,
    /// From reaching a level to the reset, in seconds, by that level.
    pub time_to_reset: PerLevel<Histogram>,
}

/// Counts in cumulative-free buckets: `counts[i]` observations were at most `bounds[i]` and above the
/// bound before; the last count is for everything above all bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, rising.
    pub bounds: &'static [f64],
    /// One more than `bounds`.
    pub counts: Vec<u64>,
    /// The sum of all observations, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// An empty histogram with these upper bounds, in seconds.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Adds one observation, in seconds.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += seconds;
        }
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_on_a_bound_falls_below_it() {
        for (seconds, bucket) in [(0.0, 0), (1.0, 0), (1.1, 1), (5.0, 1), (5.1, 2)] {
            let mut histogram = Histogram::new(&[1.0, 5.0]);
            histogram.observe(seconds);
            assert_eq!(histogram.counts.iter().position(|&n| n == 1), Some(bucket), "{seconds} seconds");
        }
    }
}
