//! Scenarios: the contents of a simulated world, from a file or from a test.
//!
//! All keys of the top level have defaults, so that a scenario contains only what its test is about. Unknown keys
//! are errors, and an error in a file names the line and the key.

mod key_lines;
mod specs;
mod time_spec;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::api_options::ApiOptions;
use super::endpoint::Permission;
use super::faults::FaultRule;
use super::story::Story;
pub use specs::{
    AccountSpec, BehaviorSpec, EventSpec, IntegrationSpec, KeySpec, Level, LimitSpec, Plan, TokenSpec,
    UserSpec,
};
pub use time_spec::TimeSpec;

/// The account of [`Scenario::generated`].
pub const GENERATED_ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// The token of [`Scenario::generated`]. It has all permissions.
pub const GENERATED_TOKEN: &str = "simulated-token";

/// Events kept for one user. Older ones are dropped, so that a demo can run for months.
pub(super) const MAX_EVENTS_PER_USER: usize = 10_000;

/// Behaviors of one account: events refer to them by a 16-bit index.
pub(super) const MAX_BEHAVIORS: usize = 1 << 16;

/// The largest number of users of an account. With about 200 bytes a row the summary has 200 MB.
pub const MAX_USERS: u32 = 1_000_000;

/// At this speed a simulated minute takes 6 ms; timestamps have a resolution of 1 ms.
const MAX_SPEED: f64 = 10_000.0;

/// The world at the start, and how its API behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// The same seed and clock give the same world.
    pub seed: u64,
    /// How many times faster than normal things happen. Timestamps stay those of the clock. At a speed other
    /// than 1 a working day begins when the simulator starts.
    pub speed: f64,
    /// The accounts.
    pub accounts: Vec<AccountSpec>,
    /// The API tokens.
    pub tokens: Vec<TokenSpec>,
    /// The e-mail addresses with global API keys.
    pub keys: Vec<KeySpec>,
    /// The rate limit of each credential.
    pub limit: LimitSpec,
    /// How the API behaves where Cloudflare's documentation says nothing.
    pub api: ApiOptions,
    /// The delay before each answer, in milliseconds of real time.
    pub latency_ms: u64,
    /// The fault rules that are active from the start.
    pub faults: Vec<FaultRule>,
    /// A story that is played in the first account.
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

/// Why a scenario is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The text is not YAML, or it has an unknown key or a value of the wrong kind.
    #[error("{}{source}", key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Text {
        /// The key whose value is wrong, if the error is about a value.
        key: Option<String>,
        /// What is wrong, with the line.
        source: Box<serde_saphyr::Error>,
    },
    /// A value that the types allow is out of range or contradicts another one.
    #[error("{key}: {reason}{}", line.map(|line| format!(" at line {line}")).unwrap_or_default())]
    Value {
        /// The line in the file, if the scenario is from a file.
        line: Option<u64>,
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
    /// The text is not a scenario, or the scenario is invalid.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        // No snippet: it would name a file, which is not known here.
        let options = serde_saphyr::options! { with_snippet: false };
        let scenario: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let key = error.location().and_then(|location| key_before(text, location));
            ScenarioError::Text { key, source: Box::new(error) }
        })?;
        scenario.check().map_err(|error| match error {
            ScenarioError::Value { key, reason, .. } => {
                ScenarioError::Value { line: key_lines::line_of(text, &key), key, reason }
            }
            other => other,
        })?;
        Ok(scenario)
    }

    /// One account ([`GENERATED_ACCOUNT`]) with `users` generated users, and one token ([`GENERATED_TOKEN`]).
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

    /// Refuses values that the types allow but that are out of range or contradict each other.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let refuse = |key: String, reason: &str| {
            Err(ScenarioError::Value { line: None, key, reason: reason.to_owned() })
        };
        if !(self.speed > 0.0 && self.speed <= MAX_SPEED) {
            return refuse("speed".into(), "must be above 0 and at most 10000");
        }
        if self.limit.quota == 0 || self.limit.window_seconds == 0 {
            return refuse("limit".into(), "quota and window_seconds must be at least 1");
        }
        if let Some(key) = self.api.pages.zero_size() {
            return refuse(format!("api.pages.{key}"), "must be at least 1");
        }
        if self.api.detail_lag_max_ms.is_some_and(|most| most < self.api.detail_lag_ms) {
            return refuse("api.detail_lag_max_ms".into(), "must be at least detail_lag_ms");
        }
        if self.story.is_some() && self.accounts.is_empty() {
            return refuse("story".into(), "needs at least one account");
        }
        let mut accounts = BTreeSet::new();
        for (index, account) in self.accounts.iter().enumerate() {
            let key = format!("accounts[{index}]");
            if account.id.is_empty() {
                return refuse(format!("{key}.id"), "must not be empty");
            }
            if !accounts.insert(account.id.as_str()) {
                return refuse(format!("{key}.id"), "is also the id of another account");
            }
            if account.generated_users > MAX_USERS {
                return refuse(format!("{key}.generated_users"), "must be at most 1000000");
            }
            let events = || account.users.iter().flat_map(|user| &user.events);
            let behaviors: BTreeSet<_> = events().map(|event| event.behavior.as_str()).collect();
            if behaviors.len() > MAX_BEHAVIORS || account.behaviors.iter().flatten().count() > MAX_BEHAVIORS {
                return refuse(format!("{key}.behaviors"), "must be at most 65536");
            }
            if events().any(|event| event.count as usize > MAX_EVENTS_PER_USER) {
                return refuse(format!("{key}.users"), "must have at most 10000 events each");
            }
            if events().any(|event| event.count != 1 && event.id.is_some()) {
                return refuse(format!("{key}.users"), "must not have an event with both id and count");
            }
            let mut users = BTreeSet::new();
            if let Some(twice) = account.users.iter().position(|user| !users.insert(user.id)) {
                return refuse(format!("{key}.users[{twice}].id"), "is also the id of another user");
            }
        }
        for (index, token) in self.tokens.iter().enumerate() {
            let known = |id: &String| accounts.contains(id.as_str());
            if !token.accounts.iter().flatten().all(known) {
                return refuse(format!("tokens[{index}].accounts"), "names an unknown account");
            }
        }
        Ok(())
    }
}

