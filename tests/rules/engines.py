"""Runs cases with promtool and vmalert-tool. Each run has only the rules that its alert needs, which makes it fast."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from history import Case, Scraped, plain, rule_test

Rule = dict[str, Any]
# In the order of evaluation: recording rules first, because alerts read them.
ORDER = ["recordings", "alerts"]


def rules_of(*texts: str) -> list[Rule]:
    """All rules in the texts of rule files."""
    return [rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def needed(alert: str, rules: list[Rule]) -> list[Rule]:
    """The alert and the recording rules that it needs, in the order of the files."""
    names = {alert}
    # From last to first, because a recording rule only reads earlier ones.
    for rule in reversed(rules):
        if name(rule) in names:
            names |= set(re.findall(r"job\w*:\w+:\w+", rule["expr"]))
    return [rule for rule in rules if name(rule) in names]


def name(rule: Rule) -> str:
    return rule.get("alert") or rule["record"]


@dataclass(frozen=True)
class Engine:
    """A program that tests rules, and its differences from promtool."""

    command: tuple[str, ...]  # the path of the test file follows
    # The key of a test's queries.
    queries: str = "promql_expr_test"
    # vmalert writes the results of a group when the group ends. A rule that reads another rule of its group gets the
    # result of the evaluation before. The long intervals of some cases would hide it.
    group_for_each_rule: bool = False

    def testing(self, path: Path) -> list[str]:
        return [*self.command[:-1], f"{self.command[-1]}{path}"]

    def failures(
        self, alert: str, cases: list[Case], rules: list[Rule], work: Path, scraped: Scraped = plain
    ) -> str | None:
        """The output for the cases of one alert, or None if all cases pass."""
        chosen = needed(alert, rules)
        groups = [{"name": group, "rules": found} for group, found in self.grouped(chosen).items() if found]
        # JSON is valid YAML.
        (work / "rules.yml").write_text(json.dumps({"groups": groups}), encoding="utf-8")
        by_step: dict[float, list[Case]] = defaultdict(list)
        for case in cases:
            by_step[case.step].append(case)
        for step, same in by_step.items():
            tests = {
                "rule_files": [str(work / "rules.yml")],
                "evaluation_interval": f"{round(step * 60)}s",
                "group_eval_order": [group["name"] for group in groups],
                "tests": [rule_test(case, self.queries, scraped) for case in same],
            }
            (work / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
            done = subprocess.run(self.testing(work / "tests.yml"), capture_output=True, text=True, check=False)
            if done.returncode:
                return done.stdout + done.stderr
        return None

    def grouped(self, chosen: list[Rule]) -> dict[str, list[Rule]]:
        if self.group_for_each_rule:
            return {name(rule): [rule] for rule in chosen}
        recordings, alerts = ORDER
        return {
            recordings: [rule for rule in chosen if "record" in rule],
            alerts: [rule for rule in chosen if "alert" in rule],
        }


def promtool(path: str = "promtool") -> Engine:
    return Engine((path, "test", "rules", ""))


def vmalert_tool(path: str) -> Engine:
    # Without the label of the group, alerts have the labels that they have in Prometheus.
    command = (path, "unittest", "--disableAlertgroupLabel", "--files=")
    return Engine(command, queries="metricsql_expr_test", group_for_each_rule=True)
