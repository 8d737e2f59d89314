//! Plays a story minute by minute on the simulator's clock, in the scenario's first account.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{INSIDER_ID, SceneAction, Story};
use crate::clock::Timestamp;
use crate::simulator::account::{Account, Behavior, NewEvent, User};
use crate::simulator::auth::TokenState;
use crate::simulator::engine::Engine;
use crate::simulator::faults::{Fault, FaultRule};
use crate::simulator::scenario::{Level, Scenario};
use crate::simulator::world::World;

/// Called with each line that announces an action of a story.
pub type StoryCallback = Box<dyn Fn(&str) + Send + Sync>;

const MINUTE: Duration = Duration::from_secs(60);

/// There is a background event every five minutes, in a minute in which no scene is.
const BACKGROUND_INTERVAL: u64 = 5;
const BACKGROUND_MINUTE: u64 = 3;

/// The behaviors of background events, in turn. Six events of each in an hour are not a campaign, and their
/// level is low.
const BACKGROUND_BEHAVIORS: [&str; 2] = ["high_risk_domain", "crowdstrike_medium_zta"];

/// Background events go to the last 40 users of the account in turn. Scenes take users from the beginning.
const BACKGROUND_USERS: usize = 40;

/// A story, its account and its speed.
#[derive(Debug)]
pub(in crate::simulator) struct Player {
    story: Story,
    speed: f64,
    account: String,
}

impl Player {
    /// The player of a scenario's story, if it has one.
    pub(in crate::simulator) fn new(scenario: &Scenario) -> Option<Self> {
        let account = scenario.accounts.first()?.id.clone();
        Some(Self { story: scenario.story?, speed: scenario.speed, account })
    }

    /// Plays the story from the first reading of the list of users on, and background events without end. An exporter that
    /// starts slowly would miss the beginning, and never count it.
    pub(in crate::simulator) async fn run(self, engine: Arc<Engine>, callback: StoryCallback) {
        engine.until_list_is_read().await;
        let start = engine.clock.now();
        for minute in 0_u32.. {
            engine.clock.sleep_until(start + (MINUTE * minute).div_f64(self.speed)).await;
            for line in self.minute(u64::from(minute), &engine) {
                callback(&line);
            }
        }
    }

    /// Performs the actions of this minute, and returns the lines that announce them.
    fn minute(&self, minute: u64, engine: &Engine) -> Vec<String> {
        let (mut world, now) = engine.now();
        if minute % BACKGROUND_INTERVAL == BACKGROUND_MINUTE {
            self.background_event((minute / BACKGROUND_INTERVAL) as usize, &mut world, now);
        }
        let play = |action: SceneAction| {
            self.perform(action, &mut world, now);
            format!("{} {}: {}\n", time_of_day(now), self.story.as_str(), action.description())
        };
        self.story.actions(minute).map(play).collect()
    }

    fn perform(&self, action: SceneAction, world: &mut World, now: Timestamp) {
        match action {
            SceneAction::RaiseToHigh { users, behavior } => {
                for user in self.first(world, users, |user| user.level() < Some(Level::High)) {
                    self.append(world, user, behavior, now);
                }
            }
            SceneAction::InsiderEvent { behavior } => self.append(world, INSIDER_ID, behavior, now),
            SceneAction::ResetInsider => self.reset(world, INSIDER_ID, now),
            SceneAction::Reset { users } => {
                for user in self.first(world, users, |user| user.level() >= Some(Level::Medium)) {
                    self.reset(world, user, now);
                }
            }
            SceneAction::Disable { behavior } => {
                self.configure(world, behavior, |known| known.enabled = false);
            }
            SceneAction::Enable { behavior } => self.configure(world, behavior, |known| known.enabled = true),
            SceneAction::RevokeToken => world.auth.set_token_state(TokenState::Revoked),
            SceneAction::RestoreToken => world.auth.set_token_state(TokenState::Valid),
            SceneAction::Fail => {
                let fault = Fault::Status { status: 503, code: 1000, message: "unavailable".to_owned() };
                world.faults.add(FaultRule::everywhere(fault));
            }
            SceneAction::Recover => world.faults.clear(),
            SceneAction::End => {}
        }
    }

    /// Appends a background event.
    fn background_event(&self, number: usize, world: &mut World, now: Timestamp) {
        let users: Vec<_> = self.account(world).users().map(|user| user.id).collect();
        let user = users.iter().rev().nth(number % BACKGROUND_USERS);
        let behavior = BACKGROUND_BEHAVIORS[number % BACKGROUND_BEHAVIORS.len()];
        if let Some(user) = user {
            self.append(world, *user, behavior, now);
        }
    }

