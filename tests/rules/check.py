#!/usr/bin/env python3
"""Judges the rules without a server: made anew they are the same, promtool and the other tools accept them, they name
nothing that the exporter does not have, the manual says what they say, every case holds, and every mutant is noticed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

import yaml
from grafana_foundation_sdk.models.alerting import Rule as GrafanaRule

import cases_exporter
import cases_settings
import cases_users
import make_rules
from history import Case
from mutants import current, survivors
from promtool import failures
from rules import alerts, recordings
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OURS = [DEPLOY / name for name in ("prometheus", "grafana", "alertmanager", "compose")]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def what_is_made_is_what_is_committed() -> None:
    for path, text in make_rules.files(Settings()).items():
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
    run("amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml")
    run("yamllint", "--strict", "--config-file", Path(__file__).with_name("yamllint.yml"), *OURS)


def composed(*arguments: str | Path) -> bool:
    """Whether compose takes the file: the plugin of docker where it is there, Debian's docker-compose otherwise."""
    plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False) if which("docker") else None
    )
    compose = ["docker", "compose"] if plugin and plugin.returncode == 0 else ["docker-compose"]
    # What the shell has of these would stand in for what the file lacks.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDFLARE_")}
    command = [*compose, *map(str, arguments), "config", "--quiet"]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def compose_takes_its_file_alone_and_an_account_only_with_a_token() -> None:
    compose = DEPLOY / "compose"
    alone = ("--file", compose / "compose.yaml")
    with_account = (*alone, "--file", compose / "compose.account.yaml")
    example = (compose / "env.example").read_text(encoding="utf-8")
    assert "COMPOSE_FILE=compose.yaml:compose.account.yaml\n" in example
    with tempfile.TemporaryDirectory() as directory:
        empty, filled = Path(directory) / "empty", Path(directory) / "filled"
        empty.write_text(example, encoding="utf-8")
        filled.write_text(re.sub(r"^(CLOUDFLARE_\w+)=$", r"\1=x", example, flags=re.MULTILINE), encoding="utf-8")
        assert composed("--env-file", empty, *alone)
        assert composed("--env-file", filled, *with_account)
        assert not composed("--env-file", empty, *with_account)


def declared_families() -> dict[str, set[str]]:
    """The labels of each metric that the exporter declares."""
    found: dict[str, set[str]] = {}
    for source in ("exposition", "telemetry"):
        text = (ROOT / f"src/{source}/families.rs").read_text(encoding="utf-8")
        for name, kind, labels in re.findall(
            r'name: "(\w+)",\s+kind: Kind::(\w+),.*?labels: \[(.*?)\]', text, flags=re.DOTALL
        ):
            names = [name + end for end in ("_bucket", "_sum", "_count")] if kind == "Histogram" else [name]
            found |= {one: set(re.findall(r'"(\w+)"', labels)) for one in names}
    return found


def the_rules_name_only_metrics_and_labels_that_are_declared() -> None:
    families = declared_families()
    assert len(families) > 50, "the declarations in src/ are written otherwise than this test thinks"
    recorded = {rule.name: rule.expr for rule in recordings(Settings())}
    expressions = recorded | {alert.name: alert.expr for alert in alerts(Settings())}
    metric = re.compile(r"(?<![\w:$])((?:cloudflare_|zt_risk_|process_|job_)[\w:]+)(?:\{(.*?)\})?")
    for rule, expression in expressions.items():
        for name, matchers in metric.findall(expression):
            assert name in families or name in recorded, f"{rule}: nobody has {name}"
            for label in re.findall(r"(\w+)[=!]~?\"", matchers):
                assert label in families[name], f"{rule}: {name} has no label {label}"


def grafana_gets_the_same_alerts() -> None:
    text = (DEPLOY / "grafana/provisioning/alerting/zt-risk-exporter.yml").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    assert not re.search(r"(?<!\$)\$(?!\$)", text), "a `$` that is not doubled"
    provisioned = yaml.safe_load(text.replace("$$", "$"))
    rules = [rule for group in provisioned["groups"] for rule in group["rules"]]
    wanted = alerts(Settings())
    assert [rule["title"] for rule in rules] == [alert.name for alert in wanted]
    for rule, alert in zip(rules, wanted, strict=True):
        assert rule["data"][0]["model"]["expr"] == alert.expr, alert.name
        assert (rule["for"], rule["labels"]["severity"]) == (alert.wait, alert.severity), alert.name
        assert len(rule["uid"]) <= 40, f"{rule['uid']}: longer than Grafana allows"
        # Keys that the SDK does not know get lost on the way through it.
        through = GrafanaRule.from_json(rule).to_json()
        assert set(rule) <= set(through), f"{alert.name}: {set(rule) - set(through)}"
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    assert make_rules.DATA_SOURCE in [source["uid"] for source in sources["datasources"]]


def the_manual_has_the_table_and_a_runbook_for_each_alert() -> None:
    table = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    assert make_rules.table(Settings()) in table, "docs/alerts.md: take the table of make_rules.py --table"
    runbooks = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
    for alert in alerts(Settings()):
        assert runbooks.count(f"\n## {alert.name}\n") == 1, f"docs/runbooks.md: a section for {alert.name}"


def all_cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in [*cases_users.cases(), *cases_settings.cases(), *cases_exporter.cases()]:
        found[case.alert].append(case)
    return found


def every_alert_has_cases_in_which_it_fires_and_in_which_it_is_quiet() -> None:
    found = all_cases()
    assert set(found) == {alert.name for alert in alerts(Settings())}
    for alert, cases in found.items():
        assert any(who for case in cases for who in case.firing.values()), f"{alert} never fires"
        assert any(not any(case.firing.values()) for case in cases), f"{alert} is never quiet"


def the_cases_hold() -> None:
    rules = current()

    def wrong(found: tuple[str, list[Case]]) -> str | None:
        with tempfile.TemporaryDirectory() as directory:
            return failures(*found, rules, Path(directory))

    with ThreadPoolExecutor(2) as pool:
        said = [text for text in pool.map(wrong, all_cases().items()) if text]
    assert not said, "\n".join(said)


def every_mutant_is_noticed() -> None:
    count, unnoticed = survivors(all_cases())
    assert not unnoticed, "unnoticed: " + "; ".join(unnoticed)
    print(f"{count} mutants noticed")


CHECKS = [
    what_is_made_is_what_is_committed,
    promtool_amtool_and_yamllint_accept_everything,
    compose_takes_its_file_alone_and_an_account_only_with_a_token,
    the_rules_name_only_metrics_and_labels_that_are_declared,
    grafana_gets_the_same_alerts,
    the_manual_has_the_table_and_a_runbook_for_each_alert,
    every_alert_has_cases_in_which_it_fires_and_in_which_it_is_quiet,
    the_cases_hold,
    every_mutant_is_noticed,
]


def main() -> None:
    failed = 0
    for check in CHECKS:
        sentence = check.__name__.replace("_", " ")
        try:
            check()
            print(f"ok: {sentence}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAILED: {sentence}: {error}", file=sys.stderr, flush=True)
    cases = sum(len(found) for found in all_cases().values())
    print(f"rules: {len(CHECKS) - failed} checks passed, {failed} failed ({cases} cases)")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
