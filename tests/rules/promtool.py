"""Runs cases with promtool. Each run has only the rules that its alert needs, which makes it fast."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from history import Case, promtool_test

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
            names |= set(re.findall(r"job_account\w*:\w+:\w+", rule["expr"]))
    return [rule for rule in rules if name(rule) in names]


def name(rule: Rule) -> str:
    return rule.get("alert") or rule["record"]


def failures(alert: str, cases: list[Case], rules: list[Rule], work: Path) -> str | None:
    """The output of promtool for the cases of one alert, or None if all cases pass."""
    chosen = needed(alert, rules)
    kinds = ([rule for rule in chosen if "record" in rule], [rule for rule in chosen if "alert" in rule])
    groups = [{"name": group, "rules": found} for group, found in zip(ORDER, kinds, strict=True) if found]
    # JSON is valid YAML.
    (work / "rules.yml").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    by_step: dict[float, list[Case]] = defaultdict(list)
    for case in cases:
        by_step[case.step].append(case)
    for step, same in by_step.items():
        tests = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": f"{round(step * 60)}s",
            "group_eval_order": [group["name"] for group in groups],
            "tests": [promtool_test(case) for case in same],
        }
        (work / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
        done = subprocess.run(
            ["promtool", "test", "rules", str(work / "tests.yml")], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return done.stdout + done.stderr
    return None
