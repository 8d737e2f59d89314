//! A story is played: minute by minute on the simulator's clock, in the scenario's first account.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Deed, INSIDER_ID, Story, Teller};
use crate::clock::Timestamp;
use crate::simulator::access::Standing;
use crate::simulator::cloud::Cloud;
use crate::simulator::faults::{Fault, FaultRule};
use crate::simulator::scenario::{Level, Scenario};
use crate::simulator::server::Shared;
use crate::simulator::world::{Account, Behavior, NewEvent, User};

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
pub(in crate::simulator) struct Play {
    story: Story,
    speed: f64,
    account: String,
}

impl Play {
    /// What a scenario plays, if it does.
    pub(in crate::simulator) fn of(scenario: &Scenario) -> Option<Self> {
        let account = scenario.accounts.first()?.id.clone();
        Some(Self { story: scenario.story?, speed: scenario.speed, account })
    }

    /// Plays the story, and everyday events for ever.
    pub(in crate::simulator) async fn run(self, shared: Arc<Shared>, tell: Teller) {
        let start = shared.clock.now();
        for minute in 0_u32.. {
            shared.clock.sleep_until(start + (MINUTE * minute).div_f64(self.speed)).await;
            for line in self.minute(u64::from(minute), &shared) {
                tell(&line);
            }
        }
    }

    /// Lets this minute happen, and tells of it.
    fn minute(&self, minute: u64, shared: &Shared) -> Vec<String> {
        let (mut cloud, now) = shared.now();
        if minute % EVERYDAY == EVERYDAY_MINUTE {
            self.everyday((minute / EVERYDAY) as usize, &mut cloud, now);
        }
        let play = |deed: Deed| {
            self.perform(deed, &mut cloud, now);
            format!("{} {}: {}\n", time_of_day(now), self.story.as_str(), deed.line())
        };
        self.story.deeds(minute).map(play).collect()
    }

    fn perform(&self, deed: Deed, cloud: &mut Cloud, now: Timestamp) {
        match deed {
            Deed::Hit { users, behavior } => {
                for user in self.first(cloud, users, |user| user.level() < Some(Level::High)) {
                    self.append(cloud, user, behavior, now);
                }
            }
            Deed::Offend { behavior } => self.append(cloud, INSIDER_ID, behavior, now),
            Deed::Forgive => self.reset(cloud, INSIDER_ID, now),
            Deed::Reset { users } => {
                for user in self.first(cloud, users, |user| user.level() >= Some(Level::Medium)) {
                    self.reset(cloud, user, now);
                }
            }
            Deed::Disable { behavior } => self.configure(cloud, behavior, |known| known.enabled = false),
            Deed::Enable { behavior } => self.configure(cloud, behavior, |known| known.enabled = true),
            Deed::Revoke => cloud.access.stand(Standing::Revoked),
            Deed::Reinstate => cloud.access.stand(Standing::Valid),
            Deed::Fail => {
                let fault = Fault::Status { status: 503, code: 1000, message: "unavailable".to_owned() };
                cloud.faults.add(FaultRule { fault, endpoint: None, account: None, count: None });
            }
            Deed::Recover => cloud.faults.clear(),
            Deed::End => {}
        }
    }

    /// The next of the everyday events, to the next of the users they come to.
    fn everyday(&self, number: usize, cloud: &mut Cloud, now: Timestamp) {
        let users: Vec<_> = self.account(cloud).users().map(|user| user.id).collect();
        let user = users.iter().rev().nth(number % EVERYDAY_USERS);
        let behavior = EVERYDAY_BEHAVIORS[number % EVERYDAY_BEHAVIORS.len()];
        if let Some(user) = user {
            self.append(cloud, *user, behavior, now);
        }
    }

    fn account<'a>(&self, cloud: &'a mut Cloud) -> &'a mut Account {
        cloud.account(&self.account).expect("it is an account of the scenario, and none is ever removed")
    }

    /// The first users of the account who are like this.
    fn first(&self, cloud: &mut Cloud, count: usize, like: impl Fn(&User) -> bool) -> Vec<Uuid> {
        let users = self.account(cloud).users();
        users.filter(|user| like(user)).map(|user| user.id).take(count).collect()
    }

    fn append(&self, cloud: &mut Cloud, user: Uuid, behavior: &str, now: Timestamp) {
        let appended = cloud.append(&self.account, user, &NewEvent::of(behavior, now), now);
        appended.expect("the account is there, and who is not joins");
    }

    fn reset(&self, cloud: &mut Cloud, user: Uuid, now: Timestamp) {
        // Somebody may have removed the user by hand.
        let _ = cloud.reset(&self.account, user, now);
    }

    fn configure(&self, cloud: &mut Cloud, behavior: &str, change: impl FnOnce(&mut Behavior)) {
        // An account with behaviors of its own may lack this one.
        self.account(cloud).behaviors.get_mut(behavior).map(change);
    }
}

/// Such as `12:03:10`, in UTC.
fn time_of_day(date: Timestamp) -> String {
    let date = date.to_string();
    date.split_once('T').and_then(|(_, time)| time.get(..8)).unwrap_or(&date).to_owned()
}
