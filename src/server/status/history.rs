//! The last hours of an account: a bounded ring of aggregates, in memory.
//!
//! Pure: callers pass the time, as instants, so that setting the clock leaves no gap. Users by level are kept for each of
//! [`STEPS`] steps, and events by behavior for a tenth as many buckets of ten steps. A step in which the list of users was
//! not read repeats the value before it, if the next reading came when it was due. Otherwise it has no value, which is not
//! 0.
//!
//! An account with ten behaviors takes some 11 kB. With the most behaviors that can have their own label (321) it takes
//! 90 kB.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::model::{Level, PerLevel, Resource, Snapshot};

/// Six hours of minutes: long enough to see how a problem began, and about one step for each pixel of a small chart.
pub(super) const STEPS: usize = 360;

/// Events are rare, so shorter buckets would mostly be empty.
const STEPS_PER_BUCKET: u32 = 10;

/// The delay of the publisher: it builds at most once a second and takes less than a second.
const PUBLISHER_DELAY: Duration = Duration::from_secs(2);

/// The last hours of one account.
#[derive(Debug)]
pub(super) struct History {
    step: Duration,
    users: Ring<Option<PerLevel<u32>>>,
    events: Ring<Bucket>,
    /// Every behavior that ever had an event.
    behaviors: BTreeMap<String, BehaviorTotal>,
    /// The date of the latest reading of the list of users, and when it was recorded; `None` for a restored one.
    reading: Option<(Timestamp, Option<Instant>)>,
}

#[derive(Debug)]
struct BehaviorTotal {
    /// The index in [`Bucket::counts`].
    index: usize,
    /// The counter's value in the latest snapshot.
    total: u64,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    /// Whether the list of users was read in this time.
    known: bool,
    /// By [`BehaviorTotal::index`]; a missing element is 0.
    counts: Vec<u32>,
}

impl History {
    /// Begins with `snapshot`. It may be from before a restart, so its events and users are not recorded. A step is at
    /// least a millisecond.
    pub(super) fn new(step: Duration, snapshot: &Snapshot) -> Self {
        let mut history = Self {
            step: step.max(Duration::from_millis(1)),
            users: Ring::new(STEPS),
            events: Ring::new(STEPS / STEPS_PER_BUCKET as usize),
            behaviors: BTreeMap::new(),
            reading: snapshot.last_success.get(&Resource::Summary).map(|read| (*read, None)),
        };
        drop(history.new_events(snapshot));
        history
    }

    /// Records what is new in `snapshot`; `interval` is the polling interval of the list of users.
    pub(super) fn record(&mut self, snapshot: &Snapshot, interval: Duration, now: Instant) {
        let new_events = self.new_events(snapshot);
        let (slot, bucket) = (self.slot(now, self.step), self.slot(now, self.bucket()));
        if !new_events.is_empty() {
            let latest = self.events.advance_to(bucket, Bucket::default);
            latest.known = true;
            for (index, count) in new_events {
                latest.add(index, count);
            }
        }
        let read = snapshot.last_success.get(&Resource::Summary).copied();
        let (Some(read), Some(users)) = (read, &snapshot.users) else { return };
        if self.reading.is_some_and(|(before, _)| before == read) {
            return;
        }
        // One failed attempt is not a gap yet.
        let longest_pause = 2 * interval + self.step + PUBLISHER_DELAY;
        let before = self.reading.replace((read, Some(now))).and_then(|(_, recorded)| recorded);
        let without_gap = before.filter(|before| now.since(*before) <= longest_pause);
        let repeated = without_gap.and_then(|_| self.users.back().copied().flatten());
        *self.users.advance_to(slot, || repeated) =
            Some(users.count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)));
        self.events.advance_to(bucket, Bucket::default);
        let since = without_gap.map_or(bucket, |before| self.slot(before, self.bucket()));
        self.events.from(since).for_each(|bucket| bucket.known = true);
    }

    /// The length of a step of [`History::users`].
    pub(super) fn step(&self) -> Duration {
        self.step
    }

    /// The length of a bucket of [`History::events`].
    pub(super) fn bucket(&self) -> Duration {
        STEPS_PER_BUCKET * self.step
    }

    /// The end of the last step of [`History::users`]; `None` if there is no step yet.
    pub(super) fn users_until(&self) -> Option<Instant> {
        self.users.until(self.step)
    }

    /// The end of the last bucket of [`History::events`]; `None` if there is no bucket yet.
    pub(super) fn events_until(&self) -> Option<Instant> {
        self.events.until(self.bucket())
    }

    /// The number of users at `level` for each step, oldest first; `None` where it is not known.
    pub(super) fn users(&self, level: Level) -> impl Iterator<Item = Option<u32>> {
        self.users.slots.iter().map(move |users| users.map(|users| users[level.index()]))
    }

    /// The number of events for each bucket, oldest first; `None` where nothing was read.
    pub(super) fn events(&self, behavior: &str) -> impl Iterator<Item = Option<u32>> {
        let index = self.behaviors.get(behavior).map(|known| known.index);
        self.events.slots.iter().map(move |bucket| bucket.known.then(|| bucket.count(index)))
    }

    /// The events counted since the previous snapshot, by index of the behavior.
    fn new_events(&mut self, snapshot: &Snapshot) -> Vec<(usize, u64)> {
        let mut new_events = Vec::new();
        for (label, levels) in &snapshot.totals.events {
            let total: u64 = levels.iter().sum();
            if total == 0 {
                continue;
            }
            let index = self.behaviors.len();
            if !self.behaviors.contains_key(label) {
                self.behaviors.insert(label.clone(), BehaviorTotal { index, total: 0 });
            }
            let Some(known) = self.behaviors.get_mut(label) else { continue };
            let increase = total.saturating_sub(known.total);
            known.total = total;
            if increase > 0 {
                new_events.push((known.index, increase));
            }
        }
        new_events
    }

    /// The number of the slot of length `step` that contains `instant`.
    fn slot(&self, instant: Instant, step: Duration) -> u64 {
        let slot = instant.since(Instant::default()).as_millis() / step.as_millis().max(1);
        u64::try_from(slot).unwrap_or(u64::MAX)
    }
}

