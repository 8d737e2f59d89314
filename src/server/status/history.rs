//! What an account was like in the last hours: a bounded ring of aggregates, in memory.
//!
//! Pure: it is told the time, as moments, so that a clock that is set leaves no hole. Users by level are kept
//! for each of [`STEPS`] steps; events by behavior for a tenth as many buckets of ten steps. A step in which
//! the list of users was not read holds what was read before, as long as the next reading came when it was
//! due; otherwise it holds nothing, which is not 0.
//!
//! An account with ten behaviors takes some 11 kB. With all behaviors that can have a label of their own (321)
//! it takes 90 kB.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Instant, Timestamp};
use crate::model::{Level, PerLevel, Resource, Snapshot};

/// Six hours of minutes: the beginning of what an alert is about, and a step for each pixel of a small chart.
pub(super) const STEPS: usize = 360;

/// Events are rare: in a bucket of ten minutes there is something to see.
const STEPS_OF_BUCKET: u32 = 10;

/// Snapshots come at most once a second, and each is looked at within the next.
const DELAY: Duration = Duration::from_secs(2);

/// The last hours of one account.
#[derive(Debug)]
pub(super) struct History {
    step: Duration,
    users: Ring<Option<PerLevel<u32>>>,
    events: Ring<Bucket>,
    /// Each behavior that ever had an event: its place in a bucket, and its total as last seen.
    behaviors: BTreeMap<String, Seen>,
    /// The last reading of the list of users, and the moment at which it was seen.
    reading: Option<(Timestamp, Option<Instant>)>,
}

#[derive(Debug)]
struct Seen {
    place: usize,
    total: u64,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    known: bool,
    /// By [`Seen::place`]; those beyond the end had none.
    counts: Vec<u32>,
}

impl History {
    /// Nothing is known but `snapshot`, and that is no news: it may be of before a restart. A step is at least
    /// a millisecond.
    pub(super) fn new(step: Duration, snapshot: &Snapshot) -> Self {
        let mut history = Self {
            step: step.max(Duration::from_millis(1)),
            users: Ring::new(STEPS),
            events: Ring::new(STEPS / STEPS_OF_BUCKET as usize),
            behaviors: BTreeMap::new(),
            reading: snapshot.last_success.get(&Resource::Summary).map(|read| (*read, None)),
        };
        drop(history.news(snapshot));
        history
    }

    /// Takes over what is new in `snapshot`; `interval` is the time between two readings of the list of users.
    pub(super) fn record(&mut self, snapshot: &Snapshot, interval: Duration, now: Instant) {
        let news = self.news(snapshot);
        let (slot, bucket) = (self.slot(now, self.step), self.slot(now, self.bucket()));
        if !news.is_empty() {
            let latest = self.events.reach(bucket, Bucket::default);
            latest.known = true;
            for (place, count) in news {
                latest.add(place, count);
            }
        }
        let read = snapshot.last_success.get(&Resource::Summary).copied();
        let (Some(read), Some(users)) = (read, &snapshot.users) else { return };
        if self.reading.is_some_and(|(before, _)| before == read) {
            return;
        }
        // One attempt may fail in passing: what was known before is not doubted yet.
        let patience = 2 * interval + self.step + DELAY;
        let before = self.reading.replace((read, Some(now))).and_then(|(_, seen)| seen);
        let joined = before.filter(|before| now.since(*before) <= patience);
        let held = joined.and_then(|_| self.users.back().copied().flatten());
        *self.users.reach(slot, || held) =
            Some(users.count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)));
        self.events.reach(bucket, Bucket::default);
        let since = joined.map_or(bucket, |before| self.slot(before, self.bucket()));
        self.events.from(since).for_each(|bucket| bucket.known = true);
    }

    /// The time of one step of [`History::users`].
    pub(super) fn step(&self) -> Duration {
        self.step
    }

    /// The time of one bucket of [`History::events`].
    pub(super) fn bucket(&self) -> Duration {
        STEPS_OF_BUCKET * self.step
    }

    /// The end of the last step of [`History::users`]; `None` as long as there is none.
    pub(super) fn users_until(&self) -> Option<Instant> {
        self.users.until(self.step)
    }

    /// The end of the last bucket of [`History::events`]; `None` as long as there is none.
    pub(super) fn events_until(&self) -> Option<Instant> {
        self.events.until(self.bucket())
    }

    /// Users at `level`, step by step, the oldest first; `None` where that is not known.
    pub(super) fn users(&self, level: Level) -> impl Iterator<Item = Option<u32>> {
        self.users.slots.iter().map(move |users| users.map(|users| users[level.index()]))
    }

    /// Events counted in each bucket, the oldest first; `None` where nothing was read.
    pub(super) fn events(&self, behavior: &str) -> impl Iterator<Item = Option<u32>> {
        let place = self.behaviors.get(behavior).map(|seen| seen.place);
        self.events.slots.iter().map(move |bucket| bucket.known.then(|| bucket.count(place)))
    }

    /// What was counted since the last snapshot, by place.
    fn news(&mut self, snapshot: &Snapshot) -> Vec<(usize, u64)> {
        let mut news = Vec::new();
        for (label, levels) in &snapshot.totals.events {
            let total: u64 = levels.iter().sum();
            if total == 0 {
                continue;
            }
            let place = self.behaviors.len();
            if !self.behaviors.contains_key(label) {
                self.behaviors.insert(label.clone(), Seen { place, total: 0 });
            }
            let Some(seen) = self.behaviors.get_mut(label) else { continue };
            let more = total.saturating_sub(seen.total);
            seen.total = total;
            if more > 0 {
                news.push((seen.place, more));
            }
        }
        news
    }

    /// In which step of this length a moment is.
    fn slot(&self, moment: Instant, step: Duration) -> u64 {
        let slot = moment.since(Instant::default()).as_millis() / step.as_millis().max(1);
        u64::try_from(slot).unwrap_or(u64::MAX)
    }
}

