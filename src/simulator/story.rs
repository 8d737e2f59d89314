//! Stories: the scripts of drills, which show the alerts that fire and let people practise how to react.
//!
//! A story is data: a list of scenes by the minute. Minutes are simulated minutes: at speed 60 each takes a
//! second. Besides the scenes there are only background events, too few for any alert.

mod cast;
pub(super) mod player;

use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

/// What a drill is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "daemon", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// A wave of malware reaches sixty users within twelve minutes
    Campaign,
    /// One user does risky things again and again, and nobody reacts for a day
    Insider,
    /// Somebody resets thirty users within six minutes
    MassReset,
    /// Somebody disables a behavior
    BehaviorDisabled,
    /// The API token is revoked
    TokenRevoked,
    /// Cloudflare's API returns only errors
    Outage,
}

/// An action in one minute, or in each of several consecutive minutes.
#[derive(Clone, Copy, Debug)]
struct Scene {
    /// The first of the minutes, counted from the start.
    minute: u64,
    /// The number of minutes.
    minutes: u64,
    action: SceneAction,
}

/// A change of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SceneAction {
    /// This many users who are not at high risk get an event that raises them to high.
    RaiseToHigh { users: usize, behavior: &'static str },
    /// The insider gets another event.
    InsiderEvent { behavior: &'static str },
    /// The insider is reset.
    ResetInsider,
    /// This many users at medium risk or above are reset.
    Reset { users: usize },
    /// A behavior is disabled.
    Disable { behavior: &'static str },
    /// A behavior is enabled again.
    Enable { behavior: &'static str },
    /// All tokens are revoked.
    RevokeToken,
    /// All tokens are valid again.
    RestoreToken,
    /// Every request fails.
    Fail,
    /// All faults end.
    Recover,
    /// The story is over.
    End,
}

/// Nothing happens in the first minutes, so that the normal state can be seen.
const QUIET_MINUTES: u64 = 20;

/// How long a failure lasts: longer than each alert about stale data needs to fire.
const TROUBLE_MINUTES: u64 = 30;

/// A wave of events over some minutes. It ends above the threshold for a campaign, even without a baseline of
/// normal activity.
const CAMPAIGN: [Scene; 2] = [
    Scene {
        minute: QUIET_MINUTES,
        minutes: 12,
        action: SceneAction::RaiseToHigh { users: 5, behavior: "malicious_file" },
    },
    // An hour after the wave no hourly increase contains it.
    Scene::once(100, SceneAction::End),
];

const INSIDER: [Scene; 4] = [
    Scene::once(2, SceneAction::InsiderEvent { behavior: "imp_travel" }),
    Scene { minute: 11, minutes: 5, action: SceneAction::InsiderEvent { behavior: "imp_travel" } },
    Scene::once(40, SceneAction::ResetInsider),
    Scene::once(50, SceneAction::End),
];

const MASS_RESET: [Scene; 2] = [
    Scene { minute: QUIET_MINUTES, minutes: 6, action: SceneAction::Reset { users: 5 } },
    Scene::once(100, SceneAction::End),
];

const BEHAVIOR_DISABLED: [Scene; 3] = [
    Scene::once(QUIET_MINUTES, SceneAction::Disable { behavior: "malicious_file" }),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES, SceneAction::Enable { behavior: "malicious_file" }),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES + 20, SceneAction::End),
];

const TOKEN_REVOKED: [Scene; 3] = [
    Scene::once(QUIET_MINUTES, SceneAction::RevokeToken),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES, SceneAction::RestoreToken),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES + 20, SceneAction::End),
];

const OUTAGE: [Scene; 3] = [
    Scene::once(QUIET_MINUTES, SceneAction::Fail),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES, SceneAction::Recover),
    Scene::once(QUIET_MINUTES + TROUBLE_MINUTES + 20, SceneAction::End),
];

const INSIDER_ID: Uuid = Uuid::from_u128(0x5d1f_9e3a_6c07_4b2e_9a44_0f3b_7ce1_28d6);

/// How long the insider has been at high risk when the story begins: ten minutes less than a day.
const WATCHED: Duration = minutes(24 * 60 - 10);

impl Story {
    /// All stories.
    pub const ALL: [Self; 6] = [
        Self::Campaign,
        Self::Insider,
        Self::MassReset,
        Self::BehaviorDisabled,
        Self::TokenRevoked,
        Self::Outage,
    ];

