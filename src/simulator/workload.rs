//! What happens to generated users: a history before the start, then actions that continue with the clock.
//!
//! Actions are generated minute by minute, each minute from the seed and its number alone. So the result does
//! not depend on when or how often the world is read. Minutes are simulated minutes: at a higher speed they are
//! shorter on the clock. Every time is mapped back to the clock, so no action is in the future.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::clock::Timestamp;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How far back the history goes: far enough that users have been at their level for different times.
const PAST_DAYS: i64 = 28;

/// Events for each user and day. Half of them belong to a few noisy users.
const EVENTS_PER_USER_DAY: f64 = 0.2;

/// A lower bound, so that even a few users have about one event an hour.
const LEAST_EVENTS_PER_DAY: f64 = 24.0;

/// One in this many users is noisy. Together the noisy users have half of the events.
const NOISY_ONE_IN: usize = 40;

/// Campaigns a day, such as a wave of phishing.
const CAMPAIGNS_PER_DAY: f64 = 1.0;

/// Resets by an administrator for each user and day.
const RESETS_PER_USER_DAY: f64 = 0.02;

/// Users who are removed, and as many who are added, for each user and day.
const TURNOVER_PER_USER_DAY: f64 = 0.001;

/// An action of the workload. Its target depends only on its seed and on the world at that time.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A random user gets an event of a random behavior.
    Event {
        /// Selects user and behavior.
        seed: RngSeed,
    },
    /// A random user gets an event of the campaign's behavior.
    Campaign {
        /// Selects the user.
        seed: RngSeed,
        /// Selects the behavior, the same for all users of the campaign.
        campaign: RngSeed,
    },
    /// An administrator resets a user at high or medium risk.
    Reset {
        /// Selects the user.
        seed: RngSeed,
    },
    /// A user is removed.
    Remove {
        /// Selects the user.
        seed: RngSeed,
    },
    /// A user is added.
    Add {
        /// The user's id.
        user: Uuid,
    },
}

/// The seed of a random generator, so that the same selection can be repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct RngSeed(u64);

impl RngSeed {
    pub(super) fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// The slot of a random user. Noisy users are selected as often as all others together.
    pub(super) fn user(self, users: usize) -> usize {
        let mut rng = self.rng();
        let users = users.max(1);
        if rng.random_bool(0.5) {
            let noisy = users.div_ceil(NOISY_ONE_IN);
            return rng.random_range(0..noisy as u64) as usize * NOISY_ONE_IN;
        }
        rng.random_range(0..users as u64) as usize
    }
}

/// The actions of one account.
#[derive(Debug)]
pub(super) struct Workload {
    seed: u64,
    speed: f64,
    population: f64,
    /// When the workload begins, on the clock and in simulated time.
    start: Timestamp,
    world_start_ms: i64,
    next_minute: u64,
    pending: BTreeMap<(Timestamp, u64), Action>,
    sequence: u64,
}

impl Workload {
    /// Begins at the start of the minute (at other speeds: of the second) that contains `start`. So a simulator
    /// that starts a moment later has the same actions.
    pub(super) fn new(seed: u64, speed: f64, population: u32, start: Timestamp) -> Self {
        let real = speed == 1.0;
        let start = round_down(if real { MINUTE_MS } else { 1_000 }, start);
        let world_start_ms = if real {
            start.millis()
        } else {
            // A Monday, 9 o'clock, so that a fast world is busy at once.
            let day = start.millis().div_euclid(DAY_MS);
            let monday = day - (day + 3).rem_euclid(7);
            monday * DAY_MS + 9 * HOUR_MS
        };
        Self {
            seed,
            speed,
            population: f64::from(population),
            start,
            world_start_ms,
            next_minute: 0,
            pending: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// The next action at or before `now`, oldest first.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(Timestamp, Action)> {
        loop {
            let due = self.pending.first_key_value().map(|((date, _), _)| *date);
            // Later minutes only add later actions, so the first one is final once its minute was generated.
            let generated_to = self.on_clock(self.next_minute as i64 * MINUTE_MS);
            match due {
                Some(date) if date <= now && date < generated_to => {
                    return self.pending.pop_first().map(|((date, _), action)| (date, action));
                }
                _ if generated_to <= now => self.generate_minute(),
                _ => return None,
            }
        }
    }

    fn generate_minute(&mut self) {
        let minute = self.next_minute;
        self.next_minute += 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ minute.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let from = minute as i64 * MINUTE_MS;
        let busy = activity(self.world_start_ms + from);
        let per_minute = |per_day: f64| per_day * busy / (24.0 * 60.0);
        let population = self.population;

        let events = (population * EVENTS_PER_USER_DAY).max(LEAST_EVENTS_PER_DAY);
        for _ in 0..poisson(&mut rng, per_minute(events)) {
            let seed = RngSeed(rng.random());
            self.schedule(&mut rng, from, MINUTE_MS, Action::Event { seed });
        }
        for _ in 0..poisson(&mut rng, per_minute(CAMPAIGNS_PER_DAY)) {
            // Between half a percent and two percent of the users within ten minutes.
            let users = (population * rng.random_range(0.005..0.02)).clamp(3.0, 2_000.0) as u32;
            let campaign = RngSeed(rng.random());
            for _ in 0..users {
                let seed = RngSeed(rng.random());
                self.schedule(&mut rng, from, 10 * MINUTE_MS, Action::Campaign { seed, campaign });
            }
        }
        for _ in 0..poisson(&mut rng, per_minute(population * RESETS_PER_USER_DAY)) {
            let seed = RngSeed(rng.random());
            self.schedule(&mut rng, from, MINUTE_MS, Action::Reset { seed });
        }
        for _ in 0..poisson(&mut rng, per_minute(population * TURNOVER_PER_USER_DAY)) {
            let seed = RngSeed(rng.random());
            self.schedule(&mut rng, from, MINUTE_MS, Action::Remove { seed });
            let user = random_uuid(&mut rng);
            self.schedule(&mut rng, from, MINUTE_MS, Action::Add { user });
        }
    }

    fn schedule(&mut self, rng: &mut ChaCha8Rng, from: i64, within: i64, action: Action) {
        let date = self.on_clock(from + rng.random_range(0..within));
        self.sequence += 1;
        self.pending.insert((date, self.sequence), action);
    }

    /// Converts simulated milliseconds since the start to a date on the clock.
    fn on_clock(&self, world_ms: i64) -> Timestamp {
        Timestamp::from_millis(self.start.millis() + (world_ms as f64 / self.speed) as i64)
    }
}

/// The history of one generated user.
#[derive(Debug)]
pub(super) struct UserHistory {
    pub(super) user: Uuid,
    pub(super) last_reset: Option<Timestamp>,
    /// Dates and seeds of the events, the oldest first. Every listed user has at least one.
    pub(super) events: Vec<(Timestamp, RngSeed)>,
}

/// The histories of `users` users before `start`, then of some more users without events.
pub(super) fn histories(seed: u64, users: u32, start: Timestamp) -> impl Iterator<Item = UserHistory> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let end = round_down(MINUTE_MS, start).millis();
    let unlisted = if users == 0 { 0 } else { users / 20 + 1 };
    (0..users + unlisted).map(move |number| {
        let user = random_uuid(&mut rng);
        let events = match number {
            _ if number >= users => 0,
            _ if (number as usize).is_multiple_of(NOISY_ONE_IN) => rng.random_range(5..30),
            _ if rng.random_bool(0.12) => rng.random_range(2..5),
            _ => 1,
        };
        let last_reset = rng.random_bool(0.03).then(|| {
            Timestamp::from_millis(end - (PAST_DAYS + 1) * DAY_MS - rng.random_range(0..7 * DAY_MS))
        });
        let mut events: Vec<_> =
            (0..events).map(|_| (history_date(&mut rng, end), RngSeed(rng.random()))).collect();
        events.sort_unstable_by_key(|(date, _)| *date);
        UserHistory { user, last_reset, events }
    })
}

