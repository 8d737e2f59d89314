//! The JSON types of the document. docs/live-page.md describes them; changing a field changes the API.

use std::collections::BTreeMap;

use serde::Serialize;

use super::advice::what_to_do;
use super::health::{Cause, Health};
use super::links::Links;
use super::query::View;
use crate::clock::{Instant, Timestamp};
use crate::metrics::telemetry::{Activity, BudgetLevel, DiscoveryStatus, Incident};
use crate::model::token_files;
use crate::model::{self, DriftSetting, Level, PerLevel, Resource, Snapshot, UserSeries};
use crate::server::status::history::History;

/// How many users at high risk are listed: as many as fit on a screen. The command `users` lists all.
const LISTED_USERS: usize = 20;

/// How many token files with problems, and found accounts without user risk scoring, are listed.
const LISTED_TOKEN_FILES: usize = 20;

#[derive(Serialize)]
pub(super) struct Head<'a> {
    pub(super) version: &'static str,
    pub(super) now: String,
    pub(super) state: State,
    pub(super) trend_seconds: f64,
    pub(super) dashboard: Option<&'a str>,
    pub(super) token_files: Option<TokenFiles<'a>>,
    pub(super) discovery: &'a [Discovery<'a>],
}

/// A token whose accounts are found.
#[derive(Serialize)]
pub(super) struct Discovery<'a> {
    token_file: &'a str,
    watched: usize,
    not_entitled: &'a [String],
    not_entitled_omitted: usize,
    last_success: Option<String>,
    problem: Option<&'a str>,
}

/// The directory of tokens.
#[derive(Serialize)]
pub(super) struct TokenFiles<'a> {
    used: usize,
    problems: Vec<TokenFileProblem<'a>>,
    problems_omitted: usize,
}

#[derive(Serialize)]
struct TokenFileProblem<'a> {
    file: &'a str,
    result: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
pub(super) struct State {
    pub(super) kept: &'static str,
    pub(super) size_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct Budget {
    limit: u32,
    remaining: u32,
    blocked_until: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Account<'a> {
    account: &'a str,
    account_id: &'a str,
    up: Option<bool>,
    health: HealthState,
    resources: BTreeMap<&'static str, Freshness>,
    users: Option<Users<'a>>,
    events: Option<Events<'a>>,
    #[serde(flatten)]
    settings: Option<Settings<'a>>,
    token_expiry: Option<String>,
    errors: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct HealthState {
    state: &'static str,
    cause: Option<&'static str>,
    since: Option<String>,
}

/// What is configured at Cloudflare, and where to see more. Not in the overview.
#[derive(Serialize)]
struct Settings<'a> {
    links: Links,
    behaviors: Option<Vec<Behavior<'a>>>,
    drift: Option<Drift<'a>>,
    integrations: Option<Vec<Integration<'a>>>,
}

#[derive(Serialize)]
struct Freshness {
    last_success: Option<String>,
    interval_seconds: Option<f64>,
    rejected_rows: u64,
}

#[derive(Serialize)]
struct Users<'a> {
    by_level: Levels<u64>,
    pending: u64,
    oldest_pending: Option<String>,
    #[serde(flatten)]
    details: Option<UserDetails<'a>>,
}

/// Not in the overview.
#[derive(Serialize)]
struct UserDetails<'a> {
    high_risk: Vec<HighRiskUser<'a>>,
    high_risk_omitted: u64,
    trend: Option<Trend<Levels<Series>>>,
}

/// A user as in `/metrics`: the identity policy decides what the user is called, and whether the user is listed.
#[derive(Serialize)]
struct HighRiskUser<'a> {
    user: &'a str,
    email: Option<&'a str>,
    name: Option<&'a str>,
    since: String,
    last_event: Option<String>,
    reported_events: Option<u32>,
    last_reset: Option<String>,
}

#[derive(Serialize)]
struct Events<'a> {
    counting_since: Option<String>,
    total: u64,
    recent: u64,
    #[serde(flatten)]
    details: Option<EventDetails<'a>>,
}

/// Not in the overview.
#[derive(Serialize)]
struct EventDetails<'a> {
    by_behavior: BTreeMap<&'a str, Count>,
    trend: Option<Trend<BTreeMap<&'a str, Series>>>,
}

#[derive(Serialize)]
struct Count {
    total: u64,
    recent: u64,
    by_level: Levels<u64>,
}

/// One value for each step, oldest first; `None` where it is not known.
type Series = Vec<Option<u32>>;

/// One or more series; their last step ends at `until`.
#[derive(Serialize)]
struct Trend<T> {
    step_seconds: f64,
    until: String,
    values: T,
}

#[derive(Serialize)]
struct Levels<T> {
    unknown: T,
    low: T,
    medium: T,
    high: T,
}

#[derive(Serialize)]
struct Behavior<'a> {
    behavior: &'a str,
    name: &'a str,
    enabled: Option<bool>,
    risk_level: &'static str,
}

/// How the behaviors differ from the account's baseline.
#[derive(Serialize)]
struct Drift<'a> {
    declared: usize,
    drifted: Vec<DriftedBehavior<'a>>,
    undeclared: &'a [String],
}

