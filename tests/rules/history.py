"""Describes series over time and the alerts that should fire, and converts them to test files.

Times are minutes since the start. A history is a list of segments: `hold(20, 2 * HOUR) + gap(5) + hold(30, HOUR)`. A
series is written as `metric label=value ...`. The labels job, instance and account have default values; an empty value
removes the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HOUR = 60
DAY = 24 * HOUR

Scraped = Callable[[dict[str, str]], dict[str, str]]  # from the labels of a case to those in the database
Segment = tuple[float, float | None, float | None]  # minutes, first value, value at the start of the next segment
History = list[Segment]


def hold(value: float, minutes: float) -> History:
    """A constant value."""
    return [(minutes, value, value)]


def climb(start: float, end: float, minutes: float) -> History:
    """A linear rise, rounded to whole numbers."""
    return [(minutes, start, end)]


def gap(minutes: float) -> History:
    """The series is missing or not scraped: Prometheus marks it as stale."""
    return [(minutes, None, None)]


def stairs(every: float, minutes: float, start: int = 0) -> History:
    """Rises by one at the start and then every `every` minutes, such as a request in every poll."""
    return [(every, start + step, start + step) for step in range(1, round(minutes / every) + 1)]


def clock(start: float, minutes: float) -> History:
    """A timestamp that is always the current time, from minute `start` on."""
    return climb(start * 60, (start + minutes) * 60, minutes)


@dataclass(frozen=True)
class Case:
    """Series, and the alerts that fire at certain times; `sentence` is the statement that the case tests."""

    alert: str
    sentence: str
    series: dict[str, History]
    firing: dict[
        float, list[str]
    ]  # minute: for each firing alert, the values of the labels in `by`, separated by spaces
    by: str = "account"
    step: float = 1  # minutes between scrapes, and between evaluations


def label(name: str, value: str) -> str:
    return f'{name}="{value}"'


def selector(series: str, scraped: Scraped) -> str:
    name, *given = series.split(" ")
    labels = {"job": "zt-risk-exporter", "instance": "a:10069", "account": "acme"}
    labels |= dict(part.split("=", 1) for part in given)
    labels = scraped({key: value for key, value in labels.items() if value})
    return name + "{" + ", ".join(label(key, value) for key, value in labels.items()) + "}"


def test_values(history: History, step: float) -> str:
    samples: list[str] = []
    present = False
    for minutes, start, end in history:
        count = round(minutes / step)
        if start is None or end is None:
            samples += ["stale" if present else "_", *["_"] * (count - 1)]
            present = False
            continue
        samples += [f"{(start + (end - start) * index / count) // 1:.0f}" for index in range(count)]
        present = True
    return " ".join(samples)


def plain(labels: dict[str, str]) -> dict[str, str]:
    """A scrape that adds only job and instance."""
    return labels


def rule_test(case: Case, queries: str, scraped: Scraped) -> dict[str, Any]:
    """One entry of `tests:` in a test file. `queries` is the key of its queries."""

    def expected(values: str) -> dict[str, Any]:
        pairs = zip(case.by.split(" "), values.split(" "), strict=True)
        return {"labels": "{" + ", ".join(label(key, value) for key, value in pairs if value != "-") + "}", "value": 1}

    firing = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    return {
        "name": f"{case.alert}: {case.sentence}",
        "interval": f"{round(case.step * 60)}s",
        "input_series": [
            {"series": selector(series, scraped), "values": test_values(history, case.step)}
            for series, history in case.series.items()
        ],
        queries: [
            {
                "expr": f"count by ({', '.join(case.by.split(' '))}) ({firing})",
                "eval_time": f"{round(at * 60)}s",
                "exp_samples": [expected(values) for values in firing_values],
            }
            for at, firing_values in case.firing.items()
        ],
    }
