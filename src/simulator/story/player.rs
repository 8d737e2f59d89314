//! A story is played: minute by minute on the simulator's clock, in the scenario's first account.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{INSIDER_ID, SceneAction, Story};
use crate::clock::Timestamp;
use crate::simulator::account::{Account, Behavior, NewEvent, User};
use crate::simulator::auth::Standing;
use crate::simulator::engine::Engine;
use crate::simulator::faults::{Fault, FaultRule};
use crate::simulator::scenario::{Level, Scenario};
use crate::simulator::world::World;

/// Called with each line that says what happens.
pub type Teller = Box<dyn Fn(&str) + Send + Sync>;

const MINUTE: Duration = Duration::from_secs(60);

/// One everyday event in so many minutes, and in which of them: no scene is in the same.
const EVERYDAY: u64 = 5;
const EVERYDAY_MINUTE: u64 = 3;

/// Everyday events are of these in turn: six of each in an hour are no campaign, and a low level is no news.
const EVERYDAY_BEHAVIORS: [&str; 2] = ["high_risk_domain", "crowdstrike_medium_zta"];

/// They come to so many users in turn, the last of the account: scenes take theirs from its beginning.
const EVERYDAY_USERS: usize = 40;

/// A story, and where and how fast it is played.
#[derive(Debug)]
pub(in crate::simulator) struct Player {
    story: Story,
    speed: f64,
    account: String,
}

impl Player {
    /// What a scenario plays, if it does.
    pub(in crate::simulator) fn of(scenario: &Scenario) -> Option<Self> {
        let account = scenario.accounts.first()?.id.clone();
        Some(Self { story: scenario.story?, speed: scenario.speed, account })
    }

    /// Plays the story, and everyday events for ever.
    pub(in crate::simulator) async fn run(self, engine: Arc<Engine>, tell: Teller) {
        let start = engine.clock.now();
        for minute in 0_u32.. {
            engine.clock.sleep_until(start + (MINUTE * minute).div_f64(self.speed)).await;
            for line in self.minute(u64::from(minute), &engine) {
                tell(&line);
            }
        }
    }

    /// Lets this minute happen, and tells of it.
    fn minute(&self, minute: u64, engine: &Engine) -> Vec<String> {
        let (mut world, now) = engine.now();
        if minute % EVERYDAY == EVERYDAY_MINUTE {
            self.everyday((minute / EVERYDAY) as usize, &mut world, now);
        }
        let play = |action: SceneAction| {
            self.perform(action, &mut world, now);
            format!("{} {}: {}\n", time_of_day(now), self.story.as_str(), action.line())
        };
        self.story.actions(minute).map(play).collect()
    }

    fn perform(&self, action: SceneAction, world: &mut World, now: Timestamp) {
        match action {
            SceneAction::Hit { users, behavior } => {
                for user in self.first(world, users, |user| user.level() < Some(Level::High)) {
                    self.append(world, user, behavior, now);
                }
            }
            SceneAction::Offend { behavior } => self.append(world, INSIDER_ID, behavior, now),
            SceneAction::Forgive => self.reset(world, INSIDER_ID, now),
            SceneAction::Reset { users } => {
                for user in self.first(world, users, |user| user.level() >= Some(Level::Medium)) {
                    self.reset(world, user, now);
                }
            }
            SceneAction::Disable { behavior } => {
                self.configure(world, behavior, |known| known.enabled = false);
            }
            SceneAction::Enable { behavior } => self.configure(world, behavior, |known| known.enabled = true),
            SceneAction::Revoke => world.auth.stand(Standing::Revoked),
            SceneAction::Reinstate => world.auth.stand(Standing::Valid),
            SceneAction::Fail => {
                let fault = Fault::Status { status: 503, code: 1000, message: "unavailable".to_owned() };
                world.faults.add(FaultRule { fault, endpoint: None, account: None, count: None });
            }
            SceneAction::Recover => world.faults.clear(),
            SceneAction::End => {}
        }
    }

    /// The next of the everyday events, to the next of the users they come to.
    fn everyday(&self, number: usize, world: &mut World, now: Timestamp) {
        let users: Vec<_> = self.account(world).users().map(|user| user.id).collect();
        let user = users.iter().rev().nth(number % EVERYDAY_USERS);
        let behavior = EVERYDAY_BEHAVIORS[number % EVERYDAY_BEHAVIORS.len()];
        if let Some(user) = user {
            self.append(world, *user, behavior, now);
        }
    }

