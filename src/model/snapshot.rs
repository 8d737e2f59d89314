//! What `/metrics` shows of one account, and nothing more: aggregates, and the few users with their own series.

use std::collections::BTreeMap;

use super::{Drift, Integration, Level, Resource, UserId};
use crate::clock::{Instant, Timestamp};

/// One value for each of [`Level::ALL`].
pub type PerLevel<T> = [T; 4];

/// Counts of level changes, `changes[from][to]`. Index 0 is "none" (not on the list), then low, medium, high.
pub type LevelChanges = [[u64; 4]; 4];

/// The names of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName {
    /// The label `account`: the alias from the configuration, else the id.
    pub alias: String,
    /// Cloudflare's account id.
    pub id: String,
}

/// The published state of an account. Immutable.
///
/// `None` means that the resource was never read completely; its metrics are not exported.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The account.
    pub account: AccountName,
    /// Whether the latest attempt to read the summary gave a complete one; `None` before the first attempt ended.
    pub up: Option<bool>,
    /// When `up` becomes 0, unless a later snapshot says that it is 1. The poller itself says before that when the list of
    /// users is overdue, so this is reached only while the poller hangs, for example because the disk does not answer, or
    /// while the first attempt takes too long.
    pub up_until: Option<Instant>,
    /// When each resource was last read completely.
    pub last_success: BTreeMap<Resource, Timestamp>,
    /// From the summary.
    pub users: Option<Users>,
    /// The epoch: the time from which events are counted.
    pub counting_since: Option<Timestamp>,
    /// From the behaviors, sorted by id.
    pub behaviors: Option<Vec<BehaviorStatus>>,
    /// How the behaviors differ from the baseline; `None` without a baseline, too.
    pub drift: Option<Drift>,
    /// From the integrations, sorted by id.
    pub integrations: Option<Vec<Integration>>,
    /// Everything counted from events. Every pair of a known behavior and a level has a sample, even if it is 0.
    pub totals: EventTotals,
    /// The number of unreadable rows since the start, by resource.
    pub rejected_rows: BTreeMap<Resource, u64>,
    /// How often a field did not have its documented form since the start, by resource and field. Only fields in
    /// [`Resource::checked_fields`] occur.
    pub unexpected_fields: BTreeMap<(Resource, &'static str), u64>,
}

impl Snapshot {
    /// When `up` turns to 0 if no later snapshot comes; `None` if it is 0.
    pub fn down_at(&self) -> Option<Instant> {
        self.up_until.filter(|_| self.up != Some(false))
    }
}

/// Users on the risk list.
#[derive(Clone, Debug)]
pub struct Users {
    /// The number of users, by highest level.
    pub count: PerLevel<u64>,
    /// The sum of their `event_count`, by highest level.
    pub reported_events: PerLevel<u64>,
    /// For each level, since when the user who has been there longest has been there.
    pub oldest: PerLevel<Option<Timestamp>>,
    /// The users with their own series, in the order of their risk.
    pub series: Vec<UserSeries>,
    /// The number of users without their own series, because of the limit.
    pub omitted: u64,
    /// The number of users whose new events are not read yet.
    pub pending: u64,
    /// When the longest-waiting pending user began to wait.
    pub oldest_pending: Option<Timestamp>,
    /// Users who left the list since the start and were not queued, because too many did.
    pub departures_skipped: u64,
}

/// One user with its own series.
#[derive(Clone, Debug, PartialEq)]
pub struct UserSeries {
    /// The user's id.
    pub id: UserId,
    /// The label `user`: the id or its keyed hash, depending on the identity policy.
    pub label: String,
    /// `event_count`; `None` if Cloudflare does not say it.
    pub reported_events: Option<u32>,
    /// `max_risk_level`
    pub level: Level,
    /// Since when the user has had this level, as far as observed.
    pub since: Timestamp,
    /// `last_event`; [`Timestamp::UNKNOWN`] is not exported.
    pub last_event: Timestamp,
    /// When the user was last reset, if known.
    pub last_reset: Option<Timestamp>,
    /// E-mail address and name, only with the identity policy `email`.
    pub identity: Option<super::Identity>,
}

/// A behavior's configuration, as exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehaviorStatus {
    /// The label `behavior`: the id. The length and the number of labels are limited.
    pub label: String,
    /// The display name.
    pub name: String,
    /// Whether the behavior is enabled; `None` if that was never readable.
    pub enabled: Option<bool>,
    /// The level that the behavior gives a user.
    pub level: Level,
}

/// The counters. Each event was counted once.
#[derive(Clone, Debug, Default)]
pub struct EventTotals {
    /// Whether counting has started: a complete summary was read, and the behaviors were read or refused. Before that,
    /// there are no samples.
    pub started: bool,
    /// Distinct events by behavior label, then level.
    pub events: BTreeMap<String, PerLevel<u64>>,
    /// Users who had their first event of a behavior since their last reset, by behavior label.
    pub behavior_users: BTreeMap<String, u64>,
    /// Changes between levels.
    pub level_changes: LevelChanges,
    /// Distinct resets.
    pub resets: u64,
    /// Events that Cloudflare's counts include but that could not be found, by reason. Every reason has an entry.
    pub unattributed: BTreeMap<&'static str, u64>,
    /// The time from an event's timestamp to its first observation, in seconds.
    pub observation_delay: Histogram,
    /// The time from reaching a level to the reset, in seconds, by that level.
    pub time_to_reset: PerLevel<Histogram>,
}

/// A histogram with separate (not cumulative) buckets: `counts[i]` is the number of observations up to `bounds[i]` and
/// above the previous bound. The last count is for observations above all bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, ascending.
    pub bounds: &'static [f64],
    /// One count for each bucket: one more than `bounds`.
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

    /// The number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_equal_to_a_bound_counts_in_its_bucket() {
        for (seconds, bucket) in [(0.0, 0), (1.0, 0), (1.1, 1), (5.0, 1), (5.1, 2)] {
            let mut histogram = Histogram::new(&[1.0, 5.0]);
            histogram.observe(seconds);
            assert_eq!(histogram.counts.iter().position(|&n| n == 1), Some(bucket), "{seconds} seconds");
        }
    }
}
