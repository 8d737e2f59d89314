"""Overview: who is at risk, what is new, and whether the numbers can be trusted."""

from typing import Any

from .kit import (
    BAD,
    GOOD,
    HOUR,
    LEVELS,
    NOTICE,
    PLAIN,
    age,
    bars,
    in_range,
    leading,
    lines,
    now,
    once,
    over_time,
    per_bar,
    ranking,
    risk,
    steps,
    tile,
    total,
)
from .shared import (
    CALM,
    HIGH,
    behaviors,
    by_level,
    data_age,
    events_by_behavior,
    frame,
    high_now,
    integrations,
    longest_high,
    resets,
)

RISES = steps((None, PLAIN), (1, NOTICE), (10, BAD))


def _high(when: str = "") -> str:
    return total(risk("users", HIGH, when))


def _against(days: int, title: str, then: str) -> Any:
    text = f"How many more users are at high risk than {then} at this time. Orange if more, red from ten on."
    return tile(title, text, now(f"{_high()} - {_high(f' offset {days}d')}"), "short", RISES, no_value="not known")


def _new() -> Any:
    text = "How often a user rose to high risk during the selected time, from another level or from none."
    expr = in_range("level_changes_total", "from", matching='to="high"')
    return tile("New at high risk", text, now(expr), "short", RISES)


def _events() -> Any:
    text = "Distinct risk events during the selected time."
    return tile("Risk events", text, now(in_range("events_total", "behavior", "risk_level")), "short", CALM)


def _freshness() -> Any:
    text = (
        "How long ago each part was last read whole. Behaviors and integrations are read every five minutes by"
        " default; single users when something about them changed, or for the audit."
    )
    ages = age(once(risk("last_success_timestamp_seconds"), "endpoint"))
    thresholds = steps((None, GOOD), (900, NOTICE), (HOUR, BAD))
    return ranking("How fresh the data is", text, now(ages, "{{account}} {{endpoint}}"), "s", thresholds)


def dashboard() -> Any:
    """The dashboard that is read in ten seconds."""
    panels = [
        high_now(),
        _against(1, "Since yesterday", "yesterday"),
        _against(7, "Since last week", "a week ago"),
        _new(),
        resets(),
        longest_high(),
        _events(),
        data_age(),
        lines(
            "Users at risk, by level",
            "Users on the risk list, by their highest level. High risk lies at the bottom.",
            by_level(total(risk("users", 'max_risk_level="LEVEL"'))),
            "short",
            colors=LEVELS,
            stacked=True,
            calcs=("lastNotNull", "min", "max"),
            decimals=0,
        ),
        lines(
            "High-risk users against yesterday and last week",
            "The same hours now, a day earlier and a week earlier. Not from zero, so that small moves show.",
            [
                over_time(_high(), "now"),
                over_time(_high(" offset 1d"), "yesterday"),
                over_time(_high(" offset 7d"), "last week"),
            ],
            "short",
            colors={"now": LEVELS["high"], "yesterday": "blue", "last week": LEVELS["unknown"]},
            calcs=("lastNotNull", "min", "max"),
            minimum=None,
            decimals=0,
        ),
        events_by_behavior(12),
        bars(
            "Risk events by level",
            "The same events, by the level that each had when it was first seen.",
            by_level(per_bar("events_total", "behavior", matching='risk_level="LEVEL"')),
            colors=LEVELS,
            width=6,
        ),
        bars(
            "New at high risk, and resets",
            "Above the line: users who rose to high risk. Below: users who were reset. Below should keep pace.",
            [
                over_time(per_bar("level_changes_total", "from", matching='to="high"'), "new at high risk"),
                over_time(per_bar("resets_total"), "reset"),
            ],
            colors={"new at high risk": LEVELS["high"], "reset": GOOD},
            below=["reset"],
            width=6,
        ),
        leading(behaviors(12, 9), "zt-risk-behaviors", "More about behaviors"),
        leading(integrations(6, 9), "zt-risk-behaviors", "More about integrations"),
        _freshness(),
    ]
    text = "Who is at risk, what is new, and whether the numbers can be trusted. Readable in ten seconds."
    return frame("zt-risk-overview", "Overview", text, panels)