/// The key whose value begins at `location`, if it is on the same line.
fn key_before(text: &str, location: serde_saphyr::Location) -> Option<String> {
    let line = text.lines().nth(usize::try_from(location.line()).ok()?.checked_sub(1)?)?;
    let before: String =
        line.chars().take(usize::try_from(location.column()).ok()?.checked_sub(1)?).collect();
    let before = before.trim_end().strip_suffix(':')?;
    let key =
        before.rsplit(|character: char| !(character.is_ascii_alphanumeric() || character == '_')).next()?;
    (!key.is_empty()).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_value_names_line_and_key() {
        let integration = |date: &str| {
            format!(
                "accounts:\n  - id: 0123456789abcdef0123456789abcdef\n    integrations:\n      - {{ id: \
                 4cfe8442-664b-4915-acd4-b39cd65c4314, reference_id: a, tenant_url: b, active: true, created_at: {date} }}"
            )
        };
        assert!(Scenario::from_yaml(&integration("-1d")).is_ok());
        for (text, wanted) in [
            (
                integration("-1.5d"),
                "created_at: `-1.5d` is neither an RFC 3339 date nor a duration before the start, such as -90m \
                 or -1d12h at line 4",
            ),
            (integration("yesterday"), "created_at: `yesterday` is neither"),
            ("seed: 1\nspeed: fast".to_owned(), "speed: "),
            ("seed: 1\nspeed: 0".to_owned(), "speed: must be above 0 and at most 10000 at line 2"),
            ("tokens:\n  - token: a\n    permissions: none".to_owned(), "permissions: "),
        ] {
            let error = Scenario::from_yaml(&text).unwrap_err().to_string();
            assert!(error.starts_with(wanted) && error.contains(" at line "), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_key() {
        for (text, wanted) in [
            ("sead: 1", "sead"),
            ("api: { pages: { sized: { standard: 20, largst: 5 } } }", "largst"),
            ("api: { pages: { sized: { standard: 0, largest: 5 } } }", "api.pages.standard"),
            ("speed: 0", "speed"),
            ("api: { detail_lag_ms: 5, detail_lag_max_ms: 4 }", "api.detail_lag_max_ms"),
            ("faults: [{ fault: hang, share: 1.5 }]", "share"),
            ("accounts: [{ id: '' }]", "accounts[0].id"),
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
}
