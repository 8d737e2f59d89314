#!/usr/bin/env python3
"""Checks the rules without a server: the generated files are up to date, promtool and the other tools accept them, they
use only metrics that the exporter has, the manual agrees with them, and every case passes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import yaml
from grafana_foundation_sdk.models.alerting import Rule as GrafanaRule

import grafana
import make_rules
import notifications
from cases import all_cases
from commands import every_command_works, every_name_is_one_word_of_the_command
from engines import Engine, Rule, promtool, rules_of, vmalert_tool
from history import Case, Scraped, plain
from mutants import current
from rules import alerts, recordings
from settings import Settings
from target_labels import target_labels, with_target_labels

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = target_labels("")["namespace"]
DEPLOY = ROOT / "deploy"
GRAFANA_ALERTS = "grafana/provisioning/alerting/zt-risk-exporter.yml"
YAML_DIRECTORIES = [DEPLOY / name for name in ("prometheus", "grafana", "alertmanager", "compose")]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def the_generated_files_are_up_to_date() -> None:
    for path, text in make_rules.generated_files(Settings()).items():
        assert (DEPLOY / path).read_text(encoding="utf-8") == text, (
            f"{path}: run deploy/prometheus/source/make_rules.py"
        )


def promtool_amtool_and_yamllint_accept_everything() -> None:
    for name in ("recordings", "alerts", "drill"):
        run(
            "promtool",
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            DEPLOY / f"prometheus/zt-risk-exporter.{name}.yml",
        )
    run("promtool", "check", "config", DEPLOY / "prometheus/prometheus.yml")
    # Its files with the CA and the password exist only where it is used.
    run("promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus/prometheus.protected.yml")
    run("amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml")
    run("yamllint", "--strict", "--config-file", Path(__file__).with_name("yamllint.yml"), *YAML_DIRECTORIES)


def compose_accepts(*arguments: str | Path) -> bool:
    """Whether Compose accepts the files. Uses Docker's plugin if it is installed, else Debian's docker-compose."""
    plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False) if which("docker") else None
    )
    compose = ["docker", "compose"] if plugin and plugin.returncode == 0 else ["docker-compose"]
    # Variables of the shell must not fill in values that the file lacks.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDFLARE_")}
    command = [*compose, *map(str, arguments), "config", "--quiet"]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def compose_accepts_its_file_alone_and_the_account_file_only_with_a_token() -> None:
    compose = DEPLOY / "compose"
    alone = ("--file", compose / "compose.yaml")
    with_account = (*alone, "--file", compose / "compose.account.yaml")
    example = (compose / "env.example").read_text(encoding="utf-8")
    assert "COMPOSE_FILE=compose.yaml:compose.account.yaml\n" in example
    with tempfile.TemporaryDirectory() as directory:
        empty, filled = Path(directory) / "empty", Path(directory) / "filled"
        empty.write_text(example, encoding="utf-8")
        filled.write_text(re.sub(r"^(CLOUDFLARE_\w+)=$", r"\1=x", example, flags=re.MULTILINE), encoding="utf-8")
        assert compose_accepts("--env-file", empty, *alone)
        assert compose_accepts("--env-file", filled, *with_account)
        assert not compose_accepts("--env-file", empty, *with_account)
        protected = ("--file", compose / "compose.protected.yaml")
        assert compose_accepts("--env-file", empty, *alone, *protected)
        assert compose_accepts("--env-file", filled, *with_account, *protected)


def the_protected_example_differs_only_by_its_protection() -> None:
    def loaded(path: str) -> Any:
        return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))

    protected = loaded("prometheus/prometheus.protected.yml")
    (job,) = protected["scrape_configs"]
    added = {key: job.pop(key) for key in ("scheme", "tls_config", "basic_auth")}
    assert protected == loaded("prometheus/prometheus.yml")
    assert added["scheme"] == "https"
    services = loaded("compose/compose.protected.yaml")["services"]
    (mounted,) = services["prometheus"]["volumes"]
    _, directory, _ = mounted.split(":")
    for path in (added["tls_config"]["ca_file"], added["basic_auth"]["password_file"]):
        assert path.rpartition("/")[0] == directory, path
    # An override replaces the whole command.
    plain = loaded("compose/compose.yaml")["services"]["prometheus"]["command"]
    wanted = [flag.replace("prometheus.yml", "prometheus.protected.yml") for flag in plain]
    assert services["prometheus"]["command"] == wanted


def declared_families() -> dict[str, set[str]]:
    """The labels of each metric that the exporter declares."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src/metrics/families").glob("*.rs"):
        text = path.read_text(encoding="utf-8")
        for name, kind, labels in re.findall(
            r'name: "(\w+)",\s+kind: Kind::(\w+),.*?labels: \[(.*?)\]', text, flags=re.DOTALL
        ):
            names = [name + end for end in ("_bucket", "_sum", "_count")] if kind == "Histogram" else [name]
            found |= {one: set(re.findall(r'"(\w+)"', labels)) for one in names}
    return found


