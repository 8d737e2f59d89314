#!/usr/bin/env python3
"""Writes the rules for Prometheus, their drill variant, and the same alerts for Grafana.

Needs PyYAML and grafana-foundation-sdk==0.0.21 (a plain install of the latter gets an old version). The numbers stand
in settings.py, the rules in recordings.py, alerts_cloudflare.py and alerts_exporter.py. `--runbooks` says where you
keep docs/runbooks.md, whose sections the alerts point to.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders import alerting, expr, prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RelativeTimeRange

from model import Alert
from rules import alerts, recordings
from settings import Settings

DEPLOY = Path(__file__).resolve().parents[2]
# A day becomes 24 minutes, and an hour one minute: a drill ends before the meeting does.
DRILL = 60
# The uid of the data source in ../../grafana/provisioning/datasources.
DATA_SOURCE = "prometheus"
FOLDER = "Zero Trust user risk"
# The project has no address of its own.
RUNBOOKS = "https://example.com/zt-risk-exporter/docs/runbooks.md"
HEADER = "# Made by deploy/prometheus/source/make_rules.py: change its sources there, and run it.\n"
DRILL_HEADER = (
    HEADER
    + f"""#
# The same rules with every `for` and window divided by {DRILL}, for drills and tests: an hour becomes a minute. Load it
# in place of the others, in a Prometheus that scrapes every second; the names of the rules are the same.
"""
)
GRAFANA_HEADER = (
    HEADER
    + """#
# The alerts of deploy/prometheus/zt-risk-exporter.alerts.yml as alerts that Grafana manages: use one of the two. The
# recording rules must be loaded in Prometheus all the same. `$` is written `$$` here, as provisioning wants it.
"""
)


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (the name is PyYAML's)
        super().increase_indent(flow, False)


def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, represent)


def written(header: str, content: dict[str, Any]) -> str:
    return header + yaml.dump(content, Dumper=Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def group(alert: Alert) -> str:
    return "zero-trust-risk" if alert.name.startswith("ZeroTrust") else "zt-risk-exporter"


def grouped(s: Settings) -> dict[str, list[Alert]]:
    groups: dict[str, list[Alert]] = {}
    for alert in alerts(s):
        groups.setdefault(group(alert), []).append(alert)
    return groups


def told(alert: Alert, runbooks: str) -> dict[str, str]:
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{runbooks}#{alert.name.lower()}",
    }


def recording_groups(s: Settings) -> list[dict[str, Any]]:
    rules = [{"record": rule.name, "expr": rule.expr} for rule in recordings(s)]
    return [{"name": "zt-risk-recordings", "interval": str(s.evaluation), "rules": rules}]


def alert_groups(s: Settings, runbooks: str, labels: dict[str, str]) -> list[dict[str, Any]]:
    def rule(alert: Alert) -> dict[str, Any]:
        wait = {} if alert.wait == "0s" else {"for": alert.wait}
        return {
            "alert": alert.name,
            "expr": alert.expr,
            **wait,
            "labels": {"severity": alert.severity, **labels},
            "annotations": told(alert, runbooks),
        }

    return [
        {"name": name, "interval": str(s.evaluation), "rules": [rule(alert) for alert in found]}
        for name, found in grouped(s).items()
    ]


def grafana_rule(alert: Alert, runbooks: str) -> alerting.Rule:
    # An instant answer is a number for each series; any number fires, 0 too, because a comparison in PromQL leaves
    # only what is to fire.
    answer = prometheus.Dataquery().ref_id("A").expr(alert.expr).instant()
    fires = expr.TypeMath().ref_id("B").expression("is_number($A)")
    now = RelativeTimeRange(from_val=600, to=0)
    in_grafana = {name: re.sub(r"\$value\b", "$values.A.Value", text) for name, text in told(alert, runbooks).items()}
    return (
        alerting.Rule(alert.name)
        .uid(alert.name.lower())
        .with_query(alerting.Query("A").datasource_uid(DATA_SOURCE).relative_time_range(now).model(answer))
        .with_query(alerting.Query("B").datasource_uid("__expr__").relative_time_range(now).model(fires))
        .condition("B")
        # No answer is nothing to tell: absent() is in the expression where absence counts.
        .no_data_state("OK")
        # A Prometheus that cannot be asked is something to tell.
        .exec_err_state("Error")
        .for_val(alert.wait)
        .labels({"severity": alert.severity})
        .annotations(in_grafana)
    )


def grafana(s: Settings, runbooks: str) -> dict[str, Any]:
    """The provisioning file, which names some keys otherwise than Grafana's API and the SDK."""

    def provisioned(name: str, found: list[Alert]) -> dict[str, Any]:
        made = alerting.RuleGroup(name).interval(int(float(s.evaluation.seconds)))
        for alert in found:
            made = made.with_rule(grafana_rule(alert, runbooks))
        api = json.loads(json.dumps(made.build(), cls=JSONEncoder))
        by_file = {"folderUID", "orgID", "ruleGroup"}
        rules = [{key: value for key, value in rule.items() if key not in by_file} for rule in api["rules"]]
        return {
            "orgId": 1,
            "name": api["title"],
            "folder": FOLDER,
            "interval": f"{api['interval']}s",
            "rules": [{key: rule[key] for key in ("uid", "title", *rule)} for rule in rules],
        }

    groups = [provisioned(name, found) for name, found in grouped(s).items()]
    return escaped({"apiVersion": 1, "groups": groups})


def escaped(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case dict():
            return {key: escaped(inner) for key, inner in value.items()}
        case list():
            return [escaped(inner) for inner in value]
    return value


def table(s: Settings) -> str:
    """The table of alerts in docs/alerts.md."""
    rows = [
        f"| [`{a.name}`](runbooks.md#{a.name.lower()}) | {a.severity} | {a.fires[0].upper()}{a.fires[1:]}. |"
        for a in alerts(s)
    ]
    return "\n".join(["| Alert | Severity | Fires when |", "|---|---|---|", *rows]) + "\n"


def files(s: Settings, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """All that is made: paths below deploy/, and contents."""
    drill = s.scaled(DRILL)
    drill_groups = recording_groups(drill) + alert_groups(drill, runbooks, {"drill": "true"})
    return {
        "prometheus/zt-risk-exporter.recordings.yml": written(HEADER, {"groups": recording_groups(s)}),
        "prometheus/zt-risk-exporter.alerts.yml": written(HEADER, {"groups": alert_groups(s, runbooks, {})}),
        "prometheus/zt-risk-exporter.drill.yml": written(DRILL_HEADER, {"groups": drill_groups}),
        "grafana/provisioning/alerting/zt-risk-exporter.yml": written(GRAFANA_HEADER, grafana(s, runbooks)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runbooks", default=RUNBOOKS, metavar="URL", help="where docs/runbooks.md is (default: %(default)s)"
    )
    parser.add_argument("--to", type=Path, default=DEPLOY, metavar="DIRECTORY", help="in place of deploy/")
    parser.add_argument("--table", action="store_true", help="print the table of docs/alerts.md, and write nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(Settings()), end="")
        return
    for path, text in files(Settings(), arguments.runbooks).items():
        (arguments.to / path).parent.mkdir(parents=True, exist_ok=True)
        (arguments.to / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
