"""Behaviors and integrations: their configuration, the events found, and the integrations that receive risk changes."""

from typing import Any

from .kit import (
    BAD,
    COUNT,
    GOOD,
    LEVELS,
    NOTICE,
    bar_panel,
    by_name,
    changes,
    column,
    deduplicated,
    increase_in_range,
    increase_per_bar,
    instant_query,
    line_panel,
    or_zero,
    quantile,
    range_query,
    risk_metric,
    stat_panel,
    steps,
    table_panel,
    table_query,
)
from .shared import (
    LEVEL_TEXTS,
    NO_THRESHOLDS,
    NONE_TEXT,
    ORANGE_FROM_1,
    behaviors,
    events_by_behavior,
    frame,
    integrations,
)

DELAYS = steps((None, GOOD), (300, NOTICE), (3_600, BAD))

_INCREASE = deduplicated(f"increase({risk_metric('events_total', when='[$__range]')})", "behavior", "risk_level")
SILENT = (
    f"{deduplicated(risk_metric('behavior_enabled'), 'behavior')} == 1 unless on (account, behavior)"
    f" (sum by (account, behavior) ({_INCREASE}) > 0)"
)


def _drift() -> Any:
    text = (
        "The settings of behaviors that differ from behaviors.baseline, and declared behaviors that no longer exist."
        " Without a baseline, nothing differs."
    )
    drifted = f"{deduplicated(risk_metric('behavior_drifted'), 'behavior', 'setting')} == 1"
    name = f"{deduplicated(risk_metric('behavior_info'), 'behavior', 'name')} and on (account, behavior) ({drifted})"
    columns = {"name": "Behavior", "behavior": "Id", "account": "Account", "setting": "Setting"}
    styles = {"Id": column(150), "Account": column(140), "Setting": column(110)}
    queries = [table_query(drifted), table_query(name)]
    return table_panel("Differences from the baseline", text, queries, columns, height=8, styles=styles)


def _silent() -> Any:
    text = (
        "Enabled behaviors without an event during the selected time. This is common over a day. Over a month, a"
        " prerequisite may be missing, such as a DLP profile or a device posture check."
    )
    silent = f"({SILENT})"
    level = f"{deduplicated(risk_metric('behavior_risk_level'), 'behavior')} and on (account, behavior) {silent}"
    name = f"{deduplicated(risk_metric('behavior_info'), 'behavior', 'name')} and on (account, behavior) {silent}"
    columns = {"name": "Behavior", "account": "Account", "Value #A": "Level"}
    styles = {"Account": column(140), "Level": column(90, LEVEL_TEXTS)}
    queries = [table_query(level), table_query(name)]
    return table_panel("Behaviors without events", text, queries, columns, height=8, styles=styles)


def _delay() -> Any:
    text = (
        "The time from an event of any account until the exporter first saw it: Cloudflare's own delay, and the time"
        " until the exporter read the user. Each point covers the hour before it."
    )
    queries = [
        range_query(quantile(q, "event_observation_delay_seconds", "1h"), name)
        for q, name in ((0.5, "median"), (0.95, "p95"))
    ]
    return line_panel("Delay from event to observation", text, queries, "s")


def _states() -> Any:
    text = "The number of enabled behaviors at each level, and of disabled behaviors."
    enabled = deduplicated(risk_metric("behavior_enabled"), "behavior")
    level = deduplicated(risk_metric("behavior_risk_level"), "behavior")
    queries = [
        range_query(or_zero(f"count(({enabled} == 1) and ({level} == {value}))"), name)
        for value, name in ((3, "high"), (2, "medium"), (1, "low"))
    ]
    queries.append(range_query(or_zero(f"count({enabled} == 0)"), "disabled"))
    colors = {**LEVELS, "disabled": LEVELS["unknown"]}
    del colors["unknown"]
    return line_panel(
        "Behaviors by state",
        text,
        queries,
        COUNT,
        colors=colors,
        calcs=("lastNotNull",),
        decimals=0,
    )


def dashboard() -> Any:
    """The dashboard for administrators of the risk configuration."""
    enabled = deduplicated(risk_metric("behavior_enabled"), "behavior")
    active = deduplicated(risk_metric("integration_active"), "integration")
    changed = f"sum({changes('behavior_enabled', 'behavior')}) + sum({changes('behavior_risk_level', 'behavior')})"
    first_events = increase_per_bar("behavior_users_total", "behavior", by="account, behavior")
    panels = [
        stat_panel(
            "Behaviors enabled",
            "Behaviors that Cloudflare looks for.",
            instant_query(f"sum({enabled})"),
            COUNT,
            NO_THRESHOLDS,
        ),
        stat_panel(
            "Disabled",
            "Behaviors that Cloudflare does not look for.",
            instant_query(f"sum(1 - {enabled})"),
            COUNT,
            NO_THRESHOLDS,
        ),
        stat_panel(
            "Enabled, without events",
            "Enabled behaviors without an event during the selected time.",
            instant_query(or_zero(f"count({SILENT})")),
            COUNT,
            NO_THRESHOLDS,
            mappings=NONE_TEXT,
        ),
        stat_panel(
            "Changes",
            "How often a behavior was enabled, disabled or given another level during the selected time.",
            instant_query(changed),
            COUNT,
            ORANGE_FROM_1,
            mappings=NONE_TEXT,
        ),
        stat_panel(
            "Integrations active",
            "Integrations that receive risk changes.",
            instant_query(f"sum({active})"),
            COUNT,
            NO_THRESHOLDS,
            no_value="none",
        ),
        stat_panel(
            "Integrations inactive",
            "Integrations that do not receive risk changes.",
            instant_query(f"sum(1 - {active})"),
            COUNT,
            ORANGE_FROM_1,
            mappings=NONE_TEXT,
            no_value="none",
        ),
        stat_panel(
            "Median delay",
            "The median time from an event until the exporter saw it, for events during the selected time.",
            instant_query(quantile(0.5, "event_observation_delay_seconds", "$__range")),
            "s",
            DELAYS,
            no_value="no events",
        ),
        stat_panel(
            "Not attributed",
            "Events during the selected time that appear in Cloudflare's counts but could not be found. This is an"
            " estimate.",
            instant_query(increase_in_range("events_unattributed_total", "reason")),
            COUNT,
            ORANGE_FROM_1,
            mappings=NONE_TEXT,
        ),
        events_by_behavior(12),
        bar_panel(
            "Users with a first event, by behavior",
            "Users with their first event of the behavior since their last reset. Many users at once with one behavior"
            " are probably a campaign. Many events of few users are probably a noisy device or rule.",
            [range_query(by_name(first_events, "behavior", "behavior_info"), "{{name}}")],
        ),
        behaviors(24, 11),
        integrations(12, 8),
        _drift(),
        _silent(),
        _states(),
        _delay(),
    ]
    text = (
        "Behaviors and their events, the delay until events are seen, and the integrations that receive risk changes."
    )
    return frame("zt-risk-behaviors", "Behaviors and integrations", text, panels)
