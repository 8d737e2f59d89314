//! Every metric about Cloudflare: the only place for its name, type, help and labels.
//!
//! Golden files, documentation, dashboards and alerts are checked against [`ALL`]. `metrics::snapshot_samples` fills the
//! families.

use super::families;
use crate::metrics::family::{Family, Kind};

/// The metric that `backfill` writes to its file; it is never on `/metrics`. It has a name of its own, so that no rate, rule
/// or alert about [`EVENTS`] mistakes past events for new ones. It has `job` and `instance` like a scraped series.
pub(crate) const BACKFILL_EVENTS: Family<5> = Family {
    name: "cloudflare_zt_risk_backfill_events_total",
    kind: Kind::Counter,
    help: "Past risk events that were still listed, by behavior and by the event's own level.",
    labels: ["account", "behavior", "risk_level", "job", "instance"],
};

families! {
    /// Every family in this file, in the order of `/metrics`.
    ALL

    pub(crate) const ACCOUNT_INFO: Family<2> = Family {
        name: "cloudflare_zt_risk_account_info",
        kind: Kind::Gauge,
        help: "Always 1; account_id is Cloudflare's id of the account.",
        labels: ["account", "account_id"],
    };

    pub(crate) const UP: Family<1> = Family {
        name: "cloudflare_zt_risk_up",
        kind: Kind::Gauge,
        help: "1 if the list of users at risk was last read completely and is not overdue, 0 if not.",
        labels: ["account"],
    };

    pub(crate) const LAST_SUCCESS: Family<2> = Family {
        name: "cloudflare_zt_risk_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the resource was last read completely.",
        labels: ["account", "resource"],
    };

    /// Belongs to the exporter by its prefix, but is filled from the snapshots.
    pub(crate) const REJECTED_ROWS: Family<2> = Family {
        name: "zt_risk_exporter_rejected_rows_total",
        kind: Kind::Counter,
        help: "Rows of Cloudflare's answers that were left out because they could not be read, since the exporter started.",
        labels: ["account", "resource"],
    };

    /// Belongs to the exporter by its prefix, but is filled from the snapshots.
    pub(crate) const UNEXPECTED_FIELDS: Family<3> = Family {
        name: "zt_risk_exporter_unexpected_fields_total",
        kind: Kind::Counter,
        help: "Fields in Cloudflare's answers that did not have their documented form, since the exporter started.",
        labels: ["account", "resource", "field"],
    };

    pub(crate) const USERS: Family<2> = Family {
        name: "cloudflare_zt_risk_users",
        kind: Kind::Gauge,
        help: "Users on the risk list, by highest risk level, as last read.",
        labels: ["account", "max_risk_level"],
    };

    /// Not `..._event_count`, because promtool forbids `_count` at the end of a gauge's name.
    pub(crate) const REPORTED_EVENTS: Family<2> = Family {
        name: "cloudflare_zt_risk_reported_events",
        kind: Kind::Gauge,
        help: "Sum of the users' event counts as Cloudflare reports them, by the users' highest risk level.",
        labels: ["account", "max_risk_level"],
    };

    pub(crate) const OLDEST_USER: Family<2> = Family {
        name: "cloudflare_zt_risk_oldest_user_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the user who has been at this level longest reached it; absent if no user is at this level.",
        labels: ["account", "max_risk_level"],
    };

    pub(crate) const COUNTING_SINCE: Family<1> = Family {
        name: "cloudflare_zt_risk_counting_since_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when events are counted; earlier events are not counted.",
        labels: ["account"],
    };

    pub(crate) const EVENTS: Family<3> = Family {
        name: "cloudflare_zt_risk_events_total",
        kind: Kind::Counter,
        help: "Distinct risk events, each counted once, by behavior and by the event's own level.",
        labels: ["account", "behavior", "risk_level"],
    };

    pub(crate) const BEHAVIOR_USERS: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_users_total",
        kind: Kind::Counter,
        help: "Users with a counted event that was their first of that behavior since their last reset.",
        labels: ["account", "behavior"],
    };

    pub(crate) const LEVEL_CHANGES: Family<3> = Family {
        name: "cloudflare_zt_risk_level_changes_total",
        kind: Kind::Counter,
        help: "Observed changes of users between levels; none means not on the risk list.",
        labels: ["account", "from", "to"],
    };

    pub(crate) const RESETS: Family<1> = Family {
        name: "cloudflare_zt_risk_resets_total",
        kind: Kind::Counter,
        help: "Observed resets of users, each counted once.",
        labels: ["account"],
    };

    pub(crate) const TIME_TO_RESET: Family<2> = Family {
        name: "cloudflare_zt_risk_time_to_reset_seconds",
        kind: Kind::Histogram,
        help: "Time from reaching the level to the reset; users who were on the list before counting began are left out.",
        labels: ["account", "max_risk_level"],
    };

    pub(crate) const EVENTS_UNATTRIBUTED: Family<2> = Family {
        name: "cloudflare_zt_risk_events_unattributed_total",
        kind: Kind::Counter,
        help: "Estimate of the events that Cloudflare's counts include but that could not be read, by reason.",
        labels: ["account", "reason"],
    };

    pub(crate) const EVENT_OBSERVATION_DELAY: Family<1> = Family {
        name: "cloudflare_zt_risk_event_observation_delay_seconds",
        kind: Kind::Histogram,
        help: "Time from an event's timestamp to when the exporter first read it.",
        labels: ["account"],
    };

    pub(crate) const PENDING_USERS: Family<1> = Family {
        name: "cloudflare_zt_risk_pending_users",
        kind: Kind::Gauge,
        help: "Users whose new events have not been read yet.",
        labels: ["account"],
    };

    pub(crate) const OLDEST_PENDING: Family<1> = Family {
        name: "cloudflare_zt_risk_oldest_pending_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the longest-waiting pending user began to wait; absent if no user waits.",
        labels: ["account"],
    };

    pub(crate) const DEPARTED_USERS_SKIPPED: Family<1> = Family {
        name: "cloudflare_zt_risk_departed_users_skipped_total",
        kind: Kind::Counter,
        help: "Users who left the list and were not read once more, because too many users left at once.",
        labels: ["account"],
    };

    pub(crate) const USER_REPORTED_EVENTS: Family<2> = Family {
        name: "cloudflare_zt_risk_user_reported_events",
        kind: Kind::Gauge,
        help: "The user's event count as Cloudflare reports it; only for the users most at risk.",
        labels: ["account", "user"],
    };

    pub(crate) const USER_MAX_RISK_LEVEL: Family<2> = Family {
        name: "cloudflare_zt_risk_user_max_risk_level",
        kind: Kind::Gauge,
        help: "The user's highest risk level: 0 unknown, 1 low, 2 medium, 3 high.",
        labels: ["account", "user"],
    };

    pub(crate) const USER_SINCE: Family<2> = Family {
        name: "cloudflare_zt_risk_user_since_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Since when the user has had that level, as far as observed.",
        labels: ["account", "user"],
    };

    pub(crate) const USER_LAST_EVENT: Family<2> = Family {
        name: "cloudflare_zt_risk_user_last_event_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the user's latest risk event happened.",
        labels: ["account", "user"],
    };

    pub(crate) const USER_LAST_RESET: Family<2> = Family {
        name: "cloudflare_zt_risk_user_last_reset_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the user was last reset; absent if no reset is known.",
        labels: ["account", "user"],
    };

    pub(crate) const USER_INFO: Family<4> = Family {
        name: "cloudflare_zt_risk_user_info",
        kind: Kind::Gauge,
        help: "Always 1; the user's e-mail address and name. Only if users.identity is email.",
        labels: ["account", "user", "email", "name"],
    };

    pub(crate) const USERS_OMITTED: Family<1> = Family {
        name: "cloudflare_zt_risk_users_omitted",
        kind: Kind::Gauge,
        help: "Users on the risk list without series of their own, because of users.limit or because users.identity is none.",
        labels: ["account"],
    };

    pub(crate) const BEHAVIOR_ENABLED: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_enabled",
        kind: Kind::Gauge,
        help: "1 if the behavior is enabled, 0 if not.",
        labels: ["account", "behavior"],
    };

    pub(crate) const BEHAVIOR_RISK_LEVEL: Family<2> = Family {
        name: "cloudflare_zt_risk_behavior_risk_level",
        kind: Kind::Gauge,
        help: "The level that the behavior gives a user: 0 unknown, 1 low, 2 medium, 3 high.",
        labels: ["account", "behavior"],
    };

    pub(crate) const BEHAVIOR_INFO: Family<3> = Family {
        name: "cloudflare_zt_risk_behavior_info",
        kind: Kind::Gauge,
        help: "Always 1; the behavior's display name.",
        labels: ["account", "behavior", "name"],
    };

    pub(crate) const BEHAVIOR_DRIFTED: Family<3> = Family {
        name: "cloudflare_zt_risk_behavior_drifted",
        kind: Kind::Gauge,
        help: "1 if the behavior differs from the account's baseline in this setting, 0 if not. Only for behaviors that the baseline has.",
        labels: ["account", "behavior", "setting"],
    };

    pub(crate) const BEHAVIORS_UNDECLARED: Family<1> = Family {
        name: "cloudflare_zt_risk_behaviors_undeclared",
        kind: Kind::Gauge,
        help: "Behaviors that the account's baseline does not have.",
        labels: ["account"],
    };

    pub(crate) const INTEGRATION_ACTIVE: Family<3> = Family {
        name: "cloudflare_zt_risk_integration_active",
        kind: Kind::Gauge,
        help: "1 if Cloudflare sends risk changes to the integration, 0 if not.",
        labels: ["account", "integration", "integration_type"],
    };

    pub(crate) const INTEGRATION_INFO: Family<4> = Family {
        name: "cloudflare_zt_risk_integration_info",
        kind: Kind::Gauge,
        help: "Always 1; the integration's reference id and the address of its tenant.",
        labels: ["account", "integration", "reference_id", "tenant_url"],
    };
}
