//! The users of a story, as they are when it begins.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{INSIDER_ID, Story, WATCHED, minutes};
use crate::simulator::scenario::{AccountSpec, EventSpec, Scenario, UserSpec, When};
use crate::simulator::workload::random_uuid;

/// Enough for 30 resets to be a tenth, and for 60 new users at high risk to leave most of them calm.
const USERS: usize = 300;

/// One in so many is at medium risk; only the insider is at high.
const MEDIUM_ONE_IN: usize = 5;

impl Scenario {
    /// The account and the token of [`Scenario::generated`] with 300 calm users, and a story that happens to them.
    pub fn of_story(story: Story, speed: f64) -> Self {
        let world = Self::generated(0, 1);
        let with_users = |account| AccountSpec { users: cast(story, speed), ..account };
        let accounts = world.accounts.into_iter().map(with_users).collect();
        Self { speed, story: Some(story), accounts, ..world }
    }
}

/// The users at the start, with one event each; the insider has one too.
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
            at: When::BeforeStart(age.div_f64(speed)),
        }],
    };
    let somebody = |number: usize| {
        let behavior =
            if number.is_multiple_of(MEDIUM_ONE_IN) { "security_domain" } else { "high_risk_domain" };
        // Spread over the weeks before, none of them within the day that the insider is watched.
        let age = minutes(24 * 60 * (2 + number as u64 % 20));
        user(random_uuid(&mut rng), behavior, age)
    };
    let mut cast: Vec<_> = (0..USERS).map(somebody).collect();
    if story == Story::Insider {
        cast.push(user(INSIDER_ID, "imp_travel", WATCHED + minutes(10)));
    }
    cast
}
