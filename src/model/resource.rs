//! What is polled: what each resource is called, whether it has rows, and when it is read.

#[cfg(feature = "daemon")]
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The parts of the API that are polled; the label `endpoint`. All that differs from one to another in more than a
/// value is a method here or an exhaustive `match`, so that the compiler finds what a new one lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// All users with their level.
    Summary,
    /// One user's events.
    User,
    /// What counts as risky.
    Behaviors,
    /// Where changes of level are sent.
    Integrations,
    /// What the token is and until when.
    TokenVerify,
}

impl Resource {
    /// All resources, in the order of [`Resource::index`].
    pub const ALL: [Self; 5] =
        [Self::Summary, Self::User, Self::Behaviors, Self::Integrations, Self::TokenVerify];

    /// The word for it in labels, in messages and in the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::User => "user",
            Self::Behaviors => "behaviors",
            Self::Integrations => "integrations",
            Self::TokenVerify => "token_verify",
        }
    }

    /// The position of this resource in [`Resource::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether its answers have rows, some of which may be unreadable.
    const fn has_rows(self) -> bool {
        match self {
            Self::Summary | Self::User | Self::Behaviors | Self::Integrations => true,
            Self::TokenVerify => false,
        }
    }

    /// The resources whose answers have rows.
    pub fn with_rows() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|resource| resource.has_rows())
    }
}

/// The token's expiry changes when somebody changes the token: then it is another one, and read at once.
#[cfg(feature = "daemon")]
const TOKEN_INTERVAL: Duration = Duration::from_secs(3600);

/// How often each resource is read, before jitter and before a large summary stretches it.
#[cfg(feature = "daemon")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// All users with their level; from 1 s to a day.
    pub summary: Duration,
    /// What counts as risky; from 1 s to a day.
    pub behaviors: Duration,
    /// Where changes are sent; from 1 s to a day.
    pub integrations: Duration,
    /// One user's events, when nothing says that they changed; from a minute to 30 days.
    pub audit: Duration,
}

#[cfg(feature = "daemon")]
impl Intervals {
    /// The time between two readings of a resource; `None` for one that is read when something else says so.
    pub const fn of(&self, resource: Resource) -> Option<Duration> {
        match resource {
            Resource::Summary => Some(self.summary),
            Resource::User => None,
            Resource::Behaviors => Some(self.behaviors),
            Resource::Integrations => Some(self.integrations),
            Resource::TokenVerify => Some(TOKEN_INTERVAL),
        }
    }
}
