"""Overview: users at risk, recent changes, and the age of the data."""

from typing import Any

from .accounts import at_risk, freshness
from .kit import (
    COUNT,
    GOOD,
    LEVELS,
    bar_panel,
    increase_in_range,
    increase_per_bar,
    instant_query,
    line_panel,
    range_query,
    risk_metric,
    stat_panel,
    total,
    with_link,
)
from .shared import (
    HIGH,
    NO_THRESHOLDS,
    accounts,
    accounts_failing,
    against_usual,
    behaviors,
    by_level,
    data_age,
    events_by_behavior,
    frame,
    high_now,
    integrations,
    longest_high,
    resets,
    users_on_list,
)


def _high(when: str = "") -> str:
    return total(risk_metric("users", HIGH, when))


def _against(days: int, title: str, then: str) -> Any:
    text = f"The difference to the number of users at high risk {then} at this time."
    query = instant_query(f"{_high()} - {_high(f' offset {days}d')}")
    return stat_panel(title, text, query, COUNT, NO_THRESHOLDS)


def _new() -> Any:
    text = "How often a user reached high risk during the selected time, from another level or from no level."
    expr = increase_in_range("level_changes_total", "from", matching='to="high"')
    return stat_panel("New at high risk", text, instant_query(expr), COUNT, NO_THRESHOLDS)


def _events() -> Any:
    text = "Distinct risk events during the selected time."
    return stat_panel(
        "Risk events",
        text,
        instant_query(increase_in_range("events_total", "behavior", "risk_level")),
        COUNT,
        NO_THRESHOLDS,
    )


def dashboard() -> Any:
    """The dashboard for a quick look."""
    panels = [
        high_now(),
        against_usual(),
        _against(1, "Since yesterday", "yesterday"),
        _against(7, "Since last week", "a week earlier"),
        _new(),
        resets(),
        longest_high(),
        _events(),
        users_on_list(),
        accounts(),
        accounts_failing(),
        data_age(),
        at_risk(),
        line_panel(
            "Users at risk, by level",
            "Users on the risk list, by their highest level. High risk is at the bottom.",
            by_level(total(risk_metric("users", 'max_risk_level="LEVEL"'))),
            COUNT,
            colors=LEVELS,
            stacked=True,
            calcs=("min", "max"),
            decimals=0,
        ),
        line_panel(
            "High-risk users compared with yesterday and last week",
            "The selected time, a day earlier and a week earlier. The axis does not start at zero, so that small"
            " changes are visible.",
            [
                range_query(_high(), "now"),
                range_query(_high(" offset 1d"), "yesterday"),
                range_query(_high(" offset 7d"), "last week"),
            ],
            COUNT,
            colors={"now": LEVELS["high"], "yesterday": "blue", "last week": LEVELS["unknown"]},
            calcs=("min", "max"),
            minimum=None,
            decimals=0,
        ),
        events_by_behavior(12),
        bar_panel(
            "Risk events by level",
            "The same events, by the level of each event when the exporter first saw it.",
            by_level(increase_per_bar("events_total", "behavior", matching='risk_level="LEVEL"')),
            colors=LEVELS,
            width=6,
        ),
        bar_panel(
            "New at high risk, and resets",
            "Above zero: users who reached high risk. Below zero: users who were reset. Both should be about equal.",
            [
                range_query(increase_per_bar("level_changes_total", "from", matching='to="high"'), "new at high risk"),
                range_query(increase_per_bar("resets_total"), "reset"),
            ],
            colors={"new at high risk": LEVELS["high"], "reset": GOOD},
            below=["reset"],
            width=6,
        ),
        with_link(behaviors(24, 9), "zt-risk-behaviors", "More about behaviors"),
        with_link(integrations(12, 9), "zt-risk-behaviors", "More about integrations"),
        freshness(12),
    ]
    text = "Users at risk, recent changes, and the age of the data, for a quick look."
    return frame("zt-risk-overview", "Overview", text, panels)
