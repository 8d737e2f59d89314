//! Computes when each request of a cycle is sent, if all cycles are alike.
//!
//! A cycle is a reading of the list, the users that it shows as changed, and all other requests until the next reading.
//! A limit of _l_ requests per window means that no request is sent before the one _l_ positions earlier is a window old.
//! If all cycles are alike, that request is in this cycle or a known number of cycles earlier, at a known position.

use std::ops::Range;

use crate::cloudflare::limit::WINDOW;

/// The schedule lengthens each wait by up to a tenth.
const MEAN_JITTER: f64 = 1.05;
const MOST_JITTER: f64 = 1.1;

/// The times converge within a dozen rounds. Near a limit they oscillate around a mean, which later rounds average.
const ROUNDS: usize = 60;

/// A difference in seconds that does not matter.
const CLOSE: f64 = 0.01;

/// The input: rates per five minutes, times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// The interval between two readings of the list.
    pub(super) interval: f64,
    pub(super) pages: usize,
    pub(super) page_time: f64,
    pub(super) user_time: f64,
    /// The limit of all requests.
    pub(super) budget: usize,
    /// The limit of requests for changed users.
    pub(super) allowed: usize,
    pub(super) changes: f64,
    /// Requests for the audit and the other resources.
    pub(super) others: f64,
}

/// A cycle, if all cycles are alike; in seconds.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// From one reading of the list to the next.
    pub(super) length: f64,
    /// The length with the most jitter.
    pub(super) longest: f64,
    /// How long reading the list takes.
    pub(super) reading: f64,
    /// When each changed user is read, counted from the start of the reading of the list.
    read: Vec<f64>,
}

/// The positions of a cycle: how many requests of each kind it has. There is at least one for changed users, to see when
/// one would be read, even if the average is less.
#[derive(Clone, Copy)]
struct Positions {
    pages: usize,
    changes: usize,
    others: usize,
    /// The average number of users who change in a cycle.
    mean_changes: f64,
    /// The average number of all requests of a cycle.
    mean: f64,
}

impl Cycle {
    /// Computes the times of all positions by iteration, since each depends on the others.
    pub(super) fn of(rates: &Rates) -> Self {
        let mut reading = rates.pages as f64 * rates.page_time;
        let (mut times, mut read): (Vec<f64>, Vec<f64>) = Default::default();
        for _ in 0..ROUNDS {
            let length = rates.interval * MEAN_JITTER + reading;
            let windows = length / WINDOW.as_secs_f64();
            let positions = Positions {
                pages: rates.pages,
                changes: ((rates.changes * windows).round() as usize).max(1),
                others: (rates.others * windows).round() as usize,
                mean_changes: rates.changes * windows,
                mean: rates.pages as f64 + (rates.changes + rates.others) * windows,
            };
            if times.len() != positions.all() {
                times = positions.unlimited(rates, length, reading);
            }
            let next = positions.times(rates, length, reading, &times);
            let found = next[positions.pages - 1];
            let settled = times.iter().zip(&next).all(|(one, other)| (one - other).abs() < CLOSE);
            times = next;
            read = times[positions.users()].to_vec();
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

    /// The part of a window's limit that can be used, because no user is read while the list is.
    pub(super) fn usable(&self) -> f64 {
        let window = WINDOW.as_secs_f64();
        let windows = 1.0 + ((self.length - self.reading) / window).floor();
        (windows * window / self.length).min(1.0)
    }

    /// When the last changed user is read, counted from the start of the reading of the list.
    pub(super) fn last(&self) -> f64 {
        self.read.iter().copied().fold(0.0, f64::max)
    }

    /// The quantile of the latency, in seconds. A change happens at any time since the previous list, and its user has any
    /// position among the changed users.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let counted = |within: f64| {
            let of_position = |read: &f64| ((within - read) / self.length).clamp(0.0, 1.0);
            self.read.iter().map(of_position).sum::<f64>() / self.read.len() as f64
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

impl Positions {
    fn all(self) -> usize {
        self.pages + self.changes + self.others
    }

    /// The positions of the changed users.
    fn users(self) -> Range<usize> {
        self.pages..self.pages + self.changes
    }

    /// The times without any limit.
    fn unlimited(self, rates: &Rates, length: f64, reading: f64) -> Vec<f64> {
        let pages = (1..=self.pages).map(|position| position as f64 * rates.page_time);
        let changes = (1..=self.changes).map(|position| reading + position as f64 * rates.user_time);
        pages
            .chain(changes)
            .chain((0..self.others).map(|position| self.spread(position, length, reading)))
            .collect()
    }

    /// Other requests are spread evenly between two readings.
    fn spread(self, position: usize, length: f64, reading: f64) -> f64 {
        reading + (length - reading) * (position as f64 + 0.5) / self.others as f64
    }

    /// The times that follow if all other cycles had the times `before`.
    fn times(self, rates: &Rates, length: f64, reading: f64, before: &[f64]) -> Vec<f64> {
        let users = self.users();
        let mut times: Vec<f64> = Vec::with_capacity(before.len());
        for position in 0..before.len() {
            let took = if position < self.pages { rates.page_time } else { rates.user_time };
            if position >= users.end {
                times.push(self.spread(position - users.end, length, reading));
                continue;
            }
            let mut time = times.last().copied().unwrap_or(0.0) + took;
            let mut after = |earliest: f64| time = time.max(earliest + took);
            let all = Limited { positions: 0..before.len(), mean: self.mean, limit: rates.budget };
            after(all.freed(&times, before, length, position));
            if users.contains(&position) {
                let changes =
                    Limited { positions: users.clone(), mean: self.mean_changes, limit: rates.allowed };
                after(changes.freed(&times, before, length, position));
                time = outside_readings(time, length, reading);
            }
            times.push(time);
        }
        times
    }
}

/// Requests that share a limit.
struct Limited {
    positions: Range<usize>,
    /// The average number in a cycle.
    mean: f64,
    limit: usize,
}

impl Limited {
    /// When the request `limit` positions earlier is a window old.
    fn freed(&self, times: &[f64], before: &[f64], length: f64, position: usize) -> f64 {
        let at = position - self.positions.start;
        let window = WINDOW.as_secs_f64();
        if at >= self.limit {
            return times[self.positions.start + at - self.limit] + window;
        }
        let back = (self.limit - at) as f64;
        // If there are almost none, it is so many cycles back that nothing waits for it.
        let cycles = (back / self.mean.max(CLOSE)).ceil();
        let earlier = (cycles * self.mean - back).max(0.0) as usize;
        let position = (self.positions.start + earlier).min(self.positions.end - 1);
        before[position] + window - cycles * length
    }
}

/// Users are read only between two readings of the list.
fn outside_readings(time: f64, length: f64, reading: f64) -> f64 {
    let cycles = (time / length).floor();
    if time - cycles * length < reading { cycles * length + reading } else { time }
}
