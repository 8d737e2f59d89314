"""Checks that the rules of the chart and of kustomize are those of deploy/prometheus, as the values change them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import Any

import yaml

import sources
from chart_parts import CHANGED, OWN_GROUP, TEAM, THRESHOLDS
from chart_values import ONE, VALUES
from model import Alert
from rules import alerts, keeping, recordings
from settings import COMMON, DAY, HOUR, MINUTE, Duration, Settings, camel_case
from sources import CHART, KUBERNETES, Object, charted

UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
ABSENT = 'absent(up{job="zt-risk-exporter"})'
KUBECTL = "kubectl --namespace risk"
CONFIG = " --config.file=/etc/zt-risk-exporter/config.yaml"


def rules_of(found: list[Object], part: str) -> list[dict[str, Any]]:
    (spec,) = [
        one["spec"] for one in found if one["kind"] == "PrometheusRule" and one["metadata"]["name"].endswith(part)
    ]
    return [rule for group in spec["groups"] for rule in group["rules"]]


def settings(thresholds: dict[str, Any]) -> Settings:
    changes: dict[str, Any] = {}
    for name in COMMON:
        value = thresholds[camel_case(name)]
        changes[name] = Duration(int(value[:-1]) * UNITS[value[-1]]) if isinstance(value, str) else value
    return replace(Settings(), **changes)


def on_kubernetes(alert: Alert) -> str:
    """The description, with a command for the exporter's pod."""
    run = re.sub(
        r"^zt-risk-exporter (.*)$",
        rf"{KUBECTL} exec deployment/zt-risk-exporter -- /zt-risk-exporter \1{CONFIG}",
        alert.command,
    )
    run = re.sub(r"^journalctl.*$", f"{KUBECTL} logs deployment/zt-risk-exporter --since=1h", run)
    assert run != alert.command, alert.name
    return alert.description.replace(f" Run: {alert.command}", f" Run: {run}")


def expression(alert: Alert, *labels: str, namespace: str = "risk") -> str:
    missing = ABSENT.replace("}", f',namespace="{namespace}"}}')
    return keeping(labels, alert.expr).replace(ABSENT, missing if "namespace" in labels else ABSENT)


def as_rule(alert: Alert, expr: str, description: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": expr,
        **({} if alert.for_duration == "0s" else {"for": alert.for_duration}),
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": description},
    }


def the_defaults_of_the_chart_are_those_of_the_rules() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["prometheusRule"]["thresholds"]
    assert set(values) == {camel_case(name) for name in COMMON}
    assert settings(values) == Settings()
    found = charted(ONE | {"prometheusRule": {"enabled": True}})
    assert rules_of(found, "-alerts") == [
        as_rule(alert, expression(alert, "namespace"), on_kubernetes(alert)) for alert in alerts(Settings())
    ]
    assert rules_of(found, "-recordings") == [
        {"record": rule.name, "expr": keeping(("namespace",), rule.expr)} for rule in recordings(Settings())
    ]


def labels_are_kept_only_if_the_values_say_so() -> None:
    found = charted(ONE | {"prometheusRule": {"enabled": True, "keepLabels": []}})
    assert [rule["expr"] for rule in rules_of(found, "-alerts")] == [alert.expr for alert in alerts(Settings())]


def each_threshold_changes_the_rules_as_the_generator_does() -> None:
    defaults = Settings()
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["prometheusRule"]["thresholds"]
    for name, value in THRESHOLDS.items():
        found = charted(ONE | {"prometheusRule": {"enabled": True, "keepLabels": [], "thresholds": {name: value}}})
        # In minutes, because the chart takes 90m and the generator's values are in milliseconds.
        wanted = alerts(settings(values | {name: value}))
        assert [rule["expr"] for rule in rules_of(found, "-alerts")] == [alert.expr for alert in wanted], name
        changed = [one.name for one, other in zip(wanted, alerts(defaults), strict=True) if one.expr != other.expr]
        assert changed, f"{name} changes no alert"
        comment = re.search(rf"((?: *#.*\n)+) *{name}:", (CHART / "values.yaml").read_text(encoding="utf-8"))
        assert comment and set(re.findall(r"Z[et]\w+", comment[1])) == set(changed), f"{name}: {changed}"


