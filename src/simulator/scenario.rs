//! Scenarios: the contents of a simulated world, from a file or from a test.
//!
//! All keys of the top level have defaults, so that a scenario contains only what its test is about. Unknown keys
//! are errors, and an error in a file names the line, the key and its value.

mod error;
mod outline;
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
pub(super) use error::Refusal;
pub use error::ScenarioError;
pub use specs::{
    AccountSpec, AccountState, BehaviorSpec, EventSpec, IntegrationSpec, KeySpec, Level, LimitSpec, Plan,
    TokenOwner, TokenSpec, UserSpec,
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

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// The text is not a scenario, or the scenario is invalid.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        // No snippet: it would name a file, which is not known here.
        let options = serde_saphyr::options! { with_snippet: false };
        let scenario: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ScenarioError::of_yaml(&error, text))?;
        scenario.check().map_err(|refusal| refusal.in_file(text))?;
        Ok(scenario)
    }

    /// One account ([`GENERATED_ACCOUNT`]) with `users` generated users, and one token ([`GENERATED_TOKEN`]).
    pub fn generated(users: u32, seed: u64) -> Self {
        let account = AccountSpec {
            id: GENERATED_ACCOUNT.to_owned(),
            name: None,
            state: AccountState::Open,
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
            permissions: BTreeSet::from(Permission::ALL),
            accounts: None,
            user: None,
            owner: TokenOwner::User,
            expires_on: None,
        };
        Self { seed, accounts: vec![account], tokens: vec![token], ..Self::default() }
    }

    /// Refuses values that the types allow but that are out of range or contradict each other.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let refuse = |key: String, reason: &str| Err(Refusal { key, reason: reason.to_owned() });
        if !(self.speed > 0.0 && self.speed <= MAX_SPEED) {
            return refuse("speed".into(), "must be above 0 and at most 10000");
        }
        if self.limit.quota == 0 {
            return refuse("limit.quota".into(), "must be at least 1");
        }
        if self.limit.window_seconds == 0 {
            return refuse("limit.window_seconds".into(), "must be at least 1");
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
                return refuse(format!("{key}.behaviors"), "has more than 65536 behaviors");
            }
            if events().any(|event| event.count as usize > MAX_EVENTS_PER_USER) {
                return refuse(format!("{key}.users"), "has a user with more than 10000 events");
            }
            if events().any(|event| event.count != 1 && event.id.is_some()) {
                return refuse(format!("{key}.users"), "has an event with both id and count");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_line_the_key_and_the_value() {
        let integration = |date: &str| {
            format!(
                "accounts:\n  - id: a\n    integrations:\n      - {{ id: 4cfe8442-664b-4915-acd4-b39cd65c4314, \
                 reference_id: a, tenant_url: b, active: true, created_at: {date} }}"
            )
        };
        for date in ["-1d", "1d", "yesterday", "2026-11-20", "2026-11-20T08:00:00Z"] {
            assert!(Scenario::from_yaml(&integration(date)).is_ok(), "{date}");
        }
        let dates = "must be a duration before the start such as -90m or -1d12h, today, yesterday, a date such as \
                     2026-11-20 or 2026-11-20T08:00:00Z, or seconds since 1970";
        let permissions =
            "must be Zero Trust Read, Zero Trust Write, Zero Trust: PII Read or Account Settings Read";
        let users = "accounts:\n- id: a\n  users:\n";
        for (text, wanted) in [
            (
                &*integration("-1.5d"),
                &*format!("line 4: accounts[0].integrations[0].created_at is \"-1.5d\", but {dates}"),
            ),
            ("seed: 1\nspeed: fast", "line 2: speed is \"fast\", but must be a number"),
            ("seed: -1", "line 1: seed is \"-1\", but must be a whole number from 0 to 18446744073709551615"),
            ("seed: 1\nspeed: 0", "line 2: speed is \"0\", but must be above 0 and at most 10000"),
            ("accounts: 5", "line 1: accounts is \"5\", but must be a list"),
            ("- seed: 1", "line 1: the file is a list, but must be a map"),
            ("seed: [1]", "line 1: seed is a list, but must be a single value"),
            ("accounts:\n  - users: []", "line 2: accounts[0] has no id"),
            ("seed: 1\nseed: 2", "line 2: seed is given twice"),
            ("seed: 1\n---\nseed: 2", "line 3: the file may hold only one YAML document"),
            ("api: { pages: [] }", "line 1: api.pages is a list, but must be a single value or a map"),
            ("accounts: [", "line 1: not valid YAML: unclosed bracket '['"),
            (
                "tokens:\n- token: a\n  permissions:\n  - Zero Trust Admin",
                &*format!("line 4: tokens[0].permissions[0] is \"Zero Trust Admin\", but {permissions}"),
            ),
            (
                "tokens: [{ token: a, permissions: none }]",
                "line 1: tokens[0].permissions is \"none\", but must be a list",
            ),
            (
                &*format!("{users}  - id: x"),
                "line 4: accounts[0].users[0].id is \"x\", but must be a UUID such as 4cfe8442-664b-4915-acd4-b39cd65c4314",
            ),
            (
                &*format!("{users}  - id: 4cfe8442-664b-4915-acd4-b39cd65c4314\n    level: low"),
                "line 5: accounts[0].users[0].level is not a known key; known keys: id, name, email, last_reset, events",
            ),
            (
                "accounts:\n- id: a\n  behaviors: [{ id: b, name: c, enabled: maybe, risk_level: low }]",
                "line 3: accounts[0].behaviors[0].enabled is \"maybe\", but must be true or false",
            ),
            (
                "api:\n  pages: { sized: { standard: 20, largst: 5 } }",
                "line 2: api.pages.sized.largst is not a known key; known keys: standard, largest",
            ),
            (
                "api:\n  pages: { sized: { standard: 0, largest: 5 } }",
                "line 2: api.pages.sized.standard is \"0\", but must be at least 1",
            ),
            (
                "api:\n  pages: { sizd: { standard: 1, largest: 5 } }",
                "line 2: api.pages.sizd is not a known key; known keys: whole, sized, repeated",
            ),
            ("limit:\n  quota: 0", "line 2: limit.quota is \"0\", but must be at least 1"),
            (
                "api: { detail_lag_ms: 5, detail_lag_max_ms: 4 }",
                "line 1: api.detail_lag_max_ms is \"4\", but must be at least detail_lag_ms",
            ),
            (
                "faults: [{ fault: hang, share: 1.5 }]",
                "line 1: faults[0].share is \"1.5\", but must be above 0 and at most 1",
            ),
            ("accounts: [{ id: '' }]", "line 1: accounts[0].id is \"\", but must not be empty"),
            ("accounts:\n- id: a\n- id: a", "line 3: accounts[1].id is also the id of another account"),
            (
                "tokens: [{ token: a, permissions: [], accounts: [x] }]",
                "line 1: tokens[0].accounts names an unknown account",
            ),
            ("story: outage", "line 1: story needs at least one account"),
        ] {
            assert_eq!(Scenario::from_yaml(text).unwrap_err().to_string(), wanted, "{text}");
        }
        let error = Scenario::from_yaml("faults:\n- fault: hangs").unwrap_err().to_string();
        assert!(
            error.starts_with("line 2: faults[0].fault is \"hangs\", but must be limited, status, "),
            "{error}"
        );
        assert_eq!(
            Scenario { speed: 0.0, ..Scenario::default() }.check().map_err(ScenarioError::from),
            Err(ScenarioError { line: None, problem: "speed must be above 0 and at most 10000".to_owned() })
        );
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let text = "accounts: [{ id: 01234567890123456789012345678901 }]\ntokens: [{ token: 0123, permissions: [] }]";
        let scenario = Scenario::from_yaml(text).unwrap();
        assert_eq!(scenario.accounts[0].id, "01234567890123456789012345678901");
        assert_eq!(scenario.tokens[0].token, "0123");
    }
}