impl Bucket {
    fn add(&mut self, index: usize, count: u64) {
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        if let Some(counted) = self.counts.get_mut(index) {
            *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    fn count(&self, index: Option<usize>) -> u32 {
        index.and_then(|index| self.counts.get(index)).copied().unwrap_or_default()
    }
}

/// The latest slots without a gap between their numbers.
#[derive(Debug)]
struct Ring<T> {
    capacity: usize,
    /// The number of the last slot.
    last: u64,
    slots: VecDeque<T>,
}

impl<T> Ring<T> {
    fn new(capacity: usize) -> Self {
        Self { capacity, last: 0, slots: VecDeque::new() }
    }

    fn back(&self) -> Option<&T> {
        self.slots.back()
    }

    /// The slot with this number, or the last one if that is later. Slots in between are filled with `fill`.
    fn advance_to(&mut self, slot: u64, fill: impl Fn() -> T) -> &mut T {
        let missing = match self.slots.is_empty() {
            true => 1,
            false => usize::try_from(slot.saturating_sub(self.last)).unwrap_or(usize::MAX).min(self.capacity),
        };
        for _ in 0..missing {
            if self.slots.len() == self.capacity {
                self.slots.pop_front();
            }
            self.slots.push_back(fill());
        }
        self.last = self.last.max(slot);
        self.slots.back_mut().expect("the ring is not empty here")
    }

    /// The slots with this number and later ones.
    fn from(&mut self, slot: u64) -> impl Iterator<Item = &mut T> {
        let later = usize::try_from(self.last.saturating_sub(slot)).unwrap_or(usize::MAX).saturating_add(1);
        let skipped = self.slots.len().saturating_sub(later);
        self.slots.iter_mut().skip(skipped)
    }

    fn until(&self, step: Duration) -> Option<Instant> {
        let steps = u32::try_from(self.last + 1).unwrap_or(u32::MAX);
        (!self.slots.is_empty()).then(|| Instant::after_start(step.saturating_mul(steps)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{at, seconds};
    use crate::model::{AccountName, EventTotals, Users};

    const MINUTE: Duration = Duration::from_secs(60);
    const HALF_MINUTE: Duration = Duration::from_secs(30);

    /// An account whose list of users was last read at second `read` and had `high` users. `travels` events were counted,
    /// and one before the start.
    fn snapshot(read: Option<i64>, high: u64, travels: u64) -> Snapshot {
        let last_success = read.map(|second| (Resource::Summary, Timestamp::from_seconds(second)));
        Snapshot {
            account: AccountName { alias: "acme".to_owned(), id: "1".to_owned() },
            up: read.map(|_| true),
            up_until: None,
            last_success: last_success.into_iter().collect(),
            users: read.map(|_| Users {
                count: [0, 0, 0, high],
                reported_events: [0; 4],
                oldest: [None; 4],
                series: Vec::new(),
                omitted: 0,
                pending: 0,
                oldest_pending: None,
                departures_skipped: 0,
            }),
            counting_since: None,
            behaviors: None,
            integrations: None,
            totals: EventTotals {
                events: BTreeMap::from([
                    ("high_dlp".to_owned(), [0; 4]),
                    ("imp_travel".to_owned(), [1, 0, 0, travels]),
                ]),
                ..EventTotals::default()
            },
            rejected_rows: BTreeMap::new(),
            unexpected_fields: BTreeMap::new(),
            drift: None,
        }
    }

    fn empty_history() -> History {
        History::new(MINUTE, &snapshot(None, 0, 0))
    }

    /// Records a reading for each pair of a second and a number of users.
    fn read(history: &mut History, interval: Duration, readings: impl IntoIterator<Item = (u64, u64)>) {
        for (second, high) in readings {
            history.record(&snapshot(Some(second as i64), high, 0), interval, at(second));
        }
    }

    fn high(history: &History) -> Vec<Option<u32>> {
        history.users(Level::High).collect()
    }

    #[test]
    fn a_step_has_its_last_reading_and_missed_readings_leave_a_gap() {
        type Readings = &'static [(u64, u64)];
        let table: [(&str, u64, Readings, &[Option<u32>]); 6] = [
            ("the last reading of a minute", 30, &[(0, 1), (30, 2), (59, 3), (60, 4)], &[Some(3), Some(4)]),
            ("one reading failed", 60, &[(0, 1), (150, 2)], &[Some(1), Some(1), Some(2)]),
            ("two minutes are the longest pause", 30, &[(0, 1), (120, 2)], &[Some(1), Some(1), Some(2)]),
            ("several readings were missed", 30, &[(0, 1), (181, 2)], &[Some(1), None, None, Some(2)]),
            (
                "read every five minutes",
                300,
                &[(0, 7), (300, 8)],
                &[Some(7), Some(7), Some(7), Some(7), Some(7), Some(8)],
            ),
            ("the first reading is the first step", 30, &[(6_000, 5)], &[Some(5)]),
        ];
        for (what, interval, readings, wanted) in table {
            let mut history = empty_history();
            read(&mut history, seconds(interval), readings.iter().copied());
            assert_eq!(high(&history), wanted, "{what}");
        }
    }

    #[test]
    fn only_a_reading_changes_the_users() {
        let mut history = empty_history();
        read(&mut history, HALF_MINUTE, [(0, 1)]);
        for second in 1..600 {
            history.record(&snapshot(Some(0), 1, 0), HALF_MINUTE, at(second));
        }
        assert_eq!(high(&history), [Some(1)]);
        assert_eq!(history.users_until(), Some(at(60)));
    }

    #[test]
    fn what_was_known_at_the_start_is_not_recorded() {
        let restored = snapshot(Some(-100), 9, 50);
        let mut history = History::new(MINUTE, &restored);
        history.record(&restored, HALF_MINUTE, at(0));
        assert_eq!((history.users_until(), history.events_until()), (None, None));
        history.record(&snapshot(Some(1), 9, 52), HALF_MINUTE, at(1));
        assert_eq!(high(&history), [Some(9)]);
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), [Some(2)]);
    }

    #[test]
    fn events_are_counted_in_the_bucket_in_which_they_were_first_seen() {
        let mut history = empty_history();
        let half = HALF_MINUTE;
        history.record(&snapshot(Some(0), 0, 3), half, at(0));
        history.record(&snapshot(Some(0), 0, 5), half, at(599));
        history.record(&snapshot(Some(600), 0, 5), half, at(600));
        history.record(&snapshot(Some(600), 0, 9), half, at(601));
        // Nothing was read for two buckets.
        history.record(&snapshot(Some(2_400), 0, 10), half, at(2_400));
        let wanted = [Some(5), Some(4), None, None, Some(1)];
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), wanted);
        let none = [Some(0), Some(0), None, None, Some(0)];
        for behavior in ["high_dlp", "unheard_of"] {
            assert_eq!(history.events(behavior).collect::<Vec<_>>(), none, "{behavior}");
        }
        assert_eq!(history.events_until(), Some(at(3_000)));
    }

    #[test]
    fn readings_that_come_when_they_are_due_leave_no_gap_between_events() {
        let mut history = empty_history();
        let hour = seconds(3_600);
        history.record(&snapshot(Some(0), 0, 0), hour, at(0));
        history.record(&snapshot(Some(3_600), 0, 4), hour, at(3_600));
        let wanted = [Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), Some(4)];
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn six_hours_are_kept_and_no_more() {
        let mut history = empty_history();
        read(&mut history, HALF_MINUTE, (0..1_000).map(|minute| (60 * minute, minute)));
        let wanted: Vec<_> = (640..1_000).map(Some).collect();
        assert_eq!(high(&history), wanted);
        assert_eq!(history.events("imp_travel").count(), 36);
        // A reading after a year.
        read(&mut history, HALF_MINUTE, [(31_536_000, 1)]);
        let mut wanted = vec![None; 359];
        wanted.push(Some(1));
        assert_eq!(high(&history), wanted);
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>().len(), 36);
    }

    #[test]
    fn a_counter_that_falls_adds_nothing() {
        let mut history = empty_history();
        for (second, travels) in [(0, 10), (1, 4), (2, 6)] {
            history.record(&snapshot(Some(second as i64), 0, travels), HALF_MINUTE, at(second));
        }
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), [Some(12)]);
    }
}