def the_rules_use_only_declared_metrics_and_labels() -> None:
    families = declared_families()
    assert len(families) > 50, "this test does not understand the declarations in src/"
    recorded = {rule.name: rule.expr for rule in recordings(Settings())}
    expressions = recorded | {alert.name: alert.expr for alert in alerts(Settings())}
    metric = re.compile(r"(?<![\w:$])((?:cloudflare_|zt_risk_|process_|job[_:])[\w:]+)(?:\{(.*?)\})?")
    for rule, expression in expressions.items():
        for name, matchers in metric.findall(expression):
            assert name in families or name in recorded, f"{rule}: there is no metric {name}"
            for label in re.findall(r"(\w+)[=!]~?\"", matchers):
                # The name of a recorded series begins with its labels.
                labels = families.get(name) or set(name.partition(":")[0].split("_"))
                assert label in labels, f"{rule}: {name} has no label {label}"


def grafana_rules(text: str) -> list[dict[str, Any]]:
    """The rules of a provisioning file as Grafana has them after the import."""
    return [rule for group in grafana.read(yaml.safe_load(text))["groups"] for rule in group["rules"]]


def grafana_gets_the_same_alerts() -> None:
    rules = grafana_rules((DEPLOY / GRAFANA_ALERTS).read_text(encoding="utf-8"))
    wanted = alerts(Settings())
    assert [rule["title"] for rule in rules] == [alert.name for alert in wanted]
    for rule, alert in zip(rules, wanted, strict=True):
        assert rule["data"][0]["model"]["expr"] == make_rules.inhibited(alert, wanted), alert.name
        assert (rule["for"], rule["labels"]["severity"]) == (alert.for_duration, alert.severity), alert.name
        assert len(rule["uid"]) <= 40, f"{rule['uid']}: longer than Grafana allows"
        grafana.check_rule(rule)
        for annotation, text in make_rules.annotations(alert, make_rules.Options()).items():
            expected = re.sub(r"\$value\b", "$values.A.Value", text)
            if first := alert.first_account:
                expected = expected.replace(first.in_prometheus(), first.in_grafana())
            assert rule["annotations"][annotation] == expected, alert.name
        # The SDK drops keys that it does not know. It does not know this key of newer versions.
        known = {**rule}
        assert known.pop("missing_series_evals_to_resolve") == 1, alert.name
        parsed = GrafanaRule.from_json(known).to_json()
        assert set(known) <= set(parsed), f"{alert.name}: unknown keys {set(known) - set(parsed)}"
    # If Prometheus cannot be queried, one alert says so, and it says it without labels and values.
    (reports,) = [rule for rule in rules if rule["execErrState"] != "OK"]
    assert reports["execErrState"] == "Error" and not grafana.without_values(reports), reports["title"]
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    assert make_rules.DATA_SOURCE in [source["uid"] for source in sources["datasources"]]


def the_uid_of_grafanas_data_source_is_an_option() -> None:
    text = make_rules.generated_files(Settings(), make_rules.Options(data_source="p$1"))[GRAFANA_ALERTS]
    for rule in grafana_rules(text):
        grafana.check_rule(rule)
        *queries, fires = (query["datasourceUid"] for query in rule["data"])
        assert queries and set(queries) == {"p$1"} and fires == grafana.EXPRESSIONS, rule["title"]


WIKI, GRAFANA = "https://wiki.internal/runbooks", "https://grafana.internal"