/// A random date before `end`, more often in working hours than at night.
fn history_date(rng: &mut ChaCha8Rng, end: i64) -> Timestamp {
    let mut date = end - rng.random_range(1..PAST_DAYS * DAY_MS);
    for _ in 0..4 {
        if rng.random_bool(activity(date) / MAX_ACTIVITY) {
            break;
        }
        date = end - rng.random_range(1..PAST_DAYS * DAY_MS);
    }
    Timestamp::from_millis(date)
}

const MAX_ACTIVITY: f64 = 2.1;

/// Activity relative to the average of a week: high in working hours, low at night and on weekends.
fn activity(world_ms: i64) -> f64 {
    let hour = world_ms.rem_euclid(DAY_MS) / HOUR_MS;
    // The epoch was a Thursday.
    let weekend = matches!((world_ms.div_euclid(DAY_MS) + 3).rem_euclid(7), 5 | 6);
    let by_hour = match hour {
        8..18 => MAX_ACTIVITY,
        6..8 | 18..22 => 1.0,
        _ => 0.3,
    };
    if weekend { by_hour * 0.35 } else { by_hour }
}

/// A Poisson-distributed number by Knuth's method, which is exact, and fast enough for hundreds of events.
fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> u32 {
    let limit = (-mean).exp();
    let mut product = rng.random::<f64>();
    let mut count = 0;
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

pub(super) fn random_uuid(rng: &mut ChaCha8Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

fn round_down(unit_ms: i64, date: Timestamp) -> Timestamp {
    Timestamp::from_millis(date.millis() - date.millis().rem_euclid(unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(workload: &mut Workload, now: Timestamp) -> Vec<String> {
        std::iter::from_fn(|| workload.next(now)).map(|action| format!("{action:?}")).collect()
    }

    #[test]
    fn actions_do_not_depend_on_how_often_they_are_read() {
        let start = Timestamp::from_seconds(1_790_000_000);
        let end = start + std::time::Duration::from_secs(12 * 3_600);
        let mut once = Workload::new(5, 1.0, 500, start);
        let mut often = Workload::new(5, 1.0, 500, start + std::time::Duration::from_millis(10));
        let wanted = actions(&mut once, end);
        let mut seen = Vec::new();
        let mut now = start;
        while now < end {
            now = (now + std::time::Duration::from_millis(77_777)).min(end);
            seen.extend(actions(&mut often, now));
        }
        assert_eq!(seen, wanted);
        assert!(wanted.len() > 20, "{}", wanted.len());
        let mut other = Workload::new(6, 1.0, 500, start);
        assert_ne!(actions(&mut other, end), wanted, "another seed gives other actions");
    }

    #[test]
    fn a_fast_workload_has_more_actions_and_none_in_the_future() {
        let start = Timestamp::from_seconds(1_790_000_000);
        let mut workload = Workload::new(5, 600.0, 200, start);
        let mut before = start;
        let mut events = 0;
        for second in 1..=60 {
            let now = start + std::time::Duration::from_secs(second);
            while let Some((date, _)) = workload.next(now) {
                assert!(date <= now && before <= date.max(before), "{date} at {now}");
                before = before.max(date);
                events += 1;
            }
        }
        // 600 minutes of a Monday from 9 o'clock, 200 users with 0.2 events a day: about 30, and campaigns.
        assert!((15..200).contains(&events), "{events}");
    }
}
