"""Checks that one cause notifies once: what Alertmanager routes and inhibits, and what Grafana does not fire."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import yaml

import make_rules
from cases_shared import inhibited_cases
from engines import promtool
from model import CRITICAL
from mutants import current
from rules import INHIBITIONS, alerts, recordings
from settings import Settings

ALERTMANAGER = Path(__file__).resolve().parents[2] / "deploy/alertmanager"


def alertmanager_inhibits_what_the_rules_declare() -> None:
    configuration = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text(encoding="utf-8"))
    declared = [
        {
            "source_matchers": [f'alertname="{one.source}"'],
            "target_matchers": [f'alertname=~"{"|".join(one.targets)}"'],
            "equal": list(one.equal),
        }
        for one in INHIBITIONS
    ]
    assert configuration["inhibit_rules"] == declared
    severities = {alert.name: alert.severity for alert in alerts(Settings())}
    for one in INHIBITIONS:
        muted = {severities[target] for target in one.targets}
        assert severities[one.source] == CRITICAL or CRITICAL not in muted, (
            f"the warning {one.source} mutes a critical alert"
        )


def grafana_does_not_fire_what_alertmanager_inhibits() -> None:
    every = alerts(Settings())
    rules = [{"record": rule.name, "expr": rule.expr} for rule in recordings(Settings())]
    rules += [{"alert": one.name, "expr": make_rules.inhibited(one, every), "for": one.for_duration} for one in every]
    cases = inhibited_cases()
    muted = {(one.source, target) for one in INHIBITIONS for target in one.targets}
    assert {(source, case.alert) for source, case in cases} == muted
    for source, case in cases:
        with tempfile.TemporaryDirectory() as directory:
            failure = promtool().failures(case.alert, [case], rules, Path(directory))
            assert not failure, failure
            # Without the inhibition, it fires.
            fires = promtool().failures(case.alert, [case], current(), Path(directory))
            assert fires and "got:" in fires, f"{case.alert} does not fire beside {source}"


def receivers(labels: dict[str, str]) -> list[str]:
    """The receivers of an alert with these labels, as Alertmanager routes it."""
    command = ["amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}/alertmanager.yml"]
    command += [f"{name}={value}" for name, value in labels.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()


def every_alert_reaches_the_receiver_of_its_severity_and_drills_reach_nobody() -> None:
    for alert in alerts(Settings()):
        labels = {"alertname": alert.name, "severity": alert.severity, "job": "zt-risk-exporter", "account": "acme"}
        assert receivers(labels) == ["pager" if alert.severity == CRITICAL else "workday"], alert.name
        assert receivers({**labels, "drill": "true"}) == ["nobody"], alert.name


def a_message_says_how_many_accounts_and_which_first() -> None:
    template = ALERTMANAGER / "zt-risk-exporter.tmpl"

    def message(status: str, *subjects: dict[str, str]) -> str:
        found = [
            {"status": status, "labels": labels, "annotations": {"summary": f"S{number}.", "description": "D."}}
            for number, labels in enumerate(subjects)
        ]
        data = {"status": status, "alerts": found, "commonLabels": {"alertname": "A"}}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(data, file)
            file.flush()
            text = '{{ template "zt_risk_exporter.title" . }}|{{ template "zt_risk_exporter.text" . }}'
            command = ["amtool", "template", "render", f"--template.glob={template}", f"--template.text={text}"]
            return subprocess.run(
                [*command, f"--template.data={file.name}"], capture_output=True, text=True, check=True
            ).stdout

    accounts = [{"account": f"a{number:02}", "instance": "x"} for number in range(12)]
    summaries = "".join(f"S{number}.\n" for number in range(10))
    for wanted, status, *subjects in (
        ("A: S0.|S0.\nD.", "firing", {"account": "a1"}),
        ("A: 2 accounts, the first is a00|S0.\nS1.\nD.", "firing", *accounts[:2]),
        ("resolved: A: 2 accounts, the first is a00|", "resolved", *accounts[:2]),
        # Two alerts about one account.
        ("A: S0.|S0.\nS1.\nD.", "firing", {"account": "a1", "resource": "b"}, {"account": "a1", "resource": "i"}),
        ("A: 2 exporters, the first is x|S0.\nS1.\nD.", "firing", {"instance": "x"}, {"instance": "y"}),
        ("A: S0.|S0.\nD.", "firing", {"job": "j"}),
        (f"A: 12 accounts, the first is a00|{summaries}And more: 12 alerts in all.\nD.", "firing", *accounts),
    ):
        assert message(status, *subjects) == wanted, (wanted, message(status, *subjects))


CHECKS = [
    alertmanager_inhibits_what_the_rules_declare,
    grafana_does_not_fire_what_alertmanager_inhibits,
    every_alert_reaches_the_receiver_of_its_severity_and_drills_reach_nobody,
    a_message_says_how_many_accounts_and_which_first,
]