/// A behavior that differs. `enabled` and `risk_level` are `None` if they are not known, or if the behavior does not exist.
#[derive(Serialize)]
struct DriftedBehavior<'a> {
    behavior: &'a str,
    settings: Vec<&'static str>,
    enabled: Option<bool>,
    enabled_declared: bool,
    risk_level: Option<&'static str>,
    risk_level_declared: &'static str,
}

#[derive(Serialize)]
struct Integration<'a> {
    integration: String,
    integration_type: &'a str,
    reference_id: &'a str,
    tenant_url: &'a str,
    active: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    resource: &'static str,
    cause: &'static str,
    first: String,
    last: String,
    times: u64,
    over: Option<String>,
    error: &'a str,
    what_to_do: &'static str,
}

impl From<BudgetLevel> for Budget {
    fn from(level: BudgetLevel) -> Self {
        let BudgetLevel { limit, remaining, blocked_until } = level;
        Self { limit, remaining, blocked_until: rfc3339(blocked_until) }
    }
}

impl<'a> Discovery<'a> {
    pub(super) fn new(token_file: &'a str, status: &'a DiscoveryStatus) -> Self {
        let listed = status.not_entitled.get(..LISTED_TOKEN_FILES).unwrap_or(&status.not_entitled);
        Self {
            token_file,
            watched: status.watched,
            not_entitled: listed,
            not_entitled_omitted: status.not_entitled.len() - listed.len(),
            last_success: rfc3339(status.last_success),
            problem: status.problem.as_deref(),
        }
    }
}

impl<'a> From<&'a token_files::TokenFiles> for TokenFiles<'a> {
    fn from(files: &'a token_files::TokenFiles) -> Self {
        let token_files::TokenFiles { directory: _, used, problems } = files;
        let listed = problems.iter().take(LISTED_TOKEN_FILES).map(|problem| TokenFileProblem {
            file: &problem.file,
            result: problem.result.as_str(),
            reason: &problem.reason,
        });
        Self {
            used: *used,
            problems: listed.collect(),
            problems_omitted: problems.len().saturating_sub(LISTED_TOKEN_FILES),
        }
    }
}

impl<'a> Account<'a> {
    /// `dated` converts an instant to a date. `grafana` is the address of Grafana.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        history: &History,
        activity: &'a Activity,
        dated: impl Fn(Instant) -> Timestamp,
        grafana: Option<&str>,
        view: View,
    ) -> Self {
        let Snapshot {
            account,
            up,
            up_until: _,
            last_success,
            users,
            counting_since,
            behaviors,
            drift,
            integrations,
            totals,
            rejected_rows,
            unexpected_fields: _,
        } = snapshot;
        let freshness = |resource: Resource| Freshness {
            last_success: rfc3339(last_success.get(&resource).copied()),
            interval_seconds: activity.poll_intervals.get(&resource).map(std::time::Duration::as_secs_f64),
            rejected_rows: rejected_rows.get(&resource).copied().unwrap_or_default(),
        };
        Self {
            account: &account.alias,
            account_id: &account.id,
            up: *up,
            health: Health::new(*up, &activity.incidents).into(),
            resources: Resource::with_rows()
                .map(|resource| (resource.as_str(), freshness(resource)))
                .collect(),
            users: users.as_ref().map(|users| Users::new(users, history, &dated, view)),
            events: totals.started.then(|| Events::new(totals, *counting_since, history, &dated, view)),
            settings: (view == View::Whole).then(|| Settings {
                links: Links::new(grafana, account),
                behaviors: behaviors.as_ref().map(|known| known.iter().map(Behavior::new).collect()),
                drift: drift.as_ref().map(Drift::new),
                integrations: integrations.as_ref().map(|known| known.iter().map(Integration::new).collect()),
            }),
            token_expiry: rfc3339(activity.token_expiry),
            errors: activity
                .incidents
                .iter()
                .rev()
                .filter(|incident| view == View::Whole || incident.over.is_none())
                .map(Failure::new)
                .collect(),
        }
    }
}

impl From<Health> for HealthState {
    fn from(Health { state, cause, since }: Health) -> Self {
        Self { state: state.as_str(), cause: cause.map(Cause::as_str), since: rfc3339(since) }
    }
}

impl<'a> Users<'a> {
    fn new(
        users: &'a model::Users,
        history: &History,
        dated: impl Fn(Instant) -> Timestamp,
        view: View,
    ) -> Self {
        Self {
            by_level: Levels::new(users.count),
            pending: users.pending,
            oldest_pending: rfc3339(users.oldest_pending),
            details: (view == View::Whole).then(|| UserDetails::new(users, history, dated)),
        }
    }
}

