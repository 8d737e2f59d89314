//! The users of a story at its beginning.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{INSIDER_ID, Story, WATCHED, minutes};
use crate::simulator::scenario::{AccountSpec, EventSpec, Scenario, TimeSpec, UserSpec};
use crate::simulator::workload::random_uuid;

/// Enough that 30 resets are a tenth, and that 60 new users at high risk are a minority.
const USERS: usize = 300;

/// One in this many users is at medium risk. Only the insider is at high risk.
const MEDIUM_ONE_IN: usize = 5;

impl Scenario {
    /// A story with 300 quiet users, in the account and with the token of [`Scenario::generated`].
    pub fn of_story(story: Story, speed: f64) -> Self {
        let world = Self::generated(0, 1);
        let with_users = |account| AccountSpec { users: cast(story, speed), ..account };
        let accounts = world.accounts.into_iter().map(with_users).collect();
        Self { speed, story: Some(story), accounts, ..world }
    }
}

/// The users at the start, with one event each.
fn cast(story: Story, speed: f64) -> Vec<UserSpec> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let user = |id, behavior: &str, age: Duration| UserSpec {
        id,
        name: None,
        email: None,
        last_reset: None,
        events: vec![EventSpec {
            id: None,
            behavior: behavior.to_owned(),
            level: None,
            at: TimeSpec::BeforeStart(age.div_f64(speed)),
            count: 1,
        }],
    };
    let background_user = |number: usize| {
        let behavior =
            if number.is_multiple_of(MEDIUM_ONE_IN) { "security_domain" } else { "high_risk_domain" };
        // The events are spread over the weeks before; none is within the day that the insider is watched.
        let age = minutes(24 * 60 * (2 + number as u64 % 20));
        user(random_uuid(&mut rng), behavior, age)
    };
    let mut cast: Vec<_> = (0..USERS).map(background_user).collect();
    if story == Story::Insider {
        cast.push(user(INSIDER_ID, "imp_travel", WATCHED + minutes(10)));
    }
    cast
}
