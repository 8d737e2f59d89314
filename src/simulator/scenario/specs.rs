//! The parts of a scenario: accounts, users, events, behaviors, integrations and credentials.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time_spec::TimeSpec;
use crate::simulator::endpoint::Permission;

/// One account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// The id. Cloudflare's have 32 hexadecimal digits; the schema allows any text.
    pub id: String,
    /// The name on the list of accounts; without it, it begins like the id.
    pub name: Option<String>,
    /// Whether the account exists.
    #[serde(default)]
    pub state: AccountState,
    /// Whether the plan includes risk scoring.
    #[serde(default)]
    pub plan: Plan,
    /// Users with the events that are listed here.
    #[serde(default)]
    pub users: Vec<UserSpec>,
    /// How many users are generated from the seed. They have a history, and things keep happening to them.
    #[serde(default)]
    pub generated_users: u32,
    /// The behaviors; without it, those that Cloudflare documents.
    pub behaviors: Option<Vec<BehaviorSpec>>,
    /// The integrations at the start.
    #[serde(default)]
    pub integrations: Vec<IntegrationSpec>,
}

/// Whether an account exists. A test may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// The account exists.
    #[default]
    Open,
    /// The account is not listed, and no credential may use it.
    Closed,
}

/// Whether an account may use risk scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// The account may use risk scoring.
    #[default]
    Enterprise,
    /// Every request is forbidden (code 3314).
    NotEntitled,
}

/// A user with known events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The user's id.
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    /// The display name; without it, one is generated.
    pub name: Option<String>,
    /// The e-mail address; without it, one is generated.
    pub email: Option<String>,
    /// When the user was last reset, before the simulator started.
    pub last_reset: Option<TimeSpec>,
    /// The user's events. Events at or before `last_reset` happened before that reset.
    #[serde(default)]
    pub events: Vec<EventSpec>,
}

/// An event before the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// The event's id; without it, one is generated.
    pub id: Option<String>,
    /// The behavior's id.
    pub behavior: String,
    /// The event's level; without it, the behavior's.
    pub level: Option<Level>,
    /// When the event happened.
    pub at: TimeSpec,
    /// How many such events there are.
    #[serde(default = "one")]
    pub count: u32,
}

/// A behavior as configured at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviorSpec {
    /// The id, such as `imp_travel`.
    pub id: String,
    /// The display name, such as `Impossible Travel`.
    pub name: String,
    /// What triggers it.
    #[serde(default)]
    pub description: String,
    /// Whether Cloudflare evaluates the behavior.
    pub enabled: bool,
    /// The level of its events.
    pub risk_level: Level,
}

/// An integration that exists at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegrationSpec {
    /// Its id.
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    /// The reference that the owner assigned.
    pub reference_id: String,
    /// The tenant's URL, such as `https://example.okta.com`.
    pub tenant_url: String,
    /// Whether the integration exports risk changes.
    pub active: bool,
    /// When it was created.
    pub created_at: TimeSpec,
}

/// An API token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// The secret.
    pub token: String,
    /// The permissions.
    pub permissions: BTreeSet<Permission>,
    /// The accounts in which the permissions are valid; without it, all accounts.
    pub accounts: Option<Vec<String>>,
    /// The owner. Tokens and keys of one owner share the rate limit. Without it, the token has a limit of its own.
    pub user: Option<String>,
    /// Whether the token belongs to a user or to an account.
    #[serde(default)]
    pub owner: TokenOwner,
    /// When the token expires.
    pub expires_on: Option<TimeSpec>,
}

/// The kind of owner that a token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOwner {
    /// A user.
    #[default]
    User,
    /// An account. The token cannot list accounts (400 with code 1001).
    Account,
}

/// An e-mail address with its global API key, which has all permissions in all accounts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The e-mail address.
    pub email: String,
    /// The key.
    pub key: String,
    /// The owner, as for tokens.
    pub user: Option<String>,
}

/// The rate limit of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSpec {
    /// The number of requests in a window.
    pub quota: u32,
    /// The length of the sliding window.
    pub window_seconds: u64,
    /// How long all requests are blocked after the quota was exceeded.
    pub block_seconds: u64,
}

impl Default for LimitSpec {
    fn default() -> Self {
        // Cloudflare's published limit.
        Self { quota: 1_200, window_seconds: 300, block_seconds: 300 }
    }
}

/// A risk level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
}

impl Level {
    /// All levels, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The level's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

const fn one() -> u32 {
    1
}

fn uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    Uuid::try_parse(&text)
        .map_err(|_| serde::de::Error::custom("must be a UUID such as 4cfe8442-664b-4915-acd4-b39cd65c4314"))
}
