//! Every metric about Cloudflare, declared once: its name, type, help and labels stand nowhere else.
//!
//! Golden page, manual, dashboards and alerts are checked against [`ALL`]; [`crate::metrics::samples`] fills the families.

use super::families;
use crate::metrics::encode::{Family, Kind};

/// What `backfill` writes to a file, and what is on no page: a name of its own, so that no rate, rule or alert about
/// [`EVENTS`] takes the past for something that happens. With `job` and `instance`, as scraped series have them.
pub(crate) const BACKFILL_EVENTS: Family<5> = Family {
    name: "cloudflare_zt_risk_backfill_events_total",
    kind: Kind::Counter,
    help: "Risk events of the past that were still listed, by behavior and by the event's own level.",
    labels: ["account", "behavior", "risk_level", "job", "instance"],
};

families! {
    /// Every family declared here, in the order of the page.
    ALL

    /// 1; for links.
    pub(crate) const ACCOUNT_INFO: Family<2> = Family {
        name: "cloudflare_zt_risk_account_info",
        kind: Kind::Gauge,
        help: "Always 1; account_id is Cloudflare's id of the account.",
        labels: ["account", "account_id"],
    };

    /// Whether the latest attempt to read the summary gave a whole one.
    pub(crate) const UP: Family<1> = Family {
        name: "cloudflare_zt_risk_up",
        kind: Kind::Gauge,
        help: "1 if the latest attempt to read the list of users at risk gave a whole one, 0 if not.",
        labels: ["account"],
    };

    /// When each endpoint was last read whole.
    pub(crate) const LAST_SUCCESS: Family<2> = Family {
        name: "cloudflare_zt_risk_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the endpoint was last read whole.",
        labels: ["account", "endpoint"],
    };

    /// Rows of answers that could not be read. The exporter's own by its prefix, but its source is a snapshot.
    pub(crate) const REJECTED_ROWS: Family<2> = Family {
        name: "zt_risk_exporter_rejected_rows_total",
        kind: Kind::Counter,
        help: "Rows of Cloudflare's answers that could not be read and were left out, since this process started.",
        labels: ["account", "endpoint"],
    };

    /// Users on the risk list, by highest level.
    pub(crate) const USERS: Family<2> = Family {
        name: "cloudflare_zt_risk_users",
        kind: Kind::Gauge,
        help: "Users of the account on the risk list, by highest risk level, as last read.",
        labels: ["account", "max_risk_level"],
    };

    /// The sum of the users' `event_count`; promtool forbids `_count` on a gauge.
    pub(crate) const REPORTED_EVENTS: Family<2> = Family {
        name: "cloudflare_zt_risk_reported_events",
        kind: Kind::Gauge,
        help: "Sum of the users' event counts as Cloudflare reports them, by the users' highest risk level.",
        labels: ["account", "max_risk_level"],
    };

    /// Since when the longest-standing user at each level has been there.
    pub(crate) const OLDEST_USER: Family<2> = Family {
        name: "cloudflare_zt_risk_oldest_user_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when the longest-standing user at this level has been there; absent if there is none.",
        labels: ["account", "max_risk_level"],
    };

    /// The epoch: since when events are counted.
    pub(crate) const COUNTING_SINCE: Family<1> = Family {
        name: "cloudflare_zt_risk_counting_since_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when events are counted; what happened before is in no counter.",
        labels: ["account"],
    };

    /// Distinct risk events, each once, over restarts.
    pub(crate) const EVENTS: Family<3> = Family {
        name: "cloudflare_zt_risk_events_total",
        kind: Kind::Counter,
        help: "Distinct risk events observed, each counted once, by behavior and by the event's own level.",
        labels: ["account", "behavior", "risk_level"],
    };

    /// Users with a first event of the behavior since their last reset.
    pub(crate) const BEHAVIOR_USERS: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_users_total",
        kind: Kind::Counter,
        help: "Users for whom a counted event was the first of that behavior since their last reset.",
        labels: ["account", "behavior"],
    };

    /// Moves between none, low, medium, high.
    pub(crate) const LEVEL_CHANGES: Family<3> = Family {
        name: "cloudflare_zt_risk_level_changes_total",
        kind: Kind::Counter,
        help: "Observed moves of users between levels; none is not being on the risk list.",
        labels: ["account", "from", "to"],
    };

    /// Distinct resets.
    pub(crate) const RESETS: Family<1> = Family {
        name: "cloudflare_zt_risk_resets_total",
        kind: Kind::Counter,
        help: "Distinct resets of users observed.",
        labels: ["account"],
    };

    /// From reaching a level to the reset.
    pub(crate) const TIME_TO_RESET: Family<2> = Family {
        name: "cloudflare_zt_risk_time_to_reset_seconds",
        kind: Kind::Histogram,
        help: "Time from reaching the level to the reset; users listed before counting began are left out.",
        labels: ["account", "max_risk_level"],
    };

    /// Events known from counts that could not be found.
    pub(crate) const EVENTS_UNATTRIBUTED: Family<2> = Family {
        name: "cloudflare_zt_risk_events_unattributed_total",
        kind: Kind::Counter,
        help: "Estimate of the events that are known from counts but could not be found, by reason.",
        labels: ["account", "reason"],
    };

    /// From an event's timestamp to when it was first seen here.
    pub(crate) const EVENT_OBSERVATION_DELAY: Family<1> = Family {
        name: "cloudflare_zt_risk_event_observation_delay_seconds",
        kind: Kind::Histogram,
        help: "Time from an event's timestamp to when it was first seen here.",
        labels: ["account"],
    };

    /// Users whose new events are still to be read.
    pub(crate) const PENDING_USERS: Family<1> = Family {
        name: "cloudflare_zt_risk_pending_users",
        kind: Kind::Gauge,
        help: "Users whose new events are still to be read.",
        labels: ["account"],
    };

    /// Since when the longest waiting of them has been waiting.
    pub(crate) const OLDEST_PENDING: Family<1> = Family {
        name: "cloudflare_zt_risk_oldest_pending_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when the longest waiting user with unread events has been waiting; absent if none waits.",
        labels: ["account"],
    };

    /// `event_count` of one of the users most at risk.
    pub(crate) const USER_REPORTED_EVENTS: Family<2> = Family {
        name: "cloudflare_zt_risk_user_reported_events",
        kind: Kind::Gauge,
        help: "The user's event count as Cloudflare reports it; only for the users most at risk.",
        labels: ["account", "user"],
    };

    /// `max_risk_level` of one of the users most at risk.
    pub(crate) const USER_MAX_RISK_LEVEL: Family<2> = Family {
        name: "cloudflare_zt_risk_user_max_risk_level",
        kind: Kind::Gauge,
        help: "The user's highest risk level: 0 unknown, 1 low, 2 medium, 3 high.",
        labels: ["account", "user"],
    };

    /// Since when the user has had that level.
    pub(crate) const USER_SINCE: Family<2> = Family {
        name: "cloudflare_zt_risk_user_since_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when the user has had that level, as far as observed.",
        labels: ["account", "user"],
    };

    /// `last_event` of one of the users most at risk.
    pub(crate) const USER_LAST_EVENT: Family<2> = Family {
        name: "cloudflare_zt_risk_user_last_event_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the user's latest risk event happened.",
        labels: ["account", "user"],
    };

    /// When the user was last reset.
    pub(crate) const USER_LAST_RESET: Family<2> = Family {
        name: "cloudflare_zt_risk_user_last_reset_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the user was last reset; absent if no reset is known.",
        labels: ["account", "user"],
    };

    /// Who the user is, only with the identity policy `email`.
    pub(crate) const USER_INFO: Family<4> = Family {
        name: "cloudflare_zt_risk_user_info",
        kind: Kind::Gauge,
        help: "Always 1; who the user is. Only where the configuration asks for e-mail addresses.",
        labels: ["account", "user", "email", "name"],
    };

    /// Users without series of their own.
    pub(crate) const USERS_OMITTED: Family<1> = Family {
        name: "cloudflare_zt_risk_users_omitted",
        kind: Kind::Gauge,
        help: "Users on the risk list that have no series of their own, for the limit or because users are not named.",
        labels: ["account"],
    };

    /// Whether a behavior is looked for.
    pub(crate) const BEHAVIOR_ENABLED: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_enabled",
        kind: Kind::Gauge,
        help: "1 if the behavior is enabled, 0 if not.",
        labels: ["account", "behavior"],
    };

    /// The level a user gets by a behavior.
    pub(crate) const BEHAVIOR_RISK_LEVEL: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_risk_level",
        kind: Kind::Gauge,
        help: "The level that the behavior gives a user: 0 unknown, 1 low, 2 medium, 3 high.",
        labels: ["account", "behavior"],
    };

    /// A behavior's display name.
    pub(crate) const BEHAVIOR_INFO: Family<3> = Family {
        name: "cloudflare_zt_risk_behavior_info",
        kind: Kind::Gauge,
        help: "Always 1; the behavior's display name.",
        labels: ["account", "behavior", "name"],
    };

    /// Whether an integration is told of changes.
    pub(crate) const INTEGRATION_ACTIVE: Family<3> = Family {
        name: "cloudflare_zt_risk_integration_active",
        kind: Kind::Gauge,
        help: "1 if changes of risk are exported to the integration, 0 if not.",
        labels: ["account", "integration", "integration_type"],
    };

    /// What an integration is.
    pub(crate) const INTEGRATION_INFO: Family<4> = Family {
        name: "cloudflare_zt_risk_integration_info",
        kind: Kind::Gauge,
        help: "Always 1; the integration's reference id and the tenant that it sends to.",
        labels: ["account", "integration", "reference_id", "tenant_url"],
    };
}
