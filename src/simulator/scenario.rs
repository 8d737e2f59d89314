//! What a simulated world is made of, as read from a scenario file or set by a test.
//!
//! Every key has a default, so that a scenario states only what its test is about. Unknown keys are
//! refused, and an error names the key and the line.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::api_options::ApiOptions;
use super::faults::FaultRule;
use super::story::Story;
use crate::clock::Timestamp;

/// The account of [`Scenario::generated`].
pub const GENERATED_ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// The token of [`Scenario::generated`]; it may do everything.
pub const GENERATED_TOKEN: &str = "simulated-token";

/// The largest world; at about 200 bytes a row its summary has 200 MB.
pub const MAX_USERS: u32 = 1_000_000;

/// Above this a minute of the world passes in less than a millisecond, the resolution of its times.
const MAX_SPEED: f64 = 10_000.0;

/// A world to start with, and how its API behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// The same seed and clock give the same world.
    pub seed: u64,
    /// How many times more often things happen than in life. Times stay those of the clock; with a
    /// speed other than 1 a working day begins when the simulator starts.
    pub speed: f64,
    /// Whose users there are.
    pub accounts: Vec<AccountSpec>,
    /// API tokens.
    pub tokens: Vec<TokenSpec>,
    /// E-mail addresses with global API keys.
    pub keys: Vec<KeySpec>,
    /// The rate limit of each credential.
    pub limit: LimitSpec,
    /// What the API does where Cloudflare's documentation is silent.
    pub api: ApiOptions,
    /// Wall time before each answer, in milliseconds.
    pub latency_ms: u64,
    /// Faults that are on from the start.
    pub faults: Vec<FaultRule>,
    /// What happens in the first account, beside what the seed makes happen.
    pub story: Option<Story>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
            accounts: Vec::new(),
            tokens: Vec::new(),
            keys: Vec::new(),
            limit: LimitSpec::default(),
            api: ApiOptions::default(),
            latency_ms: 0,
            faults: Vec::new(),
            story: None,
        }
    }
}

/// One account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Whether its plan has risk scoring.
    #[serde(default)]
    pub plan: Plan,
    /// Users with exactly these events.
    #[serde(default)]
    pub users: Vec<UserSpec>,
    /// How many users live here by the seed: they have a history, and things keep happening to them.
    #[serde(default)]
    pub generated_users: u32,
    /// What counts as risky; left out: the behaviors that Cloudflare documents.
    pub behaviors: Option<Vec<BehaviorSpec>>,
    /// Receivers of changes.
    #[serde(default)]
    pub integrations: Vec<IntegrationSpec>,
}

/// Whether an account may use risk scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// It may.
    #[default]
    Enterprise,
    /// Every call is forbidden (code 3314).
    NotEntitled,
}

/// A user with a known history.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The user's id.
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    /// Display name; left out: made up.
    pub name: Option<String>,
    /// E-mail address; left out: made up.
    pub email: Option<String>,
    /// When the user was last reset, before the simulator started.
    pub last_reset: Option<TimeSpec>,
    /// What the user did; events at or before `last_reset` belong to the time before it.
    #[serde(default)]
    pub events: Vec<EventSpec>,
}

/// An event of the history.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// The event's id; left out: made up.
    pub id: Option<String>,
    /// The behavior's id.
    pub behavior: String,
    /// Its level; left out: that of the behavior.
    pub level: Option<Level>,
    /// When it happened.
    pub at: TimeSpec,
}

/// A behavior as configured at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviorSpec {
    /// Such as `imp_travel`.
    pub id: String,
    /// Such as `Impossible Travel`.
    pub name: String,
    /// What triggers it.
    #[serde(default)]
    pub description: String,
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level it gives.
    pub risk_level: Level,
}

/// An integration that exists at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegrationSpec {
    /// Its id.
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    /// The id its owner gave it.
    pub reference_id: String,
    /// Such as `https://example.okta.com`.
    pub tenant_url: String,
    /// Whether it sends changes.
    pub active: bool,
    /// When it was made.
    pub created_at: TimeSpec,
}

