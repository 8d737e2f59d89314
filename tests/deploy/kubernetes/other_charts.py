"""Compares the chart with those of other exporters: it has each of their values, or its README says what to do."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import yaml

from sources import CHART

# The names of values in prometheus-community's charts for node-exporter, blackbox-exporter, kube-state-metrics and
# postgres-exporter, in bitnami's for node-exporter, and for grafana, external-dns and cert-manager. Without what
# these programs do themselves, and with one kind of monitor for both.
ASKED = Path(__file__).with_name("other-charts.txt").read_text(encoding="utf-8").split()


def rows() -> list[tuple[str, str]]:
    """What the charts call a value, and what the README says of it."""
    (_, after) = (CHART / "README.md").read_text(encoding="utf-8").split("\n## If you know other charts\n")
    lines = [line for line in after.splitlines() if line.startswith("| `")]
    assert len(lines) > 40, lines
    return [(left, right) for left, right in (line.strip("| ").split(" | ") for line in lines)]


@functools.cache
def defaults() -> Any:
    return yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def is_here(path: str) -> bool:
    values = defaults()
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def every_value_of_other_charts_is_here_or_in_the_table() -> None:
    known: set[str] = set()
    for left, _ in rows():
        for name in re.findall(r"`([\w.]+)`", left):
            known |= {name, f"podMonitor.{name}"} if "of a monitor" in left else {name}
    missing = [name for name in ASKED if not is_here(name) and name not in known]
    assert len(ASKED) > 200 and not missing, missing
    both = sorted(name for name in known & set(ASKED) if is_here(name))
    assert not both, f"in the table, though the chart has them: {both}"


def the_table_names_values_that_exist() -> None:
    for left, right in rows():
        if right.startswith("None"):
            continue
        named = re.findall(r"`([\w.]+)`", right)
        assert named, left
        for name in named:
            of_config = name.startswith("config.")
            assert of_config or is_here(name) or is_here(f"podMonitor.{name}"), f"{left}: there is no {name}"


CHECKS = [
    every_value_of_other_charts_is_here_or_in_the_table,
    the_table_names_values_that_exist,
]
