//! When each request of a cycle goes, when all cycles are alike.
//!
//! A cycle is a reading of the list, the users it shows as changed, and whatever else is asked until the next
//! reading. A window of _l_ requests means: none goes before the one _l_ places earlier is a window old. In
//! cycles that are all alike that one stands in this cycle, or so many cycles earlier, at a known place.

use std::ops::Range;

use crate::cloudflare::limit::WINDOW;

/// A wait is lengthened by up to a tenth.
const MEAN_JITTER: f64 = 1.05;
const MOST_JITTER: f64 = 1.1;

/// The places settle within a dozen rounds, or are near a limit and swing around what comes out in the mean.
const ROUNDS: usize = 60;

/// Seconds that make no difference.
const CLOSE: f64 = 0.01;

/// What goes into a cycle; rates are in five minutes, times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Between two readings of the list.
    pub(super) interval: f64,
    pub(super) pages: usize,
    pub(super) page_time: f64,
    pub(super) user_time: f64,
    /// All requests.
    pub(super) budget: usize,
    /// Requests for changed users.
    pub(super) allowed: usize,
    pub(super) changes: f64,
    /// Requests for the audit and what else is polled.
    pub(super) others: f64,
}

/// One of many cycles that are alike; in seconds.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// From one reading of the list to the next.
    pub(super) length: f64,
    /// The same with the most jitter.
    pub(super) longest: f64,
    /// What the reading takes.
    pub(super) reading: f64,
    /// When each changed user is read, from the reading's beginning.
    read: Vec<f64>,
}

/// How many requests of each kind a cycle has. Of users who change at least one, to see when one would be read; how
/// many there are on average may be less.
#[derive(Clone, Copy)]
struct Places {
    pages: usize,
    changes: usize,
    others: usize,
    /// Users who change in a cycle, on average.
    mean_changes: f64,
    /// All requests of a cycle, on average.
    mean: f64,
}

impl Cycle {
    /// Finds the times at which every place follows from the others.
    pub(super) fn of(rates: &Rates) -> Self {
        let mut reading = rates.pages as f64 * rates.page_time;
        let (mut times, mut read): (Vec<f64>, Vec<f64>) = Default::default();
        for _ in 0..ROUNDS {
            let length = rates.interval * MEAN_JITTER + reading;
            let windows = length / WINDOW.as_secs_f64();
            let places = Places {
                pages: rates.pages,
                changes: ((rates.changes * windows).round() as usize).max(1),
                others: (rates.others * windows).round() as usize,
                mean_changes: rates.changes * windows,
                mean: rates.pages as f64 + (rates.changes + rates.others) * windows,
            };
            if times.len() != places.all() {
                times = places.unhindered(rates, length, reading);
            }
            let next = places.times(rates, length, reading, &times);
            let found = next[places.pages - 1];
            let settled = times.iter().zip(&next).all(|(one, other)| (one - other).abs() < CLOSE);
            times = next;
            read = times[places.users()].to_vec();
            if settled && (found - reading).abs() < CLOSE {
                break;
            }
            reading = f64::midpoint(reading, found);
        }
        Self {
            length: rates.interval * MEAN_JITTER + reading,
            longest: rates.interval * MOST_JITTER + reading,
            reading,
            read,
        }
    }

    /// The part of what a window allows that can go, as nobody is asked about while the list is read.
    pub(super) fn open(&self) -> f64 {
        let window = WINDOW.as_secs_f64();
        let windows = 1.0 + ((self.length - self.reading) / window).floor();
        (windows * window / self.length).min(1.0)
    }

    /// When the last of the changed users is read, from the reading's beginning.
    pub(super) fn last(&self) -> f64 {
        self.read.iter().copied().fold(0.0, f64::max)
    }

    /// Within how many seconds such a part of the changes is counted. Each came at any time since the list that
    /// did not show it yet, and is at any place among the changed.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let counted = |within: f64| {
            let of_place = |read: &f64| ((within - read) / self.length).clamp(0.0, 1.0);
            self.read.iter().map(of_place).sum::<f64>() / self.read.len() as f64
        };
        let (mut below, mut above) = (0.0, self.length + self.last());
        while above - below > CLOSE {
            let middle = f64::midpoint(below, above);
            if counted(middle) < part {
                below = middle;
            } else {
                above = middle;
            }
        }
        above
    }
}

impl Places {
    fn all(self) -> usize {
        self.pages + self.changes + self.others
    }

    /// Those of the changed users.
    fn users(self) -> Range<usize> {
        self.pages..self.pages + self.changes
    }

    /// As if there were no limits.
    fn unhindered(self, rates: &Rates, length: f64, reading: f64) -> Vec<f64> {
        let pages = (1..=self.pages).map(|place| place as f64 * rates.page_time);
        let changes = (1..=self.changes).map(|place| reading + place as f64 * rates.user_time);
        pages
            .chain(changes)
            .chain((0..self.others).map(|place| self.spread(place, length, reading)))
            .collect()
    }

    /// Other requests come evenly between two readings.
    fn spread(self, place: usize, length: f64, reading: f64) -> f64 {
        reading + (length - reading) * (place as f64 + 0.5) / self.others as f64
    }

    /// The times that follow if in all other cycles they were `before`.
    fn times(self, rates: &Rates, length: f64, reading: f64, before: &[f64]) -> Vec<f64> {
        let users = self.users();
        let mut times: Vec<f64> = Vec::with_capacity(before.len());
        for place in 0..before.len() {
            let took = if place < self.pages { rates.page_time } else { rates.user_time };
            if place >= users.end {
                times.push(self.spread(place - users.end, length, reading));
                continue;
            }
            let mut time = times.last().copied().unwrap_or(0.0) + took;
            let mut after = |earliest: f64| time = time.max(earliest + took);
            let all = Kind { places: 0..before.len(), mean: self.mean, limit: rates.budget };
            after(all.freed(&times, before, length, place));
            if users.contains(&place) {
                let changes = Kind { places: users.clone(), mean: self.mean_changes, limit: rates.allowed };
                after(changes.freed(&times, before, length, place));
                time = outside_readings(time, length, reading);
            }
            times.push(time);
        }
        times
    }
}

/// Requests that share a limit.
struct Kind {
    places: Range<usize>,
    /// How many a cycle has on average.
    mean: f64,
    limit: usize,
}

impl Kind {
    /// When the request `limit` places before this one is a window old.
    fn freed(&self, times: &[f64], before: &[f64], length: f64, place: usize) -> f64 {
        let at = place - self.places.start;
        let window = WINDOW.as_secs_f64();
        if at >= self.limit {
            return times[self.places.start + at - self.limit] + window;
        }
        let back = (self.limit - at) as f64;
        // Where there are next to none, it is so many cycles back that nothing waits for it.
        let cycles = (back / self.mean.max(CLOSE)).ceil();
        let earlier = (cycles * self.mean - back).max(0.0) as usize;
        let place = (self.places.start + earlier).min(self.places.end - 1);
        before[place] + window - cycles * length
    }
}

/// Users are asked about between two readings of the list only.
fn outside_readings(time: f64, length: f64, reading: f64) -> f64 {
    let cycles = (time / length).floor();
    if time - cycles * length < reading { cycles * length + reading } else { time }
}