/// An API token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// The secret itself.
    pub token: String,
    /// What it may do.
    pub permissions: BTreeSet<Permission>,
    /// Where it may do that; left out: in every account.
    pub accounts: Option<Vec<String>>,
    /// Whose it is: tokens and keys of one user share the rate limit. Left out: its own.
    pub user: Option<String>,
    /// When it expires.
    pub expires_on: Option<TimeSpec>,
}

/// An e-mail address with its global API key, which may do everything everywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The e-mail address.
    pub email: String,
    /// The key.
    pub key: String,
    /// Whose it is, as for tokens.
    pub user: Option<String>,
}

/// A permission group of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Permission {
    /// Reads settings.
    #[serde(rename = "Zero Trust Read")]
    Read,
    /// Reads and changes settings.
    #[serde(rename = "Zero Trust Write")]
    Write,
    /// Reads users.
    #[serde(rename = "Zero Trust: PII Read")]
    PiiRead,
}

/// How often a credential may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSpec {
    /// Requests in a window.
    pub quota: u32,
    /// Length of the sliding window.
    pub window_seconds: u64,
    /// How long everything is blocked once the quota was passed.
    pub block_seconds: u64,
}

impl Default for LimitSpec {
    fn default() -> Self {
        // Cloudflare's published limit.
        Self { quota: 1_200, window_seconds: 300, block_seconds: 300 }
    }
}

/// How risky something is.
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
    /// All levels, in the order of their risk.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A date, or a span before the start: `2026-11-20T08:00:00Z`, `-90m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSpec {
    /// On this date.
    On(Timestamp),
    /// So long before the simulator starts.
    BeforeStart(Duration),
}

impl TimeSpec {
    /// The date, for a simulator that starts at `start`.
    pub fn date(self, start: Timestamp) -> Timestamp {
        match self {
            Self::On(date) => date,
            Self::BeforeStart(span) => start - span,
        }
    }
}

impl<'de> Deserialize<'de> for TimeSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = |error: jiff::Error| {
            serde::de::Error::custom(format!("`{text}` is neither a date nor a span such as `-90m`: {error}"))
        };
        if let Some(span) = text.strip_prefix('-') {
            let span: jiff::SignedDuration = span.parse().map_err(refuse)?;
            return Ok(Self::BeforeStart(span.unsigned_abs()));
        }
        let date: jiff::Timestamp = text.parse().map_err(refuse)?;
        Ok(Self::On(Timestamp::from_millis(date.as_millisecond())))
    }
}

