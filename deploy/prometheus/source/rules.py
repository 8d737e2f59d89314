"""All rules, made from settings.

What holds for all of them:

- The exporter is polled and is restarted; its pods change their names. So what is compared over time is recorded by job
  and account, over all instances: by `max`, because two exporters that watch the same account show the same twice.
- A series that is missing must not make an alert by itself, and must not keep one from firing. So conditions that
  quiet an alert are written with `unless`: what they ask for may be missing.
- `increase` knows restarts: a counter that falls began anew at 0. The exporter's counters are there with 0 before
  anything is counted, so that the first events are seen too. Exceptions say so.
"""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

from alerts_cloudflare import risk_alerts, settings_alerts
from alerts_exporter import reading_alerts, state_alerts
from model import Alert
from recordings import recordings
from settings import Settings

__all__ = ["alerts", "recordings"]


def alerts(s: Settings) -> list[Alert]:
    """First what concerns users, then settings at Cloudflare, then the exporter."""
    found = [*risk_alerts(s), *settings_alerts(s), *reading_alerts(s), *state_alerts(s)]
    return [
        replace(
            alert,
            expr=dedent(alert.expr).strip(),
            summary=on_one_line(alert.summary),
            description=on_one_line(alert.description),
            fires=on_one_line(alert.fires),
        )
        for alert in found
    ]


def on_one_line(text: str) -> str:
    return " ".join(text.split())