    fn account<'a>(&self, world: &'a mut World) -> &'a mut Account {
        world.account(&self.account).expect("it is an account of the scenario, and none is ever removed")
    }

    /// The first users of the account who are like this.
    fn first(&self, world: &mut World, count: usize, like: impl Fn(&User) -> bool) -> Vec<Uuid> {
        let users = self.account(world).users();
        users.filter(|user| like(user)).map(|user| user.id).take(count).collect()
    }

    fn append(&self, world: &mut World, user: Uuid, behavior: &str, now: Timestamp) {
        let appended = world.append(&self.account, user, &NewEvent::of(behavior, now), now);
        appended.expect("the account is there, and who is not joins");
    }

    fn reset(&self, world: &mut World, user: Uuid, now: Timestamp) {
        // Somebody may have removed the user by hand.
        let _ = world.reset(&self.account, user, now);
    }

    fn configure(&self, world: &mut World, behavior: &str, change: impl FnOnce(&mut Behavior)) {
        // An account with behaviors of its own may lack this one.
        self.account(world).behaviors.get_mut(behavior).map(change);
    }
}

/// Such as `12:03:10`, in UTC as in logs.
fn time_of_day(date: Timestamp) -> String {
    let date = date.to_string();
    date.split_once('T').and_then(|(_, time)| time.get(..8)).unwrap_or(&date).to_owned()
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::AUTHORIZATION;

    use super::*;
    use crate::clock::Clock;
    use crate::simulator::faults::Endpoint;
    use crate::simulator::ground_truth::{AccountTruth, Wanted};
    use crate::simulator::scenario::{GENERATED_ACCOUNT, GENERATED_TOKEN};

    fn stage(story: Story) -> (Player, Engine) {
        let scenario = Scenario::of_story(story, 60.0);
        (Player::of(&scenario).unwrap(), Engine::new(&scenario, Clock::system()))
    }

    fn play(story: Story, minutes: u64) -> (Vec<String>, AccountTruth) {
        let (play, engine) = stage(story);
        let told = (0..minutes).flat_map(|minute| play.minute(minute, &engine)).collect();
        let (world, now) = engine.now();
        let truth = world.truth(now, None, Wanted::default());
        (told, truth.accounts[GENERATED_ACCOUNT].clone())
    }

    #[test]
    fn what_is_told_has_happened() {
        // Users at high risk at the end, resets, and events of the behavior that the story is about.
        for (story, high, resets, behavior, events) in [
            (Story::Campaign, 60, 0, "malicious_file", 60),
            (Story::Insider, 0, 1, "imp_travel", 7),
            (Story::MassReset, 0, 30, "malicious_file", 0),
        ] {
            let (_, truth) = play(story, 120);
            let of_behavior =
                truth.events_by_behavior.get(behavior).map_or(0, |levels| levels.values().sum());
            let found = (truth.by_level[&Level::High], truth.resets, of_behavior);
            assert_eq!(found, (high, resets, events), "{story:?}");
        }
    }

    #[test]
    fn trouble_begins_and_ends_when_the_story_says_so() {
        fn revoked(world: &mut World) -> bool {
            let token = format!("Bearer {GENERATED_TOKEN}").parse().unwrap();
            world
                .auth
                .identify(&HeaderMap::from_iter([(AUTHORIZATION, token)]), Timestamp::default())
                .is_err()
        }
        fn disabled(world: &mut World) -> bool {
            !world.account(GENERATED_ACCOUNT).unwrap().behaviors["malicious_file"].enabled
        }
        fn out(world: &mut World) -> bool {
            world.faults.strike(Endpoint::Behaviors, Some(GENERATED_ACCOUNT)).is_some()
        }
        type InTrouble = fn(&mut World) -> bool;
        let table: [(Story, InTrouble); 3] =
            [(Story::TokenRevoked, revoked), (Story::BehaviorDisabled, disabled), (Story::Outage, out)];
        for (story, in_trouble) in table {
            let (play, engine) = stage(story);
            for minute in 0..60 {
                play.minute(minute, &engine);
                let troubled = in_trouble(&mut engine.now().0);
                assert_eq!(troubled, (20..50).contains(&minute), "{story:?} in minute {minute}");
            }
        }
    }

    #[test]
    fn a_line_says_when_and_what() {
        let (told, _) = play(Story::Campaign, 120);
        assert_eq!(told.len(), 13);
        for (line, wanted) in [
            (&told[0], "campaign: 5 users get malicious_file\n"),
            (&told[12], "campaign: this was the story; everyday events go on\n"),
        ] {
            let (time, said) = line.split_once(' ').unwrap();
            assert_eq!((time.len(), said), (8, wanted));
        }
        assert_eq!(time_of_day(Timestamp::from_millis(43_390_250)), "12:03:10");
    }

    #[test]
    fn everyday_events_are_too_few_for_a_campaign_and_raise_nobody() {
        let hour = |minutes| play(Story::Outage, minutes).1;
        let (before, after) = (hour(0), hour(60));
        assert_eq!(after.by_level, before.by_level);
        assert_eq!(after.events_total - before.events_total, 12);
        for behavior in EVERYDAY_BEHAVIORS {
            let of = |truth: &AccountTruth| {
                truth.events_by_behavior.get(behavior).map_or(0, |levels| levels.values().sum::<u64>())
            };
            assert_eq!(of(&after) - of(&before), 6, "{behavior}");
        }
    }
}
