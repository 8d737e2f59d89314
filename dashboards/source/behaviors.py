"""Behaviors and integrations: what is looked for, what it finds, and who is told."""

from typing import Any

from .kit import (
    BAD,
    GOOD,
    LEVELS,
    NOTICE,
    bars,
    grid,
    in_range,
    lines,
    now,
    once,
    or_zero,
    over_time,
    per_bar,
    quantile,
    risk,
    rows,
    shown,
    steps,
    tile,
)
from .shared import ANY_IS_BAD, ANY_IS_NOTED, CALM, LEVEL, NONE, behaviors, events_by_behavior, frame, integrations

DELAYS = steps((None, GOOD), (300, NOTICE), (3_600, BAD))

_RISEN = once(f"increase({risk('events_total', when='[$__range]')})", "behavior", "risk_level")
SILENT = (
    f"{once(risk('behavior_enabled'), 'behavior')} == 1 unless on (account, behavior)"
    f" (sum by (account, behavior) ({_RISEN}) > 0)"
)


def _changes(metric: str, *labels: str) -> str:
    return f"sum({once(f'changes({risk(metric)}[$__range])', *labels)})"


def _silent() -> Any:
    text = (
        "Behaviors that are enabled and found nothing during the selected time. Over a day that is common, over a"
        " month perhaps what they need (a DLP profile, a device posture check) is not there."
    )
    silent = f"({SILENT})"
    level = f"{once(risk('behavior_risk_level'), 'behavior')} and on (account, behavior) {silent}"
    name = f"{once(risk('behavior_info'), 'behavior', 'name')} and on (account, behavior) {silent}"
    columns = {"name": "Behavior", "account": "Account", "Value #A": "Level"}
    styles = {"Account": shown(90), "Level": shown(90, LEVEL)}
    queries = [rows(level), rows(name)]
    return grid("Enabled but silent", text, queries, columns, width=8, height=9, styles=styles)


def _delay() -> Any:
    text = (
        "From an event's own time to when it was first seen here: Cloudflare's delay, and the wait for a reading"
        " of the user, over one hour before each moment."
    )
    queries = [
        over_time(quantile(q, "event_observation_delay_seconds", "1h", "account"), "{{account}}, " + words)
        for q, words in ((0.5, "half of the events"), (0.95, "19 of 20"))
    ]
    return lines("Delay from event to observation", text, queries, "s", width=8, height=9)


def _states() -> Any:
    text = "Enabled behaviors at each level, and those that are disabled, over time."
    enabled, level = once(risk("behavior_enabled"), "behavior"), once(risk("behavior_risk_level"), "behavior")
    queries = [
        over_time(or_zero(f"count(({enabled} == 1) and ({level} == {value}))"), name)
        for value, name in ((3, "high"), (2, "medium"), (1, "low"))
    ]
    queries.append(over_time(or_zero(f"count({enabled} == 0)"), "disabled"))
    colors = {**LEVELS, "disabled": LEVELS["unknown"]}
    del colors["unknown"]
    return lines(
        "Behaviors by state",
        text,
        queries,
        "short",
        width=8,
        height=9,
        colors=colors,
        calcs=("lastNotNull",),
        decimals=0,
    )


def dashboard() -> Any:
    """The dashboard of those who configure."""
    enabled = once(risk("behavior_enabled"), "behavior")
    active = once(risk("integration_active"), "integration")
    changes = f"{_changes('behavior_enabled', 'behavior')} + {_changes('behavior_risk_level', 'behavior')}"
    panels = [
        tile("Behaviors enabled", "Behaviors that are looked for.", now(f"sum({enabled})"), "short", CALM),
        tile("Disabled", "Behaviors that are not looked for.", now(f"sum(1 - {enabled})"), "short", CALM, width=2),
        tile(
            "Enabled but silent",
            "Behaviors that are enabled and found nothing during the selected time.",
            now(or_zero(f"count({SILENT})")),
            "short",
            ANY_IS_NOTED,
            mappings=NONE,
        ),
        tile(
            "Changes",
            "How often a behavior was switched or given another level during the selected time.",
            now(changes),
            "short",
            ANY_IS_NOTED,
            mappings=NONE,
            width=2,
        ),
        tile(
            "Integrations active",
            "Receivers that are told of changes of risk.",
            now(f"sum({active})"),
            "short",
            CALM,
            no_value="none",
            width=4,
        ),
        tile(
            "Integrations inactive",
            "Receivers that are told nothing.",
            now(f"sum(1 - {active})"),
            "short",
            ANY_IS_BAD,
            mappings=NONE,
            no_value="none",
            width=4,
        ),
        tile(
            "Median delay",
            "Half of the events during the selected time were seen faster than this after they happened.",
            now(quantile(0.5, "event_observation_delay_seconds", "$__range")),
            "s",
            DELAYS,
            no_value="no events",
        ),
        tile(
            "Not attributed",
            "Events during the selected time that are known from Cloudflare's counts, but could not be found. An"
            " estimate.",
            now(in_range("events_unattributed_total", "reason")),
            "short",
            ANY_IS_NOTED,
            mappings=NONE,
        ),
        events_by_behavior(12),
        bars(
            "Users hit, by behavior",
            "Users for whom it was the first event of the behavior since their last reset. Many users at once and one"
            " behavior: a campaign. Many events and few users: a noisy device or rule.",
            [over_time(per_bar("behavior_users_total", "behavior", by="behavior"), "{{behavior}}")],
        ),
        behaviors(14, 11),
        integrations(10, 11),
        _silent(),
        _states(),
        _delay(),
    ]
    text = "What is looked for, what it finds, how soon it is seen, and who is told."
    return frame("zt-risk-behaviors", "Behaviors and integrations", text, panels)