fn uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    Uuid::try_parse(&text).map_err(|error| serde::de::Error::custom(format!("`{text}` is no UUID: {error}")))
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not YAML, an unknown key, or a value of the wrong kind; the message names line and key.
    #[error(transparent)]
    Text(#[from] serde_saphyr::Error),
    /// A value that makes no world.
    #[error("{key}: {reason}")]
    Value {
        /// The key in the file.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// If the text is no scenario, or one that cannot be played.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        // Line and key are enough: a snippet would repeat the message below a file name that is not known here.
        let options = serde_saphyr::options! { with_snippet: false };
        let scenario: Self = serde_saphyr::from_str_with_options(text, options)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// One account ([`GENERATED_ACCOUNT`]) with `users` living users, and one token ([`GENERATED_TOKEN`]).
    pub fn generated(users: u32, seed: u64) -> Self {
        let account = AccountSpec {
            id: GENERATED_ACCOUNT.to_owned(),
            plan: Plan::Enterprise,
            users: Vec::new(),
            generated_users: users,
            behaviors: None,
            integrations: vec![IntegrationSpec {
                id: Uuid::from_u128(0x4cfe_8442_664b_4915_acd4_b39c_d65c_4314),
                reference_id: "3701e70b-5de4-4d9d-8972-f5aa994d9057".to_owned(),
                tenant_url: "https://example.oktapreview.com".to_owned(),
                active: true,
                created_at: TimeSpec::BeforeStart(Duration::from_secs(30 * 86_400)),
            }],
        };
        let token = TokenSpec {
            token: GENERATED_TOKEN.to_owned(),
            permissions: BTreeSet::from([Permission::Read, Permission::Write, Permission::PiiRead]),
            accounts: None,
            user: None,
            expires_on: None,
        };
        Self { seed, accounts: vec![account], tokens: vec![token], ..Self::default() }
    }

    /// Refuses what the types allow but no world can be made of.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let refuse = |key: String, reason: &str| Err(ScenarioError::Value { key, reason: reason.to_owned() });
        if !(self.speed > 0.0 && self.speed <= MAX_SPEED) {
            return refuse("speed".into(), "must be above 0 and at most 10000");
        }
        if self.limit.quota == 0 || self.limit.window_seconds == 0 {
            return refuse("limit".into(), "quota and window_seconds must be at least 1");
        }
        if let Some(key) = self.api.pages.zero_size() {
            return refuse(format!("api.pages.{key}"), "must be at least 1");
        }
        if self.story.is_some() && self.accounts.is_empty() {
            return refuse("story".into(), "needs an account in which it happens");
        }
        let mut accounts = BTreeSet::new();
        for (index, account) in self.accounts.iter().enumerate() {
            let key = format!("accounts[{index}]");
            if account.id.len() != 32 || !account.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return refuse(format!("{key}.id"), "must be 32 hexadecimal digits");
            }
            if !accounts.insert(account.id.as_str()) {
                return refuse(format!("{key}.id"), "is the id of another account too");
            }
            if account.generated_users > MAX_USERS {
                return refuse(format!("{key}.generated_users"), "must be at most 1000000");
            }
            let mut users = BTreeSet::new();
            if let Some(twice) = account.users.iter().position(|user| !users.insert(user.id)) {
                return refuse(format!("{key}.users[{twice}].id"), "is the id of another user too");
            }
        }
        for (index, token) in self.tokens.iter().enumerate() {
            let known = |id: &String| accounts.contains(id.as_str());
            if !token.accounts.iter().flatten().all(known) {
                return refuse(format!("tokens[{index}].accounts"), "names an account that is not there");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_key() {
        for (text, wanted) in [
            ("sead: 1", "sead"),
            ("api: { pages: { sized: { standard: 20, largst: 5 } } }", "largst"),
            ("api: { pages: { sized: { standard: 0, largest: 5 } } }", "api.pages.standard"),
            ("speed: 0", "speed"),
            ("accounts: [{ id: abc }]", "accounts[0].id"),
            ("accounts: [{ id: 0123456789abcdef0123456789abcdef, user: [] }]", "user"),
            ("tokens: [{ token: a, permissions: [Zero Trust Admin] }]", "Zero Trust Admin"),
            ("tokens: [{ token: a, permissions: [], accounts: [x] }]", "tokens[0].accounts"),
            ("faults: [{ fault: hangs }]", "hangs"),
            ("story: outage", "story"),
            ("story: outrage", "outrage"),
        ] {
            let error = Scenario::from_yaml(text).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.lines().count() == 1, "{text}: {error}");
        }
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let text = "accounts: [{ id: 01234567890123456789012345678901 }]\ntokens: [{ token: 0123, permissions: [] }]";
        let scenario = Scenario::from_yaml(text).unwrap();
        assert_eq!(scenario.accounts[0].id, "01234567890123456789012345678901");
        assert_eq!(scenario.tokens[0].token, "0123");
    }

    #[test]
    fn dates_are_absolute_or_before_the_start() {
        let start = Timestamp::from_seconds(1_000_000);
        for (text, wanted) in [("'1970-01-01T00:00:01.5Z'", 1_500), ("-90m", 1_000_000_000 - 90 * 60_000)] {
            let when: TimeSpec = serde_saphyr::from_str(text).unwrap();
            assert_eq!(when.date(start), Timestamp::from_millis(wanted), "{text}");
        }
    }
}
