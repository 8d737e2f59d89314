//! The state of the simulated world: accounts and their workloads, credentials, faults, and the log of what
//! happened. Callers pass the time; [`super::engine`] holds the lock and the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use uuid::Uuid;

use super::account::{Account, NewEvent, Rules};
use super::api_options::ApiOptions;
use super::auth::Auth;
use super::faults::Faults;
use super::ground_truth::{ChangeRecord, Details, EventRecord, GroundTruth, Include, Record, UserRecord};
use super::scenario::{AccountSpec, AccountState, BehaviorSpec, Level, MAX_BEHAVIORS, Scenario};
use super::workload::{self, Action, RngSeed, Workload};
use crate::clock::Timestamp;

/// A world with fewer generated users is built within a second.
const MANY_USERS: u32 = 100_000;

/// How many random users an administrator considers for a reset.
const RESET_CANDIDATES: u32 = 20;

#[derive(Debug)]
pub(super) struct World {
    pub(super) options: ApiOptions,
    pub(super) auth: Auth,
    pub(super) faults: Faults,
    pub(super) record: Record,
    accounts: BTreeMap<String, AccountSimulation>,
    seed: u64,
    answered: u64,
}

/// An account and its workload.
#[derive(Debug)]
struct AccountSimulation {
    account: Account,
    workload: Option<Workload>,
    /// The slots below this belong to users that the scenario lists. The workload leaves them alone.
    first_generated: usize,
}

/// Why a change of the world is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The scenario has no such account.
    #[error("no such account")]
    UnknownAccount,
    /// The account has no such user, or the user was removed.
    #[error("no such user")]
    UnknownUser,
    /// An account has at most 65,536 behaviors.
    #[error("an account has at most 65536 behaviors")]
    TooManyBehaviors,
}

/// Says after each tenth of a large world that it is still being built.
fn log_progress(built: u32, users: u32) {
    if users >= MANY_USERS && built.is_multiple_of(users / 10) {
        tracing::info!(users = built, of = users, "building the simulated world");
    }
}

impl World {
    /// Builds the world of `scenario` at `start`. Takes seconds for a million users.
    pub(super) fn new(scenario: &Scenario, start: Timestamp) -> Self {
        let options = scenario.api.clone();
        let rules = Rules {
            retention_ms: options
                .retention_seconds
                .map(|seconds| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 2)),
            event_count: options.event_count,
            event_ids: options.event_ids,
            reset_events: options.reset_events,
        };
        let mut world = Self {
            options,
            auth: Auth::new(&scenario.tokens, &scenario.keys, scenario.limit, start),
            faults: Faults::new(scenario.faults.clone(), scenario.seed),
            record: Record::default(),
            accounts: BTreeMap::new(),
            seed: scenario.seed,
            answered: 0,
        };
        for (spec, number) in scenario.accounts.iter().zip(1_u64..) {
            let seed = scenario.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93);
            let simulation = AccountSimulation::new(spec, rules, seed, scenario.speed, start);
            world.accounts.insert(spec.id.clone(), simulation);
            for user in &spec.users {
                for event in &user.events {
                    let new = NewEvent {
                        id: event.id.as_deref(),
                        behavior: &event.behavior,
                        level: event.level,
                        timestamp: event.at.date(start),
                    };
                    let appended = new.timestamp.min(start);
                    for _ in 0..event.count {
                        world
                            .append(&spec.id, user.id, &new, appended)
                            .expect("the account was inserted above, and the scenario was checked");
                    }
                }
            }
        }
        world.refresh(start);
        world
    }

    pub(super) fn account(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.get_mut(id).map(|simulation| &mut simulation.account)
    }

    /// The accounts that exist, sorted by id.
    pub(super) fn open_accounts(&self) -> impl Iterator<Item = &Account> {
        let accounts = self.accounts.values().map(|simulation| &simulation.account);
        accounts.filter(|account| account.state == AccountState::Open)
    }

    /// Opens or closes an account.
    pub(super) fn set_state(&mut self, account: &str, state: AccountState) -> Result<(), ActionError> {
        self.account(account).ok_or(ActionError::UnknownAccount)?.state = state;
        Ok(())
    }

    /// Applies everything that the workloads have scheduled up to `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for simulation in self.accounts.values_mut() {
            while let Some((date, action)) =
                simulation.workload.as_mut().and_then(|workload| workload.next(now))
            {
                simulation.play(&action, date, &mut self.record);
            }
        }
    }

    /// Serializes changed summary rows, so that the next request need not.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        for simulation in self.accounts.values_mut() {
            simulation.account.summary(now);
        }
    }

    /// Appends an event. An unknown user is created.
    pub(super) fn append(
        &mut self,
        account: &str,
        user: Uuid,
        new: &NewEvent<'_>,
        now: Timestamp,
    ) -> Result<EventRecord, ActionError> {
        let simulation = self.accounts.get_mut(account).ok_or(ActionError::UnknownAccount)?;
        let slot = simulation.account.user_or_new(user);
        simulation.append(slot, new, now, &mut self.record).ok_or(ActionError::TooManyBehaviors)
    }

    /// Configures or adds a behavior.
    pub(super) fn set_behavior(
        &mut self,
        account: &str,
        spec: BehaviorSpec,
        now: Timestamp,
    ) -> Result<(), ActionError> {
        let listed_from = now + Duration::from_millis(self.options.behavior_lag_ms);
        let account = self.account(account).ok_or(ActionError::UnknownAccount)?;
        if !account.behaviors.contains_key(&spec.id) && account.behaviors.len() >= MAX_BEHAVIORS {
            return Err(ActionError::TooManyBehaviors);
        }
        account.set_behavior(spec, listed_from);
        Ok(())
    }

    /// Resets a user's risk.
    pub(super) fn reset(&mut self, account: &str, user: Uuid, now: Timestamp) -> Result<(), ActionError> {
        let simulation = self.accounts.get_mut(account).ok_or(ActionError::UnknownAccount)?;
        simulation.reset(user, now, &mut self.record).ok_or(ActionError::UnknownUser)
    }

    /// Removes a user.
    pub(super) fn remove(&mut self, account: &str, user: Uuid, now: Timestamp) -> Result<(), ActionError> {
        let simulation = self.accounts.get_mut(account).ok_or(ActionError::UnknownAccount)?;
        simulation.remove(user, now, &mut self.record).ok_or(ActionError::UnknownUser)
    }

    /// What happened, with the records to include.
    pub(super) fn ground_truth(
        &self,
        now: Timestamp,
        since: Option<Timestamp>,
        include: Include,
    ) -> GroundTruth {
        let mut truth = self.record.ground_truth(now, since, include);
        for (id, simulation) in &self.accounts {
            let totals = truth.accounts.entry(id.clone()).or_default();
            totals.by_level = Level::ALL.into_iter().map(|level| (level, 0)).collect();
            for user in simulation.account.users() {
                let Some(row) = simulation.account.row(user, now) else {
                    continue;
                };
                totals.listed += 1;
                *totals.by_level.entry(row.max_risk_level).or_default() += 1;
                if include.users == Details::All {
                    truth.users.push(UserRecord {
                        account: id.clone(),
                        user: row.user_id,
                        max_risk_level: row.max_risk_level,
                        event_count: row.event_count,
                        last_event: row.last_event,
                    });
                }
            }
        }
        truth
    }

    /// A unique value for `CF-Ray`: 16 hexadecimal digits and a data center.
    pub(super) fn next_ray(&mut self) -> String {
        self.answered += 1;
        let number = self.seed.rotate_left(32) ^ self.answered.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{number:016x}-AMS")
    }
}