def alerts_link_to_runbooks_and_dashboards_only_if_their_addresses_are_known() -> None:
    unknown = make_rules.generated_files(Settings())
    known = make_rules.generated_files(Settings(), make_rules.Options(runbook_url=WIKI, dashboard_url=GRAFANA))
    uids = {json.loads(path.read_text(encoding="utf-8"))["uid"] for path in (ROOT / "dashboards").glob("*.json")}
    for path, text in known.items():
        if "recordings" in path or "/helm/" in f"/{path}":
            continue
        assert not re.search(r"https?:|_url", unknown[path]), f"{path} has an address that nobody gave"
        found = grafana_rules(text) if path == GRAFANA_ALERTS else [rule for rule in rules_of(text) if "alert" in rule]
        assert len(found) == len(alerts(Settings())), path
        if path != GRAFANA_ALERTS:
            # It expands the templates in the links.
            with tempfile.TemporaryDirectory() as directory:
                file = Path(directory) / "rules.yml"
                file.write_text(text, encoding="utf-8")
                run("promtool", "check", "rules", file)
        for rule in found:
            links = rule["annotations"]
            name = rule.get("alert") or rule["title"]
            assert links["runbook_url"] == f"{WIKI}#{name.lower()}", name
            (uid,) = re.findall(rf"^{GRAFANA}/d/([\w-]+)(?:\?|$)", links["dashboard_url"])
            assert uid in uids, f"{name}: there is no dashboard {uid}"
            if path == GRAFANA_ALERTS:
                grafana.check_rule(rule)


def a_wrong_option_of_the_generator_is_refused() -> None:
    for option, value, message in (
        ("--runbook-url", "wiki", "'wiki' is not an http or https address"),
        ("--dashboard-url", "https://a b", "is not an http or https address"),
        ("--keep-label", "name space", "'name space' is not the name of a label"),
    ):
        command = [sys.executable, make_rules.__file__, option, value]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and message in done.stderr, f"{option} {value}: {done.stderr}"


def labels_that_rules_shall_keep_are_in_every_grouping() -> None:
    files = make_rules.generated_files(Settings(), make_rules.Options(keep_labels=("namespace", "cluster")))
    for path in ("recordings", "alerts", "drill"):
        for rule in rules_of(files[f"prometheus/zt-risk-exporter.{path}.yml"]):
            for labels in re.findall(r"\b(?:by|on|ignoring|without|group_\w+) ?\((.*?)\)", rule["expr"]):
                assert labels.startswith("job, namespace, cluster"), f"{path}: {rule}"


def the_check_of_grafanas_file_finds_mistakes() -> None:
    right = make_rules.generated_files(Settings())[GRAFANA_ALERTS]
    mistakes = [
        ("is_number($A)", "is_number($$A)"),
        ("is_number($A)", "is_number($C)"),
        ("is_number($A)", "isnumber($A)"),
        ("is_number($A)", "is_number($A"),
        ("{{ $labels.account }}", "{{ $$labels.account }}"),
        ("{{ $labels.account }}", "{{ $label.account }}"),
        ("{{ $labels.account }}", "{{ $labels.account }"),
        ("{{ $labels.account }}", "${ACCOUNT}"),
        ("humanizeDuration $values.A.Value", "humanizeDuration $value"),
        ("humanizeDuration $values.A.Value", "humaniseDuration $values.A.Value"),
        ("{{ end }}", ""),
        ("$values.C.Labels.account", "$values.D.Labels.account"),
        ("$values.C.Labels.account", "$values.C.Label.account"),
        ("title: ZeroTrustMassReset", "title: $ZeroTrustMassReset"),
        ("severity: critical", "severity: ${SEVERITY}"),
        ("datasourceUid: prometheus", "datasourceUid: $PROMETHEUS"),
    ]
    for old, new in mistakes:
        assert old in right, old
        try:
            for rule in grafana_rules(right.replace(old, new)):
                grafana.check_rule(rule)
        except grafana.GrafanaError:
            continue
        raise AssertionError(f"{new} is not found")


def the_manual_has_the_table_and_a_runbook_for_each_alert() -> None:
    table = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    assert make_rules.table(Settings()) in table, "docs/alerts.md: insert the table of make_rules.py --table"
    runbooks = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
    for alert in alerts(Settings()):
        assert runbooks.count(f"\n## {alert.name}\n") == 1, f"docs/runbooks.md: needs one section for {alert.name}"


def every_alert_has_cases_in_which_it_fires_and_cases_in_which_it_does_not_fire() -> None:
    found = all_cases()
    assert set(found) == {alert.name for alert in alerts(Settings())}
    for alert, cases in found.items():
        assert any(labels for case in cases for labels in case.firing.values()), f"{alert} fires in no case"
        assert any(not any(case.firing.values()) for case in cases), f"{alert} fires in every case"


