//! The JSON types of the document. docs/live-page.md describes them; changing a field changes the API.

use std::collections::BTreeMap;

use serde::Serialize;

use super::advice::what_to_do;
use crate::clock::{Instant, Timestamp};
use crate::metrics::telemetry::{Activity, BudgetLevel, Incident};
use crate::model::{self, Level, PerLevel, Resource, Snapshot};
use crate::server::status::history::History;

#[derive(Serialize)]
pub(super) struct Head {
    pub(super) version: &'static str,
    pub(super) now: String,
    pub(super) state: State,
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
    resources: BTreeMap<&'static str, Freshness>,
    users: Option<Users>,
    events: Option<Events<'a>>,
    behaviors: Option<Vec<Behavior<'a>>>,
    integrations: Option<Vec<Integration<'a>>>,
    token_expiry: Option<String>,
    errors: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct Freshness {
    last_success: Option<String>,
    interval_seconds: Option<f64>,
    rejected_rows: u64,
}

#[derive(Serialize)]
struct Users {
    by_level: Levels<u64>,
    pending: u64,
    oldest_pending: Option<String>,
    trend: Option<Trend<Levels<Series>>>,
}

#[derive(Serialize)]
struct Events<'a> {
    counting_since: Option<String>,
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

impl<'a> Account<'a> {
    /// `dated` converts an instant to a date.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        history: &History,
        activity: &'a Activity,
        dated: impl Fn(Instant) -> Timestamp,
    ) -> Self {
        let Snapshot {
            account,
            up,
            up_until: _,
            last_success,
            users,
            counting_since,
            behaviors,
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
            resources: Resource::with_rows()
                .map(|resource| (resource.as_str(), freshness(resource)))
                .collect(),
            users: users.as_ref().map(|users| Users::new(users, history, &dated)),
            events: totals.started.then(|| Events::new(totals, *counting_since, history, &dated)),
            behaviors: behaviors.as_ref().map(|known| known.iter().map(Behavior::new).collect()),
            integrations: integrations.as_ref().map(|known| known.iter().map(Integration::new).collect()),
            token_expiry: rfc3339(activity.token_expiry),
            errors: activity.incidents.iter().rev().map(Failure::new).collect(),
        }
    }
}

impl Users {
    fn new(users: &model::Users, history: &History, dated: impl Fn(Instant) -> Timestamp) -> Self {
        let trend = history.users_until().map(|until| Trend {
            step_seconds: history.step().as_secs_f64(),
            until: dated(until).to_string(),
            values: Levels::new(Level::ALL.map(|level| history.users(level).collect())),
        });
        Self {
            by_level: Levels::new(users.count),
            pending: users.pending,
            oldest_pending: rfc3339(users.oldest_pending),
            trend,
        }
    }
}

impl<'a> Events<'a> {
    fn new(
        totals: &'a model::EventTotals,
        since: Option<Timestamp>,
        history: &History,
        dated: impl Fn(Instant) -> Timestamp,
    ) -> Self {
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
            counting_since: rfc3339(since),
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