impl AccountSimulation {
    fn new(spec: &AccountSpec, rules: Rules, seed: u64, speed: f64, start: Timestamp) -> Self {
        let account = Account::new(spec, rules, seed, start);
        let first_generated = account.slots();
        let workload =
            (spec.generated_users > 0).then(|| Workload::new(seed, speed, spec.generated_users, start));
        let mut simulation = Self { account, workload, first_generated };
        for (built, history) in (1..).zip(workload::histories(seed, spec.generated_users, start)) {
            log_progress(built, spec.generated_users);
            let slot = simulation.account.user_or_new(history.user);
            simulation.account.set_last_reset(slot, history.last_reset);
            for (date, seed) in history.events {
                if let Some(behavior) = simulation.random_behavior(seed) {
                    let new = NewEvent::of(&behavior, date);
                    simulation.account.append(slot, &new, date);
                }
            }
        }
        simulation
    }

    fn play(&mut self, action: &Action, date: Timestamp, record: &mut Record) {
        match action {
            Action::Event { seed } => {
                let slot = self.slot(*seed);
                if let (Some(slot), Some(behavior)) = (slot, self.random_behavior(*seed)) {
                    self.append(slot, &NewEvent::of(&behavior, date), date, record);
                }
            }
            Action::Campaign { seed, campaign } => {
                let slot = self.slot(*seed);
                if let (Some(slot), Some(behavior)) = (slot, self.random_behavior(*campaign)) {
                    self.append(slot, &NewEvent::of(&behavior, date), date, record);
                }
            }
            Action::Reset { seed } => {
                if let Some(user) = self.user_at_risk(*seed) {
                    self.reset(user, date, record);
                }
            }
            Action::Remove { seed } => {
                let user = self.slot(*seed).and_then(|slot| self.account.at(slot));
                if let Some(user) = user.map(|user| user.id) {
                    self.remove(user, date, record);
                }
            }
            Action::Add { user } => {
                self.account.user_or_new(*user);
            }
        }
    }

    fn append(
        &mut self,
        slot: usize,
        new: &NewEvent<'_>,
        now: Timestamp,
        record: &mut Record,
    ) -> Option<EventRecord> {
        let appended = self.account.append(slot, new, now)?;
        let event = EventRecord {
            account: self.account.id.clone(),
            user: self.account.at(slot)?.id,
            id: appended.id,
            behavior: new.behavior.to_owned(),
            risk_level: appended.level,
            timestamp: new.timestamp,
            appended: now,
        };
        record.event(event.clone());
        Some(event)
    }

