"""A small language for what the exporter showed over time, and for what should fire: written out for promtool.

Times are minutes since the beginning. A history is a list of stretches: `hold(20, 2 * HOUR) + gap(5) + hold(30, HOUR)`.
A series is named as `metric label=value ...`; job, instance and account are added unless they are given, and left out
where they are given empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HOUR = 60
DAY = 24 * HOUR

Stretch = tuple[float, float | None, float | None]  # minutes, first value, value at which the next stretch begins
History = list[Stretch]


def hold(value: float, minutes: float) -> History:
    return [(minutes, value, value)]


def climb(start: float, end: float, minutes: float) -> History:
    """Evenly, in whole numbers."""
    return [(minutes, start, end)]


def gap(minutes: float) -> History:
    """Not on the page, or not scraped: Prometheus marks the series as stale."""
    return [(minutes, None, None)]


def stairs(every: float, minutes: float, start: int = 0) -> History:
    """One more at once and then after each `every` minutes: a request in every round."""
    return [(every, start + step, start + step) for step in range(1, round(minutes / every) + 1)]


def clock(start: float, minutes: float) -> History:
    """A date that is always now, from minute `start` on."""
    return climb(start * 60, (start + minutes) * 60, minutes)


@dataclass(frozen=True)
class Case:
    """What is shown, and what fires when; `says` is a sentence that is true."""

    alert: str
    says: str
    series: dict[str, History]
    firing: dict[float, list[str]]  # minute: the values of `by`, space between, of each that fires
    by: str = "account"
    step: float = 1  # minutes from scrape to scrape, and from evaluation to evaluation


def label(name: str, value: str) -> str:
    return f'{name}="{value}"'


def selector(series: str) -> str:
    name, *given = series.split(" ")
    labels = {"job": "zt-risk-exporter", "instance": "a:10069", "account": "acme"}
    labels |= dict(part.split("=", 1) for part in given)
    return name + "{" + ", ".join(label(key, value) for key, value in labels.items() if value) + "}"


def values(history: History, step: float) -> str:
    written: list[str] = []
    shown = False
    for minutes, start, end in history:
        count = round(minutes / step)
        if start is None or end is None:
            written += ["stale" if shown else "_", *["_"] * (count - 1)]
            shown = False
            continue
        written += [f"{(start + (end - start) * index / count) // 1:.0f}" for index in range(count)]
        shown = True
    return " ".join(written)


def promtool_test(case: Case) -> dict[str, Any]:
    """One entry of `tests:` in promtool's file."""

    def expected(who: str) -> dict[str, Any]:
        pairs = zip(case.by.split(" "), who.split(" "), strict=True)
        return {"labels": "{" + ", ".join(label(key, value) for key, value in pairs if value != "-") + "}", "value": 1}

    firing = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    return {
        "name": f"{case.alert}: {case.says}",
        "interval": f"{round(case.step * 60)}s",
        "input_series": [
            {"series": selector(series), "values": values(history, case.step)}
            for series, history in case.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"count by ({', '.join(case.by.split(' '))}) ({firing})",
                "eval_time": f"{round(at * 60)}s",
                "exp_samples": [expected(who) for who in who_fires],
            }
            for at, who_fires in case.firing.items()
        ],
    }
