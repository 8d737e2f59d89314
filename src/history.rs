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

use crate::clock::{Moment, Timestamp};
use crate::model::{Endpoint, Level, PerLevel, Snapshot};

/// Six hours of minutes: the beginning of what an alert is about, and a step for each pixel of a small chart.
pub const STEPS: usize = 360;

/// Events are rare: in a bucket of ten minutes there is something to see.
const STEPS_OF_BUCKET: u32 = 10;

/// The last hours of one account.
#[derive(Debug)]
pub struct History {
    step: Duration,
    users: Ring<Option<PerLevel<u32>>>,
    events: Ring<Bucket>,
    /// Each behavior that ever had an event: its place in a bucket, and its total as last seen.
    behaviors: BTreeMap<String, Seen>,
    /// The last reading of the list of users, and the moment at which it was seen.
    reading: Option<(Timestamp, Option<Moment>)>,
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
    pub fn new(step: Duration, snapshot: &Snapshot) -> Self {
        let mut history = Self {
            step: step.max(Duration::from_millis(1)),
            users: Ring::new(STEPS),
            events: Ring::new(STEPS / STEPS_OF_BUCKET as usize),
            behaviors: BTreeMap::new(),
            reading: snapshot.last_success.get(&Endpoint::Summary).map(|read| (*read, None)),
        };
        drop(history.news(snapshot));
        history
    }

    /// Takes over what is new in `snapshot`; `interval` is the time between two readings of the list of users.
    pub fn record(&mut self, snapshot: &Snapshot, interval: Duration, now: Moment) {
        let news = self.news(snapshot);
        let (slot, bucket) = (self.slot(now, self.step), self.slot(now, self.bucket()));
        if !news.is_empty() {
            let latest = self.events.reach(bucket, Bucket::default);
            latest.known = true;
            for (place, count) in news {
                latest.add(place, count);
            }
        }
        let read = snapshot.last_success.get(&Endpoint::Summary).copied();
        let (Some(read), Some(users)) = (read, &snapshot.users) else { return };
        if self.reading.is_some_and(|(before, _)| before == read) {
            return;
        }
        // One attempt may fail in passing: what was known before is not doubted yet.
        let patience = 2 * interval + self.step;
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
    pub fn step(&self) -> Duration {
        self.step
    }

    /// The time of one bucket of [`History::events`].
    pub fn bucket(&self) -> Duration {
        STEPS_OF_BUCKET * self.step
    }

    /// The end of the last step of [`History::users`]; `None` as long as there is none.
    pub fn users_until(&self) -> Option<Moment> {
        self.users.until(self.step)
    }

    /// The end of the last bucket of [`History::events`]; `None` as long as there is none.
    pub fn events_until(&self) -> Option<Moment> {
        self.events.until(self.bucket())
    }

    /// Users at `level`, step by step, the oldest first; `None` where that is not known.
    pub fn users(&self, level: Level) -> impl Iterator<Item = Option<u32>> {
        self.users.slots.iter().map(move |users| users.map(|users| users[level.index()]))
    }

    /// Events counted in each bucket, the oldest first; `None` where nothing was read.
    pub fn events(&self, behavior: &str) -> impl Iterator<Item = Option<u32>> {
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
    fn slot(&self, moment: Moment, step: Duration) -> u64 {
        let slot = moment.since(Moment::default()).as_millis() / step.as_millis().max(1);
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

    fn until(&self, step: Duration) -> Option<Moment> {
        let steps = u32::try_from(self.last + 1).unwrap_or(u32::MAX);
        (!self.slots.is_empty()).then(|| Moment::after_start(step.saturating_mul(steps)))
    }
}
