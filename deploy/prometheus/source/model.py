"""The two kinds of rules."""

from __future__ import annotations

from dataclasses import dataclass

CRITICAL = "critical"  # notifies the person on call at any hour
WARNING = "warning"  # somebody looks at it within the working day


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """An alert. In `summary` and `description`, `$value` is the value of `expr`."""

    name: str
    severity: str
    expr: str
    for_duration: str  # `for` in the rule file
    summary: str
    description: str
    fires_when: str  # for the table in docs/alerts.md