    fn account<'a>(&self, world: &'a mut World) -> &'a mut Account {
        world.account(&self.account).expect("accounts of a scenario are never removed")
    }

    /// The first users of the account that match.
    fn first(&self, world: &mut World, count: usize, matches: impl Fn(&User) -> bool) -> Vec<Uuid> {
        let users = self.account(world).users();
        users.filter(|user| matches(user)).map(|user| user.id).take(count).collect()
    }

    fn append(&self, world: &mut World, user: Uuid, behavior: &str, now: Timestamp) {
        let appended = world.append(&self.account, user, &NewEvent::of(behavior, now), now);
        appended.expect("the account exists, and an unknown user is created");
    }

    fn reset(&self, world: &mut World, user: Uuid, now: Timestamp) {
        // The user may have been removed through the control path.
        let _ = world.reset(&self.account, user, now);
    }

    fn configure(&self, world: &mut World, behavior: &str, change: impl FnOnce(&mut Behavior)) {
        // A scenario with its own behaviors may lack this one.
        self.account(world).behaviors.get_mut(behavior).map(change);
    }
}

/// The time in UTC, such as `12:03:10`.
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
    use crate::simulator::endpoint::Endpoint;
    use crate::simulator::ground_truth::{AccountGroundTruth, Include};
    use crate::simulator::routes::Route;
    use crate::simulator::scenario::{GENERATED_ACCOUNT, GENERATED_TOKEN};

    fn stage(story: Story) -> (Player, Engine) {
        let scenario = Scenario::of_story(story, 60.0);
        (Player::new(&scenario).unwrap(), Engine::new(&scenario, Clock::system()))
    }

    fn play(story: Story, minutes: u64) -> (Vec<String>, AccountGroundTruth) {
        let (play, engine) = stage(story);
        let lines = (0..minutes).flat_map(|minute| play.minute(minute, &engine)).collect();
        let (world, now) = engine.now();
        let truth = world.ground_truth(now, None, Include::default());
        (lines, truth.accounts[GENERATED_ACCOUNT].clone())
    }

    #[test]
    fn announced_actions_happen() {
        // Users at high risk at the end, resets, and events of the story's behavior.
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
    fn failures_begin_and_end_in_the_minutes_of_the_story() {
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
        fn failing(world: &mut World) -> bool {
            let account = Some(GENERATED_ACCOUNT.to_owned());
            let route = Route { endpoint: Endpoint::Behaviors, account, subject: String::new() };
            !world.faults.take(&route).is_empty()
        }
        type IsFailing = fn(&mut World) -> bool;
        let table: [(Story, IsFailing); 3] =
            [(Story::TokenRevoked, revoked), (Story::BehaviorDisabled, disabled), (Story::Outage, failing)];
        for (story, is_failing) in table {
            let (play, engine) = stage(story);
            for minute in 0..60 {
                play.minute(minute, &engine);
                let failing = is_failing(&mut engine.now().0);
                assert_eq!(failing, (20..50).contains(&minute), "{story:?} in minute {minute}");
            }
        }
    }

    #[test]
    fn a_line_has_the_time_the_story_and_the_action() {
        let (lines, _) = play(Story::Campaign, 120);
        assert_eq!(lines.len(), 13);
        for (line, wanted) in [
            (&lines[0], "campaign: 5 users get malicious_file\n"),
            (&lines[12], "campaign: the story is over; background events continue\n"),
        ] {
            let (time, announcement) = line.split_once(' ').unwrap();
            assert_eq!((time.len(), announcement), (8, wanted));
        }
        assert_eq!(time_of_day(Timestamp::from_millis(43_390_250)), "12:03:10");
    }

    #[test]
    fn background_events_are_too_few_for_a_campaign_and_raise_no_user() {
        let hour = |minutes| play(Story::Outage, minutes).1;
        let (before, after) = (hour(0), hour(60));
        assert_eq!(after.by_level, before.by_level);
        assert_eq!(after.events_total - before.events_total, 12);
        for behavior in BACKGROUND_BEHAVIORS {
            let of = |truth: &AccountGroundTruth| {
                truth.events_by_behavior.get(behavior).map_or(0, |levels| levels.values().sum::<u64>())
            };
            assert_eq!(of(&after) - of(&before), 6, "{behavior}");
        }
    }
}
