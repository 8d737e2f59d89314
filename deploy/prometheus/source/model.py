"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass

CRITICAL = "critical"  # wakes somebody
WARNING = "warning"  # is looked at within the working day


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """An alert. In `summary` and `description` `$value` is the value of `expr`."""

    name: str
    severity: str
    expr: str
    wait: str  # `for`
    summary: str
    description: str
    fires: str  # "fires when" in docs/alerts.md