def all_cases_pass(
    engine: Engine, scraped: Scraped, cases: dict[str, list[Case]] | None = None, rules: list[Rule] | None = None
) -> None:
    def failed(cases_of_alert: tuple[str, list[Case]]) -> str | None:
        with tempfile.TemporaryDirectory() as directory:
            return engine.failures(*cases_of_alert, rules or current(), Path(directory), scraped)

    with ThreadPoolExecutor(2) as pool:
        messages = [text for text in pool.map(failed, (cases or all_cases()).items()) if text]
    assert not messages, "\n".join(messages)


def with_namespace(case: Case) -> Case:
    """The case in which each firing alert also has the namespace of its target."""
    # `absent` has no series to take it from.
    without = "-" if case.alert == "ZtRiskExporterDown" else ""
    firing = {
        at: [f"{values} {'-' if values == without else NAMESPACE}" for values in found]
        for at, found in case.firing.items()
    }
    return replace(case, by=f"{case.by} namespace", firing=firing)


def every_alert_keeps_the_namespace_of_its_target_if_rules_shall_keep_it() -> None:
    files = make_rules.generated_files(Settings(), make_rules.Options(keep_labels=("namespace",)))
    rules = rules_of(*(files[f"prometheus/zt-risk-exporter.{part}.yml"] for part in ("recordings", "alerts")))
    cases = {alert: [with_namespace(case) for case in found] for alert, found in all_cases().items()}
    all_cases_pass(promtool(), with_target_labels, cases, rules)


def every_name_is_one_word_of_a_command() -> None:
    every_name_is_one_word_of_the_command(promtool())


def every_case_passes() -> None:
    all_cases_pass(promtool(), plain)


def every_case_passes_with_the_target_labels_of_operators() -> None:
    all_cases_pass(promtool(), with_target_labels)


def downloaded(program: str) -> str | None:
    """The path of a program that this release of Debian does not have, or None if it cannot be downloaded."""
    download = ROOT / "tests/conformance-prometheus/download"
    done = subprocess.run([download, program], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"skipped: the cases of the rules in {program}, because it could not be downloaded", file=sys.stderr)
        return None
    return done.stdout.strip()


def every_case_passes_in_prometheus_3() -> None:
    if newer := downloaded("promtool"):
        all_cases_pass(promtool(newer), with_target_labels)
        every_name_is_one_word_of_the_command(promtool(newer))


def every_case_passes_in_victoriametrics() -> None:
    if vmalert := downloaded("vmalert-tool"):
        all_cases_pass(vmalert_tool(vmalert), with_target_labels)
        every_name_is_one_word_of_the_command(vmalert_tool(vmalert))


CHECKS = [
    the_generated_files_are_up_to_date,
    promtool_amtool_and_yamllint_accept_everything,
    compose_accepts_its_file_alone_and_the_account_file_only_with_a_token,
    the_protected_example_differs_only_by_its_protection,
    the_rules_use_only_declared_metrics_and_labels,
    grafana_gets_the_same_alerts,
    *notifications.CHECKS,
    the_uid_of_grafanas_data_source_is_an_option,
    the_check_of_grafanas_file_finds_mistakes,
    alerts_link_to_runbooks_and_dashboards_only_if_their_addresses_are_known,
    a_wrong_option_of_the_generator_is_refused,
    labels_that_rules_shall_keep_are_in_every_grouping,
    every_command_works,
    every_name_is_one_word_of_a_command,
    the_manual_has_the_table_and_a_runbook_for_each_alert,
    every_alert_has_cases_in_which_it_fires_and_cases_in_which_it_does_not_fire,
    every_case_passes,
    every_case_passes_with_the_target_labels_of_operators,
    every_alert_keeps_the_namespace_of_its_target_if_rules_shall_keep_it,
    every_case_passes_in_prometheus_3,
    every_case_passes_in_victoriametrics,
]


def main() -> None:
    failed = 0
    for check in CHECKS:
        sentence = check.__name__.replace("_", " ")
        try:
            check()
            print(f"ok: {sentence}", flush=True)
        except (AssertionError, grafana.GrafanaError) as error:
            failed += 1
            print(f"FAILED: {sentence}: {error}", file=sys.stderr, flush=True)
    cases = sum(len(found) for found in all_cases().values())
    print(f"rules: {len(CHECKS) - failed} checks passed, {failed} failed ({cases} cases)")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