def values_change_single_alerts_and_all_alerts() -> None:
    values = VALUES["with the operator"]["prometheusRule"]
    found = charted(VALUES["with the operator"])
    wanted = alerts(settings(THRESHOLDS))
    rules = {rule["alert"]: rule for rule in rules_of(found, "-alerts") if "alert" in rule}
    assert set(rules) == {alert.name for alert in wanted} - {"ZeroTrustBehaviorSilent"} | {"ManyUsers"}
    for alert in wanted:
        if alert.name == "ZeroTrustBehaviorSilent":
            continue
        rule = rules[alert.name]
        assert rule["expr"] == expression(alert, "namespace", "cluster"), alert.name
        assert rule["annotations"]["runbook_url"] == f"{values['runbookUrl']}#{alert.name.lower()}"
        assert rule["annotations"]["dashboard_url"] == f"{values['dashboardUrl']}{alert.dashboard}"
        if alert.command.startswith("zt-risk-exporter"):
            run = alert.command.replace("zt-risk-exporter", values["command"], 1)
            assert rule["annotations"]["description"].endswith(f" Run: {run}"), alert.name
        changed = alert.name == "ZeroTrustMassReset"
        assert rule["labels"] == {"severity": "page" if changed else alert.severity} | TEAM, alert.name
        if changed:
            assert (rule["for"], rule["keep_firing_for"]) == (CHANGED["for"], CHANGED["keepFiringFor"])
            assert rule["annotations"]["contact"] == "soc"
    (spec,) = [one["spec"] for one in found if one["metadata"]["name"].endswith("-alerts")]
    assert spec["groups"][-1] == OWN_GROUP
    # No placeholder is left.
    assert not re.search(r"@\w+@", yaml.safe_dump(found)), "a placeholder was not replaced"


def an_alert_has_no_link_without_an_address() -> None:
    for found in (charted(ONE | {"prometheusRule": {"enabled": True}}), sources.kustomized(KUBERNETES / "example")):
        for rule in rules_of(found, "-alerts"):
            assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


def the_schema_knows_the_alerts() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    known = schema["properties"]["prometheusRule"]["properties"]["alerts"]["propertyNames"]["enum"]
    assert known == [alert.name for alert in alerts(Settings())]


def make_rules(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(KUBERNETES / "prometheus-operator/make-rules"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def the_rules_of_kustomize_are_up_to_date_and_keep_the_namespace() -> None:
    generated = make_rules("--print").stdout
    written = (KUBERNETES / "prometheus-operator/rules.yaml").read_text(encoding="utf-8")
    assert written == generated, "run prometheus-operator/make-rules"
    found = sources.kustomized(KUBERNETES / "example")
    assert rules_of(found, "-alerts") == [
        as_rule(alert, keeping(("namespace",), alert.expr), alert.description) for alert in alerts(Settings())
    ]
    assert rules_of(found, "-recordings") == [
        {"record": rule.name, "expr": keeping(("namespace",), rule.expr)} for rule in recordings(Settings())
    ]


def a_copy_for_one_namespace_is_the_same_as_the_chart_makes() -> None:
    for option, shards in (("--namespace", 1), ("--shards", 2)):
        done = make_rules(option, "risk")
        assert done.returncode == 0, done.stderr
        copied = sources.objects(done.stdout)
        charts = charted(ONE | {"shards": shards, "prometheusRule": {"enabled": True}})
        for part in ("-recordings", "-alerts"):
            assert rules_of(copied, part) == rules_of(charts, part), f"{option}: {part}"


def the_log_of_shards_is_that_of_all_their_pods() -> None:
    found = charted(ONE | {"shards": 2, "prometheusRule": {"enabled": True}})
    (text,) = {
        run
        for rule in rules_of(found, "-alerts")
        for run in re.findall(r" logs (\S+) ", yaml.safe_dump(rule, width=9999))
    }
    labels = dict(pair.split("=") for pair in text.removeprefix("--selector=").split(","))
    assert labels == sources.only(found, "StatefulSet")["spec"]["selector"]["matchLabels"]


def a_wrong_namespace_is_refused() -> None:
    for wrong in (("--namespace", "Risk"), ("--namespace", "a;b"), ("--namespace",), ("--other",)):
        assert make_rules(*wrong).returncode != 0, wrong


CHECKS = [
    the_defaults_of_the_chart_are_those_of_the_rules,
    labels_are_kept_only_if_the_values_say_so,
    each_threshold_changes_the_rules_as_the_generator_does,
    values_change_single_alerts_and_all_alerts,
    an_alert_has_no_link_without_an_address,
    the_schema_knows_the_alerts,
    the_rules_of_kustomize_are_up_to_date_and_keep_the_namespace,
    a_copy_for_one_namespace_is_the_same_as_the_chart_makes,
    the_log_of_shards_is_that_of_all_their_pods,
    a_wrong_namespace_is_refused,
]