    /// The story's name in files, in messages and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Insider => "insider",
            Self::MassReset => "mass-reset",
            Self::BehaviorDisabled => "behavior-disabled",
            Self::TokenRevoked => "token-revoked",
            Self::Outage => "outage",
        }
    }

    /// For how long an exporter must already have run, at this speed, when the story begins; `None` if it need
    /// not have run before. During that time nothing changed.
    pub fn watched(self, speed: f64) -> Option<Duration> {
        (self == Self::Insider).then(|| WATCHED.div_f64(speed))
    }

    const fn scenes(self) -> &'static [Scene] {
        match self {
            Self::Campaign => &CAMPAIGN,
            Self::Insider => &INSIDER,
            Self::MassReset => &MASS_RESET,
            Self::BehaviorDisabled => &BEHAVIOR_DISABLED,
            Self::TokenRevoked => &TOKEN_REVOKED,
            Self::Outage => &OUTAGE,
        }
    }

    /// The actions in this minute.
    fn actions(self, minute: u64) -> impl Iterator<Item = SceneAction> {
        let now = move |scene: &&Scene| (scene.minute..scene.minute + scene.minutes).contains(&minute);
        self.scenes().iter().filter(now).map(|scene| scene.action)
    }
}

impl Scene {
    const fn once(minute: u64, action: SceneAction) -> Self {
        Self { minute, minutes: 1, action }
    }
}

impl SceneAction {
    /// The line that announces the action.
    fn description(self) -> String {
        match self {
            Self::RaiseToHigh { users, behavior } => format!("{users} users get {behavior}"),
            Self::InsiderEvent { behavior } => format!("one user gets {behavior} again"),
            Self::ResetInsider => "that user is reset".to_owned(),
            Self::Reset { users } => format!("{users} users are reset"),
            Self::Disable { behavior } => format!("{behavior} is disabled"),
            Self::Enable { behavior } => format!("{behavior} is enabled again"),
            Self::RevokeToken => "the token is revoked".to_owned(),
            Self::RestoreToken => "the token is valid again".to_owned(),
            Self::Fail => "Cloudflare answers every request with an error".to_owned(),
            Self::Recover => "Cloudflare answers again".to_owned(),
            Self::End => "the story is over; background events continue".to_owned(),
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_story_has_one_name_in_files_and_messages() {
        for story in Story::ALL {
            assert_eq!(serde_saphyr::from_str::<Story>(story.as_str()).unwrap(), story);
        }
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn each_story_has_the_same_name_on_the_command_line() {
        use clap::ValueEnum;

        assert_eq!(Story::value_variants(), Story::ALL);
        for story in Story::ALL {
            assert_eq!(<Story as ValueEnum>::from_str(story.as_str(), false), Ok(story));
        }
    }

    #[test]
    fn a_story_ends_once_and_last_and_within_three_minutes_of_a_drill() {
        for story in Story::ALL {
            let of = |minute| story.actions(minute).collect::<Vec<_>>();
            let last = (0..1_000).rfind(|minute| !of(*minute).is_empty()).unwrap();
            assert_eq!(of(last), [SceneAction::End], "{story:?}");
            assert!((0..last).all(|minute| !of(minute).contains(&SceneAction::End)), "{story:?}");
            assert!(last < 180, "{story:?}: {last} seconds at speed 60");
        }
    }

    #[test]
    fn what_happens_in_a_minute() {
        let hit = SceneAction::RaiseToHigh { users: 5, behavior: "malicious_file" };
        for (story, minute, wanted) in [
            (Story::Campaign, 19, vec![]),
            (Story::Campaign, 20, vec![hit]),
            (Story::Campaign, 31, vec![hit]),
            (Story::Campaign, 32, vec![]),
            (Story::MassReset, 25, vec![SceneAction::Reset { users: 5 }]),
            (Story::TokenRevoked, 20, vec![SceneAction::RevokeToken]),
            (Story::TokenRevoked, 50, vec![SceneAction::RestoreToken]),
            (Story::Outage, 50, vec![SceneAction::Recover]),
        ] {
            assert_eq!(story.actions(minute).collect::<Vec<_>>(), wanted, "{story:?} at minute {minute}");
        }
    }

    #[test]
    fn only_the_insider_has_been_watched_for_nearly_a_day() {
        for story in Story::ALL {
            let wanted = (story == Story::Insider).then(|| Duration::from_secs(23 * 60 + 50));
            assert_eq!(story.watched(60.0), wanted, "{story:?}");
        }
    }
}