impl<'a> UserDetails<'a> {
    fn new(users: &'a model::Users, history: &History, dated: impl Fn(Instant) -> Timestamp) -> Self {
        let trend = history.users_until().map(|until| Trend {
            step_seconds: history.step().as_secs_f64(),
            until: dated(until).to_string(),
            values: Levels::new(Level::ALL.map(|level| history.users(level).collect())),
        });
        let high_risk: Vec<_> = users
            .series
            .iter()
            .filter(|user| user.level == Level::High)
            .take(LISTED_USERS)
            .map(HighRiskUser::new)
            .collect();
        let [.., high] = users.count;
        Self { high_risk_omitted: high.saturating_sub(high_risk.len() as u64), high_risk, trend }
    }
}

impl<'a> HighRiskUser<'a> {
    fn new(user: &'a UserSeries) -> Self {
        let UserSeries { id: _, label, reported_events, level: _, since, last_event, last_reset, identity } =
            user;
        Self {
            user: label,
            email: identity.as_ref().map(|identity| identity.email.as_str()),
            name: identity.as_ref().map(|identity| identity.name.as_str()),
            since: since.to_string(),
            last_event: rfc3339(Some(*last_event).filter(|date| *date != Timestamp::UNKNOWN)),
            reported_events: *reported_events,
            last_reset: rfc3339(*last_reset),
        }
    }
}

impl<'a> Events<'a> {
    fn new(
        totals: &'a model::EventTotals,
        since: Option<Timestamp>,
        history: &History,
        dated: impl Fn(Instant) -> Timestamp,
        view: View,
    ) -> Self {
        let recent = |behavior: &str| history.events(behavior).flatten().map(u64::from).sum::<u64>();
        Self {
            counting_since: rfc3339(since),
            total: totals.events.values().flatten().sum(),
            recent: totals.events.keys().map(|label| recent(label)).sum(),
            details: (view == View::Whole).then(|| EventDetails::new(totals, history, dated)),
        }
    }
}

impl<'a> EventDetails<'a> {
    fn new(totals: &'a model::EventTotals, history: &History, dated: impl Fn(Instant) -> Timestamp) -> Self {
        let count = |behavior: &str, levels: PerLevel<u64>| Count {
            total: levels.iter().sum(),
            recent: history.events(behavior).flatten().map(u64::from).sum(),
            by_level: Levels::new(levels),
        };
        let behaviors = || totals.events.iter().map(|(label, levels)| (label.as_str(), *levels));
        let trend = history.events_until().map(|until| Trend {
            step_seconds: history.bucket().as_secs_f64(),
            until: dated(until).to_string(),
            values: behaviors().map(|(label, _)| (label, history.events(label).collect())).collect(),
        });
        Self {
            by_behavior: behaviors().map(|(label, levels)| (label, count(label, levels))).collect(),
            trend,
        }
    }
}

impl<T> Levels<T> {
    /// Takes the values in the order of [`Level::ALL`].
    fn new([unknown, low, medium, high]: PerLevel<T>) -> Self {
        Self { unknown, low, medium, high }
    }
}

impl<'a> Behavior<'a> {
    fn new(behavior: &'a model::BehaviorStatus) -> Self {
        let model::BehaviorStatus { label, name, enabled, level } = behavior;
        Self { behavior: label, name, enabled: *enabled, risk_level: level.as_str() }
    }
}

impl<'a> Drift<'a> {
    fn new(drift: &'a model::Drift) -> Self {
        Self {
            declared: drift.declared.len(),
            drifted: drift.drifted().map(DriftedBehavior::new).collect(),
            undeclared: &drift.undeclared,
        }
    }
}

impl<'a> DriftedBehavior<'a> {
    fn new(behavior: &'a model::DeclaredBehavior) -> Self {
        let (enabled, level) = match behavior.current {
            model::CurrentSetting::Listed { enabled, level } => (enabled, Some(level)),
            model::CurrentSetting::Missing | model::CurrentSetting::Unknown => (None, None),
        };
        Self {
            behavior: &behavior.id,
            settings: behavior.drifted().map(DriftSetting::as_str).collect(),
            enabled,
            enabled_declared: behavior.declared.enabled,
            risk_level: level.map(Level::as_str),
            risk_level_declared: behavior.declared.level.as_str(),
        }
    }
}

impl<'a> Integration<'a> {
    fn new(integration: &'a model::Integration) -> Self {
        let model::Integration { id, kind, reference_id, tenant_url, active, .. } = integration;
        Self {
            integration: id.to_string(),
            integration_type: kind,
            reference_id,
            tenant_url,
            active: *active,
        }
    }
}

impl<'a> Failure<'a> {
    fn new(incident: &'a Incident) -> Self {
        let Incident { source, cause, first, last, times, over, message } = incident;
        Self {
            resource: source.as_str(),
            cause: cause.as_str(),
            first: first.to_string(),
            last: last.to_string(),
            times: *times,
            over: rfc3339(*over),
            error: message,
            what_to_do: what_to_do(*cause),
        }
    }
}

fn rfc3339(date: Option<Timestamp>) -> Option<String> {
    date.map(|date| date.to_string())
}

/// Rounds to the second. The two clocks are not read at the same instant, and the end of a step should not vary between
/// documents.
pub(super) fn whole_seconds(date: Timestamp) -> Timestamp {
    Timestamp::from_seconds(date.seconds().round() as i64)
}