    fn reset(&mut self, user: Uuid, date: Timestamp, record: &mut Record) -> Option<()> {
        self.account.reset(user, date)?;
        record.reset(self.change(user, date));
        Some(())
    }

    fn remove(&mut self, user: Uuid, date: Timestamp, record: &mut Record) -> Option<()> {
        self.account.remove(user)?;
        record.removal(self.change(user, date));
        Some(())
    }

    fn change(&self, user: Uuid, date: Timestamp) -> ChangeRecord {
        ChangeRecord { account: self.account.id.clone(), user, date }
    }

    /// The slot of a random generated user; `None` if that user was removed.
    fn slot(&self, seed: RngSeed) -> Option<usize> {
        let slot = self.first_generated + seed.user(self.account.slots() - self.first_generated);
        self.account.at(slot).map(|_| slot)
    }

    /// A user at high risk, or else at medium risk, if there is one among a few random users.
    fn user_at_risk(&self, seed: RngSeed) -> Option<Uuid> {
        let mut rng = seed.rng();
        let users = self.first_generated as u64..self.account.slots() as u64;
        let candidates: Vec<_> = (0..RESET_CANDIDATES)
            .filter_map(|_| self.account.at(rng.random_range(users.clone()) as usize))
            .collect();
        let at = |level| candidates.iter().find(|user| user.level() == Some(level));
        at(Level::High).or_else(|| at(Level::Medium)).map(|user| user.id)
    }

    /// A random enabled behavior. The higher its level, the rarer it is.
    fn random_behavior(&self, seed: RngSeed) -> Option<String> {
        let weight = |level| match level {
            Level::Low => 12_u32,
            Level::Medium => 4,
            Level::High => 1,
        };
        let enabled = || self.account.behaviors.iter().filter(|(_, behavior)| behavior.enabled);
        let total: u32 = enabled().map(|(_, behavior)| weight(behavior.level)).sum();
        if total == 0 {
            return None;
        }
        // The beginning of the random sequence already selected the user, so the behavior takes a later part.
        let mut rng = seed.rng();
        rng.set_word_pos(64);
        let mut left = rng.random_range(0..total);
        let chosen = enabled().find(|(_, behavior)| {
            let weight = weight(behavior.level);
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        });
        chosen.map(|(id, _)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Include = Include { events: Details::All, requests: Details::All, users: Details::All };

    fn start() -> Timestamp {
        Timestamp::from_seconds(1_790_000_000)
    }

    fn whole_truth(world: &World, now: Timestamp) -> String {
        serde_json::to_string(&world.ground_truth(now, None, ALL)).unwrap()
    }

    #[test]
    fn the_same_seed_and_clock_give_the_same_world() {
        let end = start() + Duration::from_secs(86_400);
        let play = |seed, steps: u32| {
            let mut world = World::new(&Scenario::generated(1_000, seed), start());
            for step in 1..=steps {
                world.advance(start() + Duration::from_secs(86_400) * step / steps);
            }
            whole_truth(&world, end)
        };
        let once = play(3, 1);
        assert_eq!(once, play(3, 500));
        assert_ne!(once, play(4, 1));
    }

    #[test]
    fn generated_users_are_mostly_quiet_and_listed_from_the_start() {
        let world = World::new(&Scenario::generated(2_000, 1), start());
        let truth = world.ground_truth(start(), None, ALL);
        let account = truth.accounts.values().next().unwrap();
        assert_eq!(account.listed, 2_000);
        let of = |level| *account.by_level.get(&level).unwrap();
        assert!(of(Level::Low) > of(Level::Medium) && of(Level::Medium) > of(Level::High));
        assert!(of(Level::High) > 0);
        let quiet = truth.users.iter().filter(|user| user.event_count == 1).count();
        let noisy = truth.users.iter().filter(|user| user.event_count >= 5).count();
        assert!((1_600..1_900).contains(&quiet), "{quiet}");
        assert!((20..100).contains(&noisy), "{noisy}");
    }

    #[test]
    fn a_week_has_events_campaigns_resets_and_removals() {
        let mut world = World::new(&Scenario::generated(5_000, 1), start());
        let end = start() + Duration::from_secs(7 * 86_400);
        world.advance(end);
        let truth = world.ground_truth(end, Some(start()), ALL);
        let account = truth.accounts.values().next().unwrap();
        // 5,000 users: 1,000 events a day without campaigns.
        assert!((4_000..12_000).contains(&account.events_total), "{}", account.events_total);
        assert!(account.resets > 100 && account.removals > 5, "{account:?}");
        assert!(truth.events.iter().all(|event| event.timestamp <= end));
        assert!(truth.events.iter().all(|event| event.behavior != "sentinel_one"), "it is disabled");
        let campaign = truth.events.windows(25).any(|events| {
            let within_ten_minutes =
                events[24].timestamp.since(events[0].timestamp) < Duration::from_secs(600);
            let same_behavior = events.iter().filter(|event| event.behavior == events[0].behavior).count();
            within_ten_minutes && same_behavior >= 20
        });
        assert!(campaign, "no campaign in a week");
    }
}
