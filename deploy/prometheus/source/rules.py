"""All rules, built from the settings.

Principles of all rules:

- The exporter restarts, and its pods change their names. So values that are compared over time are recorded by job and
  account, over all instances. They use `max`, because two exporters that watch the same account show the same values.
- A missing series must not fire an alert by itself, and must not keep an alert from firing. So conditions that suppress
  an alert use `unless`, which allows their series to be missing.
- Rules use the functions of promql.py for increases and changes. An increase handles restarts: when a counter falls, it
  restarted at 0. The exporter exposes its counters with 0 before it counts anything, so that Prometheus sees the first
  events too. Comments name the exceptions.
"""

from __future__ import annotations

import re
from dataclasses import replace
from textwrap import dedent

from alerts_cloudflare import risk_alerts, settings_alerts
from alerts_exporter import reading_alerts, state_alerts
from model import Alert, Inhibition
from recordings import recordings
from settings import Settings

__all__ = ["INHIBITIONS", "alerts", "keeping", "recordings"]

# Alerts whose cause another alert already reports, as in alertmanager.yml. No warning mutes a critical alert.
INHIBITIONS = [
    # Nearly all accounts of a job fail for one cause.
    Inhibition(
        "ZtRiskExporterAllAccountsFailing",
        (
            "ZtRiskExporterUserListStale",
            "ZtRiskExporterSettingsStale",
            "ZtRiskExporterTokenRefused",
            "ZtRiskExporterPermissionMissing",
            "ZtRiskExporterRateLimited",
            "ZtRiskExporterUsersPending",
        ),
        ("job",),
    ),
    # With refused credentials nothing can be read, so the other alerts are consequences.
    Inhibition(
        "ZtRiskExporterTokenRefused",
        ("ZtRiskExporterUserListStale", "ZtRiskExporterSettingsStale", "ZtRiskExporterUsersPending"),
        ("job", "instance", "account"),
    ),
    Inhibition(
        "ZtRiskExporterPermissionMissing",
        ("ZtRiskExporterSettingsStale",),
        ("job", "instance", "account", "resource"),
    ),
    Inhibition(
        "ZtRiskExporterRateLimited",
        ("ZtRiskExporterSettingsStale", "ZtRiskExporterUsersPending"),
        ("job", "instance", "account"),
    ),
    # Rows that cannot be read have unexpected fields.
    Inhibition("ZtRiskExporterRowsRejected", ("ZtRiskExporterUnexpectedFields",), ("job", "account", "resource")),
    # Two alerts about the same rise.
    Inhibition("ZeroTrustHighRiskUsersRising", ("ZeroTrustHighRiskUsersUnusual",), ("job", "account")),
]


def alerts(s: Settings) -> list[Alert]:
    """Alerts about users first, then about settings at Cloudflare, then about the exporter."""
    found = [*risk_alerts(s), *settings_alerts(s), *reading_alerts(s), *state_alerts(s)]
    return [
        replace(
            alert,
            expr=dedent(alert.expr).strip(),
            summary=on_one_line(alert.summary),
            description=on_one_line(f"{alert.description} Run: {alert.command}"),
            fires_when=on_one_line(alert.fires_when),
        )
        for alert in found
    ]


def keeping(labels: tuple[str, ...], expr: str) -> str:
    """The expression, keeping these labels of the target where it groups and matches.

    Every list of labels begins with `job`.
    """
    return re.sub(r"\b(by|on) \(job\b", rf"\1 ({', '.join(('job', *labels))}", expr)


def on_one_line(text: str) -> str:
    return " ".join(text.split())
