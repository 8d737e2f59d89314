//! The resources that are polled: their names, whether they have rows, and how often they are read.

#[cfg(feature = "daemon")]
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of the API that is polled; the label `resource`. Every property of a resource is a method here or an
/// exhaustive `match` elsewhere, so that the compiler finds all places that a new resource needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// All users with their level.
    Summary,
    /// One user's events.
    User,
    /// The behaviors that count as risky.
    Behaviors,
    /// The integrations that changes of level are sent to.
    Integrations,
    /// The state of the API token, and when it expires.
    TokenVerify,
    /// The accounts that a token may read. It belongs to no account.
    Accounts,
}

impl Resource {
    /// All resources, in the order of [`Resource::index`].
    pub const ALL: [Self; 6] =
        [Self::Summary, Self::User, Self::Behaviors, Self::Integrations, Self::TokenVerify, Self::Accounts];

    /// The name in labels, messages and the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::User => "user",
            Self::Behaviors => "behaviors",
            Self::Integrations => "integrations",
            Self::TokenVerify => "token_verify",
            Self::Accounts => "accounts",
        }
    }

    /// The position of this resource in [`Resource::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether its responses have rows, which may be unreadable one by one.
    const fn has_rows(self) -> bool {
        match self {
            Self::Summary | Self::User | Self::Behaviors | Self::Integrations => true,
            Self::TokenVerify | Self::Accounts => false,
        }
    }

    /// The fields whose form is checked, by their names at Cloudflare, in alphabetical order. `user`, `event` and `row`
    /// stand for a whole row that is not an object, and `date` for the header `Date`. Each has a counter from the start.
    pub const fn checked_fields(self) -> &'static [&'static str] {
        match self {
            Self::Summary => {
                &["date", "email", "event_count", "last_event", "max_risk_level", "name", "user", "user_id"]
            }
            Self::User => &["email", "event", "id", "last_reset_time", "name", "risk_level", "timestamp"],
            Self::Behaviors => &["behaviors", "description", "enabled", "name", "risk_level", "row"],
            Self::Integrations => &[
                "active",
                "created_at",
                "id",
                "integration_type",
                "reference_id",
                "row",
                "tenant_url",
                "well_known_url",
            ],
            Self::TokenVerify | Self::Accounts => &[],
        }
    }

    /// The resources of an account.
    pub fn of_account() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|resource| *resource != Self::Accounts)
    }

    /// The resources of an account whose responses have rows.
    pub fn with_rows() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|resource| resource.has_rows())
    }
}

/// The expiry of a token rarely changes. A new token is verified at once.
#[cfg(feature = "daemon")]
const TOKEN_INTERVAL: Duration = Duration::from_secs(3600);

/// How often each resource is read, before jitter and before a large summary stretches it.
#[cfg(feature = "daemon")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// All users with their level; from 1 s to a day.
    pub summary: Duration,
    /// The behaviors; from 1 s to a day.
    pub behaviors: Duration,
    /// The integrations; from 1 s to a day.
    pub integrations: Duration,
    /// One user's events, if nothing indicates that they changed; from a minute to 30 days.
    pub audit: Duration,
}

#[cfg(feature = "daemon")]
impl Intervals {
    /// The time between two readings of a resource; `None` for a resource without a fixed interval.
    pub const fn of(&self, resource: Resource) -> Option<Duration> {
        match resource {
            Resource::Summary => Some(self.summary),
            Resource::User | Resource::Accounts => None,
            Resource::Behaviors => Some(self.behaviors),
            Resource::Integrations => Some(self.integrations),
            Resource::TokenVerify => Some(TOKEN_INTERVAL),
        }
    }
}