impl Bucket {
    fn add(&mut self, place: usize, count: u64) {
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        if let Some(counted) = self.counts.get_mut(place) {
            *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    fn count(&self, place: Option<usize>) -> u32 {
        place.and_then(|place| self.counts.get(place)).copied().unwrap_or_default()
    }
}

/// The last slots, one after the other.
#[derive(Debug)]
struct Ring<T> {
    bound: usize,
    /// The number of the last slot.
    last: u64,
    slots: VecDeque<T>,
}

impl<T> Ring<T> {
    fn new(bound: usize) -> Self {
        Self { bound, last: 0, slots: VecDeque::new() }
    }

    fn back(&self) -> Option<&T> {
        self.slots.back()
    }

    /// The slot of this number, or the last one if that is later; those in between are made by `fill`.
    fn reach(&mut self, slot: u64, fill: impl Fn() -> T) -> &mut T {
        let missing = match self.slots.is_empty() {
            true => 1,
            false => usize::try_from(slot.saturating_sub(self.last)).unwrap_or(usize::MAX).min(self.bound),
        };
        for _ in 0..missing {
            if self.slots.len() == self.bound {
                self.slots.pop_front();
            }
            self.slots.push_back(fill());
        }
        self.last = self.last.max(slot);
        self.slots.back_mut().expect("at least one was there, or was made")
    }

    /// The slots from this number on.
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

    /// The account when its list of users was read at second `read` and had `high` users, and `travels` events
    /// were counted beside one from before the start.
    fn snapshot(read: Option<i64>, high: u64, travels: u64) -> Snapshot {
        let last_success = read.map(|second| (Resource::Summary, Timestamp::from_seconds(second)));
        Snapshot {
            account: AccountName { alias: "acme".to_owned(), id: "1".to_owned() },
            up: read.map(|_| true),
            last_success: last_success.into_iter().collect(),
            users: read.map(|_| Users {
                count: [0, 0, 0, high],
                reported_events: [0; 4],
                oldest: [None; 4],
                series: Vec::new(),
                omitted: 0,
                pending: 0,
                oldest_pending: None,
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
        }
    }

    fn begun() -> History {
        History::new(MINUTE, &snapshot(None, 0, 0))
    }

    /// Records a reading at each of these seconds, each with as many users as the first one has seconds.
    fn read(history: &mut History, interval: Duration, readings: impl IntoIterator<Item = (u64, u64)>) {
        for (second, high) in readings {
            history.record(&snapshot(Some(second as i64), high, 0), interval, at(second));
        }
    }

    fn high(history: &History) -> Vec<Option<u32>> {
        history.users(Level::High).collect()
    }

    #[test]
    fn a_step_holds_its_last_reading_and_readings_that_were_missed_leave_a_gap() {
        type Readings = &'static [(u64, u64)];
        let table: [(&str, u64, Readings, &[Option<u32>]); 6] = [
            ("the last of a minute", 30, &[(0, 1), (30, 2), (59, 3), (60, 4)], &[Some(3), Some(4)]),
            ("one reading failed in passing", 60, &[(0, 1), (150, 2)], &[Some(1), Some(1), Some(2)]),
            ("two minutes are the most", 30, &[(0, 1), (120, 2)], &[Some(1), Some(1), Some(2)]),
            ("readings stood out", 30, &[(0, 1), (181, 2)], &[Some(1), None, None, Some(2)]),
            (
                "read every five minutes",
                300,
                &[(0, 7), (300, 8)],
                &[Some(7), Some(7), Some(7), Some(7), Some(7), Some(8)],
            ),
            ("the first one is the first step", 30, &[(6_000, 5)], &[Some(5)]),
        ];
        for (what, interval, readings, wanted) in table {
            let mut history = begun();
            read(&mut history, seconds(interval), readings.iter().copied());
            assert_eq!(high(&history), wanted, "{what}");
        }
    }

    #[test]
    fn only_a_reading_is_news_of_users() {
        let mut history = begun();
        read(&mut history, HALF_MINUTE, [(0, 1)]);
        for second in 1..600 {
            history.record(&snapshot(Some(0), 1, 0), HALF_MINUTE, at(second));
        }
        assert_eq!(high(&history), [Some(1)]);
        assert_eq!(history.users_until(), Some(at(60)));
    }

    #[test]
    fn what_was_known_at_the_start_is_no_news() {
        let restored = snapshot(Some(-100), 9, 50);
        let mut history = History::new(MINUTE, &restored);
        history.record(&restored, HALF_MINUTE, at(0));
        assert_eq!((history.users_until(), history.events_until()), (None, None));
        history.record(&snapshot(Some(1), 9, 52), HALF_MINUTE, at(1));
        assert_eq!(high(&history), [Some(9)]);
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), [Some(2)]);
    }

    #[test]
    fn events_are_counted_in_the_bucket_in_which_they_became_known() {
        let mut history = begun();
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
        let mut history = begun();
        let hour = seconds(3_600);
        history.record(&snapshot(Some(0), 0, 0), hour, at(0));
        history.record(&snapshot(Some(3_600), 0, 4), hour, at(3_600));
        let wanted = [Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), Some(4)];
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn six_hours_are_kept_and_no_more() {
        let mut history = begun();
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
        let mut history = begun();
        for (second, travels) in [(0, 10), (1, 4), (2, 6)] {
            history.record(&snapshot(Some(second as i64), 0, travels), HALF_MINUTE, at(second));
        }
        assert_eq!(history.events("imp_travel").collect::<Vec<_>>(), [Some(12)]);
    }
}
